//! Bugs of fast ballots, put into a run of Fast Paxos that is written by hand.

use super::traces::{Traces, to_others};
use super::{assert_accepted, assert_rejected};
use serde_json::{Value, json};
use synod::ballot::{Ballot, NodeId};
use synod::certify::Rule::{self, *};

/// A bug: its name, the rule that it breaks, and the steps that show it.
pub(super) type Bug = (&'static str, Rule, fn(&mut Fast));

/// Bugs that only fast ballots invite, or that show in another way in them.
pub(super) const BUGS: &[Bug] = &[
    ("two votes in a ballot", VoteKeepsPromise, |run| {
        run.vote(1, "red");
        run.vote(1, "blue");
    }),
    ("two votes and no promise", VotesRise, |run| {
        run.vote_promising(1, "red", ballot(1));
        run.vote_promising(1, "blue", ballot(1));
    }),
    ("a vote without request", VoteForProposal, |run| {
        run.vote(1, "green")
    }),
    ("a classic quorum in a fast ballot", ChosenByQuorum, |run| {
        run.vote(1, "red");
        run.vote(2, "red");
        run.send(2, 3, json!({"Decided": {"value": "red"}}));
    }),
    ("a ballot opened twice over", BallotUsedOnce, |run| {
        run.send(0, 1, accept(ballot(1), "red"));
    }),
    ("a classic ballot opened", FastBallotOpened, |run| {
        run.send(0, 1, any(ballot(3)));
    }),
    ("a ballot opened too soon", PromisedByQuorum, |run| {
        run.send(1, 2, any(other_ballot()))
    }),
    ("a ballot opened over a vote", OpenedWithoutVotes, |run| {
        run.vote_promising(2, "red", ballot(1));
        run.prepare(other_ballot());
        for acceptor in [2, 3] {
            run.promise(acceptor, other_ballot());
            run.0.deliver(acceptor, 1, Value::Null, &[]);
        }
        run.send(1, 2, any(other_ballot()));
    }),
    ("a collision resolved too soon", PromisedByQuorum, |run| {
        run.vote(1, "blue");
        run.vote(2, "red");
        run.hear(1);
        run.resolve(2, "blue");
    }),
    ("a vote that was no promise", PromisedByQuorum, |run| {
        run.vote(1, "blue");
        run.vote_promising(2, "red", ballot(1));
        run.vote(3, "blue");
        run.hear(1);
        run.hear(2);
        run.resolve(3, "blue");
    }),
    ("a value that was not chosen", ChoosableValue, |run| {
        run.vote_all([(1, "red"), (2, "blue"), (3, "blue")]);
        run.resolve(3, "red");
    }),
    ("a value without a vote", HighestVote, |run| {
        run.vote_all([(1, "blue"), (2, "blue"), (3, "blue")]);
        run.resolve(3, "red");
    }),
];

/// A ballot of node 0. That of round 1 is fast.
fn ballot(round: u64) -> Ballot {
    let node = NodeId(0);
    Ballot { round, node }
}

/// A fast ballot of node 1.
fn other_ballot() -> Ballot {
    let (round, node) = (1, NodeId(1));
    Ballot { round, node }
}

fn any(ballot: Ballot) -> Value {
    json!({"Any": {"ballot": ballot}})
}

fn accept(ballot: Ballot, value: &str) -> Value {
    json!({"Accept": {"vote": {"ballot": ballot, "value": value}}})
}

fn accepted(ballot: Ballot, value: &str) -> Value {
    json!({"Accepted": {"vote": {"ballot": ballot, "value": value}}})
}

/// A run of four nodes, any three of which are a quorum.
#[derive(Clone)]
pub(super) struct Fast(Traces);

impl Fast {
    /// Ballot 1.0 is open at all nodes; red and blue are requested later.
    fn open() -> Self {
        let mut run = Fast(Traces::empty(4, "fast"));
        for node in 0..4 {
            let sends = to_others(4, node, &json!("Ask"));
            run.0.step(node, json!({"start": []}), Value::Null, &sends);
        }
        run.prepare(ballot(1));
        for node in 1..4 {
            run.promise(node, ballot(1));
        }
        run.hear(1);
        for node in 0..4 {
            let mut disk = run.disk(node);
            disk["acceptor"]["open"] = json!(true);
            let (from, sends) = match node {
                0 => (2, to_others(4, 0, &any(ballot(1)))),
                _ => (0, Vec::new()),
            };
            run.0.deliver(from, node, json!([disk]), &sends);
        }
        run
    }

    /// The state that a node has on disk.
    fn disk(&self, node: usize) -> Value {
        self.0.saved(node).unwrap_or_else(|| {
            let acceptor = json!({"promised": null, "open": false, "vote": null});
            json!({"acceptor": acceptor, "ballot": null, "decided": null})
        })
    }

    /// The state that a node has on disk after it promises a ballot.
    fn promising(&self, node: usize, ballot: Ballot) -> Value {
        let mut disk = self.disk(node);
        disk["acceptor"]["promised"] = json!(ballot);
        disk
    }

    /// The owner of a ballot prepares it, and its own acceptor promises.
    fn prepare(&mut self, ballot: Ballot) {
        let node = ballot.node.0 as usize;
        let mut disk = self.promising(node, ballot);
        disk["ballot"] = json!(ballot);
        let sends = to_others(4, node, &json!({"Prepare": {"ballot": ballot}}));
        let event = json!({"timeout": "Retry"});
        self.0.step(node, event, json!([disk]), &sends);
    }

    /// An acceptor promises a ballot and reports its vote.
    fn promise(&mut self, acceptor: usize, ballot: Ballot) {
        let owner = ballot.node.0 as usize;
        let disk = self.promising(acceptor, ballot);
        let report = json!({"Promise": {"ballot": ballot, "vote": disk["acceptor"]["vote"]}});
        let sends = [(owner, report)];
        self.0.deliver(owner, acceptor, json!([disk]), &sends);
    }

    /// An acceptor votes in the open ballot, and so promises the next one.
    fn vote(&mut self, acceptor: usize, value: &str) {
        self.vote_promising(acceptor, value, ballot(2));
    }

    /// Acceptors vote, and node 0 hears of the votes of acceptors 1 and 2.
    fn vote_all<const N: usize>(&mut self, votes: [(usize, &str); N]) {
        for (acceptor, value) in votes {
            self.vote(acceptor, value);
        }
        self.hear(1);
        self.hear(2);
    }

    fn vote_promising(&mut self, acceptor: usize, value: &str, promised: Ballot) {
        let vote = json!({"ballot": ballot(1), "value": value});
        let mut disk = self.disk(acceptor);
        disk["acceptor"] = json!({"promised": promised, "open": false, "vote": vote});
        let sends = to_others(4, acceptor, &accepted(ballot(1), value));
        // Clients request red and blue only: green is made up.
        let requested = if value == "green" { "red" } else { value };
        // The requests of a client without a trace are taken on trust.
        let event = json!({"message": [9, {"Propose": {"value": requested}}]});
        self.0.step(acceptor, event, json!([disk]), &sends);
    }

    /// Node 0 receives a promise or a vote.
    fn hear(&mut self, from: usize) {
        self.0.deliver(from, 0, Value::Null, &[]);
    }

    /// Node 0 receives a vote, and proposes a value in the next ballot.
    fn resolve(&mut self, from: usize, picked: &str) {
        let mut disk = self.disk(0);
        disk["ballot"] = json!(ballot(2));
        let sends = to_others(4, 0, &accept(ballot(2), picked));
        self.0.deliver(from, 0, json!([disk]), &sends);
    }

    fn send(&mut self, node: usize, to: usize, message: Value) {
        self.0.send(node, json!("Ask"), &[(to, message)]);
    }
}

#[test]
fn every_bug_of_fast_ballots_is_rejected() {
    let proper = Fast::open();
    let report = assert_accepted(&proper.0, "no bug");
    assert!(report.model.is_none(), "{:?}", report.model);
    for (name, rule, put) in BUGS {
        let mut run = proper.clone();
        put(&mut run);
        assert_rejected(&run.0, name, *rule);
    }
}

/// Red if a collision that is resolved without phase 1 is not taken for what it is.
#[test]
fn a_collision_that_is_resolved_is_certified() {
    let mut run = Fast::open();
    run.vote_all([(0, "red"), (1, "blue"), (2, "red"), (3, "blue")]);
    // Node 0 votes for what it proposes in the same step.
    let mut saved = run.disk(0);
    saved["ballot"] = json!(ballot(2));
    saved["acceptor"]["vote"] = json!({"ballot": ballot(2), "value": "red"});
    let mut sends = to_others(4, 0, &accept(ballot(2), "red"));
    sends.extend(to_others(4, 0, &accepted(ballot(2), "red")));
    run.0.deliver(3, 0, json!([saved]), &sends);
    let report = assert_accepted(&run.0, "a collision");
    assert!(report.model.is_none(), "{:?}", report.model);
    let text = report.events_as_text();
    for event in [
        "opened 0 1.0 0,1,2",
        "promised 3 2.0 0 0 1.0 1",
        "proposed 0 2.0 0 0,1,2,3",
    ] {
        let is_there = text.lines().any(|line| line == event);
        assert!(is_there, "no {event}:\n{text}");
    }
}
