(** * What a leader does once it leads: [src/multi/leadership.rs] *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.multi Require Import Table Session Log Snapshot Lease Protocol.
Import ListNotations.
Open Scope N_scope.

(** A slot under way: what is proposed, and the acceptors that voted for it. *)
Record proposal := Proposal { proposed : entry; voters : set }.

(** A read that waits: all below [index] must have been applied, and the [round] of heartbeats
    must have been answered by enough acceptors. *)
Record waiting := Waiting { client : N; seq : N; query : N; index : N; round : N }.

(** What a leader is at. *)
Record leadership := Leadership {
  barrier : N;
  next : N;
  open : table proposal;
  queue : list request;
  last_heartbeat : heartbeat_id;
  acks : table heartbeat_id;
  reads : list waiting;
  last_announced : option N }.

Definition with_next (r : leadership) (n : N) : leadership :=
  Leadership (barrier r) n (open r) (queue r) (last_heartbeat r) (acks r) (reads r)
    (last_announced r).
Definition with_open (r : leadership) (o : table proposal) : leadership :=
  Leadership (barrier r) (next r) o (queue r) (last_heartbeat r) (acks r) (reads r)
    (last_announced r).
Definition with_queue (r : leadership) (q : list request) : leadership :=
  Leadership (barrier r) (next r) (open r) q (last_heartbeat r) (acks r) (reads r)
    (last_announced r).
Definition with_heartbeat (r : leadership) (b : heartbeat_id) : leadership :=
  Leadership (barrier r) (next r) (open r) (queue r) b (acks r) (reads r) (last_announced r).
Definition with_acks (r : leadership) (h : table heartbeat_id) : leadership :=
  Leadership (barrier r) (next r) (open r) (queue r) (last_heartbeat r) h (reads r)
    (last_announced r).
Definition with_reads (r : leadership) (l : list waiting) : leadership :=
  Leadership (barrier r) (next r) (open r) (queue r) (last_heartbeat r) (acks r) l
    (last_announced r).
Definition with_announced (r : leadership) (t : option N) : leadership :=
  Leadership (barrier r) (next r) (open r) (queue r) (last_heartbeat r) (acks r) (reads r) t.

Definition proposals : Type := list (N * entry).

Definition propose (slot : N) (e : entry) (t : table proposal) : table proposal :=
  put slot (Proposal e 0) t.

(** [count] slots from [first] on. *)
Fixpoint slots_from (first : N) (count : nat) : list N :=
  match count with O => [] | S count => first :: slots_from (first + 1) count end.

(** What is proposed in a slot that may be taken. *)
Definition adopt (votes : table vote) (slot : N) : entry :=
  match find slot votes with Some v => snd v | None => Noop end.

(** What a quorum's promises leave to do in the slots from [first] to [barrier]. *)
Definition begin (first barrier : N) (votes : table vote) : leadership * proposals :=
  let slots := slots_from first (N.to_nat (barrier - first)) in
  let proposals := map (fun slot => (slot, adopt votes slot)) slots in
  let open := fold_left (fun t it => propose (fst it) (snd it) t) proposals [] in
  (Leadership barrier barrier open [] (0, 0) [] [] None, proposals).

(** The slot below which all that was proposed in this ballot is chosen. *)
Definition chosen_below (r : leadership) : N := lowest (open r) (next r).

Section Leadership.
Variable e : encoding.
Variable l : limits.

Definition bytes_of_all (q : list request) : N :=
  fold_left (fun sum r => sum + bytes_of_request e r) q 0.

(** Whether there are requests enough for a slot, or more. *)
Definition fills_a_slot (q : list request) : bool :=
  (batch_max l <=? count q) || (bytes_max l <? bytes_of_all q).

(** How many of the requests that wait fit into one slot; at least one. *)
Fixpoint fitting (room : nat) (bytes : N) (q : list request) : nat :=
  match room, q with
  | S room, r :: rest =>
      let more := bytes + bytes_of_request e r in
      if (bytes =? 0) || (more <=? bytes_max l) then S (fitting room more rest) else O
  | _, _ => O
  end.
Definition fit (q : list request) : nat :=
  fitting (N.to_nat (N.min (N.max (batch_max l) 1) (count q))) 0 q.

(** Whether requests that wait would do better to wait for others. *)
Definition gathering (r : leadership) : bool := gathers l && negb (fills_a_slot (queue r)).

(** Whether a request is proposed, or waits. *)
Definition is_under_way (r : leadership) (it : request) : bool :=
  existsb (fun p => existsb (is_request it) (requests_of (proposed (snd p)))) (open r) ||
  existsb (is_request it) (queue r).

(** A client's request: taken unless it is under way already, or too large. Says whether
    it was. *)
Definition on_request (r : leadership) (it : request) : leadership * bool :=
  if (count (queue r) <? queue_max l) && negb (is_under_way r it) &&
     (bytes_of_request e it <=? request_bytes_max)
  then (with_queue r (queue r ++ [it]), true) else (r, false).

(** Phase 2a of slots that no lower ballot can have taken: requests that wait are put to
    the vote, as many as fit into one slot, as long as not too many slots are under way. *)
Fixpoint fill (fuel : nat) (r : leadership) : leadership * proposals :=
  match fuel with
  | O => (r, [])
  | S fuel =>
      let goes_on :=
        match queue r with [] => false | _ => true end &&
        (next r - chosen_below r <? N.min span_max (window l)) && (next r <? slots l) &&
        (is_none (open r) || negb (gathers l) || fills_a_slot (queue r)) in
      if goes_on then
        let entry := Batch (firstn (fit (queue r)) (queue r)) in
        let r' := with_next (with_open (with_queue r (skipn (fit (queue r)) (queue r)))
          (propose (next r) entry (open r))) (next r + 1) in
        let (r', more) := fill fuel r' in
        (r', (next r, entry) :: more)
      else (r, [])
  end.

Variable q : system.

(** Phase 2b's answer: an entry is chosen once a quorum has voted for it in this ballot.
    Returns the entry if this vote chose it. *)
Definition on_accepted (r : leadership) (from slot : N) : leadership * option entry :=
  if negb (contains (acceptors q) from) then (r, None)
  else match find slot (open r) with
  | None => (r, None)
  | Some p =>
      let p := Proposal (proposed p) (insert (voters p) from) in
      if is_phase2 q (voters p) then (with_open r (drop slot (open r)), Some (proposed p))
      else (with_open r (put slot p (open r)), None)
  end.

(** Slots below [decided] are decided, and [known] says what they hold. Says whether the
    leadership goes on: not if a slot that is open here may hold anything but what was proposed. *)
Definition learn (r : leadership) (decided : N) (known : N -> option entry) : leadership * bool :=
  let holds := fun it : N * proposal =>
    (decided <=? fst it) ||
    match known (fst it) with Some e => is_entry e (proposed (snd it)) | None => false end in
  (with_open (with_next r (N.max (next r) decided)) (since decided (open r)),
   forallb holds (open r)).

(** A read comes in: it waits for a round of heartbeats that begins now or later. *)
Definition on_read (r : leadership) (client seq query applied : N) : leadership :=
  let is_known := fun it => (Leadership.client it =? client) && (Leadership.seq it =? seq) in
  if (queue_max l <=? count (reads r)) || existsb is_known (reads r) then r
  else with_reads r (reads r ++
    [Waiting client seq query (N.max (barrier r) applied) (fst (last_heartbeat r) + 1)]).

(** The latest round of heartbeats that enough acceptors have answered. *)
Definition confirmed (r : leadership) : N :=
  let is_answered := fun round => is_phase2 q (those_who (acks r) (fun b => round <=? fst b)) in
  match highest (filter is_answered (map (fun it => fst (snd it)) (acks r))) with
  | Some round => round
  | None => 0
  end.

(** Begins a round of heartbeats if a read needs a new one and none is under way. Says whether
    it did. *)
Definition begin_round (r : leadership) : leadership * bool :=
  let now := fst (last_heartbeat r) in
  let is_needed := existsb (fun it => now <? round it) (reads r) in
  if is_needed && (confirmed r =? now) && (now <? heartbeats_max l)
  then (with_heartbeat r (now + 1, snd (last_heartbeat r)), true) else (r, false).

(** An acceptor answers a heartbeat. *)
Definition on_heartbeat_ack (r : leadership) (from : N) (b : heartbeat_id) : leadership :=
  if contains (acceptors q) from then
    let latest := match find from (acks r) with Some b => b | None => (0, 0) end in
    with_acks r (put from (N.max (fst latest) (fst b), N.max (snd latest) (snd b)) (acks r))
  else r.

(** Whether an acceptor's answer to a heartbeat adds nothing to those that are there. *)
Definition has_ack (r : leadership) (from : N) (b : heartbeat_id) : bool :=
  match find from (acks r) with
  | Some latest => (fst b <=? fst latest) && (snd b <=? snd latest)
  | None => false
  end.

(** Whether enough acceptors have answered the latest heartbeat. *)
Definition is_confirmed (r : leadership) : bool :=
  is_phase2 q (those_who (acks r) (is_since (last_heartbeat r))).

(** The reads that need wait no longer, given what is applied here. *)
Definition is_ready (confirmed applied : N) (it : waiting) : bool :=
  (round it <=? confirmed) && (index it <=? applied).
Definition ready (r : leadership) (applied : N) : leadership * list waiting :=
  let is_ready := is_ready (confirmed r) applied in
  (with_reads r (filter (fun it => negb (is_ready it)) (reads r)), filter is_ready (reads r)).

(** A new heartbeat at this time, or the same again if time stands still. *)
Definition heartbeat_at (r : leadership) (now : N) : leadership :=
  with_heartbeat r (fst (last_heartbeat r), N.max (snd (last_heartbeat r)) now).

End Leadership.
