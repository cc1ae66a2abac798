(** * Finite maps from numbers *)

From Coq Require Import NArith Lia FMapPositive.
Open Scope N_scope.

Module Tree := PositiveMap.
Definition map := Tree.t.
Definition empty {X} : map X := Tree.empty X.
Definition find {X} (k : N) (m : map X) : option X := Tree.find (N.succ_pos k) m.
Definition put {X} (k : N) (x : X) (m : map X) : map X := Tree.add (N.succ_pos k) x m.

(** Maps of maps: what is not there is empty. *)
Definition row {X} (k : N) (m : map (map X)) : map X :=
  match find k m with Some m' => m' | None => empty end.
Definition find2 {X} (i j : N) (m : map (map X)) : option X := find j (row i m).
Definition put2 {X} (i j : N) (x : X) (m : map (map X)) : map (map X) :=
  put i (put j x (row i m)) m.

Lemma find_put {X} k j (x : X) m : find j (put k x m) = if N.eq_dec j k then Some x else find j m.
Proof.
  unfold find, put. destruct (N.eq_dec j k) as [->|NE]; [apply Tree.gss|]. apply Tree.gso.
  intro H. pose proof (N.succ_pos_spec j). pose proof (N.succ_pos_spec k). rewrite H in *. lia.
Qed.

Lemma find_empty {X} k : find k (@empty X) = None.
Proof. apply Tree.gempty. Qed.

Lemma row_put {X} k j (x : map X) m : row j (put k x m) = if N.eq_dec j k then x else row j m.
Proof. unfold row. rewrite find_put. now destruct (N.eq_dec j k). Qed.

Lemma row_empty {X} k : row k (@empty (map X)) = empty.
Proof. unfold row. now rewrite find_empty. Qed.

Lemma find2_put2 {X} i j i' j' (x : X) m : find2 i' j' (put2 i j x m) =
  if N.eq_dec i' i then if N.eq_dec j' j then Some x else find2 i' j' m else find2 i' j' m.
Proof.
  unfold find2, put2. rewrite row_put. destruct (N.eq_dec i' i); subst; auto. apply find_put.
Qed.

Lemma find2_empty {X} i j : find2 i j (@empty (map X)) = None.
Proof. unfold find2. now rewrite row_empty, find_empty. Qed.
