//! The tables of what was broken on purpose are those of runs.

use super::grouped;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use synod::models::protocol;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What `synod mutants --json` said when it was kept last.
fn kept() -> Vec<Value> {
    let files = fs::read_dir(path("models/results")).expect("there are results");
    let files = files.map(|file| file.expect("a readable folder").path());
    let newest = files.filter(|file| file.to_string_lossy().contains("/mutants-2"));
    let newest = newest.max().expect("a run of the mutants was kept");
    let text = fs::read_to_string(newest).expect("a readable file");
    let lines = text.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.map(|line| line.expect("JSON")).collect();
    lines
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().expect("a text")
}

/// The mutants of a protocol that must die, or those of all protocols that do no harm.
fn table(kind: &str) -> String {
    let rows = kept();
    let number = |row: &Value, field: &str| row[field].as_u64().map_or(0, |number| number as usize);
    if kind == "harmless" {
        let rows = rows.iter().filter(|row| row["type"] == "harmless");
        let rows = rows.map(|row| {
            format!(
                "| {} | `{}` | {} | {} | {} |\n",
                text(row, "model"),
                text(row, "name"),
                text(row, "sentence"),
                text(row, "seen"),
                grouped(number(row, "unique_states")),
            )
        });
        let rows: String = rows.collect();
        return format!(
            "| protocol | change | what it does | why it does no harm | states, all seen |\n\
             |---|---|---|---|--:|\n{rows}"
        );
    }
    let rows = rows.iter();
    let rows = rows.filter(|row| row["type"] == "mutant" && row["model"] == *kind);
    let rows = rows.map(|row| {
        format!(
            "| `{}` | {} | {} | {} | {} | {} |\n",
            text(row, "name"),
            text(row, "sentence"),
            text(row, "seen"),
            text(row, "breaks"),
            number(row, "steps"),
            grouped(number(row, "unique_states")),
        )
    });
    let rows: String = rows.collect();
    format!(
        "| mutant | what it does wrong | where that was seen | breaks | steps | states |\n\
         |---|---|---|---|--:|--:|\n{rows}"
    )
}

/// Red if a table was written by hand, or not written again. `SYNOD_WRITE=1` writes them.
#[test]
fn the_table_of_the_mutants_is_made_from_a_run() {
    let readme = path("models/README.md");
    let mut all = fs::read_to_string(&readme).expect("the models have a README");
    let is_to_write = std::env::var_os("SYNOD_WRITE").is_some();
    for kind in ["basic", "multi", "fast", "harmless"] {
        let start = format!("<!-- mutants of {kind}: made from results -->\n\n");
        let end = "\n<!-- end -->";
        let (before, rest) = all.split_once(&start).expect("the table begins");
        let (found, after) = rest.split_once(end).expect("the table ends");
        assert!(
            is_to_write || found == table(kind),
            "write it again: SYNOD_WRITE=1 cargo test the_table_of"
        );
        all = format!("{before}{start}{}{end}{after}", table(kind));
    }
    if is_to_write {
        fs::write(&readme, all).expect("the README can be written");
    }
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
    assert_eq!(
        kept.collect::<BTreeSet<_>>(),
        there,
        "run `synod mutants --json` again, and keep what it says in models/results"
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
    let survivors = fs::read_to_string(path("models/mutation/survivors.toml"));
    let survivors = survivors.expect("a list of survivors");
    let survivors: Survivors = toml::from_str(&survivors).expect("a well-formed list");
    for Survivor {
        file,
        change,
        line,
        why,
    } in survivors.survivor
    {
        let source = fs::read_to_string(path(&file)).expect("a source file");
        let stands = source.lines().any(|it| it.trim() == line);
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
