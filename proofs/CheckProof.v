(** * The checker is right

    What the checker remembers stands for a state of [Core], [stands_for], and what it
    lets happen is a step of [Core], or none. *)

From Coq Require Import NArith Arith List Lia Bool.
From Synod Require Import Quorum Map Check.
From Synod Require Core CoreProof.
Import ListNotations.
Open Scope N_scope.

Section Proof.
Variable c : system.
Hypothesis law : is_lawful c = true.

Notation S := (setting c).
Notation state := (Core.state S).

Definition told (s : state) (m : Core.message S) : Prop := Core.sent s m.
Definition promise (a b i : N) (o : option (N * N)) : Core.message S :=
  Core.Promise (S := S) a b i o.
Definition accept (i b v : N) : Core.message S := Core.Accept (S := S) i b v.
Definition accept_any (i b : N) : Core.message S := Core.AcceptAny (S := S) i b.
Definition accepted (a i b v : N) : Core.message S := Core.Accepted (S := S) a i b v.
Definition propose (v : N) : Core.message S := Core.Propose (S := S) v.
Definition inside (Q : set) : N -> Prop := fun a => contains Q a = true.

Record stands_for (m : memory) (s : state) : Prop := {
  same_promise : forall a, Core.promised s a = promised m a;
  same_log : forall a i, Core.votes s a i = find2 a i (logs m);
  same_request : forall v, find v (requests m) <> None -> told s (propose v);
  same_report : forall a b i o, told s (promise a b i o) <-> reported m i b a = Some o;
  same_proposal : forall i b v, told s (accept i b v) <-> find2 i b (proposals m) = Some v;
  same_opening : forall i b, told s (accept_any i b) <-> find2 i b (openings m) <> None;
  same_vote : forall a i b v, find a (row b (row i (ballots m))) = Some v ->
    told s (accepted a i b v) }.

Ltac bools := repeat match goal with
  | H : _ && _ = true |- _ => apply andb_prop in H; destruct H
  | H : negb _ = true |- _ => apply negb_true_iff in H
  | H : (_ <? _) = true |- _ => apply N.ltb_lt in H
  | H : (_ <=? _) = true |- _ => apply N.leb_le in H
  | H : (_ =? _) = true |- _ => apply N.eqb_eq in H
  end.

Lemma has_true {X} (o : option X) : has o = true -> o <> None.
Proof. destruct o; cbn; congruence. Qed.

Lemma has_false {X} (o : option X) : has o = false -> o = None.
Proof. destruct o; cbn; congruence. Qed.

Lemma is_true {X} (o : option X) t : is o t = true -> exists x, o = Some x /\ t x = true.
Proof. destruct o; cbn; [eauto|discriminate]. Qed.

Lemma fresh_ok m s i b : stands_for m s -> is_fresh m i b = true -> Core.fresh S s i b.
Proof.
  intros R H. unfold is_fresh in H. bools. apply has_false in H, H0. split.
  - intros w T. apply (same_proposal _ _ R) in T. congruence.
  - intro T. apply (same_opening _ _ R) in T. congruence.
Qed.

Lemma answered_ok m s Q i b : stands_for m s -> is_answered c m Q i b = true ->
  Core.answered S s (inside Q) i b.
Proof.
  intros R H. unfold is_answered in H. bools. split.
  - exists Q. repeat split; auto.
  - intros a Ha. rewrite forallb_forall in H0. specialize (H0 a (proj2 (in_members Q a) Ha)).
    destruct (reported m i b a) as [o|] eqn:E; [|discriminate]. exists o.
    now apply (same_report _ _ R).
Qed.

Lemma unbound_ok m s Q i b : stands_for m s -> is_unbound m Q i b = true ->
  Core.unbound S s (inside Q) i b.
Proof.
  intros R H a o Ha T. unfold is_unbound in H. rewrite forallb_forall in H.
  specialize (H a (proj2 (in_members Q a) Ha)). apply (same_report _ _ R) in T. rewrite T in H.
  destruct o; [discriminate|auto].
Qed.

Lemma free_ok m s Q i b : stands_for m s -> is_free c m Q i b = true ->
  Core.free S s (inside Q) i b.
Proof.
  intros R H. unfold is_free in H. apply orb_prop in H as [H|H]; bools; [now left|right].
  split; [eapply answered_ok|eapply unbound_ok]; eauto.
Qed.

Lemma highest_is_highest m Q i b a k v : In a (members Q) ->
  reported m i b a = Some (Some (k, v)) -> k <= highest m Q i b.
Proof.
  unfold highest. induction (members Q) as [|x l IH]; [easy|]. cbn. intros [->|H] E.
  - rewrite E. lia.
  - specialize (IH H E). destruct (reported m i b x) as [[[? ?]|]|]; lia.
Qed.

Lemma has_reported_spec m i b k w a :
  has_reported m i b k w a = true <-> reported m i b a = Some (Some (k, w)).
Proof.
  unfold has_reported. destruct (reported m i b a) as [[[k' w']|]|]; split; intro H;
    try discriminate.
  - bools. now subst.
  - inversion H. now rewrite !N.eqb_refl.
Qed.

Lemma bound_ok m s Q i b v : stands_for m s -> is_answered c m Q i b = true ->
  is_bound c m Q i b v = true -> Core.bound S s (inside Q) i b v.
Proof.
  intros R HA H. unfold is_bound in H. set (k := highest m Q i b) in *. bools.
  exists k. split; [|split].
  - apply existsb_exists in H as (a & Ha & T). exists a. split; [now apply in_members|].
    now apply (same_report _ _ R), has_reported_spec.
  - intros a k' v' Ha T. apply (same_report _ _ R) in T. eapply highest_is_highest; eauto.
    now apply in_members.
  - intros F w NE P HP. cbn in F. rewrite F in H0. cbn in H0.
    cbn in HP. unfold phase2_of in HP. rewrite F in HP.
    assert (NotTold : forall a, contains Q a = true -> has_reported m i b k w a = false ->
      ~ told s (promise a b i (Some (k, w)))).
    { intros a Ha E T. apply (same_report _ _ R), has_reported_spec in T. congruence. }
    destruct (existsb (has_reported m i b k w) (members Q)) eqn:X.
    + (* another value was reported: it cannot have been chosen *)
      apply existsb_exists in X as (a & Ha & T). unfold is_only in H0.
      rewrite forallb_forall in H0. specialize (H0 a Ha). apply has_reported_spec in T.
      rewrite T, N.eqb_refl in H0. cbn in H0. apply orb_prop in H0 as [H0|B]; [bools; congruence|].
      destruct (blocks_true _ _ _ _ B HP) as (x & Hx & Px). rewrite contains_difference in Hx.
      bools. rewrite contains_those, H0 in H1. cbn in H1. eauto.
    + (* it was not: a member of every quorum did not vote for it *)
      unfold is_answered in HA. bools. unfold is_lawful in law.
      assert (Meet : meet (acceptors c) (phase1 c) (phase2_fast c) = true).
      { pose proof law as L. repeat (apply andb_prop in L as [L ?]). auto. }
      destruct (meet_true _ _ _ (inside Q) P Meet) as (x & Hx & Px);
        [exists Q; repeat split; auto|exact HP|].
      exists x. repeat split; auto. apply NotTold; auto.
      destruct (has_reported m i b k w x) eqn:E; auto. rewrite <- X. symmetry.
      apply existsb_exists. exists x. split; auto. now apply in_members.
Qed.

Lemma chosen_ok m s i b v : stands_for m s ->
  is_met_by (phase2_of c b) (voters c m i b v) = true -> Core.chosen S s i b v.
Proof.
  intros R H. exists (inside (voters c m i b v)). split.
  - exists (voters c m i b v). repeat split; auto. apply is_subset_spec. intro a.
    unfold voters. rewrite contains_those. destruct (contains (acceptors c) a); auto.
  - intros a Ha. unfold inside, voters in Ha. rewrite contains_those in Ha. bools.
    apply is_true in H1 as (w & E & T). bools. subst w. now apply (same_vote _ _ R).
Qed.

Ltac open := unfold told, promise, accept, accept_any, accepted, propose in *; cbn in *;
  unfold Core.send, Core.send_promise, Core.update, Core.update_slot in *; cbn in *.

(** An entry leaves alone what it does not speak of. *)
Ltac kept R := split;
  [intros [T|T]; [now apply R|
    first [inversion T; congruence|destruct T as (? & _ & T); inversion T; congruence]]
  |intro T; left; now apply R].

(** What may happen is a step of [Core], or none; and what is remembered of it stands
    for what becomes of the state. *)
Lemma step_ok m s e m' : stands_for m s -> step c m e = Some m' ->
  exists s', stands_for m' s' /\
  (s' = s \/ exists e', Core.guard S s e' /\ s' = Core.apply S s e').
Proof.
  intros R H. unfold step in H. destruct (may_happen c m e) eqn:G; [|discriminate].
  inversion H; subst m'; clear H. unfold may_happen in G. apply andb_prop in G as [_ G].
  pose proof R as [P L Rq Rp Pr Op Vo]. destruct e; cbn [remember].
  - (* Requested *) set (e := Core.Request (S := S) v). exists (Core.apply S s e).
    split; [|right; exists e; split; [exact I|reflexivity]]. constructor; open.
    + exact P.
    + exact L.
    + intros w. rewrite find_put. destruct (N.eq_dec w v) as [->|]; auto.
    + intros a b i o. kept Rp.
    + intros i b w. kept Pr.
    + intros i b. kept Op.
    + intros a i b w T. left. now apply Vo.
  - (* Promised *) bools. set (e := Core.Phase1b (S := S) a b from). exists (Core.apply S s e).
    split; [|right; exists e; split; [cbn; now rewrite P|reflexivity]]. constructor; open.
    + intro x. unfold promised. cbn. rewrite find_put. destruct (N.eq_dec x a); auto. apply P.
    + exact L.
    + intros w Hw. left. now apply Rq.
    + intros x b' i o. unfold reported. cbn. rewrite find2_put2.
      assert (Else : ~ (b' = b /\ x = a) -> (told s (promise x b' i o) \/
          (exists j, from <= j /\ promise x b' i o = promise a b j (Core.votes s a j))) <->
          reported m i b' x = Some o).
      { intro NE. rewrite <- Rp. split; [intros [T|(j & _ & T)]; [auto|]|auto].
        inversion T. tauto. }
      destruct (N.eq_dec b' b) as [->|]; [destruct (N.eq_dec x a) as [->|]|];
        try (apply Else; intros [? ?]; congruence).
      apply has_false in H1. destruct (from <=? i) eqn:F.
      * bools. split.
        -- intros [T|(j & Hj & T)].
           ++ apply Rp in T. unfold reported in T. rewrite H1 in T. discriminate.
           ++ inversion T. now rewrite L.
        -- intros [= <-]. right. exists i. split; auto. now rewrite L.
      * apply N.leb_gt in F. split; [|discriminate]. intros [T|(j & Hj & T)].
        -- apply Rp in T. unfold reported in T. rewrite H1 in T. discriminate.
        -- inversion T. lia.
    + intros i b' w. kept Pr.
    + intros i b'. kept Op.
    + intros x i b' w T. left. now apply Vo.
  - (* Proposed *) bools. set (e := Core.Phase2a (S := S) i b v (inside Q)).
    exists (Core.apply S s e).
    split; [|right; exists e; split; [|reflexivity]].
    + constructor; open.
      * exact P.
      * exact L.
      * intros w Hw. left. now apply Rq.
      * intros a b' j o. kept Rp.
      * intros j b' w. rewrite find2_put2. unfold is_fresh in H. bools. apply has_false in H.
        destruct (N.eq_dec j i) as [->|]; [destruct (N.eq_dec b' b) as [->|]|];
          try (kept Pr).
        split; [intros [T|T]; [apply Pr in T; congruence|now inversion T]|intros [= <-]; auto].
      * intros j b'. kept Op.
      * intros a j b' w T. left. now apply Vo.
    + split; [eapply fresh_ok; eauto|]. apply orb_prop in H0 as [H0|H0]; bools; [left|right].
      * split; [apply Rq, has_true; auto|eapply free_ok; eauto].
      * split; [eapply answered_ok|eapply bound_ok]; eauto.
  - (* Opened *) bools. set (e := Core.Phase2aAny (S := S) i b (inside Q)).
    exists (Core.apply S s e).
    split; [|right; exists e; split; [|reflexivity]].
    + constructor; open.
      * exact P.
      * exact L.
      * intros w Hw. left. now apply Rq.
      * intros a b' j o. kept Rp.
      * intros j b' w. kept Pr.
      * intros j b'. rewrite find2_put2.
        destruct (N.eq_dec j i) as [->|]; [destruct (N.eq_dec b' b) as [->|]|];
          try (kept Op).
        split; [congruence|auto].
      * intros a j b' w T. left. now apply Vo.
    + split; [auto|]. split; [eapply fresh_ok|eapply free_ok]; eauto.
  - (* Voted *) unfold may_vote in G. bools. set (e := Core.Phase2b (S := S) a i b v).
    exists (Core.apply S s e). split; [|right; exists e; split; [|reflexivity]].
    + constructor; open.
      * intro x. unfold promised. cbn. rewrite find_put. destruct (N.eq_dec x a); auto. apply P.
      * intros x j. rewrite find2_put2. destruct (N.eq_dec x a) as [->|]; auto.
        destruct (N.eq_dec j i); auto.
      * intros w Hw. left. now apply Rq.
      * intros x b' j o. kept Rp.
      * intros j b' w. kept Pr.
      * intros j b'. kept Op.
      * intros x j b' w. rewrite row_put. destruct (N.eq_dec j i) as [->|]; [|left; now apply Vo].
        rewrite row_put. destruct (N.eq_dec b' b) as [->|]; [|left; now apply Vo].
        rewrite find_put. destruct (N.eq_dec x a) as [->|]; [|left; now apply Vo].
        intros [= <-]. now right.
    + split; [rewrite P; auto|]. split.
      * apply orb_prop in H1 as [H1|H1]; bools.
        -- left. apply Pr. apply is_true in H1 as (w & E & T). bools. now subst.
        -- right. split; [apply Op, has_true; auto|apply Rq, has_true; auto].
      * rewrite L. destruct (find2 a i (logs m)) as [[k w]|]; auto.
        apply orb_prop in H0 as [H0|H0]; bools; auto.
  - (* Learned *) exists s. auto.
  - (* Restarted *) exists s. auto.
Qed.

Lemma nothing_ok : stands_for nothing (Core.start S).
Proof.
  constructor.
  - intro a. unfold promised. cbn. now rewrite find_empty.
  - intros a i. cbn. now rewrite find2_empty.
  - intros v H. cbn in H. rewrite find_empty in H. congruence.
  - intros a b i o. unfold reported. cbn. rewrite find2_empty. split; [intros []|discriminate].
  - intros i b v. cbn. rewrite find2_empty. split; [intros []|discriminate].
  - intros i b. cbn. rewrite find2_empty. split; [intros []|congruence].
  - intros a i b v H. cbn in H. unfold row in H. rewrite !find_empty in H. discriminate.
Qed.

Lemma run_ok t : forall m s m', stands_for m s -> Core.reachable S s -> run c m t = Some m' ->
  exists s', Core.reachable S s' /\
    (forall i b v, Core.chosen S s i b v -> Core.chosen S s' i b v) /\
    (forall i b v, In (Learned i b v) t -> Core.chosen S s' i b v).
Proof.
  induction t as [|e t IH]; cbn; intros m s m' R HR H.
  - exists s. split; [auto|]. split; [auto|contradiction].
  - destruct (step c m e) as [m1|] eqn:E; [|discriminate].
    destruct (step_ok _ _ _ _ R E) as (s1 & R1 & D).
    assert (HR1 : Core.reachable S s1) by (destruct D as [->|(e' & G & ->)];
      [auto|now constructor]).
    assert (M : forall i b v, Core.chosen S s i b v -> Core.chosen S s1 i b v).
    { destruct D as [->|(e' & G & ->)]; auto. intros. now apply CoreProof.stability. }
    destruct (IH _ _ _ R1 HR1 H) as (s' & HR' & M' & L'). exists s'. split; [auto|].
    split; [auto|]. intros i b v [->|Hin]; auto. apply M', M. unfold step, may_happen in E.
    destruct (is_known c (Learned i b v) && _) eqn:G; [|discriminate]. bools.
    eapply chosen_ok; eauto.
Qed.

End Proof.

Theorem sound : Sound.
Proof.
  intros c t H. unfold check in H. apply andb_prop in H as [law H].
  destruct (run c nothing t) as [m|] eqn:E; [|discriminate].
  destruct (run_ok c law t _ _ _ (nothing_ok c) (Core.reachable_start _) E) as (s & R & _ & L).
  exists s. split; auto. intros i b v Hin. split; auto.
  eapply CoreProof.validity; [now apply checked_is_lawful|exact R|eauto].
Qed.

Theorem agreement : Agreement.
Proof.
  intros c t i b v b' v' H L L'. destruct (sound c t H) as (s & R & C).
  apply andb_prop in H as [law _].
  exact (CoreProof.agreement _ (checked_is_lawful c law) s i b v b' v' R
    (proj1 (C _ _ _ L)) (proj1 (C _ _ _ L'))).
Qed.

Theorem prefix : Prefix.
Proof.
  intros c t t' H. unfold check in *. apply andb_prop in H as [-> H]. cbn. revert H.
  generalize nothing. induction t as [|e t IH]; cbn; auto. intro m.
  destruct (step c m e); auto.
Qed.

Theorem lasting : Lasting.
Proof.
  intros c t t' i b v b' v' H L L'. eapply agreement; eauto; apply in_or_app; eauto.
Qed.
