(** * A poll: [src/fast/poll.rs] *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.fast Require Import Rounds.
Import ListNotations.
Open Scope N_scope.

(** The votes heard of in one ballot, the highest that any was heard of: the values that
    have votes, in the order in which they were heard, and whose. *)
Record poll := Poll {
  polled : option ballot;
  votes : list (N * set) }.

Definition default : poll := Poll None [].

(** A voter more for a value. *)
Fixpoint note (from value : N) (l : list (N * set)) : list (N * set) :=
  match l with
  | [] => [(value, insert 0 from)]
  | (w, voters) :: rest =>
      if w =? value then (w, insert voters from) :: rest
      else (w, voters) :: note from value rest
  end.

(** A vote. One in a lower ballot than that of the poll is ignored, one in a higher
    starts a new poll. *)
Definition hear (p : poll) (from : N) (v : vote) : poll :=
  if polled p >? Some (fst v) then p
  else
    let known := if Some (fst v) >? polled p then [] else votes p in
    Poll (Some (fst v)) (note from (snd v) known).

(** Everybody who voted. *)
Definition voters (p : poll) : set := fold_right (fun it => N.lor (snd it)) 0 (votes p).

(** The value that a quorum has voted for. *)
Definition chosen (p : poll) (q : system) : option N :=
  bind (polled p) (fun b => option_map fst (find (fun it => chooses q b (snd it)) (votes p))).

(** The value that may have been chosen in this ballot, or may be yet, as far as is known
    to whoever has heard from [heard]. *)
Definition choosable (p : poll) (heard : set) (q : system) : option N :=
  bind (polled p) (fun b => option_map fst
    (find (fun it => negb (blocks_in q b (difference heard (snd it)))) (votes p))).

(** The value to go on with: the one that may have been chosen, or any that has a vote
    if none may. *)
Definition pick (p : poll) (heard : set) (q : system) : option N :=
  match choosable p heard q with
  | Some v => Some v
  | None => option_map fst (hd_error (votes p))
  end.
