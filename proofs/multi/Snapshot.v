(** * Snapshots, in pieces small enough for a datagram: [src/multi/snapshot.rs] *)

From Coq Require Import NArith List Bool.
From Synod.multi Require Import Session Log.
Import ListNotations.
Open Scope N_scope.

(** How things are written down as bytes, what sum tells bytes from others, and how many
    bytes things take. *)
Record encoding := Encoding {
  encode : sessions -> list N;
  decode : list N -> option sessions;
  checksum : list N -> N;
  bytes_of_request : request -> N;
  bytes_of_entry : entry -> N }.

(** What all slots before [upto] have led to, written down. *)
Record snapshot := Snapshot { upto : N; content : list N }.

(** A piece of a snapshot. *)
Record chunk := Chunk {
  of_upto : N;
  total : N;
  digest : N;
  offset : N;
  piece : list N }.

(** A snapshot on its way in. *)
Record transfer := Transfer {
  to_upto : N;
  to_total : N;
  to_digest : N;
  received : list N }.

Section Snapshot.
Variable e : encoding.

Definition take (upto : N) (s : sessions) : snapshot := Snapshot upto (encode e s).
Definition reopen (s : snapshot) : option sessions := decode e (content s).

(** The piece that begins at an offset, of at most [size] bytes; [None] beyond the end. *)
Definition chunk_at (s : snapshot) (offset size : N) : option chunk :=
  let total := count (content s) in
  if total <=? offset then None
  else
    let rest := skipn (N.to_nat offset) (content s) in
    let piece := firstn (N.to_nat (N.min (N.max size 1) total)) rest in
    Some (Chunk (upto s) total (checksum e (content s)) offset piece).

(** What a piece leads to: nothing, more from an offset on, or all of it; damaged if its
    checksum does not fit. *)
Inductive progress :=
| Nothing
| More (offset : N)
| Whole (s : snapshot)
| Damaged.

Definition fits (c : chunk) (t : transfer) : bool :=
  (to_upto t =? of_upto c) && (to_total t =? total c) && (to_digest t =? digest c).

(** Adds a piece: the next of the snapshot under way, or the first of another. *)
Definition add (under_way : option transfer) (c : chunk) : option transfer * progress :=
  let fitting := match under_way with
    | Some t => if fits c t then Some t else None
    | None => None
    end in
  let fresh := Transfer (of_upto c) (total c) (digest c) [] in
  let begun := match fitting with
    | Some t => Some t
    | None => if offset c =? 0 then Some fresh else None
    end in
  match begun with
  | None => (under_way, Nothing)
  | Some t =>
      let have := count (received t) in
      let is_next := (offset c =? have) && (count (piece c) <=? total c - have) in
      if negb is_next && negb (offset c =? 0) then (under_way, Nothing)
      else
        let bytes := if is_next then received t ++ piece c else received t in
        if count bytes <? total c
        then (Some (Transfer (of_upto c) (total c) (digest c) bytes), More (count bytes))
        else if checksum e bytes =? digest c
          then (None, Whole (Snapshot (of_upto c) bytes))
          else (None, Damaged)
  end.

End Snapshot.
