(** * The general system keeps its claims

    The proof of [BasicProof] with a slot in every clause, and three clauses more for
    fast ballots. Again one invariant, and again its heart is that a proposal,
    [proposal_safe] or open to any value, [any_safe], has made sure that nothing
    else can be chosen below. *)

From Coq Require Import NArith Lia.
From Synod Require Import Core.
Open Scope N_scope.

Section Proof.
Variable S : setting.
Hypothesis law : lawful S.

Notation state := (state S).

Notation blocked := (blocked S).

Record Invariant (s : state) : Prop := {
  one_report : forall a b i o o', sent s (Promise a b i o) -> sent s (Promise a b i o') -> o = o';
  promise_kept : forall a b i o, sent s (Promise a b i o) -> b <= promised s a;
  vote_kept : forall a i b v, sent s (Accepted a i b v) -> b <= promised s a;
  vote_sent : forall a i k v, votes s a i = Some (k, v) -> sent s (Accepted a i k v);
  vote_highest : forall a i b v, sent s (Accepted a i b v) ->
    exists k w, votes s a i = Some (k, w) /\ b <= k;
  none_reported : forall a b i c v, sent s (Promise a b i None) ->
    sent s (Accepted a i c v) -> b <= c;
  highest_reported : forall a b i k v, sent s (Promise a b i (Some (k, v))) ->
    k < b /\ sent s (Accepted a i k v) /\
    forall c w, sent s (Accepted a i c w) -> c < b -> c <= k;
  vote_proposed : forall a i b v, sent s (Accepted a i b v) ->
    sent s (Accept i b v) \/ sent s (AcceptAny i b);
  one_vote_per_ballot : forall a i b v w,
    sent s (Accepted a i b v) -> sent s (Accepted a i b w) -> v = w;
  one_value_per_ballot : forall i b v w, sent s (Accept i b v) -> sent s (Accept i b w) -> v = w;
  one_or_any : forall i b v, sent s (Accept i b v) -> sent s (AcceptAny i b) -> False;
  any_is_fast : forall i b, sent s (AcceptAny i b) -> is_fast S b = true;
  proposal_valid : forall i b v, sent s (Accept i b v) -> sent s (Propose v);
  vote_valid : forall a i b v, sent s (Accepted a i b v) -> sent s (Propose v);
  proposal_safe : forall i b v c w, sent s (Accept i b v) -> c < b -> w <> v ->
    blocked s i c w;
  any_safe : forall i b c w, sent s (AcceptAny i b) -> c < b -> blocked s i c w }.

Ltac unfold_step := cbn in *; unfold update, update_slot, send, send_promise in *; cbn in *.

(** Takes hypotheses apart, and looks at each acceptor and slot that an event may concern. *)
Ltac cases := repeat match goal with
  | H : _ /\ _ |- _ => destruct H
  | H : exists _, _ |- _ => destruct H
  | H : _ \/ _ |- _ => destruct H
  | H : context [acceptor_eq _ ?x ?y] |- _ => destruct (acceptor_eq _ x y)
  | H : context [N.eq_dec ?x ?y] |- _ => destruct (N.eq_dec x y)
  | |- context [acceptor_eq _ ?x ?y] => destruct (acceptor_eq _ x y)
  | |- context [N.eq_dec ?x ?y] => destruct (N.eq_dec x y)
  | H : Some _ = Some _ |- _ => inversion H; clear H
  | H : _ = Propose _ |- _ => inversion H; clear H
  | H : _ = Promise _ _ _ _ |- _ => inversion H; clear H
  | H : _ = Accept _ _ _ |- _ => inversion H; clear H
  | H : _ = AcceptAny _ _ |- _ => inversion H; clear H
  | H : _ = Accepted _ _ _ _ |- _ => inversion H; clear H
  end; subst; try congruence.

(** Adds what messages say about promises. *)
Ltac saturate I := repeat match goal with
  | H : sent _ (Promise ?a ?b _ _) |- _ => lazymatch goal with
      | _ : b <= promised _ a |- _ => fail
      | _ => pose proof (promise_kept _ I _ _ _ _ H) end
  | H : sent _ (Accepted ?a _ ?b _) |- _ => lazymatch goal with
      | _ : b <= promised _ a |- _ => fail
      | _ => pose proof (vote_kept _ I _ _ _ _ H) end
  end.

Lemma blocked_stays s e i c w : guard S s e -> blocked s i c w -> blocked (apply S s e) i c w.
Proof.
  intros G B R HR. destruct (B R HR) as (a & Ra & Lt & NV). exists a. split; [exact Ra|].
  destruct e; cbn in G; unfold_step; cases; split; auto; try lia;
    intros [?|E]; try tauto; cases; tauto || lia.
Qed.

(** A member of an answering quorum that reported no vote in [c] or above has not
    voted there, and by its promise never will. *)
Lemma answered_blocks s Q i b c w : Invariant s -> answered S s Q i b -> c < b ->
  (forall a o, Q a -> sent s (Promise a b i o) ->
     match o with Some (k, _) => k < c | None => True end) ->
  blocked s i c w.
Proof.
  intros I [HQ HA] Hc F R HR.
  destruct (quorums_meet S law b c Q R Hc HQ HR) as (a & Qa & Ra).
  destruct (HA a Qa) as [o Ho]. pose proof (promise_kept _ I _ _ _ _ Ho).
  specialize (F a o Qa Ho). exists a. repeat split; auto; [lia|].
  intro HV. destruct o as [[k v]|].
  - destruct (highest_reported _ I _ _ _ _ _ Ho) as (_ & _ & M). specialize (M _ _ HV Hc). lia.
  - pose proof (none_reported _ I _ _ _ _ _ Ho HV). lia.
Qed.

Lemma free_blocks s Q i b c w : Invariant s -> free S s Q i b -> c < b -> blocked s i c w.
Proof.
  intros I [->|[HA F]] Hc; [lia|]. eapply answered_blocks; eauto.
  intros a o Qa Ho. rewrite (F _ _ Qa Ho). exact Logic.I.
Qed.

Lemma bound_blocks s Q i b v c w : Invariant s -> answered S s Q i b -> bound S s Q i b v ->
  c < b -> w <> v -> blocked s i c w.
Proof.
  intros I HA (k & (a0 & Qa0 & M) & Max & Fast) Hc Hw.
  destruct (highest_reported _ I _ _ _ _ _ M) as (Lk & Vk & _).
  destruct (N.lt_trichotomy c k) as [L|[->|L]].
  - (* below the reported ballot: whoever proposed there saw to it *)
    destruct (vote_proposed _ I _ _ _ _ Vk) as [P|P]; [eapply proposal_safe|eapply any_safe]; eauto.
  - (* in the reported ballot itself *)
    intros R HR. destruct HA as [HQ HA]. destruct (vote_proposed _ I _ _ _ _ Vk) as [P|P].
    + (* which had one value *)
      destruct (quorums_meet S law b k Q R Hc HQ HR) as (a & Qa & Ra). destruct (HA a Qa) as [o Ho].
      pose proof (promise_kept _ I _ _ _ _ Ho). exists a. repeat split; auto; [lia|]. intro HV.
      destruct (vote_proposed _ I _ _ _ _ HV) as [P'|P'].
      * apply Hw. eapply one_value_per_ballot; eauto.
      * eapply one_or_any; eauto.
    + (* which was open to any *)
      destruct (Fast (any_is_fast _ I _ _ P) w Hw R HR) as (a & Qa & Ra & NR).
      destruct (HA a Qa) as [o Ho]. pose proof (promise_kept _ I _ _ _ _ Ho).
      exists a. repeat split; auto; [lia|]. intro HV. destruct o as [[k' v']|].
      * destruct (highest_reported _ I _ _ _ _ _ Ho) as (_ & V' & M').
        specialize (M' _ _ HV Hc). specialize (Max _ _ _ Qa Ho).
        assert (k' = k) by lia. subst k'.
        rewrite (one_vote_per_ballot _ I _ _ _ _ _ HV V') in NR. auto.
      * pose proof (none_reported _ I _ _ _ _ _ Ho HV). lia.
  - (* above it nobody of the quorum has voted *)
    eapply answered_blocks; eauto. intros a [[k' v']|] Qa Ho; auto.
    specialize (Max _ _ _ Qa Ho). lia.
Qed.

(** A report stays true: no event adds a vote below a promise. *)
Ltac report_stays I := match goal with
  | H : sent _ (Promise _ _ _ (Some _)) |- _ =>
      destruct (highest_reported _ I _ _ _ _ _ H) as (L & V & M); repeat split; auto;
      intros ? ? [?|E] ?; [eauto|cases; saturate I; lia]
  end.

Lemma invariant_step s e : Invariant s -> guard S s e -> Invariant (apply S s e).
Proof.
  intros I G. pose proof (fun i c w => blocked_stays s e i c w G) as BS.
  pose proof I as [J0 J1 J2 J3 J4 J5 J6 J7 J7u J8 J8x J8f J9 J9b J10 J10x].
  destruct e; cbn in G; try exact I.
  - (* Request *) constructor; unfold_step; intros; cases; eauto; try (report_stays I; fail).
    destruct (J7 _ _ _ _ H); auto.
  - (* Phase1b *) constructor; unfold_step; intros; cases; saturate I; eauto; try lia;
      try (report_stays I; fail).
    all: try (destruct (J7 _ _ _ _ H); eauto; fail).
    all: match goal with
      | H : None = votes _ _ _, V : sent _ (Accepted _ _ _ _) |- _ =>
          destruct (J4 _ _ _ _ V) as (k & w & E & L); congruence
      | H : votes _ _ _ = None, V : sent _ (Accepted _ _ _ _) |- _ =>
          destruct (J4 _ _ _ _ V) as (k & w & E & L); congruence
      | H : Some _ = votes _ _ _ |- _ => symmetry in H; pose proof (J3 _ _ _ _ H); saturate I;
          repeat split; auto; [lia|]; intros c w [V|(? & ? & E)] _; [|inversion E];
          destruct (J4 _ _ _ _ V) as (k' & w' & E & L); rewrite H in E; cases; auto
      end.
  - (* Phase2a *)
    assert (RV : sent s (Propose v)).
    { destruct G as [_ [[? _]|[_ (k & (a & _ & M) & _)]]]; auto. apply J6 in M. cases. eauto. }
    assert (PS : forall c w, c < b -> w <> v -> blocked s i c w).
    { intros c w Hc Hw. destruct G as [_ [[_ ?]|[? ?]]];
      [eapply free_blocks|eapply bound_blocks]; eauto. }
    destruct G as [[G1 G2] _]. constructor; unfold_step; intros; cases; eauto;
      try (exfalso; eapply G1; eauto; fail); try (eapply PS; eauto; fail);
      try (report_stays I; fail); try (left; eauto; fail).
    destruct (J7 _ _ _ _ H); auto.
  - (* Phase2aAny *)
    assert (PS : forall c w, c < b -> blocked s i c w).
    { intros c w Hc. destruct G as (_ & _ & ?). eapply free_blocks; eauto. }
    destruct G as (GF & [G1 G2] & _). constructor; unfold_step; intros; cases; eauto;
      try (exfalso; eapply G1; eauto; fail); try (eapply PS; eauto; fail);
      try (report_stays I; fail).
    destruct (J7 _ _ _ _ H); auto.
  - (* Phase2b *) destruct G as (G1 & G2 & G3).
    assert (UV : forall w, sent s (Accepted a i b w) -> w = v).
    { intros w Hw. destruct (J4 _ _ _ _ Hw) as (k & u & E & L). rewrite E in G3.
      pose proof (J3 _ _ _ _ E). saturate I. destruct G3 as [?|[-> ->]]; [lia|]. eauto. }
    assert (RV : sent s (Propose v)) by (destruct G2 as [?|[? ?]]; eauto).
    constructor; unfold_step; intros; cases; saturate I; eauto; try lia;
      try (symmetry; eauto; fail); try (report_stays I; fail).
    all: try (do 2 eexists; split; [eauto|lia]).
    all: try (destruct (J7 _ _ _ _ H); auto).
Qed.

Lemma invariant s : reachable S s -> Invariant s.
Proof.
  induction 1; [|apply invariant_step; auto].
  constructor; cbn; intros; try contradiction; discriminate.
Qed.

Theorem agreement : Agreement S.
Proof.
  intros s i b v c w HR C D. apply invariant in HR as I.
  assert (W : forall b v c w, c < b -> chosen S s i b v -> chosen S s i c w -> v = w).
  { clear b v c w C D. intros b v c w L (R & HR2 & RV) (R' & HR' & RV').
    destruct (value_eq S v w) as [|NE]; auto. exfalso.
    destruct (quorums_inhabited S law b R HR2) as [a Ra].
    assert (B : blocked s i c w).
    { destruct (vote_proposed _ I _ _ _ _ (RV a Ra)); [eapply proposal_safe|eapply any_safe];
      eauto. }
    destruct (B R' HR') as (x & Rx & _ & NV). eauto. }
  destruct (N.lt_trichotomy b c) as [L|[->|L]]; [symmetry; eauto| |eauto].
  destruct C as (R & HR2 & RV), D as (R' & HR' & RV').
  destruct (is_fast S c) eqn:F.
  - (* two quorums of a fast ballot share an acceptor, which votes once *)
    destruct (fast_quorums_meet S law c R R' F HR2 HR') as (a & Ra & Ra').
    eapply one_vote_per_ballot; eauto.
  - (* a classic ballot has one value *)
    destruct (quorums_inhabited S law c R HR2) as [a Ra].
    destruct (quorums_inhabited S law c R' HR') as [a' Ra'].
    destruct (vote_proposed _ I _ _ _ _ (RV a Ra)) as [P|P];
      [|apply (any_is_fast _ I) in P; congruence].
    destruct (vote_proposed _ I _ _ _ _ (RV' a' Ra')) as [P'|P'];
      [|apply (any_is_fast _ I) in P'; congruence].
    eapply one_value_per_ballot; eauto.
Qed.

Theorem validity : Validity S.
Proof.
  intros s i b v HR (R & HR2 & RV). apply invariant in HR as I.
  destruct (quorums_inhabited S law b R HR2) as [a Ra]. eapply vote_valid; eauto.
Qed.

Theorem stability : Stability S.
Proof.
  intros s e i b v (R & HR & RV). exists R. split; auto. intros a Ra.
  specialize (RV a Ra). destruct e; cbn; unfold send, send_promise; auto.
Qed.

Theorem one_value : OneValuePerBallot S.
Proof.
  intros s a a' i b v v' HR F V V'. apply invariant in HR as I.
  destruct (vote_proposed _ I _ _ _ _ V) as [P|P]; [|apply (any_is_fast _ I) in P; congruence].
  destruct (vote_proposed _ I _ _ _ _ V') as [P'|P']; [|apply (any_is_fast _ I) in P'; congruence].
  eapply one_value_per_ballot; eauto.
Qed.

Theorem votes_safe : VotesSafe S.
Proof.
  intros s a i b v c w HR V L NE. apply invariant in HR as I.
  destruct (vote_proposed _ I _ _ _ _ V); [eapply proposal_safe|eapply any_safe]; eauto.
Qed.

Theorem promises_kept : PromiseKept S.
Proof.
  intros s e a HR G. apply invariant in HR as I. destruct e; cbn in G; split; unfold_step;
    intros; cases; try lia; auto.
Qed.

End Proof.
