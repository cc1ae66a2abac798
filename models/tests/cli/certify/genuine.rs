//! Recorded runs of real clusters, and steps to continue them with.

use super::traces::{Traces, to_others};
use crate::support::{Output, synod};
use serde_json::{Value, json};
use std::path::PathBuf;
use synod::ballot::{Ballot, NodeId};
use synod::certify::File;
use tempfile::TempDir;

/// A slot that no genuine run reaches.
pub(super) const SLOT: u64 = 1_000_000;

/// A recorded run of three nodes, and its continuation.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) protocol: &'static str,
    pub(super) traces: Traces,
    /// The highest round of any ballot. Each new ballot has the next one.
    round: u64,
}

/// Records a cluster that works under faults, and whose node is killed and restarts.
pub(super) fn record(protocol: &'static str) -> (TempDir, Vec<PathBuf>, Output) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().to_str().expect("a path in UTF-8");
    let faults = ["--faults", "loss=0.05,dup=0.1,reorder=0.1"];
    let args = ["cluster", protocol, "--seed", "7", "--trace", path];
    let output = synod(&[args.as_slice(), &faults].concat());
    let entries = std::fs::read_dir(directory.path()).expect("it was recorded");
    let mut paths: Vec<PathBuf> = entries.map(|it| it.expect("a file").path()).collect();
    // Nodes first: their names are shorter, or their numbers lower.
    paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    (directory, paths, output)
}

/// A ballot's vote as a promise reports it.
pub(super) fn vote(ballot: Ballot, value: &Value) -> Value {
    json!({"ballot": ballot, "value": value})
}

impl Run {
    pub(super) fn record(protocol: &'static str) -> Self {
        let (_directory, paths, output) = record(protocol);
        assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
        let read = |path: &PathBuf| File {
            name: path.display().to_string(),
            bytes: std::fs::read(path).expect("a trace"),
        };
        let files: Vec<File> = paths.iter().map(read).collect();
        let round = |text: &str| {
            let digits = text.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse().ok())
        };
        let highest = |file: &File| {
            let text = String::from_utf8_lossy(&file.bytes);
            text.split("\"round\":").skip(1).filter_map(round).max()
        };
        let round = files.iter().filter_map(highest).max();
        Run {
            protocol,
            traces: Traces { files },
            round: round.expect("there was a ballot"),
        }
    }

    /// Returns `true` for a run of one decree: messages and states of Basic Paxos and Fast Paxos
    /// have the same JSON.
    pub(super) fn is_one_decree(&self) -> bool {
        self.protocol != "multi"
    }

    /// The state that a node of Basic Paxos or Fast Paxos has on disk.
    pub(super) fn disk(&self, node: usize) -> Value {
        self.traces.saved(node).expect("it has saved something")
    }

    pub(super) fn ballot(&mut self, node: u32) -> Ballot {
        self.round += 1;
        Ballot {
            round: self.round,
            node: NodeId(node),
        }
    }

    /// The changes that a node saves when its promise or its vote changes.
    fn change(&self, node: usize, promised: Ballot, cast: Option<(u64, &Value)>) -> Value {
        let cast = cast.map(|(slot, value)| (slot, vote(promised, value)));
        if !self.is_one_decree() {
            let voted = cast.map(|cast| json!({"Voted": cast}));
            let changes = [Some(json!({"Promised": promised})), voted];
            return changes.into_iter().flatten().collect();
        }
        let mut durable = self.disk(node);
        durable["acceptor"]["promised"] = json!(promised);
        if let Some((_, cast)) = cast {
            durable["acceptor"]["vote"] = cast;
        }
        json!([durable])
    }

    /// Node `ballot.node` starts a ballot; its own acceptor stays out of it.
    pub(super) fn prepare(&mut self, ballot: Ballot) {
        let node = ballot.node.0 as usize;
        let (timer, saves, message) = if self.is_one_decree() {
            let mut durable = self.disk(node);
            durable["ballot"] = json!(ballot);
            let message = json!({"Prepare": {"ballot": ballot}});
            (json!("Retry"), json!([durable]), message)
        } else {
            let message = json!({"Prepare": {"ballot": ballot, "from": SLOT}});
            let timer = json!({"Node": "Campaign"});
            (timer, json!([{"Started": ballot}]), message)
        };
        let sends = to_others(3, node, &message);
        let event = json!({"timeout": timer});
        self.traces.step(node, event, saves, &sends);
    }

    /// An acceptor promises and reports this vote.
    pub(super) fn promise_reporting(
        &mut self,
        vote: Option<&Value>,
        acceptor: usize,
        ballot: Ballot,
    ) {
        let answer = if self.is_one_decree() {
            json!({"Promise": {"ballot": ballot, "vote": vote}})
        } else {
            let votes = vote.map_or(json!({}), |vote| json!({SLOT.to_string(): vote}));
            json!({"Promise": {"ballot": ballot, "votes": votes, "decided": 0, "more": null}})
        };
        let owner = ballot.node.0 as usize;
        let (saves, sends) = (self.change(acceptor, ballot, None), [(owner, answer)]);
        self.traces.deliver(owner, acceptor, saves, &sends);
    }

    /// An acceptor promises and reports its vote.
    pub(super) fn promise(&mut self, acceptor: usize, ballot: Ballot) {
        let vote = self.vote_of(acceptor);
        self.promise_reporting(vote.as_ref(), acceptor, ballot);
    }

    /// The proposer receives a promise, and sends something.
    pub(super) fn hear(&mut self, from: usize, ballot: Ballot, sends: &[(usize, Value)]) {
        let owner = ballot.node.0 as usize;
        self.traces.deliver(from, owner, Value::Null, sends);
    }

    pub(super) fn accept(&self, ballot: Ballot, slot: u64, value: &Value) -> Vec<(usize, Value)> {
        let vote = vote(ballot, value);
        let message = match self.is_one_decree() {
            true => json!({"Accept": {"vote": vote}}),
            false => json!({"Accept": {"slot": slot, "vote": vote}}),
        };
        (0..3).map(|to| (to, message.clone())).collect()
    }

    fn accepted(&self, ballot: Ballot, slot: u64, value: &Value) -> Value {
        match self.is_one_decree() {
            true => json!({"Accepted": {"vote": vote(ballot, value)}}),
            false => json!({"Accepted": {"ballot": ballot, "slot": slot}}),
        }
    }

    /// An acceptor votes, and tells everybody.
    pub(super) fn vote(&mut self, acceptor: usize, ballot: Ballot, value: &Value) {
        self.vote_in(SLOT, acceptor, ballot, value);
    }

    pub(super) fn vote_in(&mut self, slot: u64, acceptor: usize, ballot: Ballot, value: &Value) {
        let (_, accept) = &self.accept(ballot, slot, value)[acceptor];
        let answer = self.accepted(ballot, slot, value);
        let answers = [0, 1, 2].map(|to| (to, answer.clone()));
        let event = json!({"message": [ballot.node, accept]});
        let saves = self.change(acceptor, ballot, Some((slot, value)));
        self.traces.step(acceptor, event, saves, &answers);
    }

    /// The two other acceptors promise a ballot and report these votes; its owner proposes.
    pub(super) fn campaign(&mut self, ballot: Ballot, votes: [Option<&Value>; 2], value: &Value) {
        self.prepare(ballot);
        let from = [1, 2].map(|it| (ballot.node.0 as usize + it) % 3);
        for (acceptor, vote) in from.into_iter().zip(votes) {
            self.promise_reporting(vote, acceptor, ballot);
        }
        let proposal = self.accept(ballot, SLOT, value);
        self.hear(from[0], ballot, &[]);
        self.hear(from[1], ballot, &proposal);
    }

    /// Acceptors 1 and 2 report all their votes to node 0, which proposes a value that is safe.
    /// Returns the ballot.
    pub(super) fn propose(&mut self) -> Ballot {
        let (ballot, [value, _]) = (self.ballot(0), self.values());
        let votes = [1, 2].map(|acceptor| self.vote_of(acceptor));
        self.campaign(ballot, [votes[0].as_ref(), votes[1].as_ref()], &value);
        ballot
    }

    /// The same, and an acceptor votes for a value in it.
    pub(super) fn propose_to(&mut self, acceptor: usize, value: &Value) -> Ballot {
        let ballot = self.propose();
        self.vote(acceptor, ballot, value);
        ballot
    }

    /// Node 0 prepares a ballot, and acceptor 1 promises it. Returns the ballot.
    pub(super) fn prepare_at_one(&mut self) -> Ballot {
        let ballot = self.ballot(0);
        self.prepare(ballot);
        self.promise(1, ballot);
        ballot
    }

    /// A node receives these votes, and says that a value is chosen.
    pub(super) fn decide(&mut self, node: usize, votes: &[(usize, Ballot)], value: &Value) {
        for (from, ballot) in votes {
            let event = json!({"message": [from, self.accepted(*ballot, SLOT, value)]});
            self.traces.step(node, event, Value::Null, &[]);
        }
        let decided = match self.is_one_decree() {
            true => json!({"Decided": {"value": value}}),
            false => json!({"Entries": {"from": SLOT, "entries": [value]}}),
        };
        self.send(node, &[((node + 1) % 3, decided)]);
    }

    pub(super) fn send(&mut self, node: usize, sends: &[(usize, Value)]) {
        let timer = match self.is_one_decree() {
            true => json!("Ask"),
            false => json!({"Node": "Tick"}),
        };
        self.traces.send(node, timer, sends);
    }

    /// A node restarts with all that it has saved except for the last so many changes.
    pub(super) fn restart(&mut self, node: usize, forgets: usize) {
        let mut changes: Vec<Value> = Vec::new();
        for line in self.traces.lines(node) {
            if let Some(start) = line["event"]["start"].as_array() {
                changes.clone_from(start);
            }
            changes.extend(line["saves"].as_array().into_iter().flatten().cloned());
        }
        changes.truncate(changes.len() - forgets);
        self.restart_with(node, &changes);
    }

    pub(super) fn restart_with(&mut self, node: usize, changes: &[Value]) {
        let event = json!({"start": changes});
        self.traces.step(node, event, Value::Null, &[]);
    }

    /// Two requested values; the first is the chosen one, if a value was chosen.
    pub(super) fn values(&self) -> [Value; 2] {
        if self.is_one_decree() {
            let [red, blue] = [json!("red"), json!("blue")];
            let is_red = self.disk(0)["decided"] == red;
            return if is_red { [red, blue] } else { [blue, red] };
        }
        let lines = (0..3).flat_map(|node| self.traces.lines(node));
        let saves = lines.filter_map(|line| line["saves"].as_array().cloned());
        let votes = saves.flatten().map(|it| it["Voted"][1]["value"].clone());
        let votes: Vec<Value> = votes.filter(|value| !value.is_null()).collect();
        [votes[0].clone(), votes[votes.len() - 1].clone()]
    }

    /// The vote that an acceptor has in the slot in question.
    pub(super) fn vote_of(&self, acceptor: usize) -> Option<Value> {
        let is_one = self.is_one_decree();
        let vote = is_one.then(|| self.disk(acceptor)["acceptor"]["vote"].clone());
        vote.filter(|vote| !vote.is_null())
    }
}
