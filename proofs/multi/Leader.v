(** * The leader: a proposer that prepares all slots at once: [src/multi/leader.rs] *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.multi Require Import Table Log Protocol.
From Synod.multi Require Leadership.
Import ListNotations.
Open Scope N_scope.

(** What a candidate has been promised: the first slot asked about, who promised, the
    highest vote reported in each slot, and the highest slot up to which somebody knows
    all to be decided. *)
Record campaign := Campaign {
  from : N;
  promises : set;
  votes : table vote;
  decided : N }.

(** How far a proposer is with its ballot. *)
Inductive phase :=
| Following
| Preparing (it : campaign)
| Leading (it : Leadership.leadership)
| Preempted (by_ballot : ballot).

(** A proposer, which may come to lead. Of its state only the ballot is durable. *)
Record leader := Leader { current : option ballot; progress : phase }.

(** A proposer that starts, for the first time or again, having used ballots up to [b]. *)
Definition restart (b : option ballot) : leader := Leader b Following.

(** Phase 1a: choose a ballot higher than any used or heard of, and ask the acceptors for
    promises and for their votes in all slots that are not known to be decided. *)
Definition prepare (s : leader) (me : N) (heard : option ballot) (decided round_max : N)
    : leader * option message :=
  let outbid_by := match progress s with Preempted b => Some b | _ => None end in
  let b := above (max (max (current s) outbid_by) heard) me in
  if round_max <? round b then (s, None)
  else (Leader (Some b) (Preparing (Campaign decided 0 [] decided)), Some (Prepare b decided)).

(** Reported votes, of which the highest in each slot counts. *)
Definition collect (reported known : table vote) : table vote :=
  fold_left (fun known it =>
    let highest := option_map fst (find (fst it) known) in
    if Some (fst (snd it)) >? highest then put (fst it) (snd it) known else known)
    reported known.

(** The first slot after all that may be taken. *)
Definition barrier (c : campaign) : N := after_highest (votes c) (decided c).

(** How many slots must be filled with no-ops. *)
Definition gaps (c : campaign) : N := barrier c - decided c - size (votes c).

(** Phase 2a, for all slots that may be taken: once a quorum has promised, propose in each
    slot the entry of the highest vote reported, and a no-op in those slots before the
    last such for which no vote was reported at all. *)
Definition on_promise (s : leader) (from : N) (b : ballot) (reported : table vote) (decided' : N)
    (is_all : bool) (q : system) : leader * option Leadership.proposals :=
  if negb (is_ballot (current s) b) || negb (contains (acceptors q) from) then (s, None)
  else match progress s with
  | Preparing c =>
      if contains (promises c) from then (s, None)
      else
        let decided := N.max (decided c) decided' in
        let votes := since decided (collect reported (votes c)) in
        let promises := if is_all then insert (promises c) from else promises c in
        let c := Campaign (Leader.from c) promises votes decided in
        if negb (is_phase1 q promises) || (span_max <? gaps c)
        then (Leader (current s) (Preparing c), None)
        else
          let (leadership, proposals) := Leadership.begin decided (barrier c) votes in
          (Leader (current s) (Leading leadership), Some proposals)
  | _ => (s, None)
  end.

(** Somebody promised a higher ballot: abandon this one. Says whether it was abandoned. *)
Definition on_nack (s : leader) (promised : ballot) : leader * bool :=
  let is_under_way := match progress s with
    | Preparing _ | Leading _ => true
    | Following | Preempted _ => false
    end in
  if is_under_way && (Some promised >? current s)
  then (Leader (current s) (Preempted promised), true) else (s, false).

(** Somebody leads in a higher ballot: follow. Says whether anything was given up for it. *)
Definition yield_to (s : leader) (b : ballot) : leader * bool :=
  let is_following := match progress s with Following => true | _ => false end in
  if (Some b >? current s) && negb is_following
  then (Leader (current s) Following, true) else (s, false).

(** Slots below [decided] are decided, and [known] says what they hold. Says whether a
    leadership goes on, if there is one. *)
Definition learn (s : leader) (decided : N) (known : N -> option entry) : leader * bool :=
  match progress s with
  | Leading leadership =>
      let (leadership, goes_on) := Leadership.learn leadership decided known in
      (Leader (current s) (if goes_on then Leading leadership else Following), goes_on)
  | _ => (s, true)
  end.

(** Whether a promise can never matter again. *)
Definition is_past_promise (s : leader) (from : N) (b : ballot) : bool :=
  let is_counted := match progress s with
    | Preparing c => contains (promises c) from
    | _ => true
    end in
  (current s >? Some b) || is_ballot (current s) b && is_counted.
