(** * What a leader does once it leads: [src/multi/reign.rs] *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.multi Require Import Table Session Log Snapshot Lease Protocol.
Import ListNotations.
Open Scope N_scope.

(** A slot under way: what is proposed, and the acceptors that voted for it. *)
Record proposal := Proposal { proposed : entry; voters : set }.

(** A read that waits: all below [index] must have been applied, and the [round] of beats
    must have been answered by enough acceptors. *)
Record waiting := Waiting { client : N; seq : N; query : N; index : N; round : N }.

(** What a leader is at. *)
Record reign := Reign {
  barrier : N;
  next : N;
  open : table proposal;
  queue : list request;
  last_beat : beat;
  heard : table beat;
  reads : list waiting;
  last_told : option N }.

Definition with_next (r : reign) (n : N) : reign :=
  Reign (barrier r) n (open r) (queue r) (last_beat r) (heard r) (reads r) (last_told r).
Definition with_open (r : reign) (o : table proposal) : reign :=
  Reign (barrier r) (next r) o (queue r) (last_beat r) (heard r) (reads r) (last_told r).
Definition with_queue (r : reign) (q : list request) : reign :=
  Reign (barrier r) (next r) (open r) q (last_beat r) (heard r) (reads r) (last_told r).
Definition with_beat (r : reign) (b : beat) : reign :=
  Reign (barrier r) (next r) (open r) (queue r) b (heard r) (reads r) (last_told r).
Definition with_heard (r : reign) (h : table beat) : reign :=
  Reign (barrier r) (next r) (open r) (queue r) (last_beat r) h (reads r) (last_told r).
Definition with_reads (r : reign) (l : list waiting) : reign :=
  Reign (barrier r) (next r) (open r) (queue r) (last_beat r) (heard r) l (last_told r).
Definition with_told (r : reign) (t : option N) : reign :=
  Reign (barrier r) (next r) (open r) (queue r) (last_beat r) (heard r) (reads r) t.

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
Definition begin (first barrier : N) (votes : table vote) : reign * proposals :=
  let slots := slots_from first (N.to_nat (barrier - first)) in
  let proposals := map (fun slot => (slot, adopt votes slot)) slots in
  let open := fold_left (fun t it => propose (fst it) (snd it) t) proposals [] in
  (Reign barrier barrier open [] (0, 0) [] [] None, proposals).

(** The slot below which all that was proposed in this ballot is chosen. *)
Definition chosen_below (r : reign) : N := lowest (open r) (next r).

Section Reign.
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
Definition gathering (r : reign) : bool := gathers l && negb (fills_a_slot (queue r)).

(** Whether a request is proposed, or waits. *)
Definition is_under_way (r : reign) (it : request) : bool :=
  existsb (fun p => existsb (is_request it) (requests_of (proposed (snd p)))) (open r) ||
  existsb (is_request it) (queue r).

(** A client's request: taken unless it is under way already, or too large. Says whether
    it was. *)
Definition on_request (r : reign) (it : request) : reign * bool :=
  if (count (queue r) <? queue_max l) && negb (is_under_way r it) &&
     (bytes_of_request e it <=? request_bytes_max)
  then (with_queue r (queue r ++ [it]), true) else (r, false).

(** Phase 2a of slots that no lower ballot can have taken: requests that wait are put to
    the vote, as many as fit into one slot, as long as not too many slots are under way. *)
Fixpoint fill (fuel : nat) (r : reign) : reign * proposals :=
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
Definition on_accepted (r : reign) (from slot : N) : reign * option entry :=
  if negb (contains (acceptors q) from) then (r, None)
  else match find slot (open r) with
  | None => (r, None)
  | Some p =>
      let p := Proposal (proposed p) (insert (voters p) from) in
      if is_phase2 q (voters p) then (with_open r (drop slot (open r)), Some (proposed p))
      else (with_open r (put slot p (open r)), None)
  end.

(** Slots below [decided] are decided, and [known] says what they hold. Says whether the
    reign goes on: not if a slot that is open here may hold anything but what was proposed. *)
Definition learn (r : reign) (decided : N) (known : N -> option entry) : reign * bool :=
  let holds := fun it : N * proposal =>
    (decided <=? fst it) ||
    match known (fst it) with Some e => is_entry e (proposed (snd it)) | None => false end in
  (with_open (with_next r (N.max (next r) decided)) (since decided (open r)),
   forallb holds (open r)).

(** A read comes in: it waits for a round of beats that begins now or later. *)
Definition on_read (r : reign) (client seq query applied : N) : reign :=
  let is_known := fun it => (Reign.client it =? client) && (Reign.seq it =? seq) in
  if (queue_max l <=? count (reads r)) || existsb is_known (reads r) then r
  else with_reads r (reads r ++
    [Waiting client seq query (N.max (barrier r) applied) (fst (last_beat r) + 1)]).

(** The latest round of beats that enough acceptors have answered. *)
Definition confirmed (r : reign) : N :=
  let is_answered := fun round => is_phase2 q (those_who (heard r) (fun b => round <=? fst b)) in
  match highest (filter is_answered (map (fun it => fst (snd it)) (heard r))) with
  | Some round => round
  | None => 0
  end.

(** Begins a round of beats if a read needs a new one and none is under way. Says whether
    it did. *)
Definition begin_round (r : reign) : reign * bool :=
  let now := fst (last_beat r) in
  let is_needed := existsb (fun it => now <? round it) (reads r) in
  if is_needed && (confirmed r =? now) && (now <? beats_max l)
  then (with_beat r (now + 1, snd (last_beat r)), true) else (r, false).

(** An acceptor answers a beat. *)
Definition on_heard (r : reign) (from : N) (b : beat) : reign :=
  if contains (acceptors q) from then
    let latest := match find from (heard r) with Some b => b | None => (0, 0) end in
    with_heard r (put from (N.max (fst latest) (fst b), N.max (snd latest) (snd b)) (heard r))
  else r.

(** Whether an acceptor's answer to a beat adds nothing to those that are there. *)
Definition has_heard (r : reign) (from : N) (b : beat) : bool :=
  match find from (heard r) with
  | Some latest => (fst b <=? fst latest) && (snd b <=? snd latest)
  | None => false
  end.

(** Whether enough acceptors have answered the latest beat. *)
Definition is_confirmed (r : reign) : bool :=
  is_phase2 q (those_who (heard r) (is_since (last_beat r))).

(** The reads that need wait no longer, given what is applied here. *)
Definition is_ready (confirmed applied : N) (it : waiting) : bool :=
  (round it <=? confirmed) && (index it <=? applied).
Definition ready (r : reign) (applied : N) : reign * list waiting :=
  let is_ready := is_ready (confirmed r) applied in
  (with_reads r (filter (fun it => negb (is_ready it)) (reads r)), filter is_ready (reads r)).

(** A new beat at this time, or the same again if time stands still. *)
Definition beat_at (r : reign) (now : N) : reign :=
  with_beat r (fst (last_beat r), N.max (snd (last_beat r)) now).

End Reign.
