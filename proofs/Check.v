(** * A checker of recorded runs

    [check] reads what the nodes of a run say they did, entry by entry, and accepts it
    only if every entry is a step of [Core]. [CheckProof] proves that an accepted
    trace is a run of that system, so that whatever was learned in it was chosen, and
    nothing that conforms can ever disagree. Basic, Multi- and Fast Paxos alike; to
    be extracted and run. *)

From Coq Require Import NArith Arith List Bool.
From Synod Require Import Quorum Map.
From Synod Require Core.
Import ListNotations.
Open Scope N_scope.

(** ** Traces

    Acceptors, slots, ballots, values: all numbers; quorums are sets. A report lists
    an acceptor's votes: slot, ballot, value. *)
Definition report := list (N * (N * N)).

Inductive entry :=
| Requested (v : N)
    (** a client asked for [v] *)
| Promised (a b from : N) (votes : report)
    (** [a] promised [b], and told its votes in slots from [from] on *)
| Proposed (i b v : N) (Q : set)
    (** [v] was put to the vote, on the promises of [Q] *)
| Opened (i b : N) (Q : set)
    (** a fast ballot was opened to any value, on the promises of [Q] *)
| Voted (a i b v : N)
    (** [a] voted *)
| Learned (i b v : N)
    (** somebody decided that [v] was chosen *)
| Restarted (a promised : N) (votes : report).
    (** [a] came back, and this is what it still knows *)

(** ** What the checker remembers *)

Notation log := (map (N * N)).

Record memory := Memory {
  promises : map N;              (* acceptor -> ballot *)
  logs : map log;                (* acceptor -> slot -> ballot and value *)
  requests : map unit;           (* value *)
  reports : map (map (N * log)); (* ballot -> acceptor -> first slot and log *)
  proposals : map (map N);       (* slot -> ballot -> value *)
  openings : map (map unit);     (* slot -> ballot *)
  ballots : map (map (map N)) }. (* slot -> ballot -> acceptor -> value *)

Definition nothing : memory := Memory empty empty empty empty empty empty empty.

Definition has {X} (o : option X) : bool := match o with Some _ => true | None => false end.
Definition is {X} (o : option X) (test : X -> bool) : bool :=
  match o with Some x => test x | None => false end.

Section Check.
Variable c : system.

(** ** The guards of [Core], computed *)

Definition promised (m : memory) (a : N) : N :=
  match find a (promises m) with Some b => b | None => 0 end.

Fixpoint is_distinct (l : list N) : bool :=
  match l with [] => true | a :: l => negb (existsb (N.eqb a) l) && is_distinct l end.

(** A report has all the votes in slots from [from] on, and no others. *)
Definition is_report (from : N) (l : log) (r : report) : bool :=
  is_distinct (List.map fst r) &&
  forallb (fun it => (from <=? fst it) && is (find (fst it) l) (fun vote =>
    (fst vote =? fst (snd it)) && (snd vote =? snd (snd it)))) r &&
  Nat.eqb (length r) (length (filter (fun it => from <=? Pos.pred_N (fst it)) (Tree.elements l))).

(** What [a] reported for slot [i] when it promised [b], if it did. *)
Definition reported (m : memory) (i b a : N) : option (option (N * N)) :=
  match find2 b a (reports m) with
  | Some (from, l) => if from <=? i then Some (find i l) else None
  | None => None
  end.

Definition is_fresh (m : memory) (i b : N) : bool :=
  negb (has (find2 i b (proposals m))) && negb (has (find2 i b (openings m))).

Definition is_answered (m : memory) (Q : set) (i b : N) : bool :=
  is_subset Q (acceptors c) && is_met_by (phase1 c) Q &&
  forallb (fun a => has (reported m i b a)) (members Q).

Definition is_unbound (m : memory) (Q : set) (i b : N) : bool :=
  forallb (fun a => match reported m i b a with Some (Some _) => false | _ => true end) (members Q).

Definition is_free (m : memory) (Q : set) (i b : N) : bool :=
  (b =? 0) || is_answered m Q i b && is_unbound m Q i b.

Definition has_reported (m : memory) (i b k w a : N) : bool :=
  match reported m i b a with
  | Some (Some (k', w')) => (k =? k') && (w =? w')
  | _ => false
  end.

Definition highest (m : memory) (Q : set) (i b : N) : N :=
  fold_right (fun a k => match reported m i b a with
    | Some (Some (k', _)) => N.max k' k
    | _ => k
    end) 0 (members Q).

(** Whether no value but [v] can have been chosen in the fast ballot [k]. *)
Definition is_only (m : memory) (Q : set) (i b k v : N) : bool :=
  forallb (fun a => match reported m i b a with
    | Some (Some (k', w)) => negb (k =? k') || (w =? v) ||
        blocks (acceptors c) (phase2_fast c) (difference Q (those Q (has_reported m i b k w)))
    | _ => true
    end) (members Q).

Definition is_bound (m : memory) (Q : set) (i b v : N) : bool :=
  let k := highest m Q i b in
  existsb (has_reported m i b k v) (members Q) && (negb (is_fast c k) || is_only m Q i b k v).

Definition voters (m : memory) (i b v : N) : set :=
  those (acceptors c) (fun a => is (find a (row b (row i (ballots m)))) (N.eqb v)).

Definition may_vote (m : memory) (a i b v : N) : bool :=
  (promised m a <=? b) &&
  (is (find2 i b (proposals m)) (N.eqb v) ||
   has (find2 i b (openings m)) && has (find v (requests m))) &&
  match find2 a i (logs m) with Some (k, w) => (k <? b) || (k =? b) && (w =? v) | None => true end.

(** Entries of strangers are refused. *)
Definition is_known (e : entry) : bool :=
  match e with
  | Promised a _ _ _ | Voted a _ _ _ | Restarted a _ _ => contains (acceptors c) a
  | _ => true
  end.

Definition may_happen (m : memory) (e : entry) : bool :=
  is_known e &&
  match e with
  | Requested _ => true
  | Promised a b from r => (promised m a <? b) && negb (has (find2 b a (reports m))) &&
      is_report from (row a (logs m)) r
  | Proposed i b v Q => is_fresh m i b &&
      (has (find v (requests m)) && is_free m Q i b || is_answered m Q i b && is_bound m Q i b v)
  | Opened i b Q => is_fast c b && is_fresh m i b && is_free m Q i b
  | Voted a i b v => may_vote m a i b v
  | Learned i b v => is_met_by (phase2_of c b) (voters m i b v)
  | Restarted a p r => (promised m a =? p) && is_report 0 (row a (logs m)) r
  end.

Definition remember (m : memory) (e : entry) : memory :=
  match e with
  | Requested v => Memory (promises m) (logs m) (put v tt (requests m)) (reports m)
      (proposals m) (openings m) (ballots m)
  | Promised a b from _ => Memory (put a b (promises m)) (logs m) (requests m)
      (put2 b a (from, row a (logs m)) (reports m)) (proposals m) (openings m) (ballots m)
  | Proposed i b v _ => Memory (promises m) (logs m) (requests m) (reports m)
      (put2 i b v (proposals m)) (openings m) (ballots m)
  | Opened i b _ => Memory (promises m) (logs m) (requests m) (reports m)
      (proposals m) (put2 i b tt (openings m)) (ballots m)
  | Voted a i b v => Memory (put a b (promises m)) (put2 a i (b, v) (logs m)) (requests m)
      (reports m) (proposals m) (openings m)
      (put i (put b (put a v (row b (row i (ballots m)))) (row i (ballots m))) (ballots m))
  | Learned _ _ _ | Restarted _ _ _ => m
  end.

(** ** The checker *)

Definition step (m : memory) (e : entry) : option memory :=
  if may_happen m e then Some (remember m e) else None.

Fixpoint run (m : memory) (t : list entry) : option memory :=
  match t with
  | [] => Some m
  | e :: t => match step m e with Some m => run m t | None => None end
  end.

Definition check (t : list entry) : bool := is_lawful c && has (run nothing t).

End Check.

(** ** What is claimed *)

(** An accepted trace is a run of [Core]: all that was learned in it is chosen in one
    reachable state, and was asked for. *)
Definition Sound := forall c t, check c t = true ->
  exists s, Core.reachable (setting c) s /\ forall i b v, In (Learned i b v) t ->
    Core.chosen (setting c) s i b v /\ Core.sent s (Core.Propose (S := setting c) v).

(** No two entries of an accepted trace learn different values in one slot. *)
Definition Agreement := forall c t i b v b' v', check c t = true ->
  In (Learned i b v) t -> In (Learned i b' v') t -> v = v'.

(** So at every moment: the beginning of an accepted trace is an accepted trace. *)
Definition Prefix := forall c t t', check c (t ++ t') = true -> check c t = true.

(** And for ever: no two continuations that are accepted can disagree with what was
    learned so far. *)
Definition Lasting := forall c t t' i b v b' v', check c (t ++ t') = true ->
  In (Learned i b v) t -> In (Learned i b' v') t' -> v = v'.
