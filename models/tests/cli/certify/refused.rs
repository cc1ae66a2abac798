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

/// Asserts that an error is of this kind.
macro_rules! assert_kind {
    ($error:expr, $kind:pat) => {{
        let error = $error;
        assert!(matches!(error, $kind), "{error}");
    }};
}

#[test]
fn a_line_that_cannot_be_part_of_a_trace_is_refused() {
    let found = problem("basic", |traces| traces.files[1].bytes.clear());
    assert_kind!(found, Problem::Empty);
    let found = problem("basic", |traces| traces.write(1, &[json!({"node": 1})]));
    assert_kind!(found, Problem::NoRun);
    let found = problem("basic", |traces| traces.push(1, &json!("no step")));
    assert_kind!(found, Problem::Json(_));
    let other = json!({"cluster": 8, "nodes": 3, "protocol": "basic"});
    let found = problem("basic", |traces| traces.push(1, &json!({"run": other})));
    assert_kind!(found, Problem::OtherCluster);
    let step = started("basic").lines(2).remove(1);
    let found = problem("basic", |traces| traces.push(1, &step));
    assert_kind!(
        found,
        Problem::OtherProcess {
            process: 2,
            owner: 1
        }
    );
}

#[test]
fn changes_of_the_durable_state_that_do_not_fit_together_are_refused() {
    let vote = json!({"ballot": {"round": 1, "node": 0}, "value": "Noop"});
    let changes = json!([{"Voted": [5, vote]}]);
    let multi = json!({"multi": {"sessions_max": 9, "snapshot_every": 9}});
    let found = problem(multi.clone(), |traces| {
        traces.step(1, json!({"start": changes}), Value::Null, &[]);
    });
    assert_kind!(found, Problem::StartMisfit);
    let found = problem(multi, |traces| {
        traces.step(1, json!({"timeout": "Retry"}), changes, &[]);
    });
    assert_kind!(found, Problem::SaveMisfit(_));
}

#[test]
fn files_that_are_not_of_one_run_are_refused() {
    let error = |files: &[_]| certify(files).expect_err("not one run");
    let files = started("basic").files;
    let twice = [files[0].clone(), files[0].clone()];
    let mixed = [files[0].clone(), started("fast").files[1].clone()];
    assert_kind!(error(&[]), Error::NoTraces);
    assert_kind!(error(&files[..2]), Error::MissingNode { node: 2, nodes: 3 });
    assert_kind!(error(&twice), Error::SameProcess { process: 0, .. });
    assert_kind!(error(&mixed), Error::DifferentClusters(..));
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
