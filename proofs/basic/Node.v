(** * One process and the roles it plays: [src/basic/node.rs] *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.basic Require Import Protocol.
From Synod.basic Require Acceptor Proposer Learner.
Import ListNotations.
Open Scope N_scope.

(** What a process remembers, by role; [None] for a role that it does not play. *)
Record state := State {
  acceptor : option Acceptor.acceptor;
  proposer : option Proposer.proposer;
  learner : option Learner.learner }.

(** What must survive a restart, of all roles together. *)
Record durable := Durable {
  saved_acceptor : option Acceptor.acceptor;
  saved_ballot : option ballot;
  saved_decision : option N }.

(** The value that this process knows to be chosen. *)
Definition decided (s : state) : option N := bind (learner s) Learner.decided.

Definition durable_of (s : state) : durable :=
  Durable (acceptor s) (bind (proposer s) Proposer.current) (decided s).

(** The two alarms of a node. *)
Inductive timer := Retry | AskAgain.

(** A step under way: the state, messages to oneself that are still to be handled, all
    that was said so far, to oneself too, and alarms, each set to a time from a range
    or cancelled ([None]). *)
Record step := Step {
  now : state;
  inbox : list message;
  said : list (N * message);
  timers : list (timer * option (N * N)) }.

Section Node.
Variable c : cluster.
Variable me : N.

Definition begin (s : state) : step := Step s [] [] [].

Definition with_state (s : state) (st : step) : step :=
  Step s (inbox st) (said st) (timers st).
Definition with_acceptor (a : Acceptor.acceptor) (st : step) : step :=
  with_state (State (Some a) (proposer (now st)) (learner (now st))) st.
Definition with_proposer (p : Proposer.proposer) (st : step) : step :=
  with_state (State (acceptor (now st)) (Some p) (learner (now st))) st.
Definition with_learner (l : Learner.learner) (st : step) : step :=
  with_state (State (acceptor (now st)) (proposer (now st)) (Some l)) st.

Definition send (to : N) (m : message) (st : step) : step :=
  Step (now st) (if to =? me then inbox st ++ [m] else inbox st)
    (said st ++ [(to, m)]) (timers st).
Definition broadcast (to : list N) (m : message) (st : step) : step :=
  fold_left (fun st to => send to m st) to st.
Definition broadcast_to_acceptors (m : message) : step -> step :=
  broadcast (members (acceptors (quorums c))) m.

Definition set_timer (t : timer) (range : N * N) (st : step) : step :=
  Step (now st) (inbox st) (said st) (timers st ++ [(t, Some range)]).
Definition cancel (t : timer) (st : step) : step :=
  Step (now st) (inbox st) (said st) (timers st ++ [(t, None)]).

(** The processes that are told the decision. *)
Definition decision_audience : list N := in_order (learners c ++ proposers c).
Definition is_in_decision_audience : bool := is_in (learners c) me || is_in (proposers c) me.

(** The state when it starts, for the first time or again. *)
Definition start_state (d : option durable) : state :=
  let ballot := bind d saved_ballot in
  let decided := bind d saved_decision in
  {| acceptor := if is_acceptor c me
       then match bind d saved_acceptor with
         | Some a => Some a
         | None => Some Acceptor.default
         end
       else None;
     proposer := if is_in (proposers c) me then Some (Proposer.restart ballot) else None;
     learner := if is_in_decision_audience then Some (Learner.restart decided) else None |}.

Definition is_idle (p : Proposer.proposer) : bool :=
  match Proposer.progress p with Proposer.Idle => true | _ => false end.

(** Starts a ballot, and gives it a time to succeed in. *)
Definition campaign (st : step) : step :=
  match proposer (now st) with
  | None => st
  | Some p =>
      let heard := bind (acceptor (now st)) Acceptor.promised in
      let (p, prepare) := Proposer.prepare p me heard (round_max c) in
      let round := match Proposer.current p with Some b => round b | None => 0 end in
      let st := with_proposer p st in
      let st := match prepare with
        | Some prepare => broadcast_to_acceptors prepare st
        | None => st
        end in
      set_timer Retry (wait (retry c) round) st
  end.

(** Asks all who may know the decision, now and then. A vote of our own whose proposer
    may be gone for good is reason enough to propose. *)
Definition ask_decision (st : step) : step :=
  let others := filter (fun id => negb (id =? me)) decision_audience in
  let st := broadcast others Ask st in
  let st := set_timer AskAgain (pace (retry c)) st in
  match bind (acceptor (now st)) Acceptor.vote, proposer (now st) with
  | Some vote, Some p =>
      if is_idle p then set_timer Retry (wait (retry c) (round (fst vote))) st else st
  | _, _ => st
  end.

(** The decision is known: nothing is left to do but to tell the client. *)
Definition stop (value : N) (st : step) : step :=
  let st := match proposer (now st) with
    | Some p =>
        let (p, waiting) := Proposer.retire p in
        let st := with_proposer p st in
        match waiting with
        | Some client => send client (Decided value) st
        | None => st
        end
    | None => st
    end in
  cancel AskAgain (cancel Retry st).

(** An acceptor's answer: a promise or a refusal to the proposer, a vote to the learners. *)
Definition answer (to : N) (a : option message) (st : step) : step :=
  match a with
  | Some (Nack _ as m) => if nacks c then send to m st else st
  | Some (Accepted _ as m) => broadcast (learners c) m st
  | Some m => send to m st
  | None => st
  end.

Definition on_propose (client value : N) (st : step) : step :=
  match decided (now st), proposer (now st) with
  | Some value, _ => send client (Decided value) st
  | None, None => st
  | None, Some p =>
      let (p, is_taken) := Proposer.on_propose p client value in
      let st := with_proposer p st in
      if is_taken && is_idle p then campaign st else st
  end.

Definition on_promise (from : N) (b : ballot) (v : option vote) (st : step) : step :=
  match proposer (now st) with
  | None => st
  | Some p =>
      let was_idle := is_idle p in
      let (p, accept) := Proposer.on_promise p from b v (quorums c) in
      let st := with_proposer p st in
      let st := match accept with Some m => broadcast_to_acceptors m st | None => st end in
      if negb was_idle && is_idle p then cancel Retry st else st
  end.

Definition on_accepted (from : N) (v : vote) (st : step) : step :=
  match learner (now st) with
  | None => st
  | Some l =>
      let (l, news) := Learner.on_accepted l from v (quorums c) in
      let st := with_learner l st in
      match news with
      | Some value => stop value (broadcast decision_audience (Decided value) st)
      | None => st
      end
  end.

Definition on_nack (promised : ballot) (st : step) : step :=
  match proposer (now st) with
  | None => st
  | Some p =>
      let (p, gives_up) := Proposer.on_nack p promised in
      let st := with_proposer p st in
      if gives_up then set_timer Retry (wait (retry c) (round promised)) st else st
  end.

Definition on_decided (value : N) (st : step) : step :=
  match learner (now st) with
  | None => st
  | Some l =>
      let (l, news) := Learner.on_decided l value in
      let st := with_learner l st in
      match news with Some value => stop value st | None => st end
  end.

(** Every message, and the role that answers it. *)
Definition dispatch (from : N) (m : message) (st : step) : step :=
  match m with
  | Propose value => on_propose from value st
  | Prepare b =>
      match acceptor (now st) with
      | Some a => let (a, reply) := Acceptor.on_prepare a b in
                  answer from reply (with_acceptor a st)
      | None => st
      end
  | Promise b v => on_promise from b v st
  | Accept v =>
      match acceptor (now st) with
      | Some a => let (a, reply) := Acceptor.on_accept a v in
                  answer from reply (with_acceptor a st)
      | None => st
      end
  | Accepted v => on_accepted from v st
  | Nack promised => on_nack promised st
  | Decided value => on_decided value st
  | Ask =>
      match decided (now st) with
      | Some value => send from (Decided value) st
      | None => st
      end
  end.

(** Handles the messages to oneself, at most [fuel] of them. Rust has no such bound; a
    step that ran out of fuel would lose messages, and the comparison of handlers
    would show it. *)
Fixpoint drain (fuel : nat) (st : step) : step :=
  match fuel, inbox st with
  | S fuel, m :: rest => drain fuel (dispatch me m (Step (now st) rest (said st) (timers st)))
  | _, _ => st
  end.
Definition fuel : nat := 1000.

(** What leaves the process: nothing that it said to itself. *)
Definition sends (st : step) : list (N * message) :=
  filter (fun it => negb (fst it =? me)) (said st).

(** ** The events of a process *)

Definition on_start (d : option durable) : step :=
  let s := start_state d in
  let st := begin s in
  if is_some (learner s) && negb (is_some (decided s)) then
    let st := ask_decision st in
    if is_some (bind (proposer s) Proposer.current)
    then set_timer Retry (pace (retry c)) st else st
  else st.

Definition on_message (s : state) (from : N) (m : message) : step :=
  drain fuel (dispatch from m (begin s)).

Definition on_timer (s : state) (t : timer) : step :=
  drain fuel (
    if is_some (decided s) then begin s
    else match t with Retry => campaign (begin s) | AskAgain => ask_decision (begin s) end).

End Node.
