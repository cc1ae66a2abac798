//! Files that are not the traces of one run.

use super::traces::Traces;
use serde_json::{Value, json};
use synod::certify::{Error, Problem, certify};

/// Traces of three nodes that have started.
fn started(protocol: impl Into<Value>) -> Traces {
    let mut traces = Traces::empty(3, protocol);
    for node in 0..3 {
        traces.step(node, json!({"start": []}), Value::Null, &[]);
    }
    traces
}

/// The problem of a line of node 1 after a change to its trace.
fn problem(protocol: impl Into<Value>, change: impl FnOnce(&mut Traces)) -> Problem {
    let mut traces = started(protocol);
    change(&mut traces);
    match certify(&traces.files).expect_err("a problem") {
        Error::Line { file, problem, .. } if file == "node-1" => problem,
        error => panic!("{error}"),
    }
}

#[test]
fn a_line_that_cannot_be_part_of_a_trace_is_refused() {
    let found = problem("basic", |traces| traces.files[1].bytes.clear());
    assert!(matches!(found, Problem::Empty), "{found}");
    let found = problem("basic", |traces| traces.write(1, &[json!({"node": 1})]));
    assert!(matches!(found, Problem::NoRun), "{found}");
    let found = problem("basic", |traces| traces.push(1, &json!("no step")));
    assert!(matches!(found, Problem::Json(_)), "{found}");
    let found = problem("basic", |traces| {
        let other = json!({"cluster": 8, "nodes": 3, "protocol": "basic"});
        traces.push(1, &json!({"run": other}));
    });
    assert!(matches!(found, Problem::OtherCluster), "{found}");
    let found = problem("basic", |traces| {
        let step = traces.lines(2).remove(1);
        traces.push(1, &step);
    });
    let is_other = matches!(
        found,
        Problem::OtherProcess {
            process: 2,
            owner: 1
        }
    );
    assert!(is_other, "{found}");
}

#[test]
fn changes_of_the_durable_state_that_do_not_fit_together_are_refused() {
    let vote = json!({"ballot": {"round": 1, "node": 0}, "value": "Noop"});
    let changes = json!([{"Voted": [5, vote]}]);
    let multi = json!({"multi": {"sessions_max": 9, "snapshot_every": 9}});
    let found = problem(multi.clone(), |traces| {
        traces.step(1, json!({"start": changes}), Value::Null, &[]);
    });
    assert!(matches!(found, Problem::StartMisfit), "{found}");
    let found = problem(multi, |traces| {
        traces.step(1, json!({"timeout": "Retry"}), changes, &[]);
    });
    assert!(matches!(found, Problem::SaveMisfit(_)), "{found}");
}

#[test]
fn files_that_are_not_of_one_run_are_refused() {
    let refusal = |files: &[_]| certify(files).expect_err("not one run");
    let files = started("basic").files;
    let error = refusal(&[]);
    assert!(matches!(error, Error::NoTraces), "{error}");
    let error = refusal(&files[..2]);
    let is_missing = matches!(error, Error::MissingNode { node: 2, nodes: 3 });
    assert!(is_missing, "{error}");
    let error = refusal(&[files[0].clone(), files[0].clone()]);
    let is_same = matches!(error, Error::SameProcess { process: 0, .. });
    assert!(is_same, "{error}");
    let error = refusal(&[files[0].clone(), started("fast").files[1].clone()]);
    assert!(matches!(error, Error::DifferentClusters(..)), "{error}");
}

#[test]
fn a_cluster_that_cannot_be_certified_is_refused() {
    for nodes in [0, 1, 65, u32::MAX] {
        let run = json!({"run": {"cluster": 7, "nodes": nodes, "protocol": "basic"}});
        let mut traces = Traces::empty(1, "basic");
        traces.write(0, &[run]);
        let error = certify(&traces.files).expect_err("not so many");
        assert!(error.to_string().contains("from 2 to 64 nodes"), "{error}");
    }
}
