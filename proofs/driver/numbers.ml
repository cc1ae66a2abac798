(* Numbers of the proofs from and to text. Part of what must be trusted. *)

open BinNums

(* The extracted files have modules of these names too. *)
module List = Stdlib.List
module String = Stdlib.String

(* Few numbers come again and again. *)
let remembered f =
  let known = Hashtbl.create 1024 in
  fun it ->
    match Hashtbl.find_opt known it with
    | Some result -> result
    | None ->
        let result = f it in
        if Hashtbl.length known < 100_000 then Hashtbl.add known it result;
        result

exception Malformed of string

let malformed what text = raise (Malformed (what ^ ": " ^ text))

let rec positive n =
  if n = 1 then Coq_xH
  else if n land 1 = 1 then Coq_xI (positive (n lsr 1))
  else Coq_xO (positive (n lsr 1))

let of_int n = if n = 0 then N0 else Npos (positive n)
let ten = of_int 10

(* Decimals of any length: rounds may take all of 64 bits. *)
let of_string = remembered (fun text ->
  if text = "" || String.length text > 40 then malformed "a number" text;
  String.iter (fun c -> if c < '0' || c > '9' then malformed "a number" text) text;
  if String.length text <= 18 then of_int (int_of_string text)
  else
    let digit c = of_int (Char.code c - Char.code '0') in
    String.fold_left (fun n c -> BinNat.N.add (BinNat.N.mul n ten) (digit c)) N0 text)

let rec bits = function Coq_xH -> 1 | Coq_xO p | Coq_xI p -> 1 + bits p
let rec int_of = function Coq_xH -> 1 | Coq_xO p -> 2 * int_of p | Coq_xI p -> (2 * int_of p) + 1

let rec decimal = function
  | N0 -> "0"
  | Npos p when bits p < 62 -> string_of_int (int_of p)
  | n ->
      let quotient, rest = BinNat.N.div_eucl n ten in
      decimal quotient ^ decimal rest

let to_string = remembered decimal

(* A ballot reads round.node. *)
let ballot_of_string = remembered (fun text ->
  match String.split_on_char '.' text with
  | [ round; node ] -> Vocabulary.ballot_of (of_string round) (of_string node)
  | _ -> malformed "a ballot" text)

let ballot_to_string = remembered (fun b ->
  to_string (Vocabulary.round b) ^ "." ^ to_string (Vocabulary.node b))
