(** * The handlers refine the general system

    Every step of a process is a number of steps of [Core], or of none: [dispatch_ok]
    and its like say so role by role. What is proved of [Core] then holds of the
    handlers. Basic Paxos is slot 0 of [Core] without fast ballots. *)

From Coq Require Import NArith Arith List Lia Bool.
From Synod Require Import Vocabulary Quorum.
From Synod Require Core CoreProof.
From Synod.basic Require Import Protocol Node NodeProof Network.
From Synod.basic Require Acceptor Proposer Learner.
Import ListNotations.
Open Scope N_scope.

Section Refinement.
Variable c : cluster.
Hypothesis cluster_sound : sound c.
Lemma law : is_lawful (quorums c) = true.
Proof. apply cluster_sound. Qed.
Lemma classic b : is_fast (quorums c) b = false.
Proof. apply cluster_sound. Qed.

Notation S := (setting (quorums c)).
Notation abstract := (Core.state S).
Notation event := (Core.event S).

(** ** The map from one level to the other *)

(** Ballot 0 of [Core] is "none yet". *)
Definition up (b : ballot) : N := rank (Some b).
Definition up_vote (v : option vote) : option (N * N) :=
  option_map (fun v => (up (fst v), snd v)) v.

Definition told (s : abstract) (m : Core.message S) : Prop := Core.sent s m.
Definition promise (a : N) (b : ballot) (v : option vote) : Core.message S :=
  Core.Promise (S := S) a (up b) 0 (up_vote v).
Definition accept (b : ballot) (v : N) : Core.message S := Core.Accept (S := S) 0 (up b) v.
Definition accepted (a : N) (b : ballot) (v : N) : Core.message S :=
  Core.Accepted (S := S) a 0 (up b) v.
Definition propose (v : N) : Core.message S := Core.Propose (S := S) v.
Definition is_chosen (s : abstract) (v : N) : Prop := exists b, Core.chosen S s 0 (up b) v.

(** What a message from [a] says of the abstract state. *)
Definition means (s : abstract) (a : N) (m : message) : Prop :=
  match m with
  | Propose v => told s (propose v)
  | Promise b v => told s (promise a b v)
  | Accept v => told s (accept (fst v) (snd v))
  | Accepted v => told s (accepted a (fst v) (snd v))
  | Decided v => is_chosen s v
  | Prepare _ | Nack _ | Ask => True
  end.

(** How an acceptor's state stands to the abstract state. *)
Definition fits_acceptor (s : abstract) (me : N) (a : Acceptor.acceptor) : Prop :=
  Core.promised s me = rank (Acceptor.promised a) /\
  Core.votes s me 0 = up_vote (Acceptor.vote a).

(** A proposer never proposes in a ballot twice: it has not proposed above its current
    one, and not in that either while it waits for promises. *)
Definition is_unused (s : abstract) (me : N) (p : Proposer.proposer) : Prop :=
  forall b v, node b = me -> told s (accept b v) ->
  up b <= rank (Proposer.current p) /\
  (Proposer.current p = Some b ->
   match Proposer.progress p with Proposer.Preparing _ _ => False | _ => True end).

(** What it has collected was promised, and the highest vote is the highest. *)
Definition is_collected (s : abstract) (b : ballot) (promises : set) (highest : option vote) :=
  (forall a, contains promises a = true ->
     exists v, told s (promise a b v) /\
       rank (ballot_of_vote v) <= rank (ballot_of_vote highest)) /\
  (forall v, highest = Some v ->
     exists a, contains promises a = true /\ told s (promise a b (Some v))).

Definition fits_proposer (s : abstract) (me : N) (p : Proposer.proposer) : Prop :=
  is_unused s me p /\
  (forall client v, Proposer.request p = Some (client, v) -> told s (propose v)) /\
  match Proposer.progress p with
  | Proposer.Preparing promises highest =>
      exists b, Proposer.current p = Some b /\ node b = me /\ is_collected s b promises highest
  | _ => True
  end.

Definition fits_learner (s : abstract) (l : Learner.learner) : Prop :=
  (forall v voters, Learner.tally l = Some (v, voters) ->
     forall a, contains voters a = true -> told s (accepted a (fst v) (snd v))) /\
  (forall v, Learner.decided l = Some v -> is_chosen s v).

Definition fits (s : abstract) (me : N) (st : state) : Prop :=
  match acceptor st with
  | Some a => fits_acceptor s me a
  | None => is_acceptor c me = false
  end /\
  match proposer st with
  | Some p => fits_proposer s me p
  | None => is_in (proposers c) me = false
  end /\
  match learner st with
  | Some l => fits_learner s l
  | None => True
  end.

(** ** Steps of the general system that a process takes *)

(** The events that are [me]'s to cause. *)
Definition own (me : N) (e : event) : Prop :=
  match e with
  | Core.Phase1b a _ _ => a = me
  | Core.Phase2b a _ _ _ => a = me
  | Core.Phase2a i b _ _ => i = 0 /\ exists b', b = up b' /\ node b' = me
  | _ => False
  end.

(** No fast ballot was ever opened, and the state can be reached. *)
Definition valid (s : abstract) : Prop :=
  Core.reachable S s /\ forall i b, ~ told s (Core.AcceptAny (S := S) i b).

Inductive moves (me : N) (s : abstract) : abstract -> Prop :=
| no_move : moves me s s
| one_more s' e : moves me s s' -> Core.guard S s' e -> own me e -> moves me s (Core.apply S s' e).

Lemma moves_one me s e : Core.guard S s e -> own me e -> moves me s (Core.apply S s e).
Proof. intros G O. apply one_more; auto using no_move. Qed.

Lemma moves_trans me s s' s'' : moves me s s' -> moves me s' s'' -> moves me s s''.
Proof. intros A B. induction B; auto using one_more. Qed.

Ltac open := unfold told, promise, accept, accepted, propose in *.
Ltac events := cbn in *; unfold Core.send, Core.send_promise, Core.update, Core.update_slot in *;
  cbn in *.

Definition grows (s s' : abstract) : Prop := forall m, told s m -> told s' m.

Lemma moves_grow me s s' : moves me s s' -> grows s s'.
Proof.
  intros M m T. induction M as [|s' e M IH G O]; auto. open.
  destruct e; events; auto; contradiction.
Qed.

Lemma moves_valid me s s' : moves me s s' -> valid s -> valid s'.
Proof.
  intros M V. induction M as [|s' e M IH G O]; auto. destruct IH as [R A]. split.
  - now constructor.
  - intros i b H. apply (A i b). open. destruct e; cbn in O; try contradiction; events.
    + destruct H as [?|(? & _ & ?)]; [auto|discriminate].
    + destruct H as [?|?]; [auto|discriminate].
    + destruct H as [?|?]; [auto|discriminate].
Qed.

Lemma chosen_stays s s' v : grows s s' -> is_chosen s v -> is_chosen s' v.
Proof.
  intros M [b (R & HR & V)]. exists b, R. split; auto. intros a Ra.
  apply M. exact (V a Ra).
Qed.

Lemma means_stays s s' a m : grows s s' -> means s a m -> means s' a m.
Proof.
  intros M. destruct m; cbn; auto. eauto using chosen_stays.
Qed.

(** Other processes' steps leave a process alone. *)
Lemma fits_acceptor_frame me x s s' a : moves me s s' -> x <> me ->
  fits_acceptor s x a -> fits_acceptor s' x a.
Proof.
  intros M NE F. induction M as [|s' e M IH G O]; auto. destruct IH as [P V].
  unfold fits_acceptor. rewrite <- P, <- V. destruct e; cbn in O; try contradiction; subst;
    split; auto; events; now destruct (N.eq_dec x me).
Qed.

Lemma is_unused_frame me x s s' p : moves me s s' -> x <> me ->
  is_unused s x p -> is_unused s' x p.
Proof.
  intros M NE U. induction M as [|s' e M IH G O]; auto. intros b v Hb T. apply (IH b v Hb).
  open. destruct e; cbn in O; try contradiction; events.
  - destruct T as [?|(? & _ & ?)]; [auto|discriminate].
  - destruct T as [?|T]; [auto|]. exfalso. inversion T; subst. destruct O as [_ (b' & E & N)].
    unfold up in E. cbn in E. assert (b = b') by lia. congruence.
  - destruct T as [?|?]; [auto|discriminate].
Qed.

Lemma is_collected_stays s s' b promises highest : grows s s' ->
  is_collected s b promises highest -> is_collected s' b promises highest.
Proof.
  intros M [A B]. split.
  - intros a Ha. destruct (A a Ha) as (v & T & L). eauto.
  - intros v E. destruct (B v E) as (a & Ha & T). eauto.
Qed.

Lemma fits_proposer_stays x s s' p : grows s s' ->
  is_unused s' x p -> fits_proposer s x p -> fits_proposer s' x p.
Proof.
  intros M U' (U & R & P). split; [exact U'|]. split; [eauto|].
  destruct (Proposer.progress p); auto. destruct P as (b & ? & ? & ?).
  eauto using is_collected_stays.
Qed.

Lemma fits_learner_stays s s' l : grows s s' -> fits_learner s l -> fits_learner s' l.
Proof.
  intros M [A B]. split; [|eauto using chosen_stays].
  intros v voters E a Ha. eauto.
Qed.

Lemma fits_frame me x s s' st : moves me s s' -> x <> me -> fits s x st -> fits s' x st.
Proof.
  intros M NE (A & P & L). repeat split.
  - destruct (acceptor st); auto. eauto using fits_acceptor_frame.
  - destruct (proposer st) as [p|]; auto. eapply fits_proposer_stays; eauto using moves_grow.
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
  - destruct T as [?|T]; [auto|]. inversion T. congruence.
Qed.

Lemma moves_propose me s s' v : moves me s s' -> told s' (propose v) -> told s (propose v).
Proof.
  intros M. induction M as [|s' e M IH G O]; auto. intro T. apply IH. open.
  destruct e; cbn in O; try contradiction; events.
  - destruct T as [?|(? & _ & ?)]; [auto|discriminate].
  - destruct T as [?|?]; [auto|discriminate].
  - destruct T as [?|?]; [auto|discriminate].
Qed.

(** ** The acceptor *)

(** An acceptor's own steps leave the proposer beside it alone. *)
Definition is_vote_event (me : N) (e : event) : Prop :=
  match e with
  | Core.Phase1b a _ _ => a = me
  | Core.Phase2b a _ _ _ => a = me
  | _ => False
  end.

Definition voted (me : N) (s s' : abstract) : Prop :=
  s' = s \/ exists e, is_vote_event me e /\ Core.guard S s e /\ s' = Core.apply S s e.

(** An answer is true, and no vote is kept from it. *)
Definition speaks_for (s s' : abstract) (me : N) (m : option message) : Prop :=
  (forall m', m = Some m' -> means s' me m') /\
  (forall b v, told s' (accepted me b v) ->
     told s (accepted me b v) \/ m = Some (Accepted (b, v))).

Lemma is_unused_beside me x s e p : is_vote_event me e ->
  is_unused s x p -> is_unused (Core.apply S s e) x p.
Proof.
  intros O U b v Hb T. apply (U b v Hb). open. destruct e; cbn in O; try contradiction; events.
  - destruct T as [?|(? & _ & ?)]; [auto|discriminate].
  - destruct T as [?|?]; [auto|discriminate].
Qed.

Lemma invariant s : valid s -> CoreProof.Invariant S s.
Proof. intros [R _]. apply CoreProof.invariant; [apply checked_is_lawful, law|exact R]. Qed.

Lemma refusal_means s me a b m : Acceptor.refusal_of a b = Some m -> means s me m.
Proof.
  unfold Acceptor.refusal_of. destruct (Acceptor.promised a); [|discriminate].
  destruct (_ =? _); [discriminate|]. now inversion 1.
Qed.

Lemma on_prepare_ok s me a b a' m : valid s -> fits_acceptor s me a ->
  Acceptor.on_prepare a b = (a', m) ->
  exists s', voted me s s' /\ fits_acceptor s' me a' /\ speaks_for s s' me m.
Proof.
  intros V F. pose proof F as [P Q]. unfold Acceptor.on_prepare.
  destruct (N.leb_spec (rank (Some b)) (rank (Acceptor.promised a))); intro E; inversion E; subst.
  - exists s. split; [now left|]. split; [exact F|]. split; [intros m'; apply refusal_means|auto].
  - set (e := Core.Phase1b (S := S) me (up b) 0).
    exists (Core.apply S s e). split; [|split; [split|split]].
    + right. exists e. split; [reflexivity|]. split; [|reflexivity]. cbn. rewrite P. exact H.
    + events. now destruct (N.eq_dec me me).
    + exact Q.
    + intros m' [= <-]. open. right. exists 0. split; [lia|]. now rewrite Q.
    + intros b' v T. left. open. events. destruct T as [?|(? & _ & ?)]; [auto|discriminate].
Qed.

Lemma on_accept_ok s me a v a' m : valid s -> fits_acceptor s me a ->
  told s (accept (fst v) (snd v)) -> Acceptor.on_accept a v = (a', m) ->
  exists s', voted me s s' /\ fits_acceptor s' me a' /\ speaks_for s s' me m.
Proof.
  intros V F T. pose proof F as [P Q]. destruct v as [b v]. unfold Acceptor.on_accept.
  cbn [fst snd] in *.
  destruct (N.ltb_spec (rank (Some b)) (rank (Acceptor.promised a))) as [L|L];
    [|destruct (is_vote (Acceptor.vote a) (b, v)) eqn:Again]; intro E; inversion E; subst; clear E.
  - exists s. split; [now left|]. split; [exact F|]. split; [intros m'; apply refusal_means|auto].
  - exists s. split; [now left|]. split; [exact F|]. split; [discriminate|auto].
  - set (e := Core.Phase2b (S := S) me 0 (up b) v).
    exists (Core.apply S s e). split; [|split; [split|split]].
    + right. exists e. split; [reflexivity|]. split; [|reflexivity].
      split; [rewrite P; exact L|]. split; [left; exact T|].
      (* an acceptor votes for one value in a ballot, because the ballot has one *)
      destruct (Core.votes s me 0) as [[k w]|] eqn:E; auto.
      pose proof (invariant s V) as I. destruct V as [_ A].
      pose proof (CoreProof.vote_sent _ _ I _ _ _ _ E) as W.
      pose proof (CoreProof.vote_kept _ _ I _ _ _ _ W) as K.
      destruct (N.lt_trichotomy k (up b)) as [?|[->|?]]; [auto| |unfold up in *; lia].
      right. split; auto.
      destruct (CoreProof.vote_proposed _ _ I _ _ _ _ W) as [B|B]; [|destruct (A _ _ B)].
      exact (CoreProof.one_value_per_ballot _ _ I _ _ _ _ B T).
    + events. now destruct (N.eq_dec me me).
    + events. destruct (N.eq_dec me me); [|congruence]. now destruct (N.eq_dec 0 0).
    + intros m' [= <-]. open. now right.
    + intros b' v' T'. open. events. destruct T' as [?|T']; [auto|]. right. inversion T'.
      unfold up in *. cbn in *. assert (b' = b) by lia. now subst.
Qed.

(** ** The proposer *)

Lemma restart_ok s me p : fits_proposer s me p ->
  fits_proposer s me (Proposer.restart (Proposer.current p)).
Proof.
  intros (U & _ & _). split; [|split; [discriminate|exact I]].
  intros b v Hb T. split; [|exact (fun _ => I)]. now apply (U b v).
Qed.

Lemma on_propose_ok s me p client v p' t : fits_proposer s me p -> told s (propose v) ->
  Proposer.on_propose p client v = (p', t) -> fits_proposer s me p'.
Proof.
  intros (U & R & P) T. unfold Proposer.on_propose.
  destruct (Proposer.request p) eqn:E; intros [= <- <-]; (split; [exact U|split; [|exact P]]).
  - rewrite E. exact R.
  - cbn. intros ? ? [= -> ->]. exact T.
Qed.

Lemma prepare_ok s me p heard last p' m : me < width -> fits_proposer s me p ->
  Proposer.prepare p me heard last = (p', m) ->
  fits_proposer s me p' /\ (forall m', m = Some m' -> means s me m').
Proof.
  intros W (U & R & P). unfold Proposer.prepare.
  set (outbid := match Proposer.progress p with Proposer.Preempted b => Some b | _ => None end).
  set (seen := max (max (Proposer.current p) outbid) heard).
  assert (Above : rank (Proposer.current p) < rank (Some (above seen me))).
  { pose proof (above_is_above seen me).
    assert (rank (Proposer.current p) <= rank seen) by (unfold seen; rewrite !rank_max; lia). lia. }
  destruct (last <? _); intros [= <- <-]; [split; [exact (conj U (conj R P))|discriminate]|].
  split; [|intros m' [= <-]; exact I]. split; [|split; [exact R|]].
  - (* a new ballot: nothing was proposed in it *)
    intros b v Hb T. destruct (U b v Hb T) as [L _]. cbn in *. split; [lia|].
    intros [= E]. unfold up in L. cbn in L. lia.
  - exists (above seen me). split; [reflexivity|]. split; [now apply node_above|]. split.
    + intros a Ha. discriminate Ha.
    + discriminate.
Qed.

Lemma on_nack_ok s me p b p' t : fits_proposer s me p -> Proposer.on_nack p b = (p', t) ->
  fits_proposer s me p'.
Proof.
  intros F. unfold Proposer.on_nack. pose proof F as (U & R & _).
  destruct (_ && _); intros [= <- <-]; auto. split; [|split; [exact R|exact I]].
  intros b' v Hb T. split; [|exact (fun _ => I)]. now apply (U b' v).
Qed.

Lemma retire_ok s me p p' t : fits_proposer s me p -> Proposer.retire p = (p', t) ->
  fits_proposer s me p'.
Proof.
  intros (U & _ & _) [= <- <-]. split; [|split; [discriminate|exact I]].
  intros b v Hb T. split; [|exact (fun _ => I)]. now apply (U b v).
Qed.

(** A promise more, and the highest vote is the highest still. *)
Lemma collect s b promises highest from v : is_collected s b promises highest ->
  told s (promise from b v) ->
  is_collected s b (insert promises from)
    (if ballot_of_vote v >? ballot_of_vote highest then v else highest).
Proof.
  intros [A B] T.
  destruct (N.ltb_spec (rank (ballot_of_vote highest)) (rank (ballot_of_vote v))) as [L|L]; split.
  - intros a Ha. rewrite contains_insert in Ha. destruct (from =? a) eqn:E.
    + apply N.eqb_eq in E. subst a. exists v. split; auto. lia.
    + destruct (A a Ha) as (w & ? & ?). exists w. split; auto. lia.
  - intros w ->. exists from. rewrite contains_insert, N.eqb_refl. auto.
  - intros a Ha. rewrite contains_insert in Ha. destruct (from =? a) eqn:E.
    + apply N.eqb_eq in E. subst a. exists v. auto.
    + auto.
  - intros w E. destruct (B w E) as (a & Ha & Ta). exists a. rewrite contains_insert, Ha.
    now rewrite orb_true_r.
Qed.

(** What was collected from a quorum lets its ballot go on to phase 2. *)
Lemma proposal_ok s me p b promises highest v : valid s -> fits_proposer s me p ->
  Proposer.current p = Some b -> node b = me ->
  (exists promises highest, Proposer.progress p = Proposer.Preparing promises highest) ->
  is_collected s b promises highest -> is_phase1 (quorums c) promises = true ->
  match highest with Some (_, w) => v = w | None => told s (propose v) end ->
  Core.guard S s (Core.Phase2a (S := S) 0 (up b) v (fun a => contains promises a = true)).
Proof.
  intros V (U & _ & _) Hb Own Prep [A B] Q Hv. pose proof (invariant s V) as I.
  assert (Answered : Core.answered S s (fun a => contains promises a = true) 0 (up b)).
  { split.
    - exists (intersection promises (acceptors (quorums c))). split; [|split; [exact Q|]].
      + apply is_subset_spec. intro a. rewrite contains_intersection.
        destruct (contains promises a); [auto|discriminate].
      + intro a. rewrite contains_intersection. destruct (contains promises a); auto.
    - intros a Ha. destruct (A a Ha) as (w & T & _). exists (up_vote w). exact T. }
  (* one report per acceptor: what it reported is what was collected *)
  assert (Report : forall a o, contains promises a = true ->
    Core.sent s (Core.Promise (S := S) a (up b) 0 o) ->
    exists w, o = up_vote w /\ rank (ballot_of_vote w) <= rank (ballot_of_vote highest)).
  { intros a o Ha T. destruct (A a Ha) as (w & T' & L). exists w. split; auto.
    exact (CoreProof.one_report _ _ I _ _ _ _ _ T T'). }
  split; [split|].
  - intros w T. destruct (U b w Own T) as [_ N]. destruct Prep as (x & y & E). rewrite E in N. auto.
  - destruct V as [_ N]. apply N.
  - destruct highest as [[k w]|].
    + subst w. right. split; [exact Answered|]. exists (up k). split; [|split].
      * destruct (B _ eq_refl) as (a & Ha & T). exists a. split; auto.
      * intros a k' v' Ha T. destruct (Report a _ Ha T) as ([[k0 v0]|] & E & L); [|discriminate].
        cbn in E. inversion E; subst. cbn in L. unfold up. cbn. lia.
      * intro F. cbn in F. rewrite classic in F. discriminate.
    + left. split; [exact Hv|]. right. split; [exact Answered|]. intros a o Ha T.
      destruct (Report a _ Ha T) as ([[k0 v0]|] & -> & L); [|reflexivity].
      cbn in L. lia.
Qed.

(** The acceptor beside it does not change, and no vote is cast. *)
Definition spares (me : N) (s s' : abstract) : Prop :=
  (forall a, fits_acceptor s me a -> fits_acceptor s' me a) /\
  (forall b v, told s' (accepted me b v) -> told s (accepted me b v)).

Lemma spares_self me s : spares me s s.
Proof. split; auto. Qed.

Lemma on_promise_ok s me p from b v p' m : valid s -> fits_proposer s me p ->
  told s (promise from b v) -> Proposer.on_promise p from b v (quorums c) = (p', m) ->
  exists s', moves me s s' /\ spares me s s' /\
    fits_proposer s' me p' /\ (forall m', m = Some m' -> means s' me m').
Proof.
  intros V F T. unfold Proposer.on_promise. pose proof F as (U & R & P).
  assert (Same : forall p', p' = p -> exists s', moves me s s' /\
    spares me s s' /\ fits_proposer s' me p' /\
    (forall m', None = Some m' -> means s' me m')).
  { intros ? ->. exists s. split; [apply no_move|]. split; [apply spares_self|].
    split; [exact F|discriminate]. }
  destruct (negb _ || negb _) eqn:G; [intros [= <- <-]; now apply Same|].
  apply orb_false_iff in G as [G1 _]. apply negb_false_iff, is_ballot_true in G1.
  destruct (Proposer.progress p) as [|promises highest| |] eqn:Ph;
    try (intros [= <- <-]; now apply Same).
  destruct (contains promises from); [intros [= <- <-]; now apply Same|].
  destruct P as (b' & Hb & Own & Col). assert (b' = b) by congruence. subst b'.
  pose proof (collect s b promises highest from v Col T) as Col'.
  set (promises' := insert promises from) in *.
  set (highest' := if _ >? _ then v else highest) in *.
  assert (Prep : exists x y, Proposer.progress p = Proposer.Preparing x y) by eauto.
  assert (Still : forall ph,
    match ph with Proposer.Preparing x y => is_collected s b x y | _ => True end ->
    fits_proposer s me {| Proposer.current := Proposer.current p;
      Proposer.request := Proposer.request p; Proposer.progress := ph |}).
  { intros ph Hph. split; [|split; auto].
    - intros b0 v0 Hb0 T0. destruct (U b0 v0 Hb0 T0) as [L N]. cbn. split; auto.
      intro E. specialize (N E). rewrite Ph in N. contradiction.
    - cbn. destruct ph; auto. exists b. auto. }
  destruct (is_phase1 (quorums c) promises') eqn:Q.
  - assert (Go : forall w,
      match highest' with Some (_, u) => w = u | None => told s (propose w) end ->
      exists s', moves me s s' /\ spares me s s' /\
        fits_proposer s' me {| Proposer.current := Proposer.current p;
          Proposer.request := Proposer.request p; Proposer.progress := Proposer.Accepting w |} /\
        (forall m', Some (Accept (b, w)) = Some m' -> means s' me m')).
    { intros w Hw.
      pose proof (proposal_ok s me p b promises' highest' w V F G1 Own Prep Col' Q Hw) as Guard.
      set (e := Core.Phase2a (S := S) 0 (up b) w (fun a => contains promises' a = true)) in *.
      exists (Core.apply S s e).
      split; [|split; [|split]].
      - apply moves_one; [exact Guard|]. split; auto. exists b. auto.
      - split; [intros a [Pa Va]; split; auto|]. intros b0 v0 T0. open. events.
        destruct T0 as [?|?]; [auto|discriminate].
      - split; [|split].
        + intros b0 v0 Hb0 T0. cbn. open. events. destruct T0 as [T0|T0].
          * destruct (U b0 v0 Hb0 T0) as [L _]. auto.
          * inversion T0. rewrite G1. unfold up in *. cbn in *. split; auto. lia.
        + intros client v0 E. left. exact (R client v0 E).
        + exact I.
      - intros m' [= <-]. right. reflexivity. }
    destruct highest' as [[k w]|]; [intros [= <- <-]; apply Go; reflexivity|].
    destruct (Proposer.request p) as [[client w]|] eqn:Req; intros [= <- <-].
    + apply Go. exact (R client w eq_refl).
    + exists s. split; [apply no_move|]. split; [apply spares_self|].
      split; [exact (Still Proposer.Idle I)|discriminate].
  - intros [= <- <-]. exists s. split; [apply no_move|]. split; [apply spares_self|].
    split; [exact (Still (Proposer.Preparing _ _) Col')|discriminate].
Qed.

(** ** The learner *)

Lemma on_decided_ok s l v l' news : fits_learner s l -> is_chosen s v ->
  Learner.on_decided l v = (l', news) ->
  fits_learner s l' /\ (forall v', news = Some v' -> is_chosen s v').
Proof.
  intros F C. unfold Learner.on_decided. destruct (is_some _); intros [= <- <-].
  - split; [exact F|discriminate].
  - split; [|now intros ? [= <-]]. split; cbn; [discriminate|now intros ? [= <-]].
Qed.

Lemma on_accepted_ok s l from v l' news : fits_learner s l ->
  told s (accepted from (fst v) (snd v)) -> Learner.on_accepted l from v (quorums c) = (l', news) ->
  fits_learner s l' /\ (forall v', news = Some v' -> is_chosen s v').
Proof.
  intros F T. pose proof F as [A B]. unfold Learner.on_accepted.
  destruct (is_some _ || _ || _) eqn:G; [intros [= <- <-]; split; [exact F|discriminate]|].
  set (heard := match Learner.tally l with
    | Some (p, voters) => if is_vote (Some p) v then voters else 0
    | None => 0
    end).
  assert (Heard : forall a, contains (insert heard from) a = true ->
    told s (accepted a (fst v) (snd v))).
  { intros a Ha. rewrite contains_insert in Ha. destruct (from =? a) eqn:E;
      [apply N.eqb_eq in E; now subst a|].
    cbn in Ha. unfold heard in Ha. destruct (Learner.tally l) as [[p voters]|] eqn:Et;
      [|discriminate Ha].
    destruct (is_vote (Some p) v) eqn:Same; [|discriminate Ha].
    apply is_vote_true in Same. inversion Same; subst p. eauto. }
  destruct (is_phase2 (quorums c) (insert heard from)) eqn:Q.
  - intro E. eapply on_decided_ok; [exact F| |exact E].
    exists (fst v), (fun a => contains (insert heard from) a = true). split; [|exact Heard].
    cbn. unfold phase2_of. rewrite classic.
    exists (intersection (insert heard from) (acceptors (quorums c))). split; [|split; [exact Q|]].
    + apply is_subset_spec. intro a. rewrite contains_intersection.
      destruct (contains (insert heard from) a); [auto|discriminate].
    + intro a. rewrite contains_intersection. destruct (contains (insert heard from) a); auto.
  - intros [= <- <-]. split; [|discriminate]. split; cbn; [|exact B].
    intros ? ? [= <- <-] a Ha. now apply Heard.
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
Proof. intro G. exists s. split; auto using no_move. Qed.

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

Lemma good_with_proposer s p st : good s me st -> fits_proposer s me p ->
  good s me (with_proposer p st).
Proof. intros [(A & _ & L) B C D] F. constructor; auto. exact (conj A (conj F L)). Qed.

Lemma good_with_learner s l st : good s me st -> fits_learner s l -> good s me (with_learner l st).
Proof. intros [(A & P & _) B C D] F. constructor; auto. exact (conj A (conj P F)). Qed.

Hint Resolve good_leads good_send good_broadcast good_set_timer good_cancel
  good_with_proposer good_with_learner : good.

Lemma campaign_ok s st : good s me st -> good s me (campaign c me st).
Proof.
  intro G. unfold campaign. destruct (proposer (now st)) as [p|] eqn:E; auto.
  destruct (Proposer.prepare _ _ _ _) as [p' m] eqn:H.
  assert (F : fits_proposer s me p) by (destruct G as [(_ & F & _) _]; now rewrite E in F).
  destruct (prepare_ok _ _ _ _ _ _ _ is_node F H) as [F' M].
  destruct m; unfold broadcast_to_acceptors; auto 6 with good.
Qed.

Lemma ask_decision_ok s st : good s me st -> good s me (ask_decision c me st).
Proof.
  intro G. unfold ask_decision.
  assert (G' : good s me (broadcast me (filter (fun id => negb (id =? me))
    (Node.decision_audience c)) Ask st))
    by (apply good_broadcast; [auto|exact I]).
  destruct (bind _ _); [destruct (proposer _); [destruct (is_idle _)|]|]; auto with good.
Qed.

Lemma stop_ok s v st : good s me st -> is_chosen s v -> good s me (stop me v st).
Proof.
  intros G C. unfold stop. destruct (proposer (now st)) as [p|] eqn:E; auto with good.
  destruct (Proposer.retire p) as [p' waiting] eqn:H.
  assert (F : fits_proposer s me p) by (destruct G as [(_ & F & _) _]; now rewrite E in F).
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
  destruct m as [| | | |[b v]| | |]; cbn [answer]; try destruct (nacks c);
    apply Pay; auto using good_send, good_broadcast; try discriminate.
  all: intros b' v' [= <- <-]; pose proof (somebody_learns c cluster_sound) as SL;
    destruct (learners c) as [|x l] eqn:El; [contradiction|]; apply (said_broadcast _ x); now left.
Qed.

(** An acceptor's answer, with all that stands beside it. *)
Lemma acceptor_step_ok s st a' m to : valid s -> good s me st ->
  (exists s', voted me s s' /\ fits_acceptor s' me a' /\ speaks_for s s' me m) ->
  leads me s (answer c me to m (with_acceptor a' st)).
Proof.
  intros V [(_ & P & L) B C D] (s' & Vo & F & M & U). exists s'.
  assert (Mv : moves me s s').
  { destruct Vo as [->|(e & Vo & Guard & ->)]; [apply no_move|]. apply moves_one; auto.
    destruct e; cbn in *; try contradiction; auto. }
  split; auto. apply answer_ok; auto. constructor; cbn; eauto using means_stays, moves_grow.
  - split; [exact F|]. cbn. split.
    + destruct (proposer (now st)) as [p|]; auto.
      eapply fits_proposer_stays; eauto using moves_grow.
      destruct Vo as [->|(e & Vo & _ & ->)]; [apply P|]. apply (is_unused_beside me); auto. apply P.
    + destruct (learner (now st)); auto. eauto using fits_learner_stays, moves_grow.
  - intros b v T. destruct (U b v T) as [T'|T']; auto. destruct (D b v T'); [auto|discriminate].
Qed.

Lemma dispatch_ok s from m st : valid s -> good s me st -> means s from m ->
  leads me s (dispatch c me from m st).
Proof.
  intros V G M. destruct m as [v|b|b v|v|v|b|v|]; cbn in M; cbn [dispatch].
  - (* Propose *) unfold on_propose. destruct (decided (now st)) eqn:D.
    + apply (decided_chosen s) in D; auto with good.
    + destruct (proposer (now st)) as [p|] eqn:E; auto with good.
      destruct (Proposer.on_propose p from v) as [p' t] eqn:H.
      assert (F : fits_proposer s me p) by (destruct G as [(_ & F & _) _]; now rewrite E in F).
      apply (on_propose_ok _ _ _ _ _ _ _ F M) in H.
      destruct (t && is_idle p'); auto using campaign_ok with good.
  - (* Prepare *) destruct (acceptor (now st)) as [a|] eqn:E; auto with good.
    destruct (Acceptor.on_prepare a b) as [a' r] eqn:H.
    assert (F : fits_acceptor s me a) by (destruct G as [(F & _) _]; now rewrite E in F).
    eapply acceptor_step_ok; eauto using on_prepare_ok.
  - (* Promise *) unfold on_promise. destruct (proposer (now st)) as [p|] eqn:E; auto with good.
    destruct (Proposer.on_promise p from b v (quorums c)) as [p' r] eqn:H.
    assert (F : fits_proposer s me p) by (destruct G as [(_ & F & _) _]; now rewrite E in F).
    destruct (on_promise_ok _ _ _ _ _ _ _ _ V F M H) as (s' & Mv & [Acc Vo] & F' & Mr).
    exists s'. split; auto.
    assert (G' : good s' me (with_proposer p' st)).
    { destruct G as [(A & _ & L) B C D]. constructor; cbn; eauto using means_stays, moves_grow.
      split; [|split; [exact F'|]]; cbn.
      - destruct (acceptor (now st)); auto.
      - destruct (learner (now st)); auto. eauto using fits_learner_stays, moves_grow. }
    unfold broadcast_to_acceptors. destruct r, (negb _ && _); auto with good.
  - (* Accept *) destruct (acceptor (now st)) as [a|] eqn:E; auto with good.
    destruct (Acceptor.on_accept a v) as [a' r] eqn:H.
    assert (F : fits_acceptor s me a) by (destruct G as [(F & _) _]; now rewrite E in F).
    eapply acceptor_step_ok; eauto using on_accept_ok.
  - (* Accepted *) unfold on_accepted. destruct (learner (now st)) as [l|] eqn:E; auto with good.
    destruct (Learner.on_accepted l from v (quorums c)) as [l' news] eqn:H.
    assert (F : fits_learner s l) by (destruct G as [(_ & _ & F) _]; now rewrite E in F).
    destruct (on_accepted_ok _ _ _ _ _ _ F M H) as [F' N].
    destruct news as [value|]; [|auto with good].
    assert (C : means s me (Decided value)) by now apply N.
    auto 8 using stop_ok with good.
  - (* Nack *) unfold on_nack. destruct (proposer (now st)) as [p|] eqn:E; auto with good.
    destruct (Proposer.on_nack p b) as [p' t] eqn:H.
    assert (F : fits_proposer s me p) by (destruct G as [(_ & F & _) _]; now rewrite E in F).
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

Lemma leads_trans s s' st : moves me s s' -> leads me s' st -> leads me s st.
Proof. intros M (s'' & M' & G). exists s''. split; auto. eapply moves_trans; eauto. Qed.

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
  intros (A & P & L). unfold start_state, durable_of. repeat split; cbn [acceptor proposer learner].
  - cbn. destruct (is_acceptor c me); auto. destruct (acceptor st); auto. discriminate.
  - destruct (is_in (proposers c) me); auto. destruct (proposer st) as [p|]; cbn.
    + now apply restart_ok.
    + discriminate.
  - cbn. destruct (is_in_decision_audience c me); auto. split; cbn; [discriminate|]. unfold decided.
    intro v. destruct (learner st); [|discriminate]. apply L.
Qed.

Lemma on_start_ok s st : at_rest s st -> good s me (on_start c me (Some (durable_of st))).
Proof.
  intros (F & R). pose proof (begin_ok s _ (conj (start_state_ok _ _ F) R)) as G.
  unfold on_start. destruct (_ && _); auto.
  destruct (is_some (bind _ _)); auto using ask_decision_ok with good.
Qed.

End Process.

(** ** The world *)

Definition related (w : world) (s : abstract) : Prop :=
  valid s /\
  (forall me, at_rest me (sent w me) s (nodes w me)) /\
  (forall v, told s (propose v) <-> requested w v).

Lemma related_start : related (start c) (Core.start S).
Proof.
  split; [split; [constructor|auto]|]. split; [|cbn; tauto]. intro me.
  split; [|split; [contradiction|auto]]. unfold start, start_state. cbn. repeat split.
  - cbn. destruct (is_acceptor c me); auto. split; auto.
  - destruct (is_in (proposers c) me); [|reflexivity].
    split; [|split; [discriminate|exact I]]. intros b v _ [].
  - destruct (is_in_decision_audience c me); [|exact I]. split; discriminate.
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
    + destruct V as [V A]. split; [now constructor|].
      intros i b [H|H]; [eapply A; eauto|discriminate].
    + intro x. destruct (R x) as ((Fa & Fp & Fl) & A & U). split; [|split].
      * split; [|split].
        -- cbn. destruct (acceptor (nodes w x)); auto.
        -- cbn. destruct (proposer (nodes w x)); auto. eapply fits_proposer_stays; eauto.
           intros b u Hb [T|T]; [|discriminate]. now apply (proj1 Fp b u).
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
  - cbn. unfold phase2_of. rewrite classic.
    exists (intersection voters (acceptors (quorums c))). split; [|split; [exact Q|]].
    + apply is_subset_spec. intro a. rewrite contains_intersection.
      destruct (contains voters a); [auto|discriminate].
    + intro a. rewrite contains_intersection. destruct (contains voters a); auto.
  - intros a Ha. destruct (R a) as (_ & A & _). exact (A _ (H a Ha)).
Qed.

Lemma chosen_down w s b v : related w s -> Core.chosen S s 0 (up b) v -> chosen c w b v.
Proof.
  intros (_ & R & _) (P & (heard & Sub & Q & HP) & V). cbn in Q. unfold phase2_of in Q.
  rewrite classic in Q. exists heard. split.
  - unfold is_phase2. enough (intersection heard (acceptors (quorums c)) = heard) as -> by auto.
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
  intros [V _] C C'.
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
  destruct (decided_up _ _ _ _ Rel D) as (b & C). destruct Rel as ((V & _) & _ & Q).
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
  - intros b v T. destruct Rel' as (_ & R' & _). destruct (R' me) as (_ & A & _). apply A in T.
    destruct (V b v T) as [T'|L]; [left|right; unfold up in L; lia].
    destruct Rel as (_ & R0 & _). destruct (R0 me) as (_ & _ & U). auto.
Qed.

Theorem one_value_per_ballot : OneValuePerBallot c.
Proof.
  intros w a a' b v v' R T T'. destruct (refines w R) as (s & V & Rel & _).
  destruct (Rel a) as (_ & A & _), (Rel a') as (_ & A' & _).
  apply A in T. apply A' in T'. pose proof (invariant s V) as I. destruct V as [_ N].
  destruct (CoreProof.vote_proposed _ _ I _ _ _ _ T) as [P|P]; [|destruct (N _ _ P)].
  destruct (CoreProof.vote_proposed _ _ I _ _ _ _ T') as [P'|P']; [|destruct (N _ _ P')].
  exact (CoreProof.one_value_per_ballot _ _ I _ _ _ _ P P').
Qed.

End Refinement.
