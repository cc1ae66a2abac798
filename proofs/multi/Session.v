(** * Sessions, and the machine that they share: [src/multi/session.rs] *)

From Coq Require Import NArith List Bool.
From Synod.multi Require Import Table.
Import ListNotations.
Open Scope N_scope.

(** Commands and replies are numbers here, and a machine's state is a list of them:
    whatever they are, it can be written down so. *)
Record program := Program {
  apply : list N -> N -> list N * N;
  read : list N -> N -> option N }.

(** What a client may want done. *)
Inductive operation :=
| Open (seq : N)
| Do (session seq acked command : N).

Definition seq_of (o : operation) : N := match o with Open seq | Do _ seq _ _ => seq end.

(** What a client wants done, and who it is. *)
Definition request : Type := N * operation.

(** What became of an operation. *)
Inductive outcome :=
| Opened (session : N)
| Done (reply : N)
| Expired.

(** What is remembered of a session: when it was last used, below what its client has all
    replies, and the others. *)
Record session := Session { used : N; acked : N; replies : table N }.

(** A machine, and who may use it. *)
Record sessions := Sessions {
  machine : list N;
  open : table session;
  opened : N;
  operations : N;
  capacity : N }.

Definition replies_max : N := 4096.

(** What became of an operation that was carried out before. *)
Definition cached_reply (s : sessions) (o : operation) : option outcome :=
  match o with
  | Open _ => None
  | Do id seq _ _ =>
      match find id (open s) with
      | Some it => option_map Done (find seq (replies it))
      | None => None
      end
  end.

(** Whether nothing is ever to be done for an operation any more. *)
Definition is_past (s : sessions) (o : operation) : bool :=
  match o with
  | Open _ => false
  | Do id seq _ _ =>
      match find id (open s) with Some it => seq <? acked it | None => false end
  end.

(** The session that was not used for longest, of several the first. *)
Definition oldest (t : table session) : option N :=
  let older := fun (best : option (N * session)) it =>
    match best with
    | Some (_, b) => if used (snd it) <? used b then Some it else best
    | None => Some it
    end in
  option_map fst (fold_left older t None).

Fixpoint make_room (fuel : nat) (capacity : N) (t : table session) : table session :=
  match fuel with
  | O => t
  | S fuel =>
      if capacity <=? size t
      then match oldest t with Some id => make_room fuel capacity (drop id t) | None => t end
      else t
  end.

Definition open_session (s : sessions) : sessions * outcome :=
  let room := make_room (length (open s)) (capacity s) (open s) in
  (Sessions (machine s) (put (opened s) (Session (operations s) 0 []) room)
     (opened s + 1) (operations s) (capacity s), Opened (opened s)).

(** Carries out an operation, unless that was done before, and says what became of it; [None]
    if the client has the reply. *)
Definition apply_operation (p : program) (s : sessions) (o : operation) : sessions *
  option outcome :=
  let now := operations s + 1 in
  let s := Sessions (machine s) (open s) (opened s) now (capacity s) in
  match o with
  | Open _ => let (s, outcome) := open_session s in (s, Some outcome)
  | Do id seq acked' command =>
      match find id (open s) with
      | None => (s, Some Expired)
      | Some it =>
          let acked := N.max (acked it) acked' in
          let kept := since acked (replies it) in
          let update := fun machine replies =>
            let open := if replies_max <? size replies then drop id (open s)
              else put id (Session now acked replies) (open s) in
            Sessions machine open (opened s) now (capacity s) in
          if seq <? acked then (update (machine s) kept, None)
          else match find seq kept with
          | Some reply => (update (machine s) kept, Some (Done reply))
          | None =>
              let (machine, reply) := apply p (machine s) command in
              (update machine (put seq reply kept), Some (Done reply))
          end
      end
  end.

(** ** What is claimed *)

(** A machine that nobody uses yet. *)
Definition new (machine : list N) (capacity : N) : sessions := Sessions machine [] 0 0 capacity.

Section Claims.
Variable p : program.

(** What operations lead to, one after the other. *)
Definition after (s : sessions) (l : list operation) : sessions :=
  fold_left (fun s o => fst (apply_operation p s o)) l s.

(** Carrying out [o] has the machine apply its command, or leaves the machine as it was. *)
Definition takes_effect (s : sessions) (o : operation) : Prop :=
  exists id seq acked command it, o = Do id seq acked command /\
    find id (open s) = Some it /\ N.max (Session.acked it) acked <= seq /\
    find seq (replies it) = None.

Definition EffectsOnly := forall s o, ~ takes_effect s o ->
  machine (fst (apply_operation p s o)) = machine s.

(** No command takes effect twice: of two operations with the same session and number, however far
    apart and whatever else they say, one does at most. *)
Definition ExactlyOnce := forall m capacity l id seq acked command l' acked' command',
  let before := after (new m capacity) l in
  let o := Do id seq acked command in
  takes_effect before o ->
  ~ takes_effect (after before (o :: l')) (Do id seq acked' command').

End Claims.
