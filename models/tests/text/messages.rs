//! What the protocols' pages say of their messages must be so in the code and in the proofs.

use super::{Source, function, quoted};
use std::fs;
use std::path::Path;

/// The handlers of a process itself, which hand a message or an alarm on to a role.
const ENTRIES: [&str; 3] = ["on_start", "on_message", "on_timer"];

/// One row of the table of messages.
struct Row {
    message: String,
    from: String,
    to: String,
    phase: String,
    handlers: Vec<String>,
    theorems: Vec<String>,
}

/// The table on the page of a protocol, without its head.
fn table(page: &Source) -> Vec<Row> {
    let (_, rest) = page.text.split_once("//! # Messages\n").expect("a table");
    let rows = rest.lines().skip_while(|line| !line.starts_with("//! |"));
    let rows = rows.take_while(|line| line.starts_with("//! |")).skip(2);
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, message, from, to, phase, _, handlers, theorems, ""] = cells[..] else {
            panic!("{}: {line}", page.path);
        };
        Row {
            message: quoted(message).collect(),
            from: from.to_owned(),
            to: to.to_owned(),
            phase: phase.to_owned(),
            handlers: quoted(handlers).map(String::from).collect(),
            theorems: quoted(theorems).map(String::from).collect(),
        }
    })
    .collect()
}

/// The variants of `Message`, each with the line above it in which its comment begins.
fn variants(page: &Source) -> Vec<(String, String)> {
    let (_, rest) = page.text.split_once("pub enum Message<").expect("messages");
    let lines = rest.lines().skip(1).take_while(|line| *line != "}");
    let lines: Vec<&str> = lines.collect();
    let is_word = |c: char| c.is_alphanumeric();
    let starts = (0..lines.len()).filter(|at| {
        let line = lines[*at].strip_prefix("    ").unwrap_or_default();
        line.starts_with(|c: char| c.is_uppercase())
    });
    let variants = starts.map(|at| {
        let name = lines[at].trim().chars().take_while(|c| is_word(*c));
        let above = lines[..at].iter().rev();
        let comment = above.take_while(|line| line.starts_with("    ///")).last();
        (
            name.collect(),
            comment.copied().unwrap_or_default().to_owned(),
        )
    });
    variants.collect()
}

/// The handlers of messages in some files, which belong to `owner`.
fn handlers(files: &[String], owner: &str, is_public: bool) -> Vec<(String, String)> {
    let sources = files.iter().map(|path| Source::read(path));
    let found = sources.flat_map(|source| {
        let lines = source.lines().map(str::trim_start);
        let lines = lines.filter(|line| !is_public || line.starts_with("pub fn"));
        lines.filter_map(function).collect::<Vec<_>>()
    });
    let is_handler = |name: &String| name.starts_with("on_") && !ENTRIES.contains(&&**name);
    let owned = |name: String| (format!("{owner}::{name}"), name);
    found.filter(is_handler).map(owned).collect()
}

/// Every handler of a protocol with its bare name: those of the roles, and those of the process
/// for messages that no role handles.
fn all_handlers(protocol: &str, roles: &[&str]) -> Vec<(String, String)> {
    let of_roles = roles.iter().flat_map(|role| {
        let owner = role[..1].to_uppercase() + &role[1..];
        handlers(&[format!("src/{protocol}/{role}.rs")], &owner, true)
    });
    let mut found: Vec<_> = of_roles.collect();
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/{protocol}/node"));
    let below = fs::read_dir(below).into_iter().flatten().flatten();
    let below = below.map(|entry| format!("src/{protocol}/node/{}", entry.file_name().display()));
    let mut files: Vec<String> = below.filter(|path| !path.ends_with("tests.rs")).collect();
    files.push(format!("src/{protocol}/node.rs"));
    let of_process = handlers(&files, "Step", false);
    let is_new = |(_, name): &(String, String)| found.iter().all(|(_, it)| it != name);
    let of_process: Vec<_> = of_process.into_iter().filter(is_new).collect();
    // A handler of a timer handles no message.
    let of_messages = of_process.into_iter();
    found.extend(of_messages.filter(|(_, name)| !name.ends_with("_timer")));
    found
}

/// `on_accepted` of `Accepted`: handlers have the names of their messages.
fn handler_of(message: &str) -> String {
    let mut handler = "on".to_owned();
    for letter in message.chars() {
        let separator = if letter.is_ascii_uppercase() { "_" } else { "" };
        handler = format!("{handler}{separator}{}", letter.to_ascii_lowercase());
    }
    handler
}

/// How the comment of a message begins.
fn beginning(row: &Row) -> String {
    let (way, phase) = (format!("{} to {}: ", row.from, row.to), &row.phase);
    match phase.as_str() {
        "" => format!("    /// {}{}", way[..1].to_uppercase(), &way[1..]),
        _ => format!("    /// Phase {phase}, {way}"),
    }
}

fn is_proved(protocol: &str, theorem: &str) -> bool {
    let assumptions = Source::read("proofs/Assumptions.v").text;
    let mut printed = assumptions.lines().filter_map(|line| {
        let printed = line.strip_prefix(&format!("Print Assumptions {protocol}."))?;
        printed.strip_suffix('.')?.split_once('.')
    });
    printed.any(|(file, name)| {
        let proof = Source::read(&format!("proofs/{protocol}/{file}.v"));
        name == theorem && proof.text.contains(&format!("Theorem {name} "))
    })
}

/// Red if a message or a handler is not in the table or there in vain, if the table says something
/// else than the comment of a message does, or names a theorem that is not proved.
#[test]
fn every_message_has_its_row_handler_and_theorem() {
    for (protocol, roles) in [
        ("basic", &["acceptor", "proposer", "learner", "client"][..]),
        (
            "multi",
            &["acceptor", "leader", "leadership", "learner", "client"],
        ),
        ("fast", &["acceptor", "coordinator", "learner", "client"]),
    ] {
        let page = Source::read(&format!("src/{protocol}/mod.rs"));
        let (rows, variants) = (table(&page), variants(&page));
        let named: Vec<&String> = rows.iter().map(|row| &row.message).collect();
        let expected: Vec<&String> = variants.iter().map(|(name, _)| name).collect();
        assert_eq!(named, expected, "{protocol}: not a row for each message");
        let handlers = all_handlers(protocol, roles);
        for (row, (message, comment)) in rows.iter().zip(&variants) {
            let begins = beginning(row);
            let is_same = comment.starts_with(&begins);
            assert!(is_same, "{protocol}: {comment}: not {begins}");
            let of_message = handlers.iter().filter(|(_, it)| *it == handler_of(message));
            let expected: Vec<&String> = of_message.map(|(handler, _)| handler).collect();
            assert!(!expected.is_empty(), "{protocol}: nobody handles {message}");
            let named: Vec<&String> = row.handlers.iter().collect();
            assert_eq!(named, expected, "{protocol}: the handlers of {message}");
            for theorem in &row.theorems {
                let is_proved = is_proved(protocol, theorem);
                assert!(is_proved, "{protocol}: {theorem} is not proved");
            }
        }
        for (handler, name) in handlers {
            let is_named = rows.iter().any(|row| handler_of(&row.message) == name);
            assert!(is_named, "{protocol}: {handler} handles no message");
        }
    }
}
