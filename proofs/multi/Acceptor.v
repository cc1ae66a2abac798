(** * The acceptor: [src/multi/acceptor.rs] *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary.
From Synod.multi Require Import Table Log Protocol.
Import ListNotations.
Open Scope N_scope.

(** What an acceptor must never forget: one promise, and its last vote in each slot that
    may still be open. Votes below [base] are gone: what was chosen there is known here. *)
Record acceptor := Acceptor {
  promised : option ballot;
  votes : table vote;
  base : N }.

Definition default : acceptor := Acceptor None [] 0.

(** The refusal of a ballot, on account of a higher one. *)
Definition refusal_of (s : acceptor) (b : ballot) : option message :=
  match promised s with
  | Some p => if Some p >? Some b then Some (Nack p (base s)) else None
  | None => None
  end.

Section Acceptor.
Variable bytes_of : entry -> N.
Variable bytes_max : N.

(** The first of some votes, as many as one message takes and at least one; and the slot of
    the first that is left out. *)
Fixpoint fitting (bytes : N) (is_first : bool) (t : table vote) : table vote * option N :=
  match t with
  | [] => ([], None)
  | (slot, v) :: rest =>
      let bytes := bytes + bytes_of (snd v) in
      if (bytes_max <? bytes) && negb is_first then ([], Some slot)
      else let (taken, more) := fitting bytes false rest in ((slot, v) :: taken, more)
  end.

(** The votes from a slot on, as far as one message takes them. *)
Definition report (s : acceptor) (b : ballot) (from : N) : message :=
  let (taken, more) := fitting 0 true (since from (votes s)) in
  Promise b taken (base s) more.

(** Phase 1b, for all slots at once: a _prepare_ above every ballot promised so far is
    answered with a promise, and with the votes cast from the given slot on. *)
Definition on_prepare (s : acceptor) (b : ballot) (from : N) : acceptor * option message :=
  if promised s >=? Some b then (s, refusal_of s b)
  else
    let s := Acceptor (Some b) (votes s) (base s) in
    (s, Some (report s b from)).

(** More of a promise that one message was too small for, as long as it is the latest. *)
Definition on_continue (s : acceptor) (b : ballot) (from : N) : option message :=
  if is_ballot (promised s) b then Some (report s b from) else None.

End Acceptor.

(** Phase 2b: a proposal is voted for unless a higher ballot was promised. *)
Definition on_accept (s : acceptor) (slot : N) (proposal : vote) : acceptor * option message :=
  let b := fst proposal in
  if promised s >? Some b then (s, refusal_of s b)
  else if slot <? base s then (s, None)
  else (Acceptor (Some b) (put slot proposal (votes s)) (base s), Some (Accepted b slot)).

(** A leader shows itself: whoever follows it promises its ballot. Says whether it is
    followed. *)
Definition on_heartbeat (s : acceptor) (b : ballot) : acceptor * bool :=
  if Some b >=? promised s then (Acceptor (Some b) (votes s) (base s), true) else (s, false).

(** The entry voted for in a slot and in this very ballot. *)
Definition voted_in (s : acceptor) (b : ballot) (slot : N) : option entry :=
  match find slot (votes s) with
  | Some v => if fst v =? b then Some (snd v) else None
  | None => None
  end.

(** Drops the votes in slots below one up to which all is decided and known to this node. *)
Definition trim (s : acceptor) (decided : N) : acceptor :=
  let base := N.max (base s) decided in
  Acceptor (promised s) (since base (votes s)) base.

(** Whether a proposal in this ballot can never again be voted for. *)
Definition is_past_accept (s : acceptor) (b : ballot) : bool := promised s >? Some b.
