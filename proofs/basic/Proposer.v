(** * The proposer: [src/basic/proposer.rs] *)

From Coq Require Import NArith Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.basic Require Import Protocol.
Open Scope N_scope.

(** How far a proposer is with its ballot. *)
Inductive phase :=
| Idle
| Preparing (promises : set) (highest : option vote)
| Accepting (value : N)
| Preempted (by_ballot : ballot).

(** A proposer. Of its state only the ballot is durable. The request is a client and a
    value. *)
Record proposer := Proposer {
  current : option ballot;
  request : option (N * N);
  progress : phase }.

(** A proposer that starts, for the first time or again, having used ballots up to [b]. *)
Definition restart (b : option ballot) : proposer := Proposer b None Idle.

(** A client's request. The first one stands; says whether it was taken. *)
Definition on_propose (s : proposer) (client value : N) : proposer * bool :=
  match request s with
  | None => (Proposer (current s) (Some (client, value)) (progress s), true)
  | Some _ => (s, false)
  end.

(** Phase 1a: choose a ballot higher than any used or heard of, and ask for promises. *)
Definition prepare (s : proposer) (me : N) (heard : option ballot) (round_max : N)
    : proposer * option message :=
  let outbid_by := match progress s with Preempted b => Some b | _ => None end in
  let b := above (max (max (current s) outbid_by) heard) me in
  if round_max <? round b then (s, None)
  else (Proposer (Some b) (request s) (Preparing 0 None), Some (Prepare b)).

(** Phase 2a: once a quorum has promised, ask for votes for the value of the highest
    vote reported; for the client's own only if no vote was. *)
Definition on_promise (s : proposer) (from : N) (b : ballot) (v : option vote) (q : system)
    : proposer * option message :=
  if negb (is_ballot (current s) b) || negb (contains (acceptors q) from) then (s, None)
  else match progress s with
  | Preparing promises highest =>
      if contains promises from then (s, None)
      else
        let promises := insert promises from in
        let highest := if ballot_of_vote v >? ballot_of_vote highest then v else highest in
        if is_phase1 q promises then
          match highest, request s with
          | Some (_, value), _ | None, Some (_, value) =>
              (Proposer (current s) (request s) (Accepting value), Some (Accept (b, value)))
          | None, None => (Proposer (current s) (request s) Idle, None)
          end
        else (Proposer (current s) (request s) (Preparing promises highest), None)
  | _ => (s, None)
  end.

(** Somebody promised a higher ballot: abandon this one. Says whether it was abandoned. *)
Definition on_nack (s : proposer) (promised : ballot) : proposer * bool :=
  let is_under_way := match progress s with
    | Preparing _ _ | Accepting _ => true
    | Idle | Preempted _ => false
    end in
  if is_under_way && (Some promised >? current s)
  then (Proposer (current s) (request s) (Preempted promised), true)
  else (s, false).

(** The decision is known: stop, and name the client that waits for it. *)
Definition retire (s : proposer) : proposer * option N :=
  (Proposer (current s) None Idle, option_map fst (request s)).
