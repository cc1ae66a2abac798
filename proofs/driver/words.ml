(* Calls as lines of words: [codec]s that read and write them, and the comparison of the handlers
   with the Rust ones. A codec follows the order of the Rust text, as models/calls/words.rs does. A
   line is an input, [=>] and the result. The input is read, the call is made again here, and both
   are written; what is written must be the line. *)

open Numbers
module N = BinNat.N

(* ---- codecs ---- *)

type line = { words : string array; mutable at : int }

type 'a codec = { read : line -> 'a; write : Buffer.t -> 'a -> unit }

let unexpected wanted found = malformed ("expected " ^ wanted) found
let line_of text = { words = Array.of_list (String.split_on_char ' ' text); at = 0 }
let is_read t = t.at = Array.length t.words

let next t =
  if is_read t then unexpected "a word" "the line ends";
  t.at <- t.at + 1;
  t.words.(t.at - 1)

let expect t word =
  let found = next t in
  if found <> word then unexpected word found

let put b word =
  if Buffer.length b > 0 then Buffer.add_char b ' ';
  Buffer.add_string b word

let word of_word to_word =
  { read = (fun t -> of_word (next t)); write = (fun b it -> put b (to_word it)) }

let number = word of_string to_string

let bool =
  word (function "true" -> true | "false" -> false | word -> unexpected "true or false" word)
    string_of_bool

(* One after the other. *)
let ( ** ) first second =
  { read = (fun t -> let it = first.read t in (it, second.read t));
    write = (fun b (it, other) -> first.write b it; second.write b other) }

let map of_it to_it it =
  { read = (fun t -> of_it (it.read t)); write = (fun b whole -> it.write b (to_it whole)) }

let option it =
  { read = (fun t ->
      match next t with
      | "-" -> None
      | "+" -> Some (it.read t)
      | word -> unexpected "- or +" word);
    write = (fun b -> function None -> put b "-" | Some some -> put b "+"; it.write b some) }

let many it =
  { read = (fun t ->
      let word = next t in
      match int_of_string_opt word with
      | Some count when count >= 0 && count <= 10_000 -> List.init count (fun _ -> it.read t)
      | _ -> unexpected "a count" word);
    write = (fun b list ->
      put b (string_of_int (List.length list));
      List.iter (it.write b) list) }

let table it = many (number ** it)

(* One of several variants: each has a name, and is made of something and, if a value is that
   variant, taken apart again. *)
type 'a variant = { name : string; make : line -> 'a; take : Buffer.t -> 'a -> bool }

let variant name it of_it to_it =
  { name; make = (fun t -> of_it (it.read t));
    take = (fun b whole ->
      match to_it whole with
      | Some part -> put b name; it.write b part; true
      | None -> false) }

let constant name value =
  let nothing = { read = ignore; write = (fun _ () -> ()) } in
  variant name nothing (fun () -> value) (fun it -> if it = value then Some () else None)

let enum variants =
  { read = (fun t ->
      let word = next t in
      match List.find_opt (fun it -> it.name = word) variants with
      | Some it -> it.make t
      | None -> unexpected (String.concat " or " (List.map (fun it -> it.name) variants)) word);
    write = (fun b it ->
      if not (List.exists (fun variant -> variant.take b it) variants) then
        failwith "a value of no variant") }

(* ---- what all protocols have ---- *)

let ballot =
  map (remembered (fun (round, node) -> Vocabulary.ballot_of round node))
    (remembered (fun b -> (Vocabulary.round b, Vocabulary.node b)))
    (number ** number)

(* Nanoseconds, as seconds and the rest. *)
let duration =
  let second = of_int 1_000_000_000 in
  map (fun (seconds, rest) -> N.add (N.mul seconds second) rest) (fun it -> N.div_eucl it second)
    (number ** number)

let range = duration ** duration

let backoff : Vocabulary.backoff codec =
  map (fun (base, doublings_max) -> { Vocabulary.base; doublings_max })
    (fun it -> (it.base, it.doublings_max))
    (duration ** number)

let quorums : Quorum.quorums codec =
  enum
    [ variant "AtLeast" number (fun size -> Quorum.AtLeast size)
        (function AtLeast size -> Some size | _ -> None);
      variant "AnyOf" (many number) (fun sets -> Quorum.AnyOf sets)
        (function AnyOf sets -> Some sets | _ -> None) ]

(* Acceptors, both phases, fast rounds, and what chooses in these. *)
let quorum_system = number ** quorums ** quorums ** number ** quorums

let classic (acceptors, (phase1, (phase2, (fast_rounds, _)))) =
  if fast_rounds <> BinNums.N0 then unexpected "no fast rounds" (to_string fast_rounds);
  Quorum.classic acceptors phase1 phase2

(* ---- calls ---- *)

type ('state, 'durable, 'message, 'timer) input =
  | Start of 'durable option
  | Message of BinNums.coq_N * ('message * 'state)
  | Timeout of 'timer * 'state

type ('durable, 'message, 'timer) output =
  | Save of 'durable
  | Send of BinNums.coq_N * 'message
  | SetTimer of 'timer * (BinNums.coq_N * BinNums.coq_N)
  | CancelTimer of 'timer

let input state durable message timer =
  enum
    [ variant "Start" (option durable) (fun it -> Start it)
        (function Start it -> Some it | _ -> None);
      variant "Message" (number ** message ** state) (fun (from, it) -> Message (from, it))
        (function Message (from, it) -> Some (from, it) | _ -> None);
      variant "Timeout" (timer ** state) (fun (it, before) -> Timeout (it, before))
        (function Timeout (it, before) -> Some (it, before) | _ -> None) ]

let output durable message timer =
  enum
    [ variant "Save" durable (fun it -> Save it) (function Save it -> Some it | _ -> None);
      variant "Send" (number ** message) (fun (to_, it) -> Send (to_, it))
        (function Send (to_, it) -> Some (to_, it) | _ -> None);
      variant "SetTimer" (timer ** range) (fun (it, wait) -> SetTimer (it, wait))
        (function SetTimer (it, wait) -> Some (it, wait) | _ -> None);
      variant "CancelTimer" timer (fun it -> CancelTimer it)
        (function CancelTimer it -> Some it | _ -> None) ]

(* The proofs leave open what a checksum is: a call says those that it needs. *)
let sums : (BinNums.coq_N list, BinNums.coq_N) Hashtbl.t = Hashtbl.create 8
let bytes = many number

let checksum of_bytes =
  match Hashtbl.find_opt sums of_bytes with
  | Some sum -> sum
  | None -> unexpected "its checksum" (String.concat " " (List.map to_string of_bytes))

(* The handlers of a protocol, and the words of its types. [parts] are the state after a step, what
   is sent, and the timers that are set or cancelled. *)
type ('cluster, 'state, 'durable, 'message, 'timer, 'step) protocol =
  { name : string;
    cluster : line -> 'cluster;
    state : 'state codec;
    durable : 'durable codec;
    message : 'message codec;
    timer : 'timer codec;
    on_start : 'cluster -> BinNums.coq_N -> 'durable option -> 'step;
    on_message : 'cluster -> BinNums.coq_N -> 'state -> BinNums.coq_N -> 'message -> 'step;
    on_timer : 'cluster -> BinNums.coq_N -> 'state -> 'timer -> 'step;
    durable_of : 'state -> 'durable;
    parts : BinNums.coq_N -> 'step ->
      'state * (BinNums.coq_N * 'message) list
      * ('timer * (BinNums.coq_N * BinNums.coq_N) option) list }

(* A step saves what must be durable if that has changed, and only then speaks. A start saves
   nothing: what was there is there. *)
let made_again p cluster me input =
  let before, step = match input with
    | Start durable -> (None, p.on_start cluster me durable)
    | Message (from, (it, state)) -> (Some state, p.on_message cluster me state from it)
    | Timeout (timer, state) -> (Some state, p.on_timer cluster me state timer) in
  let after, sends, timers = p.parts me step in
  let durable = p.durable_of after in
  let saves = match before with
    | Some before when p.durable_of before <> durable -> [ Save durable ]
    | _ -> [] in
  let sends = List.map (fun (to_, it) -> Send (to_, it)) sends in
  let timers =
    List.map (function it, Some wait -> SetTimer (it, wait) | it, None -> CancelTimer it) timers in
  (after, saves @ sends @ timers)

(* ---- comparing ---- *)

let shown_max = 5
let calls = ref 0
let differ = ref 0

(* The first word in which two lines differ, counted from 1. *)
let rec first_difference at line other =
  match (line, other) with
  | word :: line, word' :: other when word = word' -> first_difference (at + 1) line other
  | _ -> at

let compare_line p =
  let call = many (bytes ** number) ** number ** input p.state p.durable p.message p.timer in
  let result = p.state ** many (output p.durable p.message p.timer) in
  fun name cluster text t ->
    let of_bytes, (me, input) as it = call.read t in
    let ends = t.at in
    expect t "=>";
    Hashtbl.reset sums;
    List.iter (fun (bytes, sum) -> Hashtbl.replace sums bytes sum) of_bytes;
    let b = Buffer.create (String.length text) in
    call.write b it;
    put b "=>";
    let asked = Buffer.length b in
    result.write b (made_again p cluster me input);
    let again = Buffer.contents b in
    incr calls;
    if again <> text then begin
      let split = String.split_on_char ' ' in
      t.at <- first_difference 1 (split text) (split again);
      if t.at <= ends then unexpected "the word that was read" (String.sub again 0 asked);
      incr differ;
      if !differ <= shown_max then
        Printf.printf "DIFFERENT from word %d of %s on: %s\n  Rust:%s\n  Coq: %s\n" t.at name
          (String.sub text 0 asked)
          (String.sub text asked (String.length text - asked))
          (String.sub again asked (String.length again - asked))
    end

(* The calls of one protocol in a file; those of others are passed over. *)
let compare_file p =
  let compare_line = compare_line p in
  fun name ->
    let file = if name = "-" then stdin else open_in name in
    let cluster = ref None in
    let is_other = ref false in
    let at = ref 0 in
    let t = ref (line_of "") in
    (try
       while true do
         let text = input_line file in
         incr at;
         if String.starts_with ~prefix:"cluster " text then begin
           t := line_of text;
           expect !t "cluster";
           is_other := next !t <> p.name;
           cluster := if !is_other then None else Some (p.cluster !t);
           if not (!is_other || is_read !t) then unexpected "the end of the line" (next !t)
         end
         else if not !is_other then begin
           t := line_of text;
           match !cluster with
           | Some cluster -> compare_line (Printf.sprintf "%s, line %d" name !at) cluster text !t
           | None -> unexpected "a cluster" text
         end
       done
     with
    | End_of_file -> ()
    | Malformed what ->
        Printf.eprintf "%s, line %d, word %d: %s\n" name !at !t.at what;
        exit 2);
    if file != stdin then close_in file

let run p =
  match List.tl (Array.to_list Sys.argv) with
  | [] -> prerr_endline "usage: calls FILE..."; exit 2
  | files ->
      (try List.iter (compare_file p) files with Sys_error e -> prerr_endline e; exit 2);
      if !calls = 0 then (print_endline "no calls: nothing was compared"; exit 2);
      Printf.printf "%s: %d calls, %d differ\n" p.name !calls !differ;
      exit (if !differ = 0 then 0 else 1)
