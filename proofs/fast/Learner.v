(** * The learner: [src/fast/learner.rs] *)

From Coq Require Import NArith Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.fast Require Import Protocol Poll.
Open Scope N_scope.

(** A learner: the votes heard in the ballot that it follows, and what it has decided,
    which alone is durable. *)
Record learner := Learner {
  followed : poll;
  decided : option N }.

(** A learner that starts, for the first time or again, with what it had decided. *)
Definition restart (d : option N) : learner := Learner default d.

(** Another learner's word that [value] is chosen. Returns it if it is news. *)
Definition on_decided (s : learner) (value : N) : learner * option N :=
  if is_some (decided s) then (s, None) else (Learner default (Some value), Some value).

(** An acceptor's vote: a value is chosen once a quorum of the ballot has voted for it.
    Returns the value if this vote decided. *)
Definition on_accepted (s : learner) (from : N) (v : vote) (q : system) : learner * option N :=
  if is_some (decided s) || negb (contains (acceptors q) from) then (s, None)
  else
    let p := hear (followed s) from v in
    match chosen p q with
    | Some value => on_decided (Learner p (decided s)) value
    | None => (Learner p (decided s), None)
    end.
