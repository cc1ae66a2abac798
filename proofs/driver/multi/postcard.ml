(* A machine with its sessions as the bytes of a snapshot, and how many bytes requests and entries
   take: what the crate postcard makes of the register of models/multi/machine.rs. *)

open Numbers
open BinNums
module N = BinNat.N

let small = Array.init 256 of_int
let seven_bits = of_int 128

let int_of_number n = int_of_string (to_string n)

(* Seven bits at a time, the lowest first. *)
let rec varint n =
  let quotient, rest = N.div_eucl n seven_bits in
  if quotient = N0 then [ int_of_number rest ]
  else (int_of_number rest lor 128) :: varint quotient

let bytes_of_varint = remembered (fun n -> List.length (varint n))

(* A character is a text of its bytes in UTF-8. *)
let utf8 code =
  if code < 0x80 then [ code ]
  else if code < 0x800 then [ 0xc0 lor (code lsr 6); 0x80 lor (code land 0x3f) ]
  else if code < 0x10000 then
    [ 0xe0 lor (code lsr 12); 0x80 lor ((code lsr 6) land 0x3f); 0x80 lor (code land 0x3f) ]
  else
    [ 0xf0 lor (code lsr 18); 0x80 lor ((code lsr 12) land 0x3f);
      0x80 lor ((code lsr 6) land 0x3f); 0x80 lor (code land 0x3f) ]

let character n =
  let bytes = utf8 (int_of_number n) in
  List.length bytes :: bytes

let before n = N.pred n

(* ---- sizes ---- *)

let bytes_of_command = function
  | N0 -> 1
  | command -> 1 + List.length (character (before command))

let bytes_of_request' (client, operation) =
  bytes_of_varint client + 1
  + match (operation : Session.operation) with
    | Open seq -> bytes_of_varint seq
    | Do (session, seq, acked, command) ->
        bytes_of_varint session + bytes_of_varint seq + bytes_of_varint acked
        + bytes_of_command command

let bytes_of_request r = of_int (bytes_of_request' r)

let bytes_of_entry (e : Log.entry) =
  of_int (match e with
    | Noop -> 1
    | Batch requests ->
        List.fold_left (fun sum r -> sum + bytes_of_request' r)
          (1 + bytes_of_varint (of_int (List.length requests))) requests)

(* ---- sessions ---- *)

let many write list = varint (of_int (List.length list)) @ List.concat_map write list

let encode_ints (s : Session.sessions) =
  let reply = function N0 -> [ 0 ] | r -> 1 :: character (before r) in
  let session (id, (it : Session.session)) =
    varint id @ varint it.used @ varint it.acked
    @ many (fun (seq, r) -> varint seq @ reply r) it.replies in
  many character s.machine @ many session s.coq_open
  @ varint s.opened @ varint s.operations @ varint s.capacity

let encode = remembered (fun s -> List.map (fun byte -> small.(byte)) (encode_ints s))

exception Not_a_machine

let decode_all bytes : Session.sessions =
  let rest = ref (List.map int_of_number bytes) in
  let byte () = match !rest with b :: more -> rest := more; b | [] -> raise Not_a_machine in
  (* Ten bytes at most, the last of which has one bit. *)
  let varint () =
    let rec go at =
      let b = byte () in
      if at = 9 && b > 1 then raise Not_a_machine;
      let low = of_int (b land 127) in
      if b < 128 then low else N.add low (N.mul seven_bits (go (at + 1))) in
    go 0 in
  let many read =
    let count = varint () in
    (* Each takes a byte at least. *)
    if N.ltb (of_int (List.length !rest)) count then raise Not_a_machine;
    List.init (int_of_number count) (fun _ -> read ()) in
  let character () =
    let length = byte () in
    let bytes = List.init length (fun _ -> byte ()) in
    let code = match bytes with
      | [ a ] -> a
      | [ a; b ] -> ((a land 0x1f) lsl 6) lor (b land 0x3f)
      | [ a; b; c ] -> ((a land 0xf) lsl 12) lor ((b land 0x3f) lsl 6) lor (c land 0x3f)
      | [ a; b; c; d ] ->
          ((a land 7) lsl 18) lor ((b land 0x3f) lsl 12) lor ((c land 0x3f) lsl 6) lor (d land 0x3f)
      | _ -> raise Not_a_machine in
    if code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || utf8 code <> bytes then
      raise Not_a_machine;
    of_int code in
  let table read =
    (* As a map is read: of two with the same number the later counts. *)
    let entries = many read in
    List.fold_left (fun t (k, x) -> Table.put k x t) [] entries in
  let reply () =
    match byte () with
    | 0 -> N0
    | 1 -> N.succ (character ())
    | _ -> raise Not_a_machine in
  let session () =
    let id = varint () in
    let used = varint () in
    let acked = varint () in
    (id, { Session.used; acked;
           replies = table (fun () -> let seq = varint () in (seq, reply ())) }) in
  let machine = many character in
  let coq_open = table session in
  let opened = varint () in
  let operations = varint () in
  let capacity = varint () in
  if !rest <> [] then raise Not_a_machine;
  { machine; coq_open; opened; operations; capacity }

let decode = remembered (fun bytes ->
  match decode_all bytes with s -> Some s | exception Not_a_machine -> None)

(* ---- the register ---- *)

let rec last = function [] -> N0 | [ it ] -> N.succ it | _ :: rest -> last rest

let program : Session.program =
  { apply = (fun written command ->
      let reply = last written in
      match command with
      | N0 -> (written, reply)
      | command -> (written @ [ before command ], reply));
    read = (fun written command ->
      match command with N0 -> Some (last written) | _ -> None) }
