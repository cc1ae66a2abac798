//! Damaged runs, which break the rules of order and of the model; and a check that no rule is
//! without a run that breaks it.

use super::genuine::Run;
use super::traces::Traces;
use super::{ask, bugs, fast};
use serde_json::{Value, json};
use synod::ballot::{Ballot, NodeId};
use synod::certify::Rule::{self, *};
use synod::certify::event::{Event, system};
use synod::certify::judge::Judge;
use synod::quorum::{AcceptorSet, QuorumSystem};

/// Damage to a recorded run of Multi-Paxos: its name, the rule that it breaks, and how it is done.
type Damage = (&'static str, Rule, fn(&mut Traces));

const DAMAGE: &[Damage] = &[
    ("a forged message", SentBeforeReceived, |traces| {
        let forged = json!({"Entries": {"from": 1_000_000, "entries": ["Noop"]}});
        let event = json!({"message": [0, forged]});
        traces.step(2, event, Value::Null, &[]);
    }),
    ("a start left out", StartFirst, |traces| {
        let mut lines = traces.lines(1);
        lines.remove(1);
        traces.write(1, &lines);
    }),
    ("a state forgotten", StartFromDisk, |traces| {
        traces.step(1, json!({"start": []}), Value::Null, &[]);
    }),
    ("a reading left out", ClockReadings, |traces| {
        traces.change(1, "clock", |clock| drop(clock.pop()));
    }),
    ("a reading too many", ClockReadings, |traces| {
        traces.change(1, "clock", |clock| clock.push(json!(0)));
    }),
    ("a change too many", Saves, |traces| {
        traces.change(1, "saves", |saves| saves.push(saves[0].clone()));
    }),
    ("a message left out", Sends, |traces| {
        traces.change(1, "sends", |sends| drop(sends.pop()));
    }),
];

#[test]
fn every_damage_to_a_recorded_run_is_found() {
    let recorded = Run::record("multi").traces;
    for (name, rule, damage) in DAMAGE {
        let mut traces = recorded.clone();
        damage(&mut traces);
        let report = traces.report();
        let found = match rule {
            Rule::SentBeforeReceived => report.causality,
            _ => report.model,
        };
        let found = found.unwrap_or_else(|| panic!("{name} passes"));
        assert_eq!(found.rule, *rule, "{name}: {found}");
    }
}

#[test]
fn a_message_that_arrives_twice_is_no_damage_and_a_step_left_out_is() {
    let mut traces = Run::record("basic").traces;
    traces.step(1, json!({"message": [0, "Ask"]}), Value::Null, &[]);
    assert_eq!(traces.report().causality, None);
    let mut lines = traces.lines(0);
    let saving = lines.iter().position(|line| line["saves"].is_array());
    lines.remove(saving.expect("it has saved something"));
    traces.write(0, &lines);
    assert!(traces.report().model.is_some());
}

/// The rule that both judges of the protocol apply to a promise of somebody who is no acceptor. No
/// trace is read as one of such a process.
fn rule_for_a_stranger() -> Rule {
    let quorums = QuorumSystem::majority(AcceptorSet::first(3)).expect("a majority");
    let (round, node) = (1, NodeId(0));
    let promise = Event::Promised {
        acceptor: NodeId(3),
        ballot: Ballot { round, node },
        from: 0,
        votes: Vec::new(),
    };
    let system = system(&quorums);
    if let Some(line) = ask(&format!("{system}{promise}\n")) {
        assert_eq!(line, Some(system.lines().count() + 1));
    }
    let violation = Judge::new(quorums).step(&promise);
    violation.expect_err("it is no acceptor").rule
}

/// The rule that a run breaks if the checker of the proofs rejects it, here at its first event.
fn rule_of_the_checker() -> Rule {
    let report = Run::record("basic").traces.report();
    let lines = report.events_as_text().lines().count();
    let rejection = report.rejection_at(lines - report.events.len() + 1);
    rejection.expect("an event").rule
}

/// Red if a rule is added that nothing breaks. That the tables tell the truth, the tests of each
/// table show.
#[test]
fn every_rule_is_the_reason_for_which_a_run_is_rejected() {
    let bugs = [bugs::BUGS, bugs::BUGS_OF_LOGS].into_iter().flatten();
    let mut broken: Vec<Rule> = bugs.map(|(_, rule, _)| *rule).collect();
    broken.extend(fast::BUGS.iter().map(|(_, rule, _)| *rule));
    broken.extend(DAMAGE.iter().map(|(_, rule, _)| *rule));
    broken.extend([rule_for_a_stranger(), rule_of_the_checker()]);
    for rule in Rule::ALL {
        assert!(broken.contains(rule), "nothing breaks {}", rule.name());
    }
}
