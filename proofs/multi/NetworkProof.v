(** * The handlers of Multi-Paxos refine the general system

    Every step of a process is a number of steps of [Core], or of none: [dispatch_ok]
    says so. What is proved of [Core] then holds of the handlers. *)

From Coq Require Import NArith Arith List Lia Bool.
From Synod Require Import Vocabulary Quorum.
From Synod Require Core CoreProof.
From Synod.multi Require Import Table Session Log Snapshot Lease Protocol Node Network
  RefinementProof RolesProof LeaderProof.
From Synod.multi Require Acceptor Leadership Leader Learner.
Import ListNotations.
Open Scope N_scope.

Section Refinement.
Variable c : cluster.
Hypothesis cluster_sound : sound c.

Notation S := (setting_of entry entry_eq (quorums c)).
Notation abstract := (Core.state S).
Notation told := (RefinementProof.told c).
Notation promise := (promise c).
Notation accept := (accept c).
Notation accepted := (accepted c).
Notation propose := (propose c).
Notation is_chosen := (is_chosen c).
Notation used := (used c).
Notation settled := (settled c).
Notation valid := (valid c).
Notation moves := (moves c).
Notation grows := (grows c).

(** ** The process *)

Section Process.
Variable me : N.
Hypothesis is_node : me < width.
(** What was said before this step, by whom and to whom, and what clients asked for. *)
Variable before : N -> N -> message -> Prop.
Variable asked : request -> Prop.
(** How far this process had applied the log before this step. *)
Variable floor : N.
Notation asked_all := (asked_all asked).
Notation fits_leader := (fits_leader c me asked).
Notation fits_leadership := (fits_leadership c asked).

Definition has_said (st : step) (from to : N) (m : message) : Prop :=
  before from to m \/ from = me /\ In (to, m) (said st).

(** What a message from [a] to [to] says. *)
Definition means (s : abstract) (said : N -> N -> message -> Prop) (a to : N) (m : message)
    : Prop :=
  match m with
  | Request r => asked r
  | Promise b votes base more => is_acceptor c a = true /\
      exists x, (said to a (Prepare b x) \/ said to a (Continue b x)) /\
        reports c s a b x votes base more
  | Accept i v => told s (accept i (fst v) (snd v))
  | Accepted b i => exists e, told s (accepted a i b e)
  | Decided b upto | Heartbeat b _ upto => node b = a /\ settled s b upto
  | Entries from l => forall n e, nth_error l n = Some e -> is_chosen s (from + N.of_nat n) e
  | Piece ch => fits_chunk c s ch
  | _ => True
  end.

(** The proposer's part; a process that is none has used no ballot. *)
Definition leader_of (st : state) : Leader.leader :=
  match leader st with Some l => l | None => Leader.restart None end.

Record fits (s : abstract) (said : N -> message -> Prop) (st : state) : Prop := Fits {
  fits_acceptor_part : match acceptor st with
    | Some a => is_acceptor c me = true /\ fits_acceptor c s me a
    | None => is_acceptor c me = false
    end;
  fits_leader_part : fits_leader s said (leader_of st);
  fits_leader_role : is_some (leader st) = is_in (proposers c) me;
  fits_learner_part : match learner st with
    | Some l => is_in_decision_audience c me = true /\ fits_learner c s l
    | None => is_in_decision_audience c me = false
    end }.

(** Where a step stands: the state fits, all that was ever said is true, no vote was kept
    silent, and nothing was made up. *)
Record good (s : abstract) (st : step) : Prop := Good {
  state_fits : fits s (has_said st me) (now st);
  inbox_said : forall m, In m (inbox st) -> In (me, m) (said st);
  said_true : forall a to m, has_said st a to m -> means s (has_said st) a to m;
  votes_said : forall i b e, told s (accepted me i b e) ->
    (exists to, has_said st me to (Accepted b i)) /\
    exists p to, has_said st p to (Accept i (b, e));
  all_asked : forall e, told s (propose e) -> asked_all e;
  never_back : floor <= decided (now st) }.

(** A step leads, by moves of [me], from where it stood to where it is good, and it says
    more. *)
Definition leads (s : abstract) (st st' : step) : Prop :=
  exists s', moves me s s' /\ good s' st' /\ incl (said st) (said st').

Lemma leads_self s st st' : good s st' -> incl (said st) (said st') -> leads s st st'.
Proof. intros G I. exists s. split; [apply no_move|auto]. Qed.

Lemma leads_trans s st st' st'' : valid s -> leads s st st' ->
  (forall s', valid s' -> grows s s' -> good s' st' -> leads s' st' st'') -> leads s st st''.
Proof.
  intros V (s' & M & G & I) H.
  destruct (H s') as (s'' & M' & G' & I'); eauto using moves_valid, moves_grow.
  exists s''. split; [eapply moves_trans; eauto|]. split; auto. eapply incl_tran; eauto.
Qed.

(** ** What leaves the meaning of messages as it was *)

Lemma grows_refl s : grows s s.
Proof. intros m H. exact H. Qed.

Definition is_notice (m : message) (b : ballot) (upto : N) : Prop :=
  match m with Decided b' u | Heartbeat b' _ u => b' = b /\ u = upto | _ => False end.

Lemma means_stays s s' (said said' : N -> N -> message -> Prop) a to m : grows s s' ->
  (forall x y m, said x y m -> said' x y m) ->
  (forall b upto, is_notice m b upto -> settled s b upto -> settled s' b upto) ->
  means s said a to m -> means s' said' a to m.
Proof.
  intros M I St. destruct m; cbn in *; auto.
  - intros (A & x & H & O & R). split; auto. exists x. split; [destruct H; auto|]. split; auto.
    destruct R as [R|[R1 R2]]; [left; eauto using used_stays|right; split; auto].
  - intros (e & T). eauto.
  - intros [O H]. split; auto.
  - intros H n e Hn. eauto using chosen_stays.
  - intros (l & P & R). exists l. split; eauto using prefix_stays.
  - intros [O H]. split; auto.
Qed.

Lemma settled_same s s' b upto : grows s s' ->
  (forall i e, told s' (accept i b e) -> told s (accept i b e)) ->
  settled s b upto -> settled s' b upto.
Proof. intros M N H i e L T. eauto using chosen_stays. Qed.

(** ** Speaking *)

Lemma good_send s to m st : good s st -> means s (has_said st) me to m ->
  may_have_said c me s (leader_of (now st)) to m -> good s (send me to m st).
Proof.
  intros [[A L R Le] B T U Q Fl] M May.
  assert (Old : forall x y m', has_said st x y m' -> has_said (send me to m st) x y m').
  { intros x y m' [H|[E H]]; [now left|]. right. split; auto. cbn. apply in_or_app. auto. }
  constructor.
  - constructor; [exact A| |exact R|exact Le]. eapply fits_leader_says; [|exact L].
    intros y m' [H|[_ H]];
      [left; now left|]. cbn in H. apply in_app_or in H as [H|[H|[]]]; [left; right; auto|].
    right. now inversion H; subst.
  - intros m' H. cbn in *. apply in_or_app. destruct (N.eqb_spec to me) as [->|NE]; [|auto].
    apply in_app_or in H as [H|[<-|[]]]; [auto|right; now left].
  - intros a y m' H.
    assert (has_said st a y m' \/ a = me /\ y = to /\ m' = m) as [K|(-> & -> & ->)].
    { destruct H as [H|[E H]]; [left; now left|]. cbn in H. apply in_app_or in H as [H|[H|[]]].
      - left. right. auto.
      - right. now inversion H. }
    + apply (means_stays s s (has_said st)); auto using grows_refl.
    + apply (means_stays s s (has_said st)); auto using grows_refl.
  - intros i b e H. destruct (U i b e H) as [(y & H1) (p & z & H2)].
    split; [exists y; now apply Old|exists p, z; now apply Old].
  - exact Q.
  - exact Fl.
Qed.

(** Messages that bind nobody: any process may say them at any time, if they are true. *)
Definition binds (m : message) : bool :=
  match m with Prepare _ _ | Continue _ _ | Decided _ _ | Heartbeat _ _ _ => true | _ => false end.

Lemma may_say s l to m : binds m = false -> may_have_said c me s l to m.
Proof. destruct m; cbn; auto; discriminate. Qed.

(** A step keeps to where it stood: without a move, it is good, and it says more. *)
Definition keeps (s : abstract) (st st' : step) : Prop := good s st' /\ incl (said st) (said st').

Lemma keeps_leads s st st' : keeps s st st' -> leads s st st'.
Proof. intros [G I]. now apply leads_self. Qed.

Lemma keeps_refl s st : good s st -> keeps s st st.
Proof. intro G. split; [exact G|apply incl_refl]. Qed.

Lemma keeps_trans s st st' st'' : keeps s st st' -> (good s st' -> keeps s st' st'') ->
  keeps s st st''.
Proof.
  intros [G I] H. destruct (H G) as [G' I']. split; [exact G'|]. eapply incl_tran; eauto.
Qed.

Lemma keeps_send s to m st : good s st -> means s (has_said st) me to m ->
  may_have_said c me s (leader_of (now st)) to m -> keeps s st (send me to m st).
Proof.
  intros G M B. split; [now apply good_send|]. intros x H. cbn. apply in_or_app. auto.
Qed.

(** What is true whatever else was said, and binds nobody. *)
Lemma keeps_say s to m st : good s st ->
  (forall said : N -> N -> message -> Prop, means s said me to m) -> binds m = false ->
  keeps s st (send me to m st).
Proof. intros G M B. apply keeps_send; auto using may_say. Qed.

Lemma keeps_broadcast s to m : forall st, good s st ->
  (forall st' x, now st' = now st -> In x to ->
     means s (has_said st') me x m /\ may_have_said c me s (leader_of (now st')) x m) ->
  keeps s st (broadcast me to m st) /\ now (broadcast me to m st) = now st.
Proof.
  induction to as [|x to IH]; cbn; intros st G H; [split; [now apply keeps_refl|auto]|].
  assert (K : keeps s st (send me x m st)).
  { destruct (H st x eq_refl (or_introl eq_refl)). now apply keeps_send. }
  destruct (IH (send me x m st) (proj1 K)) as [K2 N2].
  - intros st' y Ns Hy. apply H; auto.
  - split; [|exact N2]. apply (keeps_trans s st _ _ K). intros _. exact K2.
Qed.

Lemma keeps_broadcast_say s to m st : good s st ->
  (forall (said : N -> N -> message -> Prop) x, means s said me x m) -> binds m = false ->
  keeps s st (broadcast me to m st).
Proof.
  intros G M B. apply keeps_broadcast; auto. intros st' x _ _. split; [apply M|now apply may_say].
Qed.

Lemma keeps_fold {X} s (f : step -> X -> step) l : forall st, good s st ->
  (forall st' x, In x l -> good s st' -> now st' = now st ->
     keeps s st' (f st' x) /\ now (f st' x) = now st') ->
  keeps s st (fold_left f l st).
Proof.
  induction l as [|x l IH]; cbn; intros st G H; [now apply keeps_refl|].
  destruct (H st x (or_introl eq_refl) G eq_refl) as [K N].
  apply (keeps_trans s st _ _ K). intro G'. apply IH; auto.
  intros st' y Hy Gy Ny. apply H; auto. congruence.
Qed.

Lemma keeps_timers s st t : good s st -> keeps s st (Step (now st) (inbox st) (said st) t).
Proof. intros [A B C D E F]. split; [now constructor|apply incl_refl]. Qed.

Lemma keeps_set_timer s t r st : good s st -> keeps s st (set_timer t r st).
Proof. apply keeps_timers. Qed.

Lemma keeps_cancel s t st : good s st -> keeps s st (cancel t st).
Proof. apply keeps_timers. Qed.

Lemma keeps_wait_for_leader s st : good s st -> keeps s st (wait_for_leader c st).
Proof.
  intro G. unfold wait_for_leader. destruct (is_some _); [now apply keeps_set_timer|].
  now apply keeps_refl.
Qed.

(** ** Changing a part of the state without a move *)

Lemma leader_fits s st l : good s st -> leader (now st) = Some l ->
  fits_leader s (has_said st me) l.
Proof.
  intros [[_ L _ _] _ _ _ _] E. unfold leader_of in L. now rewrite E in L.
Qed.

Lemma good_with_leader s st l : good s st -> leader (now st) <> None ->
  fits_leader s (has_said st me) l -> good s (with_leader l st).
Proof.
  intros [[A L R Le] B T U Q Fl] NN F. constructor; auto. constructor; auto. cbn.
  rewrite <- R. now destruct (leader (now st)).
Qed.

Lemma good_with_learner s st l l' : good s st -> learner (now st) = Some l ->
  fits_learner c s l' -> Learner.decided l <= Learner.decided l' -> good s (with_learner l' st).
Proof.
  intros [[A L R Le] B T U Q Fl] E F D. rewrite E in Le. constructor; auto.
  - constructor; auto. cbn. split; [apply Le|exact F].
  - unfold decided in *. rewrite E in Fl. cbn. lia.
Qed.

Lemma good_with_acceptor s st a a' : good s st -> acceptor (now st) = Some a ->
  fits_acceptor c s me a' -> good s (with_acceptor a' st).
Proof.
  intros [[A L R Le] B T U Q Fl] E F. constructor; auto. constructor; auto.
  rewrite E in A. cbn. split; [apply A|auto].
Qed.

Lemma good_with_state s st s' : good s st -> acceptor s' = acceptor (now st) ->
  leader s' = leader (now st) -> learner s' = learner (now st) -> good s (with_state s' st).
Proof.
  intros [[A L R Le] B T U Q Fl] Ea El Er. constructor; auto.
  - constructor; cbn; unfold leader_of in *; rewrite ?Ea, ?El, ?Er; auto.
  - unfold decided in *. cbn. now rewrite Er.
Qed.

Lemma keeps_now s st st' : good s st' -> said st' = said st -> keeps s st st'.
Proof. intros G E. split; auto. rewrite E. apply incl_refl. Qed.

(** The acceptor moves, the others stand by; an answer may be owed. *)
Lemma leads_acceptor s s' st a a' to m : valid s -> good s st -> acceptor (now st) = Some a ->
  acceptor_move c me s s' -> fits_acceptor c s' me a' -> binds m = false ->
  means s' (has_said (with_acceptor a' st)) me to m ->
  (forall i b e, told s' (accepted me i b e) -> told s (accepted me i b e) \/
     m = Accepted b i /\ exists p x, has_said st p x (Accept i (b, e))) ->
  leads s st (send me to m (with_acceptor a' st)).
Proof.
  intros V [[A L R Le] B T U Q Fl] E Mv F Bi M Votes. exists s'.
  pose proof (acceptor_moves c me s s' Mv) as Ms. pose proof (moves_grow _ _ _ _ Ms) as Gr.
  split; [exact Ms|].
  assert (Same : forall i b e, told s' (accept i b e) -> told s (accept i b e))
    by (intros i b e; apply (acceptor_move_accept c me s s' i b e Mv)).
  set (st1 := send me to m (with_acceptor a' st)).
  assert (Old : forall x y m', has_said st x y m' -> has_said st1 x y m').
  { intros x y m' [H|[Ex H]]; [now left|]. right. split; auto. cbn. apply in_or_app. auto. }
  assert (New : forall x y m', has_said st1 x y m' ->
    has_said st x y m' \/ x = me /\ y = to /\ m' = m).
  { intros x y m' [H|[Ex H]]; [left; now left|]. cbn in H. apply in_app_or in H as [H|[H|[]]].
    - left. right. auto.
    - right. now inversion H. }
  split; [|intros x H; cbn; apply in_or_app; auto]. constructor.
  - constructor.
    + cbn. rewrite E in A. split; [apply A|exact F].
    + change (leader_of (now st1)) with (leader_of (now st)).
      eapply fits_leader_says; [|eapply fits_leader_stays; [exact Gr| |exact L]; intros; auto].
      intros y m' H. apply New in H as [H|(_ & -> & ->)]; [now left|right; now apply may_say].
    + exact R.
    + cbn. destruct (learner (now st)); auto. destruct Le. split; eauto using fits_learner_stays.
  - intros m' H. cbn in *. apply in_or_app. destruct (N.eqb_spec to me) as [->|NE]; [|auto].
    apply in_app_or in H as [H|[<-|[]]]; [auto|right; now left].
  - intros x y m' H. apply New in H as [H|(-> & -> & ->)].
    + apply (means_stays s s' (has_said st)); auto. intros b u _. apply settled_same; auto.
    + apply (means_stays s' s' (has_said (with_acceptor a' st))); auto using grows_refl.
  - intros i b e H. destruct (Votes i b e H) as [H'|(-> & p & x & H')].
    + destruct (U i b e H') as [(y & H1) (p & z & H2)].
      split; [exists y; now apply Old|exists p, z; now apply Old].
    + split; [|exists p, x; auto]. exists to. right. split; auto. cbn. apply in_or_app.
      right. now left.
  - intros e H. apply Q. exact (acceptor_move_propose c me s s' e Mv H).
  - exact Fl.
Qed.

(** Proposals are made, and the leader knows it. *)
Lemma good_proposes s s' st l l' b props : good s st -> leader (now st) = Some l ->
  moves me s s' -> proposes c asked_all s s' b props ->
  (forall b' upto m to, has_said st me to m -> is_notice m b' upto -> b' = b ->
     forall i e, In (i, e) props -> upto <= i) -> node b = me ->
  fits_leader s' (has_said st me) l' -> good s' (with_leader l' st).
Proof.
  intros [[A L R Le] B T U Q Fl] E M P Notices Own F.
  pose proof (moves_grow _ _ _ _ M) as Gr. constructor.
  - constructor; cbn.
    + destruct (acceptor (now st)) as [a|]; auto. destruct A as [A F']. split; auto.
      eapply fits_acceptor_stays; [exact Gr| | |exact F']; [apply P|intro i; apply P].
    + exact F.
    + rewrite <- R, E. reflexivity.
    + destruct (learner (now st)); auto. destruct Le. split; eauto using fits_learner_stays.
  - exact B.
  - intros a to m H. apply (means_stays s s' (has_said st)); auto.
    intros b' u Hn St i e Li Ti. apply (new_accepts _ _ _ _ _ _ P) in Ti as [Ti|[-> Hi]].
    + eauto using chosen_stays.
    + assert (a = me) as ->.
      { specialize (T a to m H). destruct m; try contradiction; cbn in Hn, T;
          destruct Hn as [-> _]; destruct T as [<- _]; congruence. }
      specialize (Notices b u m to H Hn eq_refl i e Hi). lia.
  - intros i k e H. apply (same_accepted _ _ _ _ _ _ P) in H. exact (U i k e H).
  - intros e H. apply (new_proposals _ _ _ _ _ _ P) in H as [H|H]; auto.
  - exact Fl.
Qed.

(** ** The parts of a step that move nothing *)

Variable time : N.

(** The process leads in ballot [b]. *)
Definition is_leader (st : step) (b : ballot) (r : Leadership.leadership) : Prop :=
  leader (now st) = Some (Leader.Leader (Some b) (Leader.Leading r)).

Lemma leading_is_leader st b r : leading (now st) = Some (b, r) -> is_leader st b r.
Proof.
  unfold leading, is_leader. destruct (leader (now st)) as [[[k|] [| |x|]]|]; try discriminate.
  now intros [= -> ->].
Qed.

Lemma leadership_is_leader s st r : good s st -> leadership_of (now st) = Some r -> exists b,
  is_leader st b r.
Proof.
  intros G. unfold leadership_of, is_leader. destruct (leader (now st)) as [l|] eqn:E;
    [|discriminate].
  pose proof (phase_fits _ _ _ _ _ _ (leader_fits _ _ _ G E)) as P.
  destruct l as [k [| |x|]]; try discriminate. intros [= ->].
  destruct P as (b & Hb & _). cbn in Hb. subst. eauto.
Qed.

Lemma is_leader_fits s st b r : good s st -> is_leader st b r ->
  fits_leader s (has_said st me) (Leader.Leader (Some b) (Leader.Leading r)) /\
  fits_leadership s b r /\ node b = me.
Proof.
  intros G E. pose proof (leader_fits _ _ _ G E) as F. split; [exact F|].
  exact (leading_fits c me asked s _ _ b r F eq_refl eq_refl).
Qed.

Lemma good_with_leadership s st b r r' : good s st -> is_leader st b r -> fits_leadership s b r' ->
  Leadership.next r <= Leadership.next r' -> good s (with_leadership r' st) /\
    is_leader (with_leadership r' st) b r'.
Proof.
  intros G E F L. destruct (is_leader_fits _ _ _ _ G E) as (Fl & _ & _). unfold with_leadership.
  pose proof E as E'. unfold is_leader in E'. rewrite E'. split; [|reflexivity].
  apply good_with_leader; [exact G|congruence|].
  exact (fits_leader_leadership c me asked s _ _ b r r' Fl eq_refl eq_refl F L).
Qed.

Lemma keeps_with_leadership s st b r r' : good s st -> is_leader st b r ->
  fits_leadership s b r' -> Leadership.next r <= Leadership.next r' ->
    keeps s st (with_leadership r' st).
Proof.
  intros G E F L. destruct (good_with_leadership s st b r r' G E F L) as [G' _].
  apply keeps_now; auto. unfold with_leadership. now destruct (leader (now st)).
Qed.

(** How far all is chosen, said by its leader. *)
Lemma notice_ok s st b r to m upto : good s st -> is_leader st b r ->
  m = Decided b upto \/ (exists it, m = Heartbeat b it upto) -> upto = Leadership.chosen_below r ->
  means s (has_said st) me to m /\ may_have_said c me s (leader_of (now st)) to m.
Proof.
  intros G E Hm ->. destruct (is_leader_fits _ _ _ _ G E) as (_ & R & O).
  destruct (chosen_below_ok c asked s b r R) as [St Le].
  unfold leader_of. unfold is_leader in E. rewrite E.
  destruct Hm as [->|[it ->]]; cbn; (split; [split; auto|]); (split; [auto|split; [|auto]]);
    unfold up; cbn; lia.
Qed.

Lemma keeps_notices s st b r to m : good s st -> is_leader st b r ->
  m = Decided b (Leadership.chosen_below r) \/ (exists it,
    m = Heartbeat b it (Leadership.chosen_below r)) ->
  keeps s st (broadcast me to m st).
Proof.
  intros G E Hm.
  enough (H : forall to st', now st' = now st -> good s st' ->
    keeps s st' (broadcast me to m st')) by (apply H; auto).
  clear to. induction to as [|x to IH]; intros st' N G'; [now apply keeps_refl|].
  assert (E' : is_leader st' b r) by (unfold is_leader; now rewrite N).
  destruct (notice_ok s st' b r x m (Leadership.chosen_below r) G' E') as [M May]; auto.
  apply (keeps_trans s st' (send me x m st')); [now apply keeps_send|].
  intro G2. apply IH; auto.
Qed.

Lemma follow_keeps s b st : good s st -> keeps s st (follow c b st).
Proof.
  intro G. unfold follow. destruct (leader (now st)) as [l|] eqn:E; [|now apply keeps_refl].
  destruct (_ <? _); [|now apply keeps_refl].
  destruct (Leader.yield_to l b) as [l' yields] eqn:Y.
  assert (F : fits_leader s (has_said st me) l').
  { pose proof (leader_fits _ _ _ G E) as F. unfold Leader.yield_to in Y.
    destruct (_ && _); inversion Y; subst; [now apply abandon_ok|exact F]. }
  apply (keeps_trans s st (with_leader l' st)).
  { apply keeps_now; [|reflexivity]. apply good_with_leader; auto. congruence. }
  intro G1. destruct yields; [|now apply keeps_wait_for_leader].
  apply (keeps_trans s _ (cancel HeartbeatTimer (with_leader l' st))); [now apply keeps_cancel|].
  apply keeps_wait_for_leader.
Qed.

Lemma tell_keeps s st b r slot e upto : good s st -> is_leader st b r -> is_chosen s slot e ->
  match upto with Some u => u = Leadership.chosen_below r | None => True end ->
  keeps s st (tell c me b slot e upto st).
Proof.
  intros G E Ch U. apply keeps_fold; auto. intros st' x _ G' N.
  assert (E' : is_leader st' b r) by (unfold is_leader; now rewrite N).
  destruct (negb _).
  - split; [|reflexivity]. apply keeps_say; auto. intros said n y. cbn.
    destruct n as [|[|n]]; cbn; try discriminate. intros [= <-]. now rewrite N.add_0_r.
  - destruct upto as [u|]; [destruct (defers_decided c)|]; try (split; [now apply keeps_refl|auto]).
    split; [|reflexivity]. destruct (notice_ok s st' b r x (Decided b u) u G' E'); auto.
    now apply keeps_send.
Qed.

Lemma flush_decided_keeps s st : good s st -> keeps s st (flush_decided c me st).
Proof.
  intro G. unfold flush_decided. destruct (leading (now st)) as [[b r]|] eqn:E;
    [|now apply keeps_refl]. apply leading_is_leader in E.
  destruct (_ || _); [now apply keeps_refl|].
  destruct (is_leader_fits _ _ _ _ G E) as (_ & R & _).
  set (r' := Leadership.with_announced r (Some (Leadership.chosen_below r))).
  assert (R' : fits_leadership s b r').
  { apply (fits_leadership_same c asked s b r); auto. apply R. }
  destruct (good_with_leadership s st b r r' G E R') as [G' E']; [reflexivity|].
  apply (keeps_trans s st (with_leadership r' st)); [now apply (keeps_with_leadership s st b r)|].
  intros _. apply (keeps_notices s _ b r'); auto.
Qed.

Lemma put_to_the_vote_keeps s l st : good s st ->
  (forall b i e, bind (leader (now st)) Leader.current = Some b -> In (i, e) l ->
     told s (accept i b e)) -> keeps s st (put_to_the_vote c me l st).
Proof.
  intros G H. unfold put_to_the_vote. destruct (bind _ _) as [b|]; [|now apply keeps_refl].
  specialize (H b).
  apply (keeps_trans s st (match l with [] => st | _ => flush_decided c me st end)).
  { destruct l; [now apply keeps_refl|now apply flush_decided_keeps]. }
  intro G1. revert G1. generalize (match l with [] => st | _ => flush_decided c me st end).
  intros st1 G1.
  assert (H' : forall i e, In (i, e) l -> told s (accept i b e)) by (intros; now apply H).
  clear H. revert st1 G1. induction l as [|[i e] l IH]; intros st1 G1; [now apply keeps_refl|].
  cbn. apply (keeps_trans s st1 (broadcast me (all_acceptors c) (Accept i (b, e)) st1)).
  - apply keeps_broadcast_say; auto. intros said x. cbn. apply H'. now left.
  - intro G2. apply IH; auto. intros j y Hj. apply H'. now right.
Qed.

Lemma catch_up_keeps s from upto st : good s st -> keeps s st (catch_up me from upto st).
Proof.
  intro G. unfold catch_up. destruct (_ && _); [|now apply keeps_refl].
  apply keeps_say; auto. intros said. exact I.
Qed.

Lemma announce_keeps s st : good s st -> keeps s st (announce c me time st).
Proof.
  intro G. unfold announce. destruct (leading (now st)) as [[b r]|] eqn:E;
    [|now apply keeps_refl]. apply leading_is_leader in E.
  destruct (is_leader_fits _ _ _ _ G E) as (_ & R & _).
  set (r1 := Leadership.heartbeat_at r time).
  set (r2 := if defers_decided c then _ else r1).
  assert (Sm : Leadership.next r2 = Leadership.next r /\ Leadership.open r2 = Leadership.open r /\
    Leadership.queue r2 = Leadership.queue r) by (unfold r2; destruct (defers_decided c); auto).
  destruct Sm as (Nx & Op & Qu).
  assert (R' : fits_leadership s b r2).
  { apply (fits_leadership_same c asked s b r); auto. rewrite Qu. apply R. }
  assert (Lx : Leadership.next r <= Leadership.next r2) by (rewrite Nx; lia).
  destruct (good_with_leadership s st b r r2 G E R' Lx) as [G' E'].
  apply (keeps_trans s st (with_leadership r2 st)); [now apply (keeps_with_leadership s st b r)|].
  intros _. apply (keeps_notices s _ b r2); auto. right. exists (Leadership.last_heartbeat r2).
  f_equal. unfold Leadership.chosen_below. now rewrite Nx, Op.
Qed.

Lemma keep_pace_keeps s st : good s st -> keeps s st (keep_pace c st).
Proof.
  intro G. unfold keep_pace. destruct (heartbeat c); [now apply keeps_set_timer|].
  now apply keeps_refl.
Qed.

Lemma serve_reads_keeps s st : good s st -> keeps s st (serve_reads c me time st).
Proof.
  intro G. unfold serve_reads. destruct (learner (now st)) as [l|]; [|now apply keeps_refl].
  destruct (leadership_of (now st)) as [r|] eqn:E; [|now apply keeps_refl].
  destruct (leadership_is_leader s st r G E) as (b & E').
  destruct (is_leader_fits _ _ _ _ G E') as (_ & R & _).
  destruct (Leadership.reads r); [now apply keeps_refl|].
  destruct (Leadership.ready _ _ _) as [r1 ready] eqn:E1.
  destruct (Leadership.begin_round _ _ _) as [r2 begins] eqn:E2.
  assert (Sm : Leadership.next r2 = Leadership.next r /\ Leadership.open r2 = Leadership.open r /\
    Leadership.queue r2 = Leadership.queue r).
  { unfold Leadership.ready in E1. inversion E1; subst. unfold Leadership.begin_round in E2.
    destruct (_ && _); inversion E2; subst; auto. }
  destruct Sm as (Nx & Op & Qu).
  assert (R' : fits_leadership s b r2).
  { apply (fits_leadership_same c asked s b r); auto. rewrite Qu. apply R. }
  apply (keeps_trans s st (with_leadership r2 st)).
  { apply (keeps_with_leadership s st b r); auto. rewrite Nx. lia. }
  intro G1.
  match goal with |- keeps s _ (if begins then announce _ _ _ ?x else ?x) => set (st2 := x) end.
  apply (keeps_trans s _ st2).
  - apply keeps_fold; auto. intros st' x _ G' _. destruct (read _ _ _).
    + split; [|reflexivity]. apply keeps_say; auto. intros said. exact I.
    + split; [now apply keeps_refl|reflexivity].
  - intro G2. destruct begins; [now apply announce_keeps|now apply keeps_refl].
Qed.

Lemma learner_fits s st l : good s st -> learner (now st) = Some l -> fits_learner c s l.
Proof. intros [[_ _ _ L] _ _ _ _ _] E. rewrite E in L. apply L. Qed.

Lemma acceptor_fits s st a : good s st -> acceptor (now st) = Some a ->
  is_acceptor c me = true /\ fits_acceptor c s me a.
Proof. intros [[A _ _ _] _ _ _ _ _] E. now rewrite E in A. Qed.

Lemma on_ask_keeps s from slot st : good s st -> keeps s st (on_ask c me from slot st).
Proof.
  intro G. unfold on_ask. destruct (learner (now st)) as [l|] eqn:E; [|now apply keeps_refl].
  pose proof (learner_fits s st l G E) as F.
  destruct (N.ltb_spec slot (Log.start (Learner.applied_log l))) as [L|L].
  - destruct (Learner.taken l) as [sn|] eqn:Et; cbn [bind]; [|now apply keeps_refl].
    destruct (chunk_at _ _ _ _) as [ch|] eqn:Ec; [|now apply keeps_refl].
    apply keeps_say; auto. intros said. cbn.
    eapply chunk_ok; [|exact Ec]. eapply snapshot_ok; eauto.
  - destruct (fitting _ _ _ _) as [|e0 rest] eqn:Ef; [now apply keeps_refl|].
    apply keeps_say; auto. intros said n e Hn. rewrite <- Ef in Hn.
    eapply tail_chosen; eauto. clear - Hn.
    revert n Hn. generalize 0, true, (tail (Learner.applied_log l) slot).
    intros bytes first t. revert bytes first. induction t as [|x t IH]; cbn; intros bytes first n.
    + destruct n; discriminate.
    + destruct (_ && _); [destruct n; discriminate|]. destruct n; cbn; eauto.
Qed.

Lemma on_fetch_keeps s from upto offset st : good s st ->
  keeps s st (on_fetch c me from upto offset st).
Proof.
  intro G. unfold on_fetch. destruct (learner (now st)) as [l|] eqn:E; cbn [bind];
    [|now apply keeps_refl].
  destruct (Learner.taken l) as [sn|] eqn:Et; [|now apply keeps_refl].
  destruct (_ <? _); [now apply keeps_refl|].
  destruct (chunk_at _ _ _ _) as [ch|] eqn:Ec; [|now apply keeps_refl].
  apply keeps_say; auto. intros said. cbn.
  eapply chunk_ok; [|exact Ec]. eapply snapshot_ok; eauto using learner_fits.
Qed.

Lemma on_heartbeat_ack_keeps s from b it st : good s st ->
  keeps s st (on_heartbeat_ack c me time from b it st).
Proof.
  intro G. unfold on_heartbeat_ack. destruct (leading (now st)) as [[k r]|] eqn:E;
    [|now apply keeps_refl]. apply leading_is_leader in E.
  destruct (_ || _); [now apply keeps_refl|].
  destruct (is_leader_fits _ _ _ _ G E) as (_ & R & _).
  set (r' := Leadership.on_heartbeat_ack _ _ _ _).
  assert (Sm : Leadership.next r' = Leadership.next r /\ Leadership.open r' = Leadership.open r /\
    Leadership.queue r' = Leadership.queue r) by (unfold r', Leadership.on_heartbeat_ack;
      destruct (contains _ _); auto).
  destruct Sm as (Nx & Op & Qu).
  apply (keeps_trans s st (with_leadership r' st)).
  { apply (keeps_with_leadership s st k r); auto; [|rewrite Nx; lia].
    apply (fits_leadership_same c asked s k r); auto. rewrite Qu. apply R. }
  intro G1. destruct (_ && _); [|now apply serve_reads_keeps].
  apply (keeps_trans s _ (set_timer Campaign (patience c (now (with_leadership r' st)))
    (with_leadership r' st))); [now apply keeps_set_timer|apply serve_reads_keeps].
Qed.

Lemma on_read_keeps s from seq query by_lease st : good s st ->
  keeps s st (on_read c me time from seq query by_lease st).
Proof.
  intro G. unfold on_read. destruct (leadership_of (now st)) as [r|] eqn:E; [|now apply keeps_refl].
  destruct (learner (now st)) as [l|]; [|now apply keeps_refl].
  destruct (read _ _ _); [|now apply keeps_refl].
  destruct (_ && _); [apply keeps_say; auto; intros said; exact I|].
  destruct (leadership_is_leader s st r G E) as (b & E').
  destruct (is_leader_fits _ _ _ _ G E') as (_ & R & _).
  set (r' := Leadership.on_read _ _ _ _ _ _).
  assert (Sm : Leadership.next r' = Leadership.next r /\ Leadership.open r' = Leadership.open r /\
    Leadership.queue r' = Leadership.queue r) by (unfold r', Leadership.on_read;
      destruct (_ || _); auto).
  destruct Sm as (Nx & Op & Qu).
  apply (keeps_trans s st (with_leadership r' st)); [|apply serve_reads_keeps].
  apply (keeps_with_leadership s st b r); auto; [|rewrite Nx; lia].
  apply (fits_leadership_same c asked s b r); auto. rewrite Qu. apply R.
Qed.

Lemma on_heartbeat_timer_keeps s st : good s st -> keeps s st (on_heartbeat_timer c me time st).
Proof.
  intro G. unfold on_heartbeat_timer. destruct (leadership_of (now st)) as [r|] eqn:E;
    [|now apply keeps_refl].
  destruct (leadership_is_leader s st r G E) as (b & E').
  destruct (is_leader_fits _ _ _ _ G E') as (_ & R & _).
  match goal with |- context [put_to_the_vote c me ?o st] => set (open := o) end.
  apply (keeps_trans s st (put_to_the_vote c me open st)).
  { apply put_to_the_vote_keeps; auto. intros k i e Hk Hi. unfold is_leader in E'.
    rewrite E' in Hk. inversion Hk; subst k. unfold open in Hi.
    apply in_map_iff in Hi as ([j p] & [= <- <-] & Hp).
    apply (open_proposed _ _ _ _ _ R _ _ Hp). }
  intro G1. match goal with |- keeps s _ (keep_pace _ (announce _ _ _ ?x)) => set (st2 := x) end.
  apply (keeps_trans s _ st2).
  - unfold st2. destruct (_ <? _); [|now apply keeps_refl]. apply keeps_broadcast_say; auto.
    intros said x. exact I.
  - intro G2. apply (keeps_trans s _ (announce c me time st2)); [now apply announce_keeps|].
    apply keep_pace_keeps.
Qed.

Lemma campaign_keeps s st : good s st -> keeps s st (campaign c me st).
Proof.
  intro G. unfold campaign. destruct (leader (now st)) as [l|] eqn:E; [|now apply keeps_refl].
  destruct (Leader.prepare _ _ _ _ _) as [l' m] eqn:P.
  destruct (prepare_ok c me asked s _ l _ _ _ l' m is_node (leader_fits _ _ _ G E) P) as [F M].
  apply (keeps_trans s st (with_leader l' st)).
  { apply keeps_now; [|reflexivity]. apply good_with_leader; auto. congruence. }
  intro G1. match goal with |- keeps s _ (set_timer _ _ ?x) => set (st2 := x) end.
  apply (keeps_trans s _ st2); [|intro G2; now apply keeps_set_timer].
  unfold st2. destruct m as [m|]; [|now apply keeps_refl].
  destruct (M m eq_refl) as (b & -> & May).
  apply (keeps_trans s _ (cancel HeartbeatTimer (with_leader l' st))); [now apply keeps_cancel|].
  intro G2. apply keeps_broadcast; auto. intros st' x N _. split; [exact I|].
  rewrite N. apply May.
Qed.

Lemma tick_keeps s st : good s st -> keeps s st (tick c st).
Proof.
  intro G. unfold tick. match goal with |- context [with_state ?x st] => set (s1 := x) end.
  apply (keeps_trans s st (with_state s1 st)); [|apply keeps_set_timer].
  apply keeps_now; [|reflexivity]. destruct (acceptor (now st)) as [a|] eqn:E.
  - set (a1 := Acceptor.tick a (clock (now st) + 1)).
    change (good s (with_state s1 (with_acceptor a1 st))).
    apply good_with_state; [|reflexivity..].
    eapply good_with_acceptor; [exact G|exact E|].
    apply (fits_acceptor_as c s me a); try apply (acceptor_fits s st a G E);
      unfold a1, Acceptor.tick; destruct (Acceptor.lease_granted a); auto; now destruct (_ <? _).
  - now apply good_with_state.
Qed.

Lemma on_nack_keeps s from promised upto st : good s st ->
  keeps s st (on_nack c me from promised upto st).
Proof.
  intro G. unfold on_nack.
  apply (keeps_trans s st (catch_up me from upto st)); [now apply catch_up_keeps|].
  intro G1. destruct (leader (now (catch_up me from upto st))) as [l|] eqn:E;
    [|now apply keeps_refl].
  destruct (Leader.on_nack l promised) as [l' gives_up] eqn:Nk.
  assert (F : fits_leader s (has_said (catch_up me from upto st) me) l').
  { pose proof (leader_fits _ _ _ G1 E) as F. unfold Leader.on_nack in Nk.
    destruct (_ && _); inversion Nk; subst; [now apply abandon_ok|exact F]. }
  apply (keeps_trans s _ (with_leader l' (catch_up me from upto st))).
  { apply keeps_now; [|reflexivity]. apply good_with_leader; auto. congruence. }
  intro G2. destruct gives_up; [|now apply keeps_refl].
  apply (keeps_trans s _ (cancel HeartbeatTimer (with_leader l' (catch_up me from upto st))));
    [now apply keeps_cancel|]. intro G3. now apply keeps_set_timer.
Qed.

(** ** The parts that move *)

Lemma leads_refl s st : good s st -> leads s st st.
Proof. intro G. apply keeps_leads, keeps_refl, G. Qed.

(** First a move, then what moves nothing. *)
Lemma moves_then s s' st st1 st2 : moves me s s' -> good s' st1 -> incl (said st) (said st1) ->
  (good s' st1 -> keeps s' st1 st2) -> leads s st st2.
Proof.
  intros M G I K. destruct (K G) as [G2 I2]. exists s'. split; [exact M|]. split; [exact G2|].
  eapply incl_tran; eauto.
Qed.

Lemma keeps_then s st st' st'' : keeps s st st' -> (good s st' -> leads s st' st'') ->
  leads s st st''.
Proof.
  intros [G I] H. destruct (H G) as (s' & M & G' & I'). exists s'. split; [exact M|].
  split; [exact G'|]. eapply incl_tran; eauto.
Qed.

Lemma leads_keeps s st st' st'' : leads s st st' ->
  (forall s', good s' st' -> keeps s' st' st'') -> leads s st st''.
Proof.
  intros (s' & M & G & I) H. apply (moves_then s s' st st'); auto.
Qed.

Lemma fill_ok s st : valid s -> good s st -> leads s st (fill c me st).
Proof.
  intros V G. unfold fill. destruct (leadership_of (now st)) as [r|] eqn:E; [|now apply leads_refl].
  destruct (leadership_is_leader s st r G E) as (b & E').
  destruct (is_leader_fits _ _ _ _ G E') as (F & R & O).
  destruct (Leadership.fill _ _ _ r) as [r' props] eqn:Fi.
  destruct (LeaderProof.fill_ok c cluster_sound me asked s _ _ b r _ _ _ r' props V F eq_refl
    eq_refl Fi) as (s' & M & P & Slots & F').
  assert (Wr : with_leadership r' st = with_leader (Leader.Leader (Some b) (Leader.Leading r')) st).
  { unfold with_leadership. unfold is_leader in E'. now rewrite E'. }
  rewrite Wr.
  apply (moves_then s s' st (with_leader (Leader.Leader (Some b) (Leader.Leading r')) st));
    [exact M| |apply incl_refl|].
  { eapply good_proposes; eauto.
    intros b' u m to H Hn -> i e Hi. apply Slots in Hi.
    pose proof (said_fits _ _ _ _ _ _ F to m H) as May.
    destruct m; try contradiction; cbn in Hn, May;
      destruct Hn as [-> ->]; destruct May as (_ & _ & L); specialize (L eq_refl); lia. }
  intro G1. set (st1 := with_leader _ st) in *.
  match goal with |- keeps s' _ (put_to_the_vote _ _ _ ?x) => set (st2 := x) end.
  apply (keeps_trans s' st1 st2).
  - unfold st2. destruct props; [now apply keeps_refl|].
    destruct (is_none _); [now apply keeps_set_timer|now apply keeps_refl].
  - intro G2. apply put_to_the_vote_keeps; auto. intros k i e Hk Hi.
    assert (N : now st2 = now st1)
      by (unfold st2; destruct props; [reflexivity|now destruct (is_none _)]).
    rewrite N in Hk. cbn in Hk. inversion Hk; subst k.
    apply (new_accepts _ _ _ _ _ _ P). auto.
Qed.

Lemma settle_ok s done st : valid s -> good s st -> leads s st (settle c me time done st).
Proof.
  intros V G. unfold settle. destruct (learner (now st)) as [l|] eqn:El; [|now apply leads_refl].
  pose proof (learner_fits s st l G El) as F.
  destruct (match leader (now st) with Some p => _ | None => (st, true) end)
    as [st1 goes_on] eqn:E1.
  assert (K1 : keeps s st st1 /\ learner (now st1) = Some l).
  { destruct (leader (now st)) as [p|] eqn:Ep.
    - destruct (Leader.learn p _ _) as [p' g] eqn:Lp. inversion E1; subst.
      split; [|exact El]. apply keeps_now; [|reflexivity].
      apply good_with_leader; [exact G|congruence|].
      eapply leader_learn_ok; [exact (leader_fits s st p G Ep)| |exact Lp].
      intros i e. apply entry_at_chosen; auto.
    - inversion E1; subst. split; [now apply keeps_refl|exact El]. }
  destruct K1 as [K1 El1].
  apply (keeps_then s st st1 _ K1). intro G1. clear K1 E1.
  cbv zeta. set (st2 := match snapshot_every c with
    | Some every => with_learner (Learner.compact (encoding_of c) l every) st1
    | None => st1
    end).
  assert (K2 : keeps s st1 st2).
  { unfold st2. destruct (snapshot_every c); [|now apply keeps_refl].
    apply keeps_now; [|reflexivity]. eapply good_with_learner; eauto using compact_ok.
    rewrite compact_forth. lia. }
  apply (keeps_then s st1 st2 _ K2). intro G2.
  match goal with |- context [if goes_on then ?x else _] => set (st3 := x) end.
  assert (K3 : keeps s st2 st3).
  { unfold st3. destruct (acceptor (now st2)) as [a|] eqn:Ea; [|now apply keeps_refl].
    apply keeps_now; [|reflexivity]. eapply good_with_acceptor; eauto.
    apply trim_ok. now apply (acceptor_fits s st2 a G2 Ea). }
  apply (keeps_then s st2 st3 _ K3). intro G3.
  match goal with |- leads s _ (match leadership_of (now ?x) with _ => _ end) => set (st4 := x) end.
  assert (K4 : keeps s st3 st4).
  { unfold st4. destruct goes_on; [now apply keeps_refl|].
    apply (keeps_trans s _ (cancel HeartbeatTimer st3)); [now apply keeps_cancel|].
    apply keeps_wait_for_leader. }
  apply (keeps_then s st3 st4 _ K4). intro G4.
  destruct (leadership_of (now st4)); [|now apply leads_refl].
  match goal with |- leads s _ (serve_reads _ _ _ (fill _ _ ?x)) => set (st5 := x) end.
  assert (K5 : keeps s st4 st5).
  { apply keeps_fold; auto. intros st' [[client seq] [o|]] _ G' _.
    - split; [|reflexivity]. apply keeps_say; auto. intros said. exact I.
    - split; [now apply keeps_refl|reflexivity]. }
  apply (keeps_then s st4 st5 _ K5). intro G5.
  apply (leads_keeps s st5 (fill c me st5)); [now apply fill_ok|].
  intros s' G'. now apply serve_reads_keeps.
Qed.

Lemma learn_ok s slot e st : valid s -> good s st -> is_chosen s slot e ->
  leads s st (learn c me time slot e st).
Proof.
  intros V G Ch. unfold learn. destruct (learner (now st)) as [l|] eqn:E; [|now apply leads_refl].
  destruct (Learner.learn _ _ _ _) as [l' done] eqn:L.
  apply (keeps_then s st (with_learner l' st)); [|intro; now apply settle_ok].
  apply keeps_now; [|reflexivity].
  eapply good_with_learner; eauto using RolesProof.learn_ok, learner_fits, learn_forth.
Qed.

Lemma has_said_more st st' x y m : incl (said st) (said st') -> has_said st x y m ->
  has_said st' x y m.
Proof. intros I [H|[E H]]; [now left|right; auto]. Qed.

Lemma learn_voted_ok from m b upto fuel : forall s slot st, valid s -> good s st ->
  has_said st from me m -> is_notice m b upto ->
  leads s st (learn_voted c me time fuel b slot upto st).
Proof.
  induction fuel as [|fuel IH]; cbn; intros s slot st V G H Nt; [now apply leads_refl|].
  destruct (N.ltb_spec slot upto) as [L|]; [|now apply leads_refl].
  destruct (acceptor (now st)) as [a|] eqn:Ea; cbn [bind]; [|now apply leads_refl].
  destruct (Acceptor.voted_in a b slot) as [e|] eqn:Vo; [|now apply leads_refl].
  assert (Ch : is_chosen s slot e).
  { pose proof (said_true _ _ G from me m H) as M.
    assert (St : settled s b upto).
    { destruct m; try contradiction; cbn in Nt, M; destruct Nt as [-> ->]; apply M. }
    apply St; auto. eapply voted_in_ok; eauto. now apply (acceptor_fits s st a G Ea). }
  apply (leads_trans s st (learn c me time slot e st)); auto.
  - now apply learn_ok.
  - intros s' V' Gr G'. destruct (learn_ok s slot e st V G Ch) as (s2 & _ & _ & Inc).
    apply IH; auto. eapply has_said_more; eauto.
Qed.

Lemma on_decided_ok s from m b upto st : valid s -> good s st ->
  has_said st from me m -> is_notice m b upto ->
  leads s st (on_decided c me time from b upto st).
Proof.
  intros V G H Nt. unfold on_decided.
  match goal with |- leads s st (catch_up _ _ _ (if _ then learn_voted _ _ _ ?f _ _ _ _ else _)) =>
    generalize f; intro fuel end.
  apply (leads_keeps s st (if is_some (learner (now st))
    then learn_voted c me time fuel b (decided (now st)) upto st else st)).
  - destruct (is_some _); [eapply learn_voted_ok; eauto|now apply leads_refl].
  - intros s' G'. now apply catch_up_keeps.
Qed.

Lemma on_entries_ok l : forall s slot st, valid s -> good s st ->
  (forall n e, nth_error l n = Some e -> is_chosen s (slot + N.of_nat n) e) ->
  leads s st (on_entries c me time slot l st).
Proof.
  induction l as [|e l IH]; intros s slot st V G H; [now apply leads_refl|]. cbn [on_entries].
  match goal with |- leads s st (on_entries _ _ _ _ _ ?x) => set (st1 := x) end.
  apply (leads_trans s st st1); auto.
  - unfold st1. destruct (_ && _); [|now apply leads_refl]. apply learn_ok; auto.
    specialize (H 0%nat e eq_refl). now rewrite N.add_0_r in H.
  - intros s' V' Gr G'. apply IH; auto. intros n x Hn. specialize (H (1 + n)%nat x Hn).
    replace (slot + 1 + N.of_nat n) with (slot + N.of_nat (1 + n)) by lia.
    eauto using chosen_stays.
Qed.

Lemma on_chunk_ok s from ch st : valid s -> good s st -> fits_chunk c s ch ->
  leads s st (on_chunk c me time from ch st).
Proof.
  intros V G F. unfold on_chunk. destruct (learner (now st)) as [l|] eqn:E;
    [|now apply leads_refl].
  destruct (Learner.on_chunk _ _ _ _) as [l' what] eqn:O.
  apply (keeps_then s st (with_learner l' st)).
  - apply keeps_now; [|reflexivity].
    eapply good_with_learner; eauto using RolesProof.on_chunk_ok, learner_fits, on_chunk_forth.
  - intro G1. destruct what; [now apply leads_refl| |now apply settle_ok].
    apply keeps_leads, keeps_say; auto. intros said. exact I.
Qed.

Lemma on_request_ok s it st : valid s -> good s st -> asked it ->
  leads s st (on_request c me it st).
Proof.
  intros V G A. unfold on_request. destruct (learner (now st)) as [l|]; [|now apply leads_refl].
  destruct (leadership_of (now st)) as [r|] eqn:E; [|now apply leads_refl].
    destruct it as [client o].
  destruct (cached_reply _ _); [apply keeps_leads, keeps_say; auto; intros said; exact I|].
  destruct (is_past _ _); [now apply leads_refl|].
  destruct (Leadership.on_request _ _ _ _) as [r' takes] eqn:Rq.
  destruct (leadership_is_leader s st r G E) as (b & E').
  destruct (is_leader_fits _ _ _ _ G E') as (_ & R & _).
  assert (R' : fits_leadership s b r' /\ Leadership.next r' = Leadership.next r).
  { unfold Leadership.on_request in Rq. destruct (_ && _); inversion Rq; subst; [|auto].
    split; [|reflexivity]. apply (fits_leadership_same c asked s b r); auto. cbn. intros q Hq.
    apply in_app_or in Hq as [Hq|[<-|[]]]; [apply (queue_asked _ _ _ _ _ R _ Hq)|exact A]. }
  destruct R' as [R' Nx].
  apply (keeps_then s st (with_leadership r' st)).
  { apply (keeps_with_leadership s st b r); auto. rewrite Nx. lia. }
  intro G1. destruct (negb takes); [now apply leads_refl|].
  destruct (negb _); [now apply fill_ok|].
  destruct (_ && _); [apply keeps_leads; now apply keeps_set_timer|now apply leads_refl].
Qed.

Lemma on_accepted_ok s from b slot st : valid s -> good s st ->
  (exists e, told s (accepted from slot b e)) ->
  leads s st (on_accepted c me time from b slot st).
Proof.
  intros V G T. unfold on_accepted. destruct (leading (now st)) as [[k r]|] eqn:E;
    [|now apply leads_refl]. apply leading_is_leader in E.
  destruct (N.eqb_spec k b) as [->|]; cbn [negb]; [|now apply leads_refl].
  destruct (is_leader_fits _ _ _ _ G E) as (_ & R & _).
  destruct (Leadership.on_accepted _ _ _ _) as [r' chosen] eqn:O.
  destruct (LeaderProof.on_accepted_ok c cluster_sound asked s b r from slot r' chosen V R T O)
    as (R' & Nx & Ch).
  assert (Lx : Leadership.next r <= Leadership.next r') by (rewrite Nx; lia).
  destruct (good_with_leadership s st b r r' G E R' Lx) as [G1 E1].
  apply (keeps_then s st (with_leadership r' st)); [now apply (keeps_with_leadership s st b r)|].
  intros _. destruct chosen as [e|]; [|now apply leads_refl]. specialize (Ch e eq_refl).
  match goal with |- context [tell c me b slot e ?u _] => set (upto := u) end.
  apply (keeps_then s _ (tell c me b slot e upto (with_leadership r' st))).
  { apply (tell_keeps s _ b r'); auto. unfold upto. now destruct (_ <? _). }
  intro G2. match goal with |- leads s _ (set_timer _ _ ?x) => set (st3 := x) end.
  apply (leads_keeps s _ st3); [now apply learn_ok|]. intros s' G'. now apply keeps_set_timer.
Qed.

(** ** The acceptor's answers *)

(** A refusal changes nothing, and is true. *)
Lemma refuses s from b st a : good s st -> acceptor (now st) = Some a ->
  leads s st (answer c me from (Acceptor.refusal_of a b time) (with_acceptor a st)).
Proof.
  intros G Ea. apply (keeps_then s st (with_acceptor a st)).
  { apply keeps_now; [|reflexivity]. eapply good_with_acceptor; eauto.
    apply (acceptor_fits s st a G Ea). }
  intro G1. destruct (Acceptor.refusal_of a b time) as [m|] eqn:E; [|now apply leads_refl].
  apply refusal_ok in E as (p & d & ->). cbn [answer]. destruct (nacks c);
    [apply keeps_leads, keeps_say; auto; intros said; exact I|now apply leads_refl].
Qed.

Lemma on_prepare_ok s from b start st : valid s -> good s st ->
  has_said st from me (Prepare b start) -> forall a, acceptor (now st) = Some a ->
  forall a' reply, Acceptor.on_prepare (bytes_of_entry (encoding_of c)) (bytes_max (limit c))
    a b start time = (a', reply) ->
  leads s st (answer c me from reply (with_acceptor a' st)).
Proof.
  intros V G H a Ea a' reply. destruct (acceptor_fits s st a G Ea) as [Acc F].
  unfold Acceptor.on_prepare.
  destruct (_ || _) eqn:E; [intros [= <- <-]; now apply refuses|].
  apply orb_false_iff in E as [L NE]. apply negb_false_iff, admits_ok in L.
  assert (L' : rank (Acceptor.promised a) < rank (Some b)).
  { destruct (N.eq_dec (rank (Acceptor.promised a)) (rank (Some b))) as [Eq|]; [|lia].
    apply rank_injective in Eq. rewrite Eq in NE. cbn in NE. now rewrite N.eqb_refl in NE. }
  set (a1 := Acceptor.with_promise b a). intros [= <- <-].
  destruct (promise_ok c s me a b V F L') as (s' & Mv & F' & Votes).
  destruct (report_ok c s' me a1 (bytes_of_entry (encoding_of c)) (bytes_max (limit c)) b start
    F' eq_refl) as (votes & more & Rp & Reports).
  rewrite Rp. cbn [answer].
  eapply leads_acceptor; eauto.
  cbn. split; [exact Acc|]. exists start. split; [left; exact H|exact Reports].
Qed.

Lemma on_continue_ok s from b start st a : good s st ->
  has_said st from me (Continue b start) -> acceptor (now st) = Some a ->
  leads s st (answer c me from (Acceptor.on_continue (bytes_of_entry (encoding_of c))
    (bytes_max (limit c)) a b start) st).
Proof.
  intros G H Ea. destruct (acceptor_fits s st a G Ea) as [Acc F]. unfold Acceptor.on_continue.
  destruct (is_ballot (Acceptor.promised a) b) eqn:P; [|now apply leads_refl].
  apply is_ballot_true in P.
  destruct (report_ok c s me a (bytes_of_entry (encoding_of c)) (bytes_max (limit c)) b start
    F P) as (votes & more & Rp & Reports).
  rewrite Rp. cbn [answer]. apply keeps_leads, keeps_send; auto using may_say.
  cbn. split; [exact Acc|]. exists start. split; [right; exact H|exact Reports].
Qed.

Lemma on_accept_ok s from slot v st : valid s -> good s st ->
  has_said st from me (Accept slot v) -> leads s st (on_accept c me time from slot v st).
Proof.
  intros V G H. unfold on_accept.
  destruct (acceptor (now st)) as [a|] eqn:Ea; [|now apply leads_refl].
  destruct (acceptor_fits s st a G Ea) as [Acc F]. destruct v as [b e]. cbn [fst].
  destruct (Acceptor.on_accept a slot (b, e) time) as [a' reply] eqn:O.
  pose proof (said_true _ _ G from me _ H) as T. cbn in T.
  set (st1 := answer c me from reply (with_acceptor a' st)).
  assert (L1 : leads s st st1).
  { destruct (RolesProof.on_accept_ok c cluster_sound s me a slot b e time a' reply V F T O)
      as (s' & Mv & F' & Vote & Kinds & Votes).
    destruct reply as [reply|].
    - destruct (Kinds reply eq_refl) as [->|(p & d & ->)].
      + unfold st1. cbn [answer]. eapply leads_acceptor; eauto.
        * cbn. exists e. now apply Vote.
        * intros i k x Hx. destruct (Votes i k x Hx) as [?|(_ & -> & -> & ->)]; [auto|].
          right. split; [reflexivity|]. exists from, me. exact H.
      + (* a refusal changes nothing *)
        assert (a' = a) as ->.
        { unfold Acceptor.on_accept in O. destruct (negb _); [congruence|].
          destruct (_ <? _); inversion O. }
        apply (keeps_then s st (with_acceptor a st)).
        { apply keeps_now; [|reflexivity]. eapply good_with_acceptor; eauto. }
        intro G1. unfold st1. cbn [answer]. destruct (nacks c);
          [apply keeps_leads, keeps_say; auto; intros said; exact I|now apply leads_refl].
    - assert (a' = a) as ->.
      { unfold Acceptor.on_accept in O. destruct (negb _); [congruence|].
        destruct (_ <? _); inversion O; auto. }
      apply keeps_leads, keeps_now; [|reflexivity]. unfold st1. cbn [answer].
      eapply good_with_acceptor; eauto. }
  destruct (negb _); [exact L1|].
  apply (leads_keeps s st st1 _ L1). intros s' G'.
  apply (keeps_trans s' st1 (follow c b st1)); [now apply follow_keeps|]. intro G2.
  destruct (_ <? _); [now apply on_ask_keeps|now apply keeps_refl].
Qed.

Lemma on_heartbeat_ok s from b it upto st : valid s -> good s st ->
  has_said st from me (Heartbeat b it upto) ->
  leads s st (on_heartbeat c me time from b it upto st).
Proof.
  intros V G H. unfold on_heartbeat.
  set (heed := fun st => if from =? me then follow c b st
    else on_decided c me time from b upto (follow c b st)).
  assert (Heed : forall s st, valid s -> good s st -> has_said st from me (Heartbeat b it upto) ->
    leads s st (heed st)).
  { intros s1 st1 V1 G1 H1. unfold heed. destruct (_ =? _);
      [apply keeps_leads; now apply follow_keeps|].
    apply (keeps_then s1 st1 (follow c b st1)); [now apply follow_keeps|]. intro G2.
    apply (on_decided_ok s1 from (Heartbeat b it upto)); auto; [|now split].
    eapply has_said_more; [|exact H1]. now apply (follow_keeps s1 b st1 G1). }
  destruct (acceptor (now st)) as [a|] eqn:Ea; [|now apply Heed].
  destruct (acceptor_fits s st a G Ea) as [Acc F].
  unfold Acceptor.on_heartbeat. destruct (Acceptor.admits a b time) eqn:L; cbn [negb].
  2: { destruct (Acceptor.refusal_of a b time) as [m|] eqn:R.
    - destruct (refusal_ok _ _ _ _ R) as (p & d & ->). rewrite <- R. now apply refuses.
    - rewrite <- R. now apply refuses. }
  apply admits_ok in L.
  match goal with |- context [with_acceptor ?x st] => set (a1 := x) end.
  assert (Same : Acceptor.promised a1 = Some b /\ Acceptor.votes a1 = Acceptor.votes a /\
    Acceptor.base a1 = Acceptor.base a) by (unfold a1; now destruct (lease c)).
  destruct Same as (P1 & V1 & B1).
  assert (Mv : exists s', acceptor_move c me s s' /\ fits_acceptor c s' me a1 /\
    forall i k e, told s' (accepted me i k e) -> told s (accepted me i k e)).
  { destruct (N.eq_dec (rank (Acceptor.promised a)) (rank (Some b))) as [Eq|NE].
    - exists s. split; [now left|]. split; [|auto]. apply rank_injective in Eq.
      apply (fits_acceptor_as c s me a); congruence || auto.
    - destruct (promise_ok c s me a b V F) as (s' & Mv & F' & Votes); [lia|].
      exists s'. split; [exact Mv|]. split; [|exact Votes].
      now apply (fits_acceptor_as c s' me (Acceptor.with_promise b a)). }
  destruct Mv as (s' & Mv & F1 & Votes). cbn [answer].
  set (st2 := send me from (HeartbeatAck b it) (with_acceptor a1 st)).
  assert (L2 : leads s st st2).
  { apply (leads_acceptor s s' st a a1 from (HeartbeatAck b it)); auto. exact I. }
  apply (leads_trans s st st2 _ V L2). intros s3 V3 _ G3. apply Heed; auto.
  destruct L2 as (_ & _ & _ & Inc). eapply has_said_more; eauto.
Qed.

Lemma on_promise_ok s from b votes base more st : valid s -> good s st ->
  has_said st from me (Promise b votes base more) ->
  leads s st (on_promise c me time from b votes base more st).
Proof.
  intros V G H. unfold on_promise.
  destruct (leader (now st)) as [l|] eqn:E; [|now apply leads_refl].
  destruct (said_true _ _ G from me _ H) as (Acc & x & Asked & Rep).
  destruct (Leader.on_promise _ _ _ _ _ _ _) as [l' props] eqn:O.
  assert (Base : base <= N.max (decided (now st)) base) by lia.
  destruct (LeaderProof.on_promise_ok c cluster_sound me asked s (has_said st me) l from b x votes
    base _ more l' props V (leader_fits s st l G E) Acc Asked Rep Base O)
    as (s' & M & To & F' & May).
  set (st1 := with_leader l' st).
  assert (G1 : good s' st1).
  { destruct props as [ps|]; cbn in To.
    - destruct To as (k & Hk & Hk' & Prep & P). eapply good_proposes; eauto.
      + intros b' u m to Hm Hn -> i e Hi.
        pose proof (said_fits _ _ _ _ _ _ (leader_fits s st l G E) to m Hm) as Ms.
        destruct (Leader.progress l) as [|it| |] eqn:Ph; try discriminate.
        unfold may_have_said in Ms. rewrite Ph in Ms.
        destruct m; try contradiction; cbn in Hn; destruct Hn as [-> ->];
          destruct Ms as (_ & _ & N); destruct (N Hk).
      + pose proof (phase_fits _ _ _ _ _ _ (leader_fits s st l G E)) as Ph.
        destruct (Leader.progress l); try discriminate. destruct Ph as (k' & Hk2 & Own & _).
        congruence.
    - subst s'. apply good_with_leader; [exact G|congruence|exact F']. }
  set (st2 := match more with
    | Some slot => if Leader.is_past_promise l from b then st else send me from (Continue b slot) st
    | None => st
    end).
  assert (Sw : with_leader l' st2 = match more with
    | Some slot => if Leader.is_past_promise l from b then st1
        else send me from (Continue b slot) st1
    | None => st1
    end).
  { unfold st2. destruct more; [|reflexivity]. now destruct (Leader.is_past_promise l from b). }
  assert (K2 : keeps s' st1 (with_leader l' st2)).
  { rewrite Sw. destruct more as [slot|]; [|now apply keeps_refl].
    destruct (Leader.is_past_promise l from b) eqn:Past; [now apply keeps_refl|].
    apply keeps_send; [exact G1|exact I|]. exact (May slot eq_refl eq_refl). }
  apply (moves_then s s' st st1); [exact M|exact G1|apply incl_refl|]. intros _.
  apply (keeps_trans s' st1 _ _ K2). intro G3.
  set (st4 := catch_up me from base (with_leader l' st2)).
  apply (keeps_trans s' _ st4); [now apply catch_up_keeps|]. intro G4.
  destruct props as [ps|]; [|now apply keeps_refl].
  apply (keeps_trans s' st4 (put_to_the_vote c me ps st4)).
  - apply put_to_the_vote_keeps; auto. intros k i e Hk Hi.
    destruct To as (k' & _ & Hk' & _ & P).
    assert (N : leader (now st4) = Some l').
    { unfold st4, catch_up. destruct (_ && _); reflexivity. }
    rewrite N in Hk. cbn in Hk. assert (k = k') as -> by congruence.
    apply (new_accepts _ _ _ _ _ _ P). auto.
  - intro G5. destruct (is_some (heartbeat c)); [|now apply keeps_refl].
    apply (keeps_trans s' _ (announce c me time (put_to_the_vote c me ps st4)));
      [now apply announce_keeps|apply keep_pace_keeps].
Qed.

Lemma dispatch_ok s from m st : valid s -> good s st -> has_said st from me m ->
  leads s st (dispatch c me time from m st).
Proof.
  intros V G H. pose proof (said_true _ _ G from me m H) as M.
  destruct m; cbn in M; cbn [dispatch].
  - now apply on_request_ok.
  - apply keeps_leads. now apply on_read_keeps.
  - now apply leads_refl.
  - destruct (acceptor (now st)) as [a|] eqn:E; [|now apply leads_refl].
    destruct (Acceptor.on_prepare _ _ _ _ _ _) as [a' reply] eqn:O. eapply on_prepare_ok; eauto.
  - now apply on_promise_ok.
  - destruct (acceptor (now st)) as [a|] eqn:E; [|now apply leads_refl]. now apply on_continue_ok.
  - now apply on_accept_ok.
  - now apply on_accepted_ok.
  - apply keeps_leads. now apply on_nack_keeps.
  - eapply on_decided_ok; eauto. cbn. auto.
  - now apply on_entries_ok.
  - apply keeps_leads. now apply on_ask_keeps.
  - now apply on_chunk_ok.
  - apply keeps_leads. now apply on_fetch_keeps.
  - now apply on_heartbeat_ok.
  - apply keeps_leads. now apply on_heartbeat_ack_keeps.
Qed.

Lemma drain_ok n : forall s st, valid s -> good s st -> leads s st (drain c me time n st).
Proof.
  induction n as [|n IH]; intros s st V G; cbn; [now apply leads_refl|].
  destruct (inbox st) as [|m rest] eqn:E; [now apply leads_refl|].
  set (st1 := Step (now st) rest (said st) (timers st)).
  assert (H : has_said st1 me me m).
  { right. split; auto. apply (inbox_said _ _ G). rewrite E. now left. }
  assert (G1 : good s st1).
  { destruct G as [A B C D F Fl]. constructor; auto. intros m' Hm. apply B. rewrite E. now right. }
  apply (keeps_then s st st1); [split; [exact G1|apply incl_refl]|]. intros _.
  apply (leads_trans s st1 (dispatch c me time me m st1)); auto.
  now apply dispatch_ok.
Qed.

Lemma on_message_ok s st from m : valid s -> good s (begin st) -> before from me m ->
  leads s (begin st) (on_message c me time st from m).
Proof.
  intros V G H. unfold on_message.
  apply (leads_trans s (begin st)
    (if is_possible c m then dispatch c me time from m (begin st) else begin st)); auto.
  - destruct (is_possible c m); [|now apply leads_refl]. apply dispatch_ok; auto. now left.
  - intros s' V' _ G'. now apply drain_ok.
Qed.

Lemma on_timer_ok s st t : valid s -> good s (begin st) ->
  leads s (begin st) (on_timer c me time st t).
Proof.
  intros V G. unfold on_timer.
  apply (leads_trans s (begin st) (match t with
    | Campaign => campaign c me (begin st)
    | HeartbeatTimer => on_heartbeat_timer c me time (begin st)
    | Propose => fill c me (begin st)
    | Tick => tick c (begin st)
    end)); auto.
  - destruct t; [apply keeps_leads; now apply campaign_keeps|
      apply keeps_leads; now apply on_heartbeat_timer_keeps|now apply fill_ok|
      apply keeps_leads; now apply tick_keeps].
  - intros s' V' _ G'. now apply drain_ok.
Qed.

(** What is saved is enough. *)
Lemma start_state_ok s said st : fits s said st ->
  fits s said (start_state c me time (Some (durable_of st))) /\
  decided (start_state c me time (Some (durable_of st))) = decided st.
Proof.
  intros [A L R Le].
  assert (Rs : exists l', Learner.restart (program_of c) (encoding_of c) (initial c)
      (bind (learner st) Learner.taken)
      (match learner st with Some l => Learner.applied_log l | None => continue_at 0 end)
      = Some l' /\
    match learner st with
    | Some l => fits_learner c s l' /\ Learner.applied_log l' = Learner.applied_log l
    | None => True
    end).
  { destruct (learner st) as [l|]; cbn [bind].
    - destruct Le as [_ F]. destruct (restart_ok c cluster_sound s l F) as (l' & E & F' & El).
      eauto.
    - eexists. split; [reflexivity|exact I]. }
  destruct Rs as (l' & Er & Fl).
  unfold start_state, durable_of. cbn [bind saved_acceptor saved_ballot saved_snapshot saved_log].
  rewrite Er. split.
  - constructor; cbn [acceptor leader learner].
    + destruct (acceptor st) as [a|]; [|now rewrite A]. destruct A as [A F]. rewrite A.
      split; [auto|]. now apply (fits_acceptor_as c s me a).
    + assert (F : fits_leader s said (Leader.restart (Leader.current (leader_of st))))
        by (apply abandon_ok; auto).
      unfold leader_of in *. cbn [leader]. rewrite <- R. destruct (leader st) as [l|]; exact F.
    + now destruct (is_in (proposers c) me).
    + destruct (learner st) as [l|]; [destruct Le as [Le _]; rewrite Le; split; [auto|apply Fl]|].
      now rewrite Le.
  - unfold decided. cbn [learner]. destruct (learner st) as [l|].
    + destruct Le as [Le _]. rewrite Le. unfold Learner.decided. destruct Fl as [_ ->]. auto.
    + now rewrite Le.
Qed.

Lemma on_start_ok s st : good s (begin st) ->
  good s (on_start c me time (Some (durable_of st))).
Proof.
  intros [F B T U Q Fl]. cbn in F, Fl. destruct (start_state_ok s _ st F) as [F' D].
  assert (G : good s (begin (start_state c me time (Some (durable_of st))))).
  { constructor; auto. cbn. rewrite D. exact Fl. }
  unfold on_start.
  pose proof (proj1 (keeps_wait_for_leader s _ G)) as G1.
  destruct (is_some (lease c)); [exact (proj1 (keeps_set_timer s _ _ _ G1))|exact G1].
Qed.

End Process.

(** ** The world *)

(** How the world stands to a state of [Core]. *)
Record related (w : world) (s : abstract) : Prop := Related {
  is_valid : valid s;
  all_fit : forall me, fits me (requested w) s (sent w me) (nodes w me);
  all_true : forall a to m, sent w a to m -> means (requested w) s (sent w) a to m;
  all_votes : forall a i b e, told s (accepted a i b e) ->
    (exists to, sent w a to (Accepted b i)) /\ exists p to, sent w p to (Accept i (b, e));
  none_made_up : forall e, told s (propose e) -> asked_all (requested w) e }.

Lemma fits_empty_learner s : fits_learner c s
  (Learner.Learner None (continue_at 0) [] (initial c) None).
Proof.
  exists []. constructor; cbn; auto; try discriminate. intros n e H. destruct n; discriminate.
Qed.

Lemma related_start : related (start c) (Core.start S).
Proof.
  constructor; cbn; try contradiction.
  - split; [constructor|auto].
  - intro me. unfold start_state. cbn. constructor; cbn.
    + destruct (is_acceptor c me); auto. split; auto.
      constructor; cbn; auto; discriminate.
    + assert (F : fits_leader c me (fun _ => False) (Core.start S) (fun _ _ => False)
        (Leader.restart None)) by (constructor; cbn; auto; contradiction).
      destruct (is_in (proposers c) me); exact F.
    + now destruct (is_in (proposers c) me).
    + destruct (is_in_decision_audience c me); auto. split; auto. apply fits_empty_learner.
Qed.

(** A process at the beginning of a step. *)
Lemma begin_ok w s me : related w s ->
  good me (sent w) (requested w) (decided (nodes w me)) s (begin (nodes w me)).
Proof.
  intros [V F T U Q]. assert (Same : forall a to m,
    has_said me (sent w) (begin (nodes w me)) a to m -> sent w a to m)
    by (intros a to m [H|[_ []]]; exact H).
  constructor; cbn.
  - destruct (F me) as [A L R Le]. constructor; auto.
    eapply fits_leader_says; [|exact L]. intros to m H. left. exact (Same _ _ _ H).
  - contradiction.
  - intros a to m H. apply (means_stays _ s s (sent w)); auto using grows_refl.
    intros x y m' Hm. now left.
  - intros i b e H. destruct (U me i b e H) as [(to & H1) (p & x & H2)].
    split; [exists to; now left|exists p, x; now left].
  - exact Q.
  - lia.
Qed.

(** Others stand by. *)
Lemma fits_frame asked me x s s' (said said' : N -> message -> Prop) st :
  moves me s s' -> x <> me ->
  (forall to m, said' to m -> said to m) -> fits x asked s said st -> fits x asked s' said' st.
Proof.
  intros M NE Sd [A L R Le]. pose proof (moves_grow _ _ _ _ M) as Gr.
  destruct (moves_promised _ me x s s' M NE) as [P Vo]. constructor; auto.
  - destruct (acceptor st); auto. destruct A as [A F]. split; auto.
    eapply fits_acceptor_stays; eauto.
  - eapply fits_leader_says; [|eapply fits_leader_stays; [exact Gr| |exact L]].
    + intros to m H. left. auto.
    + intros i b e Hb. apply (moves_accept _ me s s' i b e M). congruence.
  - destruct (learner st); auto. destruct Le. split; eauto using fits_learner_stays.
Qed.

(** What one process does leaves the others as they were. *)
Lemma after_ok w s me st : related w s ->
  (exists s', moves me s s' /\ good me (sent w) (requested w) (decided (nodes w me)) s' st) ->
  exists s', related (after w me st) s' /\ rises c s s' /\ grows s s' /\
    decided (nodes w me) <= decided (now st).
Proof.
  intros Rel (s' & M & [F B T U Q Fl]). destruct Rel as [V F0 T0 U0 Q0].
  exists s'. split; [|split; [eapply moves_rise; eauto|split; [eapply moves_grow; eauto|exact Fl]]].
  constructor.
  - eapply moves_valid; eauto.
  - intro x. cbn. destruct (N.eqb_spec x me) as [->|NE]; [exact F|].
    apply (fits_frame (requested w) me x s s' (sent w x)); auto.
    intros to m [H|[E _]]; [exact H|contradiction].
  - exact T.
  - intros a i b e H. destruct (N.eq_dec a me) as [->|NE]; [exact (U i b e H)|].
    apply (moves_accepted _ me a s s' i b e M NE) in H.
    destruct (U0 a i b e H) as [(to & H1) (p & x & H2)].
    split; [exists to; now left|exists p, x; now left].
  - exact Q.
Qed.

Lemma leads_good me before asked floor s st st' : leads me before asked floor s st st' ->
  exists s', moves me s s' /\ good me before asked floor s' st'.
Proof. intros (s' & M & G & _). eauto. Qed.

(** What comes from outside. *)
Lemma outside_ok w s client to m (requested' : request -> Prop) : related w s ->
  (forall r, requested w r -> requested' r) -> binds m = false ->
  (forall said : N -> N -> message -> Prop, means requested' s said client to m) ->
  related {| nodes := nodes w;
             sent := fun a x m' => sent w a x m' \/ a = client /\ x = to /\ m' = m;
             requested := requested' |} s.
Proof.
  intros [V F T U Q] Rq Bi M. constructor; cbn; auto.
  - intro me. destruct (F me) as [A L R Le]. constructor; auto.
    eapply fits_leader_says with (said := sent w me).
    + intros x m' [H|(_ & _ & ->)]; [now left|right; now apply may_say].
    + destruct L as [La Lb Lc]. constructor; auto.
      destruct (Leader.progress _) as [|it|r|]; auto; destruct Lb as (b & Hb & O & P);
        exists b; (split; [auto|split; [auto|]]); cbn in *; auto.
      destruct P as [Pa Pb Pc Pd]. constructor; auto.
  - intros a x m' [H|(-> & -> & ->)]; [|apply M].
    assert (H' : means requested' s (sent w) a x m').
    { specialize (T a x m' H). destruct m'; auto. cbn in *. auto. }
    apply (means_stays _ s s (sent w)); auto using grows_refl.
  - intros a i b e H. destruct (U a i b e H) as [(y & H1) (p & x & H2)].
    split; [exists y; now left|exists p, x; now left].
  - intros e H r Hr. apply Rq. now apply (Q e H).
Qed.

Lemma related_next w w' s : related w s -> next c w w' ->
  exists s', related w' s' /\ rises c s s' /\ grows s s' /\
    forall me, decided (nodes w me) <= decided (nodes w' me).
Proof.
  intros Rel St. pose proof (is_valid _ _ Rel) as V.
  assert (Step : forall me st, (exists s', moves me s s' /\
      good me (sent w) (requested w) (decided (nodes w me)) s' st) ->
    exists s', related (after w me st) s' /\ rises c s s' /\ grows s s' /\
      forall x, decided (nodes w x) <= decided (nodes (after w me st) x)).
  { intros me st H. destruct (after_ok w s me st Rel H) as (s' & R & Up & Gr & D).
    exists s'. split; [exact R|]. split; [exact Up|]. split; [exact Gr|]. intro x. cbn.
    destruct (N.eqb_spec x me) as [->|]; [exact D|lia]. }
  assert (Same : forall w', nodes w' = nodes w -> related w' s ->
    exists s', related w' s' /\ rises c s s' /\ grows s s' /\
      forall me, decided (nodes w me) <= decided (nodes w' me)).
  { intros w1 E R. exists s. split; [exact R|]. split; [split; [lia|auto]|].
    split; [apply grows_refl|]. intro me. rewrite E. lia. }
  destruct St as [client to r|client to q Hq|me time from m W H|me time t W|me time W].
  - apply Same; [reflexivity|]. apply outside_ok; auto. intros said. cbn. now right.
  - apply Same; [reflexivity|]. apply outside_ok; auto; destruct q; try discriminate; auto.
    all: intros said; exact I.
  - apply Step. eapply leads_good, on_message_ok; eauto using begin_ok.
  - apply Step. eapply leads_good, on_timer_ok; eauto using begin_ok.
  - apply Step. exists s. split; [apply no_move|]. apply on_start_ok; auto using begin_ok.
Qed.

Lemma refines w : reachable c w -> exists s, related w s.
Proof.
  induction 1 as [|w w' _ [s R] N]; [exists (Core.start S); apply related_start|].
  destruct (related_next w w' s R N) as (s' & R' & _). eauto.
Qed.

(** ** What is claimed *)

Lemma decided_up w s me slot e : related w s -> has_decided w me slot e -> is_chosen s slot e.
Proof.
  intros R (l & E & H). destruct (all_fit _ _ R me) as [_ _ _ Le]. rewrite E in Le.
  eapply entry_at_chosen; [apply Le|exact H].
Qed.

Lemma chosen_up w s slot b e : related w s -> chosen c w slot b e -> is_chosen s slot e.
Proof.
  intros R ((p & to & Ha) & voters & Q & H).
  apply (votes_choose c cluster_sound s slot b e voters Q). intros a Hv.
  destruct (H a Hv) as (x & Hx).
  pose proof (all_true _ _ R _ _ _ Ha) as Ta. cbn in Ta.
  destruct (all_true _ _ R _ _ _ Hx) as (e' & Te).
  assert (e' = e) as ->; [|exact Te].
  apply (accept_once c cluster_sound s slot b _ _ (is_valid _ _ R)); [|exact Ta].
  exact (accepted_accept c cluster_sound s a slot b e' (is_valid _ _ R) Te).
Qed.

Lemma chosen_down w s slot e : related w s -> is_chosen s slot e -> exists b, chosen c w slot b e.
Proof.
  intros R (b & P & Q & Vo). exists b. split.
  - destruct (Core.quorums_inhabited _ (checked_is_lawful_of _ _ _ (law c cluster_sound)) _ _ Q)
      as (a & Ha). apply (all_votes _ _ R a slot b e). exact (Vo a Ha).
  - destruct Q as (heard & Sub & Q & HP). unfold phase2_of in Q.
    rewrite (classic c cluster_sound) in Q. exists heard. split.
    + unfold is_phase2.
      enough (intersection heard (acceptors (quorums c)) = heard) as -> by exact Q.
      apply N.bits_inj. intro a. change (contains (intersection heard (acceptors (quorums c))) a
        = contains heard a). rewrite contains_intersection. rewrite is_subset_spec in Sub.
      specialize (Sub a). destruct (contains heard a); auto.
    + intros a Ha. apply (all_votes _ _ R a slot b e). exact (Vo a (HP a Ha)).
Qed.

Theorem agreement : Agreement c.
Proof.
  intros w me slot e me' e' R D D'. destruct (refines w R) as (s & Rel).
  eapply chosen_once; eauto using decided_up, is_valid.
Qed.

Theorem chosen_agreement : ChosenAgreement c.
Proof.
  intros w slot b e b' e' R C C'. destruct (refines w R) as (s & Rel).
  eapply chosen_once; eauto using chosen_up, is_valid.
Qed.

Theorem validity : Validity c.
Proof.
  intros w me slot e r R D Hr. destruct (refines w R) as (s & Rel).
  apply (decided_up _ _ _ _ _ Rel) in D as (b & C).
  pose proof (CoreProof.validity S (checked_is_lawful_of _ _ _ (law c cluster_sound)) s slot _ _
    (proj1 (is_valid _ _ Rel)) C) as P.
  exact (none_made_up _ _ Rel e P r Hr).
Qed.

Theorem decided_is_chosen : DecidedIsChosen c.
Proof.
  intros w me slot e R D. destruct (refines w R) as (s & Rel).
  eapply chosen_down; eauto using decided_up.
Qed.

Theorem one_value_per_ballot : OneValuePerBallot c.
Proof.
  intros w from to from' to' slot b e e' R T T'. destruct (refines w R) as (s & Rel).
  apply (all_true _ _ Rel) in T, T'. cbn in T, T'.
  exact (accept_once c cluster_sound s slot b e e' (is_valid _ _ Rel) T T').
Qed.

Theorem same_state : SameState c.
Proof.
  intros w me l me' l' R E E' D. destruct (refines w R) as (s & Rel).
  destruct (all_fit _ _ Rel me) as [_ _ _ F], (all_fit _ _ Rel me') as [_ _ _ F'].
  rewrite E in F. rewrite E' in F'.
  apply (RolesProof.same_state c cluster_sound s);
    [apply (is_valid _ _ Rel)|apply F|apply F'|exact D].
Qed.

(** A log holds all that was applied and not truncated. *)
Lemma applied_ok s l all slot e : fits_learner_with c s l all ->
  nth_error all (N.to_nat slot) = Some e -> Log.start (Learner.applied_log l) <= slot ->
  get (Learner.applied_log l) slot = Some e.
Proof.
  intros F H L. unfold get. destruct (N.ltb_spec slot (Log.start (Learner.applied_log l))); [lia|].
  assert (B : (N.to_nat slot < length all)%nat) by (apply nth_error_Some; congruence).
  pose proof (all_applied _ _ _ _ F) as A. unfold Learner.decided, stop, count in A.
  unfold count. destruct (N.ltb_spec (slot - Log.start (Learner.applied_log l))
    (N.of_nat (length (entries (Learner.applied_log l))))); [|lia].
  rewrite (log_fits _ _ _ _ F). rewrite <- H.
  rewrite <- (firstn_skipn (N.to_nat (Log.start (Learner.applied_log l))) all) at 2.
  assert (Ln : length (firstn (N.to_nat (Log.start (Learner.applied_log l))) all)
    = N.to_nat (Log.start (Learner.applied_log l))) by (apply firstn_length_le; lia).
  rewrite nth_error_app2; rewrite Ln; [|lia]. f_equal. lia.
Qed.

Theorem decision_stands : DecisionStands c.
Proof.
  intros w w' me slot e R N (l & E & H). destruct (refines w R) as (s & Rel).
  destruct (related_next w w' s Rel N) as (s' & Rel' & _ & Gr & Forth). specialize (Forth me).
  destruct (all_fit _ _ Rel me) as [_ _ _ Le], (all_fit _ _ Rel' me) as [_ _ _ Le'].
  rewrite E in Le. destruct Le as [Told (all & F)].
  unfold decided in Forth. rewrite E in Forth. unfold has_applied, truncated.
  destruct (learner (nodes w' me)) as [l'|]; [|congruence]. destruct Le' as [_ (all' & F')].
  apply (get_chosen _ _ _ _ _ _ F) in H.
  assert (B : (N.to_nat slot < length all)%nat) by (apply nth_error_Some; congruence).
  pose proof (all_applied _ _ _ _ F) as A. pose proof (all_applied _ _ _ _ F') as A'.
  unfold count in A, A'.
  destruct (nth_error all' (N.to_nat slot)) as [e'|] eqn:H';
    [|apply nth_error_None in H'; lia].
  assert (e' = e) as ->.
  { apply (chosen_once c cluster_sound s' (N.of_nat (N.to_nat slot)));
      [apply (is_valid _ _ Rel')|apply (all_chosen _ _ _ _ F' _ _ H')|].
    apply (chosen_stays c s s'); [exact Gr|apply (all_chosen _ _ _ _ F _ _ H)]. }
  destruct (N.lt_ge_cases slot (Log.start (Learner.applied_log l'))) as [L|L]; [now right|left].
  exists l'. split; [reflexivity|]. eapply applied_ok; eauto.
Qed.

Lemma promised_up w s me : related w s -> rank (promised w me) <= Core.promised s me.
Proof.
  intros R. destruct (all_fit _ _ R me) as [A _ _ _]. unfold promised.
  destruct (acceptor (nodes w me)); cbn [bind]; [|apply N.le_0_l].
  destruct A as [_ [-> _ _ _ _]]. apply N.le_refl.
Qed.

Theorem promise_kept : PromiseKept c.
Proof.
  intros w w' me R N. destruct (refines w R) as (s & Rel).
  destruct (related_next w w' s Rel N) as (s' & Rel' & Up & _ & _). destruct (Up me) as [P V].
  pose proof (promised_up w s me Rel) as Below. split.
  - destruct (all_fit _ _ Rel me) as [A _ _ _], (all_fit _ _ Rel' me) as [A' _ _ _].
    unfold promised in *. destruct (acceptor (nodes w me)) as [a|]; [|apply N.le_0_l].
    destruct (acceptor (nodes w' me)) as [a'|]; [|destruct A; congruence]. cbn [bind] in *.
    destruct A as [_ [<- _ _ _ _]], A' as [_ [<- _ _ _ _]]. exact P.
  - intros to b slot T. apply (all_true _ _ Rel') in T as (e & T).
    destruct (V slot b e T) as [T'|L]; [left|right].
    + apply (all_votes _ _ Rel me slot b e T').
    + unfold up in L. lia.
Qed.

End Refinement.
