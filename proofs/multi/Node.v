(** * One process and the roles it plays: [src/multi/node.rs] *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.multi Require Import Table Session Log Snapshot Lease Protocol.
From Synod.multi Require Acceptor Leadership Leader Learner.
Import ListNotations.
Open Scope N_scope.

(** What a process remembers, by role; [None] for a role that it does not play. [clock]
    counts its own ticks, where it has no other clock. *)
Record state := State {
  acceptor : option Acceptor.acceptor;
  leader : option Leader.leader;
  learner : option Learner.learner;
  clock : N }.

(** What must survive a restart, of all roles together. *)
Record durable := Durable {
  saved_acceptor : option Acceptor.acceptor;
  saved_ballot : option ballot;
  saved_snapshot : option snapshot;
  saved_log : log }.

Definition durable_of (s : state) : durable := {|
  saved_acceptor := option_map Acceptor.durable (acceptor s);
  saved_ballot := bind (leader s) Leader.current;
  saved_snapshot := bind (learner s) Learner.taken;
  saved_log := match learner s with
    | Some l => Learner.applied_log l
    | None => continue_at 0
    end |}.

(** The first slot that is not decided, as far as this process knows. *)
Definition decided (s : state) : N :=
  match learner s with Some l => Learner.decided l | None => 0 end.

Definition leadership_of (s : state) : option Leadership.leadership :=
  match leader s with
  | Some (Leader.Leader _ (Leader.Leading r)) => Some r
  | _ => None
  end.

(** The ballot of a process that leads, and its leadership. *)
Definition leading (s : state) : option (ballot * Leadership.leadership) :=
  match leader s with
  | Some (Leader.Leader (Some b) (Leader.Leading r)) => Some (b, r)
  | _ => None
  end.

(** The alarms of a node. *)
Inductive timer := Campaign | HeartbeatTimer | Propose | Tick.

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
(** What the process' clock says. *)
Variable time : N.

Definition begin (s : state) : step := Step s [] [] [].

Definition with_state (s : state) (st : step) : step :=
  Step s (inbox st) (said st) (timers st).
Definition with_acceptor (a : Acceptor.acceptor) (st : step) : step :=
  let s := now st in
  with_state (State (Some a) (leader s) (learner s) (clock s)) st.
Definition with_leader (l : Leader.leader) (st : step) : step :=
  let s := now st in
  with_state (State (acceptor s) (Some l) (learner s) (clock s)) st.
Definition with_learner (l : Learner.learner) (st : step) : step :=
  let s := now st in
  with_state (State (acceptor s) (leader s) (Some l) (clock s)) st.
Definition with_leadership (r : Leadership.leadership) (st : step) : step :=
  match leader (now st) with
  | Some l => with_leader (Leader.Leader (Leader.current l) (Leader.Leading r)) st
  | None => st
  end.

Definition send (to : N) (m : message) (st : step) : step :=
  Step (now st) (if to =? me then inbox st ++ [m] else inbox st)
    (said st ++ [(to, m)]) (timers st).
Definition broadcast (to : list N) (m : message) (st : step) : step :=
  fold_left (fun st to => send to m st) to st.
Definition all_acceptors : list N := members (acceptors (quorums c)).
(** The other learners. *)
Definition others : list N := filter (fun a => negb (a =? me)) (decision_audience c).

Definition set_timer (t : timer) (range : N * N) (st : step) : step :=
  Step (now st) (inbox st) (said st) (timers st ++ [(t, Some range)]).
Definition cancel (t : timer) (st : step) : step :=
  Step (now st) (inbox st) (said st) (timers st ++ [(t, None)]).

(** How long to wait for progress before the next ballot. *)
Definition patience (s : state) : N * N :=
  let round := match bind (leader s) Leader.current with Some b => round b | None => 1 end in
  wait (election c) round.

Definition wait_for_leader (st : step) : step :=
  if is_some (leader (now st)) then
    let promised := bind (acceptor (now st)) Acceptor.promised in
    let round := match promised with Some b => round b | None => 1 end in
    set_timer Campaign (wait (election c) round) st
  else st.

(** An acceptor's answer goes to the proposer of the ballot. *)
Definition answer (to : N) (a : option message) (st : step) : step :=
  match a with
  | Some (Nack _ _ as m) => if nacks c then send to m st else st
  | Some m => send to m st
  | None => st
  end.

(** Somebody leads in a higher ballot than was ever started here: let it. *)
Definition follow (b : ballot) (st : step) : step :=
  match leader (now st) with
  | None => st
  | Some l =>
      if Some b >? Leader.current l then
        let (l, yields) := Leader.yield_to l b in
        let st := with_leader l st in
        wait_for_leader (if yields then cancel HeartbeatTimer st else st)
      else st
  end.

(** ** Who is told what is decided, and who asks: [src/multi/node/learning.rs] *)

(** Tells the learners what is chosen: those that vote themselves how far, the others
    what. *)
Definition tell (b : ballot) (slot : N) (e : entry) (upto : option N) (st : step) : step :=
  fold_left (fun st to =>
    if negb (is_acceptor c to) then send to (Entries slot [e]) st
    else match upto with
    | Some upto => if defers_decided c then st else send to (Decided b upto) st
    | None => st
    end) others st.

(** Tells the learners that vote, before they are asked to vote again, how far all is
    chosen, if they were not told when it was. *)
Definition flush_decided (st : step) : step :=
  match leading (now st) with
  | None => st
  | Some (b, r) =>
      let upto := Leadership.chosen_below r in
      let is_known := match Leadership.last_announced r with Some t => t =? upto | None
        => false end in
      if negb (defers_decided c) || is_known then st
      else
        let st := with_leadership (Leadership.with_announced r (Some upto)) st in
        broadcast (filter (is_acceptor c) others) (Decided b upto) st
  end.

(** Phase 2a: asks the acceptors to vote. *)
Definition put_to_the_vote (l : Leadership.proposals) (st : step) : step :=
  match bind (leader (now st)) Leader.current with
  | None => st
  | Some b =>
      let st := match l with [] => st | _ => flush_decided st end in
      fold_left (fun st it => broadcast all_acceptors (Accept (fst it) (b, snd it)) st) l st
  end.

(** Proposes what waits, as far as there is room. *)
Definition fill (st : step) : step :=
  match leadership_of (now st) with
  | None => st
  | Some r =>
      let was_idle := is_none (Leadership.open r) in
      let (r, proposals) := Leadership.fill (encoding_of c) (limit c)
        (length (Leadership.queue r)) r in
      let st := with_leadership r st in
      let st := match proposals with
        | [] => st
        | _ => if was_idle then set_timer Campaign (patience (now st)) st else st
        end in
      put_to_the_vote proposals st
  end.

(** Whoever is behind asks somebody who is not. *)
Definition catch_up (from upto : N) (st : step) : step :=
  let known := decided (now st) in
  if is_some (learner (now st)) && (known <? upto) && negb (from =? me)
  then send from (Ask known) st else st.

(** A leader's sign of life, to all. *)
Definition everyone : list N := in_order (all_acceptors ++ decision_audience c).
Definition announce (st : step) : step :=
  match leading (now st) with
  | None => st
  | Some (b, r) =>
      let r := Leadership.heartbeat_at r time in
      let upto := Leadership.chosen_below r in
      let r := if defers_decided c then Leadership.with_announced r (Some upto) else r in
      broadcast everyone (Heartbeat b (Leadership.last_heartbeat r) upto) (with_leadership r st)
  end.

(** The next sign of life is due after a pace. *)
Definition keep_pace (st : step) : step :=
  match heartbeat c with Some pace => set_timer HeartbeatTimer pace st | None => st end.

(** Answers the reads that need wait no longer, and begins a round of heartbeats for those
    that do. *)
Definition serve_reads (st : step) : step :=
  match learner (now st), leadership_of (now st) with
  | Some l, Some r =>
      match Leadership.reads r with
      | [] => st
      | _ =>
          let (r, ready) := Leadership.ready (quorums c) r (Learner.decided l) in
          let (r, begins) := Leadership.begin_round (limit c) (quorums c) r in
          let st := with_leadership r st in
          let st := fold_left (fun st it =>
            match read (program_of c) (machine (Learner.state l)) (Leadership.query it) with
            | Some reply => send (Leadership.client it) (Reply (Leadership.seq it) (Done reply)) st
            | None => st
            end) ready st in
          if begins then announce st else st
      end
  | _, _ => st
  end.

(** What can be applied was applied: what is then settled is dropped, and whoever leads
    tells the clients. *)
Definition settle (done : list Learner.applied) (st : step) : step :=
  match learner (now st) with
  | None => st
  | Some l =>
      let decided := Learner.decided l in
      let '(st, goes_on) := match leader (now st) with
        | Some p =>
            let (p, goes_on) := Leader.learn p decided (Learner.entry_at l) in
            (with_leader p st, goes_on)
        | None => (st, true)
        end in
      let st := match snapshot_every c with
        | Some every => with_learner (Learner.compact (encoding_of c) l every) st
        | None => st
        end in
      let st := match acceptor (now st) with
        | Some a => with_acceptor (Acceptor.trim a decided) st
        | None => st
        end in
      let st := if goes_on then st else wait_for_leader (cancel HeartbeatTimer st) in
      match leadership_of (now st) with
      | None => st
      | Some _ =>
          let st := fold_left (fun st it =>
            match it with
            | (client, seq, Some outcome) => send client (Reply seq outcome) st
            | (_, _, None) => st
            end) done st in
          serve_reads (fill st)
      end
  end.

(** An entry is decided. *)
Definition learn (slot : N) (e : entry) (st : step) : step :=
  match learner (now st) with
  | None => st
  | Some l =>
      let (l, done) := Learner.learn (program_of c) l slot e in
      settle done (with_learner l st)
  end.

(** Learns what was voted for in [b] from slot [slot] on, below [upto]: at most [fuel]
    slots. *)
Fixpoint learn_voted (fuel : nat) (b : ballot) (slot upto : N) (st : step) : step :=
  match fuel with
  | O => st
  | S fuel =>
      if slot <? upto then
        match bind (acceptor (now st)) (fun a => Acceptor.voted_in a b slot) with
        | None => st
        | Some e =>
            let st := learn slot e st in
            learn_voted fuel b (N.max (decided (now st)) (slot + 1)) upto st
        end
      else st
  end.

(** All that was voted for in [b] below [upto] is chosen. What this node did not vote for,
    or voted for in another ballot, it must ask for. *)
Definition on_decided (from : N) (b : ballot) (upto : N) (st : step) : step :=
  let votes := match acceptor (now st) with
    | Some a => length (Acceptor.votes a)
    | None => O
    end in
  let st := if is_some (learner (now st))
    then learn_voted votes b (decided (now st)) upto st else st in
  catch_up from upto st.

(** Entries from elsewhere. What is known is no news, and what is too far ahead is not
    kept. *)
Fixpoint on_entries (slot : N) (l : list entry) (st : step) : step :=
  match l with
  | [] => st
  | e :: rest =>
      let is_known := match learner (now st) with
        | Some l => Learner.knows l slot
        | None => false
        end in
      let st := if negb is_known && (slot - decided (now st) <? span_max)
        then learn slot e st else st in
      on_entries (slot + 1) rest st
  end.

(** As many entries as one message takes; at least one, if there is any. *)
Fixpoint fitting (bytes : N) (is_first : bool) (l : list entry) : list entry :=
  match l with
  | [] => []
  | e :: rest =>
      let bytes := bytes + bytes_of_entry (encoding_of c) e in
      if (bytes_max (limit c) <? bytes) && negb is_first then []
      else e :: fitting bytes false rest
  end.

(** Answers a lagging node: with entries, or with a snapshot if they are truncated. *)
Definition on_ask (from slot : N) (st : step) : step :=
  match learner (now st) with
  | None => st
  | Some l =>
      if slot <? start (Learner.applied_log l) then
        match bind (Learner.taken l)
          (fun s => chunk_at (encoding_of c) s 0 (bytes_max (limit c))) with
        | Some piece => send from (Piece piece) st
        | None => st
        end
      else
        match fitting 0 true (tail (Learner.applied_log l) slot) with
        | [] => st
        | entries => send from (Entries slot entries) st
        end
  end.

Definition on_chunk (from : N) (piece : chunk) (st : step) : step :=
  match learner (now st) with
  | None => st
  | Some l =>
      let (l, progress) := Learner.on_chunk (program_of c) (encoding_of c) l piece in
      let st := with_learner l st in
      match progress with
      | Learner.More offset => send from (Fetch (of_upto piece) offset) st
      | Learner.Caught done => settle done st
      | Learner.Nothing => st
      end
  end.

(** The next piece of a snapshot, or the first of a later one if this node has moved on. *)
Definition on_fetch (from upto' offset : N) (st : step) : step :=
  match bind (learner (now st)) Learner.taken with
  | None => st
  | Some s =>
      let offset := if upto s =? upto' then offset else 0 in
      if upto s <? upto' then st
      else match chunk_at (encoding_of c) s offset (bytes_max (limit c)) with
      | Some piece => send from (Piece piece) st
      | None => st
      end
  end.

(** ** Signs of life, and reads: [src/multi/node/reads.rs] *)

(** Asks once more for the votes that have not come, and for entries that others know and
    this node does not. Then shows itself. *)
Definition on_heartbeat_timer (st : step) : step :=
  match leadership_of (now st) with
  | None => st
  | Some r =>
      let open := map (fun it => (fst it, Leadership.proposed (snd it))) (Leadership.open r) in
      let known := decided (now st) in
      let st := put_to_the_vote open st in
      let st := if known <? Leadership.chosen_below r then broadcast others
        (Ask known) st else st in
      keep_pace (announce st)
  end.

(** A leader shows itself. Whoever follows it grants it a lease from now on, says so, and
    learns how far its ballot has got. *)
Definition on_heartbeat (from : N) (b : ballot) (it : heartbeat_id) (upto : N) (st : step) : step :=
  let heed := fun st =>
    let st := follow b st in
    if from =? me then st else on_decided from b upto st in
  match acceptor (now st) with
  | None => heed st
  | Some a =>
      let (a, reply) := Acceptor.on_heartbeat a b it (lease c) time in
      let st := answer from reply (with_acceptor a st) in
      match reply with Some (HeartbeatAck _ _) => heed st | _ => st end
  end.

Definition on_heartbeat_ack (from : N) (b : ballot) (it : heartbeat_id) (st : step) : step :=
  match leading (now st) with
  | Some (b', r) =>
      if negb (b' =? b) || Leadership.has_ack r from it then st
      else
        let r := Leadership.on_heartbeat_ack (quorums c) r from it in
        let st := with_leadership r st in
        let st := if Leadership.is_confirmed (quorums c) r && is_none (Leadership.open r)
          then set_timer Campaign (patience (now st)) st else st in
        serve_reads st
  | None => st
  end.

(** A read without a place in the log. With a lease it is answered at once. *)
Definition on_read (from seq query : N) (by_lease : bool) (st : step) : step :=
  match leadership_of (now st), learner (now st) with
  | Some r, Some l =>
      let decided := Learner.decided l in
      match read (program_of c) (machine (Learner.state l)) query with
      | None => st
      | Some reply =>
          let ends := bind (lease c) (lease_end (Leadership.acks r) (quorums c)) in
          let is_fresh := (Leadership.barrier r <=? decided) &&
            match ends with Some ends => time <? ends | None => false end in
          if by_lease && is_fresh then send from (Reply seq (Done reply)) st
          else serve_reads
            (with_leadership (Leadership.on_read (limit c) r from seq query decided) st)
      end
  | _, _ => st
  end.

(** ** The roles *)

(** A request is proposed by whoever leads. What was carried out before is not proposed
    again: its client is told what became of it. *)
Definition on_request (it : request) (st : step) : step :=
  match learner (now st), leadership_of (now st) with
  | Some l, Some r =>
      let (client, operation) := it in
      match cached_reply (Learner.state l) operation with
      | Some outcome => send client (Reply (seq_of operation) outcome) st
      | None =>
          if is_past (Learner.state l) operation then st
          else
            let (r, takes) := Leadership.on_request (encoding_of c) (limit c) r it in
            let st := with_leadership r st in
            if negb takes then st
            else if negb (Leadership.gathering (encoding_of c) (limit c) r) then fill st
            else if (count (Leadership.queue r) =? 1) && is_none (Leadership.open r)
              then set_timer Propose (0, 0) st
            else st
      end
  | _, _ => st
  end.

(** Whoever has a quorum's promises leads from now on, and shows it. *)
Definition on_promise (from : N) (b : ballot) (votes : table vote) (upto : N) (more : option N)
    (st : step) : step :=
  match leader (now st) with
  | None => st
  | Some l =>
      let known := N.max (decided (now st)) upto in
      let st := match more with
        | Some slot =>
            if Leader.is_past_promise l from b then st else send from (Continue b slot) st
        | None => st
        end in
      let (l, proposals) :=
        Leader.on_promise l from b votes known (negb (is_some more)) (quorums c) in
      let st := catch_up from upto (with_leader l st) in
      match proposals with
      | None => st
      | Some proposals =>
          let st := put_to_the_vote proposals st in
          if is_some (heartbeat c) then keep_pace (announce st) else st
      end
  end.

Definition on_accept (from slot : N) (v : vote) (st : step) : step :=
  match acceptor (now st) with
  | None => st
  | Some a =>
      let is_admitted := Acceptor.admits a (fst v) time in
      let is_decided := slot <? Acceptor.base a in
      let (a, reply) := Acceptor.on_accept a slot v time in
      let st := answer from reply (with_acceptor a st) in
      if negb is_admitted then st
      else
        let st := follow (fst v) st in
        if is_decided then on_ask from slot st else st
  end.

Definition on_accepted (from : N) (b : ballot) (slot : N) (st : step) : step :=
  match leading (now st) with
  | Some (b', r) =>
      if negb (b' =? b) then st
      else
        let before := Leadership.chosen_below r in
        let (r, chosen) := Leadership.on_accepted (quorums c) r from slot in
        let st := with_leadership r st in
        match chosen with
        | None => st
        | Some e =>
            let upto := Leadership.chosen_below r in
            let st := tell b slot e (if before <? upto then Some upto else None) st in
            let st := learn slot e st in
            set_timer Campaign (patience (now st)) st
        end
  | None => st
  end.

Definition on_nack (from : N) (promised : ballot) (upto : N) (st : step) : step :=
  let st := catch_up from upto st in
  match leader (now st) with
  | None => st
  | Some l =>
      let (l, gives_up) := Leader.on_nack l promised in
      let st := with_leader l st in
      if gives_up
      then set_timer Campaign (wait (election c) (round promised))
        (cancel HeartbeatTimer st) else st
  end.

(** Starts a ballot, and gives it a time to succeed in. *)
Definition campaign (st : step) : step :=
  match leader (now st) with
  | None => st
  | Some l =>
      let heard := bind (acceptor (now st)) Acceptor.promised in
      let (l, prepare) :=
        Leader.prepare l me heard (decided (now st)) (round_max (limit c)) in
      let st := with_leader l st in
      let st := match prepare with
        | Some m => broadcast all_acceptors m (cancel HeartbeatTimer st)
        | None => st
        end in
      set_timer Campaign (patience (now st)) st
  end.

(** The clock of a process that counts its own ticks advances; a lease that is over is
    forgotten. *)
Definition tick (st : step) : step :=
  let s := now st in
  let clock := clock s + 1 in
  let acceptor := option_map (fun a => Acceptor.tick a clock) (acceptor s) in
  set_timer Tick (pace (election c))
    (with_state (State acceptor (leader s) (learner s) clock) st).

(** Every message, and the role that answers it. *)
Definition dispatch (from : N) (m : message) (st : step) : step :=
  match m with
  | Request it => on_request it st
  | Read seq query by_lease => on_read from seq query by_lease st
  | Prepare b start =>
      match acceptor (now st) with
      | Some a =>
          let (a, reply) := Acceptor.on_prepare (bytes_of_entry (encoding_of c))
            (bytes_max (limit c)) a b start time in
          answer from reply (with_acceptor a st)
      | None => st
      end
  | Promise b votes upto more => on_promise from b votes upto more st
  | Continue b start =>
      match acceptor (now st) with
      | Some a =>
          answer from (Acceptor.on_continue (bytes_of_entry (encoding_of c))
            (bytes_max (limit c)) a b start) st
      | None => st
      end
  | Accept slot v => on_accept from slot v st
  | Accepted b slot => on_accepted from b slot st
  | Nack promised upto => on_nack from promised upto st
  | Decided b upto => on_decided from b upto st
  | Entries start l => on_entries start l st
  | Ask start => on_ask from start st
  | Piece piece => on_chunk from piece st
  | Fetch upto offset => on_fetch from upto offset st
  | Heartbeat b it upto => on_heartbeat from b it upto st
  | HeartbeatAck b it => on_heartbeat_ack from b it st
  | Reply _ _ => st
  end.

(** Whether the slots that a message tells of exist: [src/multi/stale.rs]. *)
Definition is_possible (m : message) : bool :=
  match m with
  | Accept slot _ | Accepted _ slot => slot <? slots (limit c)
  | Promise _ votes _ _ => after_highest votes 0 <=? slots (limit c)
  | Entries from l => from + count l <=? slots (limit c)
  | _ => true
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

(** The state when it starts, for the first time or again. One that saved what makes no
    sense does nothing. *)
Definition start_state (d : option durable) : state :=
  let acceptor := if is_acceptor c me
    then Some (Acceptor.restart (bind d saved_acceptor) (lease c) time) else None in
  let log := match d with Some d => saved_log d | None => continue_at 0 end in
  match Learner.restart (program_of c) (encoding_of c) (initial c) (bind d saved_snapshot) log with
  | None => State None None None time
  | Some learner =>
      {| acceptor := acceptor;
         leader := if is_in (proposers c) me then Some (Leader.restart (bind d saved_ballot))
           else None;
         learner := if is_in_decision_audience c me then Some learner else None;
         clock := time |}
  end.

(** A process that counts its own ticks is woken for them where there are leases. *)
Definition on_start (d : option durable) : step :=
  let st := wait_for_leader (begin (start_state d)) in
  if is_some (lease c) then set_timer Tick (pace (election c)) st else st.

Definition on_message (s : state) (from : N) (m : message) : step :=
  drain fuel (if is_possible m then dispatch from m (begin s) else begin s).

Definition on_timer (s : state) (t : timer) : step :=
  drain fuel (match t with
    | Campaign => campaign (begin s)
    | HeartbeatTimer => on_heartbeat_timer (begin s)
    | Propose => fill (begin s)
    | Tick => tick (begin s)
    end).

End Node.
