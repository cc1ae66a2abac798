//! The command `synod certify`, with its exit codes.

use super::genuine::record;
use crate::support::{Output, synod};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn certify(paths: &[PathBuf], more: &[&str]) -> Output {
    let paths = paths.iter().map(|path| path.to_str().expect("UTF-8"));
    let args: Vec<&str> = ["certify"].into_iter().chain(paths).collect();
    synod(&[args.as_slice(), more].concat())
}

/// Runs the command on files that it refuses, which it must say in these words.
fn assert_refused(paths: &[PathBuf], words: &str) {
    let output = certify(paths, &[]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.contains(words), "{}", output.stderr);
}

fn append(path: &Path, text: &str) {
    let mut bytes = std::fs::read(path).expect("a trace");
    bytes.extend(text.as_bytes());
    std::fs::write(path, bytes).expect("it can be written");
}

#[test]
fn a_run_is_certified_file_by_file_or_in_its_directory() {
    let (directory, paths, _) = record("basic");
    let output = certify(&[directory.path().to_owned()], &[]);
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    let output = certify(&paths, &["--json"]);
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    let last = output.stdout.lines().last().expect("a result");
    let last: Value = serde_json::from_str(last).expect("JSON");
    let verdict = (&last["type"], &last["verdict"]);
    assert_eq!(verdict, (&json!("result"), &json!("certified")));
    assert!(last["events"].as_u64() > Some(10) && last["seconds"].is_number());
}

#[test]
fn a_torn_last_line_is_left_out_and_a_torn_line_before_is_refused() {
    let (_directory, paths, _) = record("basic");
    let count = || std::fs::read_to_string(&paths[1]).map_or(0, |text| text.lines().count());
    append(&paths[1], "{\"node\":1,\"us\":17,\"ev");
    let output = certify(&paths, &[]);
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    let torn = format!("line {}, the last, is torn", count());
    assert!(output.stdout.contains(&torn), "{}", output.stdout);
    append(&paths[1], "\n");
    assert_refused(
        &paths,
        &format!("{}, line {}: ", paths[1].display(), count()),
    );
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
    let output = synod(&["cluster", "basic", "--trace", path]);
    assert_eq!(output.code, Some(2), "{}", output.stdout);
    let error = output.stderr;
    assert!(error.contains("another --trace"), "{error}");
}

#[test]
fn a_run_is_rejected_with_the_rule_that_it_breaks() {
    let (_directory, paths, _) = record("basic");
    let amnesia = "{\"node\":2,\"us\":1,\"event\":{\"start\":[]},\"clock\":[],\
                   \"saves\":null,\"sends\":[]}\n";
    append(&paths[2], amnesia);
    let output = certify(&paths, &[]);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    for text in [
        "model      ✗",
        "protocol   ✗",
        "an acceptor keeps its promise: 2 had promised",
        "restarted 2 -",
        "rejected",
    ] {
        let is_there = output.stdout.contains(text);
        assert!(is_there, "{text} is missing:\n{}", output.stdout);
    }
    let output = certify(&paths, &["--json"]);
    let lines = output.stdout.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.map(|line| line.expect("JSON")).collect();
    let of = |judge: &str| lines.iter().find(|line| line["judge"] == judge);
    let rejection = &of("protocol").expect("a verdict")["rejection"];
    assert_eq!(rejection["rule_name"], "PromiseKept");
    let rule = rejection["rule"].as_str().expect("a sentence");
    assert!(
        rule.starts_with("an acceptor keeps its promise: "),
        "{rule}"
    );
}
