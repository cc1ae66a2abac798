(* Compares calls of the Rust handlers of Multi-Paxos, one per line, with those of the proofs.

     calls FILE... *)

open Numbers
open Words
module P = Protocol

(* ---- reading ---- *)

let pair read read' t = let a = read t in (a, read' t)
let table read = many (pair number read)
let bytes t = Postcard.of_hex (next t)

let sessions t =
  let text = next t in
  match Postcard.decode (Postcard.of_hex text) with
  | Some s -> s
  | None -> malformed "a machine" text

let request = pair number (fun t : Session.order ->
  match next t with
  | "open" -> Open (number t)
  | "do" ->
      let session = number t in
      let seq = number t in
      let acked = number t in
      Do (session, seq, acked, number t)
  | word -> malformed "an order" word)

let entry t : Log.entry =
  match next t with
  | "noop" -> Noop
  | "batch" -> Batch (many request t)
  | word -> malformed "an entry" word

let vote = pair ballot entry
let beat = pair number number

let outcome t : Session.outcome =
  match next t with
  | "opened" -> Opened (number t)
  | "done" -> Done (number t)
  | "expired" -> Expired
  | word -> malformed "an outcome" word

let acceptor t : Acceptor.acceptor =
  let promised = option ballot t in
  let votes = table vote t in
  { promised; votes; base = number t; lease_granted = None }

let campaign t : Leader.campaign =
  let from = number t in
  let promises = number t in
  let votes = table vote t in
  { from; promises; votes; decided = number t }

let proposal t : Reign.proposal =
  let proposed = entry t in
  { proposed; voters = number t }

let waiting t : Reign.waiting =
  let client = number t in
  let seq = number t in
  let query = number t in
  let index = number t in
  { client; seq; query; index; round = number t }

let reign t : Reign.reign =
  let barrier = number t in
  let next = number t in
  let coq_open = table proposal t in
  let queue = many request t in
  let last_beat = beat t in
  let heard = table beat t in
  let reads = many waiting t in
  { barrier; next; coq_open; queue; last_beat; heard; reads; last_told = option number t }

let leader t : Leader.leader =
  let current = option ballot t in
  let progress : Leader.phase = match next t with
    | "following" -> Following
    | "preparing" -> Preparing (campaign t)
    | "leading" -> Leading (reign t)
    | "preempted" -> Preempted (ballot t)
    | word -> malformed "a phase" word in
  { current; progress }

let snapshot t : Snapshot.snapshot =
  let upto = number t in
  { upto; content = bytes t }

let log t : Log.log =
  let start = number t in
  { start; entries = many entry t }

let transfer t : Snapshot.transfer =
  let to_upto = number t in
  let to_total = number t in
  let to_digest = number t in
  { to_upto; to_total; to_digest; received = bytes t }

let learner t : Learner.learner =
  let taken = option snapshot t in
  let applied_log = log t in
  let ahead = table entry t in
  let state = sessions t in
  { taken; applied_log; ahead; state; under_way = option transfer t }

let grant t : Lease.grant =
  let holder = number t in
  { holder; until = number t }

let state t : Node.state =
  let acceptor = option acceptor t in
  let lease_granted = option grant t in
  let acceptor = Option.map (fun it -> { it with Acceptor.lease_granted }) acceptor in
  let leader = option leader t in
  let learner = option learner t in
  { acceptor; leader; learner; clock = number t }

let durable t : Node.durable =
  let saved_acceptor = option acceptor t in
  let saved_ballot = option ballot t in
  let saved_snapshot = option snapshot t in
  { saved_acceptor; saved_ballot; saved_snapshot; saved_log = log t }

let chunk t : Snapshot.chunk =
  let of_upto = number t in
  let total = number t in
  let digest = number t in
  let offset = number t in
  { of_upto; total; digest; offset; piece = bytes t }

let message t : P.message =
  match next t with
  | "request" -> Request (request t)
  | "read" ->
      let seq = number t in
      let query = number t in
      Read (seq, query, match next t with
        | "lease" -> true | "index" -> false | word -> malformed "how to read" word)
  | "reply" -> let seq = number t in Reply (seq, outcome t)
  | "prepare" -> let b = ballot t in Prepare (b, number t)
  | "promise" ->
      let b = ballot t in
      let votes = table vote t in
      let decided = number t in
      Promise (b, votes, decided, option number t)
  | "continue" -> let b = ballot t in Continue (b, number t)
  | "accept" -> let slot = number t in Accept (slot, vote t)
  | "accepted" -> let b = ballot t in Accepted (b, number t)
  | "nack" -> let b = ballot t in Nack (b, number t)
  | "decided" -> let b = ballot t in Decided (b, number t)
  | "entries" -> let from = number t in Entries (from, many entry t)
  | "ask" -> Ask (number t)
  | "chunk" -> Piece (chunk t)
  | "fetch" -> let upto = number t in Fetch (upto, number t)
  | "heartbeat" -> let b = ballot t in let it = beat t in Heartbeat (b, it, number t)
  | "heard" -> let b = ballot t in Heard (b, beat t)
  | word -> malformed "a message" word

let timer t : Node.timer =
  match next t with
  | "campaign" -> Campaign
  | "heartbeat" -> Beat
  | "propose" -> Propose
  | "tick" -> Tick
  | word -> malformed "a timer" word

(* The proofs leave open what a checksum is: a call says those that it needs. *)
let sums : (BinNums.coq_N list, BinNums.coq_N) Hashtbl.t = Hashtbl.create 8
let checksum bytes =
  match Hashtbl.find_opt sums bytes with
  | Some sum -> sum
  | None -> malformed "no checksum of" (Postcard.to_hex bytes)

let cluster t : P.cluster =
  let quorums = quorum_system t in
  let proposers = many number t in
  let learners = many number t in
  let initial = sessions t in
  let round_max = number t in
  let slots = number t in
  let beats_max = number t in
  let window = number t in
  let gathers = bool t in
  let batch_max = number t in
  let bytes_max = number t in
  let queue_max = number t in
  let nacks = bool t in
  let heartbeat = option (pair number number) t in
  let base = number t in
  let doublings_max = number t in
  let lease = option (fun t : Lease.terms ->
    let duration = number t in { duration; margin = number t }) t in
  let snapshot_every = option number t in
  { quorums; proposers; learners; initial;
    limit = { round_max; slots; beats_max; window; gathers; batch_max; bytes_max; queue_max };
    nacks; heartbeat; election = { base; doublings_max }; lease; snapshot_every;
    program_of = Postcard.program;
    encoding_of = { encode = Postcard.encode; decode = Postcard.decode; checksum;
      bytes_of_request = Postcard.bytes_of_request; bytes_of_entry = Postcard.bytes_of_entry } }

(* ---- printing, in the same words ---- *)

let words = String.concat " "
let show_pair show show' (a, b) = show a ^ " " ^ show' b
let show_table show = show_many (show_pair to_string show)
let show_sessions s = Postcard.to_hex (Postcard.encode s)

let show_request = show_pair to_string (function
  | Session.Open seq -> "open " ^ to_string seq
  | Do (session, seq, acked, command) ->
      words ("do" :: List.map to_string [ session; seq; acked; command ]))

let show_entry : Log.entry -> string = function
  | Noop -> "noop"
  | Batch requests -> "batch " ^ show_many show_request requests

let show_vote = show_pair ballot_to_string show_entry
let show_beat = show_pair to_string to_string

let show_outcome : Session.outcome -> string = function
  | Opened session -> "opened " ^ to_string session
  | Done reply -> "done " ^ to_string reply
  | Expired -> "expired"

let show_acceptor (a : Acceptor.acceptor) =
  words [ show_option ballot_to_string a.promised; show_table show_vote a.votes; to_string a.base ]

let show_proposal (p : Reign.proposal) = show_entry p.proposed ^ " " ^ to_string p.voters

let show_waiting (r : Reign.waiting) =
  words (List.map to_string [ r.client; r.seq; r.query; r.index; r.round ])

let show_phase : Leader.phase -> string = function
  | Following -> "following"
  | Preparing c ->
      words [ "preparing"; to_string c.from; to_string c.promises; show_table show_vote c.votes;
        to_string c.decided ]
  | Leading r ->
      words [ "leading"; to_string r.barrier; to_string r.next; show_table show_proposal r.coq_open;
        show_many show_request r.queue; show_beat r.last_beat; show_table show_beat r.heard;
        show_many show_waiting r.reads; show_option to_string r.last_told ]
  | Preempted b -> "preempted " ^ ballot_to_string b

let show_leader (l : Leader.leader) =
  show_option ballot_to_string l.current ^ " " ^ show_phase l.progress

let show_snapshot (s : Snapshot.snapshot) = to_string s.upto ^ " " ^ Postcard.to_hex s.content
let show_log (l : Log.log) = to_string l.start ^ " " ^ show_many show_entry l.entries

let show_transfer (t : Snapshot.transfer) =
  words [ to_string t.to_upto; to_string t.to_total; to_string t.to_digest;
    Postcard.to_hex t.received ]

let show_learner (l : Learner.learner) =
  words [ show_option show_snapshot l.taken; show_log l.applied_log; show_table show_entry l.ahead;
    show_sessions l.state; show_option show_transfer l.under_way ]

let show_grant (g : Lease.grant) = to_string g.holder ^ " " ^ to_string g.until

let show_state (s : Node.state) =
  words [ show_option show_acceptor s.acceptor;
    show_option show_grant (Option.bind s.acceptor (fun it -> it.Acceptor.lease_granted));
    show_option show_leader s.leader; show_option show_learner s.learner; to_string s.clock ]

let show_durable (d : Node.durable) =
  words [ show_option show_acceptor d.saved_acceptor; show_option ballot_to_string d.saved_ballot;
    show_option show_snapshot d.saved_snapshot; show_log d.saved_log ]

let show_chunk (c : Snapshot.chunk) =
  words
    (List.map to_string [ c.of_upto; c.total; c.digest; c.offset ] @ [ Postcard.to_hex c.piece ])

let show_message : P.message -> string = function
  | Request r -> "request " ^ show_request r
  | Read (seq, query, by_lease) ->
      words [ "read"; to_string seq; to_string query; (if by_lease then "lease" else "index") ]
  | Reply (seq, it) -> words [ "reply"; to_string seq; show_outcome it ]
  | Prepare (b, from) -> words [ "prepare"; ballot_to_string b; to_string from ]
  | Promise (b, votes, decided, more) ->
      words [ "promise"; ballot_to_string b; show_table show_vote votes; to_string decided;
        show_option to_string more ]
  | Continue (b, from) -> words [ "continue"; ballot_to_string b; to_string from ]
  | Accept (slot, v) -> words [ "accept"; to_string slot; show_vote v ]
  | Accepted (b, slot) -> words [ "accepted"; ballot_to_string b; to_string slot ]
  | Nack (b, decided) -> words [ "nack"; ballot_to_string b; to_string decided ]
  | Decided (b, upto) -> words [ "decided"; ballot_to_string b; to_string upto ]
  | Entries (from, entries) -> words [ "entries"; to_string from; show_many show_entry entries ]
  | Ask from -> "ask " ^ to_string from
  | Piece c -> "chunk " ^ show_chunk c
  | Fetch (upto, offset) -> words [ "fetch"; to_string upto; to_string offset ]
  | Heartbeat (b, it, upto) ->
      words [ "heartbeat"; ballot_to_string b; show_beat it; to_string upto ]
  | Heard (b, it) -> words [ "heard"; ballot_to_string b; show_beat it ]

let show_timer : Node.timer -> string = function
  | Campaign -> "campaign"
  | Beat -> "heartbeat"
  | Propose -> "propose"
  | Tick -> "tick"

(* A start saves nothing; what was there is there. *)
let show_step me before (st : Node.step) =
  let after = show_durable (Node.durable_of st.now) in
  let save = match before with
    | Some s when show_durable (Node.durable_of s) <> after -> Some after
    | _ -> None in
  show_result ~state:(show_state st.now) ~save
    ~sends:(List.map (fun (to_, m) -> (to_, show_message m)) (Node.sends me st))
    ~timers:(List.map (show_alarm show_timer) st.timers)

let rec call cluster t =
  match next t with
  | "sum" ->
      let of_bytes = bytes t in
      Hashtbl.replace sums of_bytes (number t);
      call cluster t
  | me ->
      let me = of_string me in
      let step = match next t with
        | "start" -> show_step me None (Node.on_start cluster me BinNums.N0 (option durable t))
        | "message" ->
            let from = number t in
            let m = message t in
            expect t "@";
            let s = state t in
            show_step me (Some s) (Node.on_message cluster me s.clock s from m)
        | "timer" ->
            let timer = timer t in
            expect t "@";
            let s = state t in
            show_step me (Some s) (Node.on_timer cluster me s.clock s timer)
        | word -> malformed "a call" word in
      Hashtbl.reset sums;
      step

let () = run ~protocol:"multi" ~cluster ~call
