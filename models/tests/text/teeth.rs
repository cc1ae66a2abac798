//! The tables of what was broken on purpose are those of runs.

use super::{Source, hold_tables, newest};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use synod::console::output::grouped;
use synod::models::protocol;

/// What `synod mutants --json` said when it was kept last.
fn kept() -> Vec<Value> {
    let newest = newest("models/results", "mutants");
    let lines = newest.text.lines().map(serde_json::from_str);
    lines.map(|line| line.expect("JSON")).collect()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().expect("a text")
}

/// The mutants of a protocol that must die, or those of all protocols that do no harm.
fn table(kind: &str) -> String {
    let rows = kept();
    let number = |row: &Value, field: &str| row[field].as_u64().map_or(0, |number| number as usize);
    let is_harmless = kind == "harmless";
    let rows = rows.iter().filter(|row| match is_harmless {
        true => row["type"] == "harmless",
        false => row["type"] == "mutant" && row["model"] == *kind,
    });
    let rows = rows.map(|row| {
        let (name, sentence, seen) = (text(row, "name"), text(row, "sentence"), text(row, "seen"));
        let states = grouped(number(row, "unique_states"));
        let row = match is_harmless {
            true => format!("{} | `{name}` | {sentence} | {seen}", text(row, "model")),
            false => {
                let (breaks, steps) = (text(row, "breaks"), number(row, "steps"));
                format!("`{name}` | {sentence} | {seen} | {breaks} | {steps}")
            }
        };
        format!("| {row} | {states} |\n")
    });
    let head = match is_harmless {
        true => {
            "| protocol | change | what it does | why it does no harm | states, all seen |\n\
             |---|---|---|---|--:|\n"
        }
        false => {
            "| mutant | what it does wrong | where that was seen | breaks | steps | states |\n\
             |---|---|---|---|--:|--:|\n"
        }
    };
    head.to_owned() + &rows.collect::<String>()
}

/// Red if a table was written by hand, or not written again. `SYNOD_WRITE=1` writes them.
#[test]
fn the_table_of_the_mutants_is_made_from_a_run() {
    let mark = |kind| format!("mutants of {kind}: made from results");
    let tables = ["basic", "multi", "fast", "harmless"].map(|kind| (mark(kind), table(kind)));
    hold_tables("models/README.md", tables);
}

/// Red if a mutant was added or changed, and the run not made again.
#[test]
fn the_run_of_the_mutants_that_is_kept_is_of_these_mutants() {
    let there = protocol::ALL.iter().flat_map(|protocol| {
        let mutants = protocol.mutants().into_iter();
        mutants.map(|it| (protocol.name(), it.name, it.sentence, it.source))
    });
    let there: BTreeSet<_> = there.collect();
    let kept = kept();
    let kept = kept.iter().filter(|row| row["type"] != "result");
    let kept = kept.map(|row| {
        let is_as_expected = row["killed"] == (row["type"] == "mutant");
        assert!(is_as_expected, "{row}");
        let text = |field| text(row, field);
        (text("model"), text("name"), text("sentence"), text("seen"))
    });
    let kept: BTreeSet<_> = kept.collect();
    assert_eq!(
        kept, there,
        "keep what `synod mutants --json` says now in models/results"
    );
}

/// A mutant of the systematic run that nothing can tell from the protocol, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Survivor {
    file: String,
    change: String,
    line: String,
    why: String,
}

/// `models/mutation/survivors.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Survivors {
    survivor: Vec<Survivor>,
}

/// Red if a line was changed that a survivor was in: whether it still survives is to be seen.
#[test]
fn what_survives_is_explained_where_it_still_stands() {
    let survivors = Source::read("models/mutation/survivors.toml").text;
    let survivors: Survivors = toml::from_str(&survivors).expect("a well-formed list");
    for Survivor {
        file,
        change,
        line,
        why,
    } in survivors.survivor
    {
        let source = Source::read(&file);
        let stands = source.text.lines().any(|it| it.trim() == line);
        assert!(
            stands,
            "{file} has no line `{line}` to {change}: run models/mutation again"
        );
        assert!(
            why.len() > 10,
            "{change} in `{line}` of {file} is not explained"
        );
    }
}
