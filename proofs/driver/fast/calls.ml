(* Compares calls of the Rust handlers of Fast Paxos, one per line, with those of the proofs.

     calls FILE... *)

open Numbers
open Words
module P = Protocol

(* ---- reading ---- *)

let vote t = let b = ballot t in (b, number t)

let acceptor t : Acceptor.acceptor =
  let promised = option ballot t in
  let is_open = bool t in
  { promised; is_open; vote = option vote t }

let poll t : Poll.poll =
  let polled = option ballot t in
  { polled; votes = many (fun t -> let v = number t in (v, number t)) t }

let phase t : Coordinator.phase =
  match next t with
  | "idle" -> Idle
  | "preparing" -> let promises = number t in Preparing (promises, poll t)
  | "watching" -> Watching (poll t)
  | "accepting" -> Accepting (number t)
  | "preempted" -> Preempted (ballot t)
  | word -> malformed "a phase" word

let coordinator t : Coordinator.coordinator =
  let current = option ballot t in
  let request = option (fun t -> let client = number t in (client, number t)) t in
  { current; request; progress = phase t }

let learner t : Learner.learner =
  let followed = poll t in
  { followed; decided = option number t }

let state t : Node.state =
  let a = option acceptor t in
  let p = option coordinator t in
  { acceptor = a; coordinator = p; learner = option learner t }

let durable t : Node.durable =
  let a = option acceptor t in
  let b = option ballot t in
  { saved_acceptor = a; saved_ballot = b; saved_decision = option number t }

let message t : P.message =
  match next t with
  | "propose" -> Propose (number t)
  | "prepare" -> Prepare (ballot t)
  | "promise" -> let b = ballot t in Promise (b, option vote t)
  | "any" -> Any (ballot t)
  | "accept" -> Accept (vote t)
  | "accepted" -> Accepted (vote t)
  | "nack" -> Nack (ballot t)
  | "decided" -> Decided (number t)
  | "ask" -> Ask
  | word -> malformed "a message" word

let cluster t : P.cluster =
  let acceptors = number t in
  expect t "at-least";
  let q1 = number t in
  expect t "at-least";
  let q2 = number t in
  let fast_rounds = number t in
  let quorums = Rounds.system_of acceptors q1 q2 (number t) fast_rounds in
  let coordinators = many number t in
  let learners = many number t in
  let nacks = bool t in
  let round_max = number t in
  let base = number t in
  let doublings_max = number t in
  { quorums; fast_rounds; coordinators; learners; nacks; round_max;
    retry = { base; doublings_max } }

(* ---- printing, in the same words ---- *)

let show_vote (b, v) = ballot_to_string b ^ " " ^ to_string v

let show_acceptor (a : Acceptor.acceptor) =
  String.concat " "
    [ show_option ballot_to_string a.promised; (if a.is_open then "on" else "off");
      show_option show_vote a.vote ]

let show_poll (p : Poll.poll) =
  let entry (v, voters) = to_string v ^ " " ^ to_string voters in
  show_option ballot_to_string p.polled ^ " " ^ show_many entry p.votes

let show_phase : Coordinator.phase -> string = function
  | Idle -> "idle"
  | Preparing (promises, p) -> "preparing " ^ to_string promises ^ " " ^ show_poll p
  | Watching p -> "watching " ^ show_poll p
  | Accepting v -> "accepting " ^ to_string v
  | Preempted b -> "preempted " ^ ballot_to_string b

let show_coordinator (p : Coordinator.coordinator) =
  String.concat " "
    [ show_option ballot_to_string p.current;
      show_option (fun (client, v) -> to_string client ^ " " ^ to_string v) p.request;
      show_phase p.progress ]

let show_learner (l : Learner.learner) =
  show_poll l.followed ^ " " ^ show_option to_string l.decided

let show_state (s : Node.state) =
  String.concat " "
    [ show_option show_acceptor s.acceptor; show_option show_coordinator s.coordinator;
      show_option show_learner s.learner ]

let show_durable (d : Node.durable) =
  String.concat " "
    [ show_option show_acceptor d.saved_acceptor; show_option ballot_to_string d.saved_ballot;
      show_option to_string d.saved_decision ]

let show_message : P.message -> string = function
  | Propose v -> "propose " ^ to_string v
  | Prepare b -> "prepare " ^ ballot_to_string b
  | Promise (b, v) -> "promise " ^ ballot_to_string b ^ " " ^ show_option show_vote v
  | Any b -> "any " ^ ballot_to_string b
  | Accept v -> "accept " ^ show_vote v
  | Accepted v -> "accepted " ^ show_vote v
  | Nack b -> "nack " ^ ballot_to_string b
  | Decided v -> "decided " ^ to_string v
  | Ask -> "ask"

let show_timer : Node.timer -> string = function Retry -> "retry" | AskAgain -> "ask"

let show_step me before (st : Node.step) =
  let durable = Node.durable_of st.now in
  let save = match before with
    | Some s when Node.durable_of s <> durable -> Some (show_durable durable)
    | _ -> None in
  show_result ~state:(show_state st.now) ~save
    ~sends:(List.map (fun (to_, m) -> (to_, show_message m)) (Node.sends me st))
    ~timers:(List.map (show_alarm show_timer) st.timers)

let call cluster t =
  let me = number t in
  match next t with
  | "start" -> show_step me None (Node.on_start cluster me (option durable t))
  | "message" ->
      let from = number t in
      let m = message t in
      expect t "@";
      let s = state t in
      show_step me (Some s) (Node.on_message cluster me s from m)
  | "timer" ->
      let timer : Node.timer = match next t with
        | "retry" -> Retry | "ask" -> AskAgain | word -> malformed "a timer" word in
      expect t "@";
      let s = state t in
      show_step me (Some s) (Node.on_timer cluster me s timer)
  | word -> malformed "a call" word

let () = run ~protocol:"fast" ~cluster ~call
