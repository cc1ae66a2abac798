(** * Multi-Paxos: what is said, and who plays which role: [src/multi/mod.rs] *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.multi Require Import Table Session Log Snapshot Lease.
Open Scope N_scope.

(** A proposal that is put to the vote, or was voted for. *)
Definition vote : Type := ballot * entry.

(** Everything that is ever said. *)
Inductive message :=
| Request (r : request)
| Read (seq query : N) (by_lease : bool)
| Reply (seq : N) (what : outcome)
| Prepare (b : ballot) (from : N)
| Promise (b : ballot) (votes : table vote) (decided : N) (more : option N)
| Continue (b : ballot) (from : N)
| Accept (slot : N) (v : vote)
| Accepted (b : ballot) (slot : N)
| Nack (promised : ballot) (decided : N)
| Decided (b : ballot) (upto : N)
| Entries (from : N) (l : list entry)
| Ask (from : N)
| Piece (c : chunk)
| Fetch (upto offset : N)
| Heartbeat (b : ballot) (id : heartbeat_id) (upto : N)
| HeartbeatAck (b : ballot) (id : heartbeat_id).

(** What limits a leader: [src/multi/leadership/limits.rs]. *)
Record limits := Limits {
  round_max : N;
  slots : N;
  heartbeats_max : N;
  window : N;
  gathers : bool;
  batch_max : N;
  bytes_max : N;
  queue_max : N }.

(** Larger requests are refused. *)
Definition request_bytes_max : N := 32 * 1024.

(** Who plays which role, and how. The same for every process. *)
Record cluster := Cluster {
  quorums : system;
  proposers : list N;
  learners : list N;
  initial : sessions;
  limit : limits;
  nacks : bool;
  heartbeat : option (N * N);
  election : backoff;
  lease : option lease_times;
  snapshot_every : option N;
  program_of : program;
  encoding_of : encoding }.

Definition is_acceptor (c : cluster) (a : N) : bool := contains (acceptors (quorums c)) a.

(** The processes that are told what is decided. *)
Definition decision_audience (c : cluster) : list N := in_order (learners c ++ proposers c).
Definition is_in_decision_audience (c : cluster) (a : N) : bool :=
  is_in (learners c) a || is_in (proposers c) a.

(** Whether learners that vote are told what is chosen with the next proposal or sign of
    life. *)
Definition defers_decided (c : cluster) : bool := gathers (limit c) && is_some (heartbeat c).
