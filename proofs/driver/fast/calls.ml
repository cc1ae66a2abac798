(* Compares calls of the Rust handlers of Fast Paxos, one per line, with those of the proofs.

     calls FILE... *)

open Words
module P = Protocol

let vote = ballot ** number
let request = number ** number

let acceptor =
  map (fun (promised, (is_open, vote)) -> { Acceptor.promised; is_open; vote })
    (fun (it : Acceptor.acceptor) -> (it.promised, (it.is_open, it.vote)))
    (option ballot ** bool ** option vote)

let poll =
  map (fun (polled, votes) -> { Poll.polled; votes })
    (fun (it : Poll.poll) -> (it.polled, it.votes))
    (option ballot ** table number)

let phase =
  enum
    [ constant "Idle" Coordinator.Idle;
      variant "Preparing" (number ** poll)
        (fun (promises, poll) -> Coordinator.Preparing (promises, poll))
        (function Preparing (promises, poll) -> Some (promises, poll) | _ -> None);
      variant "Watching" poll (fun poll -> Coordinator.Watching poll)
        (function Watching poll -> Some poll | _ -> None);
      variant "Accepting" number (fun value -> Coordinator.Accepting value)
        (function Accepting value -> Some value | _ -> None);
      variant "Preempted" ballot (fun by -> Coordinator.Preempted by)
        (function Preempted by -> Some by | _ -> None) ]

let coordinator =
  map (fun (current, (request, progress)) -> { Coordinator.current; request; progress })
    (fun (it : Coordinator.coordinator) -> (it.current, (it.request, it.progress)))
    (option ballot ** option request ** phase)

let learner =
  map (fun (followed, decided) -> { Learner.followed; decided })
    (fun (it : Learner.learner) -> (it.followed, it.decided))
    (poll ** option number)

let state =
  map (fun (acceptor, (coordinator, learner)) -> { Node.acceptor; coordinator; learner })
    (fun (it : Node.state) -> (it.acceptor, (it.coordinator, it.learner)))
    (option acceptor ** option coordinator ** option learner)

let durable =
  map (fun (saved_acceptor, (saved_ballot, saved_decision)) ->
      { Node.saved_acceptor; saved_ballot; saved_decision })
    (fun (it : Node.durable) -> (it.saved_acceptor, (it.saved_ballot, it.saved_decision)))
    (option acceptor ** option ballot ** option number)

let message =
  enum
    [ variant "Propose" number (fun value -> P.Propose value)
        (function Propose value -> Some value | _ -> None);
      variant "Prepare" ballot (fun b -> P.Prepare b) (function Prepare b -> Some b | _ -> None);
      variant "Promise" (ballot ** option vote) (fun (b, vote) -> P.Promise (b, vote))
        (function Promise (b, vote) -> Some (b, vote) | _ -> None);
      variant "Any" ballot (fun b -> P.Any b) (function Any b -> Some b | _ -> None);
      variant "Accept" vote (fun it -> P.Accept it) (function Accept it -> Some it | _ -> None);
      variant "Accepted" vote (fun it -> P.Accepted it)
        (function Accepted it -> Some it | _ -> None);
      variant "Nack" ballot (fun promised -> P.Nack promised)
        (function Nack promised -> Some promised | _ -> None);
      variant "Decided" number (fun value -> P.Decided value)
        (function Decided value -> Some value | _ -> None);
      constant "Ask" P.Ask ]

let cluster t : P.cluster =
  let system, (coordinators, (learners, (nacks, (round_max, retry)))) =
    (quorum_system ** many number ** many number ** bool ** number ** backoff).read t in
  let acceptors, (phase1, (phase2, (fast_rounds, phase2_fast))) = system in
  let threshold : Quorum.quorums -> BinNums.coq_N = function
    | AtLeast size -> size
    | AnyOf _ -> unexpected "a threshold" "AnyOf" in
  let quorums =
    Rounds.system_of acceptors (threshold phase1) (threshold phase2) (threshold phase2_fast)
      fast_rounds in
  { quorums; fast_rounds; coordinators; learners; nacks; round_max; retry }

let () =
  run
    { name = "fast"; cluster; state; durable; message;
      timer = enum [ constant "Retry" Node.Retry; constant "Ask" Node.AskAgain ];
      on_start = Node.on_start; on_message = Node.on_message; on_timer = Node.on_timer;
      durable_of = Node.durable_of;
      parts = (fun me (step : Node.step) -> (step.now, Node.sends me step, step.timers)) }
