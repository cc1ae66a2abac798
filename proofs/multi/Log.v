(** * Entries, and the log of decided ones: [src/multi/log.rs] *)

From Coq Require Import NArith List Bool.
From Synod.multi Require Import Session.
Import ListNotations.
Open Scope N_scope.

(** No leader proposes so many slots beyond the first one that it has open, or more. *)
Definition span_max : N := 2 ^ 20.

(** What is chosen for a slot. *)
Inductive entry :=
| Noop
| Batch (requests : list request).

Definition requests_of (e : entry) : list request :=
  match e with Noop => [] | Batch requests => requests end.

Lemma request_eq (r r' : request) : {r = r'} + {r <> r'}.
Proof. repeat decide equality. Defined.

Lemma entry_eq (e e' : entry) : {e = e'} + {e <> e'}.
Proof. decide equality. apply list_eq_dec, request_eq. Defined.

Definition is_request (r r' : request) : bool := if request_eq r r' then true else false.
Definition is_entry (e e' : entry) : bool := if entry_eq e e' then true else false.

(** Decided entries without a gap, from the slot up to which a snapshot speaks for all before. *)
Record log := Log { start : N; entries : list entry }.

Definition count {X} (l : list X) : N := N.of_nat (length l).

(** An empty log that continues at a slot. *)
Definition continue_at (start : N) : log := Log start [].

(** The first slot that is not there yet. *)
Definition stop (l : log) : N := start l + count (entries l).

(** The entries of the slots from a given one. *)
Definition tail (l : log) (from : N) : list entry :=
  skipn (N.to_nat (N.min (from - start l) (count (entries l)))) (entries l).

Definition get (l : log) (slot : N) : option entry :=
  if slot <? start l then None
  else if slot - start l <? count (entries l)
    then nth_error (entries l) (N.to_nat (slot - start l)) else None.

(** Appends the entry of the slot at the end. *)
Definition push (l : log) (e : entry) : log := Log (start l) (entries l ++ [e]).
