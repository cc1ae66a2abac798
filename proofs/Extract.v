(** * What is extracted to OCaml: the trace checker and the handlers *)

From Coq Require Import ExtrOcamlBasic.
From Coq Require Extraction.
From Coq Require ExtrOcamlNativeString.
From Synod Require Import Quorum Vocabulary Check Examples.
From Synod.basic Require Import Protocol Node.

Extraction Language OCaml.
Separate Extraction
  Check.step Check.nothing Check.check Quorum.is_lawful Quorum.classic
  Vocabulary.ballot_of Vocabulary.round Vocabulary.node
  BinNat.N.add BinNat.N.mul BinNat.N.div_eucl
  Examples.accepted Examples.rejected
  Node.on_start Node.on_message Node.on_timer Node.sends Node.durable_of.
