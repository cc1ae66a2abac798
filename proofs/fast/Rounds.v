(** * Which ballots are fast: [src/rounds.rs], and what [src/quorum.rs] makes of it *)

From Coq Require Import NArith List Bool Lia.
From Synod Require Import Vocabulary Quorum.
Open Scope N_scope.

(** Ballots up to this round are fast. *)
Definition rounds := N.

(** The last round of Rust has no other to fall back on. *)
Definition last_round : N := 2 ^ 64 - 1.

(** The ballot that resolves collisions in [b], if that is fast: its coordinator's next. *)
Definition recovery (r : rounds) (b : ballot) : option ballot :=
  if (r <? round b) || (round b =? last_round) then None
  else Some (ballot_of (round b + 1) (node b)).

Definition is_fast (r : rounds) (b : ballot) : bool := is_some (recovery r b).

(** Ballots of [Core], where 0 is "none yet": the one that stands for [b]. *)
Definition up (b : ballot) : N := rank (Some b).

(** Whether votes from [voters] in [b] choose their value. *)
Definition chooses (q : system) (b : ballot) (voters : set) : bool :=
  is_met_by (phase2_of q (up b)) (intersection voters (acceptors q)).

(** Whether every quorum of [b] has a member in [s]. *)
Definition blocks_in (q : system) (b : ballot) (s : set) : bool :=
  blocks (acceptors q) (phase2_of q (up b)) s.

(** The acceptors, and which of them are enough: thresholds, as [QuorumSystem] of Rust
    has them where there are fast ballots. *)
Definition system_of (acceptors : set) (q1 q2 qf : N) (r : rounds) : system :=
  fast_flexible acceptors q1 q2 qf (fun u => negb (u =? 0) && is_fast r (u - 1)).

Lemma system_is_fast acceptors q1 q2 qf r b :
  Quorum.is_fast (system_of acceptors q1 q2 qf r) (up b) = is_fast r b.
Proof.
  unfold system_of, up, rank. cbn. rewrite N.add_sub.
  destruct (N.eqb_spec (b + 1) 0); [lia|reflexivity].
Qed.

(** ** It is above, and its coordinator's *)

Lemma recovery_is_next r b b' : recovery r b = Some b' -> b' = b + width.
Proof.
  unfold recovery. destruct (_ || _); [discriminate|]. intros [= <-]. unfold ballot_of.
  assert (b = width * round b + b mod width) by (apply N.div_mod; discriminate).
  unfold node. generalize dependent (b mod width). generalize dependent (round b).
  generalize width. intros. nia.
Qed.

Lemma recovery_above r b b' : recovery r b = Some b' -> rank (Some b) < rank (Some b').
Proof. intro H. apply recovery_is_next in H. cbn. assert (0 < width) by reflexivity. lia. Qed.

Lemma recovery_node r b b' : recovery r b = Some b' -> node b' = node b.
Proof.
  unfold recovery. destruct (_ || _); [discriminate|]. intros [= <-].
  apply node_ballot_of. apply N.mod_lt. discriminate.
Qed.
