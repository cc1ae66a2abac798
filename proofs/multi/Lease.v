(** * Leases: [src/multi/lease.rs]

    They keep other leaders out for a while. Nothing but reads relies on it. *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.multi Require Import Table.
Import ListNotations.
Open Scope N_scope.

(** How long leases last, and how much less the leader counts on. *)
Record lease_times := LeaseTimes { duration : N; margin : N }.

(** A leader's sign of life: the round that a read asked for, and when it was sent. *)
Definition heartbeat_id : Type := N * N.

(** Whether [b] is [a] or later. *)
Definition is_since (a b : heartbeat_id) : bool :=
  (fst a <? fst b) || (fst a =? fst b) && (snd a <=? snd b).

(** Whom an acceptor holds others off for, and until when by its own clock. *)
Record lease_grant := LeaseGrant { holder : N; until : N }.

Definition granted (to now : N) (t : lease_times) : lease_grant := LeaseGrant to (now + duration t).

(** The lease that an acceptor may have granted before it crashed. *)
Definition presumed (promised : option ballot) (now : N) (t : lease_times) : option lease_grant :=
  option_map (fun b => granted (node b) now t) promised.

(** Whether a ballot is held off. *)
Definition holds_off (g : option lease_grant) (b : ballot) (now : N) : bool :=
  match g with
  | Some g => negb (holder g =? node b) && (now <? until g)
  | None => false
  end.

(** The acceptors of whose latest answer [p] holds. *)
Definition those_who (acks : table heartbeat_id) (p : heartbeat_id -> bool) : set :=
  fold_left (fun s it => if p (snd it) then insert s (fst it) else s) acks 0.

(** The highest of some numbers. *)
Definition highest (l : list N) : option N :=
  match l with [] => None | x :: rest => Some (fold_left N.max rest x) end.

(** When a leader's lease ends, by its own clock. *)
Definition lease_end (acks : table heartbeat_id) (q : system) (t : lease_times) : option N :=
  let is_enough := fun since => is_phase2 q (those_who acks (fun b => since <=? snd b)) in
  let sent := map (fun it => snd (snd it)) acks in
  option_map (fun since => since + (duration t - margin t)) (highest (filter is_enough sent)).
