(** * From the handlers of Multi-Paxos to the general system

    What the states and messages of the handlers say of a state of [Core], and the steps
    of [Core] that a process may take. *)

From Coq Require Import NArith Arith List Lia Bool.
From Synod Require Import Vocabulary Quorum.
From Synod Require Core CoreProof.
From Synod.multi Require Import Table Session Log Snapshot Protocol Node Network.
From Synod.multi Require Acceptor Leadership Leader Learner.
Import ListNotations.
Open Scope N_scope.

Section Refinement.
Variable c : cluster.
Hypothesis cluster_sound : sound c.
Lemma law : is_lawful (quorums c) = true.
Proof. apply cluster_sound. Qed.
Lemma classic b : is_fast (quorums c) b = false.
Proof. apply cluster_sound. Qed.

Notation S := (setting_of entry entry_eq (quorums c)).
Notation abstract := (Core.state S).
Notation event := (Core.event S).

(** ** The map from one level to the other *)

(** Ballot 0 of [Core] is "none yet". *)
Definition up (b : ballot) : N := rank (Some b).
Definition up_vote (v : option vote) : option (N * entry) :=
  option_map (fun v => (up (fst v), snd v)) v.
Definition ballot_of (v : option vote) : option ballot := option_map fst v.

Definition told (s : abstract) (m : Core.message S) : Prop := Core.sent s m.
Definition promise (a : N) (b : ballot) (i : N) (v : option vote) : Core.message S :=
  Core.Promise (S := S) a (up b) i (up_vote v).
Definition accept (i : N) (b : ballot) (e : entry) : Core.message S :=
  Core.Accept (S := S) i (up b) e.
Definition accepted (a i : N) (b : ballot) (e : entry) : Core.message S :=
  Core.Accepted (S := S) a i (up b) e.
Definition propose (e : entry) : Core.message S := Core.Propose (S := S) e.
Definition is_chosen (s : abstract) (i : N) (e : entry) : Prop :=
  exists b, Core.chosen S s i (up b) e.

(** Something was proposed in ballot [b]. *)
Definition used (s : abstract) (b : ballot) : Prop := exists i e, told s (accept i b e).

(** All that is proposed in [b] below [upto] is chosen. *)
Definition settled (s : abstract) (b : ballot) (upto : N) : Prop :=
  forall i e, i < upto -> told s (accept i b e) -> is_chosen s i e.

(** Each entry is chosen for the slot of its place. *)
Definition is_prefix (s : abstract) (l : list entry) : Prop :=
  forall n e, nth_error l n = Some e -> is_chosen s (N.of_nat n) e.

Definition replayed (l : list entry) : sessions := Learner.replay (program_of c) (initial c) l.
Definition bytes_after (l : list entry) : list N := encode (encoding_of c) (replayed l).

(** ** Steps of the general system that a process takes *)

(** The events that are [me]'s to cause. *)
Definition own (me : N) (e : event) : Prop :=
  match e with
  | Core.Request _ => True
  | Core.Phase1b a _ _ => a = me
  | Core.Phase2b a _ _ _ => a = me
  | Core.Phase2a i b _ _ => exists b', b = up b' /\ node b' = me
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

Lemma grows_trans s s' s'' : grows s s' -> grows s' s'' -> grows s s''.
Proof. unfold grows. auto. Qed.

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
    + destruct H as [?|?]; [auto|discriminate].
    + destruct H as [?|(? & _ & ?)]; [auto|discriminate].
    + destruct H as [?|?]; [auto|discriminate].
    + destruct H as [?|?]; [auto|discriminate].
Qed.

Lemma invariant s : valid s -> CoreProof.Invariant S s.
Proof.
  intros [R _]. apply CoreProof.invariant; [apply checked_is_lawful_of, law|exact R].
Qed.

Lemma chosen_stays s s' i e : grows s s' -> is_chosen s i e -> is_chosen s' i e.
Proof.
  intros M [b (R & HR & V)]. exists b, R. split; auto. intros a Ra. apply M. exact (V a Ra).
Qed.

Lemma prefix_stays s s' l : grows s s' -> is_prefix s l -> is_prefix s' l.
Proof. intros M P n e H. eauto using chosen_stays. Qed.

Lemma used_stays s s' b : grows s s' -> used s b -> used s' b.
Proof. intros M (i & e & T). exists i, e. auto. Qed.

Lemma chosen_once s i e e' : valid s -> is_chosen s i e -> is_chosen s i e' -> e = e'.
Proof.
  intros [V _] [b C] [b' C'].
  exact (CoreProof.agreement S (checked_is_lawful_of _ _ _ law) s i _ _ _ _ V C C').
Qed.

(** Of two prefixes of the same length there is one. *)
Lemma prefix_once s l l' : valid s -> is_prefix s l -> is_prefix s l' -> length l = length l' ->
  l = l'.
Proof.
  intros V P P' L. apply (nth_ext l l' Noop Noop L). intros n Hn.
  apply (chosen_once s (N.of_nat n)); auto; [apply P|apply P']; apply nth_error_nth'; lia.
Qed.

(** One proposal in a slot and a ballot, and all votes are for it. *)
Lemma accept_once s i b e e' : valid s -> told s (accept i b e) -> told s (accept i b e') -> e = e'.
Proof.
  intros V T T'. exact (CoreProof.one_value_per_ballot _ _ (invariant s V) _ _ _ _ T T').
Qed.

Lemma accepted_accept s a i b e : valid s -> told s (accepted a i b e) -> told s (accept i b e).
Proof.
  intros V T. destruct (CoreProof.vote_proposed _ _ (invariant s V) _ _ _ _ T) as [P|P]; auto.
  destruct V as [_ N]. destruct (N _ _ P).
Qed.

(** Enough votes choose. *)
Lemma votes_choose s i b e voters : is_phase2 (quorums c) voters = true ->
  (forall a, contains voters a = true -> told s (accepted a i b e)) -> is_chosen s i e.
Proof.
  intros Q V. exists b, (fun a => contains voters a = true). split; [|exact V].
  cbn. unfold phase2_of. rewrite classic.
  exists (intersection voters (acceptors (quorums c))). split; [|split; [exact Q|]].
  - apply is_subset_spec. intro a. rewrite contains_intersection.
    destruct (contains voters a); [auto|discriminate].
  - intro a. rewrite contains_intersection. destruct (contains voters a); auto.
Qed.

(** ** Other processes' steps *)

Lemma moves_promised me x s s' : moves me s s' -> x <> me ->
  Core.promised s' x = Core.promised s x /\ forall i, Core.votes s' x i = Core.votes s x i.
Proof.
  intros M NE. induction M as [|s' e M IH G O]; auto. destruct IH as [P V].
  rewrite <- P. setoid_rewrite <- V.
  destruct e; cbn in O; try contradiction; subst; split; auto; events;
    now destruct (N.eq_dec x me).
Qed.

(** A process proposes in its own ballots only. *)
Lemma moves_accept me s s' i b e : moves me s s' -> node b <> me ->
  told s' (accept i b e) -> told s (accept i b e).
Proof.
  intros M NE. induction M as [|s' ev M IH G O]; auto. intro T. apply IH. open.
  destruct ev; cbn in O; try contradiction; events.
  - destruct T as [?|?]; [auto|discriminate].
  - destruct T as [?|(? & _ & ?)]; [auto|discriminate].
  - destruct T as [?|T]; [auto|]. exfalso. inversion T; subst. destruct O as (b' & E & N).
    unfold up in E. cbn in E. assert (b = b') by lia. congruence.
  - destruct T as [?|?]; [auto|discriminate].
Qed.

(** Nor does it vote for others. *)
Lemma moves_accepted me x s s' i b e : moves me s s' -> x <> me ->
  told s' (accepted x i b e) -> told s (accepted x i b e).
Proof.
  intros M NE. induction M as [|s' ev M IH G O]; auto. intro T. apply IH. open.
  destruct ev; cbn in O; try contradiction; events.
  - destruct T as [?|?]; [auto|discriminate].
  - destruct T as [?|(? & _ & ?)]; [auto|discriminate].
  - destruct T as [?|?]; [auto|discriminate].
  - destruct T as [?|T]; [auto|]. inversion T. congruence.
Qed.

(** Promises rise, and votes are cast at or above them. *)
Definition rises (s s' : abstract) : Prop := forall a,
  Core.promised s a <= Core.promised s' a /\
  forall i b e, told s' (accepted a i b e) ->
    told s (accepted a i b e) \/ Core.promised s a <= up b.

Lemma moves_rise me s s' : moves me s s' -> rises s s'.
Proof.
  intros M a. induction M as [|s' ev M [P V] G O]; [split; [lia|auto]|]. open.
  destruct ev; cbn in O; try contradiction; cbn in G; split.
  - auto.
  - intros i' b' e' [T|T]; [auto|discriminate].
  - events. destruct (N.eq_dec a a0); [subst; lia|auto].
  - intros i' b' e' [T|(? & _ & ?)]; [auto|discriminate].
  - auto.
  - intros i' b' e' [T|?]; [auto|discriminate].
  - events. destruct (N.eq_dec a a0); [subst; lia|auto].
  - intros i' b' e' [T|T]; [auto|]. right. inversion T; subst. lia.
Qed.

(** ** What a leader may propose *)

(** A quorum has promised [b], and reported no vote in slot [i]. *)
Definition is_free (s : abstract) (b : ballot) (i : N) : Prop :=
  Core.phase1 S (up b) (fun a => told s (promise a b i None)).

(** A quorum has promised [b], and [e] has the highest vote that it reported in [i]. *)
Definition is_bound (s : abstract) (b : ballot) (i : N) (e : entry) : Prop :=
  exists k, Core.phase1 S (up b) (fun a => exists o, told s (promise a b i o) /\
      rank (ballot_of o) <= rank (Some k)) /\
    exists a, told s (promise a b i (Some (k, e))).

(** What changes when [l] is proposed in ballot [b]. *)
Record proposes (asked : entry -> Prop) (s s' : abstract) (b : ballot) (l : list (N * entry))
    : Prop := Proposes {
  same_promised : forall a, Core.promised s' a = Core.promised s a;
  same_votes : forall a i, Core.votes s' a i = Core.votes s a i;
  same_promises : forall a k i o,
    Core.sent s' (Core.Promise (S := S) a k i o) <-> Core.sent s (Core.Promise (S := S) a k i o);
  same_accepted : forall a i k e,
    told s' (accepted a i k e) <-> told s (accepted a i k e);
  new_accepts : forall i k e,
    told s' (accept i k e) <-> told s (accept i k e) \/ k = b /\ In (i, e) l;
  new_proposals : forall e, told s' (propose e) -> told s (propose e) \/ asked e }.

Lemma proposes_nothing asked s b : proposes asked s s b [].
Proof. constructor; cbn; intuition. Qed.

Lemma proposal_guard s b i e : valid s -> (forall e', ~ told s (accept i b e')) ->
  told s (propose e) /\ is_free s b i \/ is_bound s b i e ->
  exists Q, Core.guard S s (Core.Phase2a (S := S) i (up b) e Q).
Proof.
  intros V New H. pose proof (invariant s V) as I.
  assert (F : Core.fresh S s i (up b)).
  { split; [exact New|]. destruct V as [_ N]. apply N. }
  destruct H as [[P H]|(k & H & a0 & T0)].
  - exists (fun a => told s (promise a b i None)). split; [exact F|]. left. split; [exact P|].
    right. split; [split; [exact H|]|].
    + intros a T. now exists None.
    + intros a o T T'. exact (CoreProof.one_report _ _ I _ _ _ _ _ T' T).
  - set (P := fun a => exists o, told s (promise a b i o) /\ rank (ballot_of o) <= rank (Some k)).
    exists P. split; [exact F|]. right.
    assert (Report : forall a o, P a -> Core.sent s (Core.Promise (S := S) a (up b) i o) ->
      exists w, o = up_vote w /\ rank (ballot_of w) <= rank (Some k)).
    { intros a o (w & T & L) T'. exists w. split; auto.
      exact (CoreProof.one_report _ _ I _ _ _ _ _ T' T). }
    split; [split; [exact H|]|].
    + intros a (o & T & _). now exists (up_vote o).
    + exists (up k). split; [|split].
      * exists a0. split; [|exact T0]. exists (Some (k, e)). split; [exact T0|]. cbn. lia.
      * intros a k' v' Pa T. destruct (Report a _ Pa T) as ([[k0 v0]|] & E & L); [|discriminate].
        cbn in E. inversion E; subst. unfold up. cbn in *. lia.
      * intro Fast. cbn in Fast. rewrite classic in Fast. discriminate.
Qed.

Lemma is_free_stays s s' b i : grows s s' -> is_free s b i -> is_free s' b i.
Proof.
  intros M (heard & A & B & H). exists heard. split; [exact A|split; [exact B|]].
  intros a Ha. apply M. exact (H a Ha).
Qed.

Lemma is_bound_stays s s' b i e : grows s s' -> is_bound s b i e -> is_bound s' b i e.
Proof.
  intros M (k & (heard & A & B & H) & a & T). exists k. split; [|exists a; auto].
  exists heard. split; [exact A|split; [exact B|]].
  intros a' Ha. destruct (H a' Ha) as (o & T' & L). exists o. auto.
Qed.

(** Proposals for several slots, one after the other. *)
Lemma propose_all me (asked : entry -> Prop) b l : forall s, valid s -> node b = me ->
  NoDup (map fst l) ->
  (forall i e, In (i, e) l -> (forall e', ~ told s (accept i b e')) /\
     (asked e /\ is_free s b i \/ is_bound s b i e)) ->
  exists s', moves me s s' /\ proposes asked s s' b l.
Proof.
  induction l as [|[i e] l IH]; intros s V Own ND H.
  { exists s. split; [apply no_move|apply proposes_nothing]. }
  inversion ND as [|? ? NI ND']; subst. cbn in NI.
  destruct (H i e (or_introl eq_refl)) as [New Why].
  (* a client may want it *)
  assert (exists s1, moves (node b) s s1 /\ proposes asked s s1 b [] /\
    (told s1 (propose e) /\ is_free s1 b i \/ is_bound s1 b i e)) as (s1 & M1 & E1 & W1).
  { destruct Why as [[A F]|B].
    - set (ev := Core.Request (S := S) e). exists (Core.apply S s ev).
      assert (M : moves (node b) s (Core.apply S s ev)) by (apply moves_one; cbn; auto).
      split; [exact M|]. split.
      + constructor; [reflexivity|reflexivity| | | |]; intros; open; events.
        * split; [intros [?|?]; [auto|discriminate]|auto].
        * split; [intros [?|?]; [auto|discriminate]|auto].
        * split; [intros [?|?]; [auto|discriminate]|intros [?|[_ []]]; auto].
        * destruct H0 as [?|T]; [auto|]. right. now inversion T.
      + left. split; [now right|]. eapply is_free_stays; [|exact F]. now apply moves_grow in M.
    - exists s. split; [apply no_move|]. split; [apply proposes_nothing|auto]. }
  assert (V1 : valid s1) by (eapply moves_valid; eauto).
  assert (New1 : forall e', ~ told s1 (accept i b e')).
  { intros e' T. apply (new_accepts _ _ _ _ _ E1) in T as [T|[_ []]]. exact (New _ T). }
  destruct (proposal_guard s1 b i e V1 New1 W1) as (Q & G).
  set (ev := Core.Phase2a (S := S) i (up b) e Q) in *. set (s2 := Core.apply S s1 ev).
  assert (M2 : moves (node b) s1 s2) by (apply moves_one; [exact G|]; exists b; auto).
  assert (A2 : forall j k e', told s2 (accept j k e') <->
    told s (accept j k e') \/ k = b /\ (j, e') = (i, e)).
  { intros j k e'. pose proof (new_accepts _ _ _ _ _ E1 j k e') as X. unfold s2. open. events.
    split.
    - intros [T|T]; [apply X in T as [T|[_ []]]; auto|]. right. inversion T; subst.
      unfold up in *. cbn in *. split; [lia|congruence].
    - intros [T|[-> [= -> ->]]]; [left; apply X; auto|now right]. }
  destruct (IH s2) as (s3 & M3 & E3); auto.
  - eapply moves_valid; eauto.
  - intros j e' Hj. destruct (H j e' (or_intror Hj)) as [N W]. split.
    + intros e'' T. apply A2 in T as [T|[_ [= -> ->]]]; [exact (N _ T)|].
      apply NI. change i with (fst (i, e')). now apply in_map.
    + assert (Gr : grows s s2).
      { eapply grows_trans; eapply moves_grow; [exact M1|exact M2]. }
      destruct W as [[? ?]|?]; eauto using is_free_stays, is_bound_stays.
  - exists s3. split; [eapply moves_trans; [eapply moves_trans; [exact M1|exact M2]|exact M3]|].
    destruct E1 as [P1 V1' R1 B1 _ Q1], E3 as [P3 V3 R3 B3 A3 Q3]. constructor.
    + intro a. rewrite P3. cbn. apply P1.
    + intros a j. rewrite V3. cbn. apply V1'.
    + intros a k j o. rewrite R3. cbn. rewrite <- R1. split; [|left; auto].
      intros [T|T]; [auto|discriminate].
    + intros a j k e'. rewrite B3, <- B1. unfold s2. open. events. split; [|auto].
      intros [T|T]; [auto|discriminate].
    + intros j k e'. rewrite A3, A2. cbn. intuition congruence.
    + intros e' T. apply Q3 in T as [T|T]; [|auto]. unfold s2 in T. open. events.
      destruct T as [T|T]; [|discriminate]. apply Q1 in T. exact T.
Qed.

End Refinement.
