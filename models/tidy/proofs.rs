//! Rules of the proofs' text: what their README says must be so.

use super::{COLUMNS_MAX, Source, assert_none, function};
use std::fs;
use std::path::Path;

/// The files of the proofs of a kind, in all their folders.
fn files(kind: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["proofs", "proofs/basic", "proofs/driver"] {
        let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
        for entry in entries.unwrap_or_else(|error| panic!("{folder}: {error}")) {
            let name = entry.expect("a readable folder").file_name();
            let path = format!("{folder}/{}", name.display());
            if path.ends_with(kind) {
                found.push(Source::read(&path));
            }
        }
    }
    assert!(!found.is_empty(), "no {kind} among the proofs");
    found
}

fn readme() -> String {
    Source::read("proofs/README.md").text
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a theorem `File.name` is there, and among those whose assumptions are printed.
fn is_proved(theorem: &str, proofs: &[Source], assumptions: &Source) -> bool {
    let (file, name) = theorem.split_once('.').expect("a file and a name");
    let path = format!("/{file}.v");
    let mut files = proofs.iter().filter(|proof| proof.path.ends_with(&path));
    let begins = format!("Theorem {name} ");
    let prints = format!("Print Assumptions {theorem}.\n");
    files.any(|proof| proof.text.contains(&begins)) && assumptions.text.contains(&prints)
}

/// Whether a handler `Role::name` is there in Rust, and by the same name in the proofs.
fn is_handler(handler: &str) -> bool {
    let (role, name) = handler.split_once("::").expect("a role and a name");
    let rust = Source::read(&format!("src/basic/{}.rs", role.to_lowercase()));
    let proof = Source::read(&format!("proofs/basic/{role}.v"));
    rust.functions().iter().any(|(it, _)| it == name)
        && proof.text.contains(&format!("Definition {name} "))
}

#[test]
fn the_proofs_have_every_invariant_its_sentence_theorem_and_handler() {
    let (readme, proofs) = (readme(), files(".v"));
    let assumptions = Source::read("proofs/Assumptions.v");
    for invariant in synod::invariant::ALL {
        let begins = format!("| {} | {} |", invariant.name, invariant.statement);
        let row = readme.lines().find(|line| line.starts_with(&begins));
        let row = row.unwrap_or_else(|| panic!("no row begins {begins}"));
        let (handlers, theorems): (Vec<_>, Vec<_>) =
            quoted(row).partition(|text| text.contains("::"));
        assert!(!handlers.is_empty() && !theorems.is_empty(), "{row}");
        for theorem in theorems {
            let is_proved = is_proved(theorem, &proofs, &assumptions);
            assert!(is_proved, "{theorem} is not proved");
        }
        for handler in handlers {
            assert!(is_handler(handler), "{handler} is in one of the two only");
        }
    }
    let printed = assumptions.text.matches("\nPrint Assumptions ").count();
    let claim = format!("{printed} theorems, no axioms");
    assert!(readme.contains(&claim), "{claim}: not in the README");
}

#[test]
fn every_handler_of_a_role_is_in_the_proofs() {
    for role in ["Acceptor", "Proposer", "Learner"] {
        let rust = Source::read(&format!("src/basic/{}.rs", role.to_lowercase()));
        let lines = rust.lines().map(str::trim_start);
        let public = lines.filter(|line| line.starts_with("pub fn"));
        let handlers = public.filter_map(function);
        // What is past is a claim about messages, which the checker verifies.
        for handler in handlers.filter(|name| !name.starts_with("is_past")) {
            let handler = format!("{role}::{handler}");
            assert!(is_handler(&handler), "{handler} is not in the proofs");
        }
    }
}

#[test]
fn what_the_proofs_claim_is_quoted_as_it_stands() {
    let (readme, proofs) = (readme(), files(".v"));
    let blocks = readme.split("```coq\n").skip(1);
    let blocks: Vec<&str> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    assert!(!blocks.is_empty(), "nothing is quoted");
    for claim in blocks.iter().flat_map(|block| block.trim().split("\n\n")) {
        let is_stated = proofs.iter().any(|proof| proof.text.contains(claim));
        assert!(is_stated, "no file says:\n{claim}");
    }
}

#[test]
fn proofs_take_nothing_for_granted() {
    let banned = [
        "Admitted",
        "admit",
        "Axiom",
        "Axioms",
        "Conjecture",
        "Parameter",
        "Parameters",
    ];
    let proofs = files(".v").into_iter();
    let broken = proofs.filter_map(|proof| {
        let mut words = proof
            .text
            .split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let word = words.find(|word| banned.contains(word))?;
        Some(format!("{}: {word}", proof.path))
    });
    let broken: Vec<String> = broken.collect();
    assert_none(&broken, "proofs without axioms");
}

#[test]
fn lines_of_the_proofs_fit_on_a_page() {
    let sources = [files(".v"), files(".ml")].into_iter().flatten();
    let broken = sources.flat_map(|source| {
        let is_long = |line: &&str| line.chars().count() > COLUMNS_MAX;
        let long: Vec<String> = source
            .text
            .lines()
            .filter(is_long)
            .map(String::from)
            .collect();
        long.into_iter()
            .map(move |line| format!("{}: {line}", source.path))
    });
    assert_none(&broken.collect::<Vec<_>>(), "lines that are too long");
}
