(** * The handlers at work

    Three replicas on a network that loses nothing: one stands for election, a client asks
    it for something, and all decide that. What is proved of the handlers is not proved
    because they do nothing. *)

From Coq Require Import NArith List.
From Synod Require Import Vocabulary Quorum.
From Synod.multi Require Import Table Session Log Snapshot Lease Protocol Node.
From Synod.multi Require Learner.
Import ListNotations.
Open Scope N_scope.

(** A machine that remembers all commands, and says how many there were. *)
Definition journal : program :=
  {| apply := fun machine command => (machine ++ [command], count machine);
     read := fun machine _ => Some (count machine) |}.

Definition unwritten : encoding :=
  {| encode := fun _ => []; decode := fun _ => None; checksum := fun _ => 0;
     bytes_of_request := fun _ => 1; bytes_of_entry := fun _ => 1 |}.

Definition replicas : cluster := {|
  quorums := majority 7;
  proposers := [0; 1; 2];
  learners := [0; 1; 2];
  initial := fst (apply_operation journal (new [] 8) (Open 0));
  limit := {| round_max := 9; slots := 9; heartbeats_max := 9; window := 1; gathers := false;
              batch_max := 2; bytes_max := 100; queue_max := 9 |};
  nacks := true;
  heartbeat := Some (20, 25);
  election := {| Vocabulary.base := 1; doublings_max := 3 |};
  lease := Some {| duration := 3; margin := 1 |};
  snapshot_every := None;
  program_of := journal;
  encoding_of := unwritten |}.

Definition envelope : Type := N * N * message.

(** What a step sends. *)
Definition posted (me : N) (st : step) : list envelope :=
  map (fun it => (me, fst it, snd it)) (sends me st).

(** Delivers what is under way, in order, and what comes of it. *)
Fixpoint deliver (fuel : nat) (nodes : table state) (wire : list envelope) : table state :=
  match fuel, wire with
  | S fuel, (from, to, m) :: rest =>
      match find to nodes with
      | Some s =>
          let st := on_message replicas to 0 s from m in
          deliver fuel (put to (now st) nodes) (rest ++ posted to st)
      | None => deliver fuel nodes rest
      end
  | _, _ => nodes
  end.

Definition fresh : table state :=
  map (fun me => (me, now (on_start replicas me 0 None))) [0; 1; 2].

Definition elected : table state :=
  match find 2 fresh with
  | Some s =>
      let st := on_timer replicas 2 0 s Campaign in
      deliver 100 (put 2 (now st) fresh) (posted 2 st)
  | None => []
  end.

(** Client 9 asks for command 5, and again, as if the answer were lost. *)
Definition wish : request := (9, Do 0 1 0 5).
Definition served : table state :=
  deliver 100 elected [(9, 2, Request wish); (9, 2, Request wish)].

Definition learned (nodes : table state) : list (option (list entry * list N)) :=
  map (fun it => option_map (fun l => (entries (Learner.applied_log l), machine (Learner.state l)))
    (learner (snd it))) nodes.

Example one_leads : map (fun it => match leadership_of (snd it) with Some _ => true |
  None => false end)
  elected = [false; false; true].
Proof. vm_compute. reflexivity. Qed.

Example all_decide : learned served = repeat (Some ([Batch [wish]], [5])) 3.
Proof. vm_compute. reflexivity. Qed.
