(** * Fast Paxos: what is said, and who plays which role: [src/fast/mod.rs] *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.fast Require Import Rounds.
Open Scope N_scope.

(** Everything that is ever said. *)
Inductive message :=
| Propose (value : N)
| Prepare (b : ballot)
| Promise (b : ballot) (v : option vote)
| Any (b : ballot)
| Accept (v : vote)
| Accepted (v : vote)
| Nack (promised : ballot)
| Decided (value : N)
| Ask.

(** Who plays which role. The same for every process. *)
Record cluster := Cluster {
  quorums : system;
  fast_rounds : rounds;
  coordinators : list N;
  learners : list N;
  nacks : bool;
  round_max : N;
  retry : backoff }.

Definition is_acceptor (c : cluster) (a : N) : bool := contains (acceptors (quorums c)) a.
