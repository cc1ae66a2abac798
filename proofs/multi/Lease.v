(** * Leases: [src/multi/lease.rs]

    They keep other leaders out for a while. Nothing but reads relies on it. *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.multi Require Import Table.
Import ListNotations.
Open Scope N_scope.

(** How long leases last, and how much less the leader counts on. *)
Record terms := Terms { duration : N; margin : N }.

(** A leader's sign of life: the round that a read asked for, and when it was sent. *)
Definition beat : Type := N * N.

(** Whether [b] is [a] or later. *)
Definition is_since (a b : beat) : bool :=
  (fst a <? fst b) || (fst a =? fst b) && (snd a <=? snd b).

(** Whom an acceptor holds others off for, and until when by its own clock. *)
Record grant := Grant { holder : N; until : N }.

Definition granted (to now : N) (t : terms) : grant := Grant to (now + duration t).

(** The lease that an acceptor may have granted before it crashed. *)
Definition presumed (promised : option ballot) (now : N) (t : terms) : option grant :=
  option_map (fun b => granted (node b) now t) promised.

(** Whether a ballot is held off. *)
Definition holds_off (g : option grant) (b : ballot) (now : N) : bool :=
  match g with
  | Some g => negb (holder g =? node b) && (now <? until g)
  | None => false
  end.

(** The acceptors of whose latest answer [p] holds. *)
Definition those_who (heard : table beat) (p : beat -> bool) : set :=
  fold_left (fun s it => if p (snd it) then insert s (fst it) else s) heard 0.

(** The highest of some numbers. *)
Definition highest (l : list N) : option N :=
  match l with [] => None | x :: rest => Some (fold_left N.max rest x) end.

(** When a leader's lease ends, by its own clock. *)
Definition lease_end (heard : table beat) (q : system) (t : terms) : option N :=
  let is_enough := fun since => is_phase2 q (those_who heard (fun b => since <=? snd b)) in
  let sent := map (fun it => snd (snd it)) heard in
  option_map (fun since => since + (duration t - margin t)) (highest (filter is_enough sent)).
