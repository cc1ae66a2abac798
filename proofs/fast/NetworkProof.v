(** * The handlers refine the general system

    As for Basic Paxos: every step of a process is a number of steps of [Core], or of
    none. Here Fast Paxos is slot 0 of [Core]; its vote in a fast ballot is two steps, the
    vote and a promise of the ballot that resolves it. *)

From Coq Require Import NArith Arith List Lia Bool.
From Synod Require Import Vocabulary Quorum.
From Synod Require Core CoreProof Fast.
From Synod.fast Require Import Rounds Protocol Poll Node NodeProof Network.
From Synod.fast Require Acceptor Coordinator Learner.
Import ListNotations.
Open Scope N_scope.

Section Refinement.
Variable c : cluster.
Hypothesis cluster_sound : sound c.
Lemma law : is_lawful (quorums c) = true.
Proof. apply cluster_sound. Qed.
Notation rounds := (fast_rounds c).
Lemma fast_is b : Quorum.is_fast (quorums c) (up b) = is_fast rounds b.
Proof. apply cluster_sound. Qed.

Notation S := (setting (quorums c)).
Notation abstract := (Core.state S).
Notation event := (Core.event S).

(** ** The map from one level to the other *)

Definition up_vote (v : option vote) : option (N * N) :=
  option_map (fun v => (up (fst v), snd v)) v.

Definition told (s : abstract) (m : Core.message S) : Prop := Core.sent s m.
Definition promise (a : N) (b : ballot) (v : option vote) : Core.message S :=
  Core.Promise (S := S) a (up b) 0 (up_vote v).
Definition accept (b : ballot) (v : N) : Core.message S := Core.Accept (S := S) 0 (up b) v.
Definition any (b : ballot) : Core.message S := Core.AcceptAny (S := S) 0 (up b).
Definition accepted (a : N) (b : ballot) (v : N) : Core.message S :=
  Core.Accepted (S := S) a 0 (up b) v.
Definition propose (v : N) : Core.message S := Core.Propose (S := S) v.
Definition is_chosen (s : abstract) (v : N) : Prop := exists b, Core.chosen S s 0 (up b) v.

(** What a message from [a] says of the abstract state. A vote in a fast ballot is a
    promise of the ballot that resolves it. *)
Definition means (s : abstract) (a : N) (m : message) : Prop :=
  match m with
  | Propose v => told s (propose v)
  | Promise b v => told s (promise a b v)
  | Any b => told s (any b)
  | Accept v => told s (accept (fst v) (snd v))
  | Accepted v => told s (accepted a (fst v) (snd v)) /\
      forall r, recovery rounds (fst v) = Some r -> told s (promise a r (Some v))
  | Decided v => is_chosen s v
  | Prepare _ | Nack _ | Ask => True
  end.

(** How an acceptor's state stands to the abstract state. *)
Definition fits_acceptor (s : abstract) (me : N) (a : Acceptor.acceptor) : Prop :=
  Core.promised s me = rank (Acceptor.promised a) /\
  Core.votes s me 0 = up_vote (Acceptor.vote a) /\
  (Acceptor.is_open a = true -> forall b, Acceptor.promised a = Some b -> told s (any b)) /\
  (forall v r, Acceptor.vote a = Some v -> recovery rounds (fst v) = Some r ->
     rank (Some r) <= rank (Acceptor.promised a)).

(** Something was put to the vote in [b], or it was opened. *)
Definition is_used (s : abstract) (b : ballot) : Prop :=
  (exists v, told s (accept b v)) \/ told s (any b).

(** A coordinator never uses a ballot twice: it has used none above its current one, and
    not that either while it waits for promises. *)
Definition is_unused (s : abstract) (me : N) (p : Coordinator.coordinator) : Prop :=
  forall b, node b = me -> is_used s b ->
  up b <= rank (Coordinator.current p) /\
  (Coordinator.current p = Some b ->
   match Coordinator.progress p with Coordinator.Preparing _ _ => False | _ => True end).

(** Each value has one entry, with a voter; and what a poll says of each voter is so. *)
Definition is_tidy (p : poll) : Prop :=
  NoDup (map fst (votes p)) /\
  (forall w l, In (w, l) (votes p) -> exists a, contains l a = true) /\
  (polled p <> None -> votes p <> []).
Definition polls (p : poll) (holds : ballot -> N -> N -> Prop) : Prop :=
  forall w l, In (w, l) (votes p) -> exists k, polled p = Some k /\
  forall a, contains l a = true -> holds k w a.
Definition has_entry (p : poll) (w a : N) : Prop :=
  exists l, In (w, l) (votes p) /\ contains l a = true.

(** What it has collected was promised, and the poll is of the highest ballot reported. *)
Definition is_collected (s : abstract) (b : ballot) (promises : set) (p : poll) : Prop :=
  is_tidy p /\
  polls p (fun k w a => contains promises a = true /\ told s (promise a b (Some (k, w)))) /\
  forall a, contains promises a = true -> exists v, told s (promise a b v) /\
    rank (ballot_of_vote v) <= rank (polled p) /\
    forall k w, v = Some (k, w) -> polled p = Some k -> has_entry p w a.

(** Who was seen to vote has promised the ballot that resolves the one that is watched. *)
Definition is_watched (s : abstract) (b : ballot) (p : poll) : Prop :=
  is_tidy p /\
  polls p (fun k w a => k = b /\
    forall r, recovery rounds b = Some r -> told s (promise a r (Some (b, w)))).

Definition fits_coordinator (s : abstract) (me : N) (p : Coordinator.coordinator) : Prop :=
  is_unused s me p /\
  (forall client v, Coordinator.request p = Some (client, v) -> told s (propose v)) /\
  match Coordinator.progress p with
  | Coordinator.Preparing promises poll =>
      exists b, Coordinator.current p = Some b /\ node b = me /\ is_collected s b promises poll
  | Coordinator.Watching poll =>
      exists b, Coordinator.current p = Some b /\ node b = me /\ is_watched s b poll
  | _ => True
  end.

Definition fits_learner (s : abstract) (l : Learner.learner) : Prop :=
  polls (Learner.followed l) (fun k w a => told s (accepted a k w)) /\
  (forall v, Learner.decided l = Some v -> is_chosen s v).

Definition fits (s : abstract) (me : N) (st : state) : Prop :=
  match acceptor st with
  | Some a => fits_acceptor s me a
  | None => is_acceptor c me = false
  end /\
  match coordinator st with
  | Some p => fits_coordinator s me p
  | None => is_in (coordinators c) me = false
  end /\
  match learner st with
  | Some l => fits_learner s l
  | None => True
  end.

(** ** Steps of the general system that a process takes *)

(** The events that are [me]'s to cause: as an acceptor, and as a coordinator. *)
Definition is_vote_event (me : N) (e : event) : Prop :=
  match e with
  | Core.Phase1b a _ _ => a = me
  | Core.Phase2b a _ _ _ => a = me
  | _ => False
  end.
Definition own (me : N) (e : event) : Prop :=
  match e with
  | Core.Phase2a i b _ _ => i = 0 /\ exists b', b = up b' /\ node b' = me
  | Core.Phase2aAny i b _ => i = 0 /\ exists b', b = up b' /\ node b' = me
  | e => is_vote_event me e
  end.

Inductive steps (may : event -> Prop) (s : abstract) : abstract -> Prop :=
| no_step : steps may s s
| one_more s' e : steps may s s' -> Core.guard S s' e -> may e -> steps may s (Core.apply S s' e).
Notation moves me := (steps (own me)).
Notation voting me := (steps (is_vote_event me)).

Lemma moves_one (may : event -> Prop) s e :
  Core.guard S s e -> may e -> steps may s (Core.apply S s e).
Proof. intros G O. apply one_more; auto using no_step. Qed.

Lemma moves_trans (may : event -> Prop) s s' s'' :
  steps may s s' -> steps may s' s'' -> steps may s s''.
Proof. intros A B. induction B; auto using one_more. Qed.

Lemma voting_moves me s s' : voting me s s' -> moves me s s'.
Proof.
  intro V. induction V as [|s' e V IH G O]; auto using no_step.
  apply one_more; auto. destruct e; cbn in *; auto; contradiction.
Qed.

Ltac open := unfold told, promise, accept, any, accepted, propose in *.
Ltac events := cbn in *; unfold Core.send, Core.send_promise, Core.update, Core.update_slot in *;
  cbn in *.

Definition grows (s s' : abstract) : Prop := forall m, told s m -> told s' m.

Lemma moves_grow (may : event -> Prop) s s' : steps may s s' -> grows s s'.
Proof.
  intros M m T. induction M as [|s' e M IH G O]; auto. open. destruct e; events; auto.
Qed.

Definition valid (s : abstract) : Prop := Core.reachable S s.

Lemma moves_valid (may : event -> Prop) s s' : steps may s s' -> valid s -> valid s'.
Proof. intros M V. induction M as [|s' e M IH G O]; auto. now constructor. Qed.

Lemma chosen_stays s s' v : grows s s' -> is_chosen s v -> is_chosen s' v.
Proof.
  intros M [b (R & HR & V)]. exists b, R. split; auto. intros a Ra.
  apply M. exact (V a Ra).
Qed.

Lemma means_stays s s' a m : grows s s' -> means s a m -> means s' a m.
Proof.
  intros M. destruct m; cbn; auto.
  - intros [T P]. split; auto.
  - eauto using chosen_stays.
Qed.

(** Other processes' steps leave a process alone. *)
Lemma fits_acceptor_frame me x s s' a : moves me s s' -> x <> me ->
  fits_acceptor s x a -> fits_acceptor s' x a.
Proof.
  intros M NE F. pose proof (moves_grow _ _ _ M) as Gr. destruct F as (P & V & O & R).
  split; [|split; [|split; [|exact R]]].
  - rewrite <- P. clear -M NE. induction M as [|s' e M IH G O]; auto. rewrite <- IH.
    destruct e; cbn in O; try contradiction; subst; events; auto; now destruct (N.eq_dec x me).
  - rewrite <- V. clear -M NE. induction M as [|s' e M IH G O]; auto. rewrite <- IH.
    destruct e; cbn in O; try contradiction; subst; events; auto; now destruct (N.eq_dec x me).
  - intros Op b E. apply Gr. auto.
Qed.

Lemma is_used_frame me x s s' b : moves me s s' -> x <> me -> node b = x ->
  is_used s' b -> is_used s b.
Proof.
  intros M NE Hb. induction M as [|s' e M IH G O]; auto. intro T. apply IH.
  unfold is_used in *. open. destruct e; cbn in O; try contradiction; events.
  - destruct T as [[v [T|(? & _ & ?)]]|[T|(? & _ & ?)]]; try discriminate; eauto.
  - destruct T as [[w [T|T]]|[T|T]]; try discriminate; eauto. exfalso.
    inversion T; subst. destruct O as [_ (b' & E & N)]. unfold up in E. cbn in E.
    assert (b = b') by lia. congruence.
  - destruct T as [[w [T|T]]|[T|T]]; try discriminate; eauto. exfalso.
    inversion T; subst. destruct O as [_ (b' & E & N)]. unfold up in E. cbn in E.
    assert (b = b') by lia. congruence.
  - destruct T as [[w [T|T]]|[T|T]]; try discriminate; eauto.
Qed.

Lemma is_unused_frame me x s s' p : moves me s s' -> x <> me ->
  is_unused s x p -> is_unused s' x p.
Proof. intros M NE U b Hb T. apply (U b Hb). eapply is_used_frame; eauto. Qed.

Lemma polls_stays p (f g : ballot -> N -> N -> Prop) :
  (forall k w a, f k w a -> g k w a) -> polls p f -> polls p g.
Proof. intros H P w l E. destruct (P w l E) as (k & K & A). exists k. eauto. Qed.

Lemma is_collected_stays s s' b promises p : grows s s' ->
  is_collected s b promises p -> is_collected s' b promises p.
Proof.
  intros M (T & P & A). split; [exact T|]. split.
  - eapply polls_stays; [|exact P]. cbn. intros k w a [? ?]. auto.
  - intros a Ha. destruct (A a Ha) as (v & ? & ? & ?). eauto.
Qed.

Lemma is_watched_stays s s' b p : grows s s' -> is_watched s b p -> is_watched s' b p.
Proof.
  intros M (T & P). split; [exact T|]. eapply polls_stays; [|exact P]. cbn.
  intros k w a [? ?]. auto.
Qed.

Lemma fits_coordinator_stays x s s' p : grows s s' ->
  is_unused s' x p -> fits_coordinator s x p -> fits_coordinator s' x p.
Proof.
  intros M U' (U & R & P). split; [exact U'|]. split; [eauto|].
  destruct (Coordinator.progress p); auto; destruct P as (b & ? & ? & ?);
    eauto using is_collected_stays, is_watched_stays.
Qed.

Lemma fits_learner_stays s s' l : grows s s' -> fits_learner s l -> fits_learner s' l.
Proof.
  intros M [A B]. split; [|eauto using chosen_stays].
  eapply polls_stays; [|exact A]. cbn. auto.
Qed.

Lemma fits_frame me x s s' st : moves me s s' -> x <> me -> fits s x st -> fits s' x st.
Proof.
  intros M NE (A & P & L). repeat split.
  - destruct (acceptor st); auto. eauto using fits_acceptor_frame.
  - destruct (coordinator st) as [p|]; auto. eapply fits_coordinator_stays; eauto using moves_grow.
    eapply is_unused_frame; eauto. apply P.
  - destruct (learner st); auto. eauto using fits_learner_stays, moves_grow.
Qed.

(** Nor does a process speak for others, or for clients. *)
Lemma moves_accepted me x s s' b v : moves me s s' -> x <> me ->
  told s' (accepted x b v) -> told s (accepted x b v).
Proof.
  intros M NE. induction M as [|s' e M IH G O]; auto. intro T. apply IH. open.
  destruct e; cbn in O; try contradiction; events.
  - destruct T as [?|(? & _ & ?)]; [auto|discriminate].
  - destruct T as [?|?]; [auto|discriminate].
  - destruct T as [?|?]; [auto|discriminate].
  - destruct T as [?|T]; [auto|]. inversion T. congruence.
Qed.

Lemma moves_propose me s s' v : moves me s s' -> told s' (propose v) -> told s (propose v).
Proof.
  intros M. induction M as [|s' e M IH G O]; auto. intro T. apply IH. open.
  destruct e; cbn in O; try contradiction; events.
  - destruct T as [?|(? & _ & ?)]; [auto|discriminate].
  - destruct T as [?|?]; [auto|discriminate].
  - destruct T as [?|?]; [auto|discriminate].
  - destruct T as [?|?]; [auto|discriminate].
Qed.

(** ** The acceptor *)

(** An answer is true, and no vote is kept from it. *)
Definition speaks_for (s s' : abstract) (me : N) (m : option message) : Prop :=
  (forall m', m = Some m' -> means s' me m') /\
  (forall b v, told s' (accepted me b v) ->
     told s (accepted me b v) \/ m = Some (Accepted (b, v))).

(** An acceptor's own steps leave the coordinator beside it alone. *)
Lemma is_unused_beside me x s s' p : voting me s s' -> is_unused s x p -> is_unused s' x p.
Proof.
  intros V U b Hb T. apply (U b Hb). clear -V T. induction V as [|s' e V IH G O]; auto.
  apply IH. unfold is_used in *. open. destruct e; cbn in O; try contradiction; events.
  - destruct T as [[w [T|(? & _ & ?)]]|[T|(? & _ & ?)]]; try discriminate; eauto.
  - destruct T as [[w [T|T]]|[T|T]]; try discriminate; eauto.
Qed.

Lemma invariant s : valid s -> CoreProof.Invariant S s.
Proof. intro R. apply CoreProof.invariant; [apply checked_is_lawful, law|exact R]. Qed.

Lemma refusal_means s me a b m : Acceptor.refusal_of a b = Some m -> means s me m.
Proof.
  unfold Acceptor.refusal_of. destruct (Acceptor.promised a); [|discriminate].
  destruct (_ =? _); [discriminate|]. now inversion 1.
Qed.

(** To promise a higher ballot is one step, whether anybody is told or not. *)
Lemma promise_ok s me a b o : fits_acceptor s me a -> rank (Acceptor.promised a) < rank (Some b) ->
  (o = true -> told s (any b)) ->
  exists s', voting me s s' /\
    fits_acceptor s' me {| Acceptor.promised := Some b; Acceptor.is_open := o;
      Acceptor.vote := Acceptor.vote a |} /\
    told s' (promise me b (Acceptor.vote a)) /\
    (forall b' v, told s' (accepted me b' v) -> told s (accepted me b' v)).
Proof.
  intros (P & Q & _ & R) L Op. set (e := Core.Phase1b (S := S) me (up b) 0).
  exists (Core.apply S s e). split; [|split; [split; [|split; [|split]]|split]].
  - apply moves_one; [|reflexivity]. cbn. rewrite P. exact L.
  - events. now destruct (N.eq_dec me me).
  - exact Q.
  - cbn. intros Ho b' [= <-]. left. exact (Op Ho).
  - cbn. intros v r Hv Hr. specialize (R v r Hv Hr). cbn in *. lia.
  - open. right. exists 0. split; [lia|]. now rewrite Q.
  - intros b' v T. open. events. destruct T as [?|(? & _ & ?)]; [auto|discriminate].
Qed.

Lemma on_prepare_ok s me a b a' m : valid s -> fits_acceptor s me a ->
  Acceptor.on_prepare a b = (a', m) ->
  exists s', voting me s s' /\ fits_acceptor s' me a' /\ speaks_for s s' me m.
Proof.
  intros V F. unfold Acceptor.on_prepare.
  destruct (N.leb_spec (rank (Some b)) (rank (Acceptor.promised a))); intro E; inversion E; subst.
  - exists s. split; [apply no_step|]. split; [exact F|].
    split; [intros m'; apply refusal_means|auto].
  - destruct (promise_ok s me a b false F H) as (s' & Vo & F' & T & K); [discriminate|].
    exists s'. split; auto. split; auto. split; [intros m' [= <-]; exact T|auto].
Qed.

Lemma on_any_ok s me a b a' m : valid s -> fits_acceptor s me a -> told s (any b) ->
  Acceptor.on_any a b = (a', m) ->
  exists s', voting me s s' /\ fits_acceptor s' me a' /\ speaks_for s s' me m.
Proof.
  intros V F T. unfold Acceptor.on_any.
  destruct (N.ltb_spec (rank (Some b)) (rank (Acceptor.promised a))) as [L|L];
    intro E; inversion E; subst.
  - exists s. split; [apply no_step|]. split; [exact F|].
    split; [intros m'; apply refusal_means|auto].
  - destruct (N.eq_dec (rank (Acceptor.promised a)) (rank (Some b))) as [Eq|NE].
    + apply rank_injective in Eq. exists s. split; [apply no_step|].
      split; [|split; [discriminate|auto]].
      destruct F as (P & Q & _ & R). rewrite Eq in *. split; [exact P|]. split; [exact Q|].
      split; [|exact R]. cbn. now intros _ b' [= <-].
    + destruct (promise_ok s me a b true F) as (s' & Vo & F' & _ & K); [lia|auto|].
      exists s'. split; auto. split; auto. split; [discriminate|auto].
Qed.

(** A vote; in a fast ballot, a promise follows. *)
Lemma cast_ok s me a b v a' m : valid s -> fits_acceptor s me a ->
  Core.guard S s (Core.Phase2b (S := S) me 0 (up b) v) ->
  Acceptor.cast a (b, v) rounds = (a', m) ->
  exists s', voting me s s' /\ fits_acceptor s' me a' /\ speaks_for s s' me m.
Proof.
  intros V F G E. unfold Acceptor.cast in E. cbn [fst snd] in E.
  set (e := Core.Phase2b (S := S) me 0 (up b) v) in *.
  assert (Vo : voting me s (Core.apply S s e)) by (apply moves_one; [exact G|reflexivity]).
  assert (New : forall b' v', told (Core.apply S s e) (accepted me b' v') ->
    told s (accepted me b' v') \/ (b', v') = (b, v)).
  { intros b' v' T. open. events. destruct T as [?|T]; [auto|]. right. inversion T.
    unfold up in *. cbn in *. f_equal. lia. }
  set (a1 := {| Acceptor.promised := Some b; Acceptor.is_open := false;
                Acceptor.vote := Some (b, v) |}).
  assert (Pv : Core.promised (Core.apply S s e) me = rank (Some b) /\
               Core.votes (Core.apply S s e) me 0 = up_vote (Some (b, v))).
  { events. destruct (N.eq_dec me me); [|congruence]. now destruct (N.eq_dec 0 0). }
  assert (Told : told (Core.apply S s e) (accepted me b v)) by (open; now right).
  destruct (recovery rounds b) as [r|] eqn:Er; inversion E; subst a' m; clear E.
  - (* fast: the promise of the ballot that resolves it *)
    pose proof (recovery_above _ _ _ Er) as Ab.
    set (e' := Core.Phase1b (S := S) me (up r) 0).
    exists (Core.apply S (Core.apply S s e) e'). split; [|split; [split; [|split; [|split]]|split]].
    + apply one_more; [exact Vo| |reflexivity].
      change (Core.promised (Core.apply S s e) me < up r). rewrite (proj1 Pv). exact Ab.
    + events. now destruct (N.eq_dec me me).
    + exact (proj2 Pv).
    + discriminate.
    + cbn. intros v' r' [= <-]. cbn. rewrite Er. intros [= <-]. lia.
    + intros m' [= <-]. cbn [means fst snd]. split; [left; exact Told|].
      rewrite Er. intros r' [= <-]. right. exists 0. split; [lia|]. now rewrite (proj2 Pv).
    + intros b' v' T. open. destruct T as [T|(? & _ & ?)]; [|discriminate].
      destruct (New b' v' T) as [?|Eq]; [auto|]. right. congruence.
  - exists (Core.apply S s e). split; [exact Vo|]. split; [split; [|split; [|split]]|split].
    + exact (proj1 Pv).
    + exact (proj2 Pv).
    + discriminate.
    + cbn. intros v' r' [= <-]. cbn. rewrite Er. discriminate.
    + intros m' [= <-]. cbn [means fst snd]. split; [exact Told|]. rewrite Er. discriminate.
    + intros b' v' T. destruct (New b' v' T) as [?|Eq]; [auto|]. right. congruence.
Qed.

(** Its last vote is in no ballot above its promise, nor in that itself if it is fast. *)
Lemma last_vote_below s me a k w b : valid s -> fits_acceptor s me a ->
  Core.votes s me 0 = Some (k, w) -> Core.promised s me <= up b ->
  k < up b \/ k = up b /\ is_fast rounds b = false.
Proof.
  intros V (P & Q & _ & R) E L. pose proof (invariant s V) as I.
  pose proof (CoreProof.vote_sent _ _ I _ _ _ _ E) as W.
  pose proof (CoreProof.vote_kept _ _ I _ _ _ _ W) as K.
  destruct (N.lt_trichotomy k (up b)) as [?|[->|?]]; [auto| |lia]. right. split; auto.
  rewrite Q in E. destruct (Acceptor.vote a) as [[b' w']|] eqn:Ev; [|discriminate].
  cbn in E. inversion E. assert (b' = b) by (unfold up in *; cbn in *; lia). subst b'.
  unfold is_fast. destruct (recovery rounds b) as [r|] eqn:Er; auto. exfalso.
  pose proof (recovery_above _ _ _ Er). specialize (R _ r eq_refl Er).
  unfold up in *. rewrite P in L. lia.
Qed.

Lemma on_accept_ok s me a v a' m : valid s -> fits_acceptor s me a ->
  told s (accept (fst v) (snd v)) -> Acceptor.on_accept a v rounds = (a', m) ->
  exists s', voting me s s' /\ fits_acceptor s' me a' /\ speaks_for s s' me m.
Proof.
  intros V F T. destruct v as [b v]. unfold Acceptor.on_accept. cbn [fst snd] in *.
  destruct (N.ltb_spec (rank (Some b)) (rank (Acceptor.promised a))) as [L|L];
    [|destruct (is_vote (Acceptor.vote a) (b, v)) eqn:Again]; intro E.
  - inversion E; subst. exists s. split; [apply no_step|]. split; [exact F|].
    split; [intros m'; apply refusal_means|auto].
  - inversion E; subst. exists s. split; [apply no_step|]. split; [exact F|].
    split; [discriminate|auto].
  - apply (cast_ok s me a b v a' m V F); [|exact E]. pose proof F as (P & Q & _ & R).
    assert (L' : Core.promised s me <= up b) by (rewrite P; exact L).
    split; [exact L'|]. split; [left; exact T|].
    (* an acceptor votes for one value in a classic ballot, because the ballot has one *)
    destruct (Core.votes s me 0) as [[k w]|] eqn:Ev; auto.
    destruct (last_vote_below s me a k w b V F Ev L') as [?|[-> Cl]]; [auto|]. right. split; auto.
    pose proof (invariant s V) as I.
    pose proof (CoreProof.vote_sent _ _ I _ _ _ _ Ev) as W.
    destruct (CoreProof.vote_proposed _ _ I _ _ _ _ W) as [B|B].
    + exact (CoreProof.one_value_per_ballot _ _ I _ _ _ _ B T).
    + apply (CoreProof.any_is_fast _ _ I) in B.
      change (Quorum.is_fast (quorums c) (up b) = true) in B. rewrite fast_is in B. congruence.
Qed.

Lemma on_request_ok s me a v a' m : valid s -> fits_acceptor s me a -> told s (propose v) ->
  Acceptor.on_propose a v rounds = (a', m) ->
  exists s', voting me s s' /\ fits_acceptor s' me a' /\ speaks_for s s' me m.
Proof.
  intros V F T. unfold Acceptor.on_propose.
  assert (Same : forall a', a' = a -> exists s', voting me s s' /\ fits_acceptor s' me a' /\
    speaks_for s s' me None).
  { intros ? ->. exists s. split; [apply no_step|]. split; [exact F|]. split; [discriminate|auto]. }
  destruct (Acceptor.promised a) as [b|] eqn:Pb; [|intros [= <- <-]; now apply Same].
  destruct (Acceptor.is_open a) eqn:Op; [|intros [= <- <-]; now apply Same].
  apply cast_ok; auto. pose proof F as (P & Q & O & R).
  assert (L : Core.promised s me <= up b) by (rewrite P, Pb; reflexivity).
  split; [exact L|]. split; [right; split; [exact (O Op b Pb)|exact T]|].
  destruct (Core.votes s me 0) as [[k w]|] eqn:Ev; auto.
  destruct (last_vote_below s me a k w b V F Ev L) as [?|[_ Cl]]; [auto|]. exfalso.
  pose proof (CoreProof.any_is_fast _ _ (invariant s V) _ _ (O Op b Pb)) as Fa.
  change (Quorum.is_fast (quorums c) (up b) = true) in Fa. rewrite fast_is in Fa. congruence.
Qed.

(** ** Polls *)

Lemma in_note from v L w l : In (w, l) (note from v L) ->
  In (w, l) L \/
  w = v /\ ((exists l0, In (v, l0) L /\ l = insert l0 from) \/ l = insert 0 from).
Proof.
  induction L as [|[u m] L IH]; cbn.
  - intros [[= <- <-]|[]]. auto.
  - destruct (N.eqb_spec u v) as [->|NE].
    + intros [[= <- <-]|H]; [|auto]. right. split; auto. left. exists m. auto.
    + intros [[= <- <-]|H]; [auto|]. destruct (IH H) as [?|(-> & [(l0 & ? & ->)| ->])]; eauto 8.
Qed.

Lemma note_has from v L : exists l, In (v, l) (note from v L) /\ contains l from = true.
Proof.
  assert (Self : forall m, contains (insert m from) from = true)
    by (intro m; now rewrite contains_insert, N.eqb_refl).
  induction L as [|[u m] L (l & H & C)]; cbn; [exists (insert 0 from); auto|].
  destruct (N.eqb_spec u v) as [->|NE]; [exists (insert m from)|exists l]; cbn; auto.
Qed.

Lemma note_keeps from v L w l a : In (w, l) L -> contains l a = true ->
  exists l', In (w, l') (note from v L) /\ contains l' a = true.
Proof.
  induction L as [|[u m] L IH]; cbn; [contradiction|]. intros [[= <- <-]|H] C.
  - destruct (N.eqb_spec u v); [exists (insert m from)|exists m]; cbn; split; auto.
    now rewrite contains_insert, C, orb_true_r.
  - destruct (N.eqb_spec u v); [exists l; cbn; auto|]. destruct (IH H C) as (l' & ? & ?).
    exists l'. cbn. auto.
Qed.

Lemma note_values from v L w : In w (map fst (note from v L)) -> w = v \/ In w (map fst L).
Proof.
  intro H. apply in_map_iff in H as ([u l] & <- & H). apply in_note in H as [H|[-> _]]; auto.
  right. now apply (in_map fst) in H.
Qed.

Lemma note_distinct from v L : NoDup (map fst L) -> NoDup (map fst (note from v L)).
Proof.
  induction L as [|[u m] L IH]; cbn; intro D; [repeat constructor; auto|].
  inversion D as [|? ? N D']; subst. destruct (N.eqb_spec u v) as [->|NE]; [exact D|].
  cbn. constructor; auto. intro H. apply note_values in H as [->|H]; auto.
Qed.

Lemma hear_cases p from v :
  rank (Some (fst v)) < rank (polled p) /\ hear p from v = p \/
  rank (polled p) < rank (Some (fst v)) /\
    hear p from v = Poll (Some (fst v)) (note from (snd v) []) \/
  polled p = Some (fst v) /\ hear p from v = Poll (Some (fst v)) (note from (snd v) (votes p)).
Proof.
  unfold hear. destruct (N.ltb_spec (rank (Some (fst v))) (rank (polled p))); [auto|].
  destruct (N.ltb_spec (rank (polled p)) (rank (Some (fst v)))); [auto|].
  right. right. split; auto. apply rank_injective. lia.
Qed.

Lemma hear_rises p from v : rank (polled p) <= rank (polled (hear p from v)).
Proof.
  destruct (hear_cases p from v) as [[L ->]|[[L ->]|[E ->]]]; [lia|cbn in *; lia|now rewrite E].
Qed.

Lemma hear_reaches p from v : rank (Some (fst v)) <= rank (polled (hear p from v)).
Proof. destruct (hear_cases p from v) as [[L ->]|[[L ->]|[E ->]]]; cbn in *; lia. Qed.

Lemma hear_has p from v : polled (hear p from v) = Some (fst v) ->
  has_entry (hear p from v) (snd v) from.
Proof.
  destruct (hear_cases p from v) as [[L ->]|[[L ->]|[E ->]]]; intro H.
  - rewrite H in L. lia.
  - apply note_has.
  - apply note_has.
Qed.

Lemma hear_keeps p from v w a : polled p = polled (hear p from v) -> has_entry p w a ->
  has_entry (hear p from v) w a.
Proof.
  intros E (l & H & C). destruct (hear_cases p from v) as [[L Eq]|[[L Eq]|[K Eq]]]; rewrite Eq in *.
  - exists l. auto.
  - cbn in E. rewrite E in L. lia.
  - cbn. eapply note_keeps; eauto.
Qed.

Lemma hear_tidy p from v : is_tidy p -> is_tidy (hear p from v).
Proof.
  assert (Full : forall L, note from (snd v) L <> []).
  { intros L E. destruct (note_has from (snd v) L) as (l & H & _). now rewrite E in H. }
  assert (Own : forall m, exists a, contains (insert m from) a = true).
  { intro m. exists from. now rewrite contains_insert, N.eqb_refl. }
  intros (D & A & F). destruct (hear_cases p from v) as [[L ->]|[[L ->]|[E ->]]].
  - split; auto.
  - split; [cbn; repeat constructor; auto|]. split; [|intros _; apply Full].
    intros w l [[= <- <-]|[]]. apply (Own 0).
  - split; [now apply note_distinct|]. split; [|intros _; apply Full].
    intros w l H. apply in_note in H as [H|(-> & [(l0 & H & ->)| ->])]; eauto.
Qed.

Lemma hear_polls p from v (f : ballot -> N -> N -> Prop) :
  polls p f -> f (fst v) (snd v) from -> polls (hear p from v) f.
Proof.
  intros P T. assert (One : forall a, contains (insert 0 from) a = true -> f (fst v) (snd v) a).
  { intros a C. rewrite contains_insert, contains_empty, orb_false_r in C.
    apply N.eqb_eq in C. now subst. }
  destruct (hear_cases p from v) as [[L ->]|[[L ->]|[E ->]]]; auto; intros w l H; cbn in *.
  - destruct H as [[= <- <-]|[]]. exists (fst v). auto.
  - exists (fst v). split; auto. apply in_note in H as [H|(-> & [(l0 & H & ->)| ->])]; auto.
    + destruct (P w l H) as (k & K & A). rewrite E in K. inversion K. subst k. auto.
    + destruct (P _ l0 H) as (k & K & A). rewrite E in K. inversion K. subst k.
      intros a C. rewrite contains_insert in C. destruct (N.eqb_spec from a); [now subst|auto].
Qed.

(** A promise more, and the poll is of the highest ballot still. *)
Lemma collect s b promises p from v : is_collected s b promises p ->
  told s (promise from b v) ->
  is_collected s b (insert promises from)
    (match v with Some v => hear p from v | None => p end).
Proof.
  intros (Ti & P & A) T.
  assert (More : forall a, contains promises a = true -> contains (insert promises from) a = true)
    by (intros a H; now rewrite contains_insert, H, orb_true_r).
  assert (P' : polls p (fun k w a => contains (insert promises from) a = true /\
                                     told s (promise a b (Some (k, w)))))
    by (eapply polls_stays; [|exact P]; cbn; intros k w a [? ?]; auto).
  assert (Self : contains (insert promises from) from = true)
    by now rewrite contains_insert, N.eqb_refl.
  assert (Old : forall a, contains (insert promises from) a = true ->
    a = from \/ contains promises a = true).
  { intros a H. rewrite contains_insert in H. destruct (N.eqb_spec from a); auto. }
  destruct v as [v|].
  - split; [now apply hear_tidy|]. split.
    + apply hear_polls; auto.
    + intros a Ha. destruct (Old a Ha) as [->|Hp].
      * exists (Some v). split; [exact T|]. split; [apply hear_reaches|].
        intros k w [= ->] E. exact (hear_has p from (k, w) E).
      * destruct (A a Hp) as (o & To & L & En). pose proof (hear_rises p from v). exists o.
        split; auto. split; [lia|]. intros k w -> E. apply hear_keeps.
        -- apply rank_injective. cbn in L. rewrite E in *. cbn in *. lia.
        -- apply (En k w eq_refl). apply rank_injective. cbn in L. rewrite E in *. cbn in *. lia.
  - split; auto. split; auto. intros a Ha. destruct (Old a Ha) as [->|Hp]; auto.
    exists None. split; [exact T|]. split; [cbn; lia|discriminate].
Qed.

Lemma in_voters p a : contains (voters p) a = true ->
  exists w l, In (w, l) (votes p) /\ contains l a = true.
Proof.
  unfold voters. induction (votes p) as [|[w l] L IH]; cbn [fold_right snd].
  - rewrite contains_empty. discriminate.
  - unfold contains at 1. rewrite N.lor_spec, orb_true_iff. intros [H|H].
    + exists w, l. split; [now left|exact H].
    + destruct (IH H) as (w' & l' & ? & ?). exists w', l'. split; [now right|auto].
Qed.

Lemma voters_in p w l a : In (w, l) (votes p) -> contains l a = true ->
  contains (voters p) a = true.
Proof.
  unfold voters. induction (votes p) as [|[u m] L IH]; cbn [fold_right snd In]; [contradiction|].
  unfold contains at 2. rewrite N.lor_spec, orb_true_iff. intros [[= <- <-]|H] C; auto.
Qed.

(** Votes that were watched are promises of the ballot that resolves them. *)
Lemma watched_collected s b p r : is_watched s b p -> recovery rounds b = Some r ->
  is_collected s r (voters p) p.
Proof.
  intros (Ti & P) Er. split; [exact Ti|]. split.
  - intros w l H. destruct (P w l H) as (k & K & A). exists k. split; auto. intros a C.
    destruct (A a C) as [-> T]. split; [eapply voters_in; eauto|auto].
  - intros a C. destruct (in_voters p a C) as (w & l & H & Ca).
    destruct (P w l H) as (k & K & A). destruct (A a Ca) as [-> T].
    exists (Some (b, w)). split; [auto|]. split; [rewrite K; cbn; lia|].
    intros k' w' [= <- <-] _. exists l. auto.
Qed.

Lemma default_tidy : is_tidy default.
Proof. split; [constructor|]. split; [contradiction|]. cbn. congruence. Qed.

(** ** The coordinator *)

Lemma restart_ok s me p : fits_coordinator s me p ->
  fits_coordinator s me (Coordinator.restart (Coordinator.current p)).
Proof.
  intros (U & _ & _). split; [|split; [discriminate|exact I]].
  intros b Hb T. split; [|exact (fun _ => I)]. now apply (U b).
Qed.

Lemma on_propose_ok s me p client v p' t : fits_coordinator s me p -> told s (propose v) ->
  Coordinator.on_propose p client v = (p', t) -> fits_coordinator s me p'.
Proof.
  intros (U & R & P) T. unfold Coordinator.on_propose.
  destruct (Coordinator.request p) eqn:E; intros [= <- <-]; (split; [exact U|split; [|exact P]]).
  - rewrite E. exact R.
  - cbn. intros ? ? [= -> ->]. exact T.
Qed.

Lemma prepare_ok s me p heard last p' m : me < width -> fits_coordinator s me p ->
  Coordinator.prepare p me heard rounds last = (p', m) ->
  fits_coordinator s me p' /\ (forall m', m = Some m' -> means s me m').
Proof.
  intros W (U & R & P). unfold Coordinator.prepare.
  set (outbid := match Coordinator.progress p with
    | Coordinator.Preempted b => Some b
    | _ => None
    end).
  set (used := max (Coordinator.current p) _).
  set (seen := max (max used outbid) heard).
  assert (Above : rank (Coordinator.current p) < rank (Some (above seen me))).
  { pose proof (above_is_above seen me).
    assert (rank (Coordinator.current p) <= rank seen)
      by (unfold seen, used; rewrite !rank_max; lia). lia. }
  destruct (last <? _); intros [= <- <-]; [split; [exact (conj U (conj R P))|discriminate]|].
  split; [|intros m' [= <-]; exact I]. split; [|split; [exact R|]].
  - (* a new ballot: nothing was proposed in it *)
    intros b Hb T. destruct (U b Hb T) as [L _]. cbn in *. split; [lia|].
    intros [= E]. unfold up in L. cbn in L. lia.
  - exists (above seen me). split; [reflexivity|]. split; [now apply node_above|].
    split; [apply default_tidy|]. split; [intros ? ? []|]. intros a Ha. discriminate Ha.
Qed.

Lemma on_nack_ok s me p b p' t : fits_coordinator s me p -> Coordinator.on_nack p b = (p', t) ->
  fits_coordinator s me p'.
Proof.
  intros F. unfold Coordinator.on_nack. pose proof F as (U & R & _).
  destruct (_ && _); intros [= <- <-]; auto. split; [|split; [exact R|exact I]].
  intros b' Hb T. split; [|exact (fun _ => I)]. now apply (U b').
Qed.

Lemma retire_ok s me p p' t : fits_coordinator s me p -> Coordinator.retire p = (p', t) ->
  fits_coordinator s me p'.
Proof.
  intros (U & _ & _) [= <- <-]. split; [|split; [discriminate|exact I]].
  intros b Hb T. split; [|exact (fun _ => I)]. now apply (U b).
Qed.

Section Collected.
Variable s : abstract.
Hypothesis is_valid : valid s.
Variable b : ballot.
Variable promises : set.
Variable p : poll.
Hypothesis collected : is_collected s b promises p.
Hypothesis is_quorum : is_phase1 (quorums c) promises = true.
Notation Q := (fun a => contains promises a = true).

Lemma quorum_answered : Core.answered S s Q 0 (up b).
Proof.
  destruct collected as (_ & _ & A). split.
  - exists (intersection promises (acceptors (quorums c))). split; [|split; [exact is_quorum|]].
    + apply is_subset_spec. intro a. rewrite contains_intersection.
      destruct (contains promises a); [auto|discriminate].
    + intro a. rewrite contains_intersection. destruct (contains promises a); auto.
  - intros a Ha. destruct (A a Ha) as (w & T & _). exists (up_vote w). exact T.
Qed.

(** One report per acceptor: what it reported is what was collected. *)
Lemma reports a o : contains promises a = true ->
  Core.sent s (Core.Promise (S := S) a (up b) 0 o) ->
  exists v, o = up_vote v /\ rank (ballot_of_vote v) <= rank (polled p) /\
    forall k w, v = Some (k, w) -> polled p = Some k -> has_entry p w a.
Proof.
  destruct collected as (_ & _ & A). intros Ha T. destruct (A a Ha) as (v & T' & L & En).
  exists v. split; auto. exact (CoreProof.one_report _ _ (invariant s is_valid) _ _ _ _ _ T T').
Qed.

Lemma nothing_picked : pick p promises (quorums c) = None -> Core.unbound S s Q 0 (up b).
Proof.
  intros E a o Ha T. destruct (reports a o Ha T) as (v & -> & L & _).
  destruct collected as ((_ & _ & Full) & _ & _). unfold pick in E.
  destruct (choosable _ _ _); [discriminate|]. destruct (votes p) eqn:Ev; [|discriminate].
  destruct (polled p) eqn:Ep; [now destruct Full|]. destruct v as [[k w]|]; [cbn in L; lia|auto].
Qed.

Lemma is_picked v : pick p promises (quorums c) = Some v -> Core.bound S s Q 0 (up b) v.
Proof.
  intro E. pose proof (invariant s is_valid) as I.
  destruct collected as ((D & Someone & Full) & P & A).
  (* the value has an entry; and either a quorum may be behind it, or behind none *)
  assert (X : exists l, In (v, l) (votes p) /\ exists k, polled p = Some k /\
    (blocks_in (quorums c) k (difference promises l) = false \/
     forall w m, In (w, m) (votes p) ->
       blocks_in (quorums c) k (difference promises m) = true)).
  { unfold pick, choosable in E. destruct (polled p) as [k|] eqn:Ek; cbn in E.
    - destruct (find _ (votes p)) as [[w l]|] eqn:Ef; cbn in E.
      + inversion E; subst w. apply find_some in Ef as [H Ng]. exists l. split; auto.
        exists k. split; auto. left. now apply negb_true_iff in Ng.
      + destruct (votes p) as [|[w l] L] eqn:Ev; [discriminate|]. cbn in E. inversion E; subst w.
        exists l. split; [now left|]. exists k. split; auto. right. intros w m H.
        pose proof (find_none _ _ Ef (w, m) H) as Ng. now apply negb_false_iff in Ng.
    - destruct (votes p) as [|[w l] L] eqn:Ev; [discriminate|]. exfalso.
      destruct (P w l) as (k & K & _); [rewrite Ev; now left|]. rewrite Ek in K. discriminate. }
  destruct X as (l & H & k & K & X).
  assert (Told : forall w m a, In (w, m) (votes p) -> contains m a = true ->
    contains promises a = true /\
    Core.sent s (Core.Promise (S := S) a (up b) 0 (Some (up k, w)))).
  { intros w m a Hm C. destruct (P w m Hm) as (k' & K' & F). rewrite K in K'.
    inversion K'. subst k'. exact (F a C). }
  destruct (Someone v l H) as (a0 & C0). destruct (Told v l a0 H C0) as [Q0 T0].
  exists (up k). split; [exists a0; auto|]. split.
  - intros a k' v' Ha T. destruct (reports a _ Ha T) as ([[k0 v0]|] & Eo & L & _); [|discriminate].
    cbn in Eo. inversion Eo; subst. rewrite K in L. exact L.
  - intros F w NE R HR. change (Quorum.is_fast (quorums c) (up k) = true) in F.
    assert (Unique : forall m m', In (w, m) (votes p) -> In (w, m') (votes p) -> m = m').
    { clear -D. induction (votes p) as [|[u x] L IH]; cbn; [contradiction|]. cbn in D.
      inversion D as [|? ? N D']; subst. intros m m' [[= -> ->]|H] [[= ->]|H']; auto.
      - apply (in_map fst) in H'. contradiction.
      - subst. apply (in_map fst) in H. contradiction. }
    assert (Reported : forall a, contains promises a = true ->
      Core.sent s (Core.Promise (S := S) a (up b) 0 (Some (up k, w))) -> has_entry p w a).
    { intros a Ha T. destruct (reports a _ Ha T) as ([[k0 v0]|] & Eo & _ & En); [|discriminate].
      cbn in Eo. inversion Eo; subst v0. apply (En k0 w eq_refl). rewrite K. f_equal.
      unfold up in *. cbn in *. lia. }
    change (quorum (acceptors (quorums c)) (phase2_of (quorums c) (up k)) R) in HR.
    destruct X as [X|X].
    + (* a quorum may be behind [v]: it meets any other within the phase-1 quorum *)
      unfold blocks_in in X. unfold phase2_of in X, HR. rewrite F in X, HR.
      assert (V : is_sound (acceptors (quorums c)) (phase2_fast (quorums c)) = true).
      { pose proof law as Law. unfold is_lawful in Law.
        repeat (apply andb_true_iff in Law as [Law ?]). auto. }
      destruct (blocks_false _ _ _ V X) as (h & Sub & Met & Out).
      destruct quorum_answered as [HQ _]. cbn in HQ.
      destruct (Fast.meet_pairs_true _ _ _ _ (fun x => contains h x = true) R
        (fast_quorums_meet c cluster_sound) HQ) as (x & Qx & Hx & Rx); [exists h; auto|exact HR|].
      exists x. split; [exact Qx|]. split; [exact Rx|]. intro T.
      specialize (Out x Hx). rewrite contains_difference, Qx in Out. cbn in Out.
      apply negb_false_iff in Out. destruct (Told v l x H Out) as [_ T'].
      pose proof (CoreProof.one_report _ _ I _ _ _ _ _ T T') as Eq. congruence.
    + (* no quorum can be behind any: each has a member that reports otherwise *)
      destruct (in_dec N.eq_dec w (map fst (votes p))) as [Hw|Hw].
      * apply in_map_iff in Hw as ([w' m] & Ew & Hm). cbn in Ew. subst w'.
        destruct (blocks_true _ _ _ _ (X w m Hm) HR) as (x & Cx & Rx).
        rewrite contains_difference in Cx. apply andb_true_iff in Cx as [Qx Mx].
        exists x. split; [exact Qx|]. split; [exact Rx|]. intro T.
        destruct (Reported x Qx T) as (m' & Hm' & Cm'). rewrite (Unique m' m Hm' Hm) in Cm'.
        rewrite Cm' in Mx. discriminate.
      * assert (kb : up k < up b) by exact (proj1 (CoreProof.highest_reported _ _ I _ _ _ _ _ T0)).
        destruct quorum_answered as [HQ _].
        destruct (Core.quorums_meet _ (checked_is_lawful _ law) (up b) (up k) _ _ kb HQ HR)
          as (x & Qx & Rx).
        exists x. split; [exact Qx|]. split; [exact Rx|]. intro T.
        destruct (Reported x Qx T) as (m & Hm & _). apply (in_map fst) in Hm. contradiction.
Qed.

(** What was collected from a quorum lets its ballot go on to phase 2. *)
Lemma proposal_ok v : ~ is_used s b ->
  pick p promises (quorums c) = Some v \/
    pick p promises (quorums c) = None /\ told s (propose v) ->
  Core.guard S s (Core.Phase2a (S := S) 0 (up b) v Q).
Proof.
  intros New H. split; [split|].
  - intros w T. apply New. left. exists w. exact T.
  - intro T. apply New. right. exact T.
  - destruct H as [H|[H T]].
    + right. split; [apply quorum_answered|now apply is_picked].
    + left. split; [exact T|]. right. split; [apply quorum_answered|now apply nothing_picked].
Qed.

Lemma opening_ok : ~ is_used s b -> is_fast rounds b = true ->
  pick p promises (quorums c) = None ->
  Core.guard S s (Core.Phase2aAny (S := S) 0 (up b) Q).
Proof.
  intros New F H. split; [|split; [split|]].
  - change (Quorum.is_fast (quorums c) (up b) = true). now rewrite fast_is.
  - intros w T. apply New. left. exists w. exact T.
  - intro T. apply New. right. exact T.
  - right. split; [apply quorum_answered|now apply nothing_picked].
Qed.

End Collected.

(** The acceptor beside it does not change, and no vote is cast. *)
Definition spares (me : N) (s s' : abstract) : Prop :=
  (forall a, fits_acceptor s me a -> fits_acceptor s' me a) /\
  (forall b v, told s' (accepted me b v) -> told s (accepted me b v)).

Lemma spares_self me s : spares me s s.
Proof. split; auto. Qed.

(** What becomes of a coordinator that puts something to the vote in [b]. *)
Lemma phase2_ok s me p b e p' : is_unused s me p -> node b = me ->
  rank (Coordinator.current p) <= up b -> Core.guard S s e ->
  (exists v Q, e = Core.Phase2a (S := S) 0 (up b) v Q) \/
    (exists Q, e = Core.Phase2aAny (S := S) 0 (up b) Q) ->
  Coordinator.current p' = Some b -> Coordinator.request p' = Coordinator.request p ->
  (forall client v, Coordinator.request p = Some (client, v) -> told s (propose v)) ->
  Coordinator.progress p' = Coordinator.Watching default \/
    (exists v, Coordinator.progress p' = Coordinator.Accepting v) ->
  moves me s (Core.apply S s e) /\ spares me s (Core.apply S s e) /\
  fits_coordinator (Core.apply S s e) me p'.
Proof.
  intros U Own L G Ev Cur Req R Ph.
  assert (Mv : moves me s (Core.apply S s e)).
  { apply moves_one; [exact G|].
    destruct Ev as [(v & Q & ->)|(Q & ->)]; cbn; split; auto; exists b; auto. }
  split; [exact Mv|]. pose proof (moves_grow _ _ _ Mv) as Gr. split; [split|].
  - intros a (Pa & Va & Oa & Ra).
    split; [|split; [|split; [|exact Ra]]].
    + rewrite <- Pa. destruct Ev as [(v & Q & ->)|(Q & ->)]; reflexivity.
    + rewrite <- Va. destruct Ev as [(v & Q & ->)|(Q & ->)]; reflexivity.
    + intros Op b' E. apply Gr. auto.
  - intros b0 v0 T0. open. destruct Ev as [(v & Q & ->)|(Q & ->)]; events;
      destruct T0 as [?|?]; auto; discriminate.
  - split; [|split].
    + intros b0 Hb0 T0. rewrite Cur.
      assert (T1 : is_used s b0 \/ b0 = b).
      { unfold is_used in T0. open. destruct Ev as [(v & Q & ->)|(Q & ->)]; events.
        - destruct T0 as [[w [T|T]]|[T|T]]; try discriminate.
          + left. left. exists w. exact T.
          + right. inversion T. unfold up in *. cbn in *. lia.
          + left. right. exact T.
        - destruct T0 as [[w [T|T]]|[T|T]]; try discriminate.
          + left. left. exists w. exact T.
          + left. right. exact T.
          + right. inversion T. unfold up in *. cbn in *. lia. }
      split; [|intros _; destruct Ph as [->|[v ->]]; exact I].
      destruct T1 as [T1| ->]; [|unfold up; lia]. destruct (U b0 Hb0 T1) as [L0 _].
      unfold up in *. lia.
    + intros client v E. rewrite Req in E. apply Gr. exact (R client v E).
    + destruct Ph as [->|[v ->]]; [|exact I]. exists b. split; [exact Cur|]. split; [exact Own|].
      split; [apply default_tidy|]. intros ? ? [].
Qed.

Lemma on_promise_ok s me p from b v p' m : valid s -> fits_coordinator s me p ->
  told s (promise from b v) ->
  Coordinator.on_promise p from b v (quorums c) rounds = (p', m) ->
  exists s', moves me s s' /\ spares me s s' /\
    fits_coordinator s' me p' /\ (forall m', m = Some m' -> means s' me m').
Proof.
  intros V F T. unfold Coordinator.on_promise. pose proof F as (U & R & P).
  assert (Same : forall p', p' = p -> exists s', moves me s s' /\
    spares me s s' /\ fits_coordinator s' me p' /\
    (forall m', None = Some m' -> means s' me m')).
  { intros ? ->. exists s. split; [apply no_step|]. split; [apply spares_self|].
    split; [exact F|discriminate]. }
  destruct (negb _ || negb _) eqn:G; [intros [= <- <-]; now apply Same|].
  apply orb_false_iff in G as [G1 _]. apply negb_false_iff, is_ballot_true in G1.
  destruct (Coordinator.progress p) as [|promises poll| | |] eqn:Ph;
    try (intros [= <- <-]; now apply Same).
  destruct (contains promises from); [intros [= <- <-]; now apply Same|].
  destruct P as (b' & Hb & Own & Col). assert (b' = b) by congruence. subst b'.
  pose proof (collect s b promises poll from v Col T) as Col'.
  set (promises' := insert promises from) in *.
  set (poll' := match v with Some v => hear poll from v | None => poll end) in *.
  assert (New : ~ is_used s b).
  { intro Us. destruct (U b Own Us) as [_ N]. specialize (N Hb). now rewrite Ph in N. }
  assert (Le : rank (Coordinator.current p) <= up b) by (rewrite Hb; unfold up; lia).
  assert (Still : forall ph,
    match ph with Coordinator.Preparing x y => is_collected s b x y
    | Coordinator.Idle => True | _ => False end ->
    fits_coordinator s me {| Coordinator.current := Coordinator.current p;
      Coordinator.request := Coordinator.request p; Coordinator.progress := ph |}).
  { intros ph Hph. split; [|split; auto].
    - intros b0 Hb0 T0. destruct (U b0 Hb0 T0) as [L N]. cbn. split; auto.
      intro E. specialize (N E). rewrite Ph in N. contradiction.
    - cbn. destruct ph; auto; try contradiction. exists b. auto. }
  destruct (is_phase1 (quorums c) promises') eqn:Q.
  - pose proof (proposal_ok s V b promises' poll' Col' Q) as Propose.
    pose proof (opening_ok s V b promises' poll' Col' Q New) as Open.
    assert (Go : forall w, (pick poll' promises' (quorums c) = Some w \/
        pick poll' promises' (quorums c) = None /\ told s (propose w)) ->
      forall r, Coordinator.propose p (b, w) rounds = r ->
      exists s', moves me s s' /\ spares me s s' /\
        fits_coordinator s' me (fst r) /\ (forall m', snd r = Some m' -> means s' me m')).
    { intros w Hw r <-. specialize (Propose w New Hw).
      set (e := Core.Phase2a (S := S) 0 (up b) w _) in *. exists (Core.apply S s e).
      destruct (phase2_ok s me p b e (fst (Coordinator.propose p (b, w) rounds)) U Own Le Propose)
        as (Mv & Sp & Fi); cbn; auto.
      - left. exists w. eexists. reflexivity.
      - destruct (is_fast rounds b); eauto.
      - split; auto. split; auto. split; auto. intros m' [= <-]. right. reflexivity. }
    destruct (pick poll' promises' (quorums c)) as [w|] eqn:Ep.
    + intro E. apply (Go w (or_introl eq_refl)) in E. exact E.
    + destruct (is_fast rounds b) eqn:Fa.
      * intros [= <- <-]. specialize (Open eq_refl eq_refl).
        set (e := Core.Phase2aAny (S := S) 0 (up b) _) in *. exists (Core.apply S s e).
        destruct (phase2_ok s me p b e {| Coordinator.current := Coordinator.current p;
          Coordinator.request := Coordinator.request p;
          Coordinator.progress := Coordinator.Watching default |} U Own Le Open)
          as (Mv & Sp & Fi); cbn; auto.
        -- right. eexists. reflexivity.
        -- split; auto. split; auto. split; auto. intros m' [= <-]. right. reflexivity.
      * destruct (Coordinator.request p) as [[client w]|] eqn:Req.
        -- intro E. apply (Go w (or_intror (conj eq_refl (R client w eq_refl)))) in E. exact E.
        -- intros [= <- <-]. exists s. split; [apply no_step|]. split; [apply spares_self|].
           split; [exact (Still Coordinator.Idle I)|discriminate].
  - intros [= <- <-]. exists s. split; [apply no_step|]. split; [apply spares_self|].
    split; [exact (Still (Coordinator.Preparing _ _) Col')|discriminate].
Qed.

Lemma on_watched_ok s me p from v last p' m : valid s -> fits_coordinator s me p ->
  means s from (Accepted v) ->
  Coordinator.on_accepted p from v (quorums c) rounds last = (p', m) ->
  exists s', moves me s s' /\ spares me s s' /\
    fits_coordinator s' me p' /\ (forall m', m = Some m' -> means s' me m').
Proof.
  intros V F [T Pr]. unfold Coordinator.on_accepted. pose proof F as (U & R & P).
  destruct (negb _ || negb _) eqn:G.
  { intros [= <- <-]. exists s. split; [apply no_step|]. split; [apply spares_self|].
    split; [exact F|discriminate]. }
  apply orb_false_iff in G as [G1 _]. apply negb_false_iff, is_ballot_true in G1.
  destruct (Coordinator.progress p) as [| |poll| |] eqn:Ph;
    try (intros [= <- <-]; exists s; split; [apply no_step|]; split; [apply spares_self|];
         split; [exact F|discriminate]).
  destruct P as (b & Hb & Own & (Ti & Po)). assert (b = fst v) by congruence. subst b.
  set (poll' := hear poll from v) in *.
  assert (Wa : is_watched s (fst v) poll').
  { split; [now apply hear_tidy|]. apply hear_polls; [exact Po|]. split; auto. }
  set (p1 := {| Coordinator.current := Coordinator.current p;
    Coordinator.request := Coordinator.request p;
    Coordinator.progress := Coordinator.Watching poll' |}).
  assert (F1 : fits_coordinator s me p1).
  { split; [|split; [exact R|]].
    - intros b0 Hb0 T0. destruct (U b0 Hb0 T0) as [L _]. split; [exact L|exact (fun _ => I)].
    - exists (fst v). auto. }
  assert (Same : exists s', moves me s s' /\ spares me s s' /\ fits_coordinator s' me p1 /\
    (forall m', None = Some m' -> means s' me m')).
  { exists s. split; [apply no_step|]. split; [apply spares_self|].
    split; [exact F1|discriminate]. }
  destruct (is_some _ || negb _) eqn:Col; [intros [= <- <-]; exact Same|].
  apply orb_false_iff in Col as [_ Q]. apply negb_false_iff in Q.
  destruct (recovery rounds (fst v)) as [r|] eqn:Er; [|intros [= <- <-]; exact Same].
  destruct (last <? _); [intros [= <- <-]; exact Same|].
  destruct (pick poll' (voters poll') (quorums c)) as [w|] eqn:Ep; [|intros [= <- <-]; exact Same].
  pose proof (recovery_above _ _ _ Er) as Ab. pose proof (recovery_node _ _ _ Er) as On.
  assert (New : ~ is_used s r).
  { intro Us. destruct (U r) as [L _]; [congruence|exact Us|].
    rewrite G1 in L. unfold up in L. lia. }
  pose proof (proposal_ok s V r _ _ (watched_collected s _ _ r Wa Er) Q w New (or_introl Ep)) as Gd.
  set (e := Core.Phase2a (S := S) 0 (up r) w _) in *.
  intros [= <- <-]. exists (Core.apply S s e).
  match goal with |- context [fits_coordinator _ me ?p2] =>
    destruct (phase2_ok s me p r e p2 U) as (Mv & Sp & Fi) end; cbn; auto.
  - congruence.
  - rewrite G1. unfold up. cbn in *. lia.
  - left. exists w. eexists. reflexivity.
  - destruct (is_fast rounds r); eauto.
  - split; auto. split; auto. split; auto. intros m' [= <-]. right. reflexivity.
Qed.

(** ** The learner *)

Lemma on_decided_ok s l v l' news : fits_learner s l -> is_chosen s v ->
  Learner.on_decided l v = (l', news) ->
  fits_learner s l' /\ (forall v', news = Some v' -> is_chosen s v').
Proof.
  intros F C. unfold Learner.on_decided. destruct (is_some _); intros [= <- <-].
  - split; [exact F|discriminate].
  - split; [|now intros ? [= <-]]. split; cbn; [intros ? ? []|now intros ? [= <-]].
Qed.

Lemma on_accepted_ok s l from v l' news : fits_learner s l ->
  told s (accepted from (fst v) (snd v)) -> Learner.on_accepted l from v (quorums c) = (l', news) ->
  fits_learner s l' /\ (forall v', news = Some v' -> is_chosen s v').
Proof.
  intros F T. pose proof F as [A B]. unfold Learner.on_accepted.
  destruct (is_some _ || _) eqn:G; [intros [= <- <-]; split; [exact F|discriminate]|].
  set (p := hear (Learner.followed l) from v).
  assert (F' : fits_learner s {| Learner.followed := p; Learner.decided := Learner.decided l |}).
  { split; [|exact B]. apply hear_polls; [exact A|exact T]. }
  destruct (Poll.chosen p (quorums c)) as [w|] eqn:Ch.
  - intro E. eapply on_decided_ok; [exact F'| |exact E]. unfold Poll.chosen in Ch.
    destruct (polled p) as [k|] eqn:K; [|discriminate]. cbn in Ch.
    destruct (find _ (votes p)) as [[u m]|] eqn:Ef; [|discriminate]. cbn in Ch.
    inversion Ch; subst u. apply find_some in Ef as [H Q]. cbn in Q.
    exists k, (fun a => contains m a = true). split.
    + exists (intersection m (acceptors (quorums c))). split; [|split; [exact Q|]].
      * apply is_subset_spec. intro a. rewrite contains_intersection.
        destruct (contains m a); [auto|discriminate].
      * intro a. rewrite contains_intersection. destruct (contains m a); auto.
    + intros a Ha. destruct (proj1 F' w m H) as (k' & K' & Tk). cbn in K'. rewrite K in K'.
      inversion K'. subst k'. exact (Tk a Ha).
  - intros [= <- <-]. split; [exact F'|discriminate].
Qed.

(** ** The process *)

(** Whether [m] was said, before or in this step. *)
Definition has_said (before : message -> Prop) (st : step) (m : message) : Prop :=
  before m \/ exists to, In (to, m) (said st).

(** Where a step stands, of a process that has said certain things [before] it: its
    state fits, all that was said is true, and no vote was kept silent, but for one
    message that is [owed]. *)
Record good (before : message -> Prop) (owed : option message)
    (s : abstract) (me : N) (st : step) : Prop := {
  state_fits : fits s me (now st);
  inbox_true : forall m, In m (inbox st) -> means s me m;
  said_true : forall m, has_said before st m -> means s me m;
  votes_said : forall b v, told s (accepted me b v) ->
    has_said before st (Accepted (b, v)) \/ owed = Some (Accepted (b, v)) }.

(** A step leads, by moves of [me], to where it is good. *)
Definition leads before (me : N) (s : abstract) (st : step) : Prop :=
  exists s', moves me s s' /\ good before None s' me st.

Section Process.
Variable me : N.
Variable before : message -> Prop.
Hypothesis is_node : me < width.
Notation owing := (good before).
Notation good := (good before None).
Notation leads := (leads before).

Lemma good_leads s st : good s me st -> leads me s st.
Proof. intro G. exists s. split; auto using no_step. Qed.

Lemma good_send o s to m st : owing o s me st -> means s me m -> owing o s me (send me to m st).
Proof.
  intros [F B A U] M. constructor; cbn; auto.
  - destruct (to =? me); auto. intros m' H. apply in_app_or in H as [H|[<-|[]]]; auto.
  - intros m' [H|[to' H]]; [apply A; now left|]. apply in_app_or in H as [H|[H|[]]].
    + apply A. right. eauto.
    + now inversion H; subst.
  - intros b v T. destruct (U b v T) as [[H|[to' H]]|H]; auto; [left; now left|]. left. right.
    exists to'. apply in_or_app. auto.
Qed.

Lemma good_broadcast o s to m st : owing o s me st -> means s me m ->
  owing o s me (broadcast me to m st).
Proof.
  revert st. induction to as [|x to IH]; cbn; auto. intros st G M. apply IH; auto using good_send.
Qed.

Lemma good_set_timer s t r st : good s me st -> good s me (set_timer t r st).
Proof. intros []. now constructor. Qed.

Lemma good_cancel s t st : good s me st -> good s me (cancel t st).
Proof. intros []. now constructor. Qed.

Lemma good_with_coordinator s p st : good s me st -> fits_coordinator s me p ->
  good s me (with_coordinator p st).
Proof. intros [(A & _ & L) B C D] F. constructor; auto. exact (conj A (conj F L)). Qed.

Lemma good_with_learner s l st : good s me st -> fits_learner s l -> good s me (with_learner l st).
Proof. intros [(A & P & _) B C D] F. constructor; auto. exact (conj A (conj P F)). Qed.

Hint Resolve good_leads good_send good_broadcast good_set_timer good_cancel
  good_with_coordinator good_with_learner : good.

Lemma campaign_ok s st : good s me st -> good s me (campaign c me st).
Proof.
  intro G. unfold campaign. destruct (coordinator (now st)) as [p|] eqn:E; auto.
  destruct (Coordinator.prepare _ _ _ _ _) as [p' m] eqn:H.
  assert (F : fits_coordinator s me p) by (destruct G as [(_ & F & _) _]; now rewrite E in F).
  destruct (prepare_ok _ _ _ _ _ _ _ is_node F H) as [F' M].
  destruct m; unfold broadcast_to_acceptors, give_time; auto 6 with good.
Qed.

Lemma ask_decision_ok s st : good s me st -> good s me (ask_decision c me st).
Proof.
  intro G. unfold ask_decision.
  assert (G' : good s me (broadcast me (filter (fun id => negb (id =? me))
    (Node.decision_audience c)) Ask st))
    by (apply good_broadcast; [auto|exact I]).
  destruct (bind _ _); [destruct (coordinator _); [destruct (is_idle _)|]|]; auto with good.
Qed.

Lemma stop_ok s v st : good s me st -> is_chosen s v -> good s me (stop me v st).
Proof.
  intros G C. unfold stop. destruct (coordinator (now st)) as [p|] eqn:E; auto with good.
  destruct (Coordinator.retire p) as [p' waiting] eqn:H.
  assert (F : fits_coordinator s me p) by (destruct G as [(_ & F & _) _]; now rewrite E in F).
  apply (retire_ok _ _ _ _ _ F) in H. destruct waiting; auto 6 with good.
Qed.

Lemma decided_chosen s st v : good s me st -> decided (now st) = Some v -> is_chosen s v.
Proof.
  intros [(_ & _ & L) _] E. unfold decided in E.
  destruct (learner (now st)) as [l|]; [|discriminate].
  exact (proj2 L _ E).
Qed.

Lemma said_broadcast to m st m' : In m to -> exists x, In (x, m') (said (broadcast me to m' st)).
Proof.
  intro H. exists m.
  assert (Keep : forall l st, In (m, m') (said st) -> In (m, m') (said (broadcast me l m' st))).
  { induction l as [|x l IH]; cbn; auto. intros st' K. apply IH. cbn. apply in_or_app. auto. }
  revert st H. induction to as [|x to IH]; [contradiction|]. intros st [->|H]; [|now apply IH].
  apply (Keep to (send me m m' st)). cbn. apply in_or_app. right. now left.
Qed.

(** Who answers owes nothing: a vote is told to somebody, for there are learners. *)
Lemma answer_ok s to m st : owing m s me st -> (forall m', m = Some m' -> means s me m') ->
  good s me (answer c me to m st).
Proof.
  intros G M.
  assert (Pay : forall st', owing m s me st' ->
    (forall b v, m = Some (Accepted (b, v)) -> exists x, In (x, Accepted (b, v)) (said st')) ->
    good s me st').
  { intros st' [F B A U] P. constructor; auto. intros b v T.
    destruct (U b v T) as [H|H]; auto. left. right. auto. }
  destruct m as [m|]; [specialize (M m eq_refl)|]; [|apply Pay; auto; discriminate].
  destruct m as [| | | | |[b v]| | |]; cbn [answer]; try destruct (nacks c);
    try destruct (_ && _); apply Pay; auto using good_send, good_broadcast; try discriminate.
  all: intros b' v' [= <- <-]; pose proof (somebody_learns c cluster_sound) as SL;
    destruct (learners c) as [|x l] eqn:El; [contradiction|];
    destruct (said_broadcast (x :: l) x st (Accepted (b, v))) as [y Hy]; [now left|];
    exists y; cbn [send said]; auto using in_or_app.
Qed.

(** An acceptor's answer, with all that stands beside it. *)
Lemma acceptor_step_ok s st a' m to : valid s -> good s me st ->
  (exists s', voting me s s' /\ fits_acceptor s' me a' /\ speaks_for s s' me m) ->
  leads me s (answer c me to m (with_acceptor a' st)).
Proof.
  intros V [(_ & P & L) B C D] (s' & Vo & F & M & U). exists s'.
  assert (Mv : moves me s s') by now apply voting_moves.
  split; auto. apply answer_ok; auto. constructor; cbn; eauto using means_stays, moves_grow.
  - split; [exact F|]. cbn. split.
    + destruct (coordinator (now st)) as [p|]; auto.
      eapply fits_coordinator_stays; eauto using moves_grow.
      eapply is_unused_beside; eauto. apply P.
    + destruct (learner (now st)); auto. eauto using fits_learner_stays, moves_grow.
  - intros b v T. destruct (U b v T) as [T'|T']; auto. destruct (D b v T'); [auto|discriminate].
Qed.

(** What comes of a step of the coordinator. *)
Lemma coordinator_step_ok s st p p' m : good s me st -> coordinator (now st) = Some p ->
  (exists s', moves me s s' /\ spares me s s' /\ fits_coordinator s' me p' /\
     (forall m', m = Some m' -> means s' me m')) ->
  exists s', moves me s s' /\ good s' me (with_coordinator p' st) /\
    (forall m', m = Some m' -> means s' me m').
Proof.
  intros G E (s' & Mv & [Acc Vo] & F' & Mr). exists s'. split; auto. split; auto.
  destruct G as [(A & _ & L) B C D]. constructor; cbn; eauto using means_stays, moves_grow.
  split; [|split; [exact F'|]]; cbn.
  - destruct (acceptor (now st)); auto.
  - destruct (learner (now st)); auto. eauto using fits_learner_stays, moves_grow.
Qed.

Lemma leads_trans s s' st : moves me s s' -> leads me s' st -> leads me s st.
Proof. intros M (s'' & M' & G). exists s''. split; auto. eapply moves_trans; eauto. Qed.

Lemma vote_for_ok s client v st : valid s -> good s me st -> told s (propose v) ->
  leads me s (vote_for c me client v st).
Proof.
  intros V G M. unfold vote_for. destruct (acceptor (now st)) as [a|] eqn:E; auto with good.
  destruct (Acceptor.on_propose a v rounds) as [a' r] eqn:H.
  assert (F : fits_acceptor s me a) by (destruct G as [(F & _) _]; now rewrite E in F).
  eapply acceptor_step_ok; eauto using on_request_ok.
Qed.

Lemma see_to_ok s client v st : good s me st -> told s (propose v) ->
  good s me (see_to c me client v st).
Proof.
  intros G M. unfold see_to. destruct (coordinator (now st)) as [p|] eqn:E; auto.
  destruct (Coordinator.on_propose p client v) as [p' t] eqn:H.
  assert (F : fits_coordinator s me p) by (destruct G as [(_ & F & _) _]; now rewrite E in F).
  apply (on_propose_ok _ _ _ _ _ _ _ F M) in H.
  destruct (t && is_idle p'), (is_first c me); auto using campaign_ok with good.
Qed.

Lemma watch_ok s from v st : valid s -> good s me st -> means s from (Accepted v) ->
  leads me s (watch c me from v st).
Proof.
  intros V G M. unfold watch. destruct (coordinator (now st)) as [p|] eqn:E; auto with good.
  destruct (Coordinator.on_accepted p from v _ _ _) as [p' r] eqn:H.
  assert (F : fits_coordinator s me p) by (destruct G as [(_ & F & _) _]; now rewrite E in F).
  destruct (coordinator_step_ok s st p p' r G E (on_watched_ok _ _ _ _ _ _ _ _ V F M H))
    as (s' & Mv & G' & Mr).
  exists s'. split; auto. unfold broadcast_to_acceptors, give_time. destruct r; auto with good.
Qed.

Lemma dispatch_ok s from m st : valid s -> good s me st -> means s from m ->
  leads me s (dispatch c me from m st).
Proof.
  intros V G M. destruct m as [v|b|b v|b|v|v|b|v|]; cbn [dispatch].
  - (* Propose *) unfold on_propose. destruct (decided (now st)) eqn:D.
    + apply (decided_chosen s) in D; auto with good.
    + destruct (vote_for_ok s from v st V G M) as (s' & Mv & G'). exists s'. split; auto.
      apply see_to_ok; auto. exact (moves_grow _ _ _ Mv _ M).
  - (* Prepare *) destruct (acceptor (now st)) as [a|] eqn:E; auto with good.
    destruct (Acceptor.on_prepare a b) as [a' r] eqn:H.
    assert (F : fits_acceptor s me a) by (destruct G as [(F & _) _]; now rewrite E in F).
    eapply acceptor_step_ok; eauto using on_prepare_ok.
  - (* Promise *) unfold on_promise. destruct (coordinator (now st)) as [p|] eqn:E; auto with good.
    destruct (Coordinator.on_promise p from b v _ _) as [p' r] eqn:H.
    assert (F : fits_coordinator s me p) by (destruct G as [(_ & F & _) _]; now rewrite E in F).
    destruct (coordinator_step_ok s st p p' r G E (on_promise_ok _ _ _ _ _ _ _ _ V F M H))
      as (s' & Mv & G' & Mr).
    exists s'. split; auto. unfold broadcast_to_acceptors.
    destruct r, (negb _ && _); auto with good.
  - (* Any *) destruct (acceptor (now st)) as [a|] eqn:E; auto with good.
    destruct (Acceptor.on_any a b) as [a' r] eqn:H.
    assert (F : fits_acceptor s me a) by (destruct G as [(F & _) _]; now rewrite E in F).
    eapply acceptor_step_ok; eauto using on_any_ok.
  - (* Accept *) destruct (acceptor (now st)) as [a|] eqn:E; auto with good.
    destruct (Acceptor.on_accept a v rounds) as [a' r] eqn:H.
    assert (F : fits_acceptor s me a) by (destruct G as [(F & _) _]; now rewrite E in F).
    eapply acceptor_step_ok; eauto using on_accept_ok.
  - (* Accepted *) unfold on_accepted. destruct (learner (now st)) as [l|] eqn:E;
      [|now apply watch_ok].
    destruct (Learner.on_accepted l from v (quorums c)) as [l' news] eqn:H.
    assert (F : fits_learner s l) by (destruct G as [(_ & _ & F) _]; now rewrite E in F).
    destruct (on_accepted_ok _ _ _ _ _ _ F (proj1 M) H) as [F' N].
    destruct news as [value|]; [|apply watch_ok; auto with good].
    assert (C : means s me (Decided value)) by now apply N.
    auto 8 using stop_ok with good.
  - (* Nack *) unfold on_nack. destruct (coordinator (now st)) as [p|] eqn:E; auto with good.
    destruct (Coordinator.on_nack p b) as [p' t] eqn:H.
    assert (F : fits_coordinator s me p) by (destruct G as [(_ & F & _) _]; now rewrite E in F).
    apply (on_nack_ok _ _ _ _ _ _ F) in H. destruct t; auto with good.
  - (* Decided *) unfold on_decided. destruct (learner (now st)) as [l|] eqn:E; auto with good.
    destruct (Learner.on_decided l v) as [l' news] eqn:H.
    assert (F : fits_learner s l) by (destruct G as [(_ & _ & F) _]; now rewrite E in F).
    destruct (on_decided_ok _ _ _ _ _ F M H) as [F' N].
    destruct news as [value|]; [|auto with good].
    assert (C : means s me (Decided value)) by now apply N.
    auto 8 using stop_ok with good.
  - (* Ask *) destruct (decided (now st)) eqn:D; auto with good.
    apply (decided_chosen s) in D; auto with good.
Qed.

Lemma drain_ok n : forall s st, valid s -> good s me st -> leads me s (drain c me n st).
Proof.
  induction n as [|n IH]; intros s st V G; cbn; auto with good.
  destruct (inbox st) as [|m rest] eqn:E; auto with good.
  assert (G' : good s me (Step (now st) rest (said st) (timers st))).
  { destruct G as [F B A D]. constructor; auto. intros m' H. apply B. rewrite E. now right. }
  assert (M : means s me m) by (apply (inbox_true _ _ _ _ _ G); rewrite E; now left).
  destruct (dispatch_ok s me m _ V G' M) as (s' & Mv & G'').
  apply (leads_trans s s'); auto. apply IH; auto. eapply moves_valid; eauto.
Qed.

(** What is true of a process between steps. *)
Definition at_rest (s : abstract) (st : state) : Prop :=
  fits s me st /\ (forall m, before m -> means s me m) /\
  (forall b v, told s (accepted me b v) -> before (Accepted (b, v))).

Lemma begin_ok s st : at_rest s st -> good s me (begin st).
Proof.
  intros (F & A & U). constructor; cbn; auto; [contradiction| |].
  - intros m [H|[x []]]. auto.
  - intros b v T. left. left. auto.
Qed.

Lemma on_message_ok s st from m : valid s -> at_rest s st -> means s from m ->
  leads me s (on_message c me st from m).
Proof.
  intros V R M. destruct (dispatch_ok s from m _ V (begin_ok _ _ R) M) as (s' & Mv & G).
  apply (leads_trans s s'); auto. apply drain_ok; auto. eapply moves_valid; eauto.
Qed.

Lemma on_timer_ok s st t : valid s -> at_rest s st -> leads me s (on_timer c me st t).
Proof.
  intros V R. apply drain_ok; auto. pose proof (begin_ok _ _ R).
  destruct (is_some _); auto. destruct t; auto using campaign_ok, ask_decision_ok.
Qed.

(** What is saved is enough. *)
Lemma start_state_ok s st : fits s me st -> fits s me (start_state c me (Some (durable_of st))).
Proof.
  intros (A & P & L). unfold start_state, durable_of.
  repeat split; cbn [acceptor coordinator learner].
  - cbn. destruct (is_acceptor c me); auto. destruct (acceptor st); auto. discriminate.
  - destruct (is_in (coordinators c) me); auto. destruct (coordinator st) as [p|]; cbn.
    + now apply restart_ok.
    + discriminate.
  - cbn. destruct (is_in_decision_audience c me); auto. split; cbn; [intros ? ? []|].
      unfold decided.
    intro v. destruct (learner st); [|discriminate]. apply L.
Qed.

Lemma on_start_ok s st : at_rest s st -> good s me (on_start c me (Some (durable_of st))).
Proof.
  intros (F & R). pose proof (begin_ok s _ (conj (start_state_ok _ _ F) R)) as G.
  unfold on_start. destruct (_ && _); auto.
  destruct (match _ with Some _ => _ | None => _ end); auto using ask_decision_ok with good.
Qed.

End Process.

(** ** The world *)

Definition related (w : world) (s : abstract) : Prop :=
  valid s /\
  (forall me, at_rest me (sent w me) s (nodes w me)) /\
  (forall v, told s (propose v) <-> requested w v).

Lemma related_start : related (start c) (Core.start S).
Proof.
  split; [constructor|]. split; [|cbn; tauto]. intro me.
  split; [|split; [contradiction|auto]]. unfold start, start_state. cbn. repeat split.
  - cbn. destruct (is_acceptor c me); auto. split; [reflexivity|]. split; [reflexivity|].
    split; discriminate.
  - destruct (is_in (coordinators c) me); [|reflexivity].
    split; [|split; [discriminate|exact I]]. intros b _ [[v []]|[]].
  - destruct (is_in_decision_audience c me); [|exact I]. split; [intros ? ? []|discriminate].
Qed.

(** Promises rise, and votes are cast at or above them. *)
Definition rises (s s' : abstract) : Prop := forall a,
  Core.promised s a <= Core.promised s' a /\
  forall b v, told s' (accepted a b v) -> told s (accepted a b v) \/ Core.promised s a <= up b.

Lemma moves_rise me s s' : moves me s s' -> rises s s'.
Proof.
  intros M a. induction M as [|s' e M [P V] G O]; [split; [lia|auto]|]. open.
  destruct e; cbn in O; try contradiction; cbn in G; split.
  - events. destruct (N.eq_dec a a0); [subst; lia|auto].
  - intros b' v' [T|(? & _ & ?)]; [auto|discriminate].
  - auto.
  - intros b' v' [T|?]; [auto|discriminate].
  - auto.
  - intros b' v' [T|?]; [auto|discriminate].
  - events. destruct (N.eq_dec a a0); [subst; lia|auto].
  - intros b' v' [T|T]; [auto|]. right. inversion T; subst. unfold up in *. cbn in *. lia.
Qed.

(** A step of one process leaves the others as they were. *)
Lemma after_ok w s me st : related w s -> leads (sent w me) me s st ->
  exists s', related (after w me st) s' /\ rises s s'.
Proof.
  intros (V & R & Q) (s' & Mv & [F B A U]). exists s'. split; [|eapply moves_rise; eauto].
  split; [|split].
  - eapply moves_valid; eauto.
  - intro x. cbn. destruct (N.eqb_spec x me) as [->|NE].
    + split; [exact F|]. split.
      * intros m [H|[_ [to H]]]; apply A; [now left|right; eauto].
      * intros b v T. destruct (U b v T) as [[H|[to H]]|H]; [auto| |discriminate]. right. eauto.
    + destruct (R x) as (Fx & Ax & Ux). split; [eauto using fits_frame|]. split.
      * intros m [H|[H _]]; [eauto using means_stays, moves_grow|contradiction].
      * intros b v T. left. apply Ux. eauto using moves_accepted.
  - intro v. rewrite <- (Q v). cbn. split; [eauto using moves_propose|apply (moves_grow _ _ _ Mv)].
Qed.

Lemma related_next w w' s : related w s -> next c w w' ->
  exists s', related w' s' /\ rises s s'.
Proof.
  intros Rel St. pose proof Rel as (V & R & Q).
  destruct St as [client v|client|me from m W H|me t W|me W].
  - (* a request is an event of Core *)
    assert (Keep : forall m, told s m -> told (Core.apply S s (Core.Request (S := S) v)) m)
      by (intros; left; auto).
    exists (Core.apply S s (Core.Request (S := S) v)). split; [split; [|split]|].
    + now constructor.
    + intro x. destruct (R x) as ((Fa & Fp & Fl) & A & U). split; [|split].
      * split; [|split].
        -- cbn. destruct (acceptor (nodes w x)); auto. destruct Fa as (P1 & P2 & P3 & P4).
           split; [exact P1|]. split; [exact P2|]. split; [|exact P4]. intros Op b E.
           apply Keep. auto.
        -- cbn. destruct (coordinator (nodes w x)); auto. eapply fits_coordinator_stays; eauto.
           intros b Hb T. apply (proj1 Fp b Hb). destruct T as [[u [T|T]]|[T|T]];
             try discriminate; [left; exists u; exact T|right; exact T].
        -- cbn. destruct (learner (nodes w x)); eauto using fits_learner_stays.
      * intros m [H|[_ ->]]; [eauto using means_stays|now right].
      * intros b u [T|T]; [left; auto|discriminate].
    + intro x. cbn. rewrite <- (Q x). split; (intros [H|H]; [left; auto|right]).
      * now inversion H.
      * now subst.
    + split; [cbn; lia|]. intros b u [T|T]; [auto|discriminate].
  - exists s. split; [|split; [lia|auto]]. split; auto. split; auto. intro x.
    destruct (R x) as (F & A & U). split; auto. split.
    + intros m [H|[_ ->]]; [auto|exact I].
    + intros b v T. left. auto.
  - apply (after_ok w s); auto. apply on_message_ok; auto. destruct (R from) as (_ & A & _). auto.
  - apply (after_ok w s); auto. apply on_timer_ok; auto.
  - apply (after_ok w s); auto. apply good_leads. apply on_start_ok; auto.
Qed.

Lemma refines w : reachable c w -> exists s, related w s.
Proof.
  induction 1 as [|w w' _ [s R] N]; [exists (Core.start S); apply related_start|].
  destruct (related_next w w' s R N) as (s' & R' & _). eauto.
Qed.

(** What is chosen here is chosen there, and the other way round. *)
Lemma chosen_up w s b v : related w s -> chosen c w b v -> Core.chosen S s 0 (up b) v.
Proof.
  intros (_ & R & _) (voters & Q & H). exists (fun a => contains voters a = true). split.
  - exists (intersection voters (acceptors (quorums c))). split; [|split; [exact Q|]].
    + apply is_subset_spec. intro a. rewrite contains_intersection.
      destruct (contains voters a); [auto|discriminate].
    + intro a. rewrite contains_intersection. destruct (contains voters a); auto.
  - intros a Ha. destruct (R a) as (_ & A & _). exact (proj1 (A _ (H a Ha))).
Qed.

Lemma chosen_down w s b v : related w s -> Core.chosen S s 0 (up b) v -> chosen c w b v.
Proof.
  intros (_ & R & _) (P & (heard & Sub & Q & HP) & V). exists heard. split.
  - unfold chooses. enough (intersection heard (acceptors (quorums c)) = heard) as -> by auto.
    apply N.bits_inj. intro a. change (contains (intersection heard (acceptors (quorums c))) a
      = contains heard a). rewrite contains_intersection. rewrite is_subset_spec in Sub.
    specialize (Sub a). destruct (contains heard a); auto.
  - intros a Ha. destruct (R a) as (_ & _ & U). apply U. exact (V a (HP a Ha)).
Qed.

Lemma decided_up w s me v : related w s -> has_decided w me v -> is_chosen s v.
Proof.
  intros (_ & R & _) D. destruct (R me) as ((_ & _ & L) & _). unfold has_decided, decided in D.
  destruct (learner (nodes w me)); [|discriminate]. now apply L.
Qed.

Lemma core_agreement s b v b' v' : valid s ->
  Core.chosen S s 0 (up b) v -> Core.chosen S s 0 (up b') v' -> v = v'.
Proof.
  intros V C C'.
  exact (CoreProof.agreement S (checked_is_lawful _ law) s 0 _ _ _ _ V C C').
Qed.

Theorem agreement : Agreement c.
Proof.
  intros w me v me' v' R D D'. destruct (refines w R) as (s & Rel).
  destruct (decided_up _ _ _ _ Rel D) as (b & C), (decided_up _ _ _ _ Rel D') as (b' & C').
  eapply core_agreement; eauto. apply Rel.
Qed.

Theorem chosen_agreement : ChosenAgreement c.
Proof.
  intros w b v b' v' R C C'. destruct (refines w R) as (s & Rel).
  apply (core_agreement s b v b' v'); [apply Rel|eapply chosen_up; eauto|eapply chosen_up; eauto].
Qed.

Theorem validity : Validity c.
Proof.
  intros w me v R D. destruct (refines w R) as (s & Rel).
  destruct (decided_up _ _ _ _ Rel D) as (b & C). destruct Rel as (V & _ & Q).
  apply Q. exact (CoreProof.validity S (checked_is_lawful _ law) s 0 _ _ V C).
Qed.

Theorem decided_is_chosen : DecidedIsChosen c.
Proof.
  intros w me v R D. destruct (refines w R) as (s & Rel).
  destruct (decided_up _ _ _ _ Rel D) as (b & C). exists b. eapply chosen_down; eauto.
Qed.

Lemma promised_up w s me : related w s -> rank (promised w me) <= Core.promised s me.
Proof.
  intros (_ & R & _). destruct (R me) as ((A & _) & _). unfold promised.
  destruct (acceptor (nodes w me)); cbn; [|lia]. destruct A as [-> _]. lia.
Qed.

Lemma next_keeps w w' me : plays c me (nodes w me) -> next c w w' ->
  keeps (nodes w me) (nodes w' me).
Proof.
  intros P N. destruct N; unfold after; cbn [nodes]; try apply keeps_self;
    destruct (N.eqb_spec me me0) as [->|];
    auto using keeps_self, on_message_keeps, on_timer_keeps, on_start_keeps.
Qed.

Lemma reachable_plays w me : reachable c w -> plays c me (nodes w me).
Proof.
  induction 1 as [|w w' _ IH N]; [apply plays_start|]. eapply plays_keeps; [exact IH|].
  now apply next_keeps.
Qed.

Theorem decision_stands : DecisionStands c.
Proof.
  intros w w' me v R N D. pose proof (next_keeps w w' me (reachable_plays w me R) N) as K.
  exact (keeps_decision _ _ K v D).
Qed.

Theorem promise_kept : PromiseKept c.
Proof.
  intros w w' me R N. destruct (refines w R) as (s & Rel).
  destruct (related_next w w' s Rel N) as (s' & Rel' & Up). destruct (Up me) as [P V].
  pose proof (promised_up w s me Rel) as Below. split.
  - pose proof (keeps_acceptor _ _ (next_keeps w w' me (reachable_plays w me R) N)) as K.
    destruct Rel' as (_ & R' & _), Rel as (_ & R0 & _).
    destruct (R' me) as ((A' & _) & _), (R0 me) as ((A & _) & _). unfold promised.
    destruct (acceptor (nodes w me)) as [a|]; [|cbn; lia].
    destruct (acceptor (nodes w' me)) as [a'|]; [|discriminate]. cbn [bind].
    destruct A as [<- _], A' as [<- _]. exact P.
  - intros b v T. destruct Rel' as (_ & R' & _). destruct (R' me) as (_ & A & _).
    apply A in T as [T _].
    destruct (V b v T) as [T'|L]; [left|right; unfold up in L; lia].
    destruct Rel as (_ & R0 & _). destruct (R0 me) as (_ & _ & U). auto.
Qed.

Theorem one_value_per_ballot : OneValuePerBallot c.
Proof.
  intros w a a' b v v' R Cl T T'. destruct (refines w R) as (s & V & Rel & _).
  destruct (Rel a) as (_ & A & _), (Rel a') as (_ & A' & _).
  apply A in T as [T _]. apply A' in T' as [T' _]. pose proof (invariant s V) as I.
  assert (N : forall i, ~ Core.sent s (Core.AcceptAny (S := S) i (up b))).
  { intros i H. apply (CoreProof.any_is_fast _ _ I) in H.
    change (Quorum.is_fast (quorums c) (up b) = true) in H. rewrite fast_is in H. congruence. }
  destruct (CoreProof.vote_proposed _ _ I _ _ _ _ T) as [P|P]; [|destruct (N _ P)].
  destruct (CoreProof.vote_proposed _ _ I _ _ _ _ T') as [P'|P']; [|destruct (N _ P')].
  exact (CoreProof.one_value_per_ballot _ _ I _ _ _ _ P P').
Qed.

End Refinement.
