(** * No command takes effect twice *)

From Coq Require Import NArith List Lia Bool.
From Synod.multi Require Import Table Session.
Import ListNotations.
Open Scope N_scope.

Section Proof.
Variable p : program.

Ltac simplify := cbn -[N.ltb N.leb replies_max drop put find since size].
Tactic Notation "simplify" "in" hyp(H) :=
  cbn -[N.ltb N.leb replies_max drop put find since size] in H.

(** Sessions are numbered as they are opened. *)
Definition numbered (s : sessions) : Prop :=
  forall id it, find id (open s) = Some it -> id < opened s.

(** The command [seq] of session [id] was carried out: the session remembers that, or knows that
    its client has the reply, or it is gone for good. *)
Definition is_done (s : sessions) (id seq : N) : Prop :=
  id < opened s /\ match find id (open s) with
    | Some it => seq < acked it \/ find seq (replies it) <> None
    | None => True
    end.

(** To make room is to close sessions, no more. *)
Lemma make_room_finds fuel capacity : forall t id it,
  find id (make_room fuel capacity t) = Some it -> find id t = Some it.
Proof.
  induction fuel as [|fuel IH]; cbn; auto. intros t id it. destruct (_ <=? _); auto.
  destruct (oldest t); auto. intro H. apply IH in H. rewrite find_drop in H.
  destruct (id =? n); [discriminate|auto].
Qed.

(** What carrying out an operation makes of the sessions. *)
Lemma apply_operation_open s o id it : numbered s ->
  find id (open (fst (apply_operation p s o))) = Some it -> find id (open s) = Some it \/
    id = opened s /\ opened (fst (apply_operation p s o)) = opened s + 1 \/
    exists seq acked' command old, o = Do id seq acked' command /\ find id (open s) = Some old /\
      acked it = N.max (acked old) acked' /\
      forall n, acked it <= n -> find n (replies old) <> None \/ n = seq ->
        find n (replies it) <> None.
Proof.
  intros W. destruct o as [seq|id' seq acked' command]; simplify.
  - rewrite find_put. destruct (N.eqb_spec id (opened s)) as [->|NE]; [auto|].
    intro H. left. eapply make_room_finds; eauto.
  - destruct (find id' (open s)) as [old|] eqn:Old; [|auto].
    set (kept := since (N.max (acked old) acked') (replies old)).
    assert (Put : forall m r,
      (forall n, N.max (acked old) acked' <= n ->
         find n (replies old) <> None \/ n = seq -> find n r <> None) ->
      find id (open (Sessions m (if replies_max <? size r then drop id' (open s)
        else put id' (Session (operations s + 1) (N.max (acked old) acked') r) (open s))
        (opened s) (operations s + 1) (capacity s))) = Some it ->
      find id (open s) = Some it \/ id = opened s /\ opened s = opened s + 1 \/
      exists seq0 acked0 command0 old0, Do id' seq acked' command = Do id seq0 acked0 command0 /\
        find id (open s) = Some old0 /\ acked it = N.max (acked old0) acked0 /\
        forall n, acked it <= n -> find n (replies old0) <> None \/ n = seq0 ->
          find n (replies it) <> None).
    { intros m r Keep. cbn. destruct (_ <? _).
      - rewrite find_drop. destruct (id =? id'); [discriminate|auto].
      - rewrite find_put. destruct (N.eqb_spec id id') as [->|]; [|auto]. intros [= <-].
        right. right. exists seq, acked', command, old. cbn. auto. }
    assert (Kept : forall n, N.max (acked old) acked' <= n ->
      find n kept = find n (replies old)).
    { intros n L. unfold kept. rewrite find_since. destruct (N.leb_spec
        (N.max (acked old) acked') n); [auto|lia]. }
    destruct (N.ltb_spec seq (N.max (acked old) acked')) as [L|L].
    + apply Put. intros n Ln [H| ->]; [now rewrite (Kept n Ln)|lia].
    + destruct (find seq kept) as [r|] eqn:F.
      * apply Put. intros n Ln [H| ->]; [now rewrite (Kept n Ln)|congruence].
      * destruct (apply p (machine s) command) as [m r]. apply Put. intros n Ln H.
        rewrite find_put. destruct (N.eqb_spec n seq); [discriminate|].
        destruct H as [H|]; [now rewrite (Kept n Ln)|contradiction].
Qed.

Lemma apply_operation_opened s o : opened s <= opened (fst (apply_operation p s o)).
Proof.
  destruct o as [seq|id seq acked' command]; simplify; [lia|].
  destruct (find id (open s)); simplify; [|lia].
  destruct (_ <? _); cbn; [lia|]. destruct (find seq _); cbn; [lia|].
  destruct (apply p _ _); cbn. lia.
Qed.

Lemma apply_operation_numbered s o : numbered s -> numbered (fst (apply_operation p s o)).
Proof.
  intros W id it H. pose proof (apply_operation_opened s o).
  destruct (apply_operation_open s o id it W H) as [H1|[[-> E]|(q & a & x & old & _ & H1 & _)]].
  - apply W in H1. lia.
  - lia.
  - apply W in H1. lia.
Qed.

Lemma done_stays s o id seq : numbered s -> is_done s id seq ->
  is_done (fst (apply_operation p s o)) id seq.
Proof.
  intros W [L D]. pose proof (apply_operation_opened s o). split; [lia|].
  destruct (find id (open (fst (apply_operation p s o)))) as [it|] eqn:H0; [|exact I].
  destruct (apply_operation_open s o id it W H0) as
    [H1|[[-> E]|(q & a & x & old & _ & H1 & A & K)]].
  - now rewrite H1 in D.
  - lia.
  - rewrite H1 in D. destruct (N.lt_ge_cases seq (acked it)) as [|G]; [now left|right].
    apply K; [exact G|]. destruct D as [D|D]; [lia|auto].
Qed.

Lemma effect_done s id seq acked' command : numbered s ->
  takes_effect s (Do id seq acked' command) ->
  is_done (fst (apply_operation p s (Do id seq acked' command))) id seq.
Proof.
  intros W (i & q & a & x & it & E & H & G & N). inversion E; subst i q a x. clear E.
  pose proof (apply_operation_opened s (Do id seq acked' command)) as Op.
    pose proof (W _ _ H) as Lt.
  split; [lia|].
  destruct (find id (open (fst (apply_operation p s (Do id seq acked' command))))) as [it'|] eqn:Hf;
    [|exact I].
  simplify in Hf. rewrite H in Hf.
  destruct (N.ltb_spec seq (N.max (acked it) acked')) as [|Ge]; [lia|].
  rewrite find_since, N in Hf. destruct (_ <=? seq);
    destruct (apply p (machine s) command) as [m r]; simplify in Hf;
    (destruct (_ <? _); [rewrite find_drop, N.eqb_refl in Hf; discriminate|]);
    rewrite find_put, N.eqb_refl in Hf; inversion Hf; subst it'; right;
    cbn [replies]; rewrite find_put, N.eqb_refl; discriminate.
Qed.

Lemma after_numbered l : forall s, numbered s -> numbered (after p s l).
Proof.
  induction l as [|o l IH]; cbn; auto. intros s W. apply IH. now apply apply_operation_numbered.
Qed.

Lemma after_done l id seq : forall s, numbered s -> is_done s id seq ->
  is_done (after p s l) id seq.
Proof.
  induction l as [|o l IH]; cbn; auto. intros s W D. apply IH;
    [now apply apply_operation_numbered|].
  now apply done_stays.
Qed.

Theorem effects_only : EffectsOnly p.
Proof.
  intros s o N. destruct o as [seq|id seq acked' command]; simplify; [reflexivity|].
  destruct (find id (open s)) as [it|] eqn:H; [|reflexivity]. simplify.
  destruct (N.ltb_spec seq (N.max (acked it) acked')) as [|L]; [reflexivity|].
  rewrite find_since. destruct (N.leb_spec (N.max (acked it) acked') seq); [|lia].
  destruct (find seq (replies it)) as [r|] eqn:F; [reflexivity|]. exfalso. apply N.
  exists id, seq, acked', command, it. auto.
Qed.

Theorem exactly_once : ExactlyOnce p.
Proof.
  intros m capacity l id seq acked' command l' acked'' command' before o T T'.
  assert (W : numbered before) by (apply after_numbered; intros i it; discriminate).
  pose proof (effect_done before id seq acked' command W T) as D.
  apply (after_done l') in D; [|now apply apply_operation_numbered].
  destruct T' as (i & q & a & x & it & E & H & G & N). inversion E; subst i q a x. clear E.
  assert (D' : is_done (after p before (o :: l')) id seq) by exact D.
  destruct D' as [_ D']. rewrite H in D'. destruct D' as [D'|D']; [lia|contradiction].
Qed.

End Proof.
