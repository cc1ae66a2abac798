(** * The learner: [src/basic/learner.rs] *)

From Coq Require Import NArith Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.basic Require Import Protocol.
Open Scope N_scope.

(** A learner: the votes heard for one proposal, and what it has decided, which alone
    is durable. *)
Record learner := Learner {
  tally : option (vote * set);
  decided : option N }.

(** A learner that starts, for the first time or again, with what it had decided. *)
Definition restart (d : option N) : learner := Learner None d.

(** Another learner's word that [value] is chosen. Returns it if it is news. *)
Definition on_decided (s : learner) (value : N) : learner * option N :=
  if is_some (decided s) then (s, None) else (Learner None (Some value), Some value).

(** An acceptor's vote: a value is chosen once a quorum has voted for it in one
    ballot. Returns the value if this vote decided. *)
Definition on_accepted (s : learner) (from : N) (v : vote) (q : system) : learner * option N :=
  let followed := option_map (fun t => fst (fst t)) (tally s) in
  let is_past := followed >? Some (fst v) in
  if is_some (decided s) || negb (contains (acceptors q) from) || is_past then (s, None)
  else
    let heard := match tally s with
      | Some (proposal, voters) => if is_vote (Some proposal) v then voters else 0
      | None => 0
      end in
    let voters := insert heard from in
    if is_phase2 q voters then on_decided s (snd v)
    else (Learner (Some (v, voters)) (decided s), None).
