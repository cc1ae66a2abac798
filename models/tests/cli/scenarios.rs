//! Scenarios as they are told: each ends as it should, and reads as it did.

use super::command::the_explorer_shows;
use super::run::{run, text};
use super::support::{Output, synod};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use synod::models::scenarios;

fn folder(name: &str) -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    models.join(name)
}

/// Red if a rule of a protocol has changed, or the words. `SYNOD_WRITE=1` writes what is told now.
#[test]
fn every_scenario_ends_as_it_should_and_reads_as_it_did() {
    let is_to_write = std::env::var_os("SYNOD_WRITE").is_some();
    let mut expected = BTreeSet::new();
    for (name, _) in scenarios::ALL {
        let told = run(0, &format!("scenarios {name}")).stdout;
        let wide = told.lines().find(|line| line.chars().count() > 100);
        let is_link = wide.is_none_or(|line| line.starts_with("and open"));
        assert!(is_link, "{name}: {wide:?}");
        let path = folder("traces").join(format!("{name}.txt"));
        if is_to_write {
            fs::write(&path, &told).expect("a trace can be written");
        }
        let is_kept = fs::read_to_string(&path).unwrap_or_default() == told;
        assert!(
            is_kept,
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
    let names: Vec<&str> = scenarios::ALL.iter().map(|(name, _)| *name).collect();
    let words = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let listed: Vec<&str> = words.filter(|it| names.contains(it)).collect();
    assert_eq!(listed, names);
    let files = fs::read_dir(folder("scenarios")).expect("there are scenarios");
    assert_eq!(files.count(), names.len(), "a scenario that is not listed");
    let readme = text("models/README.md");
    for (name, text) in scenarios::ALL {
        let scenario = scenarios::parse(text).expect("well-formed");
        let row = format!("| [`{name}`](traces/{name}.txt) | {} |", scenario.teaches);
        assert!(readme.contains(&row), "models/README.md lacks:\n{row}");
    }
}

/// Plays a scenario of the reader's own: this one with something else in place of a part of it.
fn changed(code: i32, part: &str, other: &str) -> Output {
    let text = scenarios::named("one-decree").expect("a scenario of that name");
    assert!(text.contains(part), "{part}");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("mine.toml");
    fs::write(&path, text.replace(part, other)).expect("written");
    run(code, &format!("scenarios --file {}", path.display()))
}

#[test]
fn a_scenario_that_ends_otherwise_exits_1_and_says_how() {
    let twice = "\"Chosen\"]\nrepeats = 2";
    let violated = "\"Chosen\"]\nviolated = [\"Agreement\"]";
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
        ("\"Chosen\"]", violated, "expected: Agreement is violated"),
        ("\"Chosen\"]", twice, "do not repeat"),
    ] {
        changed(1, part, other).prints(&[says]);
    }
}

#[test]
fn a_step_that_the_rules_do_not_allow_is_an_error_that_says_what_is_possible() {
    let refused = |part, other, says: &[&str]| drop(changed(2, part, other).complains(says));
    let said = "there is no step `2→3 Promise 1.3 ∅`";
    let others = ["step 5", said, "    3→2 Prepare 1.3"];
    refused("\"1→3 Promise 1.3 ∅\"", "\"2→3 Promise 1.3 ∅\"", &others);
    let said = "`3→0 Prepare 1.3` changes nothing";
    let others = ["step 3", said, "    3→1 Prepare 1.3"];
    refused("\"3→1 Prepare 1.3\"]", "\"3→0 Prepare 1.3\"]", &others);
    let said = "`0→3 Promise 1.3 ∅` is to change nothing";
    let step = "[\"0→3 Promise 1.3 ∅\"]";
    let (take, idle) = (format!("take = {step}"), format!("idle = {step}"));
    refused(&take, &idle, &["step 3", said]);
    refused("[[step]]", "[[stop]]", &["--file", "line 9", "stop"]);
    refused("--ballots 1", "--bullets 1", &["check:", "--bullets"]);
}

#[test]
fn a_scenario_is_asked_for_by_its_name_and_brings_its_own_configuration() {
    let duel = "synod explore basic --scenario duel";
    let own = ["brings its own configuration", duel];
    for (words, says) in [
        ("scenarios duell", &["duell", "'duel'"][..]),
        ("explore basic --scenario duell", &["duell", "'duel'"]),
        ("explore basic --scenario duel --ballots 3", &own),
        ("explore multi --scenario duel", &[duel]),
        (
            "scenarios --file /nowhere/mine.toml",
            &["--file /nowhere/mine.toml"],
        ),
    ] {
        run(2, words).complains(says);
    }
    let lines = synod(&["scenarios", "duel", "--json"]).json();
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
        let told = synod(&["scenarios", name]);
        let text_of = scenarios::named(name).expect("a scenario of that name");
        let scenario = scenarios::parse(text_of).expect("well-formed");
        let actions: Vec<String> = scenario.steps.into_iter().flat_map(|it| it.take).collect();
        let args = [protocol, "--scenario", name];
        the_explorer_shows(&args, told.line_after("and open "), &actions, text);
    }
}
