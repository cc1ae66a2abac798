(** * One transition system for Basic, Multi- and Fast Paxos

    This file is to be read and believed; [CoreProof] proves what it claims. It is
    [Basic] three times generalised:

    - _slots_: a decision per slot of a log. One promise covers every slot from a
      given one on, so that a leader prepares once. Basic Paxos is slot 0 alone.
    - _fast ballots_: the coordinator may let acceptors vote for any value that was
      asked for, and then a fast quorum is needed to choose, and a rule to pick
      what may have been chosen. Basic and Multi-Paxos have no fast ballots.
    - _flexible quorums_: those of phase 1 and of phase 2 need only meet each other,
      and may differ from ballot to ballot.

    Sources: [PMS] is Lamport, _Paxos Made Simple_ (2001); [Fast] is Lamport, _Fast
    Paxos_ (2005); [FP] is Howard, Malkhi and Spiegelman, _Flexible Paxos_ (2016). *)

From Coq Require Import NArith.
Open Scope N_scope.

(** ** Who takes part *)

Record setting := Setting {
  acceptor : Type;
  value : Type;
  acceptor_eq : forall a a' : acceptor, {a = a'} + {a <> a'};
  value_eq : forall v v' : value, {v = v'} + {v <> v'};
  is_fast : N -> bool;
  phase1 : N -> (acceptor -> Prop) -> Prop;
  phase2 : N -> (acceptor -> Prop) -> Prop }.

(** What safety asks of quorums. That a phase-1 quorum also meets any two fast ones
    together, [Fast, quorum requirement], is needed only to get on: see [Fast]. *)
Record lawful (S : setting) : Prop := Lawful {
  quorums_meet : forall b c Q R, c < b -> phase1 S b Q -> phase2 S c R ->
    exists a, Q a /\ R a;
  fast_quorums_meet : forall b R R', is_fast S b = true -> phase2 S b R -> phase2 S b R' ->
    exists a, R a /\ R' a;
  quorums_inhabited : forall b R, phase2 S b R -> exists a, R a }.

Section Core.
Variable S : setting.
Notation acceptor := (acceptor S).
Notation value := (value S).

(** ** What is said *)
Inductive message :=
| Propose (v : value)
    (** a client wants [v] chosen *)
| Promise (a : acceptor) (b i : N) (vote : option (N * value))
    (** 1b: [a] votes in no ballot below [b]; its highest vote in slot [i] is [vote] *)
| Accept (i b : N) (v : value)
    (** 2a: vote for [v] in slot [i], ballot [b] *)
| AcceptAny (i b : N)
    (** 2a of a fast ballot: vote for any one value that a client wants *)
| Accepted (a : acceptor) (i b : N) (v : value).
    (** 2b: [a] has voted for [v] in slot [i], ballot [b] *)

(** ** What is known

    What acceptors hold on disk, and the set of messages ever sent: see [Basic]. *)
Record state := State {
  promised : acceptor -> N;
  votes : acceptor -> N -> option (N * value);
  sent : message -> Prop }.

Definition start : state :=
  {| promised := fun _ => 0;  votes := fun _ _ => None;  sent := fun _ => False |}.

(** ** What may happen *)
Inductive event :=
| Request (v : value)
| Phase1b (a : acceptor) (b from : N)
| Phase2a (i b : N) (v : value) (Q : acceptor -> Prop)
| Phase2aAny (i b : N) (Q : acceptor -> Prop)
| Phase2b (a : acceptor) (i b : N) (v : value)
| Restart (a : acceptor).

(** A quorum has promised ballot [b], and told its votes in slot [i]. *)
Definition answered (s : state) (Q : acceptor -> Prop) (i b : N) :=
  phase1 S b Q /\ forall a, Q a -> exists o, sent s (Promise a b i o).

(** No vote was reported. *)
Definition unbound (s : state) (Q : acceptor -> Prop) (i b : N) :=
  forall a o, Q a -> sent s (Promise a b i o) -> o = None.

(** Nothing can have been chosen in a lower ballot: a quorum says so, or there is none. *)
Definition free (s : state) (Q : acceptor -> Prop) (i b : N) :=
  b = 0 \/ answered s Q i b /\ unbound s Q i b.

(** The value to propose once votes were reported. It has a vote in [k], the highest
    ballot reported, [PMS §2.2, P2c]; and if [k] was fast, where several values may
    have votes, no other can have been chosen in [k]: every quorum of [k] has a
    member among [Q] that did not vote for that other, [Fast, O4]. *)
Definition bound (s : state) (Q : acceptor -> Prop) (i b : N) (v : value) :=
  exists k,
    (exists a, Q a /\ sent s (Promise a b i (Some (k, v)))) /\
    (forall a k' v', Q a -> sent s (Promise a b i (Some (k', v'))) -> k' <= k) /\
    (is_fast S k = true -> forall w, w <> v -> forall R, phase2 S k R ->
       exists a, Q a /\ R a /\ ~ sent s (Promise a b i (Some (k, w)))).

(** Nothing was proposed yet in slot [i], ballot [b]. *)
Definition fresh (s : state) (i b : N) :=
  (forall w, ~ sent s (Accept i b w)) /\ ~ sent s (AcceptAny i b).

(** When each event may happen. *)
Definition guard (s : state) (e : event) : Prop :=
  match e with
  | Request _ => True
  | Phase1b a b _ => promised s a < b
  | Phase2a i b v Q => fresh s i b /\
      (sent s (Propose v) /\ free s Q i b \/ answered s Q i b /\ bound s Q i b v)
  | Phase2aAny i b Q => is_fast S b = true /\ fresh s i b /\ free s Q i b
  (** One vote per acceptor, slot and ballot; the same vote may be cast again. *)
  | Phase2b a i b v => promised s a <= b /\
      (sent s (Accept i b v) \/ sent s (AcceptAny i b) /\ sent s (Propose v)) /\
      match votes s a i with Some (k, w) => k < b \/ k = b /\ w = v | None => True end
  | Restart _ => True
  end.

Definition update {B} (f : acceptor -> B) (a : acceptor) (y : B) : acceptor -> B :=
  fun a' => if acceptor_eq S a' a then y else f a'.

Definition update_slot {B} (f : N -> B) (i : N) (y : B) : N -> B :=
  fun i' => if N.eq_dec i' i then y else f i'.

Definition send (s : state) (m : message) : message -> Prop :=
  fun m' => sent s m' \/ m' = m.

(** One promise speaks for all slots from [from] on. Of those below it says nothing:
    an acceptor may have truncated them. *)
Definition send_promise (s : state) (a : acceptor) (b from : N) : message -> Prop :=
  fun m' => sent s m' \/ exists i, from <= i /\ m' = Promise a b i (votes s a i).

(** What each event changes. *)
Definition apply (s : state) (e : event) : state :=
  match e with
  | Request v =>
      {| promised := promised s;  votes := votes s;  sent := send s (Propose v) |}
  | Phase1b a b from =>
      {| promised := update (promised s) a b;  votes := votes s;
         sent := send_promise s a b from |}
  | Phase2a i b v _ =>
      {| promised := promised s;  votes := votes s;  sent := send s (Accept i b v) |}
  | Phase2aAny i b _ =>
      {| promised := promised s;  votes := votes s;  sent := send s (AcceptAny i b) |}
  | Phase2b a i b v =>
      {| promised := update (promised s) a b;
         votes := update (votes s) a (update_slot (votes s a) i (Some (b, v)));
         sent := send s (Accepted a i b v) |}
  | Restart _ => s
  end.

Inductive reachable : state -> Prop :=
| reachable_start : reachable start
| reachable_step s e : reachable s -> guard s e -> reachable (apply s e).

(** ** What is claimed *)

Definition chosen (s : state) (i b : N) (v : value) :=
  exists R, phase2 S b R /\ forall a, R a -> sent s (Accepted a i b v).

(** At most one value is ever chosen in a slot. *)
Definition Agreement := forall s i b v c w,
  reachable s -> chosen s i b v -> chosen s i c w -> v = w.

(** Only a value that was proposed is chosen. *)
Definition Validity := forall s i b v,
  reachable s -> chosen s i b v -> sent s (Propose v).

(** What is chosen stays chosen. *)
Definition Stability := forall s e i b v,
  chosen s i b v -> chosen (apply s e) i b v.

(** All votes in one ballot, unless fast, are for one value. *)
Definition OneValuePerBallot := forall s a a' i b v v',
  reachable s -> is_fast S b = false ->
  sent s (Accepted a i b v) -> sent s (Accepted a' i b v') -> v = v'.

(** No quorum can ever choose [w] in ballot [c] of slot [i]: each has a member that
    did not vote so and never will. [NoneOtherChoosableAt] of Voting.tla. *)
Definition blocked (s : state) (i c : N) (w : value) :=
  forall R, phase2 S c R ->
  exists a, R a /\ c < promised s a /\ ~ sent s (Accepted a i c w).

(** A vote is only for a value safe at its ballot: in no lower one was, or ever can be,
    another chosen. [VotesSafe] of Voting.tla, [PMS §2.2, P2c]. *)
Definition VotesSafe := forall s a i b v c w,
  reachable s -> sent s (Accepted a i b v) -> c < b -> w <> v -> blocked s i c w.

(** No acceptor forgets a promise or votes below one. *)
Definition PromiseKept := forall s e a,
  reachable s -> guard s e ->
  promised s a <= promised (apply s e) a /\
  forall i b v, sent (apply s e) (Accepted a i b v) ->
    sent s (Accepted a i b v) \/ promised s a <= b.

End Core.

Arguments Propose {S} v.
Arguments Promise {S} a b i vote.
Arguments Accept {S} i b v.
Arguments AcceptAny {S} i b.
Arguments Accepted {S} a i b v.
Arguments Request {S} v.
Arguments Phase1b {S} a b from.
Arguments Phase2a {S} i b v Q.
Arguments Phase2aAny {S} i b Q.
Arguments Phase2b {S} a i b v.
Arguments Restart {S} a.
Arguments promised {S} s.
Arguments votes {S} s.
Arguments sent {S} s.
