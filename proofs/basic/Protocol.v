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

(** Who plays which role. The same for every process. *)
Record cluster := Cluster {
  quorums : system;
  proposers : list N;
  learners : list N;
  nacks : bool;
  round_max : N;
  retry : backoff }.

Definition is_acceptor (c : cluster) (a : N) : bool := contains (acceptors (quorums c)) a.
