(** * What a step leaves as it was

    A process never loses a role, nor what it has decided. *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.fast Require Import Protocol Node.
From Synod.fast Require Acceptor Coordinator Learner.
Open Scope N_scope.

Record keeps (s s' : state) : Prop := Keeps {
  keeps_acceptor : is_some (acceptor s') = is_some (acceptor s);
  keeps_learner : is_some (learner s') = is_some (learner s);
  keeps_decision : forall v, decided s = Some v -> decided s' = Some v }.

Lemma keeps_self s : keeps s s.
Proof. now constructor. Qed.

Lemma keeps_trans s s' s'' : keeps s s' -> keeps s' s'' -> keeps s s''.
Proof. intros [] []. constructor; congruence || auto. Qed.

Ltac cases := repeat match goal with |- context [match ?x with _ => _ end] => destruct x end.

Section Keeps.
Variable c : cluster.
Variable me : N.

Lemma now_broadcast to m st : now (broadcast me to m st) = now st.
Proof.
  revert st. induction to as [|x to IH]; auto. intro st. exact (IH (send me x m st)).
Qed.

Lemma keeps_with_coordinator s p st : keeps s (now st) -> keeps s (now (with_coordinator p st)).
Proof. intros []. now constructor. Qed.

Lemma keeps_with_acceptor s a a' st : acceptor (now st) = Some a -> keeps s (now st) ->
  keeps s (now (with_acceptor a' st)).
Proof. intros E [H ? ?]. constructor; auto. cbn. now rewrite <- H, E. Qed.

Lemma keeps_campaign s st : keeps s (now st) -> keeps s (now (campaign c me st)).
Proof.
  intro K. unfold campaign. destruct (coordinator (now st)); auto.
  destruct (Coordinator.prepare _ _ _ _) as [p' []]; unfold broadcast_to_acceptors; cbn;
    rewrite ?now_broadcast; now apply keeps_with_coordinator.
Qed.

Lemma keeps_ask_decision s st : keeps s (now st) -> keeps s (now (ask_decision c me st)).
Proof.
  intro K. unfold ask_decision. cases; cbn; now rewrite now_broadcast.
Qed.

Lemma keeps_stop s v st : keeps s (now st) -> keeps s (now (stop me v st)).
Proof.
  intro K. unfold stop. destruct (coordinator (now st)); auto.
  destruct (Coordinator.retire _) as [p' []]; cbn; now apply keeps_with_coordinator.
Qed.

Lemma keeps_answer s to m st : keeps s (now st) -> keeps s (now (answer c me to m st)).
Proof.
  intro K. unfold answer. destruct m as [[]|]; try destruct (nacks c); try destruct (_ && _);
    cbn; rewrite ?now_broadcast; auto.
Qed.

(** What a learner makes of news, when it has decided already, is nothing. *)
Lemma keeps_with_learner s l l' st : learner (now st) = Some l -> keeps s (now st) ->
  (forall v, Learner.decided l = Some v -> Learner.decided l' = Some v) ->
  keeps s (now (with_learner l' st)).
Proof.
  intros E [A L D] H. constructor; auto.
  - cbn. now rewrite <- L, E.
  - intros v V. cbn. apply H. specialize (D v V). unfold decided in D. now rewrite E in D.
Qed.

Lemma keeps_vote_for s client v st : keeps s (now st) ->
  keeps s (now (vote_for c me client v st)).
Proof.
  intro K. unfold vote_for. destruct (acceptor (now st)) eqn:E; auto.
  destruct (Acceptor.on_propose _ _ _). eauto using keeps_answer, keeps_with_acceptor.
Qed.

Lemma keeps_see_to s client v st : keeps s (now st) -> keeps s (now (see_to c me client v st)).
Proof.
  intro K. unfold see_to. destruct (coordinator (now st)); auto.
  destruct (Coordinator.on_propose _ _ _) as [p' t].
  destruct (t && is_idle p'), (is_first c me); auto using keeps_campaign, keeps_with_coordinator.
  now apply keeps_with_coordinator.
Qed.

Lemma keeps_watch s from v st : keeps s (now st) -> keeps s (now (watch c me from v st)).
Proof.
  intro K. unfold watch. destruct (coordinator (now st)); auto.
  destruct (Coordinator.on_accepted _ _ _ _ _ _) as [p' []]; unfold broadcast_to_acceptors; cbn;
    rewrite ?now_broadcast; now apply keeps_with_coordinator.
Qed.

Lemma keeps_dispatch from m s st : keeps s (now st) -> keeps s (now (dispatch c me from m st)).
Proof.
  intro K. destruct m; cbn [dispatch].
  - unfold on_propose. destruct (decided (now st)); auto using keeps_see_to, keeps_vote_for.
  - destruct (acceptor (now st)) eqn:E; auto. destruct (Acceptor.on_prepare _ _).
    eauto using keeps_answer, keeps_with_acceptor.
  - unfold on_promise. destruct (coordinator (now st)); auto.
    destruct (Coordinator.on_promise _ _ _ _ _ _) as [p' r].
    destruct r, (negb _ && _); unfold broadcast_to_acceptors; cbn; rewrite ?now_broadcast;
      now apply keeps_with_coordinator.
  - destruct (acceptor (now st)) eqn:E; auto. destruct (Acceptor.on_any _ _).
    eauto using keeps_answer, keeps_with_acceptor.
  - destruct (acceptor (now st)) eqn:E; auto. destruct (Acceptor.on_accept _ _ _).
    eauto using keeps_answer, keeps_with_acceptor.
  - unfold on_accepted. destruct (learner (now st)) as [l|] eqn:E; auto using keeps_watch.
    destruct (Learner.on_accepted _ _ _ _) as [l' news] eqn:H.
    assert (K' : keeps s (now (with_learner l' st))).
    { eapply keeps_with_learner; eauto. intros w V. unfold Learner.on_accepted in H.
      rewrite V in H. cbn in H. now inversion H; subst. }
    destruct news; auto using keeps_watch. apply keeps_stop. now rewrite now_broadcast.
  - unfold on_nack. destruct (coordinator (now st)); auto.
    destruct (Coordinator.on_nack _ _) as [p' []]; now apply keeps_with_coordinator.
  - unfold on_decided. destruct (learner (now st)) as [l|] eqn:E; auto.
    destruct (Learner.on_decided _ _) as [l' news] eqn:H.
    assert (K' : keeps s (now (with_learner l' st))).
    { eapply keeps_with_learner; eauto. intros w V. unfold Learner.on_decided in H.
      rewrite V in H. cbn in H. now inversion H; subst. }
    destruct news; auto using keeps_stop.
  - destruct (decided (now st)); auto.
Qed.

Lemma keeps_drain n : forall s st, keeps s (now st) -> keeps s (now (drain c me n st)).
Proof.
  induction n as [|n IH]; cbn; auto. intros s st K. destruct (inbox st); auto.
  apply IH. now apply keeps_dispatch.
Qed.

Theorem on_message_keeps s from m : keeps s (now (on_message c me s from m)).
Proof. apply keeps_drain, keeps_dispatch, keeps_self. Qed.

Theorem on_timer_keeps s t : keeps s (now (on_timer c me s t)).
Proof.
  apply keeps_drain. destruct (is_some _); [apply keeps_self|].
  destruct t; [apply keeps_campaign|apply keeps_ask_decision]; apply keeps_self.
Qed.

(** Every process plays the roles that the cluster gives it. *)
Definition plays (s : state) : Prop :=
  is_some (acceptor s) = is_acceptor c me /\ is_some (learner s) = is_in_decision_audience c me.

Lemma plays_start d : plays (start_state c me d).
Proof.
  split; cbn.
  - destruct (is_acceptor c me); auto. now destruct (bind d saved_acceptor).
  - now destruct (is_in_decision_audience c me).
Qed.

Lemma plays_keeps s s' : plays s -> keeps s s' -> plays s'.
Proof. intros [A L] [A' L' _]. split; congruence. Qed.

Lemma now_on_start d : now (on_start c me d) = start_state c me d.
Proof.
  unfold on_start. destruct (_ && _); auto.
  assert (E : now (ask_decision c me (begin (start_state c me d))) = start_state c me d).
  { unfold ask_decision. cases; cbn; now rewrite now_broadcast. }
  destruct (match _ with Some _ => _ | None => _ end); exact E.
Qed.

Theorem on_start_keeps s : plays s -> keeps s (now (on_start c me (Some (durable_of s)))).
Proof.
  intros [A L]. rewrite now_on_start.
  destruct (plays_start (Some (durable_of s))) as [A' L'].
  constructor; try congruence. intros v V.
  unfold decided at 1, start_state. cbn [learner]. rewrite <- L.
  destruct (learner s) eqn:E; [exact V|]. unfold decided in V. now rewrite E in V.
Qed.

End Keeps.
