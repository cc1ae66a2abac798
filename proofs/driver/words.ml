(* Calls as words, whatever the protocol: reading, printing, and the comparison of the handlers
   with the Rust ones. A line says what was called, [=>], and the result. The call is made again
   here, its result is printed in the same words, and the two texts are compared. *)

open Numbers

(* ---- reading ---- *)

type tokens = { mutable rest : string list }

let next t =
  match t.rest with
  | word :: rest -> t.rest <- rest; word
  | [] -> malformed "a line" "it ends too soon"

let expect t word =
  let found = next t in
  if found <> word then malformed ("expected " ^ word) found

let number t = of_string (next t)
let ballot t = ballot_of_string (next t)

let option read t =
  match next t with
  | "-" -> None
  | "+" -> Some (read t)
  | word -> malformed "- or +" word

let many read t =
  let word = next t in
  match int_of_string_opt word with
  | Some count when count >= 0 && count <= 10_000 -> List.init count (fun _ -> read t)
  | _ -> malformed "a count" word

let bool t = match next t with "on" -> true | "off" -> false | word -> malformed "on or off" word

let quorums t : Quorum.quorums = expect t "at-least"; AtLeast (number t)

let quorum_system t =
  let acceptors = number t in
  let phase1 = quorums t in
  Quorum.classic acceptors phase1 (quorums t)

(* ---- printing, in the same words ---- *)

let show_option show = function None -> "-" | Some it -> "+ " ^ show it

let show_many show list =
  String.concat " " (string_of_int (List.length list) :: List.map show list)

let show_alarm show_timer (timer, range) =
  match range with
  | Some (low, high) ->
      Printf.sprintf "; set %s %s %s" (show_timer timer) (to_string low) (to_string high)
  | None -> "; cancel " ^ show_timer timer

(* A step saves what must be durable if that has changed, and only then speaks. *)
let show_result ~state ~save ~sends ~timers =
  let save = match save with Some durable -> [ "; save " ^ durable ] | None -> [] in
  let send (to_, message) = "; send " ^ to_string to_ ^ " " ^ message in
  String.concat " " ((state :: save) @ List.map send sends @ timers)

(* ---- comparing ---- *)

let shown_max = 5
let calls = ref 0
let differ = ref 0

let compare_line call cluster line =
  let words = String.split_on_char ' ' line in
  let rec split before = function
    | "=>" :: after -> (List.rev before, String.concat " " after)
    | word :: after -> split (word :: before) after
    | [] -> malformed "a line without =>" line in
  let asked, rust = split [] words in
  let t = { rest = asked } in
  let coq = call cluster t in
  if t.rest <> [] then malformed "too many words" line;
  incr calls;
  if coq <> rust then begin
    incr differ;
    if !differ <= shown_max then
      Printf.printf "DIFFERENT: %s\n  Rust: %s\n  Coq:  %s\n" (String.concat " " asked) rust coq
  end

(* The calls of one protocol in a file; those of others are passed over. *)
let compare_file protocol cluster call name =
  let file = if name = "-" then stdin else open_in name in
  let cluster_of = ref None in
  let is_other = ref false in
  let at = ref 0 in
  (try
     while true do
       let line = input_line file in
       incr at;
       match String.split_on_char ' ' line with
       | "cluster" :: named :: rest ->
           is_other := named <> protocol;
           cluster_of := if !is_other then None else Some (cluster { rest })
       | _ -> (
           match !cluster_of with
           | Some cluster -> compare_line call cluster line
           | None -> if not !is_other then malformed "no cluster yet" line)
     done
   with
  | End_of_file -> ()
  | Malformed what ->
      Printf.eprintf "%s, line %d: %s\n" name !at what;
      exit 2);
  if file != stdin then close_in file

let run ~protocol ~cluster ~call =
  match List.tl (Array.to_list Sys.argv) with
  | [] -> prerr_endline "usage: calls FILE..."; exit 2
  | files ->
      (try List.iter (compare_file protocol cluster call) files
       with Sys_error e -> prerr_endline e; exit 2);
      if !calls = 0 then (print_endline "no calls: nothing was compared"; exit 2);
      Printf.printf "%s: %d calls, %d differ\n" protocol !calls !differ;
      exit (if !differ = 0 then 0 else 1)
