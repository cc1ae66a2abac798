(** * The leader of Multi-Paxos keeps to the general system

    How the state of a proposer stands to a state of [Core] and to what the proposer has
    said, and that its handlers keep it so. *)

From Coq Require Import NArith Arith List Lia Bool.
From Synod Require Import Vocabulary Quorum.
From Synod Require Core.
From Synod.multi Require Import Table Session Log Snapshot Protocol Node Network RefinementProof
  RolesProof.
From Synod.multi Require Acceptor Leadership Leader Learner.
Import ListNotations.
Open Scope N_scope.

Section Leader.
Variable c : cluster.
Hypothesis cluster_sound : sound c.
Variable me : N.
(** What clients have asked for. *)
Variable asked : request -> Prop.
Definition asked_all (e : entry) : Prop := forall r, In r (requests_of e) -> asked r.

Notation S := (setting_of entry entry_eq (quorums c)).
Notation abstract := (Core.state S).
Notation told := (told c).
Notation promise := (promise c).
Notation accept := (accept c).
Notation accepted := (accepted c).
Notation is_chosen := (is_chosen c).
Notation used := (used c).
Notation settled := (settled c).
Notation valid := (valid c).
Notation moves := (moves c).
Notation grows := (grows c).
Notation is_free := (is_free c).
Notation is_bound := (is_bound c).
Notation proposes := (proposes c asked_all).

(** What [a] reported of a slot was not above what is collected. *)
Definition covered (s : abstract) (b : ballot) (votes : table vote) (a i : N) : Prop :=
  exists o, told s (promise a b i o) /\
    rank (RefinementProof.ballot_of o) <= rank (option_map fst (find i votes)).

Definition fits_campaign (s : abstract) (b : ballot) (it : Leader.campaign) : Prop :=
  (forall a, contains (Leader.promises it) a = true ->
     forall i, Leader.decided it <= i -> covered s b (Leader.votes it) a i) /\
  (forall i v, find i (Leader.votes it) = Some v -> exists a, told s (promise a b i (Some v))).

Record fits_leadership (s : abstract) (b : ballot) (r : Leadership.leadership) : Prop :=
  FitsLeadership {
  next_free : forall i, Leadership.next r <= i -> is_free s b i /\ forall e,
    ~ told s (accept i b e);
  open_proposed : forall i p, In (i, p) (Leadership.open r) -> i < Leadership.next r /\
    told s (accept i b (Leadership.proposed p)) /\
    forall a, contains (Leadership.voters p) a = true ->
      told s (accepted a i b (Leadership.proposed p));
  rest_chosen : forall i e, told s (accept i b e) ->
    is_chosen s i e \/ exists p, find i (Leadership.open r) = Some p /\ Leadership.proposed p = e;
  queue_asked : forall q, In q (Leadership.queue r) -> asked q }.

Definition fits_phase (s : abstract) (b : ballot) (ph : Leader.phase) : Prop :=
  match ph with
  | Leader.Preparing it => fits_campaign s b it
  | Leader.Leading r => fits_leadership s b r
  | _ => True
  end.

Definition is_preparing (ph : Leader.phase) : bool :=
  match ph with Leader.Preparing _ => true | _ => false end.

(** What a proposer in this state may have said: what it asked an acceptor for, it has
    collected below; and how far it said that all is chosen, it proposes beyond. *)
Definition may_have_said (s : abstract) (l : Leader.leader) (to : N) (m : message) : Prop :=
  match m with
  | Prepare b x | Continue b x => up b <= rank (Leader.current l) /\
      (Leader.current l = Some b ->
       match Leader.progress l with
       | Leader.Preparing it => forall i, Leader.decided it <= i -> i < x ->
           covered s b (Leader.votes it) to i
       | _ => True
       end)
  | Decided b upto | Heartbeat b _ upto => node b = me /\ up b <= rank (Leader.current l) /\
      (Leader.current l = Some b ->
       match Leader.progress l with
       | Leader.Preparing _ => False
       | Leader.Leading r => upto <= Leadership.next r
       | _ => True
       end)
  | _ => True
  end.

Record fits_leader (s : abstract) (said : N -> message -> Prop) (l : Leader.leader) : Prop :=
  FitsLeader {
  ballots_used : forall i b e, node b = me -> told s (accept i b e) ->
    up b <= rank (Leader.current l) /\
    (Leader.current l = Some b -> is_preparing (Leader.progress l) = false);
  phase_fits : match Leader.progress l with
    | Leader.Preparing _ | Leader.Leading _ => exists b,
        Leader.current l = Some b /\ node b = me /\ fits_phase s b (Leader.progress l)
    | _ => True
    end;
  said_fits : forall to m, said to m -> may_have_said s l to m }.

(** ** What others do, and what it says itself *)

Lemma covered_stays s s' b votes a i : grows s s' -> covered s b votes a i ->
  covered s' b votes a i.
Proof. intros M (o & T & L). exists o. auto. Qed.

Lemma fits_campaign_stays s s' b it : grows s s' -> fits_campaign s b it -> fits_campaign s' b it.
Proof.
  intros M [A B]. split.
  - intros a Ha i Hi. eauto using covered_stays.
  - intros i v H. destruct (B i v H) as (a & T). eauto.
Qed.

Lemma fits_leadership_stays s s' b r : grows s s' ->
  (forall i e, told s' (accept i b e) -> told s (accept i b e)) ->
  fits_leadership s b r -> fits_leadership s' b r.
Proof.
  intros M N [A B C D]. constructor; auto.
  - intros i Hi. destruct (A i Hi) as [F U]. split; [eauto using is_free_stays|].
    intros e T. exact (U e (N _ _ T)).
  - intros i p H. destruct (B i p H) as (L & T & V). repeat split; auto.
  - intros i e T. destruct (C i e (N _ _ T)) as [Ch|P]; [left; eauto using chosen_stays|auto].
Qed.

Lemma fits_phase_stays s s' b ph : grows s s' ->
  (forall i e, told s' (accept i b e) -> told s (accept i b e)) ->
  fits_phase s b ph -> fits_phase s' b ph.
Proof.
  intros M N. destruct ph; cbn; auto; [now apply fits_campaign_stays|now apply
    fits_leadership_stays].
Qed.

Lemma may_have_said_stays s s' l to m : grows s s' -> may_have_said s l to m ->
  may_have_said s' l to m.
Proof.
  intros M. destruct m; cbn; auto; intros [U P]; split; auto; intro E; specialize (P E);
    destruct (Leader.progress l); auto; intros i H1 H2; eauto using covered_stays.
Qed.

Lemma fits_leader_stays s s' said l : grows s s' ->
  (forall i b e, node b = me -> told s' (accept i b e) -> told s (accept i b e)) ->
  fits_leader s said l -> fits_leader s' said l.
Proof.
  intros M N [A B C]. constructor.
  - intros i b e Hb T. eauto.
  - destruct (Leader.progress l) eqn:E; auto; destruct B as (b & ? & ? & ?);
      exists b; (split; [auto|split; [auto|]]); apply (fits_phase_stays s s' b _ M); auto;
    intros; eauto.
  - intros to m H. eauto using may_have_said_stays.
Qed.

Lemma fits_leader_says s (said said' : N -> message -> Prop) l :
  (forall to m, said' to m -> said to m \/ may_have_said s l to m) ->
  fits_leader s said l -> fits_leader s said' l.
Proof.
  intros H [A B C]. constructor; auto. intros to m Hm. destruct (H to m Hm); auto.
Qed.

(** ** Giving up, and beginning anew *)

Lemma abandon_ok s said l ph : fits_leader s said l ->
  match ph with Leader.Following | Leader.Preempted _ => True | _ => False end ->
  fits_leader s said (Leader.Leader (Leader.current l) ph).
Proof.
  intros [A B C] P. constructor; cbn.
  - intros i b e Hb T. destruct (A i b e Hb T) as [U _]. split; auto. intros _.
    now destruct ph.
  - now destruct ph.
  - intros to m H. specialize (C to m H). destruct m; cbn in *; auto.
    + destruct C as [U _]. split; auto. intros _. destruct ph; auto; contradiction.
    + destruct C as [U _]. split; auto. intros _. destruct ph; auto; contradiction.
    + destruct C as (O & U & _). repeat split; auto. intros _. destruct ph; auto; contradiction.
    + destruct C as (O & U & _). repeat split; auto. intros _. destruct ph; auto; contradiction.
Qed.

Lemma prepare_ok s said l heard decided last l' m : me < width -> fits_leader s said l ->
  Leader.prepare l me heard decided last = (l', m) ->
  fits_leader s said l' /\
  (forall m', m = Some m' -> exists b, m' = Prepare b decided /\
     forall to, may_have_said s l' to m').
Proof.
  intros W F. unfold Leader.prepare.
  set (outbid := match Leader.progress l with Leader.Preempted b => Some b | _ => None end).
  set (seen := max (max (Leader.current l) outbid) heard).
  assert (Above : rank (Leader.current l) < rank (Some (above seen me))).
  { pose proof (above_is_above seen me).
    assert (rank (Leader.current l) <= rank seen) by (unfold seen; rewrite !rank_max; lia). lia. }
  destruct (last <? _); intros [= <- <-]; [split; [exact F|discriminate]|].
  split.
  - destruct F as [A B C]. constructor; cbn [Leader.current Leader.progress].
    + (* a new ballot: nothing was proposed in it *)
      intros i b e Hb T. destruct (A i b e Hb T) as [L _]. split; [lia|].
      intros [= E]. unfold up in L. rewrite E in Above. lia.
    + exists (above seen me). split; [reflexivity|]. split; [now apply node_above|]. split.
      * intros a Ha. discriminate Ha.
      * discriminate.
    + (* nor was anything said of it *)
      assert (New : forall b, up b <= rank (Leader.current l) ->
        up b <= rank (Some (above seen me)) /\ Some (above seen me) <> Some b).
      { intros b L. split; [lia|]. intros [= E]. unfold up in L. rewrite E in Above. lia. }
      intros to m H. specialize (C to m H). destruct m; cbn in *; auto.
      * destruct C as [U _]. destruct (New b U). split; [auto|contradiction].
      * destruct C as [U _]. destruct (New b U). split; [auto|contradiction].
      * destruct C as (O & U & _). destruct (New b U). repeat split; [auto|auto|contradiction].
      * destruct C as (O & U & _). destruct (New b U). repeat split; [auto|auto|contradiction].
  - intros m' [= <-]. exists (above seen me). split; [reflexivity|]. intro to. cbn.
    split; [unfold up; cbn; lia|]. intros _ i L1 L2. lia.
Qed.

(** ** Leading *)

Lemma fits_leader_leadership s said l b r r' : fits_leader s said l ->
  Leader.current l = Some b -> Leader.progress l = Leader.Leading r ->
  fits_leadership s b r' -> Leadership.next r <= Leadership.next r' ->
  fits_leader s said (Leader.Leader (Leader.current l) (Leader.Leading r')).
Proof.
  intros [A B C] Hb Hr F L. constructor; cbn.
  - intros i b' e O T. destruct (A i b' e O T). auto.
  - rewrite Hr in B. destruct B as (b' & Hb' & O & _).
    assert (b' = b) as -> by congruence. exists b. exact (conj Hb (conj O F)).
  - intros to m H. specialize (C to m H). unfold may_have_said in *. rewrite Hr in C.
    destruct m; cbn in *; auto.
    + destruct C as (O & U & P). repeat split; auto. intro E. specialize (P E). lia.
    + destruct C as (O & U & P). repeat split; auto. intro E. specialize (P E). lia.
Qed.

Lemma leading_fits s said l b r : fits_leader s said l ->
  Leader.current l = Some b -> Leader.progress l = Leader.Leading r ->
  fits_leadership s b r /\ node b = me.
Proof.
  intros [_ B _] Hb Hr. rewrite Hr in B. destruct B as (b' & Hb' & O & F).
  assert (b' = b) as -> by congruence. auto.
Qed.

(** What does not touch proposals. *)
Lemma fits_leadership_same s b r r' : fits_leadership s b r ->
  Leadership.next r' = Leadership.next r -> Leadership.open r' = Leadership.open r ->
  (forall q, In q (Leadership.queue r') -> asked q) -> fits_leadership s b r'.
Proof.
  intros [A B C D] En Eo Q. constructor; rewrite ?En, ?Eo; auto.
Qed.

Lemma chosen_below_ok s b r : fits_leadership s b r ->
  settled s b (Leadership.chosen_below r) /\ Leadership.chosen_below r <= Leadership.next r.
Proof.
  intros F. unfold Leadership.chosen_below. split.
  - intros i e L T. destruct (rest_chosen _ _ _ F i e T) as [Ch|(p & H & _)]; auto.
    apply (lowest_below _ (Leadership.next r)) in H. lia.
  - pose proof (open_proposed _ _ _ F) as B. destruct (Leadership.open r) as [|[k p] rest] eqn:E;
      [cbn; lia|]. destruct (B k p (or_introl eq_refl)) as [L _].
    cbn. destruct (fold_min rest k) as [Lo _]. lia.
Qed.

Lemma leadership_learn_ok s b r decided known r' : fits_leadership s b r ->
  (forall i e, known i = Some e -> is_chosen s i e) ->
  Leadership.learn r decided known = (r', true) -> fits_leadership s b r' /\
    Leadership.next r <= Leadership.next r'.
Proof.
  intros [A B C D] K. unfold Leadership.learn. intros [= <- G]. cbn. split; [|lia].
  rewrite forallb_forall in G. constructor; cbn; auto.
  - intros i L. apply A. lia.
  - intros i p H. apply filter_In in H as [H _]. destruct (B i p H) as (L & ?). split; auto. lia.
  - intros i e T. destruct (C i e T) as [Ch|(p & H & E)]; auto. rewrite find_since.
    destruct (N.leb_spec decided i) as [L|L]; [eauto|]. left.
    apply find_in in H as In. specialize (G _ In). cbn in G.
    destruct (N.leb_spec decided i); [lia|]. cbn in G.
    destruct (known i) as [e'|] eqn:Ke; [|discriminate]. unfold is_entry in G.
    destruct (entry_eq e' (Leadership.proposed p)) as [Eq|]; [|discriminate].
    apply K in Ke. congruence.
Qed.

Lemma leader_learn_ok s said l decided known l' goes_on : fits_leader s said l ->
  (forall i e, known i = Some e -> is_chosen s i e) ->
  Leader.learn l decided known = (l', goes_on) -> fits_leader s said l'.
Proof.
  intros F K. unfold Leader.learn. destruct (Leader.progress l) eqn:P;
    try (intros [= <- <-]; exact F).
  destruct (Leadership.learn it decided known) as [r g] eqn:E. intros [= <- <-].
  destruct g; [|now apply abandon_ok].
  pose proof F as [_ B _]. rewrite P in B. destruct B as (b & Hb & O & R).
  destruct (leadership_learn_ok _ _ _ _ _ _ R K E) as [R' L].
  exact (fits_leader_leadership s said l b it r F Hb P R' L).
Qed.

Lemma on_accepted_ok s b r from slot r' chosen : valid s -> fits_leadership s b r ->
  (exists e, told s (accepted from slot b e)) ->
  Leadership.on_accepted (quorums c) r from slot = (r', chosen) ->
  fits_leadership s b r' /\ Leadership.next r' = Leadership.next r /\
  (forall e, chosen = Some e -> is_chosen s slot e).
Proof.
  intros V F (e & T). unfold Leadership.on_accepted. destruct (negb _);
    [intros [= <- <-]; split; [auto|split; [auto|discriminate]]|].
  destruct (find slot (Leadership.open r)) as [p|] eqn:H;
    [|intros [= <- <-]; split; [auto|split; [auto|discriminate]]].
  pose proof (find_in _ _ _ H) as Hin.
  destruct (open_proposed _ _ _ F _ _ Hin) as (L & Tp & Vo).
  assert (e = Leadership.proposed p) as ->.
  { apply (accept_once c cluster_sound s slot b e _ V); [|exact Tp].
    exact (accepted_accept c cluster_sound s from slot b e V T). }
  assert (Vo' : forall a, contains (insert (Leadership.voters p) from) a = true ->
    told s (accepted a slot b (Leadership.proposed p))).
  { intros a Ha. rewrite contains_insert in Ha. destruct (N.eqb_spec from a); [now subst|auto]. }
  cbn [Leadership.voters Leadership.proposed].
  destruct (is_phase2 _ _) eqn:Q; intros [= <- <-]; destruct F as [A B C D].
  - assert (Ch : is_chosen s slot (Leadership.proposed p))
      by exact (votes_choose c cluster_sound s slot b _ _ Q Vo').
    split; [|split; [reflexivity|now intros e [= <-]]]. constructor; cbn; auto.
    + intros i q Hq. apply filter_In in Hq as [Hq _]. auto.
    + intros i e Ti. destruct (C i e Ti) as [?|(q & Hq & E)]; auto. rewrite find_drop.
      destruct (N.eqb_spec i slot) as [->|]; [left; congruence|eauto].
  - split; [|split; [reflexivity|discriminate]]. constructor; cbn; auto.
    + intros i q Hq. apply in_put in Hq as [[= -> ->]|Hq]; cbn; auto.
    + intros i e Ti. destruct (C i e Ti) as [?|(q & Hq & E)]; auto. right. rewrite find_put.
      destruct (N.eqb_spec i slot) as [->|]; [|eauto]. eexists. split; [reflexivity|].
      cbn. congruence.
Qed.

(** ** Proposing *)

(** What filling slots does to a leadership. *)
Record filled (r r' : Leadership.leadership) (l : list (N * entry)) : Prop := Filled {
  filled_next : Leadership.next r <= Leadership.next r';
  filled_slots : forall i e, In (i, e) l -> Leadership.next r <= i < Leadership.next r';
  filled_once : NoDup (map fst l);
  filled_open : forall i p, In (i, p) (Leadership.open r') -> In (i, p) (Leadership.open r) \/
    exists e, p = Leadership.Proposal e 0 /\ In (i, e) l;
  filled_kept : forall i p, i < Leadership.next r -> find i (Leadership.open r) = Some p ->
    find i (Leadership.open r') = Some p;
  filled_found : forall i e, In (i, e) l -> find i (Leadership.open r') = Some
    (Leadership.Proposal e 0);
  filled_from : forall i e q, In (i, e) l -> In q (requests_of e) -> In q (Leadership.queue r);
  filled_queue : forall q, In q (Leadership.queue r') -> In q (Leadership.queue r) }.

Lemma firstn_in {X} n (l : list X) x : In x (firstn n l) -> In x l.
Proof. intro H. rewrite <- (firstn_skipn n l). apply in_or_app. auto. Qed.
Lemma skipn_in {X} n (l : list X) x : In x (skipn n l) -> In x l.
Proof. intro H. rewrite <- (firstn_skipn n l). apply in_or_app. auto. Qed.

Lemma fill_filled e lim fuel : forall r r' l, Leadership.fill e lim fuel r = (r', l)
  -> filled r r' l.
Proof.
  induction fuel as [|fuel IH]; cbn; intros r r' l.
  { intros [= <- <-]. constructor; cbn; auto; try contradiction; try lia. constructor. }
  destruct (_ && _).
  2: { intros [= <- <-]. constructor; cbn; auto; try contradiction; try lia. constructor. }
  match goal with |- context [Leadership.fill e lim fuel ?r0] => set (r1 := r0) end.
  destruct (Leadership.fill e lim fuel r1) as [r2 more] eqn:E. intros [= <- <-].
  apply IH in E as [A B C D F G H I]. cbn in A, B, C, D, F, H, I. constructor; cbn.
  - lia.
  - intros i x [[= <- <-]|Hx]; [lia|]. specialize (B _ _ Hx). lia.
  - constructor; auto. intro Hn. apply in_map_iff in Hn as ([i x] & Ei & Hx). cbn in Ei. subst i.
    specialize (B _ _ Hx). lia.
  - intros i p Hp. destruct (D i p Hp) as [Hp'|(x & -> & Hx)]; [|right; eauto].
    apply in_put in Hp' as [[= -> ->]|?]; [right; eauto|auto].
  - intros i p L Hp. apply F; [lia|]. unfold Leadership.propose. rewrite find_put.
    destruct (N.eqb_spec i (Leadership.next r)); [lia|auto].
  - intros i x [[= <- <-]|Hx]; [|auto]. apply F; [lia|]. unfold Leadership.propose.
    now rewrite find_put, N.eqb_refl.
  - intros i x q [[= <- <-]|Hx] Hq; [cbn in Hq; eauto using firstn_in|].
    eapply skipn_in. eauto.
  - intros q Hq. eapply skipn_in. eauto.
Qed.

Lemma fill_ok s said l b r e lim fuel r' props : valid s -> fits_leader s said l ->
  Leader.current l = Some b -> Leader.progress l = Leader.Leading r ->
  Leadership.fill e lim fuel r = (r', props) ->
  exists s', moves me s s' /\ proposes s s' b props /\
    (forall i e, In (i, e) props -> Leadership.next r <= i) /\
    fits_leader s' said (Leader.Leader (Leader.current l) (Leader.Leading r')).
Proof.
  intros V F Hb Hr Fi. apply fill_filled in Fi.
  destruct (leading_fits _ _ _ _ _ F Hb Hr) as [R O].
  destruct (propose_all c cluster_sound me asked_all b props s V O) as (s' & M & P).
  { apply Fi. }
  { intros i x Hx. destruct (next_free _ _ _ R i) as [Free New];
      [destruct (filled_slots _ _ _ Fi _ _ Hx); auto|]. split; auto. left. split; auto.
    intros q Hq. apply (queue_asked _ _ _ R). eapply filled_from; eauto. }
  exists s'. split; [exact M|]. split; [exact P|].
  split; [intros i x Hx; apply (filled_slots _ _ _ Fi _ _ Hx)|].
  pose proof (moves_grow _ _ _ _ M) as Gr.
  assert (R' : fits_leadership s' b r').
  { constructor.
    - intros i L. destruct (next_free _ _ _ R i) as [Free New]; [pose proof (filled_next _ _ _ Fi);
        lia|]. split; [eauto using is_free_stays|]. intros x T.
      apply (new_accepts _ _ _ _ _ _ P) in T as [T|[_ T]]; [exact (New _ T)|].
      apply (filled_slots _ _ _ Fi) in T. lia.
    - intros i p Hp. destruct (filled_open _ _ _ Fi _ _ Hp) as [Hp'|(x & -> & Hx)].
      + destruct (open_proposed _ _ _ R _ _ Hp') as (L & T & Vo).
        pose proof (filled_next _ _ _ Fi). repeat split; auto. lia.
      + split; [apply (filled_slots _ _ _ Fi _ _ Hx)|]. cbn. split; [|discriminate].
        apply (new_accepts _ _ _ _ _ _ P). auto.
    - intros i x T. apply (new_accepts _ _ _ _ _ _ P) in T as [T|[_ Hx]].
      + destruct (rest_chosen _ _ _ R _ _ T) as [Ch|(p & Hp & E)];
          [left; eauto using chosen_stays|]. right. exists p. split; auto.
        apply (filled_kept _ _ _ Fi); auto.
        apply find_in in Hp. apply (open_proposed _ _ _ R _ _ Hp).
      + right. eexists. split; [apply (filled_found _ _ _ Fi _ _ Hx)|reflexivity].
    - intros q Hq. apply (queue_asked _ _ _ R). eapply filled_queue; eauto. }
  destruct F as [A B C]. constructor; cbn.
  - intros i k x Hk T. apply (new_accepts _ _ _ _ _ _ P) in T as [T|[-> Hx]].
    + destruct (A i k x Hk T). auto.
    + split; [rewrite Hb; unfold up; cbn; lia|auto].
  - exists b. auto.
  - intros to m H. specialize (C to m H). unfold may_have_said in *. rewrite Hr in C.
    destruct m; cbn in *; auto.
    + destruct C as (X & U & Y). repeat split; auto. intro E. specialize (Y E).
      pose proof (filled_next _ _ _ Fi). lia.
    + destruct C as (X & U & Y). repeat split; auto. intro E. specialize (Y E).
      pose proof (filled_next _ _ _ Fi). lia.
Qed.

(** ** Phase 1 *)

Lemma collect_ok reported : forall known,
  (forall i, rank (option_map fst (find i known))
     <= rank (option_map fst (find i (Leader.collect reported known)))) /\
  (forall i v, In (i, v) reported ->
     rank (Some (fst v)) <= rank (option_map fst (find i (Leader.collect reported known)))) /\
  (forall i v, find i (Leader.collect reported known) = Some v ->
     find i known = Some v \/ In (i, v) reported).
Proof.
  induction reported as [|[j w] rest IH]; intro known.
  { split; [intro; apply N.le_refl|]. split; [intros ? ? []|auto]. }
  unfold Leader.collect. cbn [fold_left fst snd].
  set (known' := if rank (option_map fst (find j known)) <? rank (Some (fst w))
    then put j w known else known).
  change (fold_left _ rest known') with (Leader.collect rest known').
  destruct (IH known') as (A & B & C).
  assert (Up : forall i, rank (option_map fst (find i known))
    <= rank (option_map fst (find i known'))).
  { intro i. unfold known'. destruct (N.ltb_spec (rank (option_map fst (find j known)))
      (rank (Some (fst w)))) as [L|L]; [|apply N.le_refl]. rewrite find_put.
    destruct (N.eqb_spec i j) as [->|]; [|apply N.le_refl]. cbn [option_map].
    now apply N.lt_le_incl. }
  assert (New : rank (Some (fst w)) <= rank (option_map fst (find j known'))).
  { unfold known'. destruct (N.ltb_spec (rank (option_map fst (find j known)))
      (rank (Some (fst w)))) as [L|L]; [|exact L]. rewrite find_put, N.eqb_refl. apply N.le_refl. }
  split; [|split].
  - intro i. exact (N.le_trans _ _ _ (Up i) (A i)).
  - intros i v [[= <- <-]|H]; [exact (N.le_trans _ _ _ New (A j))|auto].
  - intros i v H. destruct (C i v H) as [K|K]; [|right; now right]. unfold known' in K.
    destruct (_ <? _); [|auto]. rewrite find_put in K.
    destruct (N.eqb_spec i j) as [->|]; [|auto]. inversion K; subst. right. now left.
Qed.

Lemma slots_from_ok n : forall first i, In i (Leadership.slots_from first n) <->
  first <= i < first + N.of_nat n.
Proof.
  induction n as [|n IH]; cbn [Leadership.slots_from]; intros first i; [cbn; lia|].
  cbn [In]. rewrite IH. lia.
Qed.

Lemma slots_from_once n : forall first, NoDup (Leadership.slots_from first n).
Proof.
  induction n as [|n IH]; cbn; intro first; constructor; auto.
  rewrite slots_from_ok. lia.
Qed.

Lemma fold_propose_ok (l : list (N * entry)) : forall t, NoDup (map fst l) ->
  let t' := fold_left (fun t it => Leadership.propose (fst it) (snd it) t) l t in
  (forall i p, In (i, p) t' -> In (i, p) t \/ exists e, p = Leadership.Proposal e 0 /\
    In (i, e) l) /\
  (forall i e, In (i, e) l -> find i t' = Some (Leadership.Proposal e 0)) /\
  (forall i, ~ In i (map fst l) -> find i t' = find i t).
Proof.
  induction l as [|[j e] l IH]; intros t ND; cbn.
  { split; [auto|]. split; [intros ? ? []|auto]. }
  inversion ND as [|? ? NI ND']; subst. destruct (IH (Leadership.propose j e t) ND') as (A & B & C).
  split; [|split].
  - intros i p H. destruct (A i p H) as [K|(x & -> & K)]; [|right; eauto].
    apply in_put in K as [[= -> ->]|K]; [right; eauto|auto].
  - intros i x [[= <- <-]|H]; [|auto]. rewrite C by exact NI. unfold Leadership.propose.
    now rewrite find_put, N.eqb_refl.
  - intros i H. rewrite C by tauto. unfold Leadership.propose. rewrite find_put.
    destruct (N.eqb_spec i j); [subst; tauto|auto].
Qed.

Lemma is_phase1_ok (P : N -> Prop) heard b : is_phase1 (quorums c) heard = true ->
  (forall a, contains heard a = true -> P a) -> Core.phase1 S b P.
Proof.
  intros Q H. exists (intersection heard (acceptors (quorums c))). split; [|split; [exact Q|]].
  - apply is_subset_spec. intro a. rewrite contains_intersection.
    destruct (contains heard a); [auto|discriminate].
  - intro a. rewrite contains_intersection, andb_true_iff. intros [Ha _]. auto.
Qed.

(** What a promise leads to: nothing but news for the leader, or proposals. *)
Definition leads_to (s s' : abstract) (l l' : Leader.leader) (props : option Leadership.proposals)
    : Prop :=
  match props with
  | None => s' = s
  | Some props => exists b, Leader.current l = Some b /\ Leader.current l' = Some b /\
      is_preparing (Leader.progress l) = true /\ proposes s s' b props
  end.

Lemma on_promise_ok s said l from b x reported base decided more l' props : valid s ->
  fits_leader s said l -> is_acceptor c from = true ->
  said from (Prepare b x) \/ said from (Continue b x) ->
  reports c s from b x reported base more -> base <= decided ->
  Leader.on_promise l from b reported decided (negb (is_some more)) (quorums c) = (l', props) ->
  exists s', moves me s s' /\ leads_to s s' l l' props /\ fits_leader s' said l' /\
    (forall slot, more = Some slot -> Leader.is_past_promise l from b = false ->
       may_have_said s' l' from (Continue b slot)).
Proof.
  intros V F Acc Asked (Ord & Rep) Base. unfold Leader.on_promise.
  (* it asked, so the ballot is its own *)
  assert (Ask : up b <= rank (Leader.current l) /\ (Leader.current l = Some b ->
    match Leader.progress l with
    | Leader.Preparing it => forall i, Leader.decided it <= i -> i < x ->
        covered s b (Leader.votes it) from i
    | _ => True
    end)).
  { destruct Asked as [H|H]; exact (said_fits _ _ _ F _ _ H). }
  destruct Ask as [Ub Ask].
  assert (Same : Leader.is_past_promise l from b = true ->
    exists s', moves me s s' /\ leads_to s s' l l None /\ fits_leader s' said l /\
    (forall slot, more = Some slot -> Leader.is_past_promise l from b = false ->
       may_have_said s' l from (Continue b slot))).
  { intro Past. exists s. split; [apply no_move|]. split; [reflexivity|]. split; [exact F|].
    intros slot _ E. congruence. }
  unfold is_acceptor in Acc. rewrite Acc, orb_false_r. unfold Leader.is_past_promise in Same |- *.
  destruct (is_ballot (Leader.current l) b) eqn:Ib; cbn [negb].
  2: { intros [= <- <-]. apply Same. rewrite orb_false_r. apply N.ltb_lt.
    destruct (Leader.current l) as [k|]; cbn in *; [|unfold up in Ub; cbn in Ub; lia].
    apply N.eqb_neq in Ib. unfold up in Ub. cbn in Ub. lia. }
  apply is_ballot_true in Ib. specialize (Ask Ib).
  destruct (Leader.progress l) as [|it|r|k] eqn:Ph;
    try (intros [= <- <-]; apply Same; rewrite orb_true_r; reflexivity).
  destruct (contains (Leader.promises it) from) eqn:Known.
  { intros [= <- <-]. apply Same. now rewrite orb_true_r. }
  clear Same.
  pose proof F as [A B C]. rewrite Ph in B. destruct B as (b' & Hb' & Own & Cov & Src).
  assert (b' = b) as -> by congruence. clear Hb'.
  assert (Unused : forall i e, ~ told s (accept i b e)).
  { intros i e T. destruct (A i b e Own T) as [_ N]. specialize (N Ib). rewrite Ph in N.
    discriminate. }
  destruct Rep as [(i & e & T)|[RepIn RepFind]]; [destruct (Unused _ _ T)|].
  destruct (collect_ok reported (Leader.votes it)) as (Keep & High & From).
  set (d := N.max (Leader.decided it) decided).
  set (votes := since d (Leader.collect reported (Leader.votes it))).
  set (promises := if negb (is_some more) then insert (Leader.promises it) from
    else Leader.promises it).
  assert (Find : forall i, d <= i ->
    find i votes = find i (Leader.collect reported (Leader.votes it))).
  { intros i L. unfold votes. rewrite find_since. destruct (N.leb_spec d i); [auto|lia]. }
  (* what was covered is covered still, and what is reported now as well *)
  assert (Still : forall a i, d <= i -> covered s b (Leader.votes it) a i ->
    covered s b votes a i).
  { intros a i L (o & T & R). exists o. split; auto. rewrite (Find i L).
    exact (N.le_trans _ _ _ R (Keep i)). }
  assert (Now : forall i, d <= i -> match more with Some y => i < y | None => True end ->
    covered s b votes from i).
  { intros i L M. destruct (N.lt_ge_cases i x) as [Lx|Gx].
    - apply Still; auto. apply Ask; [unfold d in L; lia|exact Lx].
    - exists (find i reported). split; [apply RepFind; [exact Gx|unfold d in L; lia|exact M]|].
      rewrite (Find i L). destruct (find i reported) as [v|] eqn:E; [|apply N.le_0_l].
      apply find_in in E. exact (High _ _ E). }
  assert (Cov' : forall a, contains promises a = true -> forall i, d <= i ->
    covered s b votes a i).
  { intros a Ha i L. unfold promises in Ha. destruct more as [y|]; cbn [is_some negb] in Ha.
    - apply Still; auto. apply (Cov a Ha). unfold d in L. lia.
    - rewrite contains_insert in Ha. destruct (N.eqb_spec from a) as [Eq|NE].
      + rewrite <- Eq. now apply Now.
      + apply Still; auto. apply (Cov a Ha). unfold d in L. lia. }
  assert (Src' : forall i v, find i votes = Some v -> exists a, told s (promise a b i (Some v))).
  { intros i v H. unfold votes in H. rewrite find_since in H. destruct (d <=? i); [|discriminate].
    destruct (From i v H) as [K|K]; [exact (Src i v K)|]. exists from. now apply RepIn. }
  set (it' := Leader.Campaign (Leader.from it) promises votes d).
  (* what it said before fits what it has collected now *)
  assert (Said : forall ph, match ph with
      | Leader.Preparing it0 => it0 = it'
      | Leader.Leading _ => True
      | _ => False
      end -> forall s1, grows s s1 -> forall to m, said to m ->
    may_have_said s1 (Leader.Leader (Leader.current l) ph) to m).
  { intros ph Hph s1 M to m H. specialize (C to m H). unfold may_have_said in *. rewrite Ph in C.
    destruct m; cbn in *; auto.
    - destruct C as [U P]. split; auto. intro E. specialize (P E). destruct ph; auto. subst.
      assert (b0 = b) as -> by congruence.
      intros i L1 L2. cbn in *. eapply covered_stays; [exact M|]. apply Still; auto. apply P; auto.
      unfold d in L1. lia.
    - destruct C as [U P]. split; auto. intro E. specialize (P E). destruct ph; auto. subst.
      assert (b0 = b) as -> by congruence.
      intros i L1 L2. cbn in *. eapply covered_stays; [exact M|]. apply Still; auto. apply P; auto.
      unfold d in L1. lia.
    - destruct C as (X & U & P). repeat split; auto. intro E. destruct (P E).
    - destruct C as (X & U & P). repeat split; auto. intro E. destruct (P E). }
  destruct (negb (is_phase1 _ _) || _) eqn:Few.
  - intros [= <- <-]. exists s. split; [apply no_move|]. split; [reflexivity|]. split.
    + constructor; cbn [Leader.current Leader.progress].
      * intros i k e Hk T. destruct (A i k e Hk T) as [U N]. split; auto. intro E.
        specialize (N E). rewrite Ph in N. discriminate.
      * exists b. split; [exact Ib|]. split; [exact Own|]. split; auto.
      * apply (Said (Leader.Preparing it')); [reflexivity|]. intros m T. exact T.
    + intros slot -> _. cbn. split; [exact Ub|]. intros _ i L1 L2. now apply Now.
  - apply orb_false_iff in Few as [Q _]. apply negb_false_iff in Q.
    destruct (Leadership.begin d (Leader.barrier it') votes) as [r props'] eqn:Bg.
    intros [= <- <-]. unfold Leadership.begin in Bg. inversion Bg as [[Hr Hp]]. clear Bg.
    set (slots := Leadership.slots_from d (N.to_nat (Leader.barrier it' - d))) in *.
    set (ps := map (fun slot => (slot, Leadership.adopt votes slot)) slots) in *.
    assert (Once : NoDup (map fst ps)).
    { unfold ps. rewrite map_map. cbn. rewrite map_id. apply slots_from_once. }
    assert (In_ps : forall i e, In (i, e) ps <->
      d <= i < Leader.barrier it' /\ e = Leadership.adopt votes i).
    { intros i e. unfold ps. rewrite in_map_iff. split.
      - intros (j & [= <- <-] & H). apply slots_from_ok in H. split; [lia|reflexivity].
      - intros [L ->]. exists i. split; [reflexivity|]. apply slots_from_ok. lia. }
    destruct (propose_all c cluster_sound me asked_all b ps s V Own Once) as (s' & M & P).
    { intros i e Hi. apply In_ps in Hi as [L ->]. split; [apply Unused|].
      unfold Leadership.adopt. destruct (find i votes) as [[k w]|] eqn:E; cbn [snd].
      - right. exists k. split; [|exact (Src' i _ E)].
        apply (is_phase1_ok _ promises); auto. intros a Ha.
        destruct (Cov' a Ha i) as (o & T & R); [lia|]. rewrite E in R. eauto.
      - left. split; [intros ? []|]. apply (is_phase1_ok _ promises); auto. intros a Ha.
        destruct (Cov' a Ha i) as (o & T & R); [lia|]. rewrite E in R.
        destruct o as [v|]; [cbn in R; lia|exact T]. }
    exists s'. split; [exact M|].
    pose proof (moves_grow _ _ _ _ M) as Gr.
    split; [exists b; exact (conj Ib (conj Ib (conj (f_equal is_preparing Ph) P)))|]. split.
    + destruct (fold_propose_ok ps [] Once) as (OpIn & OpFind & _). constructor; cbn.
      * intros i k e Hk T. apply (new_accepts _ _ _ _ _ _ P) in T as [T|[-> _]].
        -- destruct (A i k e Hk T) as [U _]. auto.
        -- rewrite Ib. unfold up. cbn. split; [lia|auto].
      * exists b. split; [exact Ib|]. split; [exact Own|]. constructor; cbn.
        -- intros i L. split.
           ++ apply (is_phase1_ok _ promises); auto. intros a Ha.
              assert (Ld : d <= i).
              { unfold Leader.barrier in L. cbn in L. unfold after_highest in L.
                destruct votes as [|[k v] rest] eqn:Ev; [lia|].
                destruct (fold_max rest k) as [Lk _].
                enough (d <= k) by lia.
                assert (Hk : find k ((k, v) :: rest) = Some v) by (cbn; now rewrite N.eqb_refl).
                rewrite <- Ev in Hk. unfold votes in Hk. rewrite find_since in Hk.
                destruct (N.leb_spec d k); [auto|discriminate]. }
              destruct (Cov' a Ha i Ld) as (o & T & R).
              destruct (find i votes) as [v|] eqn:E.
              ** apply (below_after_highest _ d) in E. unfold Leader.barrier in L. cbn in L. lia.
              ** destruct o as [v|]; [cbn in R; lia|]. apply Gr. exact T.
           ++ intros e T. apply (new_accepts _ _ _ _ _ _ P) in T as [T|[_ T]];
                [exact (Unused _ _ T)|]. apply In_ps in T. lia.
        -- intros i p Hin. destruct (OpIn i p Hin) as [[]|(e & -> & He)]. cbn.
           split; [apply In_ps in He; lia|]. split; [|discriminate].
           apply (new_accepts _ _ _ _ _ _ P). auto.
        -- intros i e T. apply (new_accepts _ _ _ _ _ _ P) in T as [T|[_ T]];
             [destruct (Unused _ _ T)|]. right. eexists. split; [apply (OpFind _ _ T)|reflexivity].
        -- contradiction.
      * apply (Said (Leader.Leading _) I s' Gr).
    + intros slot -> _. cbn. split; [exact Ub|auto].
Qed.

End Leader.
