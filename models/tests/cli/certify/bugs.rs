//! Bugs that Paxos implementations have had, put into recorded runs.

use super::genuine::{Run, SLOT, vote};
use super::{assert_accepted, assert_rejected, assert_same};
use serde_json::{Value, json};
use synod::certify::Rule::{self, *};

/// A bug: its name, the rule that it breaks, and the steps that show it.
pub(super) type Bug = (&'static str, Rule, fn(&mut Run, &Value, &Value));

/// Bugs of all protocols. A leader must propose `x`, or may; `y` is another requested value.
pub(super) const BUGS: &[Bug] = &[
    ("a vote below a promise", VoteKeepsPromise, |run, x, _| {
        let (low, high) = (run.propose(), run.ballot(1));
        run.prepare(high);
        run.promise(2, high);
        run.vote(2, low, x);
    }),
    ("a promise below a promise", PromiseRises, |run, _, _| {
        let (low, high) = (run.ballot(0), run.ballot(1));
        for ballot in [high, low] {
            run.prepare(ballot);
            run.promise(2, ballot);
        }
    }),
    ("all forgotten in a restart", PromiseKept, |run, _, _| {
        run.restart_with(1, &[])
    }),
    ("a promise lost in a restart", PromiseKept, |run, _, _| {
        run.propose();
        run.restart(1, 1);
    }),
    ("a vote lost in a restart", VotesReported, |run, x, y| {
        let ballot = run.propose_to(1, x);
        if run.is_one_decree() {
            let mut durable = run.disk(1);
            durable["acceptor"]["vote"] = vote(ballot, y);
            run.restart_with(1, &[durable]);
        } else {
            run.restart(1, 1);
        }
    }),
    ("own value, not the reported", HighestVote, |run, x, y| {
        let low = run.propose_to(2, x);
        let (high, reported) = (run.ballot(1), vote(low, x));
        let other = run.vote_of(0);
        run.campaign(high, [Some(&reported), other.as_ref()], y);
    }),
    ("a ballot for two values", BallotUsedOnce, |run, _, y| {
        let ballot = run.propose();
        let again = run.accept(ballot, SLOT, y);
        run.send(0, &again);
    }),
    ("a vote without proposal", VoteForProposal, |run, x, _| {
        let ballot = run.ballot(0);
        run.vote(1, ballot, x);
    }),
    ("a promise that is not saved", PromiseKept, |run, _, _| {
        run.prepare_at_one();
        run.traces.unsave(1);
    }),
    ("a vote that is not saved", VotesReported, |run, x, _| {
        run.propose_to(1, x);
        run.traces.unsave(1);
    }),
    ("too few promises", PromisedByQuorum, |run, x, _| {
        let ballot = run.prepare_at_one();
        let proposal = run.accept(ballot, SLOT, x);
        run.hear(1, ballot, &proposal);
    }),
    ("a promise counted twice", PromisedByQuorum, |run, x, _| {
        let ballot = run.prepare_at_one();
        let proposal = run.accept(ballot, SLOT, x);
        run.hear(1, ballot, &[]);
        run.hear(1, ballot, &proposal);
    }),
    ("a promise that hides a vote", VotesReported, |run, x, _| {
        run.propose_to(1, x);
        let high = run.ballot(2);
        run.prepare(high);
        run.promise_reporting(None, 1, high);
    }),
    ("a report of a false vote", VotesReported, |run, _, y| {
        let low = run.propose();
        let high = run.ballot(2);
        run.prepare(high);
        run.promise_reporting(Some(&vote(low, y)), 1, high);
    }),
    ("a decision without votes", ChosenByQuorum, |run, _, y| {
        run.decide(1, &[], y)
    }),
];

/// Bugs that show only in a slot without votes, or in several slots.
pub(super) const BUGS_OF_LOGS: &[Bug] = &[
    ("the lowest vote reported", HighestVote, |run, x, y| {
        let first = run.propose_to(1, x);
        let second = run.ballot(1);
        run.campaign(second, [None, None], y);
        run.vote(2, second, y);
        let (third, [low, high]) = (run.ballot(0), [vote(first, x), vote(second, y)]);
        run.campaign(third, [Some(&low), Some(&high)], x);
    }),
    ("an invented command", ValueRequested, |run, x, _| {
        let mut invented = x.clone();
        invented["Batch"][0]["client"] = json!(4_711);
        let ballot = run.ballot(0);
        run.campaign(ballot, [None, None], &invented);
    }),
    ("a decision of a minority", ChosenByQuorum, |run, x, _| {
        let ballot = run.propose_to(1, x);
        run.decide(0, &[(1, ballot)], x);
    }),
    ("a vote counted twice", ChosenByQuorum, |run, x, _| {
        let ballot = run.propose_to(1, x);
        run.vote(1, ballot, x);
        run.decide(0, &[(1, ballot), (1, ballot)], x);
    }),
    ("votes of two ballots added", ChosenByQuorum, |run, x, _| {
        let first = run.propose_to(1, x);
        let second = run.ballot(1);
        run.campaign(second, [None, None], x);
        run.vote(2, second, x);
        run.decide(0, &[(1, first), (2, second)], x);
    }),
    ("votes of another ballot", ChosenByQuorum, |run, x, y| {
        let first = run.propose_to(1, x);
        let second = run.ballot(1);
        run.campaign(second, [None, None], y);
        run.vote(2, second, y);
        run.vote(0, second, y);
        run.decide(1, &[(1, first)], x);
    }),
    ("a promise for one slot", VoteKeepsPromise, |run, _, y| {
        let low = run.propose();
        let proposal = run.accept(low, SLOT + 1, y);
        run.send(0, &proposal);
        let high = run.ballot(1);
        run.prepare(high);
        run.promise_reporting(None, 2, high);
        run.vote_in(SLOT + 1, 2, low, y);
    }),
    ("a no-op over a reported vote", HighestVote, |run, x, _| {
        let low = run.propose_to(1, x);
        let (high, reported) = (run.ballot(0), vote(low, x));
        run.campaign(high, [Some(&reported), None], &json!("Noop"));
    }),
];

fn assert_bugs_are_rejected(protocol: &'static str, bugs: &[&[Bug]]) {
    let recorded = Run::record(protocol);
    let report = recorded.traces.report();
    let found = (&report.causality, &report.model, &report.protocol);
    assert!(report.is_certified(), "{found:?}");
    assert!(report.events.len() > 10, "{} events", report.events.len());
    assert_same(&report, "a genuine run");
    let [x, y] = recorded.values();
    assert_ne!(x, y);

    let mut run = recorded.clone();
    let ballot = run.propose_to(1, &x);
    run.vote(2, ballot, &x);
    run.restart(1, 0);
    run.decide(0, &[(1, ballot), (2, ballot)], &x);
    assert_accepted(&run.traces, "no bug");

    for (name, rule, put) in bugs.iter().copied().flatten() {
        let mut run = recorded.clone();
        put(&mut run, &x, &y);
        assert_rejected(&run.traces, &format!("{protocol}: {name}"), *rule);
    }
}

#[test]
fn every_bug_of_history_is_rejected_in_a_recorded_run_of_basic_paxos() {
    assert_bugs_are_rejected("basic", &[BUGS]);
}

#[test]
fn every_bug_of_history_is_rejected_in_a_recorded_run_of_multi_paxos() {
    assert_bugs_are_rejected("multi", &[BUGS, BUGS_OF_LOGS]);
}

#[test]
fn every_bug_of_history_is_rejected_in_a_recorded_run_of_fast_paxos() {
    assert_bugs_are_rejected("fast", &[BUGS]);
}
