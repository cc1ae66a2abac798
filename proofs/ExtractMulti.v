(** * What is extracted to OCaml of Multi-Paxos: the handlers *)

From Coq Require Import ExtrOcamlBasic.
From Coq Require Extraction.
From Synod Require Import Quorum Vocabulary.
From Synod.multi Require Import Session Protocol Node.

Extraction Language OCaml.
Separate Extraction
  Quorum.classic Vocabulary.ballot_of Vocabulary.round Vocabulary.node
  BinNat.N.add BinNat.N.mul BinNat.N.div_eucl BinNat.N.succ BinNat.N.pred BinNat.N.ltb
  Node.on_start Node.on_message Node.on_timer Node.sends Node.durable_of.
