(** * Which acceptors are enough

    The quorum systems of [src/quorum.rs], by the same names: thresholds and explicit
    families of sets, for phase 1, for phase 2 and for phase 2 of fast ballots.
    Read and believe the definitions; the last theorems say that every system that
    passes the check obeys the laws of [Core], and which systems do. *)

From Coq Require Import NArith Arith List Lia Bool FinFun.
From Synod Require Core.
Import ListNotations.
Open Scope N_scope.

(** ** Sets of acceptors

    A set is a number, as in Rust: acceptor [a] is bit [a]. *)

Definition set := N.
Definition contains (s : set) (a : N) : bool := N.testbit s a.
Definition insert (s : set) (a : N) : set := N.setbit s a.
Definition intersection (s t : set) : set := N.land s t.
Definition difference (s t : set) : set := N.ldiff s t.
Definition is_empty (s : set) : bool := s =? 0.
Definition is_subset (s t : set) : bool := is_empty (difference s t).
Definition members (s : set) : list N :=
  filter (contains s) (map N.of_nat (seq 0 (N.to_nat (N.size s)))).
Definition len (s : set) : N := N.of_nat (length (members s)).

(** The members of [s] of which [p] holds. *)
Definition those (s : set) (p : N -> bool) : set :=
  fold_right (fun a t => if p a then insert t a else t) 0 (members s).

(** ** Quorums *)

(** The sets that are quorums of one phase: these, and every set of acceptors that
    contains one. *)
Inductive quorums :=
| AtLeast (size : N)
| AnyOf (sets : list set).

Definition is_met_by (q : quorums) (heard : set) : bool :=
  match q with
  | AtLeast size => size <=? len heard
  | AnyOf sets => existsb (fun s => is_subset s heard) sets
  end.

(** Whether every quorum has a member in [s]. *)
Definition blocks (acceptors : set) (q : quorums) (s : set) : bool :=
  match q with
  | AtLeast size => len (difference acceptors s) <? size
  | AnyOf sets => forallb (fun t => negb (is_empty (intersection t s))) sets
  end.

(** Whether every quorum of the one kind meets every quorum of the other. *)
Definition meet (acceptors : set) (q r : quorums) : bool :=
  match q, r with
  | AtLeast size, AtLeast size' => len acceptors <? size + size'
  | AtLeast _, AnyOf sets => forallb (blocks acceptors q) sets
  | AnyOf sets, _ => forallb (blocks acceptors r) sets
  end.

(** Whether every quorum of the one kind meets any two of the other where these meet. *)
Definition meet_pairs (acceptors : set) (q r : quorums) : bool :=
  match q, r with
  | AtLeast size, AtLeast size' => 2 * len acceptors <? size + 2 * size'
  | AnyOf sets, AtLeast size' =>
      forallb (fun s => 2 * len acceptors <? len s + 2 * size') sets
  | _, AnyOf sets =>
      forallb (fun s => forallb (fun t => blocks acceptors q (intersection s t)) sets) sets
  end.

(** Whether there are quorums, none is empty, and all are of acceptors. *)
Definition is_sound (acceptors : set) (q : quorums) : bool :=
  match q with
  | AtLeast size => (0 <? size) && (size <=? len acceptors)
  | AnyOf sets => negb (length sets =? 0)%nat &&
      forallb (fun s => negb (is_empty s) && is_subset s acceptors) sets
  end.

(** ** Systems *)

Record system := System {
  acceptors : set;
  phase1 : quorums;
  phase2 : quorums;
  phase2_fast : quorums;
  is_fast : N -> bool }.

Definition phase2_of (c : system) (b : N) : quorums :=
  if is_fast c b then phase2_fast c else phase2 c.

(** The laws of [Core.lawful], as something to compute. *)
Definition is_lawful (c : system) : bool :=
  is_sound (acceptors c) (phase1 c) && is_sound (acceptors c) (phase2 c) &&
  is_sound (acceptors c) (phase2_fast c) &&
  meet (acceptors c) (phase1 c) (phase2 c) &&
  meet (acceptors c) (phase1 c) (phase2_fast c) &&
  meet (acceptors c) (phase2_fast c) (phase2_fast c).

(** [Fast, quorum requirement]: with this the coordinator is never stuck. *)
Definition is_live (c : system) : bool :=
  meet_pairs (acceptors c) (phase1 c) (phase2_fast c).

(** Whether promises from [heard] are enough to go on to phase 2. *)
Definition is_phase1 (q : system) (heard : set) : bool :=
  is_met_by (phase1 q) (intersection heard (acceptors q)).

(** Whether votes from [heard], in one ballot, choose their value. *)
Definition is_phase2 (q : system) (heard : set) : bool :=
  is_met_by (phase2 q) (intersection heard (acceptors q)).

(** All of [P] are a quorum, and perhaps more. *)
Definition quorum (acceptors : set) (q : quorums) (P : N -> Prop) : Prop :=
  exists heard, is_subset heard acceptors = true /\ is_met_by q heard = true /\
  forall a, contains heard a = true -> P a.

(** The setting of [Core] in which acceptors and ballots are numbers, and so are values
    unless it is said what they are. *)
Definition setting_of (V : Type) (V_eq : forall v w : V, {v = w} + {v <> w}) (c : system)
    : Core.setting :=
  {| Core.acceptor := N;  Core.value := V;
     Core.acceptor_eq := N.eq_dec;  Core.value_eq := V_eq;
     Core.is_fast := is_fast c;
     Core.phase1 := fun _ => quorum (acceptors c) (phase1 c);
     Core.phase2 := fun b => quorum (acceptors c) (phase2_of c b) |}.
Definition setting : system -> Core.setting := setting_of N N.eq_dec.

(** No ballot is fast. *)
Definition classic (acceptors : set) (phase1 phase2 : quorums) : system :=
  System acceptors phase1 phase2 (AtLeast (len acceptors)) (fun _ => false).

Definition majority (acceptors : set) : system :=
  let size := len acceptors / 2 + 1 in classic acceptors (AtLeast size) (AtLeast size).

Definition flexible (acceptors : set) (q1 q2 : N) : system :=
  classic acceptors (AtLeast q1) (AtLeast q2).

(** Fast ballots, with thresholds of any size. *)
Definition fast_flexible (acceptors : set) (q1 q2 qf : N) (is_fast : N -> bool) : system :=
  System acceptors (AtLeast q1) (AtLeast q2) (AtLeast qf) is_fast.

(** Fast ballots, where [classic] are enough in phase 1 and in classic ballots. *)
Definition fast (acceptors : set) (classic fast : N) (is_fast : N -> bool) : system :=
  fast_flexible acceptors classic classic fast is_fast.

(** ** Sets are what they seem *)

Lemma contains_intersection s t a : contains (intersection s t) a = contains s a && contains t a.
Proof. apply N.land_spec. Qed.

Lemma contains_difference s t a :
  contains (difference s t) a = contains s a && negb (contains t a).
Proof. apply N.ldiff_spec. Qed.

Lemma contains_insert s a a' : contains (insert s a) a' = (a =? a') || contains s a'.
Proof. apply N.setbit_eqb. Qed.

Lemma contains_empty a : contains 0 a = false.
Proof. apply N.bits_0. Qed.

Lemma is_empty_spec s : is_empty s = true <-> forall a, contains s a = false.
Proof.
  unfold is_empty. rewrite N.eqb_eq. split; [intros -> a; apply N.bits_0|].
  intro H. apply N.bits_inj. intro a. rewrite N.bits_0. apply H.
Qed.

Lemma is_empty_false s : is_empty s = false -> exists a, contains s a = true.
Proof.
  intro H. exists (N.log2 s). apply N.bit_log2. intros ->. discriminate.
Qed.

Lemma is_subset_spec s t :
  is_subset s t = true <-> forall a, contains s a = true -> contains t a = true.
Proof.
  unfold is_subset. rewrite is_empty_spec. split; intros H a.
  - specialize (H a). rewrite contains_difference in H. intro E. rewrite E in H.
    destruct (contains t a); auto.
  - rewrite contains_difference. specialize (H a). destruct (contains s a), (contains t a); auto.
    specialize (H eq_refl). discriminate.
Qed.

Lemma in_members s a : In a (members s) <-> contains s a = true.
Proof.
  unfold members. rewrite filter_In, in_map_iff. split; [tauto|]. intro H. split; auto.
  exists (N.to_nat a). rewrite N2Nat.id, in_seq. split; auto. split; [lia|].
  destruct (N.eq_dec s 0) as [->|NZ]; [unfold contains in H; rewrite N.bits_0 in H; discriminate|].
  rewrite N.size_log2 by auto. enough (a <= N.log2 s) by lia.
  destruct (N.le_gt_cases a (N.log2 s)); auto.
  unfold contains in H. rewrite N.bits_above_log2 in H; [discriminate|lia].
Qed.

Lemma members_nodup s : NoDup (members s).
Proof.
  apply NoDup_filter, Injective_map_NoDup; [intros x y; apply Nat2N.inj|apply seq_NoDup].
Qed.

Lemma contains_those s p a : contains (those s p) a = contains s a && p a.
Proof.
  assert (F : forall l, contains (fold_right (fun a t => if p a then insert t a else t) 0 l) a
    = existsb (fun x => x =? a) l && p a).
  { induction l as [|x l IH]; cbn; [reflexivity|].
    destruct (x =? a) eqn:E; cbn.
    - apply N.eqb_eq in E. subst x. destruct (p a) eqn:P; [|now rewrite IH, andb_false_r].
      now rewrite contains_insert, N.eqb_refl.
    - destruct (p x); auto. now rewrite contains_insert, E. }
  unfold those. rewrite F. f_equal. apply eq_true_iff_eq. rewrite existsb_exists, <- in_members.
  split; [intros (x & H & E); apply N.eqb_eq in E; now subst|].
  intro H. exists a. split; auto. apply N.eqb_refl.
Qed.

(** Pigeons and holes. *)
Lemma len_subset s t : is_subset s t = true -> len s <= len t.
Proof.
  rewrite is_subset_spec. intro H. unfold len.
  enough (length (members s) <= length (members t))%nat by lia.
  apply NoDup_incl_length; [apply members_nodup|]. intros a. rewrite !in_members. auto.
Qed.

Lemma len_split s t : len (difference s t) + len (intersection s t) = len s.
Proof.
  unfold len. rewrite <- Nat2N.inj_add, <- app_length. f_equal. apply Nat.le_antisymm.
  - apply NoDup_incl_length.
    + assert (D : forall l, NoDup l -> (forall a, In a l -> contains t a = false) ->
        NoDup (l ++ members (intersection s t))).
      { induction l as [|x l IH]; cbn; intros N F; [apply members_nodup|].
        inversion N; subst. constructor; auto. rewrite in_app_iff, in_members,
          contains_intersection.
        rewrite F, andb_false_r by auto. intros [?|?]; [tauto|discriminate]. }
      apply D; [apply members_nodup|]. intro a. rewrite in_members, contains_difference.
      destruct (contains t a); auto. rewrite andb_false_r. discriminate.
    + intro a. rewrite in_app_iff, !in_members, contains_difference, contains_intersection.
      destruct (contains s a); auto. now intros [?|?].
  - apply NoDup_incl_length; [apply members_nodup|].
    intro a. rewrite in_app_iff, !in_members, contains_difference, contains_intersection.
    intros ->. destruct (contains t a); auto.
Qed.

Lemma len_outside acceptors s : is_subset s acceptors = true ->
  len (difference acceptors s) + len s = len acceptors.
Proof.
  intro H. rewrite <- (len_split acceptors s). f_equal. f_equal.
  apply N.bits_inj. intro a. change (contains s a = contains (intersection acceptors s) a).
  rewrite contains_intersection. rewrite is_subset_spec in H. specialize (H a).
  destruct (contains s a); [rewrite H; auto|now rewrite andb_false_r].
Qed.

(** ** Quorums are what they seem *)

Lemma blocks_true acceptors q s P : blocks acceptors q s = true -> quorum acceptors q P ->
  exists a, contains s a = true /\ P a.
Proof.
  intros B (h & Sub & Met & HP).
  enough (H : is_empty (intersection h s) = false).
  { apply is_empty_false in H as (a & H). rewrite contains_intersection in H.
    apply andb_true_iff in H as [? ?]. eauto. }
  destruct (is_empty (intersection h s)) eqn:E; auto. exfalso. rewrite is_empty_spec in E.
  rewrite is_subset_spec in Sub. destruct q as [n|sets]; cbn in *.
  - apply N.ltb_lt in B. apply N.leb_le in Met.
    enough (len h <= len (difference acceptors s)) by lia.
    apply len_subset, is_subset_spec. intros a Ha. specialize (E a).
    rewrite contains_intersection, Ha in E. cbn in E. rewrite contains_difference, Sub, E; auto.
  - apply existsb_exists in Met as (t & Ht & Sub'). rewrite forallb_forall in B.
    specialize (B t Ht). apply negb_true_iff in B. apply is_empty_false in B as (a & Ha).
    rewrite is_subset_spec in Sub'. rewrite contains_intersection in Ha.
    apply andb_true_iff in Ha as [Ha Hs]. specialize (E a).
    rewrite contains_intersection, Hs, (Sub' a Ha) in E. discriminate.
Qed.

Lemma blocks_false acceptors q s : is_sound acceptors q = true -> blocks acceptors q s = false ->
  exists h, is_subset h acceptors = true /\ is_met_by q h = true /\
    forall a, contains h a = true -> contains s a = false.
Proof.
  intros V B. destruct q as [n|sets]; cbn in *.
  - apply N.ltb_ge in B. exists (difference acceptors s). repeat split.
    + apply is_subset_spec. intro a. rewrite contains_difference.
      destruct (contains acceptors a); auto.
    + now apply N.leb_le.
    + intro a. rewrite contains_difference. destruct (contains s a); auto. now rewrite andb_false_r.
  - apply andb_true_iff in V as [_ V]. rewrite forallb_forall in V.
    assert (X : exists t, In t sets /\ is_empty (intersection t s) = true).
    { clear V. induction sets as [|t sets IH]; cbn in B; [discriminate|].
      destruct (is_empty (intersection t s)) eqn:E; [exists t; cbn; auto|].
      destruct (IH B) as (t' & ? & ?). exists t'; cbn; auto. }
    destruct X as (t & Ht & E). specialize (V t Ht). apply andb_true_iff in V as [_ V].
    exists t. repeat split; auto.
    + apply existsb_exists. exists t. split; auto. now apply is_subset_spec.
    + intros a Ha. rewrite is_empty_spec in E. specialize (E a).
      now rewrite contains_intersection, Ha in E.
Qed.

Lemma meet_true acceptors q r P R : meet acceptors q r = true ->
  quorum acceptors q P -> quorum acceptors r R -> exists a, P a /\ R a.
Proof.
  assert (Z : forall (x y : quorums) sets (X Y : N -> Prop), x = AnyOf sets ->
    forallb (blocks acceptors y) sets = true -> quorum acceptors x X -> quorum acceptors y Y ->
    exists a, X a /\ Y a).
  { intros x y sets X Y -> B (h & _ & Met & HX) HY. cbn in Met.
    apply existsb_exists in Met as (t & Ht & Sub). rewrite forallb_forall in B.
    destruct (blocks_true _ _ _ _ (B t Ht) HY) as (a & Ha & Ya). exists a. split; auto.
    apply HX. rewrite is_subset_spec in Sub. auto. }
  intros M HP HR. destruct q as [n|sets]; [destruct r as [m|sets]|]; cbn in M.
  - destruct HP as (h & Sub & Met & HP). cbn in Met. apply N.ltb_lt in M. apply N.leb_le in Met.
    assert (B : blocks acceptors (AtLeast m) h = true).
    { cbn. apply N.ltb_lt. pose proof (len_outside _ _ Sub). lia. }
    destruct (blocks_true _ _ _ _ B HR) as (a & ? & ?). exists a. auto.
  - destruct (Z _ _ _ _ _ eq_refl M HR HP) as (a & ? & ?). exists a. auto.
  - exact (Z _ _ _ _ _ eq_refl M HP HR).
Qed.

Lemma quorum_inhabited acceptors q P : is_sound acceptors q = true -> quorum acceptors q P ->
  exists a, P a.
Proof.
  intros V (h & Sub & Met & HP). enough (E : is_empty h = false).
  { apply is_empty_false in E as (a & ?). eauto. }
  destruct (is_empty h) eqn:E; auto. exfalso. apply N.eqb_eq in E. subst h.
  destruct q as [n|sets]; cbn in *.
  - apply andb_true_iff in V as [V _]. apply N.ltb_lt in V. apply N.leb_le in Met. lia.
  - apply existsb_exists in Met as (t & Ht & S). apply andb_true_iff in V as [_ V].
    rewrite forallb_forall in V. specialize (V t Ht). apply andb_true_iff in V as [V _].
    apply negb_true_iff in V. apply is_empty_false in V as (a & Ha).
    rewrite is_subset_spec in S. apply S in Ha. discriminate.
Qed.

(** ** What passes the check obeys the laws *)

Theorem checked_is_lawful_of V V_eq c :
  is_lawful c = true -> Core.lawful (setting_of V V_eq c).
Proof.
  unfold is_lawful. intro H. repeat (apply andb_true_iff in H as [H ?]). constructor; cbn.
  - intros b k Q R _ HQ HR. unfold phase2_of in HR.
    destruct (is_fast c k); eapply meet_true; [|exact HQ|exact HR| |exact HQ|exact HR]; auto.
  - intros b R R' F HR HR'. unfold phase2_of in *. rewrite F in *. eapply meet_true; eauto.
  - intros b R HR. unfold phase2_of in HR. destruct (is_fast c b); (eapply quorum_inhabited;
    [|exact HR]); auto.
Qed.

Theorem checked_is_lawful c : is_lawful c = true -> Core.lawful (setting c).
Proof. apply checked_is_lawful_of. Qed.

Ltac arithmetic :=
  unfold is_lawful, is_live, flexible, classic, fast_flexible;
  cbn [acceptors phase1 phase2 phase2_fast is_sound meet meet_pairs];
  rewrite ?andb_true_iff, ?N.ltb_lt, ?N.leb_le; repeat split; lia.

(** Thresholds obey them if they are large enough together; [Fast, quorum requirement] has the same
    inequalities for [q1 = q2]. *)
Theorem fast_flexible_is_lawful A q1 q2 qf f :
  0 < q1 <= len A -> 0 < q2 <= len A -> qf <= len A ->
  len A < q1 + q2 -> len A < q1 + qf -> len A < 2 * qf ->
  is_lawful (fast_flexible A q1 q2 qf f) = true.
Proof. intros. arithmetic. Qed.

Theorem fast_flexible_is_live A q1 q2 qf f :
  2 * len A < q1 + 2 * qf -> is_live (fast_flexible A q1 q2 qf f) = true.
Proof. intros. arithmetic. Qed.

Theorem fast_is_lawful A q qf f :
  0 < q <= qf -> qf <= len A -> len A < 2 * q -> is_lawful (fast A q qf f) = true.
Proof. intros. apply fast_flexible_is_lawful; lia. Qed.

Theorem flexible_is_lawful A q1 q2 :
  0 < q1 <= len A -> 0 < q2 <= len A -> len A < q1 + q2 ->
  is_lawful (flexible A q1 q2) = true.
Proof. intros. arithmetic. Qed.

Theorem majority_is_lawful A : A <> 0 -> is_lawful (majority A) = true.
Proof.
  intro NE. assert (P : 0 < len A).
  { destruct (N.eq_dec (len A) 0) as [E|]; [|lia]. exfalso. unfold len in E.
    apply NE, N.eqb_eq, is_empty_spec. intro a. destruct (contains A a) eqn:C; auto.
    apply in_members in C. destruct (members A); [easy|]. cbn in E. lia. }
  assert (D : len A = 2 * (len A / 2) + len A mod 2) by (apply N.div_mod; discriminate).
  assert (M : len A mod 2 < 2) by (apply N.mod_lt; discriminate).
  change (is_lawful (flexible A (len A / 2 + 1) (len A / 2 + 1)) = true).
  generalize dependent (len A / 2). generalize dependent (len A mod 2). intros m M h D.
  apply flexible_is_lawful; lia.
Qed.

(** Explicit families obey them if each set has members, all are of acceptors, and
    each of the one family meets each of the other. *)
Theorem explicit_is_lawful A sets1 sets2 :
  sets1 <> [] -> sets2 <> [] -> A <> 0 ->
  (forall s, In s sets1 \/ In s sets2 -> s <> 0 /\ is_subset s A = true) ->
  (forall s t, In s sets1 -> In t sets2 -> intersection t s <> 0) ->
  is_lawful (classic A (AnyOf sets1) (AnyOf sets2)) = true.
Proof.
  intros N1 N2 NA V M.
  pose proof (majority_is_lawful A NA) as L. unfold is_lawful, majority, classic in *.
  cbn [acceptors phase1 phase2 phase2_fast is_sound meet blocks] in *.
  repeat (apply andb_true_iff in L as [L ?]).
  assert (E : forall sets, sets <> [] -> (forall s, In s sets -> In s sets1 \/ In s sets2) ->
    negb (length sets =? 0)%nat && forallb (fun s => negb (is_empty s) && is_subset s A)
      sets = true).
  { intros sets NE I. apply andb_true_iff. split; [destruct sets; easy|].
    apply forallb_forall. intros s Hs. destruct (V s (I s Hs)) as [Z ->].
    rewrite andb_true_r. apply negb_true_iff, N.eqb_neq, Z. }
  rewrite !E by auto. rewrite andb_true_iff in H2. destruct H2.
  rewrite ?andb_true_iff. repeat split; auto.
  - apply forallb_forall. intros s Hs. apply forallb_forall. intros t Ht.
    apply negb_true_iff, N.eqb_neq. apply M; auto.
  - apply forallb_forall. intros s Hs. destruct (V s (or_introl Hs)) as [Z Sub].
    apply N.ltb_lt. pose proof (len_outside _ _ Sub).
    enough (0 < len s) by lia. destruct (N.eq_dec (len s) 0) as [Z'|]; [|lia].
    exfalso. apply Z. apply N.eqb_eq, is_empty_spec. intro a.
    destruct (contains s a) eqn:C; auto. apply in_members in C. unfold len in Z'.
    destruct (members s); [easy|cbn in Z'; lia].
Qed.
