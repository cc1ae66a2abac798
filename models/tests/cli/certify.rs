//! Recorded runs of real clusters: judged as they are, and with every bug of history put into them.
//!
//! A bug is put into a genuine run by going on from where it ends: its nodes take further steps,
//! recorded as a node would, up to the one that breaks a rule. Without the bug the protocol's judge
//! finds nothing wrong with that, so that what it finds with the bug is the bug. The replay rejects
//! all of them: the actors take no such steps.

use super::support::{Output, synod};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use synod::ballot::{Ballot, NodeId};
use synod::certify::{File, Report, certify};
use tempfile::TempDir;

/// Where the checker is that is extracted from the proof; named by `make -C proofs certify`.
const CHECKER: &str = "SYNOD_CHECKER";

/// A slot that no genuine run gets to.
const SLOT: u64 = 1_000_000;

/// A run of three nodes, line by line.
#[derive(Clone)]
struct Run {
    protocol: &'static str,
    /// The nodes come first.
    files: Vec<File>,
    /// The highest round of any ballot, and one more for each new one.
    round: u64,
}

/// Records a cluster that works under faults, and whose node is killed and restarts.
fn record(protocol: &'static str) -> (TempDir, Vec<PathBuf>, Output) {
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

fn certify_command(paths: &[PathBuf], more: &[&str]) -> Output {
    let paths = paths.iter().map(|path| path.to_str().expect("UTF-8"));
    let args: Vec<&str> = ["certify"].into_iter().chain(paths).collect();
    synod(&[args.as_slice(), more].concat())
}

impl Run {
    fn genuine(protocol: &'static str) -> Self {
        let (_directory, paths, output) = record(protocol);
        assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
        let read = |path: &PathBuf| File {
            name: path.display().to_string(),
            bytes: std::fs::read(path).expect("a trace"),
        };
        let files: Vec<File> = paths.iter().map(read).collect();
        let texts = files
            .iter()
            .map(|file| String::from_utf8_lossy(&file.bytes));
        let round = |text: &str| {
            let digits = text.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse().ok())
        };
        let highest = |text: &str| text.split("\"round\":").skip(1).filter_map(round).max();
        let round = texts.filter_map(|text| highest(&text)).max();
        Run {
            protocol,
            files,
            round: round.expect("there was a ballot"),
        }
    }

    /// Whether it is about one value: what Basic Paxos and Fast Paxos say and save looks alike.
    fn is_one_decree(&self) -> bool {
        self.protocol != "multi"
    }

    fn ballot(&mut self, node: u32) -> Ballot {
        self.round += 1;
        Ballot {
            round: self.round,
            node: NodeId(node),
        }
    }

    fn step(&mut self, node: usize, event: Value, saves: Value, sends: &[(usize, Value)]) {
        let step = json!({
            "node": node, "us": 0, "event": event, "clock": [], "saves": saves, "sends": sends,
        });
        self.files[node]
            .bytes
            .extend(format!("{step}\n").as_bytes());
    }

    /// What a node of Basic Paxos or Fast Paxos has on disk.
    fn durable(&self, node: usize) -> Value {
        let text = String::from_utf8_lossy(&self.files[node].bytes);
        let lines = text
            .lines()
            .rev()
            .map(|line| serde_json::from_str(line).expect("a line"));
        let saved = lines.map(|line: Value| line["saves"][0].clone());
        let mut saved = saved.skip_while(Value::is_null);
        saved.next().expect("it has saved something")
    }

    /// What a node saves when its promise or its vote changes.
    fn change(&self, node: usize, promised: Ballot, vote: Option<(u64, &Value)>) -> Value {
        let cast = vote.map(|(_, value)| json!({"ballot": promised, "value": value}));
        if !self.is_one_decree() {
            let voted = vote.map(|(slot, _)| json!({"Voted": [slot, cast]}));
            let changes = [Some(json!({"Promised": promised})), voted];
            return changes.into_iter().flatten().collect();
        }
        let mut durable = self.durable(node);
        durable["acceptor"]["promised"] = json!(promised);
        if let Some(cast) = cast {
            durable["acceptor"]["vote"] = cast;
        }
        json!([durable])
    }

    /// Node `ballot.node` starts a ballot; its own acceptor stays out of it.
    fn prepare(&mut self, ballot: Ballot) {
        let message = self.prepare_message(ballot);
        let others = (0..3).filter(|node| *node != ballot.node.0 as usize);
        let sends: Vec<(usize, Value)> = others.map(|to| (to, message.clone())).collect();
        let (timer, saves) = if self.is_one_decree() {
            let mut durable = self.durable(ballot.node.0 as usize);
            durable["ballot"] = json!(ballot);
            (json!("Retry"), json!([durable]))
        } else {
            (json!({"Node": "Campaign"}), json!([{"Started": ballot}]))
        };
        self.step(
            ballot.node.0 as usize,
            json!({"timeout": timer}),
            saves,
            &sends,
        );
    }

    fn prepare_message(&self, ballot: Ballot) -> Value {
        match self.is_one_decree() {
            true => json!({"Prepare": {"ballot": ballot}}),
            false => json!({"Prepare": {"ballot": ballot, "from": SLOT}}),
        }
    }

    fn promise_message(&self, ballot: Ballot, vote: Option<&Value>) -> Value {
        if self.is_one_decree() {
            return json!({"Promise": {"ballot": ballot, "vote": vote}});
        }
        let votes = vote.map_or(json!({}), |vote| json!({SLOT.to_string(): vote}));
        json!({"Promise": {"ballot": ballot, "votes": votes, "decided": 0, "more": null}})
    }

    /// An acceptor promises, telling this vote, and has or has not saved that.
    fn promise(&mut self, acceptor: usize, ballot: Ballot, vote: Option<&Value>, saves: bool) {
        let event = json!({"message": [ballot.node, self.prepare_message(ballot)]});
        let saved = self.change(acceptor, ballot, None);
        let saved = if saves { saved } else { Value::Null };
        let answer = self.promise_message(ballot, vote);
        self.step(acceptor, event, saved, &[(ballot.node.0 as usize, answer)]);
    }

    /// The proposer hears of a promise, and says something.
    fn hear(&mut self, from: usize, ballot: Ballot, vote: Option<&Value>, says: &[(usize, Value)]) {
        let event = json!({"message": [from, self.promise_message(ballot, vote)]});
        self.step(ballot.node.0 as usize, event, Value::Null, says);
    }

    fn accept(&self, ballot: Ballot, slot: u64, value: &Value) -> Vec<(usize, Value)> {
        let vote = json!({"ballot": ballot, "value": value});
        let message = match self.is_one_decree() {
            true => json!({"Accept": {"vote": vote}}),
            false => json!({"Accept": {"slot": slot, "vote": vote}}),
        };
        (0..3).map(|to| (to, message.clone())).collect()
    }

    fn accepted(&self, ballot: Ballot, slot: u64, value: &Value) -> Value {
        match self.is_one_decree() {
            true => json!({"Accepted": {"vote": {"ballot": ballot, "value": value}}}),
            false => json!({"Accepted": {"ballot": ballot, "slot": slot}}),
        }
    }

    /// An acceptor votes, tells everybody, and has or has not saved that.
    fn vote(&mut self, acceptor: usize, ballot: Ballot, slot: u64, value: &Value, saves: bool) {
        let accept = self.accept(ballot, slot, value)[acceptor].1.clone();
        let saved = self.change(acceptor, ballot, Some((slot, value)));
        let saved = if saves { saved } else { Value::Null };
        let answer = self.accepted(ballot, slot, value);
        let answers = [0, 1, 2].map(|to| (to, answer.clone()));
        let event = json!({"message": [ballot.node, accept]});
        self.step(acceptor, event, saved, &answers);
    }

    /// The two other acceptors promise a ballot, telling these votes; its owner proposes.
    fn campaign(&mut self, ballot: Ballot, votes: [Option<&Value>; 2], slot: u64, value: &Value) {
        self.prepare(ballot);
        let from = [1, 2].map(|it| (ballot.node.0 as usize + it) % 3);
        for (acceptor, vote) in from.into_iter().zip(votes) {
            self.promise(acceptor, ballot, vote, true);
        }
        self.hear(from[0], ballot, votes[0], &[]);
        let says = self.accept(ballot, slot, value);
        self.hear(from[1], ballot, votes[1], &says);
    }

    /// A node has heard of these votes, and says that a value is chosen.
    fn tell(&mut self, node: usize, heard: &[(usize, Ballot)], value: &Value) {
        for (from, ballot) in heard {
            let event = json!({"message": [from, self.accepted(*ballot, SLOT, value)]});
            self.step(node, event, Value::Null, &[]);
        }
        let told = match self.is_one_decree() {
            true => json!({"Decided": {"value": value}}),
            false => json!({"Entries": {"from": SLOT, "entries": [value]}}),
        };
        self.say(node, &[((node + 1) % 3, told)]);
    }

    /// A node says something, for no reason that anybody sees.
    fn say(&mut self, node: usize, says: &[(usize, Value)]) {
        let timer = match self.is_one_decree() {
            true => json!("Ask"),
            false => json!({"Node": "Tick"}),
        };
        self.step(node, json!({"timeout": timer}), Value::Null, says);
    }

    /// A node restarts with all that it has saved but for the last so many changes.
    fn restart(&mut self, node: usize, forgets: usize) {
        let text = String::from_utf8_lossy(&self.files[node].bytes).into_owned();
        let mut changes: Vec<Value> = Vec::new();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).expect("a line");
            if let Some(start) = line["event"]["start"].as_array() {
                changes.clone_from(start);
            }
            changes.extend(line["saves"].as_array().into_iter().flatten().cloned());
        }
        changes.truncate(changes.len() - forgets);
        self.step(node, json!({"start": changes}), Value::Null, &[]);
    }

    /// Two values that were asked for; the first is what was chosen, if one was.
    fn values(&self) -> [Value; 2] {
        if self.is_one_decree() {
            let [red, blue] = [json!("red"), json!("blue")];
            let is_red = self.durable(0)["decided"] == red;
            return if is_red { [red, blue] } else { [blue, red] };
        }
        let texts = self
            .files
            .iter()
            .map(|file| String::from_utf8_lossy(&file.bytes));
        let text = texts.collect::<String>();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line"));
        let voted = lines.flat_map(|line: Value| {
            let changes = line["saves"].as_array().cloned().unwrap_or_default();
            let votes = changes
                .into_iter()
                .map(|change| change["Voted"][1]["value"].clone());
            votes.filter(|value| !value.is_null()).collect::<Vec<_>>()
        });
        let mut voted: Vec<Value> = voted.collect();
        voted.dedup();
        [voted[0].clone(), voted[voted.len() - 1].clone()]
    }

    /// The vote that an acceptor has in the slot in question.
    fn vote_of(&self, acceptor: usize) -> Option<Value> {
        let vote = self
            .is_one_decree()
            .then(|| self.durable(acceptor)["acceptor"]["vote"].clone());
        vote.filter(|vote| !vote.is_null())
    }

    /// Acceptors 1 and 2 tell node 0 all their votes, and it proposes what they leave it to.
    fn proper(&mut self) -> Ballot {
        let (ballot, [value, _]) = (self.ballot(0), self.values());
        let votes = [1, 2].map(|acceptor| self.vote_of(acceptor));
        self.campaign(ballot, [votes[0].as_ref(), votes[1].as_ref()], SLOT, &value);
        ballot
    }

    fn report(&self) -> Report {
        let report = certify(&self.files);
        report.unwrap_or_else(|error| panic!("{}: {error}", self.protocol))
    }
}

/// A ballot's vote as a promise tells it.
fn vote(ballot: Ballot, value: &Value) -> Value {
    json!({"ballot": ballot, "value": value})
}

/// A bug: its name, what the judge says of it, and how it shows.
type Bug = (&'static str, &'static str, fn(&mut Run, &Value, &Value));

/// Bugs that both protocols can have. `x` is what a leader must or may propose.
const BUGS: &[Bug] = &[
    (
        "a vote below a promise",
        "no ballot below its promise",
        |run, x, _| {
            let (low, high) = (run.proper(), run.ballot(1));
            run.prepare(high);
            let told = run.vote_of(2);
            run.promise(2, high, told.as_ref(), true);
            run.vote(2, low, SLOT, x, true);
        },
    ),
    (
        "a promise below a promise",
        "only a ballot above its promise",
        |run, _, _| {
            let (low, high) = (run.ballot(0), run.ballot(1));
            let told = run.vote_of(2);
            for ballot in [high, low] {
                run.prepare(ballot);
                run.promise(2, ballot, told.as_ref(), true);
            }
        },
    ),
    (
        "all forgotten in a restart",
        "keeps its promise",
        |run, _, _| {
            run.step(1, json!({"start": []}), Value::Null, &[]);
        },
    ),
    (
        "a promise forgotten in a restart",
        "keeps its promise",
        |run, _, _| {
            run.proper();
            run.restart(1, 1);
        },
    ),
    (
        "a vote forgotten in a restart",
        "tells all its votes",
        |run, x, y| {
            let ballot = run.proper();
            run.vote(1, ballot, SLOT, x, true);
            let kept = if run.is_one_decree() { y } else { x };
            if run.is_one_decree() {
                let mut durable = run.durable(1);
                durable["acceptor"]["vote"] = vote(ballot, kept);
                run.step(1, json!({"start": [durable]}), Value::Null, &[]);
            } else {
                run.restart(1, 1);
            }
        },
    ),
    (
        "own value instead of the reported one",
        "highest vote reported",
        |run, x, y| {
            let low = run.proper();
            run.vote(2, low, SLOT, x, true);
            let (high, reported) = (run.ballot(1), vote(low, x));
            let other = run.vote_of(0);
            run.campaign(high, [Some(&reported), other.as_ref()], SLOT, y);
        },
    ),
    (
        "a ballot used for two values",
        "a ballot is used once",
        |run, _, y| {
            let ballot = run.proper();
            let again = run.accept(ballot, SLOT, y);
            run.say(0, &again);
        },
    ),
    (
        "a vote for what was never proposed",
        "for what was proposed",
        |run, x, _| {
            let ballot = run.ballot(0);
            run.vote(1, ballot, SLOT, x, true);
        },
    ),
    (
        "a promise that is not saved",
        "keeps its promise",
        |run, _, _| {
            let ballot = run.ballot(0);
            run.prepare(ballot);
            let told = run.vote_of(1);
            run.promise(1, ballot, told.as_ref(), false);
        },
    ),
    (
        "a vote that is not saved",
        "tells all its votes",
        |run, x, _| {
            let ballot = run.proper();
            run.vote(1, ballot, SLOT, x, false);
        },
    ),
    (
        "a proposal without enough promises",
        "promises of a quorum",
        |run, x, _| {
            let ballot = run.ballot(0);
            run.prepare(ballot);
            let told = run.vote_of(1);
            run.promise(1, ballot, told.as_ref(), true);
            let says = run.accept(ballot, SLOT, x);
            run.hear(1, ballot, told.as_ref(), &says);
        },
    ),
    (
        "a promise counted twice",
        "promises of a quorum",
        |run, x, _| {
            let ballot = run.ballot(0);
            run.prepare(ballot);
            let told = run.vote_of(1);
            run.promise(1, ballot, told.as_ref(), true);
            run.hear(1, ballot, told.as_ref(), &[]);
            let says = run.accept(ballot, SLOT, x);
            run.hear(1, ballot, told.as_ref(), &says);
        },
    ),
    (
        "a promise that hides a vote",
        "tells all its votes",
        |run, x, _| {
            let low = run.proper();
            run.vote(1, low, SLOT, x, true);
            let high = run.ballot(2);
            run.prepare(high);
            run.promise(1, high, None, true);
        },
    ),
    (
        "a promise with a vote never cast",
        "tells all its votes",
        |run, _, y| {
            let low = run.proper();
            let (high, false_vote) = (run.ballot(2), vote(low, y));
            run.prepare(high);
            run.promise(1, high, Some(&false_vote), true);
        },
    ),
    (
        "a decision that nobody voted for",
        "votes of a quorum",
        |run, _, y| {
            run.tell(1, &[], y);
        },
    ),
];

/// Bugs that take a slot which is open, or several.
const BUGS_OF_LOGS: &[Bug] = &[
    (
        "the lowest vote reported",
        "highest vote reported",
        |run, x, y| {
            let first = run.proper();
            run.vote(1, first, SLOT, x, true);
            let second = run.ballot(1);
            run.campaign(second, [None, None], SLOT, y);
            run.vote(2, second, SLOT, y, true);
            let (third, [low, high]) = (run.ballot(0), [vote(first, x), vote(second, y)]);
            run.campaign(third, [Some(&low), Some(&high)], SLOT, x);
        },
    ),
    (
        "an invented command",
        "only what was asked for",
        |run, x, _| {
            let mut invented = x.clone();
            invented["Batch"][0]["client"] = json!(4_711);
            let ballot = run.ballot(0);
            run.campaign(ballot, [None, None], SLOT, &invented);
        },
    ),
    (
        "a decision of a minority",
        "votes of a quorum",
        |run, x, _| {
            let ballot = run.proper();
            run.vote(1, ballot, SLOT, x, true);
            run.tell(0, &[(1, ballot)], x);
        },
    ),
    ("a vote counted twice", "votes of a quorum", |run, x, _| {
        let ballot = run.proper();
        run.vote(1, ballot, SLOT, x, true);
        run.vote(1, ballot, SLOT, x, true);
        run.tell(0, &[(1, ballot), (1, ballot)], x);
    }),
    (
        "votes of two ballots added up",
        "votes of a quorum",
        |run, x, _| {
            let first = run.proper();
            run.vote(1, first, SLOT, x, true);
            let second = run.ballot(1);
            run.campaign(second, [None, None], SLOT, x);
            run.vote(2, second, SLOT, x, true);
            run.tell(0, &[(1, first), (2, second)], x);
        },
    ),
    (
        "a vote of another ballot decided",
        "votes of a quorum",
        |run, x, y| {
            let first = run.proper();
            run.vote(1, first, SLOT, x, true);
            let second = run.ballot(1);
            run.campaign(second, [None, None], SLOT, y);
            run.vote(2, second, SLOT, y, true);
            run.vote(0, second, SLOT, y, true);
            run.tell(1, &[(1, first)], x);
        },
    ),
    (
        "a promise for one slot only",
        "no ballot below its promise",
        |run, _, y| {
            let low = run.proper();
            let says = run.accept(low, SLOT + 1, y);
            run.say(0, &says);
            let high = run.ballot(1);
            run.prepare(high);
            run.promise(2, high, None, true);
            run.vote(2, low, SLOT + 1, y, true);
        },
    ),
    (
        "a no-op over a vote that was reported",
        "highest vote reported",
        |run, x, _| {
            let low = run.proper();
            run.vote(1, low, SLOT, x, true);
            let (high, reported) = (run.ballot(0), vote(low, x));
            run.campaign(high, [Some(&reported), None], SLOT, &json!("Noop"));
        },
    ),
];

/// What the checker that is extracted from the proof says of a run: the line that it rejects, or
/// nothing. Only if there is such a checker.
fn ask(report: &Report) -> Option<Option<usize>> {
    let checker = std::env::var_os(CHECKER)?;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("events");
    std::fs::write(&path, report.events_as_text()).expect("it can be written");
    let output = Command::new(Path::new(&checker))
        .arg(&path)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.split_once("rejected at line ").map(|(_, rest)| {
        let digits = rest
            .split(':')
            .next()
            .and_then(|digits| digits.parse().ok());
        digits.expect("a line")
    });
    assert_eq!(
        output.status.code(),
        Some(i32::from(line.is_some())),
        "{said}"
    );
    Some(line)
}

/// Both judges of the protocol say the same, of the same event.
fn assert_same(report: &Report, name: &str) {
    let Some(line) = ask(report) else { return };
    let theirs = line.and_then(|line| report.rejection_at(line));
    let place = |it: synod::certify::Rejection| (it.file, it.line, it.recorded);
    assert_eq!(
        theirs.map(place),
        report.protocol.clone().map(place),
        "{name}"
    );
}

fn assert_bugs_are_rejected(protocol: &'static str, bugs: &[&[Bug]]) {
    let genuine = Run::genuine(protocol);
    let report = genuine.report();
    assert!(
        report.is_certified(),
        "{:?}",
        report.model.or(report.protocol)
    );
    assert!(report.events.len() > 10, "{} events", report.events.len());
    assert_same(&report, "a genuine run");
    let [x, y] = genuine.values();
    assert_ne!(x, y);

    // What a bug is put into has none by itself.
    let mut proper = genuine.clone();
    let ballot = proper.proper();
    proper.vote(1, ballot, SLOT, &x, true);
    proper.vote(2, ballot, SLOT, &x, true);
    proper.restart(1, 0);
    proper.tell(0, &[(1, ballot), (2, ballot)], &x);
    let report = proper.report();
    assert_eq!((&report.protocol, &report.causality), (&None, &None));
    assert_same(&report, "no bug");

    for (name, rule, put) in bugs.iter().copied().flatten() {
        let mut run = genuine.clone();
        put(&mut run, &x, &y);
        let report = run.report();
        let found = report.protocol.as_ref().map(|it| it.rule.as_str());
        let found = found.unwrap_or_else(|| panic!("{protocol}: {name} passes"));
        assert!(found.contains(rule), "{protocol}: {name}: {found}");
        assert!(report.model.is_some(), "{protocol}: the actors do {name}");
        assert_same(&report, name);
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

#[test]
fn every_bug_of_fast_ballots_is_rejected() {
    let proper = Fast::open();
    let report = certify(&proper.files).expect("a run");
    assert_eq!((&report.protocol, &report.causality), (&None, &None));
    assert!(report.model.is_none(), "{:?}", report.model);
    assert_same(&report, "no bug");
    for (name, rule, put) in BUGS_OF_FAST_BALLOTS {
        let mut run = proper.clone();
        put(&mut run);
        let report = certify(&run.files).expect("a run");
        let found = report.protocol.as_ref().map(|it| it.rule.as_str());
        let found = found.unwrap_or_else(|| panic!("{name} passes"));
        assert!(found.contains(rule), "{name}: {found}");
        assert!(report.model.is_some(), "the actors do {name}");
        assert_same(&report, name);
    }
}

/// Red if a collision that is resolved without phase 1 is not taken for what it is.
#[test]
fn a_collision_that_is_resolved_is_certified() {
    let mut run = Fast::open();
    for (acceptor, value) in [(0, "red"), (1, "blue"), (2, "red"), (3, "blue")] {
        run.vote(acceptor, value);
    }
    let accept = json!({"Accept": {"vote": {"ballot": ballot(2), "value": "red"}}});
    let voted = json!({"Accepted": {"vote": {"ballot": ballot(2), "value": "red"}}});
    for from in [1, 2] {
        run.hear(from, if from == 1 { "blue" } else { "red" }, None, &[]);
    }
    // Node 0 votes for what it proposes in the same step.
    let mut saved = run.disk(0);
    saved["ballot"] = json!(ballot(2));
    saved["acceptor"]["vote"] = json!({"ballot": ballot(2), "value": "red"});
    let says = [
        (&accept, 1),
        (&accept, 2),
        (&accept, 3),
        (&voted, 1),
        (&voted, 2),
        (&voted, 3),
    ];
    let says: Vec<(usize, Value)> = says.map(|(it, to)| (to, it.clone())).to_vec();
    run.hear(3, "blue", Some(saved), &says);
    let report = certify(&run.files).expect("a run");
    assert!(
        report.is_certified(),
        "{:?}",
        report.protocol.or(report.model)
    );
    let text = report.events_as_text();
    for event in [
        "opened 0 1.0 0,1,2",
        "promised 3 2.0 0 0 1.0 1",
        "proposed 0 2.0 0 0,1,2,3",
    ] {
        assert!(
            text.lines().any(|line| line == event),
            "no {event}:\n{text}"
        );
    }
    assert_same(&report, "a collision");
}

/// Ballots of node 0, of which the first is fast.
fn ballot(round: u64) -> Ballot {
    let node = NodeId(0);
    Ballot { round, node }
}

/// A run of four nodes of Fast Paxos, any three of which are a quorum, made by hand.
#[derive(Clone)]
struct Fast {
    files: Vec<File>,
}

/// A bug, what the judge says of it, and how it shows.
type FastBug = (&'static str, &'static str, fn(&mut Fast));

/// Bugs that only fast ballots invite, or that show otherwise in them.
const BUGS_OF_FAST_BALLOTS: &[FastBug] = &[
    (
        "a second vote in an open ballot",
        "no ballot below its promise",
        |run| {
            run.vote(1, "red");
            run.vote(1, "blue");
        },
    ),
    (
        "a vote for what nobody asked for",
        "asked for if the ballot is open",
        |run| {
            run.vote(1, "green");
        },
    ),
    (
        "a fast ballot decided by a classic quorum and no more",
        "votes of a quorum",
        |run| {
            run.vote(1, "red");
            run.vote(2, "red");
            let decided = json!({"Decided": {"value": "red"}});
            run.say(2, &[(3, decided)]);
        },
    ),
    (
        "a ballot opened twice over",
        "a ballot is used once",
        |run| {
            let accept = json!({"Accept": {"vote": {"ballot": ballot(1), "value": "red"}}});
            run.say(0, &[(1, accept)]);
        },
    ),
    (
        "a classic ballot opened",
        "only a fast ballot is opened",
        |run| {
            let any = json!({"Any": {"ballot": ballot(3)}});
            run.say(0, &[(1, any)]);
        },
    ),
    (
        "a ballot opened without promises",
        "promises of a quorum",
        |run| {
            let ballot = Ballot {
                node: NodeId(1),
                ..ballot(1)
            };
            let any = json!({"Any": {"ballot": ballot}});
            run.say(1, &[(2, any)]);
        },
    ),
    (
        "a collision resolved by too few votes",
        "promises of a quorum",
        |run| {
            run.vote(1, "blue");
            run.vote(2, "red");
            run.hear(1, "blue", None, &[]);
            run.resolve(2, "red", "blue");
        },
    ),
    (
        "a vote counted that did not promise the next ballot",
        "has not promised 2.0",
        |run| {
            run.vote(1, "blue");
            run.vote_without_promise(2, "red");
            run.vote(3, "blue");
            run.hear(1, "blue", None, &[]);
            run.hear(2, "red", None, &[]);
            run.resolve(3, "blue", "blue");
        },
    ),
    (
        "a value picked that cannot have been chosen",
        "what may have been chosen",
        |run| {
            for (acceptor, value) in [(1, "red"), (2, "blue"), (3, "blue")] {
                run.vote(acceptor, value);
            }
            run.hear(1, "red", None, &[]);
            run.hear(2, "blue", None, &[]);
            run.resolve(3, "blue", "red");
        },
    ),
    (
        "a value picked that has no vote",
        "highest vote reported",
        |run| {
            for acceptor in [1, 2, 3] {
                run.vote(acceptor, "blue");
            }
            run.hear(1, "blue", None, &[]);
            run.hear(2, "blue", None, &[]);
            run.resolve(3, "blue", "red");
        },
    ),
];

impl Fast {
    /// Ballot 1.0 is open at all nodes; red and blue were asked for.
    fn open() -> Self {
        let header = json!({"run": {"cluster": 7, "nodes": 4, "protocol": "fast"}});
        let file = |node: usize| File {
            name: format!("node-{node}"),
            bytes: format!("{header}\n").into_bytes(),
        };
        let mut run = Fast {
            files: (0..4).map(file).collect(),
        };
        let others = |me: usize| (0..4).filter(move |node| *node != me);
        let to_others = |me: usize, message: &Value| -> Vec<(usize, Value)> {
            others(me).map(|to| (to, message.clone())).collect()
        };
        for node in 0..4 {
            run.step(
                node,
                json!({"start": []}),
                None,
                &to_others(node, &json!("Ask")),
            );
        }
        let prepare = json!({"Prepare": {"ballot": ballot(1)}});
        let promise = json!({"Promise": {"ballot": ballot(1), "vote": null}});
        let any = json!({"Any": {"ballot": ballot(1)}});
        let promised = Fast::disk_with(Some(ballot(1)), false, Value::Null, Value::Null);
        let mut own = promised.clone();
        own["ballot"] = json!(ballot(1));
        run.step(
            0,
            json!({"timeout": "Retry"}),
            Some(own.clone()),
            &to_others(0, &prepare),
        );
        for node in 1..4 {
            let event = json!({"message": [0, prepare]});
            run.step(node, event, Some(promised.clone()), &[(0, promise.clone())]);
        }
        run.step(0, json!({"message": [1, promise]}), None, &[]);
        own["acceptor"]["open"] = json!(true);
        let says = to_others(0, &any);
        run.step(0, json!({"message": [2, promise]}), Some(own), &says);
        for node in 1..4 {
            let mut open = promised.clone();
            open["acceptor"]["open"] = json!(true);
            run.step(node, json!({"message": [0, any]}), Some(open), &[]);
        }
        run
    }

    fn disk_with(promised: Option<Ballot>, open: bool, vote: Value, started: Value) -> Value {
        json!({
            "acceptor": {"promised": promised, "open": open, "vote": vote},
            "ballot": started,
            "decided": null,
        })
    }

    fn step(&mut self, node: usize, event: Value, saves: Option<Value>, sends: &[(usize, Value)]) {
        let saves = saves.map(|saved| vec![saved]);
        let step = json!({
            "node": node, "us": 0, "event": event, "clock": [], "saves": saves, "sends": sends,
        });
        let line = format!("{step}\n");
        self.files[node].bytes.extend(line.as_bytes());
    }

    /// What a node saved last.
    fn disk(&self, node: usize) -> Value {
        let text = String::from_utf8_lossy(&self.files[node].bytes);
        let lines = text.lines().rev();
        let saved = lines.map(|line| -> Value { serde_json::from_str(line).expect("a line") });
        let mut saved = saved.map(|line| line["saves"][0].clone());
        saved
            .find(|it| !it.is_null())
            .expect("it has saved something")
    }

    fn vote_in(&mut self, acceptor: usize, value: &str, promised: Ballot) {
        let vote = json!({"ballot": ballot(1), "value": value});
        let mut disk = self.disk(acceptor);
        disk["acceptor"] = json!({"promised": promised, "open": false, "vote": vote});
        let accepted = json!({"Accepted": {"vote": vote}});
        let others = (0..4).filter(|node| *node != acceptor);
        let says: Vec<(usize, Value)> = others.map(|to| (to, accepted.clone())).collect();
        // Of what clients ask for only red and blue are on record: the third is made up.
        let asked = if value == "green" { "red" } else { value };
        // A client without a trace of its own is taken at its word.
        let event = json!({"message": [9, {"Propose": {"value": asked}}]});
        self.step(acceptor, event, Some(disk), &says);
    }

    /// An acceptor votes in the open ballot.
    fn vote(&mut self, acceptor: usize, value: &str) {
        self.vote_in(acceptor, value, ballot(2));
    }

    fn vote_without_promise(&mut self, acceptor: usize, value: &str) {
        self.vote_in(acceptor, value, ballot(1));
    }

    /// The coordinator hears of a vote.
    fn hear(&mut self, from: usize, value: &str, saves: Option<Value>, says: &[(usize, Value)]) {
        let vote = json!({"ballot": ballot(1), "value": value});
        let event = json!({"message": [from, {"Accepted": {"vote": vote}}]});
        self.step(0, event, saves, says);
    }

    /// The coordinator hears of a vote, and proposes in the next ballot.
    fn resolve(&mut self, from: usize, heard: &str, picked: &str) {
        let mut disk = self.disk(0);
        disk["ballot"] = json!(ballot(2));
        let vote = json!({"ballot": ballot(2), "value": picked});
        let accept = json!({"Accept": {"vote": vote}});
        let says: Vec<(usize, Value)> = (1..4).map(|to| (to, accept.clone())).collect();
        self.hear(from, heard, Some(disk), &says);
    }

    /// A node says something, for no reason that anybody sees.
    fn say(&mut self, node: usize, says: &[(usize, Value)]) {
        self.step(node, json!({"timeout": "Ask"}), None, says);
    }
}

#[test]
fn a_message_that_was_never_sent_and_a_step_left_out_are_found() {
    let genuine = Run::genuine("basic");
    let mut run = genuine.clone();
    run.step(1, json!({"message": [0, "Ask"]}), Value::Null, &[]);
    let forged = format!("{{\"Decided\":{{\"value\":{}}}}}", run.values()[1]);
    let forged: Value = serde_json::from_str(&forged).expect("a message");
    run.step(2, json!({"message": [0, forged]}), Value::Null, &[]);
    let found = run.report().causality.expect("nobody said that");
    assert!(found.rule.contains("only after it was sent"), "{found}");
    // Of a node's steps none may be missing: here the first in which it saved something.
    let mut run = genuine;
    let text = String::from_utf8_lossy(&run.files[0].bytes).into_owned();
    let mut lines: Vec<&str> = text.lines().collect();
    let saving = lines.iter().position(|line| line.contains("\"saves\":["));
    lines.remove(saving.expect("it saved something"));
    run.files[0].bytes = (lines.join("\n") + "\n").into_bytes();
    assert!(run.report().model.is_some());
}

#[test]
fn the_command_certifies_rejects_and_refuses_with_file_and_line() {
    let (directory, paths, _) = record("basic");
    // One by one, or all in one place.
    let output = certify_command(&[directory.path().to_owned()], &[]);
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    let empty = tempfile::tempdir().expect("a directory");
    let output = certify_command(&[empty.path().to_owned()], &[]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("no trace"), "{}", output.stderr);
    let output = certify_command(&paths, &["--json"]);
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    let last = output.stdout.lines().last().expect("a result");
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(
        (&last["type"], &last["verdict"]),
        (&json!("result"), &json!("certified"))
    );
    assert!(last["events"].as_u64() > Some(10) && last["seconds"].is_number());

    let append = |text: &str| {
        let mut bytes = std::fs::read(&paths[1]).expect("a trace");
        bytes.extend(text.as_bytes());
        std::fs::write(&paths[1], bytes).expect("it can be written");
    };
    let lines = || std::fs::read_to_string(&paths[1]).map_or(0, |text| text.lines().count());
    // A node that is killed may leave half a line; it is said, and nothing else is.
    append("{\"node\":1,\"us\":17,\"ev");
    let output = certify_command(&paths, &[]);
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    let torn = format!("line {}, the last, is torn", lines());
    assert!(output.stdout.contains(&torn), "{}", output.stdout);
    // In the middle it is damage.
    append("\n");
    let output = certify_command(&paths, &[]);
    let place = format!("{}, line {}: ", paths[1].display(), lines());
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains(&place), "{}", output.stderr);
    assert_eq!(output.stdout, "");

    for (chosen, why) in [
        (&paths[..1], "node 1 of 3 has no trace"),
        (
            &[&paths[2..3], &paths[2..3]].concat()[..],
            "are both of process 2",
        ),
    ] {
        let output = certify_command(chosen, &[]);
        assert_eq!(output.code, Some(2), "{}", output.stdout);
        assert!(output.stderr.contains(why), "{}", output.stderr);
    }
    let (_other, others, _) = record("basic");
    let output = certify_command(&[paths[0].clone(), others[1].clone()], &[]);
    assert_eq!(output.code, Some(2));
    assert!(
        output.stderr.contains("of different clusters"),
        "{}",
        output.stderr
    );

    let amnesia = "{\"node\":2,\"us\":1,\"event\":{\"start\":[]},\"clock\":[],\
                   \"saves\":null,\"sends\":[]}\n";
    let mut bytes = std::fs::read(&others[2]).expect("a trace");
    bytes.extend(amnesia.as_bytes());
    std::fs::write(&others[2], bytes).expect("it can be written");
    let output = certify_command(&others, &[]);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    for text in [
        "model      ✗",
        "protocol   ✗",
        "keeps its promise",
        "restarted 2 -",
        "rejected",
    ] {
        assert!(
            output.stdout.contains(text),
            "{text} is missing:\n{}",
            output.stdout
        );
    }
}

#[test]
fn a_cluster_that_cannot_be_certified_is_refused() {
    for nodes in [0, 1, 65, u32::MAX] {
        let run = json!({"run": {"cluster": 7, "nodes": nodes, "protocol": "basic"}});
        let (name, bytes) = ("a trace".to_owned(), format!("{run}\n").into_bytes());
        let error = certify(&[File { name, bytes }]).expect_err("not so many");
        assert!(error.to_string().contains("from 2 to 64 nodes"), "{error}");
    }
}

#[test]
fn traces_of_two_clusters_do_not_mix_in_a_directory() {
    let (directory, _, _) = record("basic");
    let path = directory.path().to_str().expect("UTF-8");
    let output = synod(&["cluster", "basic", "--trace", path]);
    assert_eq!(output.code, Some(2), "{}", output.stdout);
    assert!(
        output.stderr.contains("another --trace"),
        "{}",
        output.stderr
    );
}
