(** * The learner: [src/multi/learner.rs] *)

From Coq Require Import NArith List Bool.
From Synod.multi Require Import Table Session Log Snapshot.
Import ListNotations.
Open Scope N_scope.

(** A learner delivers decided entries to the machine in the order of their slots. Snapshot
    and log are durable. *)
Record learner := Learner {
  taken : option snapshot;
  applied_log : log;
  ahead : table entry;
  state : sessions;
  under_way : option transfer }.

(** What became of a request that was carried out: the client, its number for it, and the
    outcome, unless it knows. *)
Definition applied : Type := N * N * option outcome.

Section Learner.
Variable p : program.
Variable e : encoding.

(** Carries out requests in order. *)
Fixpoint apply_requests (s : sessions) (l : list request) : sessions * list applied :=
  match l with
  | [] => (s, [])
  | (client, o) :: rest =>
      let (s, outcome) := apply_operation p s o in
      let (s, more) := apply_requests s rest in
      (s, (client, seq_of o, outcome) :: more)
  end.

(** Applies entries in order. *)
Fixpoint replay (s : sessions) (l : list entry) : sessions :=
  match l with
  | [] => s
  | it :: rest => replay (fst (apply_requests s (requests_of it))) rest
  end.

(** A learner that starts, for the first time or again, with what it had decided; [None] if
    the snapshot is no machine, or the log does not continue it. *)
Definition restart (initial : sessions) (s : option snapshot) (l : log) : option learner :=
  let known := match s with Some s => upto s | None => 0 end in
  if negb (known =? start l) then None
  else
    let opened := match s with Some s => reopen e s | None => Some initial end in
    option_map (fun opened => Learner s l [] (replay opened (entries l)) None) opened.

(** The first slot that is not decided, as far as is known here: all before are applied. *)
Definition decided (s : learner) : N := stop (applied_log s).

(** The decided entry of a slot, as far as it is known and not truncated. *)
Definition entry_at (s : learner) (slot : N) : option entry :=
  match get (applied_log s) slot with
  | Some it => Some it
  | None => find slot (ahead s)
  end.

(** Whether it is known what was decided for a slot, be it truncated. *)
Definition knows (s : learner) (slot : N) : bool :=
  (slot <? decided s) || match find slot (ahead s) with Some _ => true | None => false end.

(** Applies what has no gap before it any more. *)
Fixpoint apply_ahead (fuel : nat) (s : learner) : learner * list applied :=
  match fuel with
  | O => (s, [])
  | S fuel =>
      match find (decided s) (ahead s) with
      | None => (s, [])
      | Some it =>
          let (state, done) := apply_requests (state s) (requests_of it) in
          let s := Learner (taken s) (push (applied_log s) it) (drop (decided s) (ahead s)) state
            (under_way s) in
          let (s, more) := apply_ahead fuel s in
          (s, done ++ more)
      end
  end.
Definition apply (s : learner) : learner * list applied :=
  let (s, done) := apply_ahead (length (ahead s)) s in
  let under_way := match under_way s with
    | Some t => if to_upto t <=? decided s then None else Some t
    | None => None
    end in
  (Learner (taken s) (applied_log s) (ahead s) (state s) under_way, done).

(** An entry is known to be decided. Returns what was carried out. *)
Definition learn (s : learner) (slot : N) (it : entry) : learner * list applied :=
  let is_news := (decided s <=? slot) &&
    match find slot (ahead s) with Some _ => false | None => true end in
  apply (if is_news
    then Learner (taken s) (applied_log s) (put slot it (ahead s)) (state s) (under_way s)
    else s).

(** Takes a snapshot and truncates the log, once it holds [every] entries or more. *)
Definition compact (s : learner) (every : N) : learner :=
  if decided s - start (applied_log s) <? N.max every 1 then s
  else
    let s' := take e (decided s) (state s) in
    Learner (Some s') (continue_at (upto s')) (ahead s) (state s) (under_way s).

(** What a snapshot's piece leads to: nothing, a request for more, or that the snapshot is
    in and requests known beyond it are carried out. *)
Inductive progress :=
| Nothing
| More (offset : N)
| Caught (l : list applied).

(** A piece of another learner's snapshot. Once whole and intact, it takes the place of all
    that is known below its slot. *)
Definition on_chunk (s : learner) (c : chunk) : learner * progress :=
  if of_upto c <=? decided s then (s, Nothing)
  else
    let (under_way, result) := add e (under_way s) c in
    let s := Learner (taken s) (applied_log s) (ahead s) (state s) under_way in
    match result with
    | Snapshot.More offset => (s, More offset)
    | Snapshot.Whole snapshot =>
        match reopen e snapshot with
        | Some state =>
            let (s, done) := apply (Learner (Some snapshot) (continue_at (upto snapshot))
              (since (upto snapshot) (ahead s)) state under_way) in
            (s, Caught done)
        | None => (s, Nothing)
        end
    | Snapshot.Nothing | Snapshot.Damaged => (s, Nothing)
    end.

End Learner.
