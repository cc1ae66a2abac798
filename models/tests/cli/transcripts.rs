//! The commands in the pages print what the pages show.

use super::support::synod;
use std::fs;
use std::path::{Path, PathBuf};

/// A command of a page, and the output that the page shows, in parts that may have others between
/// them.
struct Transcript {
    page: String,
    command: String,
    parts: Vec<Vec<String>>,
}

/// The words of a command after `synod`; `None` of another program.
fn arguments(command: &str) -> Option<Vec<&str>> {
    let command = command.split(" # ").next()?.trim();
    let rest = command.strip_prefix("synod");
    let rest = rest.or_else(|| command.strip_prefix("cargo run --release --"))?;
    let mut words = rest.split_whitespace();
    rest.starts_with(' ').then(|| words.by_ref().collect())
}

/// Whether a command prints the same each time, but for times, and is soon done.
fn is_repeatable(arguments: &[&str]) -> bool {
    match arguments {
        ["mutants", rest @ ..] => rest.iter().any(|word| !word.starts_with('-')),
        [first, ..] => ["check", "scenarios", "simulate", "invariants"].contains(first),
        [] => false,
    }
}

/// A line without the times in it, and with single blanks.
fn timeless(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_unit = |word: &&str| ["s", "s,", "s:", "ms"].contains(word);
    let masked = words.iter().enumerate().map(|(at, word)| {
        let is_time = words.get(at + 1).is_some_and(is_unit);
        if is_time { "T" } else { *word }
    });
    masked.collect::<Vec<_>>().join(" ")
}

/// The pages with commands.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["", "models/", "proofs/", "benches/"];
    let pages = folders
        .map(|folder| format!("{folder}README.md"))
        .into_iter();
    let others = ["src/guide.md", "CONTRIBUTING.md"].map(str::to_owned);
    pages.chain(others).map(|page| root.join(page)).collect()
}

fn transcripts() -> Vec<Transcript> {
    let mut all: Vec<Transcript> = Vec::new();
    for path in pages() {
        let text = fs::read_to_string(&path).expect("a readable page");
        for block in text.split("```console\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            let first = all.len();
            for line in block.lines() {
                if let Some(command) = line.strip_prefix("$ ") {
                    all.push(Transcript {
                        page: path.display().to_string(),
                        command: command.to_owned(),
                        parts: vec![Vec::new()],
                    });
                } else if let Some(last) = all[first..].last_mut() {
                    match line {
                        "..." => last.parts.push(Vec::new()),
                        line => last.parts.last_mut().expect("a part").push(timeless(line)),
                    }
                }
            }
        }
    }
    all
}

/// Finds the parts in what is printed, one after the other; nothing may stand before the first or
/// after the last unless that is empty. Returns the part that is missing.
fn compare(printed: &[String], parts: &[Vec<String>]) -> Result<(), String> {
    let mut rest = printed;
    for (number, part) in parts.iter().enumerate() {
        let is_last = number + 1 == parts.len();
        let at = match (number, part.len()) {
            (_, 0) => Some(0),
            (0, _) => rest.starts_with(part).then_some(0),
            (_, length) if is_last => rest.ends_with(part).then(|| rest.len() - length),
            (_, length) => rest.windows(length).position(|it| it == part),
        };
        rest = &rest[at.ok_or_else(|| part.join("\n"))? + part.len()..];
        if is_last && !part.is_empty() && !rest.is_empty() {
            return Err(format!("{}\nand no more", part.join("\n")));
        }
    }
    Ok(())
}

#[test]
fn what_is_shown_must_be_printed_and_all_of_it_unless_dots_stand_there() {
    let lines = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
    let printed = lines("abcd");
    for (parts, is_there) in [
        (&["abcd"][..], true),
        (&["", "bc", ""], true),
        (&["a", "d"], true),
        (&["abc"], false),
        (&["bcd"], false),
        (&["a", "c"], false),
        (&["", "cb", ""], false),
        (&["", "c", "b", ""], false),
    ] {
        let parts: Vec<_> = parts.iter().map(|part| lines(part)).collect();
        assert_eq!(compare(&printed, &parts).is_ok(), is_there, "{parts:?}");
    }
}

/// Red if a page shows what the command does not print, or a command that does not exist.
#[test]
fn the_commands_in_the_pages_print_what_they_show() {
    let (mut compared, mut parsed) = (0, 0);
    for transcript in transcripts() {
        let (page, command, parts) = (transcript.page, transcript.command, transcript.parts);
        let Some(arguments) = arguments(&command) else {
            continue;
        };
        let shows = parts.iter().any(|part| !part.is_empty());
        if !shows || !is_repeatable(&arguments) {
            let output = synod(&[&arguments[..], &["--help"]].concat());
            assert_eq!(output.code, Some(0), "{page}: {command}: {}", output.stderr);
            parsed += 1;
            continue;
        }
        let output = synod(&arguments);
        let printed: Vec<String> = output.stdout.lines().map(timeless).collect();
        if let Err(missing) = compare(&printed, &parts) {
            panic!("{page}: {command} does not print\n{missing}");
        }
        compared += 1;
    }
    let is_much = compared >= 8 && parsed >= 6;
    assert!(is_much, "{compared} compared, {parsed} parsed");
}
