(** * Basic Paxos keeps its claims

    One invariant with ten clauses, kept by every event. Its heart is [votes_safe]:
    whoever proposes a value has made sure that no other can be chosen below. *)

From Coq Require Import NArith Lia.
From Synod Require Import Basic.
Open Scope N_scope.

Section Proof.
Variable S : setting.
Hypothesis law : lawful S.

Notation state := (state S).

(** No quorum can ever choose [w] in ballot [c]: each has a member that did not vote
    so and never will. [NoneOtherChoosableAt] of Voting.tla says the same. *)
Definition blocked (s : state) (c : N) (w : value S) :=
  forall R, phase2 S R ->
  exists a, R a /\ c < promised s a /\ ~ sent s (Accepted a c w).

Record Invariant (s : state) : Prop := {
  promise_kept : forall a b o, sent s (Promise a b o) -> b <= promised s a;
  vote_kept : forall a b v, sent s (Accepted a b v) -> b <= promised s a;
  vote_sent : forall a k v, vote s a = Some (k, v) -> sent s (Accepted a k v);
  vote_highest : forall a b v, sent s (Accepted a b v) ->
    exists k w, vote s a = Some (k, w) /\ b <= k;
  none_reported : forall a b c v, sent s (Promise a b None) ->
    sent s (Accepted a c v) -> b <= c;
  highest_reported : forall a b k v, sent s (Promise a b (Some (k, v))) ->
    k < b /\ sent s (Accepted a k v) /\
    forall c w, sent s (Accepted a c w) -> c < b -> c <= k;
  vote_proposed : forall a b v, sent s (Accepted a b v) -> sent s (Accept b v);
  one_value_per_ballot : forall b v w, sent s (Accept b v) -> sent s (Accept b w) -> v = w;
  proposal_valid : forall b v, sent s (Accept b v) -> sent s (Propose v);
  votes_safe : forall b v c w, sent s (Accept b v) -> c < b -> w <> v -> blocked s c w }.

Ltac unfold_step := cbn in *; unfold update, send in *; cbn in *.

(** Takes hypotheses apart, and looks at each acceptor that an event may concern. *)
Ltac cases := repeat match goal with
  | H : _ /\ _ |- _ => destruct H
  | H : exists _, _ |- _ => destruct H
  | H : _ \/ _ |- _ => destruct H
  | H : context [acceptor_eq _ ?x ?y] |- _ => destruct (acceptor_eq _ x y)
  | |- context [acceptor_eq _ ?x ?y] => destruct (acceptor_eq _ x y)
  | H : Some _ = Some _ |- _ => inversion H; clear H
  | H : _ = Propose _ |- _ => inversion H; clear H
  | H : _ = Promise _ _ _ |- _ => inversion H; clear H
  | H : _ = Accept _ _ |- _ => inversion H; clear H
  | H : _ = Accepted _ _ _ |- _ => inversion H; clear H
  end; subst; try congruence.

(** Adds what messages say about promises. *)
Ltac saturate I := repeat match goal with
  | H : sent _ (Promise ?a ?b _) |- _ => lazymatch goal with
      | _ : b <= promised _ a |- _ => fail
      | _ => pose proof (promise_kept _ I _ _ _ H) end
  | H : sent _ (Accepted ?a ?b _) |- _ => lazymatch goal with
      | _ : b <= promised _ a |- _ => fail
      | _ => pose proof (vote_kept _ I _ _ _ H) end
  end.

Lemma blocked_stays s e c w : guard S s e -> blocked s c w -> blocked (apply S s e) c w.
Proof.
  intros G B R HR. destruct (B R HR) as (a & Ra & Lt & NV). exists a. split; [exact Ra|].
  destruct e; cbn in G; unfold_step; cases; split; auto; try lia;
    intros [?|E]; try tauto; inversion E; subst; tauto || lia || congruence.
Qed.

(** A member of an answering quorum that reported no vote in [c] or above has not
    voted there, and by its promise never will. *)
Lemma answered_blocks s Q b c w : Invariant s -> answered S s Q b -> c < b ->
  (forall a o, Q a -> sent s (Promise a b o) ->
     match o with Some (k, _) => k < c | None => True end) ->
  blocked s c w.
Proof.
  intros I [HQ HA] Hc F R HR.
  destruct (quorums_meet S law Q R HQ HR) as (a & Qa & Ra). destruct (HA a Qa) as [o Ho].
  pose proof (promise_kept _ I _ _ _ Ho). specialize (F a o Qa Ho).
  exists a. repeat split; auto; [lia|]. intro HV. destruct o as [[k v]|].
  - destruct (highest_reported _ I _ _ _ _ Ho) as (_ & _ & M). specialize (M _ _ HV Hc). lia.
  - pose proof (none_reported _ I _ _ _ _ Ho HV). lia.
Qed.

(** P2c makes a proposal safe. *)
Lemma proposal_safe s b v Q c w : Invariant s -> guard S s (Phase2a b v Q) ->
  c < b -> w <> v -> blocked s c w.
Proof.
  intros I (_ & HA & P) Hc Hw. destruct P as [[_ F]|(k & a0 & Qa0 & M & Max)].
  - eapply answered_blocks; eauto. intros a o Qa Ho. rewrite (F _ _ Qa Ho). exact Logic.I.
  - destruct (highest_reported _ I _ _ _ _ M) as (Lk & Vk & _).
    pose proof (vote_proposed _ I _ _ _ Vk) as Pk.
    destruct (N.lt_trichotomy c k) as [L|[->|L]].
    + exact (votes_safe _ I k v c w Pk L Hw).
    + (* in the reported ballot itself there was but one value *)
      intros R HR. destruct HA as [HQ HA].
      destruct (quorums_meet S law Q R HQ HR) as (a & Qa & Ra). destruct (HA a Qa) as [o Ho].
      pose proof (promise_kept _ I _ _ _ Ho). exists a. repeat split; auto; [lia|].
      intro HV. apply Hw. eapply one_value_per_ballot; eauto using vote_proposed.
    + eapply answered_blocks; eauto. intros a [[k' v']|] Qa Ho; auto.
      specialize (Max _ _ _ Qa Ho). lia.
Qed.

(** A report stays true: no event adds a vote below a promise. *)
Ltac report_stays I := match goal with
  | H : sent _ (Promise _ _ (Some _)) |- _ =>
      destruct (highest_reported _ I _ _ _ _ H) as (L & V & M); repeat split; auto;
      intros ? ? [?|E] ?; [eauto|inversion E; subst; saturate I; lia]
  end.

Lemma invariant_step s e : Invariant s -> guard S s e -> Invariant (apply S s e).
Proof.
  intros I G. pose proof (fun c w => blocked_stays s e c w G) as BS.
  pose proof I as [J1 J2 J3 J4 J5 J6 J7 J8 J9 J10].
  destruct e; cbn in G; try exact I.
  - (* Request *) constructor; unfold_step; intros; cases; eauto; report_stays I.
  - (* Phase1b *) constructor; unfold_step; intros; cases; saturate I; eauto; try lia;
      try (report_stays I; fail).
    all: match goal with
      (* an acceptor without a vote reports none *)
      | H : vote _ _ = None, V : sent _ (Accepted _ _ _) |- _ =>
          destruct (J4 _ _ _ V) as (k & w & E & L); congruence
      | H : None = vote _ _, V : sent _ (Accepted _ _ _) |- _ =>
          destruct (J4 _ _ _ V) as (k & w & E & L); congruence
      (* and its latest vote is its highest *)
      | H : Some _ = vote _ _ |- _ => symmetry in H; pose proof (J3 _ _ _ H); saturate I;
          repeat split; auto; [lia|]; intros c w [V|E] _; [|inversion E];
          destruct (J4 _ _ _ V) as (k' & w' & E & L); rewrite H in E; cases; auto
      end.
  - (* Phase2a *) pose proof (fun c w => proposal_safe s b v Q c w I G) as PS.
    destruct G as (G1 & G2 & G3). constructor; unfold_step; intros; cases; eauto;
      try (exfalso; eapply G1; eauto; fail); try (eapply PS; eauto; fail);
      try (report_stays I; fail).
    (* the value of a reported vote was asked for *)
    all: left; eauto; match goal with H : bound _ _ _ _ _ |- _ =>
      destruct H as (k & a & _ & M & _); destruct (J6 _ _ _ _ M) as (_ & V & _); eauto end.
  - (* Phase2b *) destruct G as [G1 G2]. constructor; unfold_step; intros; cases; saturate I;
      eauto; try lia; try (report_stays I; fail).
    all: do 2 eexists; split; [eauto|lia].
Qed.

Lemma invariant s : reachable S s -> Invariant s.
Proof.
  induction 1; [|apply invariant_step; auto].
  constructor; cbn; intros; try contradiction; discriminate.
Qed.

Theorem agreement : Agreement S.
Proof.
  intros s b v c w HR C D. apply invariant in HR as I.
  assert (W : forall b v c w, c < b -> chosen S s b v -> chosen S s c w -> v = w).
  { clear b v c w C D. intros b v c w L (R & HR2 & RV) (R' & HR' & RV').
    destruct (value_eq S v w) as [|NE]; auto. exfalso.
    destruct (quorums_inhabited S law R HR2) as [a Ra].
    pose proof (vote_proposed _ I _ _ _ (RV a Ra)) as P.
    destruct (votes_safe _ I b v c w P L (not_eq_sym NE) R' HR') as (x & Rx & _ & NV). eauto. }
  destruct (N.lt_trichotomy b c) as [L|[->|L]]; [symmetry; eauto| |eauto].
  destruct C as (R & HR2 & RV), D as (R' & HR' & RV').
  destruct (quorums_inhabited S law R HR2) as [a Ra].
  destruct (quorums_inhabited S law R' HR') as [a' Ra'].
  eapply one_value_per_ballot; eauto using vote_proposed.
Qed.

Theorem validity : Validity S.
Proof.
  intros s b v HR (R & HR2 & RV). apply invariant in HR as I.
  destruct (quorums_inhabited S law R HR2) as [a Ra].
  eauto using proposal_valid, vote_proposed.
Qed.

Theorem stability : Stability S.
Proof.
  intros s e b v (R & HR & RV). exists R. split; auto. intros a Ra.
  specialize (RV a Ra). destruct e; cbn; unfold send; auto.
Qed.

End Proof.
