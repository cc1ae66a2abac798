(** * Ballots and votes, as the Rust code has them

    The words of [src/ballot.rs] and [src/vote.rs]. *)

From Coq Require Import NArith List Lia Bool.
Import ListNotations.
Open Scope N_scope.

(** A ballot is [round * 2^32 + node]. Node ids are 32 bits wide, so to compare these
    numbers is to compare rounds first and nodes second, as Rust does: [ballot_order]. *)
Definition ballot := N.
Definition width : N := 2 ^ 32.
Definition ballot_of (round node : N) : ballot := round * width + node.
Definition round (b : ballot) : N := b / width.
Definition node (b : ballot) : N := b mod width.

(** A proposal that was accepted, or is put to the vote: a number and a value. *)
Definition vote : Type := ballot * N.

(** "None yet" is [None], and below every ballot. *)
Definition rank (b : option ballot) : N :=
  match b with Some b => b + 1 | None => 0 end.

Declare Scope ballot_scope.
Notation "a >=? b" := (rank b <=? rank a) (at level 70) : ballot_scope.
Notation "a >? b" := (rank b <? rank a) (at level 70) : ballot_scope.
Open Scope ballot_scope.

Definition max (a b : option ballot) : option ballot := if a >=? b then a else b.

(** The lowest ballot of [me] in a round above [seen]. (In Rust rounds can be used up;
    here only [round_max] ends them, which is never above the last round of Rust.) *)
Definition above (seen : option ballot) (me : N) : ballot :=
  ballot_of (match seen with Some b => round b | None => 0 end + 1) me.

Definition bind {A B} (o : option A) (f : A -> option B) : option B :=
  match o with Some a => f a | None => None end.

Definition is_some {A} (o : option A) : bool :=
  match o with Some _ => true | None => false end.

Definition is_ballot (a : option ballot) (b : ballot) : bool :=
  match a with Some a => a =? b | None => false end.

Definition is_vote (a : option vote) (b : vote) : bool :=
  match a with Some a => (fst a =? fst b) && (snd a =? snd b) | None => false end.

Definition ballot_of_vote (v : option vote) : option ballot := option_map fst v.

(** How long to wait before trying again: [src/backoff.rs]. In nanoseconds. *)
Record backoff := Backoff { base : N; doublings_max : N }.

(** The range of the wait of an attempt in [round]. *)
Definition wait (b : backoff) (round : N) : N * N :=
  (base b, base b * 2 ^ N.min round (doublings_max b)).
Definition pace (b : backoff) : N * N := wait b 1.

(** ** Lists of nodes *)

Definition is_in (l : list N) (a : N) : bool := existsb (N.eqb a) l.

(** These nodes in order, and each once. *)
Fixpoint place (a : N) (l : list N) : list N :=
  match l with
  | [] => [a]
  | x :: rest => if a =? x then l else if a <? x then a :: l else x :: place a rest
  end.
Definition in_order : list N -> list N := fold_right place [].

(** ** They are what they seem *)

Theorem ballot_order r n r' n' : n < width -> n' < width ->
  ballot_of r n < ballot_of r' n' <-> r < r' \/ r = r' /\ n < n'.
Proof.
  unfold ballot_of. generalize width. intros w Hn Hn'. split.
  - intro H. destruct (N.lt_trichotomy r r') as [L|[E|L]]; [auto|subst; right; split; lia|].
    exfalso. assert (r' * w + w <= r * w) by nia. lia.
  - intros [L|[-> L]]; [|lia]. assert (r * w + w <= r' * w) by nia. lia.
Qed.

Lemma round_ballot_of r n : n < width -> round (ballot_of r n) = r.
Proof.
  intro H. unfold round, ballot_of. rewrite N.div_add_l by discriminate.
  rewrite N.div_small by auto. lia.
Qed.

Lemma node_ballot_of r n : n < width -> node (ballot_of r n) = n.
Proof.
  intro H. unfold node, ballot_of. rewrite N.add_comm, N.mod_add by discriminate.
  now apply N.mod_small.
Qed.

Lemma node_above seen me : me < width -> node (above seen me) = me.
Proof. apply node_ballot_of. Qed.

Lemma above_is_above seen me : rank seen < rank (Some (above seen me)).
Proof.
  unfold above, rank, ballot_of. destruct seen as [b|]; [|lia].
  assert (b = width * round b + b mod width) by (apply N.div_mod; discriminate).
  assert (b mod width < width) by (apply N.mod_lt; discriminate).
  enough (b < (round b + 1) * width) by lia.
  generalize dependent (b mod width). generalize dependent (round b). generalize width.
  intros. nia.
Qed.

Lemma rank_max a b : rank (max a b) = N.max (rank a) (rank b).
Proof. unfold max. destruct (N.leb_spec (rank b) (rank a)); lia. Qed.

Lemma rank_injective a b : rank a = rank b -> a = b.
Proof. destruct a, b; cbn; intros; try lia; [|reflexivity]. f_equal. lia. Qed.

Lemma is_ballot_true a b : is_ballot a b = true -> a = Some b.
Proof. destruct a; cbn; [|discriminate]. intro H. apply N.eqb_eq in H. now subst. Qed.

Lemma is_vote_true a b : is_vote a b = true -> a = Some b.
Proof.
  destruct a as [[k v]|], b as [k' v']; cbn; [|discriminate].
  rewrite andb_true_iff, !N.eqb_eq. intros [-> ->]. reflexivity.
Qed.
