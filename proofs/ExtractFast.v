(** * What is extracted to OCaml of Fast Paxos: the handlers *)

From Coq Require Import ExtrOcamlBasic.
From Coq Require Extraction.
From Synod Require Import Quorum Vocabulary.
From Synod.fast Require Import Rounds Protocol Node.

Extraction Language OCaml.
Separate Extraction
  Quorum.classic Rounds.system_of Vocabulary.ballot_of Vocabulary.round Vocabulary.node
  BinNat.N.add BinNat.N.mul BinNat.N.div_eucl
  Node.on_start Node.on_message Node.on_timer Node.sends Node.durable_of.
