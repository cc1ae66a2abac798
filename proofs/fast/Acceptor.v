(** * The acceptor: [src/fast/acceptor.rs] *)

From Coq Require Import NArith Bool.
From Synod Require Import Vocabulary.
From Synod.fast Require Import Rounds Protocol.
Open Scope N_scope.

(** What an acceptor must never forget: a promise, whether in that ballot any value may
    be voted for, and its last vote. *)
Record acceptor := Acceptor {
  promised : option ballot;
  is_open : bool;
  vote : option vote }.

Definition default : acceptor := Acceptor None false None.

(** Which ballot stands in the way of [b]. None if that is its coordinator's own. *)
Definition refusal_of (s : acceptor) (b : ballot) : option message :=
  match promised s with
  | Some p => if node p =? node b then None else Some (Nack p)
  | None => None
  end.

(** Phase 1b: a _prepare_ above every ballot promised so far is answered with a
    promise, and with the highest vote cast. *)
Definition on_prepare (s : acceptor) (b : ballot) : acceptor * option message :=
  if promised s >=? Some b then (s, refusal_of s b)
  else ({| promised := Some b; is_open := false; vote := vote s |}, Some (Promise b (vote s))).

(** Votes. Whoever votes in a fast ballot promises the one that resolves it. *)
Definition cast (s : acceptor) (v : Vocabulary.vote) (r : rounds) : acceptor * option message :=
  ({| promised := Some (match recovery r (fst v) with Some b => b | None => fst v end);
      is_open := false; vote := Some v |}, Some (Accepted v)).

(** Phase 2b of a ballot that has a value: it is voted for unless a higher ballot was
    promised. *)
Definition on_accept (s : acceptor) (proposal : Vocabulary.vote) (r : rounds)
    : acceptor * option message :=
  if promised s >? Some (fst proposal) then (s, refusal_of s (fst proposal))
  else if is_vote (vote s) proposal then (s, None)
  else cast s proposal r.

(** Phase 2a of a fast ballot: from now on what a client asks for may be voted for. *)
Definition on_any (s : acceptor) (b : ballot) : acceptor * option message :=
  if promised s >? Some b then (s, refusal_of s b)
  else ({| promised := Some b; is_open := true; vote := vote s |}, None).

(** Phase 2b of a fast ballot: the first value that a client asks for is voted for. *)
Definition on_propose (s : acceptor) (value : N) (r : rounds) : acceptor * option message :=
  match promised s with
  | Some b => if is_open s then cast s (b, value) r else (s, None)
  | None => (s, None)
  end.
