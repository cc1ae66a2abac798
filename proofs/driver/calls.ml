(* Compares calls of the Rust handlers of Basic Paxos, one per line, with those of the proofs.

     calls FILE... *)

open Words
module P = Protocol

let vote = ballot ** number
let request = number ** number

let acceptor =
  map (fun (promised, vote) -> { Acceptor.promised; vote })
    (fun (it : Acceptor.acceptor) -> (it.promised, it.vote))
    (option ballot ** option vote)

let phase =
  enum
    [ constant "Idle" Proposer.Idle;
      variant "Preparing" (number ** option vote)
        (fun (promises, highest) -> Proposer.Preparing (promises, highest))
        (function Preparing (promises, highest) -> Some (promises, highest) | _ -> None);
      variant "Accepting" number (fun value -> Proposer.Accepting value)
        (function Accepting value -> Some value | _ -> None);
      variant "Preempted" ballot (fun by -> Proposer.Preempted by)
        (function Preempted by -> Some by | _ -> None) ]

let proposer =
  map (fun (current, (request, progress)) -> { Proposer.current; request; progress })
    (fun (it : Proposer.proposer) -> (it.current, (it.request, it.progress)))
    (option ballot ** option request ** phase)

let learner =
  map (fun (tally, decided) -> { Learner.tally; decided })
    (fun (it : Learner.learner) -> (it.tally, it.decided))
    (option (vote ** number) ** option number)

let state =
  map (fun (acceptor, (proposer, learner)) -> { Node.acceptor; proposer; learner })
    (fun (it : Node.state) -> (it.acceptor, (it.proposer, it.learner)))
    (option acceptor ** option proposer ** option learner)

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
      variant "Accept" vote (fun it -> P.Accept it) (function Accept it -> Some it | _ -> None);
      variant "Accepted" vote (fun it -> P.Accepted it)
        (function Accepted it -> Some it | _ -> None);
      variant "Nack" ballot (fun promised -> P.Nack promised)
        (function Nack promised -> Some promised | _ -> None);
      variant "Decided" number (fun value -> P.Decided value)
        (function Decided value -> Some value | _ -> None);
      constant "Ask" P.Ask ]

let cluster t : P.cluster =
  let quorums, (proposers, (learners, (nacks, (round_max, retry)))) =
    (quorum_system ** many number ** many number ** bool ** number ** backoff).read t in
  { quorums = classic quorums; proposers; learners; nacks; round_max; retry }

let () =
  run
    { name = "basic"; cluster; state; durable; message;
      timer = enum [ constant "Retry" Node.Retry; constant "Ask" Node.AskAgain ];
      on_start = Node.on_start; on_message = Node.on_message; on_timer = Node.on_timer;
      durable_of = Node.durable_of;
      parts = (fun me (step : Node.step) -> (step.now, Node.sends me step, step.timers)) }
