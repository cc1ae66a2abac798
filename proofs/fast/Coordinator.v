(** * The coordinator: [src/fast/coordinator.rs] *)

From Coq Require Import NArith Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.fast Require Import Rounds Protocol Poll.
Open Scope N_scope.

(** How far a coordinator is with its ballot. *)
Inductive phase :=
| Idle
| Preparing (promises : set) (p : poll)
| Watching (p : poll)
| Accepting (value : N)
| Preempted (by_ballot : ballot).

(** A coordinator. Of its state only the ballot is durable. The request is a client and
    a value. *)
Record coordinator := Coordinator {
  current : option ballot;
  request : option (N * N);
  progress : phase }.

(** A coordinator that starts, for the first time or again, having used ballots up to
    [b]. *)
Definition restart (b : option ballot) : coordinator := Coordinator b None Idle.

(** A client's request. The first one stands; says whether it was taken. *)
Definition on_propose (s : coordinator) (client value : N) : coordinator * bool :=
  match request s with
  | None => (Coordinator (current s) (Some (client, value)) (progress s), true)
  | Some _ => (s, false)
  end.

(** Phase 1a: choose a ballot higher than any used or heard of, and ask for promises;
    higher also than the one that resolves the present ballot. *)
Definition prepare (s : coordinator) (me : N) (heard : option ballot) (r : rounds) (round_max : N)
    : coordinator * option message :=
  let outbid_by := match progress s with Preempted b => Some b | _ => None end in
  let used := max (current s) (bind (current s) (recovery r)) in
  let b := above (max (max used outbid_by) heard) me in
  if round_max <? round b then (s, None)
  else (Coordinator (Some b) (request s) (Preparing 0 default), Some (Prepare b)).

(** Puts a value to the vote, in a fast ballot or in a classic one. *)
Definition propose (s : coordinator) (v : vote) (r : rounds) : coordinator * option message :=
  let progress := if is_fast r (fst v) then Watching default else Accepting (snd v) in
  (Coordinator (current s) (request s) progress, Some (Accept v)).

(** Phase 2a: once a quorum has promised, ask for votes for the value that [pick] names.
    If no vote was reported, a fast ballot is opened to any value, and a classic one is
    for the client's own. *)
Definition on_promise (s : coordinator) (from : N) (b : ballot) (v : option vote)
    (q : system) (r : rounds) : coordinator * option message :=
  if negb (is_ballot (current s) b) || negb (contains (acceptors q) from) then (s, None)
  else match progress s with
  | Preparing promises p =>
      if contains promises from then (s, None)
      else
        let promises := insert promises from in
        let p := match v with Some v => hear p from v | None => p end in
        if is_phase1 q promises then
          match pick p promises q, is_fast r b, request s with
          | None, true, _ =>
              (Coordinator (current s) (request s) (Watching default), Some (Any b))
          | Some value, _, _ | None, false, Some (_, value) => propose s (b, value) r
          | None, false, None => (Coordinator (current s) (request s) Idle, None)
          end
        else (Coordinator (current s) (request s) (Preparing promises p), None)
  | _ => (s, None)
  end.

(** A vote in a fast ballot of this coordinator. Once no value can get a fast quorum any
    more, the votes of a phase-1 quorum serve as its promises for the next ballot. *)
Definition on_accepted (s : coordinator) (from : N) (v : vote) (q : system) (r : rounds)
    (round_max : N) : coordinator * option message :=
  if negb (is_ballot (current s) (fst v)) || negb (contains (acceptors q) from) then (s, None)
  else match progress s with
  | Watching p =>
      let p := hear p from v in
      let heard := voters p in
      let s := Coordinator (current s) (request s) (Watching p) in
      if is_some (choosable p heard q) || negb (is_phase1 q heard) then (s, None)
      else match recovery r (fst v) with
      | Some b =>
          if round_max <? round b then (s, None)
          else match pick p heard q with
          | Some value => propose (Coordinator (Some b) (request s) (progress s)) (b, value) r
          | None => (s, None)
          end
      | None => (s, None)
      end
  | _ => (s, None)
  end.

(** Somebody promised a higher ballot: abandon this one. Says whether it was abandoned. *)
Definition on_nack (s : coordinator) (promised : ballot) : coordinator * bool :=
  let is_under_way := match progress s with
    | Preparing _ _ | Watching _ | Accepting _ => true
    | Idle | Preempted _ => false
    end in
  if is_under_way && (Some promised >? current s)
  then (Coordinator (current s) (request s) (Preempted promised), true)
  else (s, false).

(** The decision is known: stop, and name the client that waits for it. *)
Definition retire (s : coordinator) : coordinator * option N :=
  (Coordinator (current s) None Idle, option_map fst (request s)).
