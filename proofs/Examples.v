(** * Traces that are accepted, and bugs that are not

    The accepted ones show that the system of [Core] can move at all, and decide: in
    Basic, Multi- and Fast Paxos. The rejected ones are bugs that implementations
    have had, one each. The kernel runs the checker on them; so does [make checker],
    as extracted. *)

From Coq Require Import NArith List String.
From Synod Require Import Quorum Check.
Import ListNotations.
Open Scope string_scope.
Open Scope list_scope.
Open Scope N_scope.

Definition three : system := majority 7.                                   (* {0,1,2} *)
Definition four_fast : system := fast 15 3 3 (fun b => b =? 1).            (* {0,1,2,3} *)

(** Two proposers, ballots 1 and 2; the second takes over the first's value. *)
Definition first_ballot : list entry :=
  [Requested 7; Requested 8; Promised 0 1 0 []; Promised 1 1 0 []; Proposed 0 1 7 3; Voted 0 0 1 7].
Definition second_ballot : list entry :=
  [Promised 1 2 0 []; Promised 0 2 0 [(0, (1, 7))]; Proposed 0 2 7 3; Voted 1 0 2 7].

(** A fast ballot in which three acceptors voted, one of them for another value; then
    a classic ballot that has to find out what may have been chosen. *)
Definition fast_ballot : list entry :=
  [Requested 7; Requested 8; Promised 0 1 0 []; Promised 1 1 0 []; Promised 2 1 0 [];
   Opened 0 1 7; Voted 0 0 1 7; Voted 1 0 1 7; Voted 2 0 1 8; Voted 3 0 1 7].
Definition recovery (v : N) : list entry :=
  [Promised 0 2 0 [(0, (1, 7))]; Promised 1 2 0 [(0, (1, 7))]; Promised 2 2 0 [(0, (1, 8))];
   Proposed 0 2 v 7].

Definition accepted : list (string * system * list entry) :=
  [("Basic Paxos decides, and an acceptor restarts", three,
     first_ballot ++ second_ballot ++ [Restarted 1 2 [(0, (2, 7))]; Voted 0 0 2 7; Learned 0 2 7]);
   ("a repeated vote is no new vote", three,
     first_ballot ++ [Voted 0 0 1 7; Voted 1 0 1 7; Learned 0 1 7; Learned 0 1 7]);
   ("Multi-Paxos: one promise for all slots", three,
     [Requested 7; Requested 8; Promised 1 1 0 []; Promised 2 1 0 []; Proposed 0 1 7 6;
      Proposed 5 1 8 6; Voted 1 0 1 7; Voted 1 5 1 8; Voted 2 5 1 8; Learned 5 1 8;
      Voted 0 0 1 7; Learned 0 1 7]);
   ("Multi-Paxos: a promise may leave out slots that were truncated", three,
     first_ballot ++ [Promised 0 2 3 []; Promised 1 2 3 []; Proposed 3 2 8 3]);
   ("Fast Paxos decides in a fast ballot", four_fast, fast_ballot ++ [Learned 0 1 7]);
   ("Fast Paxos recovers what may have been chosen", four_fast, fast_ballot ++ recovery 7);
   ("flexible quorums: three prepare, one chooses", flexible 7 3 1,
     [Requested 7; Promised 0 1 0 []; Promised 1 1 0 []; Promised 2 1 0 []; Proposed 0 1 7 7;
      Voted 2 0 1 7; Learned 0 1 7])].

Definition rejected : list (string * system * list entry) :=
  [("a proposer ignores a reported vote", three,
     first_ballot ++ [Promised 1 2 0 []; Promised 0 2 0 [(0, (1, 7))]; Proposed 0 2 8 3]);
   ("a proposer takes the lower of two votes", three,
     first_ballot ++ [Promised 1 2 0 []; Promised 2 2 0 []; Proposed 0 2 8 6; Voted 1 0 2 8;
      Promised 0 3 0 [(0, (1, 7))]; Promised 1 3 0 [(0, (2, 8))]; Proposed 0 3 7 3]);
   ("an acceptor votes below its promise", three,
     [Requested 7; Promised 0 1 0 []; Promised 1 1 0 []; Proposed 0 1 7 3; Promised 0 2 0 [];
      Voted 0 0 1 7]);
   ("an acceptor goes back below a ballot that it voted in", three,
     first_ballot ++ [Voted 2 0 1 7; Promised 2 1 0 [(0, (1, 7))]]);
   ("an acceptor promises a ballot twice", three, [Promised 0 1 0 []; Promised 0 1 0 []]);
   ("a promise keeps a vote to itself", three, first_ballot ++ [Promised 0 2 0 []]);
   ("a promise makes up a vote", three, first_ballot ++ [Promised 1 2 0 [(0, (1, 7))]]);
   ("a promise reports another vote than was cast", three,
     first_ballot ++ [Promised 0 2 0 [(0, (1, 8))]]);
   ("a restart forgets the promise", three, [Promised 0 1 0 []; Restarted 0 0 []]);
   ("a restart forgets the vote", three, first_ballot ++ [Restarted 0 1 []]);
   ("a restarted proposer uses its ballot again", three, first_ballot ++ [Proposed 0 1 8 3]);
   ("two promises from one acceptor are no quorum", three,
     [Requested 7; Promised 0 1 0 []; Proposed 0 1 7 1]);
   ("a stranger promises", three, [Promised 0 1 0 []; Promised 5 1 0 []]);
   ("a stranger counts for a quorum", three,
     [Requested 7; Promised 0 1 0 []; Proposed 0 1 7 33]);
   ("promises of another ballot count", three,
     [Requested 7; Promised 0 1 0 []; Promised 1 2 0 []; Proposed 0 2 7 3]);
   ("a value that nobody asked for", three,
     [Requested 7; Promised 0 1 0 []; Promised 1 1 0 []; Proposed 0 1 9 3]);
   ("a vote for what was not proposed", three,
     [Requested 7; Requested 8; Promised 0 1 0 []; Promised 1 1 0 []; Proposed 0 1 7 3;
       Voted 0 0 1 8]);
   ("a learner decides on a minority", three, first_ballot ++ [Learned 0 1 7]);
   ("votes of two ballots add up", three,
     first_ballot ++ second_ballot ++ [Learned 0 2 7]);
   ("votes of two slots add up", three,
     [Requested 7; Promised 0 1 0 []; Promised 1 1 0 []; Proposed 0 1 7 3; Proposed 1 1 7 3;
      Voted 0 0 1 7; Voted 1 1 1 7; Learned 0 1 7]);
   ("Multi-Paxos: a leader fills a slot that a promise did not speak of", three,
     first_ballot ++ [Promised 0 2 3 []; Promised 1 2 3 []; Proposed 0 2 8 3]);
   ("Fast Paxos: recovery picks a value that cannot have been chosen", four_fast,
     fast_ballot ++ recovery 8);
   ("Fast Paxos: an acceptor votes twice in a fast ballot", four_fast,
     fast_ballot ++ [Voted 2 0 1 7]);
   ("Fast Paxos: a fast ballot is opened over a reported vote", fast 15 3 3 (fun b => 0 <? b),
     fast_ballot ++ [Promised 0 2 0 [(0, (1, 7))]; Promised 1 2 0 [(0, (1, 7))];
      Promised 2 2 0 [(0, (1, 8))]; Opened 0 2 7]);
   ("a classic ballot is opened to any value", three,
     [Requested 7; Promised 0 1 0 []; Promised 1 1 0 []; Opened 0 1 3]);
   ("quorums of the two phases that miss each other", flexible 7 1 2, []);
   ("fast quorums that miss each other", fast_flexible 15 3 2 2 (fun b => b =? 1), [])].

Definition beginning (t : list entry) : list entry := removelast t.

Example all_accepted :
  forallb (fun '(_, c, t) => check c t) accepted = true.
Proof. reflexivity. Qed.

Example all_rejected :
  forallb (fun '(_, c, t) => negb (check c t)) rejected = true.
Proof. reflexivity. Qed.

(** Each is rejected for its last entry, and not before. *)
Example rejected_for_the_last_entry :
  forallb (fun '(_, c, t) => match t with
    | [] => negb (is_lawful c)
    | _ => check c (beginning t)
    end) rejected = true.
Proof. reflexivity. Qed.
