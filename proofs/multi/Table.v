(** * Tables: what stands beside each of some numbers, in order

    The [BTreeMap]s and [OrdMap]s of the Rust code, as lists. *)

From Coq Require Import NArith List Lia Bool.
Import ListNotations.
Open Scope N_scope.

Definition table (X : Type) : Type := list (N * X).

Section Table.
Context {X : Type}.

Fixpoint find (k : N) (t : table X) : option X :=
  match t with
  | [] => None
  | (j, x) :: rest => if k =? j then Some x else find k rest
  end.

Fixpoint put (k : N) (x : X) (t : table X) : table X :=
  match t with
  | [] => [(k, x)]
  | (j, y) :: rest =>
      if k =? j then (k, x) :: rest
      else if k <? j then (k, x) :: t
      else (j, y) :: put k x rest
  end.

(** Without what stands beside [k]. *)
Definition drop (k : N) (t : table X) : table X := filter (fun it => negb (fst it =? k)) t.

(** What stands beside [k] and above. *)
Definition since (k : N) (t : table X) : table X := filter (fun it => k <=? fst it) t.

(** The lowest number; [otherwise] if there is none. *)
Definition lowest (t : table X) (otherwise : N) : N :=
  match t with
  | [] => otherwise
  | (k, _) :: rest => fold_left (fun low it => N.min low (fst it)) rest k
  end.

(** The number after the highest; [otherwise] if there is none. *)
Definition after_highest (t : table X) (otherwise : N) : N :=
  match t with
  | [] => otherwise
  | (k, _) :: rest => fold_left (fun high it => N.max high (fst it)) rest k + 1
  end.

Definition size (t : table X) : N := N.of_nat (length t).

Definition is_none (t : table X) : bool := match t with [] => true | _ => false end.

(** ** They are what they seem *)

Lemma find_put k x t j : find j (put k x t) = if j =? k then Some x else find j t.
Proof.
  induction t as [|[i y] rest IH]; cbn; auto.
  destruct (N.eqb_spec k i); subst; cbn; [now destruct (j =? i)|].
  destruct (N.ltb_spec k i); cbn; auto. rewrite IH.
  destruct (N.eqb_spec j i), (N.eqb_spec j k); subst; congruence.
Qed.

Lemma find_filter (keep : N -> bool) t j :
  find j (filter (fun it => keep (fst it)) t) = if keep j then find j t else None.
Proof.
  induction t as [|[i y] rest IH]; cbn; [now destruct (keep j)|].
  destruct (keep i) eqn:K; cbn; rewrite IH; destruct (N.eqb_spec j i); subst; auto.
  - now rewrite K.
  - now rewrite K.
Qed.

Lemma find_drop k t j : find j (drop k t) = if j =? k then None else find j t.
Proof. unfold drop. rewrite (find_filter (fun i => negb (i =? k))). now destruct (j =? k). Qed.

Lemma find_since k t j : find j (since k t) = if k <=? j then find j t else None.
Proof. apply (find_filter (fun i => k <=? i)). Qed.

Lemma fold_min rest low : fold_left (fun low (it : N * X) => N.min low (fst it)) rest low <= low /\
  forall j x, find j rest = Some x ->
  fold_left (fun low (it : N * X) => N.min low (fst it)) rest low <= j.
Proof.
  revert low. induction rest as [|[i y] rest IH]; cbn; [split; [lia|discriminate]|].
  intro low. destruct (IH (N.min low i)) as [L F]. split; [lia|]. intros j x.
  destruct (N.eqb_spec j i); [subst; intros _; lia|eauto].
Qed.

Lemma lowest_below t o j x : find j t = Some x -> lowest t o <= j.
Proof.
  destruct t as [|[i y] rest]; cbn; [discriminate|]. destruct (fold_min rest i) as [L F].
  destruct (N.eqb_spec j i); [subst; intros _; lia|apply F].
Qed.

Lemma fold_max rest high :
  high <= fold_left (fun high (it : N * X) => N.max high (fst it)) rest high /\
  forall j x, find j rest = Some x ->
  j <= fold_left (fun high (it : N * X) => N.max high (fst it)) rest high.
Proof.
  revert high. induction rest as [|[i y] rest IH]; cbn; [split; [lia|discriminate]|].
  intro high. destruct (IH (N.max high i)) as [L F]. split; [lia|]. intros j x.
  destruct (N.eqb_spec j i); [subst; intros _; lia|eauto].
Qed.

Lemma below_after_highest t o j x : find j t = Some x -> j < after_highest t o.
Proof.
  destruct t as [|[i y] rest]; cbn; [discriminate|]. destruct (fold_max rest i) as [L F].
  destruct (N.eqb_spec j i); [subst; intros _; lia|]. intro H. specialize (F _ _ H). lia.
Qed.

(** Each number is higher than the one before it, and so stands there once. *)
Fixpoint ordered (t : table X) : Prop :=
  match t with
  | [] => True
  | (k, _) :: rest => (forall j x, In (j, x) rest -> k < j) /\ ordered rest
  end.

Lemma find_in k x t : find k t = Some x -> In (k, x) t.
Proof.
  induction t as [|[j y] rest IH]; cbn; [discriminate|].
  destruct (N.eqb_spec k j); [intros [= ->]; subst; auto|auto].
Qed.

Lemma in_find k x t : ordered t -> In (k, x) t -> find k t = Some x.
Proof.
  induction t as [|[j y] rest IH]; cbn; [contradiction|]. intros [A O] [[= -> ->]|H].
  - now rewrite N.eqb_refl.
  - specialize (A _ _ H). destruct (N.eqb_spec k j); [lia|auto].
Qed.

Lemma find_none_below k t : (forall j x, In (j, x) t -> k < j) -> find k t = None.
Proof.
  intro A. destruct (find k t) eqn:E; auto. apply find_in, A in E. lia.
Qed.

Lemma in_put j y k x t : In (j, y) (put k x t) -> (j, y) = (k, x) \/ In (j, y) t.
Proof.
  induction t as [|[i z] rest IH]; cbn; [intuition|].
  destruct (k =? i), (k <? i); cbn; intuition congruence.
Qed.

Lemma ordered_put k x t : ordered t -> ordered (put k x t).
Proof.
  induction t as [|[i z] rest IH]; cbn; [intros _; split; [contradiction|exact I]|].
  intros [A O]. destruct (N.eqb_spec k i); [subst; split; auto|].
  destruct (N.ltb_spec k i) as [L|L]; cbn; (split; [|auto]).
  - intros j y [[= <- <-]|H]; auto. specialize (A _ _ H). lia.
  - intros j y H. apply in_put in H as [[= -> ->]|H]; [lia|eauto].
Qed.

Lemma ordered_filter keep t : ordered t -> ordered (filter keep t).
Proof.
  induction t as [|[i z] rest IH]; cbn; auto. intros [A O]. destruct (keep (i, z)); cbn; auto.
  split; auto. intros j y H. apply filter_In in H as [H _]. eauto.
Qed.

End Table.
