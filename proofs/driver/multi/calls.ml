(* Compares calls of the Rust handlers of Multi-Paxos, one per line, with those of the proofs.
   Commands and replies are numbers there: 0 is a read, or no value, and one more than a character's
   number is a write of it, or it.

     calls FILE... *)

open Numbers
open Words
module P = Protocol

let command =
  enum
    [ variant "Write" number N.succ
        (function BinNums.N0 -> None | command -> Some (N.pred command));
      constant "Read" BinNums.N0 ]

let reply =
  map (function Some value -> N.succ value | None -> BinNums.N0)
    (function BinNums.N0 -> None | reply -> Some (N.pred reply))
    (option number)

(* ---- sessions, the log and snapshots ---- *)

let sessions =
  let session =
    map (fun (used, (acked, replies)) -> { Session.used; acked; replies })
      (fun (it : Session.session) -> (it.used, (it.acked, it.replies)))
      (number ** number ** table reply) in
  map (fun (machine, (coq_open, (opened, (operations, capacity)))) ->
      { Session.machine; coq_open; opened; operations; capacity })
    (fun (it : Session.sessions) ->
      (it.machine, (it.coq_open, (it.opened, (it.operations, it.capacity)))))
    (many number ** table session ** number ** number ** number)

let request =
  number ** enum
    [ variant "Open" number (fun seq -> Session.Open seq)
        (function Open seq -> Some seq | _ -> None);
      variant "Do" (number ** number ** number ** command)
        (fun (session, (seq, (acked, it))) -> Session.Do (session, seq, acked, it))
        (function Do (session, seq, acked, it) -> Some (session, (seq, (acked, it))) | _ -> None) ]

let outcome =
  enum
    [ variant "Opened" number (fun session -> Session.Opened session)
        (function Opened session -> Some session | _ -> None);
      variant "Done" reply (fun reply -> Session.Done reply)
        (function Done reply -> Some reply | _ -> None);
      constant "Expired" Session.Expired ]

let entry =
  enum
    [ constant "Noop" Log.Noop;
      variant "Batch" (many request) (fun requests -> Log.Batch requests)
        (function Batch requests -> Some requests | _ -> None) ]

let log =
  map (fun (start, entries) -> { Log.start; entries })
    (fun (it : Log.log) -> (it.start, it.entries))
    (number ** many entry)

let snapshot =
  map (fun (upto, content) -> { Snapshot.upto; content })
    (fun (it : Snapshot.snapshot) -> (it.upto, it.content))
    (number ** bytes)

let chunk =
  map (fun (of_upto, (total, (digest, (offset, piece)))) ->
      { Snapshot.of_upto; total; digest; offset; piece })
    (fun (it : Snapshot.chunk) ->
      (it.of_upto, (it.total, (it.digest, (it.offset, it.piece)))))
    (number ** number ** number ** number ** bytes)

let transfer =
  map (fun (to_upto, (to_total, (to_digest, received))) ->
      { Snapshot.to_upto; to_total; to_digest; received })
    (fun (it : Snapshot.transfer) ->
      (it.to_upto, (it.to_total, (it.to_digest, it.received))))
    (number ** number ** number ** bytes)

(* ---- roles ---- *)

let vote = ballot ** entry
let heartbeat_id = number ** number

let lease_grant =
  map (fun (holder, until) -> { Lease.holder; until })
    (fun (it : Lease.lease_grant) -> (it.holder, it.until))
    (number ** number)

let acceptor =
  map (fun (promised, (votes, (base, lease_granted))) ->
      { Acceptor.promised; votes; base; lease_granted })
    (fun (it : Acceptor.acceptor) ->
      (it.promised, (it.votes, (it.base, it.lease_granted))))
    (option ballot ** table vote ** number ** option lease_grant)

let campaign =
  map (fun (from, (promises, (votes, decided))) -> { Leader.from; promises; votes; decided })
    (fun (it : Leader.campaign) -> (it.from, (it.promises, (it.votes, it.decided))))
    (number ** number ** table vote ** number)

let proposal =
  map (fun (proposed, voters) -> { Leadership.proposed; voters })
    (fun (it : Leadership.proposal) -> (it.proposed, it.voters))
    (entry ** number)

(* Each request with its bytes, and the bytes of all. *)
let queue =
  let sized request = (request, Postcard.bytes_of_request request) in
  let with_sizes requests =
    let sized = List.map sized requests in
    (sized, List.fold_left (fun sum (_, bytes) -> N.add sum bytes) BinNums.N0 sized) in
  map (fun (sized, _) -> List.map fst sized) with_sizes (many (request ** number) ** number)

let waiting =
  map (fun (client, (seq, (query, (index, round)))) ->
    { Leadership.client; seq; query; index; round })
    (fun (it : Leadership.waiting) -> (it.client, (it.seq, (it.query, (it.index, it.round)))))
    (number ** number ** command ** number ** number)

let leadership =
  map (fun (barrier, (next, (coq_open, (queue, (last_heartbeat,
    (acks, (reads, last_announced))))))) ->
      { Leadership.barrier; next; coq_open; queue; last_heartbeat; acks; reads; last_announced })
    (fun (it : Leadership.leadership) ->
      (it.barrier, (it.next, (it.coq_open, (it.queue,
        (it.last_heartbeat, (it.acks, (it.reads, it.last_announced))))))))
    (number ** number ** table proposal ** queue ** heartbeat_id ** table heartbeat_id
      ** many waiting
      ** option number)

let leader =
  let phase =
    enum
      [ constant "Following" Leader.Following;
        variant "Preparing" campaign (fun it -> Leader.Preparing it)
          (function Preparing it -> Some it | _ -> None);
        variant "Leading" leadership (fun it -> Leader.Leading it)
          (function Leading it -> Some it | _ -> None);
        variant "Preempted" ballot (fun by -> Leader.Preempted by)
          (function Preempted by -> Some by | _ -> None) ] in
  map (fun (current, progress) -> { Leader.current; progress })
    (fun (it : Leader.leader) -> (it.current, it.progress))
    (option ballot ** phase)

let learner =
  map (fun (taken, (applied_log, (ahead, (state, under_way)))) ->
      { Learner.taken; applied_log; ahead; state; under_way })
    (fun (it : Learner.learner) ->
      (it.taken, (it.applied_log, (it.ahead, (it.state, it.under_way)))))
    (option snapshot ** log ** table entry ** sessions ** option transfer)

(* ---- nodes ---- *)

let state =
  map (fun (acceptor, (leader, (learner, clock))) -> { Node.acceptor; leader; learner; clock })
    (fun (it : Node.state) -> (it.acceptor, (it.leader, (it.learner, it.clock))))
    (option acceptor ** option leader ** option learner ** number)

let durable =
  map (fun (saved_acceptor, (saved_ballot, (saved_snapshot, saved_log))) ->
      { Node.saved_acceptor; saved_ballot; saved_snapshot; saved_log })
    (fun (it : Node.durable) ->
      (it.saved_acceptor, (it.saved_ballot, (it.saved_snapshot, it.saved_log))))
    (option acceptor ** option ballot ** option snapshot ** log)

let message =
  let by_lease = enum [ constant "Index" false; constant "Lease" true ] in
  enum
    [ variant "Request" request (fun it -> P.Request it)
        (function Request it -> Some it | _ -> None);
      variant "Read" (number ** command ** by_lease)
        (fun (seq, (query, by_lease)) -> P.Read (seq, query, by_lease))
        (function Read (seq, query, by_lease) -> Some (seq, (query, by_lease)) | _ -> None);
      variant "Reply" (number ** outcome) (fun (seq, it) -> P.Reply (seq, it))
        (function Reply (seq, it) -> Some (seq, it) | _ -> None);
      variant "Prepare" (ballot ** number) (fun (b, from) -> P.Prepare (b, from))
        (function Prepare (b, from) -> Some (b, from) | _ -> None);
      variant "Promise" (ballot ** table vote ** number ** option number)
        (fun (b, (votes, (decided, more))) -> P.Promise (b, votes, decided, more))
        (function
          | Promise (b, votes, decided, more) -> Some (b, (votes, (decided, more)))
          | _ -> None);
      variant "Continue" (ballot ** number) (fun (b, from) -> P.Continue (b, from))
        (function Continue (b, from) -> Some (b, from) | _ -> None);
      variant "Accept" (number ** vote) (fun (slot, vote) -> P.Accept (slot, vote))
        (function Accept (slot, vote) -> Some (slot, vote) | _ -> None);
      variant "Accepted" (ballot ** number) (fun (b, slot) -> P.Accepted (b, slot))
        (function Accepted (b, slot) -> Some (b, slot) | _ -> None);
      variant "Nack" (ballot ** number) (fun (promised, decided) -> P.Nack (promised, decided))
        (function Nack (promised, decided) -> Some (promised, decided) | _ -> None);
      variant "Decided" (ballot ** number) (fun (b, upto) -> P.Decided (b, upto))
        (function Decided (b, upto) -> Some (b, upto) | _ -> None);
      variant "Entries" (number ** many entry) (fun (from, entries) -> P.Entries (from, entries))
        (function Entries (from, entries) -> Some (from, entries) | _ -> None);
      variant "Ask" number (fun from -> P.Ask from) (function Ask from -> Some from | _ -> None);
      variant "Chunk" chunk (fun it -> P.Piece it) (function Piece it -> Some it | _ -> None);
      variant "Fetch" (number ** number) (fun (upto, offset) -> P.Fetch (upto, offset))
        (function Fetch (upto, offset) -> Some (upto, offset) | _ -> None);
      variant "Heartbeat" (ballot ** heartbeat_id ** number)
        (fun (b, (id, upto)) -> P.Heartbeat (b, id, upto))
        (function Heartbeat (b, id, upto) -> Some (b, (id, upto)) | _ -> None);
      variant "HeartbeatAck" (ballot ** heartbeat_id) (fun (b, id) -> P.HeartbeatAck (b, id))
        (function HeartbeatAck (b, id) -> Some (b, id) | _ -> None) ]

let timer =
  let of_a_node =
    enum
      [ constant "Campaign" Node.Campaign; constant "Heartbeat" Node.HeartbeatTimer;
        constant "Propose" Node.Propose; constant "Tick" Node.Tick ] in
  enum [ variant "Node" of_a_node Fun.id Option.some ]

(* ---- clusters ---- *)

let limits =
  map
    (fun (round_max, (slots, (heartbeats_max, (window,
        (gathers, (batch_max, (bytes_max, queue_max))))))) ->
      { P.round_max; slots; heartbeats_max; window; gathers; batch_max; bytes_max; queue_max })
    (fun (it : P.limits) ->
      (it.round_max, (it.slots, (it.heartbeats_max, (it.window,
        (it.gathers, (it.batch_max, (it.bytes_max, it.queue_max))))))))
    (number ** number ** number ** number ** bool ** number ** number ** number)

let lease_times =
  map (fun (duration, margin) -> { Lease.duration; margin })
    (fun (it : Lease.lease_times) -> (it.duration, it.margin))
    (number ** number)

let cluster t : P.cluster =
  let quorums, (proposers, (learners, initial)) =
    (quorum_system ** many number ** many number ** sessions).read t in
  let limit, (nacks, (heartbeat, (election, (lease, snapshot_every)))) =
    (limits ** bool ** option range ** backoff ** option lease_times ** option number).read t in
  { quorums = classic quorums; proposers; learners; initial; limit; nacks; heartbeat; election;
    lease; snapshot_every; program_of = Postcard.program;
    encoding_of = { encode = Postcard.encode; decode = Postcard.decode; checksum;
      bytes_of_request = Postcard.bytes_of_request; bytes_of_entry = Postcard.bytes_of_entry } }

let () =
  run
    { name = "multi"; cluster; state; durable; message; timer;
      on_start = (fun cluster me -> Node.on_start cluster me BinNums.N0);
      on_message = (fun cluster me s -> Node.on_message cluster me s.clock s);
      on_timer = (fun cluster me s -> Node.on_timer cluster me s.clock s);
      durable_of = Node.durable_of;
      parts = (fun me (step : Node.step) -> (step.now, Node.sends me step, step.timers)) }
