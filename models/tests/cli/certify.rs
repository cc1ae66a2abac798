//! Tests of `certify`, with recorded runs of real clusters and with runs that are written by hand.
//!
//! A bug is put into a run by steps that are added to it, recorded as a node would, up to the one
//! that breaks a rule. The same steps without the bug are accepted by the judge of the protocol, so
//! that it is the bug which is rejected. The replay rejects all of them: the actors take no such
//! steps.

mod bugs;
mod command;
mod fast;
mod genuine;
mod refused;
mod rules;
mod traces;

use std::path::Path;
use std::process::Command;
use synod::certify::{Rejection, Report, Rule};
use traces::Traces;

/// The variable that names the checker extracted from the proof; `make -C proofs certify` sets it.
const CHECKER: &str = "SYNOD_CHECKER";

/// The line of a trace that the extracted checker rejects, if any; `None` without a checker.
fn ask(events: &str) -> Option<Option<usize>> {
    let checker = std::env::var_os(CHECKER)?;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("events");
    std::fs::write(&path, events).expect("it can be written");
    let asked = Command::new(Path::new(&checker)).arg(&path).output();
    let output = asked.expect("the checker runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.split_once("rejected at line ").map(|(_, rest)| {
        let digits = rest.split(':').next().map(str::parse);
        digits.expect("a line").expect("its number")
    });
    let code = Some(i32::from(line.is_some()));
    assert_eq!(output.status.code(), code, "{said}");
    Some(line)
}

/// Asserts that both judges of the protocol reject the same event, or none.
fn assert_same(report: &Report, name: &str) {
    let Some(line) = ask(&report.events_as_text()) else {
        return;
    };
    let theirs = line.and_then(|line| report.rejection_at(line));
    let place = |it: Rejection| (it.file, it.line, it.recorded);
    let ours = report.protocol.clone();
    assert_eq!(theirs.map(place), ours.map(place), "{name}");
}

/// Asserts that the judge of the protocol rejects a run for breaking a rule.
fn assert_rejected(traces: &Traces, name: &str, rule: Rule) {
    let report = traces.report();
    let found = report.protocol.as_ref();
    let found = found.unwrap_or_else(|| panic!("{name} passes"));
    assert_eq!(found.rule, rule, "{name}: {found}");
    assert!(report.model.is_some(), "the actors do {name}");
    assert_same(&report, name);
}

/// Asserts that the judge of the protocol rejects no step of a run. Returns the report.
fn assert_accepted(traces: &Traces, name: &str) -> Report {
    let report = traces.report();
    let found = (&report.protocol, &report.causality);
    assert_eq!(found, (&None, &None), "{name}");
    assert_same(&report, name);
    report
}
