(** * The handlers of Multi-Paxos in a world that loses messages and stops machines

    This file is to be read and believed; [NetworkProof] proves what it claims. *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.multi Require Import Session Log Snapshot Protocol Node.
From Synod.multi Require Acceptor Learner.
Open Scope N_scope.

Section Network.
Variable c : cluster.

(** Every process, all that was ever said, by whom and to whom, and what clients asked
    for. What was said to a process it may receive at any time, any number of times, or
    never. *)
Record world := World {
  nodes : N -> state;
  sent : N -> N -> message -> Prop;
  requested : request -> Prop }.

Definition start : world :=
  {| nodes := fun me => start_state c me 0 None;
     sent := fun _ _ _ => False;
     requested := fun _ => False |}.

(** What becomes of the world when a step of process [me] is done. Its state is saved
    at that moment, and its messages leave. *)
Definition after (w : world) (me : N) (st : step) : world :=
  {| nodes := fun a => if a =? me then now st else nodes w a;
     sent := fun a to m => sent w a to m \/ a = me /\ In (to, m) (said st);
     requested := requested w |}.

(** What anybody may ask, and be no node. *)
Definition is_question (m : message) : bool :=
  match m with Read _ _ _ | Ask _ | Fetch _ _ => true | _ => false end.

(** What may happen. Node ids are 32 bits wide, as in Rust. A clock may show any [time]. *)
Inductive next (w : world) : world -> Prop :=
| client_asks client to r :
    next w {| nodes := nodes w;
              sent := fun a x m => sent w a x m \/ a = client /\ x = to /\ m = Request r;
              requested := fun r' => requested w r' \/ r' = r |}
| somebody_asks client to q : is_question q = true ->
    next w {| nodes := nodes w;
              sent := fun a x m => sent w a x m \/ a = client /\ x = to /\ m = q;
              requested := requested w |}
| message_arrives me time from m : me < width -> sent w from me m ->
    next w (after w me (on_message c me time (nodes w me) from m))
| time_passes me time t : me < width ->
    next w (after w me (on_timer c me time (nodes w me) t))
(** A crash takes all but what was saved. To crash in the midst of a step is to crash
    before it or after it, for its messages wait until its state is saved. *)
| process_restarts me time : me < width ->
    next w (after w me (on_start c me time (Some (durable_of (nodes w me))))).

Inductive reachable : world -> Prop :=
| reachable_start : reachable start
| reachable_next w w' : reachable w -> next w w' -> reachable w'.

(** [e] was proposed for a slot in ballot [b], and a quorum has said that it voted there. *)
Definition chosen (w : world) (slot : N) (b : ballot) (e : entry) : Prop :=
  (exists from to, sent w from to (Accept slot (b, e))) /\
  exists voters, is_phase2 (quorums c) voters = true /\
  forall a, contains voters a = true -> exists to, sent w a to (Accepted b slot).

(** A node knows [e] to be decided for a slot. *)
Definition has_decided (w : world) (me slot : N) (e : entry) : Prop :=
  exists l, learner (nodes w me) = Some l /\ Learner.entry_at l slot = Some e.

(** A node has applied [e], and not truncated it yet. *)
Definition has_applied (w : world) (me slot : N) (e : entry) : Prop :=
  exists l, learner (nodes w me) = Some l /\ get (Learner.applied_log l) slot = Some e.

(** A node keeps a snapshot in place of all slots below this one. *)
Definition truncated (w : world) (me : N) : N :=
  match learner (nodes w me) with Some l => Log.start (Learner.applied_log l) | None => 0 end.

Definition promised (w : world) (me : N) : option ballot :=
  bind (acceptor (nodes w me)) Acceptor.promised.

(** ** What is assumed of a cluster

    Its quorums meet, as those that [Quorum] describes do; Multi-Paxos has no fast
    ballots; and what is written down can be read again. *)
Record sound : Prop := Sound {
  quorums_meet : is_lawful (quorums c) = true;
  no_fast_ballot : forall b, is_fast (quorums c) b = false;
  readable : forall s, decode (encoding_of c) (encode (encoding_of c) s) = Some s }.

(** ** What is claimed *)

(** No two nodes ever decide differently for a slot, and neither does one. *)
Definition Agreement := forall w me slot e me' e',
  reachable w -> has_decided w me slot e -> has_decided w me' slot e' -> e = e'.

(** Only what clients asked for is decided. *)
Definition Validity := forall w me slot e r,
  reachable w -> has_decided w me slot e -> In r (requests_of e) -> requested w r.

(** A decided value was chosen by a quorum in one ballot. *)
Definition DecidedIsChosen := forall w me slot e,
  reachable w -> has_decided w me slot e -> exists b, chosen w slot b e.

(** At most one entry is ever chosen for a slot. *)
Definition ChosenAgreement := forall w slot b e b' e',
  reachable w -> chosen w slot b e -> chosen w slot b' e' -> e = e'.

(** All that is proposed for a slot in one ballot is one entry, and so are all votes. *)
Definition OneValuePerBallot := forall w from to from' to' slot b e e',
  reachable w -> sent w from to (Accept slot (b, e)) -> sent w from' to' (Accept slot (b, e')) ->
  e = e'.

(** A node neither changes nor forgets what it has applied, not even in a crash, unless a
    snapshot speaks for it. *)
Definition DecisionStands := forall w w' me slot e,
  reachable w -> next w w' -> has_applied w me slot e ->
  has_applied w' me slot e \/ slot < truncated w' me.

(** Nodes that applied equally many slots are in the same state. *)
Definition SameState := forall w me l me' l',
  reachable w -> learner (nodes w me) = Some l -> learner (nodes w me') = Some l' ->
  Learner.decided l = Learner.decided l' -> Learner.state l = Learner.state l'.

(** No acceptor forgets a promise or votes below one. *)
Definition PromiseKept := forall w w' me,
  reachable w -> next w w' ->
  rank (promised w me) <= rank (promised w' me) /\
  forall to b slot, sent w' me to (Accepted b slot) ->
    (exists to', sent w me to' (Accepted b slot)) \/ rank (promised w me) <= rank (Some b).

End Network.

Arguments nodes w me.
