(** * The acceptor: [src/multi/acceptor.rs] *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary.
From Synod.multi Require Import Table Log Lease Protocol.
Import ListNotations.
Open Scope N_scope.

(** What an acceptor remembers: one promise, and its last vote in each slot that may still
    be open. Votes below [base] are gone: what was chosen there is known here. The lease
    that it granted is lost in a crash, the rest is not. *)
Record acceptor := Acceptor {
  promised : option ballot;
  votes : table vote;
  base : N;
  lease_granted : option lease_grant }.

Definition with_promise (b : ballot) (s : acceptor) : acceptor :=
  Acceptor (Some b) (votes s) (base s) (lease_granted s).
Definition with_grant (g : option lease_grant) (s : acceptor) : acceptor :=
  Acceptor (promised s) (votes s) (base s) g.

Definition default : acceptor := Acceptor None [] 0 None.

(** An acceptor that starts, for the first time or again. It acts as if it had granted a
    lease just now. *)
Definition restart (saved : option acceptor) (lease : option lease_times) (time : N) : acceptor :=
  let s := match saved with Some s => s | None => default end in
  with_grant (bind lease (presumed (promised s) time)) s.

(** The part that must survive a restart. *)
Definition durable (s : acceptor) : acceptor := with_grant None s.

(** Whether a proposal in this ballot can never again be voted for. *)
Definition is_past_accept (s : acceptor) (b : ballot) : bool := promised s >? Some b.

(** Whether a ballot is let in: no higher one is promised, and no lease to somebody else
    lasts. *)
Definition admits (s : acceptor) (b : ballot) (time : N) : bool :=
  negb (is_past_accept s b) && negb (holds_off (lease_granted s) b time).

(** The refusal of a ballot, on account of a higher one. A proposer that a lease holds off
    is told nothing. *)
Definition refusal_of (s : acceptor) (b : ballot) (time : N) : option message :=
  match promised s with
  | Some p =>
      if (Some p >? Some b) && negb (holds_off (lease_granted s) b time)
      then Some (Nack p (base s)) else None
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
Definition on_prepare (s : acceptor) (b : ballot) (from time : N)
    : acceptor * option message :=
  if negb (admits s b time) || is_ballot (promised s) b then (s, refusal_of s b time)
  else
    let s := with_promise b s in
    (s, Some (report s b from)).

(** More of a promise that one message was too small for, as long as it is the latest. *)
Definition on_continue (s : acceptor) (b : ballot) (from : N) : option message :=
  if is_ballot (promised s) b then Some (report s b from) else None.

End Acceptor.

(** Phase 2b: a proposal is voted for unless a higher ballot was promised, or a lease keeps
    its ballot out. *)
Definition on_accept (s : acceptor) (slot : N) (proposal : vote) (time : N)
    : acceptor * option message :=
  let b := fst proposal in
  if negb (admits s b time) then (s, refusal_of s b time)
  else if slot <? base s then (s, None)
  else
    (Acceptor (Some b) (put slot proposal (votes s)) (base s) (lease_granted s),
     Some (Accepted b slot)).

(** A leader shows itself: whoever follows it promises its ballot, grants it a lease from
    now on, where there are leases, and says so. *)
Definition on_heartbeat (s : acceptor) (b : ballot) (it : heartbeat_id) (lease : option lease_times)
    (time : N) : acceptor * option message :=
  if negb (admits s b time) then (s, refusal_of s b time)
  else
    let s := with_promise b s in
    let s := match lease with
      | Some times => with_grant (Some (granted (node b) time times)) s
      | None => s
      end in
    (s, Some (HeartbeatAck b it)).

(** Forgets a lease that is over. *)
Definition tick (s : acceptor) (time : N) : acceptor :=
  match lease_granted s with
  | Some g => if time <? until g then s else with_grant None s
  | None => s
  end.

(** The entry voted for in a slot and in this very ballot. *)
Definition voted_in (s : acceptor) (b : ballot) (slot : N) : option entry :=
  match find slot (votes s) with
  | Some v => if fst v =? b then Some (snd v) else None
  | None => None
  end.

(** Drops the votes in slots below one up to which all is decided and known to this node. *)
Definition trim (s : acceptor) (decided : N) : acceptor :=
  let base := N.max (base s) decided in
  Acceptor (promised s) (since base (votes s)) base (lease_granted s).
