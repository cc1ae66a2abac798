//! Rules of the proofs' text: what their README says must be so.

use super::{Source, assert_none, function, is_long, lines_of, quoted};
use synod::invariant;

/// The files of the proofs of a kind, but for those that are built.
fn files(kind: &str) -> Vec<Source> {
    let mut found = Source::all("proofs", kind);
    found.retain(|file| !file.path.starts_with("proofs/build/"));
    found
}

fn readme() -> String {
    Source::read("proofs/README.md").text
}

/// Whether a theorem `File.name`, or `folder.File.name`, is there, and among those whose
/// assumptions are printed.
fn is_proved(theorem: &str, proofs: &[Source], assumptions: &Source) -> bool {
    let (file, name) = theorem.rsplit_once('.').expect("a file and a name");
    let path = format!("/{}.v", file.replace('.', "/"));
    let mut files = proofs.iter().filter(|proof| proof.path.ends_with(&path));
    let begins = format!("Theorem {name} ");
    let prints = format!("Print Assumptions {theorem}.\n");
    files.any(|proof| proof.text.contains(&begins)) && assumptions.text.contains(&prints)
}

/// Whether a handler `Role::name` of a protocol is there in Rust, and by the same name in the
/// proofs.
fn is_handler(protocol: &str, handler: &str) -> bool {
    let (role, name) = handler.split_once("::").expect("a role and a name");
    let rust = Source::read(&format!("src/{protocol}/{}.rs", role.to_lowercase()));
    let proof = Source::read(&format!("proofs/{protocol}/{role}.v"));
    let defines = ["Definition", "Fixpoint"].map(|word| format!("{word} {name} "));
    rust.functions().iter().any(|(it, _)| it == name)
        && defines.iter().any(|it| proof.text.contains(it))
}

#[test]
fn the_proofs_have_every_invariant_its_sentence_theorem_and_handler() {
    let (readme, proofs) = (readme(), files(".v"));
    let assumptions = Source::read("proofs/Assumptions.v");
    let table = |heading: &str| {
        let found = readme.split_once(&format!("\n### {heading}\n"));
        let (_, rest) = found.expect("a heading");
        rest.split("\n#").next().unwrap_or_default()
    };
    let of_logs = [invariant::SAME_STATE, invariant::EXACTLY_ONCE];
    let rows = [
        ("basic", "Basic Paxos", &[][..]),
        ("multi", "Multi-Paxos", &of_logs),
        ("fast", "Fast Paxos", &[]),
    ];
    let rows = rows.into_iter().flat_map(|(protocol, heading, more)| {
        let all = invariant::ALL.iter().chain(more);
        all.map(move |it| (protocol, table(heading), it.name, it.statement))
    });
    for (protocol, table, name, statement) in rows {
        let begins = format!("| {name} | {statement} |");
        let row = table.lines().find(|line| line.starts_with(&begins));
        let row = row.unwrap_or_else(|| panic!("{protocol}: no row begins {begins}"));
        let (handlers, theorems): (Vec<_>, Vec<_>) =
            quoted(row).partition(|text| text.contains("::"));
        assert!(!handlers.is_empty() && !theorems.is_empty(), "{row}");
        for theorem in theorems {
            let is_proved = is_proved(theorem, &proofs, &assumptions);
            assert!(is_proved, "{theorem} is not proved");
        }
        for handler in handlers {
            let is_handler = is_handler(protocol, handler);
            assert!(
                is_handler,
                "{protocol}: {handler} is in one of the two only"
            );
        }
    }
    let printed = assumptions.text.matches("\nPrint Assumptions ").count();
    let claim = format!("{printed} theorems, no axioms");
    assert!(readme.contains(&claim), "{claim}: not in the README");
}

#[test]
fn every_handler_of_a_role_is_in_the_proofs() {
    let roles = [
        ("basic", &["Acceptor", "Proposer", "Learner"][..]),
        ("multi", &["Acceptor", "Leader", "Leadership", "Learner"]),
        ("fast", &["Acceptor", "Coordinator", "Learner", "Poll"]),
    ];
    let roles = roles.into_iter();
    for (protocol, role) in roles.flat_map(|(name, roles)| roles.iter().map(move |it| (name, it))) {
        let rust = Source::read(&format!("src/{protocol}/{}.rs", role.to_lowercase()));
        let lines = rust.lines().map(str::trim_start);
        let public = lines.filter(|line| line.starts_with("pub fn"));
        let handlers: Vec<String> = public.filter_map(function).collect();
        assert!(!handlers.is_empty(), "{protocol}: no handlers of {role}");
        for handler in handlers {
            // What is past is a claim about messages, which the checker verifies; the others hand
            // out a part of the state.
            let is_claim = handler.starts_with("is_past");
            let hands_out = ["leadership", "entry"].contains(&handler.as_str());
            let handler = format!("{role}::{handler}");
            let is_there = is_claim || hands_out || is_handler(protocol, &handler);
            assert!(is_there, "{protocol}: {handler} is not in the proofs");
        }
    }
}

#[test]
fn what_the_proofs_claim_is_quoted_as_it_stands() {
    let (readme, proofs) = (readme(), files(".v"));
    let blocks = readme.split("```coq\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    let blocks: Vec<&str> = blocks.collect();
    assert!(!blocks.is_empty(), "nothing is quoted");
    for claim in blocks.iter().flat_map(|block| block.trim().split("\n\n")) {
        let is_stated = proofs.iter().any(|proof| proof.text.contains(claim));
        assert!(is_stated, "no file says:\n{claim}");
    }
}

#[test]
fn proofs_take_nothing_for_granted() {
    let left_open = ["Admitted", "admit", "Conjecture"];
    let assumed = ["Axiom", "Axioms", "Parameter", "Parameters"];
    let banned = [&left_open[..], &assumed].concat();
    let proofs = files(".v").into_iter();
    let broken = proofs.filter_map(|proof| {
        let is_between = |c: char| !(c.is_alphanumeric() || c == '_');
        let mut words = proof.text.split(is_between);
        let word = words.find(|word| banned.contains(word))?;
        Some(format!("{}: {word}", proof.path))
    });
    let broken: Vec<String> = broken.collect();
    assert_none(&broken, "proofs without axioms");
}

#[test]
fn lines_of_the_proofs_fit_on_a_page() {
    let sources = [files(".v"), files(".ml")].concat();
    assert_none(&lines_of(&sources, is_long), "lines that are too long");
}
