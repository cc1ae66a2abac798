//! Scenarios as they are told: each ends as it should, and reads as it did.

use super::command::the_explorer_shows;
use super::support::{Output, synod};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use synod::models::scenarios;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("models")
        .join(name)
}

/// Red if a rule of a protocol has changed, or the words. `SYNOD_WRITE=1` writes what is told now.
#[test]
fn every_scenario_ends_as_it_should_and_reads_as_it_did() {
    let is_to_write = std::env::var_os("SYNOD_WRITE").is_some();
    let mut expected = BTreeSet::new();
    for (name, _) in scenarios::ALL {
        let output = synod(&["scenarios", name]);
        let told = output.stdout;
        assert_eq!(output.code, Some(0), "{name}: {}{told}", output.stderr);
        let wide = told.lines().find(|line| line.chars().count() > 100);
        assert!(
            wide.is_none_or(|line| line.starts_with("and open")),
            "{name}: {wide:?}"
        );
        let path = folder("traces").join(format!("{name}.txt"));
        if is_to_write {
            fs::write(&path, &told).expect("a trace can be written");
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == told,
            "{name} reads otherwise: SYNOD_WRITE=1 cargo test every_scenario"
        );
        expected.insert(path);
    }
    let found = fs::read_dir(folder("traces")).expect("there are traces");
    let found: BTreeSet<_> = found.map(|file| file.expect("a file").path()).collect();
    assert_eq!(found, expected, "a trace of no scenario");
}

#[test]
fn every_scenario_is_listed_with_what_it_teaches() {
    assert!(scenarios::ALL.len() >= 15);
    let listed = synod(&["scenarios"]).stdout;
    let wide = listed.lines().find(|line| line.chars().count() > 100);
    assert_eq!(wide, None);
    let lines = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let names = scenarios::ALL.iter().map(|(name, _)| *name);
    let listed: Vec<&str> = lines
        .filter(|it| names.clone().any(|name| name == *it))
        .collect();
    assert_eq!(listed, names.collect::<Vec<_>>());
    let files = fs::read_dir(folder("scenarios")).expect("there are scenarios");
    assert_eq!(
        files.count(),
        scenarios::ALL.len(),
        "a scenario that is not listed"
    );
    let readme = fs::read_to_string(folder("README.md")).expect("the models have a README");
    for (name, text) in scenarios::ALL {
        let scenario = scenarios::parse(text).expect("well-formed");
        let row = format!("| [`{name}`](traces/{name}.txt) | {} |", scenario.teaches);
        assert!(readme.contains(&row), "models/README.md lacks:\n{row}");
    }
}

/// A scenario of the reader's own: this one with something else in place of a part of it.
fn changed(part: &str, other: &str) -> Output {
    let text = scenarios::named("one-decree").expect("a scenario of that name");
    assert!(text.contains(part), "{part}");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("mine.toml");
    fs::write(&path, text.replace(part, other)).expect("written");
    synod(&[
        "scenarios",
        "--file",
        path.to_str().expect("a path in UTF-8"),
    ])
}

#[test]
fn a_scenario_that_ends_otherwise_exits_1_and_says_how() {
    for (part, other, says) in [
        (
            "chosen = [\"x\"]",
            "chosen = []",
            "expected: chosen: nothing",
        ),
        ("\"told x\"", "\"told y\"", "expected: 5 client: told y"),
        (
            "\"Chosen\"",
            "\"Recovered\"",
            "there is no property Recovered",
        ),
        (
            "\"Chosen\"]",
            "\"Chosen\"]\nviolated = [\"Agreement\"]",
            "expected: Agreement is violated",
        ),
        ("\"Chosen\"]", "\"Chosen\"]\nrepeats = 2", "do not repeat"),
    ] {
        let output = changed(part, other);
        assert_eq!(
            output.code,
            Some(1),
            "{other}: {}{}",
            output.stdout,
            output.stderr
        );
        assert!(output.stdout.contains(says), "{says}: {}", output.stdout);
    }
}

#[test]
fn a_step_that_the_rules_do_not_allow_is_an_error_that_says_what_is_possible() {
    let unpromised = changed("\"1→3 Promise 1.3 ∅\"", "\"2→3 Promise 1.3 ∅\"");
    let idle = changed("\"3→1 Prepare 1.3\"]", "\"3→0 Prepare 1.3\"]");
    let busy = changed(
        "take = [\"0→3 Promise 1.3 ∅\"]",
        "idle = [\"0→3 Promise 1.3 ∅\"]",
    );
    let unknown = changed("[[step]]", "[[stop]]");
    let flag = changed("--ballots 1", "--bullets 1");
    for (output, says) in [
        (
            unpromised,
            &[
                "step 5",
                "there is no step `2→3 Promise 1.3 ∅`",
                "    3→2 Prepare 1.3",
            ][..],
        ),
        (
            idle,
            &[
                "step 3",
                "`3→0 Prepare 1.3` changes nothing",
                "    3→1 Prepare 1.3",
            ],
        ),
        (
            busy,
            &["step 3", "`0→3 Promise 1.3 ∅` is to change nothing"],
        ),
        (unknown, &["--file", "line 9", "stop"]),
        (flag, &["check:", "--bullets"]),
    ] {
        assert_eq!(output.code, Some(2), "{}{}", output.stdout, output.stderr);
        for says in says {
            assert!(output.stderr.contains(says), "{says}: {}", output.stderr);
        }
    }
}

#[test]
fn a_scenario_is_asked_for_by_its_name_and_brings_its_own_configuration() {
    for (args, says) in [
        (&["scenarios", "duell"][..], &["duell", "'duel'"][..]),
        (
            &["explore", "basic", "--scenario", "duell"],
            &["duell", "'duel'"],
        ),
        (
            &["explore", "basic", "--scenario", "duel", "--ballots", "3"],
            &[
                "brings its own configuration",
                "synod explore basic --scenario duel",
            ],
        ),
        (
            &["explore", "multi", "--scenario", "duel"],
            &["synod explore basic --scenario duel"],
        ),
        (
            &["scenarios", "--file", "/nowhere/mine.toml"],
            &["--file /nowhere/mine.toml"],
        ),
    ] {
        let output = synod(args);
        assert_eq!(output.code, Some(2), "{args:?}: {}", output.stdout);
        for says in says {
            assert!(output.stderr.contains(says), "{says}: {}", output.stderr);
        }
    }
    let output = synod(&["scenarios", "duel", "--json"]);
    let lines = output.stdout.lines();
    let lines: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let (result, steps) = lines.split_last().expect("a result");
    assert!(steps.iter().all(|step| step["type"] == "step"));
    assert_eq!(result["as_expected"], true, "{result}");
}

/// One of each protocol: a browser takes its time. The others lead through the same code.
#[test]
fn a_scenario_opens_in_a_browser() {
    for (protocol, name, text) in [
        ("basic", "adopted", "15. 2→5 Accepted 1.4:x"),
        ("multi", "leader-change", "27. 4→3 Entries [0] [no-op]"),
    ] {
        let told = synod(&["scenarios", name]).stdout;
        let link = told.lines().find_map(|line| line.strip_prefix("and open "));
        let text_of = scenarios::named(name).expect("a scenario of that name");
        let scenario = scenarios::parse(text_of).expect("well-formed");
        let actions: Vec<String> = scenario.steps.into_iter().flat_map(|it| it.take).collect();
        let args = [protocol, "--scenario", name];
        the_explorer_shows(&args, link.expect("a link is printed"), &actions, text);
    }
}
