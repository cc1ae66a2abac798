(* Traces as text: one entry per line, [#] begins a comment.

     acceptors 0,1,2            the system comes first: its acceptors,
     phase1 at-least 2          which of them are enough to prepare,
     phase2 at-least 2          and to choose; or: any 0,1 1,2
     fast at-least 3 in 1.0     and in fast ballots, if there are any, which are these;
                                or: fast at-least 3 rounds 1, those up to that round

     requested 120
     promised 0 1.3 0           acceptor, ballot, first slot; then slot ballot value ...
     proposed 0 1.3 120 0,1     slot, ballot, value, quorum (- for nobody)
     opened 0 1.0 0,1,2         slot, ballot, quorum
     voted 0 0 1.3 120          acceptor, slot, ballot, value
     learned 0 1.3 120          slot, ballot, value
     restarted 0 1.3            acceptor, promise (- for none); then slot ballot value ...

   Reading is part of what must be trusted. *)

open Numbers

(* Ballot 0 of the checker is "none yet". *)
let one = of_int 1
let ballot text = BinNat.N.add (ballot_of_string text) one
let ballot_or_none text = if text = "-" then BinNums.N0 else ballot text

(* Acceptors have ids from 0 to 63, as in the Rust code. *)
let member text =
  match int_of_string_opt text with
  | Some id when id >= 0 && id < 64 -> of_int id
  | _ -> malformed "an acceptor" text

let set text =
  if text = "-" then BinNums.N0
  else
    List.fold_left (fun s a -> Quorum.insert s (member a)) BinNums.N0
      (String.split_on_char ',' text)

let rec report = function
  | [] -> []
  | i :: b :: v :: rest -> (of_string i, (ballot b, of_string v)) :: report rest
  | _ -> malformed "a report" "slot, ballot and value, again and again"

let entry line : Check.entry =
  match List.filter (( <> ) "") (String.split_on_char ' ' line) with
  | [ "requested"; v ] -> Requested (of_string v)
  | "promised" :: a :: b :: from :: rest ->
      Promised (of_string a, ballot b, of_string from, report rest)
  | [ "proposed"; i; b; v; q ] -> Proposed (of_string i, ballot b, of_string v, set q)
  | [ "opened"; i; b; q ] -> Opened (of_string i, ballot b, set q)
  | [ "voted"; a; i; b; v ] -> Voted (of_string a, of_string i, ballot b, of_string v)
  | [ "learned"; i; b; v ] -> Learned (of_string i, ballot b, of_string v)
  | "restarted" :: a :: p :: rest -> Restarted (of_string a, ballot_or_none p, report rest)
  | _ -> malformed "an entry" line

let quorums words : Quorum.quorums =
  match words with
  | [ "at-least"; size ] -> AtLeast (of_string size)
  | "any" :: (_ :: _ as sets) -> AnyOf (List.map set sets)
  | _ -> malformed "quorums" (String.concat " " words)

(* What is known of the system while its lines are read. *)
type system = {
  acceptors : Quorum.set option;
  phase1 : Quorum.quorums option;
  phase2 : Quorum.quorums option;
  fast : (Quorum.quorums * (Vocabulary.ballot -> bool)) option;
}

let unknown = { acceptors = None; phase1 = None; phase2 = None; fast = None }

(* Which ballots are fast: these, or those of the first rounds. *)
let rec fast before = function
  | "in" :: ballots ->
      let ballots = List.map ballot ballots in
      (quorums (List.rev before), fun b -> List.mem b ballots)
  | [ "rounds"; last ] ->
      let next = BinNat.N.add (of_string last) one in
      let first = BinNat.N.add (Vocabulary.ballot_of next BinNums.N0) one in
      (quorums (List.rev before), fun b -> BinNat.N.ltb b first)
  | word :: rest -> fast (word :: before) rest
  | [] -> malformed "fast" "quorums, and in and the fast ballots, or rounds and the last"

(* A line of the system; [None] if it is none. *)
let system_line known line =
  match String.split_on_char ' ' line with
  | [ "acceptors"; a ] -> Some { known with acceptors = Some (set a) }
  | "phase1" :: words -> Some { known with phase1 = Some (quorums words) }
  | "phase2" :: words -> Some { known with phase2 = Some (quorums words) }
  | "fast" :: words -> Some { known with fast = Some (fast [] words) }
  | _ -> None

let system known : Quorum.system =
  match known with
  | { acceptors = Some acceptors; phase1 = Some phase1; phase2 = Some phase2; fast } -> (
      match fast with
      | None -> Quorum.classic acceptors phase1 phase2
      | Some (phase2_fast, is_fast) -> { acceptors; phase1; phase2; phase2_fast; is_fast })
  | _ -> malformed "the system" "acceptors, phase1 and phase2 come before the first entry"
