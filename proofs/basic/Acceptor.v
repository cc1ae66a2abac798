(** * The acceptor: [src/basic/acceptor.rs] *)

From Coq Require Import NArith Bool.
From Synod Require Import Vocabulary.
From Synod.basic Require Import Protocol.
Open Scope N_scope.

(** What an acceptor must never forget: a promise and its last vote. *)
Record acceptor := Acceptor {
  promised : option ballot;
  vote : option vote }.

Definition default : acceptor := Acceptor None None.

(** Which ballot stands in the way of [b]. None if that is its proposer's own. *)
Definition refusal_of (s : acceptor) (b : ballot) : option message :=
  match promised s with
  | Some p => if node p =? node b then None else Some (Nack p)
  | None => None
  end.

(** Phase 1b: a _prepare_ above every ballot promised so far is answered with a
    promise, and with the highest vote cast. *)
Definition on_prepare (s : acceptor) (b : ballot) : acceptor * option message :=
  if promised s >=? Some b then (s, refusal_of s b)
  else ({| promised := Some b; vote := vote s |}, Some (Promise b (vote s))).

(** Phase 2b: a proposal is voted for unless a higher ballot was promised. *)
Definition on_accept (s : acceptor) (proposal : Vocabulary.vote) : acceptor * option message :=
  if promised s >? Some (fst proposal) then (s, refusal_of s (fst proposal))
  else if is_vote (vote s) proposal then (s, None)
  else ({| promised := Some (fst proposal); vote := Some proposal |}, Some (Accepted proposal)).
