(** * Basic Paxos: one value, chosen once and for all

    The entry point for readers. This file is to be read and believed: it says
    what Basic Paxos is and what is claimed of it. [BasicProof] proves the claims,
    for any acceptors, any values and any quorums that meet.

    Sources: [PMS] is Lamport, _Paxos Made Simple_ (2001); [FP] is Howard, Malkhi
    and Spiegelman, _Flexible Paxos_ (2016); Paxos.tla is Lamport's specification. *)

From Coq Require Import NArith.
Open Scope N_scope.

(** ** Who takes part

    A ballot is a number, and 0 is below them all. A quorum is a set of acceptors
    that is enough to go on to phase 2, or to choose. *)

Record setting := Setting {
  acceptor : Type;
  value : Type;
  acceptor_eq : forall a a' : acceptor, {a = a'} + {a <> a'};
  value_eq : forall v v' : value, {v = v'} + {v <> v'};
  phase1 : (acceptor -> Prop) -> Prop;
  phase2 : (acceptor -> Prop) -> Prop }.

(** All that is asked of quorums: one of phase 1 and one of phase 2 have a member in
    common, [FP §3], and none of phase 2 is empty. Majorities are an instance,
    and so are all others in [Quorum]. *)
Record lawful (S : setting) : Prop := Lawful {
  quorums_meet : forall Q R, phase1 S Q -> phase2 S R -> exists a, Q a /\ R a;
  quorums_inhabited : forall R, phase2 S R -> exists a, R a }.

Section Basic.
Variable S : setting.
Notation acceptor := (acceptor S).
Notation value := (value S).

(** ** What is said

    The request for promises (phase 1a) says nothing that an acceptor could not make
    up, so it is left out: an acceptor may promise any ballot at any time. *)
Inductive message :=
| Propose (v : value)
    (** a client wants [v] chosen *)
| Promise (a : acceptor) (b : N) (vote : option (N * value))
    (** 1b: [a] votes in no ballot below [b], and its highest vote so far is [vote] *)
| Accept (b : N) (v : value)
    (** 2a: vote for [v] in ballot [b] *)
| Accepted (a : acceptor) (b : N) (v : value).
    (** 2b: [a] has voted for [v] in ballot [b] *)

(** ** What is known

    What acceptors hold on disk, and the set of messages ever sent. Nothing leaves
    that set and any step may look at it, so a message may be lost, doubled,
    delayed and overtaken without a rule that says so. *)
Record state := State {
  promised : acceptor -> N;
  vote : acceptor -> option (N * value);
  sent : message -> Prop }.

Definition start : state :=
  {| promised := fun _ => 0;  vote := fun _ => None;  sent := fun _ => False |}.

(** ** What may happen *)
Inductive event :=
| Request (v : value)
| Phase1b (a : acceptor) (b : N)
| Phase2a (b : N) (v : value) (Q : acceptor -> Prop)
| Phase2b (a : acceptor) (b : N) (v : value)
| Restart (a : acceptor).

(** A proposer goes on to phase 2 once a quorum has answered its request,
    [PMS §2.2, phase 2(a)]. *)
Definition answered (s : state) (Q : acceptor -> Prop) (b : N) :=
  phase1 S Q /\ forall a, Q a -> exists o, sent s (Promise a b o).

(** "... or is any value if the responses reported no proposals", [PMS §2.2, P2c(a)]. *)
Definition unbound (s : state) (Q : acceptor -> Prop) (b : N) :=
  forall a o, Q a -> sent s (Promise a b o) -> o = None.

(** "... the value of the highest-numbered proposal among the responses",
    [PMS §2.2, P2c(b)]. *)
Definition bound (s : state) (Q : acceptor -> Prop) (b : N) (v : value) :=
  exists k a, Q a /\ sent s (Promise a b (Some (k, v))) /\
  forall a' k' v', Q a' -> sent s (Promise a' b (Some (k', v'))) -> k' <= k.

(** When each event may happen. *)
Definition guard (s : state) (e : event) : Prop :=
  match e with
  | Request _ => True
  (** A number greater than that of any request already answered,
      [PMS §2.2, phase 1(b)]. *)
  | Phase1b a b => promised s a < b
  (** One value per ballot, and P2c for that value. *)
  | Phase2a b v Q =>
      (forall w, ~ sent s (Accept b w)) /\ answered s Q b /\
      (sent s (Propose v) /\ unbound s Q b \/ bound s Q b v)
  (** "... unless it has already responded to a prepare request having a number
      greater than n", [PMS §2.2, P1a]. *)
  | Phase2b a b v => promised s a <= b /\ sent s (Accept b v)
  | Restart _ => True
  end.

Definition update {B} (f : acceptor -> B) (a : acceptor) (y : B) : acceptor -> B :=
  fun a' => if acceptor_eq S a' a then y else f a'.

Definition send (s : state) (m : message) : message -> Prop :=
  fun m' => sent s m' \/ m' = m.

(** What each event changes. *)
Definition apply (s : state) (e : event) : state :=
  match e with
  | Request v =>
      {| promised := promised s;  vote := vote s;  sent := send s (Propose v) |}
  | Phase1b a b =>
      {| promised := update (promised s) a b;  vote := vote s;
         sent := send s (Promise a b (vote s a)) |}
  | Phase2a b v _ =>
      {| promised := promised s;  vote := vote s;  sent := send s (Accept b v) |}
  (** A vote is a promise too: whoever votes in a ballot whose request it never saw
      must not go back below it. *)
  | Phase2b a b v =>
      {| promised := update (promised s) a b;
         vote := update (vote s) a (Some (b, v));
         sent := send s (Accepted a b v) |}
  (** Both fields of an acceptor are on disk before it answers, [PMS §2.5], so a
      crash takes nothing from it. A proposer remembers nothing here at all. *)
  | Restart _ => s
  end.

Inductive reachable : state -> Prop :=
| reachable_start : reachable start
| reachable_step s e : reachable s -> guard s e -> reachable (apply s e).

(** ** What is claimed *)

(** A value is chosen when a quorum has voted for it in one ballot, [PMS §2.2]. *)
Definition chosen (s : state) (b : N) (v : value) :=
  exists R, phase2 S R /\ forall a, R a -> sent s (Accepted a b v).

(** Only a single value is chosen, [PMS §2.1]. *)
Definition Agreement := forall s b v c w,
  reachable s -> chosen s b v -> chosen s c w -> v = w.

(** Only a value that has been proposed may be chosen, [PMS §2.1]. *)
Definition Validity := forall s b v,
  reachable s -> chosen s b v -> sent s (Propose v).

(** What is chosen stays chosen. *)
Definition Stability := forall s e b v,
  chosen s b v -> chosen (apply s e) b v.

End Basic.

Arguments Propose {S} v.
Arguments Promise {S} a b vote.
Arguments Accept {S} b v.
Arguments Accepted {S} a b v.
Arguments Request {S} v.
Arguments Phase1b {S} a b.
Arguments Phase2a {S} b v Q.
Arguments Phase2b {S} a b v.
Arguments Restart {S} a.
Arguments promised {S} s.
Arguments vote {S} s.
Arguments sent {S} s.
