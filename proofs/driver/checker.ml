(* The proven checker of traces, as a program.

     checker FILE...       certifies each, or says which line is no step of Paxos
     checker --examples    runs those of Examples.v

   Exit status: 0 all certified; 1 one is rejected; 2 one cannot be read. *)

open Numbers

exception Rejected of string

let certify name =
  let file = if name = "-" then stdin else open_in name in
  let at = ref 0 and entries = ref 0 in
  let known = ref Trace.unknown and state = ref None in
  let start () =
    let c = Trace.system !known in
    if not (Quorum.is_lawful c) then raise (Rejected "the quorums do not meet");
    (c, Check.nothing) in
  let line text =
    match Trace.system_line !known text with
    | Some more when !state = None -> known := more
    | Some _ -> malformed "an entry" "the system may not change"
    | None -> (
        let c, memory = match !state with Some it -> it | None -> start () in
        match Check.step c memory (Trace.entry text) with
        | Some memory -> incr entries; state := Some (c, memory)
        | None -> raise (Rejected text)) in
  (try
     while true do
       let text = input_line file in
       incr at;
       let text = List.hd (String.split_on_char '#' text) |> String.trim in
       if text <> "" then line text
     done
   with
  | End_of_file -> ()
  | Rejected text ->
      Printf.printf "%s: rejected at line %d: %s\n" name !at text;
      exit 1
  | Malformed what ->
      Printf.eprintf "%s, line %d: %s\n" name !at what;
      exit 2);
  if !entries = 0 then (Printf.eprintf "%s: no entries\n" name; exit 2);
  Printf.printf "%s: certified, %d entries\n" name !entries

let examples () =
  let run expected ((name, c), t) =
    let found = Check.check c t in
    if found <> expected then begin
      Printf.printf "%s: %s\n" name (if found then "accepted" else "rejected");
      exit 1
    end in
  List.iter (run true) Examples.accepted;
  List.iter (run false) Examples.rejected;
  Printf.printf "%d examples accepted, %d bugs rejected\n"
    (List.length Examples.accepted) (List.length Examples.rejected)

let () =
  match List.tl (Array.to_list Sys.argv) with
  | [] -> prerr_endline "usage: checker FILE... | checker --examples"; exit 2
  | [ "--examples" ] -> examples ()
  | files -> ( try List.iter certify files with Sys_error e -> prerr_endline e; exit 2)
