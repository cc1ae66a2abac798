(** * A coordinator of Fast Paxos is never stuck

    Safety needs quorums to meet two by two. That a coordinator which has heard from
    a quorum always finds a value to go on with needs more: a phase-1 quorum has to
    meet any two fast quorums where these meet, [Fast, quorum requirement]. This is not liveness:
    it says that phase 2 can be started, not that anybody answers. *)

From Coq Require Import NArith List Lia Bool.
From Synod Require Import Core CoreProof Quorum.
Import ListNotations.
Open Scope N_scope.

(** Whatever acceptors report, the coordinator may propose: what was asked for, if no
    vote was reported, and else a value that [bound] describes. *)
Definition NeverStuck (c : system) := forall s i b Q,
  reachable (setting c) s -> answered (setting c) s (fun a => contains Q a = true) i b ->
  unbound (setting c) s (fun a => contains Q a = true) i b \/
  exists v, bound (setting c) s (fun a => contains Q a = true) i b v.

Lemma meet_pairs_true acceptors q r P R R' : meet_pairs acceptors q r = true ->
  quorum acceptors q P -> quorum acceptors r R -> quorum acceptors r R' ->
  exists a, P a /\ R a /\ R' a.
Proof.
  intros M HP (h & Sub & Met & HR) (h' & Sub' & Met' & HR').
  assert (G : forall x, blocks acceptors q x = true \/
      (exists g, is_subset g acceptors = true /\ (forall a, contains g a = true -> P a) /\
        blocks acceptors (AtLeast (len g)) x = true) ->
    (forall a, contains x a = true -> R a /\ R' a) -> exists a, P a /\ R a /\ R' a).
  { intros x [B|(g & SubG & PG & B)] X.
    - destruct (blocks_true _ _ _ _ B HP) as (a & Ha & Pa). destruct (X a Ha). eauto.
    - assert (Q : quorum acceptors (AtLeast (len g)) P)
        by (exists g; repeat split; auto; apply N.leb_refl).
      destruct (blocks_true _ _ _ _ B Q) as (a & Ha & Pa). destruct (X a Ha). eauto. }
  destruct r as [m|sets].
  - apply (G (intersection h h')).
    + right. destruct HP as (g & SubG & MetG & PG). exists g. repeat split; auto.
      cbn in Met, Met'. apply N.leb_le in Met, Met'. cbn. apply N.ltb_lt.
      assert (L : 2 * len acceptors < len g + 2 * m).
      { destruct q as [n|sets]; cbn [meet_pairs is_met_by] in M, MetG.
        - apply N.ltb_lt in M. apply N.leb_le in MetG. lia.
        - apply existsb_exists in MetG as (t & Ht & S). rewrite forallb_forall in M.
          specialize (M t Ht). apply N.ltb_lt in M. apply len_subset in S. lia. }
      assert (len (difference h h') <= len (difference acceptors h')).
      { apply len_subset, is_subset_spec. intro a. rewrite !contains_difference.
        rewrite is_subset_spec in Sub. specialize (Sub a).
        destruct (contains h a); [rewrite Sub by auto; auto|discriminate]. }
      assert (SubX : is_subset (intersection h h') acceptors = true).
      { apply is_subset_spec. intro a. rewrite contains_intersection.
        rewrite is_subset_spec in Sub. specialize (Sub a). destruct (contains h a); auto;
          discriminate. }
      pose proof (len_split h h'). pose proof (len_outside _ _ Sub').
      pose proof (len_outside _ _ SubX). lia.
    + intros a Ha. rewrite contains_intersection in Ha. apply andb_true_iff in Ha as [? ?]. auto.
  - cbn in Met, Met'. apply existsb_exists in Met as (t & Ht & S).
    apply existsb_exists in Met' as (t' & Ht' & S'). rewrite is_subset_spec in S, S'.
    apply (G (intersection t t')).
    + left. assert (M' : forallb (fun s => forallb (fun t =>
        blocks acceptors q (intersection s t)) sets) sets = true) by (destruct q; exact M).
      rewrite forallb_forall in M'. specialize (M' t Ht). rewrite forallb_forall in M'. auto.
    + intros a Ha. rewrite contains_intersection in Ha. apply andb_true_iff in Ha as [? ?]. auto.
Qed.

Definition is_vote (o : option (N * N)) (k v : N) : bool :=
  match o with Some (k', v') => (k' =? k) && (v' =? v) | None => false end.

Lemma is_vote_spec o k v : is_vote o k v = true <-> o = Some (k, v).
Proof.
  destruct o as [[k' v']|]; cbn; [|split; discriminate].
  rewrite andb_true_iff, !N.eqb_eq. split; [intros [-> ->]; auto|now inversion 1].
Qed.

Section Stuck.
Variable c : system.
Notation state := (state (setting c)).
Definition told (s : state) (a b i : N) (o : option (N * N)) : Prop :=
  sent s (Promise (S := setting c) a b i o).

(** What a list of acceptors has reported, as a function. *)
Lemma reports_function (s : state) i b l :
  (forall a, In a l -> exists o, told s a b i o) ->
  exists report, forall a, In a l -> told s a b i (report a).
Proof.
  induction l as [|x l IH]; intro H; [exists (fun _ => None); easy|].
  destruct IH as (f & F); [intros; apply H; now right|].
  destruct (H x) as (o & Ho); [now left|].
  exists (fun a => if N.eq_dec a x then o else f a). intros a [->|Ha].
  - now destruct (N.eq_dec a a).
  - destruct (N.eq_dec a x) as [->|]; auto.
Qed.

(** The highest vote reported. *)
Lemma highest_report (report : N -> option (N * N)) l :
  (forall a, In a l -> report a = None) \/
  exists a k v, In a l /\ report a = Some (k, v) /\
    forall a' k' v', In a' l -> report a' = Some (k', v') -> k' <= k.
Proof.
  induction l as [|x l IH]; [left; easy|]. destruct (report x) as [[k v]|] eqn:E.
  - right. destruct IH as [N|(a & k0 & v0 & Ha & Ra & M)].
    + exists x, k, v. repeat split; auto; [now left|]. intros a' k' v' [->|Ha'] R.
      * rewrite E in R. inversion R. lia.
      * rewrite N in R by auto. discriminate.
    + destruct (N.le_gt_cases k k0).
      * exists a, k0, v0. repeat split; auto; [now right|]. intros a' k' v' [->|Ha'] R; eauto.
        rewrite E in R. inversion R. lia.
      * exists x, k, v. repeat split; auto; [now left|]. intros a' k' v' [->|Ha'] R.
        -- rewrite E in R. inversion R. lia.
        -- specialize (M _ _ _ Ha' R). lia.
  - destruct IH as [N|(a & k & v & Ha & Ra & M)].
    + left. intros a [->|Ha]; auto.
    + right. exists a, k, v. repeat split; auto; [now right|].
      intros a' k' v' [->|Ha'] R; eauto. congruence.
Qed.

Theorem never_stuck : is_lawful c = true -> is_live c = true -> NeverStuck c.
Proof.
  intros L Live s i b Q HR [HQ HA].
  pose proof (invariant _ (checked_is_lawful c L) s HR) as I.
  destruct (reports_function s i b (members Q)) as (report & Rep).
  { intros a Ha. apply HA. now apply in_members. }
  assert (Sent : forall a o, contains Q a = true -> told s a b i o -> o = report a).
  { intros a o Ha Ho. eapply (one_report _ _ I); [exact Ho|]. apply Rep. now apply in_members. }
  destruct (highest_report report (members Q)) as [None|(a0 & k & v0 & Ha0 & E0 & Max)].
  { left. intros a o Ha Ho. rewrite (Sent a o Ha Ho). apply None. now apply in_members. }
  right.
  set (others v := difference Q (those Q (fun a => is_vote (report a) k v))).
  assert (Other : forall v a, contains (others v) a = true ->
    contains Q a = true /\ ~ told s a b i (Some (k, v))).
  { intros v a Ha. unfold others in Ha. rewrite contains_difference, contains_those in Ha.
    destruct (contains Q a) eqn:C; [|discriminate]. split; auto. intro Ho.
    apply Sent in Ho; auto. symmetry in Ho. apply is_vote_spec in Ho. rewrite Ho in Ha.
      discriminate. }
  assert (Highest : forall v, (exists a, In a (members Q) /\ report a = Some (k, v)) ->
    (is_fast c k = true -> forall w, w <> v -> forall R, Core.phase2 (setting c) k R ->
       exists a, contains Q a = true /\ R a /\ ~ told s a b i (Some (k, w))) ->
    bound (setting c) s (fun a => contains Q a = true) i b v).
  { intros v (a & Ha & E) F. exists k. split; [|split; [|exact F]].
    - exists a. split; [now apply in_members|]. change (told s a b i (Some (k, v))).
      rewrite <- E. auto.
    - intros a' k' v' Ha' Ho. apply Sent in Ho; auto. apply (Max a' k' v'); auto.
      now apply in_members. }
  destruct (existsb (fun a => match report a with
      | Some (k', w) => (k' =? k) && negb (blocks (acceptors c) (phase2_fast c) (others w))
      | None => false end) (members Q)) eqn:X.
  - (* a value that may have been chosen in [k]: then it is the only one *)
    apply existsb_exists in X as (a & Ha & X). destruct (report a) as [[k' v]|] eqn:E;
      [|discriminate].
    apply andb_true_iff in X as [K B]. apply N.eqb_eq in K. subst k'. apply negb_true_iff in B.
    exists v. apply Highest; [eauto|]. intros F w NE R HR'.
    assert (V : is_sound (acceptors c) (phase2_fast c) = true).
    { unfold is_lawful in L. repeat (apply andb_true_iff in L as [L ?]). auto. }
    destruct (blocks_false _ _ _ V B) as (h & Sub & Met & Out).
    cbn in HQ, HR'. unfold phase2_of in HR'. rewrite F in HR'.
    destruct (meet_pairs_true _ _ _ _ (fun x => contains h x = true) R Live HQ)
      as (x & Qx & Hx & Rx); [exists h; auto|exact HR'|].
    exists x. repeat split; auto. intro Ho. apply Sent in Ho; auto.
    specialize (Out x Hx). unfold others in Out.
    rewrite contains_difference, contains_those, Qx in Out. cbn in Out.
    apply negb_false_iff, is_vote_spec in Out. congruence.
  - (* no value may have been chosen there: any will do *)
    exists v0. apply Highest; [eauto|]. intros F w NE R HR'.
    assert (Some_w : (exists a, In a (members Q) /\ report a = Some (k, w)) \/
                     forall a, In a (members Q) -> report a <> Some (k, w)).
    { clear. induction (members Q) as [|x l IH]; [right; easy|].
      destruct (is_vote (report x) k w) eqn:E.
      - apply is_vote_spec in E. left. exists x. split; auto. now left.
      - destruct IH as [(a & Ha & Ra)|N]; [left; exists a; split; auto; now right|].
        right. intros a [<-|Ha]; auto. intro R. apply is_vote_spec in R. congruence. }
    destruct Some_w as [(a & Ha & E)|None].
    + assert (B : blocks (acceptors c) (phase2_fast c) (others w) = true).
      { destruct (blocks _ _ (others w)) eqn:B; auto. exfalso.
        assert (Y : existsb (fun a => match report a with
          | Some (k', w) => (k' =? k) && negb (blocks (acceptors c) (phase2_fast c) (others w))
          | None => false end) (members Q) = true); [|congruence].
        apply existsb_exists. exists a. split; auto. rewrite E, B, N.eqb_refl. auto. }
      cbn in HR'. unfold phase2_of in HR'. rewrite F in HR'.
      destruct (blocks_true _ _ _ _ B HR') as (x & Hx & Rx). destruct (Other _ _ Hx). eauto.
    + assert (kb : k < b).
      { apply (highest_reported _ _ I a0 b i k v0). change (told s a0 b i (Some (k, v0))).
        rewrite <- E0. auto. }
      destruct (quorums_meet _ (checked_is_lawful c L) b k _ _ kb HQ HR') as (x & Qx & Rx).
      exists x. repeat split; auto. intro Ho. apply Sent in Ho; auto.
      apply (None x); [now apply in_members|auto].
Qed.

End Stuck.
