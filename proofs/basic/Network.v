(** * The handlers in a world that loses messages and stops machines

    This file is to be read and believed; [NetworkProof] proves what it claims. *)

From Coq Require Import NArith List Bool.
From Synod Require Import Vocabulary Quorum.
From Synod.basic Require Import Protocol Node.
From Synod.basic Require Acceptor.
Open Scope N_scope.

Section Network.
Variable c : cluster.

(** Every process, all that was ever said and by whom, and what clients asked for.
    To whom it was said is forgotten: here anybody may receive it, and so may those it
    was for, at any time, any number of times, or never. *)
Record world := World {
  nodes : N -> state;
  sent : N -> message -> Prop;
  requested : N -> Prop }.

Definition start : world :=
  {| nodes := fun me => start_state c me None;
     sent := fun _ _ => False;
     requested := fun _ => False |}.

(** What becomes of the world when a step of process [me] is done. Its state is saved
    at that moment, and its messages leave. *)
Definition after (w : world) (me : N) (st : step) : world :=
  {| nodes := fun a => if a =? me then now st else nodes w a;
     sent := fun a m => sent w a m \/ a = me /\ exists to, In (to, m) (said st);
     requested := requested w |}.

(** What may happen. Node ids are 32 bits wide, as in Rust. *)
Inductive next (w : world) : world -> Prop :=
| client_asks client value :
    next w {| nodes := nodes w;
              sent := fun a m => sent w a m \/ a = client /\ m = Propose value;
              requested := fun v => requested w v \/ v = value |}
| somebody_asks client :
    next w {| nodes := nodes w;
              sent := fun a m => sent w a m \/ a = client /\ m = Ask;
              requested := requested w |}
| message_arrives me from m : me < width -> sent w from m ->
    next w (after w me (on_message c me (nodes w me) from m))
| time_passes me t : me < width ->
    next w (after w me (on_timer c me (nodes w me) t))
(** A crash takes all but what was saved. To crash in the midst of a step is to crash
    before it or after it, for its messages wait until its state is saved. *)
| process_restarts me : me < width ->
    next w (after w me (on_start c me (Some (durable_of (nodes w me))))).

Inductive reachable : world -> Prop :=
| reachable_start : reachable start
| reachable_next w w' : reachable w -> next w w' -> reachable w'.

(** A quorum has voted for [v] in ballot [b]. *)
Definition chosen (w : world) (b : ballot) (v : N) : Prop :=
  exists voters, is_phase2 (quorums c) voters = true /\
  forall a, contains voters a = true -> sent w a (Accepted (b, v)).

Definition has_decided (w : world) (me v : N) : Prop := decided (nodes w me) = Some v.

(** ** What is assumed of a cluster

    Its quorums meet, as those that [Quorum] describes do; Basic Paxos has no fast
    ballots; and there is somebody who counts votes. *)
Record sound : Prop := Sound {
  quorums_meet : is_lawful (quorums c) = true;
  no_fast_ballot : forall b, is_fast (quorums c) b = false;
  somebody_learns : learners c <> nil }.

(** ** What is claimed *)

(** No two nodes ever decide differently, and neither does one. *)
Definition Agreement := forall w me v me' v',
  reachable w -> has_decided w me v -> has_decided w me' v' -> v = v'.

(** Only what a client asked for is decided. *)
Definition Validity := forall w me v,
  reachable w -> has_decided w me v -> requested w v.

(** A decided value was chosen by a quorum in one ballot. *)
Definition DecidedIsChosen := forall w me v,
  reachable w -> has_decided w me v -> exists b, chosen w b v.

(** At most one value is ever chosen. *)
Definition ChosenAgreement := forall w b v b' v',
  reachable w -> chosen w b v -> chosen w b' v' -> v = v'.

(** All votes in one ballot, unless fast, are for one value. *)
Definition OneValuePerBallot := forall w a a' b v v',
  reachable w -> sent w a (Accepted (b, v)) -> sent w a' (Accepted (b, v')) -> v = v'.

(** A node neither changes nor forgets its decision, not even in a crash. *)
Definition DecisionStands := forall w w' me v,
  reachable w -> next w w' -> has_decided w me v -> has_decided w' me v.

Definition promised (w : world) (me : N) : option ballot :=
  bind (acceptor (nodes w me)) Acceptor.promised.

(** No acceptor forgets a promise or votes below one. *)
Definition PromiseKept := forall w w' me,
  reachable w -> next w w' ->
  rank (promised w me) <= rank (promised w' me) /\
  forall b v, sent w' me (Accepted (b, v)) ->
    sent w me (Accepted (b, v)) \/ rank (promised w me) <= rank (Some b).

End Network.

Arguments nodes w me.
