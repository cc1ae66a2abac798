(* Compares calls of the Rust handlers, one per line, with the handlers of the proofs.

     calls FILE...

   A line says what was called, [=>], and the result. The call is made again here, its
   result is printed in the same words, and the two texts are compared. *)

open Numbers
module P = Protocol

(* ---- reading ---- *)

type tokens = { mutable rest : string list }

let next t =
  match t.rest with
  | word :: rest -> t.rest <- rest; word
  | [] -> malformed "a line" "it ends too soon"

let expect t word =
  let found = next t in
  if found <> word then malformed ("expected " ^ word) found

let number t = of_string (next t)
let ballot t = ballot_of_string (next t)

let option read t =
  match next t with
  | "-" -> None
  | "+" -> Some (read t)
  | word -> malformed "- or +" word

let vote t = let b = ballot t in (b, number t)

let many read t =
  let word = next t in
  match int_of_string_opt word with
  | Some count when count >= 0 && count <= 1000 -> List.init count (fun _ -> read t)
  | _ -> malformed "a count" word

let acceptor t : Acceptor.acceptor =
  let promised = option ballot t in
  { promised; vote = option vote t }

let phase t : Proposer.phase =
  match next t with
  | "idle" -> Idle
  | "preparing" -> let promises = number t in Preparing (promises, option vote t)
  | "accepting" -> Accepting (number t)
  | "preempted" -> Preempted (ballot t)
  | word -> malformed "a phase" word

let proposer t : Proposer.proposer =
  let current = option ballot t in
  let request = option (fun t -> let client = number t in (client, number t)) t in
  { current; request; progress = phase t }

let learner t : Learner.learner =
  let tally = option (fun t -> let v = vote t in (v, number t)) t in
  { tally; decided = option number t }

let state t : Node.state =
  let a = option acceptor t in
  let p = option proposer t in
  { acceptor = a; proposer = p; learner = option learner t }

let durable t : Node.durable =
  let a = option acceptor t in
  let b = option ballot t in
  { saved_acceptor = a; saved_ballot = b; saved_decision = option number t }

let message t : P.message =
  match next t with
  | "propose" -> Propose (number t)
  | "prepare" -> Prepare (ballot t)
  | "promise" -> let b = ballot t in Promise (b, option vote t)
  | "accept" -> Accept (vote t)
  | "accepted" -> Accepted (vote t)
  | "nack" -> Nack (ballot t)
  | "decided" -> Decided (number t)
  | "ask" -> Ask
  | word -> malformed "a message" word

let bool t = match next t with "on" -> true | "off" -> false | word -> malformed "on or off" word

let quorums t : Quorum.quorums = expect t "at-least"; AtLeast (number t)

let cluster t : P.cluster =
  let acceptors = number t in
  let phase1 = quorums t in
  let phase2 = quorums t in
  let proposers = many number t in
  let learners = many number t in
  let nacks = bool t in
  let round_max = number t in
  let base = number t in
  let doublings_max = number t in
  { quorums = Quorum.classic acceptors phase1 phase2; proposers; learners; nacks; round_max;
    retry = { base; doublings_max } }

(* ---- printing, in the same words ---- *)

let show_option show = function None -> "-" | Some it -> "+ " ^ show it
let show_vote (b, v) = ballot_to_string b ^ " " ^ to_string v

let show_acceptor (a : Acceptor.acceptor) =
  show_option ballot_to_string a.promised ^ " " ^ show_option show_vote a.vote

let show_phase : Proposer.phase -> string = function
  | Idle -> "idle"
  | Preparing (promises, highest) ->
      "preparing " ^ to_string promises ^ " " ^ show_option show_vote highest
  | Accepting v -> "accepting " ^ to_string v
  | Preempted b -> "preempted " ^ ballot_to_string b

let show_proposer (p : Proposer.proposer) =
  String.concat " "
    [ show_option ballot_to_string p.current;
      show_option (fun (client, v) -> to_string client ^ " " ^ to_string v) p.request;
      show_phase p.progress ]

let show_learner (l : Learner.learner) =
  show_option (fun (v, voters) -> show_vote v ^ " " ^ to_string voters) l.tally
  ^ " " ^ show_option to_string l.decided

let show_state (s : Node.state) =
  String.concat " "
    [ show_option show_acceptor s.acceptor; show_option show_proposer s.proposer;
      show_option show_learner s.learner ]

let show_durable (d : Node.durable) =
  String.concat " "
    [ show_option show_acceptor d.saved_acceptor; show_option ballot_to_string d.saved_ballot;
      show_option to_string d.saved_decision ]

let show_message : P.message -> string = function
  | Propose v -> "propose " ^ to_string v
  | Prepare b -> "prepare " ^ ballot_to_string b
  | Promise (b, v) -> "promise " ^ ballot_to_string b ^ " " ^ show_option show_vote v
  | Accept v -> "accept " ^ show_vote v
  | Accepted v -> "accepted " ^ show_vote v
  | Nack b -> "nack " ^ ballot_to_string b
  | Decided v -> "decided " ^ to_string v
  | Ask -> "ask"

let show_timer : Node.timer -> string = function Retry -> "retry" | AskAgain -> "ask"

let show_alarm (timer, range) =
  match range with
  | Some (low, high) ->
      Printf.sprintf "; set %s %s %s" (show_timer timer) (to_string low) (to_string high)
  | None -> "; cancel " ^ show_timer timer

(* A step saves what must be durable if that has changed, and only then speaks. *)
let show_step me before (st : Node.step) =
  let after = Node.durable_of st.now in
  let save = match before with
    | Some s when Node.durable_of s <> after -> [ "; save " ^ show_durable after ]
    | _ -> [] in
  let send (to_, m) = "; send " ^ to_string to_ ^ " " ^ show_message m in
  String.concat " "
    ((show_state st.now :: save) @ List.map send (Node.sends me st)
     @ List.map show_alarm st.timers)

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

(* ---- comparing ---- *)

let shown_max = 5
let calls = ref 0
let differ = ref 0

let compare_line cluster line =
  let words = String.split_on_char ' ' line in
  let rec split before = function
    | "=>" :: after -> (List.rev before, String.concat " " after)
    | word :: after -> split (word :: before) after
    | [] -> malformed "a line without =>" line in
  let asked, rust = split [] words in
  let t = { rest = asked } in
  let coq = call cluster t in
  if t.rest <> [] then malformed "too many words" line;
  incr calls;
  if coq <> rust then begin
    incr differ;
    if !differ <= shown_max then
      Printf.printf "DIFFERENT: %s\n  Rust: %s\n  Coq:  %s\n" (String.concat " " asked) rust coq
  end

let compare_file name =
  let file = if name = "-" then stdin else open_in name in
  let cluster_of = ref None in
  let at = ref 0 in
  (try
     while true do
       let line = input_line file in
       incr at;
       match String.index_opt line ' ' with
       | Some 7 when String.sub line 0 7 = "cluster" ->
           let rest = String.sub line 8 (String.length line - 8) in
           cluster_of := Some (cluster { rest = String.split_on_char ' ' rest })
       | _ -> (
           match !cluster_of with
           | Some cluster -> compare_line cluster line
           | None -> malformed "no cluster yet" line)
     done
   with
  | End_of_file -> ()
  | Malformed what ->
      Printf.eprintf "%s, line %d: %s\n" name !at what;
      exit 2);
  if file != stdin then close_in file

let () =
  match List.tl (Array.to_list Sys.argv) with
  | [] -> prerr_endline "usage: calls FILE..."; exit 2
  | files ->
      (try List.iter compare_file files with Sys_error e -> prerr_endline e; exit 2);
      if !calls = 0 then (print_endline "no calls: nothing was compared"; exit 2);
      Printf.printf "%d calls, %d differ\n" !calls !differ;
      exit (if !differ = 0 then 0 else 1)
