//! The command `synod certify`, with its exit codes.

use super::genuine::record;
use crate::command::damage;
use crate::run::run_args;
use crate::support::Output;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Runs the command, which must exit with this status.
fn certify(code: i32, paths: &[PathBuf], more: &[&str]) -> Output {
    let paths = paths.iter().map(|path| path.to_str().expect("UTF-8"));
    let args: Vec<&str> = ["certify"].into_iter().chain(paths).collect();
    run_args(code, &[args.as_slice(), more].concat())
}

/// Runs the command on files that it refuses, which it must say in these words.
fn assert_refused(paths: &[PathBuf], words: &str) {
    let output = certify(2, paths, &[]).complains(&[words]);
    assert_eq!(output.stdout, "");
}

fn append(path: &Path, text: &str) {
    damage(path, |bytes| bytes.extend(text.as_bytes()));
}

#[test]
fn a_run_is_certified_file_by_file_or_in_its_directory() {
    let (directory, paths, _) = record("basic");
    certify(0, &[directory.path().to_owned()], &[]);
    let lines = certify(0, &paths, &["--json"]).json();
    let last = lines.last().expect("a result");
    let verdict = (&last["type"], &last["verdict"]);
    assert_eq!(verdict, (&json!("result"), &json!("certified")));
    assert!(last["events"].as_u64() > Some(10) && last["seconds"].is_number());
}

#[test]
fn a_torn_last_line_is_left_out_and_a_torn_line_before_is_refused() {
    let (_directory, paths, _) = record("basic");
    let count = || std::fs::read_to_string(&paths[1]).map_or(0, |text| text.lines().count());
    append(&paths[1], "{\"node\":1,\"us\":17,\"ev");
    certify(0, &paths, &[]).prints(&[&format!("line {}, the last, is torn", count())]);
    append(&paths[1], "\n");
    let place = format!("{}, line {}: ", paths[1].display(), count());
    assert_refused(&paths, &place);
}

#[test]
fn files_that_are_not_those_of_one_run_are_refused() {
    let empty = tempfile::tempdir().expect("a directory");
    assert_refused(&[empty.path().to_owned()], "no trace");
    let (directory, paths, _) = record("basic");
    let (_other, others, _) = record("basic");
    let mixed = [paths[0].clone(), others[1].clone()];
    assert_refused(&mixed, "of different clusters");
    let path = directory.path().to_str().expect("UTF-8");
    run_args(2, &["cluster", "basic", "--trace", path]).complains(&["another --trace"]);
}

#[test]
fn a_run_is_rejected_with_the_rule_that_it_breaks() {
    let (_directory, paths, _) = record("basic");
    let amnesia = "{\"node\":2,\"us\":1,\"event\":{\"start\":[]},\"clock\":[],\
                   \"saves\":null,\"sends\":[]}\n";
    append(&paths[2], amnesia);
    certify(1, &paths, &[]).prints(&[
        "model      ✗",
        "protocol   ✗",
        "an acceptor keeps its promise: 2 had promised",
        "restarted 2 -",
        "rejected",
    ]);
    let lines = certify(1, &paths, &["--json"]).json();
    let of = |judge: &str| lines.iter().find(|line| line["judge"] == judge);
    let rejection = &of("protocol").expect("a verdict")["rejection"];
    assert_eq!(rejection["rule_name"], "PromiseKept");
    let rule = rejection["rule"].as_str().expect("a sentence");
    let is_named = rule.starts_with("an acceptor keeps its promise: ");
    assert!(is_named, "{rule}");
}
