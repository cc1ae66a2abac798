(** * The roles of Multi-Paxos keep to the general system

    Acceptor, leader and learner, one after the other: how the state of each stands to a
    state of [Core], and that its handlers keep it so. *)

From Coq Require Import NArith Arith List Lia Bool.
From Synod Require Import Vocabulary Quorum.
From Synod Require Core CoreProof.
From Synod.multi Require Import Table Session Log Snapshot Protocol Node Network RefinementProof.
From Synod.multi Require Acceptor Leadership Leader Learner.
Import ListNotations.
Open Scope N_scope.

Ltac open := unfold told, promise, accept, accepted, propose in *.
Ltac events := cbn in *; unfold Core.send, Core.send_promise, Core.update, Core.update_slot in *;
  cbn in *.

Section Roles.
Variable c : cluster.
Hypothesis cluster_sound : sound c.

Notation S := (setting_of entry entry_eq (quorums c)).
Notation abstract := (Core.state S).
Notation event := (Core.event S).
Notation told := (told c).
Notation promise := (promise c).
Notation accept := (accept c).
Notation accepted := (accepted c).
Notation propose := (propose c).
Notation is_chosen := (is_chosen c).
Notation used := (used c).
Notation settled := (settled c).
Notation is_prefix := (is_prefix c).
Notation valid := (valid c).
Notation moves := (moves c).
Notation grows := (grows c).
Notation is_free := (is_free c).
Notation is_bound := (is_bound c).

(** ** The acceptor *)

Record fits_acceptor (s : abstract) (me : N) (a : Acceptor.acceptor) : Prop := FitsAcceptor {
  promise_fits : Core.promised s me = rank (Acceptor.promised a);
  votes_fit : forall i, Acceptor.base a <= i ->
    Core.votes s me i = up_vote (find i (Acceptor.votes a));
  votes_ordered : ordered (Acceptor.votes a);
  votes_from_base : forall i v, find i (Acceptor.votes a) = Some v -> Acceptor.base a <= i;
  (** What it would report now is what it promised, as long as nobody votes in the ballot. *)
  report_fits : forall b, Acceptor.promised a = Some b -> used s b \/
    forall i, Acceptor.base a <= i -> told s (promise me b i (find i (Acceptor.votes a))) }.

(** A lease changes nothing. *)
Lemma fits_acceptor_as s me a a' : Acceptor.promised a' = Acceptor.promised a ->
  Acceptor.votes a' = Acceptor.votes a -> Acceptor.base a' = Acceptor.base a ->
  fits_acceptor s me a -> fits_acceptor s me a'.
Proof. intros P V B [A W O F R]. constructor; rewrite ?P, ?V, ?B; auto. Qed.

(** What a promise with these votes says of an acceptor, asked for those from [from] on. *)
Definition reports (s : abstract) (a : N) (b : ballot) (from : N) (votes : table vote)
    (base : N) (more : option N) : Prop :=
  ordered votes /\
  (used s b \/
   (forall i v, In (i, v) votes -> told s (promise a b i (Some v))) /\
   forall i, from <= i -> base <= i -> match more with Some x => i < x | None => True end ->
     told s (promise a b i (find i votes))).

Lemma fitting_ok bytes_of bytes_max t : forall bytes first taken more, ordered t ->
  Acceptor.fitting bytes_of bytes_max bytes first t = (taken, more) ->
  (forall j v, In (j, v) taken -> In (j, v) t) /\ ordered taken /\
  forall i, match more with Some x => i < x | None => True end -> find i taken = find i t.
Proof.
  induction t as [|[slot v] rest IH]; cbn; intros bytes first taken more O E.
  { inversion E; subst. split; [auto|]. split; [exact I|auto]. }
  destruct O as [A O]. destruct (_ && _).
  - inversion E; subst. split; [intros ? ? []|]. split; [exact I|]. intros i L. cbn.
    destruct (N.eqb_spec i slot); [lia|]. symmetry. apply find_none_below.
    intros j x H. specialize (A _ _ H). lia.
  - destruct (Acceptor.fitting _ _ _ _ rest) as [taken' more'] eqn:E'. inversion E; subst.
    destruct (IH _ _ _ _ O E') as (Sub & Ord & Same). split; [|split].
    + intros j x [H|H]; [now left|right; auto].
    + split; auto. intros j x H. exact (A _ _ (Sub _ _ H)).
    + intros i L. cbn. now rewrite Same.
Qed.

Lemma report_ok s me a bytes_of bytes_max b from : fits_acceptor s me a ->
  Acceptor.promised a = Some b ->
  exists votes more,
    Acceptor.report bytes_of bytes_max a b from = Promise b votes (Acceptor.base a) more /\
    reports s me b from votes (Acceptor.base a) more.
Proof.
  intros F P. unfold Acceptor.report.
  destruct (Acceptor.fitting _ _ _ _ _) as [taken more] eqn:E. exists taken, more.
  split; [reflexivity|].
  apply fitting_ok in E as (Sub & O & Same); [|apply ordered_filter, F].
  split; [exact O|]. destruct (report_fits _ _ _ F b P) as [U|R]; [now left|]. right. split.
  { intros i v H. apply Sub, filter_In in H as [H _].
    apply (in_find i v _ (votes_ordered _ _ _ F)) in H. rewrite <- H. apply R.
    exact (votes_from_base _ _ _ F _ _ H). }
  intros i L1 L2 M. rewrite (Same i M), find_since.
  destruct (N.leb_spec from i); [auto|lia].
Qed.

(** The steps of an acceptor: a promise or a vote, or none. *)
Definition acceptor_move (me : N) (s s' : abstract) : Prop :=
  s' = s \/ exists e : event, match e with
    | Core.Phase1b a _ _ => a = me
    | Core.Phase2b a _ _ _ => a = me
    | _ => False
    end /\ Core.guard S s e /\ s' = Core.apply S s e.

Lemma acceptor_moves me s s' : acceptor_move me s s' -> moves me s s'.
Proof.
  intros [->|(e & O & G & ->)]; [apply no_move|]. apply moves_one; auto.
  destruct e; cbn in *; auto; contradiction.
Qed.

Lemma acceptor_move_accept me s s' i b e : acceptor_move me s s' ->
  told s' (accept i b e) -> told s (accept i b e).
Proof.
  intros [->|(ev & O & G & ->)]; auto. destruct ev; try contradiction; intro T; open; events.
  - destruct T as [?|(? & _ & ?)]; [auto|discriminate].
  - destruct T as [?|?]; [auto|discriminate].
Qed.

Lemma acceptor_move_propose me s s' e : acceptor_move me s s' ->
  told s' (propose e) -> told s (propose e).
Proof.
  intros [->|(ev & O & G & ->)]; auto. destruct ev; try contradiction; intro T; open; events.
  - destruct T as [?|(? & _ & ?)]; [auto|discriminate].
  - destruct T as [?|?]; [auto|discriminate].
Qed.

(** Who is not let in is refused, or held off without a word. *)
Lemma refusal_ok a b time m : Acceptor.refusal_of a b time = Some m -> exists p d, m = Nack p d.
Proof.
  unfold Acceptor.refusal_of. destruct (Acceptor.promised a); [|discriminate].
  destruct (_ && _); [|discriminate]. intros [= <-]. eauto.
Qed.

Lemma admits_ok a b time : Acceptor.admits a b time = true ->
  rank (Acceptor.promised a) <= rank (Some b).
Proof.
  unfold Acceptor.admits, Acceptor.is_past_accept. intro H.
  apply andb_true_iff in H as [H _]. apply negb_true_iff, N.ltb_ge in H. exact H.
Qed.

(** To raise one's promise, whoever is told of it. *)
Lemma promise_ok s me a b : valid s -> fits_acceptor s me a ->
  rank (Acceptor.promised a) < rank (Some b) ->
  exists s', acceptor_move me s s' /\
    fits_acceptor s' me (Acceptor.with_promise b a) /\
    forall i k e, told s' (accepted me i k e) -> told s (accepted me i k e).
Proof.
  intros V F L. set (ev := Core.Phase1b (S := S) me (up b) (Acceptor.base a)).
  exists (Core.apply S s ev). split; [|split].
  - right. exists ev. split; [reflexivity|]. split; [|reflexivity]. cbn.
    now rewrite (promise_fits _ _ _ F).
  - constructor; cbn [Acceptor.with_promise Acceptor.promised Acceptor.votes Acceptor.base].
    + cbn. unfold Core.update. cbn. now destruct (N.eq_dec me me).
    + apply F.
    + apply F.
    + apply F.
    + intros b' [= <-]. right. intros i Hi. right. exists i. split; [exact Hi|].
      unfold promise, RefinementProof.promise. now rewrite (votes_fit _ _ _ F i Hi).
  - intros i k e T. open. events. destruct T as [?|(? & _ & ?)]; [auto|discriminate].
Qed.

Lemma on_accept_ok s me a slot b e time a' m : valid s -> fits_acceptor s me a ->
  told s (accept slot b e) -> Acceptor.on_accept a slot (b, e) time = (a', m) ->
  exists s', acceptor_move me s s' /\ fits_acceptor s' me a' /\
    (m = Some (Accepted b slot) -> told s' (accepted me slot b e)) /\
    (forall m', m = Some m' -> m' = Accepted b slot \/ exists p d, m' = Nack p d) /\
    forall i k e', told s' (accepted me i k e') ->
      told s (accepted me i k e') \/ m = Some (Accepted b slot) /\ i = slot /\ k = b /\ e' = e.
Proof.
  intros V F T. unfold Acceptor.on_accept. cbn [fst].
  assert (Same : forall m, (forall m', m = Some m' -> exists p d, m' = Nack p d) ->
    exists s', acceptor_move me s s' /\ fits_acceptor s' me a /\
      (m = Some (Accepted b slot) -> told s' (accepted me slot b e)) /\
      (forall m', m = Some m' -> m' = Accepted b slot \/ exists p d, m' = Nack p d) /\
      forall i k e', told s' (accepted me i k e') ->
        told s (accepted me i k e') \/ m = Some (Accepted b slot) /\ i = slot /\ k = b /\ e' = e).
  { intros m0 H. exists s. split; [now left|]. split; [exact F|]. split; [|split; auto].
    intro E. destruct (H _ E) as (p & d & Q). discriminate. }
  destruct (Acceptor.admits a b time) eqn:L; cbn [negb].
  2: { intros [= <- <-]. apply Same. intros m'. apply refusal_ok. }
  apply admits_ok in L.
  destruct (N.ltb_spec slot (Acceptor.base a)) as [B|B].
  { intros [= <- <-]. apply Same. discriminate. }
  intros [= <- <-].
  set (ev := Core.Phase2b (S := S) me slot (up b) e).
  exists (Core.apply S s ev). split; [|split; [|split; [|split]]].
  - right. exists ev. split; [reflexivity|]. split; [|reflexivity].
    split; [rewrite (promise_fits _ _ _ F); exact L|]. split; [left; exact T|].
    (* an acceptor votes for one entry in a ballot, because the ballot has one *)
    destruct (Core.votes s me slot) as [[k w]|] eqn:E; auto.
    pose proof (invariant c cluster_sound s V) as I.
    pose proof (CoreProof.vote_sent _ _ I _ _ _ _ E) as W.
    pose proof (CoreProof.vote_kept _ _ I _ _ _ _ W) as K.
    rewrite (promise_fits _ _ _ F) in K.
    destruct (N.lt_trichotomy k (up b)) as [?|[->|?]]; [auto| |unfold up in *; lia].
    right. split; auto.
    apply (accept_once c cluster_sound s slot b w e V); [|exact T].
    exact (accepted_accept c cluster_sound s me slot b w V W).
  - constructor; cbn [Acceptor.promised Acceptor.votes Acceptor.base].
    + cbn. unfold Core.update. cbn. now destruct (N.eq_dec me me).
    + intros i Hi. rewrite find_put. cbn. unfold Core.update, Core.update_slot. cbn.
      destruct (N.eq_dec me me); [|congruence]. destruct (N.eq_dec i slot), (N.eqb_spec i slot);
        try congruence; [reflexivity|now apply F].
    + apply ordered_put, F.
    + intros i v. rewrite find_put. destruct (N.eqb_spec i slot); [intros _; lia|apply F].
    + intros k [= <-]. left. exists slot, e. left. exact T.
  - intros _. now right.
  - intros m' [= <-]. now left.
  - intros i k e' H. open. events. destruct H as [H|H]; [auto|]. right. inversion H.
    unfold up in *. cbn in *. repeat split; auto. lia.
Qed.

Lemma trim_ok s me a d : fits_acceptor s me a -> fits_acceptor s me (Acceptor.trim a d).
Proof.
  intros F. unfold Acceptor.trim. set (base := N.max (Acceptor.base a) d).
  constructor; cbn [Acceptor.promised Acceptor.votes Acceptor.base].
  - apply F.
  - intros i Hi. rewrite find_since. destruct (N.leb_spec base i); [|lia]. apply F. lia.
  - apply ordered_filter, F.
  - intros i v. rewrite find_since. destruct (N.leb_spec base i); [auto|discriminate].
  - intros b P. destruct (report_fits _ _ _ F b P) as [U|R]; [now left|]. right.
    intros i Hi. rewrite find_since. destruct (N.leb_spec base i); [|lia]. apply R. lia.
Qed.

(** Whoever else moves, and whatever is proposed beside it. *)
Lemma fits_acceptor_stays s s' me a : grows s s' ->
  Core.promised s' me = Core.promised s me ->
  (forall i, Core.votes s' me i = Core.votes s me i) ->
  fits_acceptor s me a -> fits_acceptor s' me a.
Proof.
  intros M P Q [A B C D E]. constructor; auto.
  - now rewrite P.
  - intros i Hi. rewrite Q. auto.
  - intros b H. destruct (E b H) as [U|R]; [left; eauto using used_stays|right; auto].
Qed.

Lemma voted_in_ok s me a b slot e : valid s -> fits_acceptor s me a ->
  Acceptor.voted_in a b slot = Some e -> told s (accept slot b e).
Proof.
  intros V F. unfold Acceptor.voted_in. destruct (find slot _) as [[k w]|] eqn:E; [|discriminate].
  cbn. destruct (N.eqb_spec k b); [|discriminate]. intros [= <-]. subst k.
  pose proof (votes_fit _ _ _ F slot (votes_from_base _ _ _ F _ _ E)) as H. rewrite E in H.
  apply (accepted_accept c cluster_sound s me slot b w V).
  exact (CoreProof.vote_sent _ _ (invariant c cluster_sound s V) _ _ _ _ H).
Qed.

(** ** The learner *)

Definition fits_snapshot (s : abstract) (sn : snapshot) : Prop :=
  exists l, is_prefix s l /\ count l = upto sn /\ content sn = bytes_after c l.

Record fits_learner_with (s : abstract) (l : Learner.learner) (all : list entry) : Prop :=
  FitsLearner {
  all_chosen : is_prefix s all;
  all_applied : count all = Learner.decided l;
  log_fits : entries (Learner.applied_log l)
    = skipn (N.to_nat (Log.start (Learner.applied_log l))) all;
  state_fits : Learner.state l = replayed c all;
  snapshot_fits : match Learner.taken l with
    | None => Log.start (Learner.applied_log l) = 0
    | Some sn => upto sn = Log.start (Learner.applied_log l) /\
        content sn = bytes_after c (firstn (N.to_nat (upto sn)) all)
    end;
  ahead_chosen : forall i e, find i (Learner.ahead l) = Some e -> is_chosen s i e;
  transfer_fits : forall t, Learner.under_way l = Some t -> exists all',
    is_prefix s all' /\ count all' = to_upto t /\ to_total t = count (bytes_after c all') /\
    received t = firstn (length (received t)) (bytes_after c all') }.

Definition fits_learner (s : abstract) (l : Learner.learner) : Prop :=
  exists all, fits_learner_with s l all.

Lemma fits_learner_stays s s' l : grows s s' -> fits_learner s l -> fits_learner s' l.
Proof.
  intros M (all & [A B C D E F G]). exists all. constructor; eauto using prefix_stays.
  - intros i e H. eauto using chosen_stays.
  - intros t H. destruct (G t H) as (all' & P & R). exists all'. eauto using prefix_stays.
Qed.

Lemma count_app {X} (l l' : list X) : count (l ++ l') = count l + count l'.
Proof. unfold count. rewrite app_length. lia. Qed.

Lemma replay_app p s l l' :
  Learner.replay p s (l ++ l') = Learner.replay p (Learner.replay p s l) l'.
Proof. revert s. induction l as [|e l IH]; cbn; auto. Qed.

Lemma replayed_push l e : replayed c (l ++ [e])
  = fst (Learner.apply_requests (program_of c) (replayed c l) (requests_of e)).
Proof. unfold replayed. rewrite replay_app. reflexivity. Qed.

Lemma get_chosen s l all slot e : fits_learner_with s l all ->
  get (Learner.applied_log l) slot = Some e -> nth_error all (N.to_nat slot) = Some e.
Proof.
  intros F. unfold get. destruct (N.ltb_spec slot (Log.start (Learner.applied_log l))) as [|L];
    [discriminate|]. destruct (_ <? _); [|discriminate]. rewrite (log_fits _ _ _ F).
  intro H. rewrite <- H, <- (firstn_skipn (N.to_nat (Log.start (Learner.applied_log l))) all) at 1.
  assert (E : length (firstn (N.to_nat (Log.start (Learner.applied_log l))) all)
    = N.to_nat (Log.start (Learner.applied_log l))).
  { apply firstn_length_le. pose proof (all_applied _ _ _ F) as A.
    unfold Learner.decided, stop, count in A. lia. }
  rewrite nth_error_app2; rewrite E; [|lia]. f_equal. lia.
Qed.

Lemma entry_at_chosen s l slot e : fits_learner s l -> Learner.entry_at l slot = Some e ->
  is_chosen s slot e.
Proof.
  intros (all & F). unfold Learner.entry_at. destruct (get _ _) as [e'|] eqn:E.
  - intros [= ->]. apply (get_chosen _ _ _ _ _ F) in E.
    pose proof (all_chosen _ _ _ F _ _ E) as H. now rewrite N2Nat.id in H.
  - apply (ahead_chosen _ _ _ F).
Qed.

(** The entries of a log from a slot on. *)
Lemma tail_chosen s l from n e : fits_learner s l -> Log.start (Learner.applied_log l) <= from ->
  nth_error (tail (Learner.applied_log l) from) n = Some e -> is_chosen s (from + N.of_nat n) e.
Proof.
  intros (all & F) L. unfold tail. set (log := Learner.applied_log l) in *.
  intro H. assert (G : get log (from + N.of_nat n) = Some e).
  { unfold get. destruct (N.ltb_spec (from + N.of_nat n) (Log.start log)); [lia|].
    assert (D : N.to_nat (from + N.of_nat n - Log.start log)
      = (N.to_nat (from - Log.start log) + n)%nat) by lia.
    assert (B : (n < length (skipn (N.to_nat (N.min (from - Log.start log) (count (entries log))))
      (entries log)))%nat) by (apply nth_error_Some; congruence).
    rewrite skipn_length in B. unfold count in *.
    destruct (N.ltb_spec (from + N.of_nat n - Log.start log) (N.of_nat (length (entries log))));
      [|lia].
    rewrite D. rewrite <- H.
    rewrite <- (firstn_skipn (N.to_nat (N.min (from - Log.start log)
      (N.of_nat (length (entries log))))) (entries log)) at 1.
    rewrite nth_error_app2; rewrite firstn_length_le by lia; [|lia]. f_equal. lia. }
  apply (get_chosen _ _ _ _ _ F) in G. pose proof (all_chosen _ _ _ F _ _ G) as H'.
  now rewrite N2Nat.id in H'.
Qed.

Lemma apply_ahead_ok s fuel : forall l l' done, fits_learner s l ->
  Learner.apply_ahead (program_of c) fuel l = (l', done) -> fits_learner s l'.
Proof.
  induction fuel as [|fuel IH]; cbn; intros l l' done F E; [now inversion E; subst|].
  destruct (find (Learner.decided l) (Learner.ahead l)) as [e|] eqn:H;
    [|now inversion E; subst].
  destruct (Learner.apply_requests _ _ _) as [st d] eqn:Ec.
  destruct (Learner.apply_ahead _ _ _) as [l'' more] eqn:Ea. inversion E; subst.
  apply (IH _ _ _) with (2 := Ea). destruct F as (all & F).
  exists (all ++ [e]). pose proof (all_applied _ _ _ F) as A.
  constructor; cbn [Learner.taken Learner.applied_log Learner.ahead Learner.state
    Learner.under_way].
  - intros n x Hn. destruct (Nat.lt_ge_cases n (length all)) as [L|L].
    + rewrite nth_error_app1 in Hn by auto. exact (all_chosen _ _ _ F _ _ Hn).
    + rewrite nth_error_app2 in Hn by auto. destruct (n - length all)%nat as [|k] eqn:D.
      * cbn in Hn. inversion Hn; subst x. apply (ahead_chosen _ _ _ F).
        replace (N.of_nat n) with (Learner.decided l); auto. unfold count in A. lia.
      * destruct k; discriminate.
  - rewrite count_app, A. unfold Learner.decided, stop, push. cbn. rewrite count_app. cbn. lia.
  - cbn. rewrite (log_fits _ _ _ F). rewrite skipn_app.
    replace (N.to_nat (Log.start (Learner.applied_log l)) - length all)%nat with 0%nat.
    + reflexivity.
    + unfold Learner.decided, stop, count in A. lia.
  - rewrite replayed_push, <- (state_fits _ _ _ F), Ec. reflexivity.
  - cbn. pose proof (snapshot_fits _ _ _ F) as Sn. destruct (Learner.taken l) as [sn|]; auto.
    destruct Sn as [U C]. split; auto. rewrite firstn_app.
    replace (N.to_nat (upto sn) - length all)%nat with 0%nat.
    + cbn. now rewrite app_nil_r.
    + unfold Learner.decided, stop, count in A. lia.
  - intros i x. rewrite find_drop. destruct (i =? _); [discriminate|apply (ahead_chosen _ _ _ F)].
  - apply (transfer_fits _ _ _ F).
Qed.

Lemma apply_ok s l l' done : fits_learner s l ->
  Learner.apply (program_of c) l = (l', done) -> fits_learner s l'.
Proof.
  unfold Learner.apply. destruct (Learner.apply_ahead _ _ _) as [l1 d] eqn:E. intros F [= <- <-].
  apply apply_ahead_ok with (1 := F) in E as (all & [A B C D G H T]). exists all.
  constructor; cbn; auto. intros t. destruct (Learner.under_way l1) as [t'|]; [|discriminate].
  destruct (_ <=? _); [discriminate|]. intros [= <-]. now apply T.
Qed.

Lemma learn_ok s l slot e l' done : fits_learner s l -> is_chosen s slot e ->
  Learner.learn (program_of c) l slot e = (l', done) -> fits_learner s l'.
Proof.
  intros F Ch. unfold Learner.learn. apply apply_ok. destruct (_ && _); auto.
  destruct F as (all & [A B C D G H T]). exists all. constructor; cbn; auto.
  intros i x. rewrite find_put. destruct (N.eqb_spec i slot); [|apply H].
  intros [= <-]. now subst.
Qed.

Lemma compact_ok s l every : fits_learner s l ->
  fits_learner s (Learner.compact (encoding_of c) l every).
Proof.
  intros F. unfold Learner.compact. destruct (_ <? _); auto.
  destruct F as (all & [A B C D G H T]). exists all.
  assert (E : N.to_nat (Learner.decided l) = length all) by (unfold count in B; lia).
  constructor; cbn; auto.
  - change (count all = Learner.decided l + 0). lia.
  - rewrite E, skipn_all. reflexivity.
  - split; auto. rewrite E, firstn_all, D. reflexivity.
Qed.

(** What a piece of a snapshot says. *)
Definition fits_chunk (s : abstract) (ch : chunk) : Prop :=
  exists l, is_prefix s l /\ count l = of_upto ch /\ total ch = count (bytes_after c l) /\
    piece ch = firstn (length (piece ch)) (skipn (N.to_nat (offset ch)) (bytes_after c l)).

Lemma snapshot_ok s l sn : fits_learner s l -> Learner.taken l = Some sn -> fits_snapshot s sn.
Proof.
  intros (all & [A B C D G H T]) E. rewrite E in G. destruct G as [U Co].
  exists (firstn (N.to_nat (upto sn)) all). split; [|split; auto].
  - intros n e Hn. apply A. rewrite <- (firstn_skipn (N.to_nat (upto sn)) all).
    rewrite nth_error_app1; [exact Hn|]. apply nth_error_Some. congruence.
  - unfold count in *. rewrite firstn_length_le; [lia|].
    unfold Learner.decided, stop, count in B. lia.
Qed.

Lemma firstn_as_long {X} k (l : list X) : firstn (length (firstn k l)) l = firstn k l.
Proof.
  rewrite firstn_length. destruct (Nat.le_ge_cases k (length l)).
  - now rewrite Nat.min_l.
  - rewrite Nat.min_r by auto. now rewrite firstn_all, firstn_all2.
Qed.

Lemma chunk_ok s sn offset size ch : fits_snapshot s sn ->
  chunk_at (encoding_of c) sn offset size = Some ch -> fits_chunk s ch.
Proof.
  intros (l & P & L & B). unfold chunk_at. destruct (_ <=? _); [discriminate|].
  intros [= <-]. exists l. cbn. split; [exact P|]. split; [exact L|].
  rewrite B. split; [reflexivity|]. symmetry. apply firstn_as_long.
Qed.

Lemma firstn_more {X} (l : list X) (p q : list X) :
  p = firstn (length p) l -> q = firstn (length q) (skipn (length p) l) ->
  p ++ q = firstn (length (p ++ q)) l.
Proof.
  intros P Q. rewrite app_length. rewrite P at 1. rewrite Q at 1.
  generalize (length p) as n, (length q) as m. clear. intros n m.
  revert n. induction l as [|x l IH]; intros n.
  - now rewrite skipn_nil, !firstn_nil.
  - destruct n; cbn; [reflexivity|]. now rewrite IH.
Qed.

Lemma on_chunk_ok s l ch l' what : valid s -> fits_learner s l -> fits_chunk s ch ->
  Learner.on_chunk (program_of c) (encoding_of c) l ch = (l', what) -> fits_learner s l'.
Proof.
  intros V F (all' & P' & L' & T' & B'). unfold Learner.on_chunk.
  destruct (_ <=? _); [intros [= <- <-]; auto|].
  (* what has arrived is the beginning of those bytes *)
  assert (Add : forall under result,
    add (encoding_of c) (Learner.under_way l) ch = (under, result) ->
    (forall t, under = Some t -> exists all',
       is_prefix s all' /\ count all' = to_upto t /\ to_total t = count (bytes_after c all') /\
       received t = firstn (length (received t)) (bytes_after c all')) /\
    (forall sn, result = Whole sn -> upto sn = of_upto ch /\ content sn = bytes_after c all')).
  { destruct F as (all & F). pose proof (transfer_fits _ _ _ F) as T. unfold add.
    set (old := Learner.under_way l) in *.
    set (fitting := match old with Some t => if fits ch t then Some t else None | None => None end).
    set (fresh := Transfer (of_upto ch) (total ch) (digest ch) []).
    assert (Begun : forall t,
      match fitting with Some t => Some t | None => if offset ch =? 0 then Some fresh else None end
        = Some t -> received t = firstn (length (received t)) (bytes_after c all')).
    { unfold fitting. intros t. destruct old as [t0|].
      - destruct (fits ch t0) eqn:Fi.
        + intros [= <-]. destruct (T t0 eq_refl) as (all0 & P0 & C0 & T0 & R0).
          unfold fits in Fi. apply andb_true_iff in Fi as [Fi _].
          apply andb_true_iff in Fi as [Fi _]. apply N.eqb_eq in Fi.
          assert (all0 = all') as <-; auto.
          apply (prefix_once c cluster_sound s); auto. unfold count in *. lia.
        + destruct (_ =? _); [|discriminate]. intros [= <-]. reflexivity.
      - destruct (_ =? _); [|discriminate]. intros [= <-]. reflexivity. }
    destruct (match fitting with Some t => Some t | None => _ end) as [t|];
      [|intros ? ? [= <- <-]; split; [auto|discriminate]].
    specialize (Begun t eq_refl).
    set (is_next := (offset ch =? count (received t)) && _).
    destruct (negb is_next && negb (offset ch =? 0));
      [intros ? ? [= <- <-]; split; [auto|discriminate]|].
    set (bytes := if is_next then received t ++ piece ch else received t).
    assert (Bytes : bytes = firstn (length bytes) (bytes_after c all')).
    { unfold bytes. destruct is_next eqn:Nx; auto. unfold is_next in Nx.
      apply andb_true_iff in Nx as [Nx _]. apply N.eqb_eq in Nx. apply firstn_more; auto.
      rewrite B' at 1. rewrite Nx. unfold count. now rewrite Nat2N.id. }
    destruct (N.ltb_spec (count bytes) (total ch)) as [Lt|Ge].
    - intros ? ? [= <- <-]. split; [|discriminate]. intros t1 [= <-]. exists all'. cbn. auto.
    - destruct (checksum _ _ =? _); intros ? ? Eq; inversion Eq; subst; (split; [discriminate|]);
        intros sn E; inversion E; subst sn.
      split; [reflexivity|]. cbn. rewrite Bytes. apply firstn_all2. unfold count in *. lia. }
  destruct (add _ _ _) as [under result] eqn:E. destruct (Add _ _ eq_refl) as [Under Whole'].
  assert (Kept : fits_learner s (Learner.Learner (Learner.taken l) (Learner.applied_log l)
    (Learner.ahead l) (Learner.state l) under)).
  { destruct F as (all & [A B C D G H T]). exists all. constructor; auto. }
  destruct result as [|o|sn|]; try (intros [= <- <-]; exact Kept).
  destruct (Whole' sn eq_refl) as [U Co].
  assert (R : reopen (encoding_of c) sn = Some (replayed c all')).
  { unfold reopen. rewrite Co. apply cluster_sound. }
  rewrite R. destruct (Learner.apply _ _) as [l1 done] eqn:Ea. intros [= <- <-].
  apply apply_ok with (2 := Ea). destruct F as (all & F). exists all'.
  assert (N.to_nat (upto sn) = length all') by (unfold count in L'; lia).
  constructor; cbn [Learner.taken Learner.applied_log Learner.ahead Learner.state
    Learner.under_way Log.start continue_at entries]; auto.
  - change (count all' = upto sn + 0). lia.
  - rewrite H, skipn_all. reflexivity.
  - split; auto. rewrite H, firstn_all. exact Co.
  - intros i e. rewrite find_since. destruct (_ <=? _); [apply (ahead_chosen _ _ _ F)|discriminate].
Qed.

Lemma restart_ok s l : fits_learner s l -> exists l',
  Learner.restart (program_of c) (encoding_of c) (initial c) (Learner.taken l)
    (Learner.applied_log l) = Some l' /\ fits_learner s l' /\
  Learner.applied_log l' = Learner.applied_log l.
Proof.
  intros (all & F). pose proof (snapshot_fits _ _ _ F) as Sn. unfold Learner.restart.
  assert (Opened : exists opened,
    match Learner.taken l with Some sn => reopen (encoding_of c) sn | None => Some (initial c) end
      = Some opened /\
    Learner.replay (program_of c) opened (entries (Learner.applied_log l)) = replayed c all).
  { rewrite (log_fits _ _ _ F). destruct (Learner.taken l) as [sn|].
    - destruct Sn as [U Co]. exists (replayed c (firstn (N.to_nat (upto sn)) all)). split.
      + unfold reopen. rewrite Co. apply cluster_sound.
      + rewrite <- U. unfold replayed. rewrite <- replay_app. now rewrite firstn_skipn.
    - exists (initial c). split; [reflexivity|]. now rewrite Sn. }
  destruct Opened as (opened & -> & R).
  destruct (Learner.taken l) as [sn|] eqn:Et;
    [destruct Sn as [U Co]; rewrite U|rewrite Sn]; rewrite N.eqb_refl; cbn;
    (eexists; split; [reflexivity|]; split; [|reflexivity]);
    exists all; destruct F as [A B C D G H T]; constructor; cbn; auto; try discriminate;
    rewrite ?Et in *; auto.
Qed.

(** A learner never goes back. *)
Lemma apply_ahead_forth p fuel : forall l l' done, Learner.apply_ahead p fuel l = (l', done) ->
  Learner.decided l <= Learner.decided l'.
Proof.
  induction fuel as [|fuel IH]; cbn; intros l l' done E; [inversion E; subst; lia|].
  destruct (find _ _) as [e|]; [|inversion E; subst; lia].
  destruct (Learner.apply_requests _ _ _) as [st d].
  destruct (Learner.apply_ahead _ _ _) as [l1 more] eqn:Ea. inversion E; subst.
  apply IH in Ea. unfold Learner.decided, stop, push in *. cbn in Ea.
  rewrite count_app in Ea. lia.
Qed.

Lemma apply_forth p l l' done : Learner.apply p l = (l', done) ->
  Learner.decided l <= Learner.decided l'.
Proof.
  unfold Learner.apply. destruct (Learner.apply_ahead _ _ _) as [l1 d] eqn:E. intros [= <- <-].
  exact (apply_ahead_forth _ _ _ _ _ E).
Qed.

Lemma learn_forth p l slot e l' done : Learner.learn p l slot e = (l', done) ->
  Learner.decided l <= Learner.decided l'.
Proof. unfold Learner.learn. intro H. apply apply_forth in H. destruct (_ && _); exact H. Qed.

Lemma compact_forth e l every : Learner.decided (Learner.compact e l every) = Learner.decided l.
Proof.
  unfold Learner.compact. destruct (_ <? _); auto.
  change (Learner.decided l + 0 = Learner.decided l). lia.
Qed.

Lemma on_chunk_forth p e l ch l' what : Learner.on_chunk p e l ch = (l', what) ->
  Learner.decided l <= Learner.decided l'.
Proof.
  unfold Learner.on_chunk. destruct (N.leb_spec (of_upto ch) (Learner.decided l)) as [|L];
    [intros [= <- <-]; lia|].
  destruct (add _ _ _) as [under result] eqn:Ea. destruct result as [|o|sn|];
    try (intros [= <- <-]; unfold Learner.decided; cbn; lia).
  assert (U : upto sn = of_upto ch).
  { unfold add in Ea. repeat match type of Ea with
      | context [match ?x with _ => _ end] => destruct x
      end; inversion Ea; reflexivity. }
  destruct (reopen _ _); [|intros [= <- <-]; unfold Learner.decided; cbn; lia].
  destruct (Learner.apply _ _) as [l1 done] eqn:E. intros [= <- <-]. apply apply_forth in E.
  unfold Learner.decided, stop in E, L |- *. cbn in E. lia.
Qed.

(** One state for one number of slots. *)
Lemma same_state s l l' : valid s -> fits_learner s l -> fits_learner s l' ->
  Learner.decided l = Learner.decided l' -> Learner.state l = Learner.state l'.
Proof.
  intros V (all & F) (all' & F') E.
  rewrite (state_fits _ _ _ F), (state_fits _ _ _ F'). f_equal.
  apply (prefix_once c cluster_sound s); auto using (all_chosen _ _ _ F), (all_chosen _ _ _ F').
  pose proof (all_applied _ _ _ F). pose proof (all_applied _ _ _ F'). unfold count in *. lia.
Qed.

End Roles.
