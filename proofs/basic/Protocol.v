(** * Basic Paxos: what is said, and who plays which role: [src/basic/mod.rs] *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
Open Scope N_scope.

(** Everything that is ever said. *)
Inductive message :=
| Propose (value : N)
| Prepare (b : ballot)
| Promise (b : ballot) (v : option vote)
| Accept (v : vote)
| Accepted (v : vote)
| Nack (promised : ballot)
| Decided (value : N)
| Ask.

(** How long to wait before trying again: [src/backoff.rs]. In nanoseconds. *)
Record backoff := Backoff { base : N; doublings_max : N }.

(** The range of the wait of an attempt in [round]. *)
Definition wait (b : backoff) (round : N) : N * N :=
  (base b, base b * 2 ^ N.min round (doublings_max b)).
Definition pace (b : backoff) : N * N := wait b 1.

(** Who plays which role. The same for every process. *)
Record cluster := Cluster {
  quorums : system;
  proposers : list N;
  learners : list N;
  nacks : bool;
  round_max : N;
  retry : backoff }.

Definition is_in (l : list N) (a : N) : bool := existsb (N.eqb a) l.
Definition is_acceptor (c : cluster) (a : N) : bool := contains (acceptors (quorums c)) a.

(** Whether promises from [heard] are enough to go on to phase 2. *)
Definition is_phase1 (q : system) (heard : set) : bool :=
  is_met_by (phase1 q) (intersection heard (acceptors q)).

(** Whether votes from [heard], in one ballot, choose their value. *)
Definition is_phase2 (q : system) (heard : set) : bool :=
  is_met_by (phase2 q) (intersection heard (acceptors q)).
