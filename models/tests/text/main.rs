//! Rules of the text: what may know what, how long things are, and what must be said.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what helps tests may fail as they do"
)]

mod circles;
mod dependencies;
mod figures;
mod messages;
mod pages;
mod proofs;
mod teeth;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use synod::console::output::grouped;
use synod::models::{expected, protocol};

const COLUMNS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 60;
const ROLE_LINES_MAX: usize = 300;

/// The roles of a protocol, and what stands beside them: all its files but the one that knows
/// stateright, and the one that hands them out.
fn roles(protocol: &str) -> impl Iterator<Item = Source> {
    let folder = format!("src/{protocol}");
    let outside = [format!("{folder}/process"), format!("{folder}/mod.rs")];
    let files = Source::all(&folder, ".rs").into_iter();
    files.filter(move |file| !outside.iter().any(|it| file.path.starts_with(it)))
}

/// The protocols, by the names of their folders.
const PROTOCOLS: [&str; 3] = ["basic", "multi", "fast"];

/// One file of the source tree.
#[derive(Clone)]
struct Source {
    /// From the root, with `/` between its parts.
    path: String,
    text: String,
}

impl Source {
    fn read(path: &str) -> Self {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        Source {
            text: text.unwrap_or_else(|error| panic!("{path}: {error}")),
            path: path.to_owned(),
        }
    }

    /// All files of a kind in a folder and below it, of which there are some.
    fn all(folder: &str, kind: &str) -> Vec<Self> {
        let found = Self::below(folder, kind);
        assert!(!found.is_empty(), "no {kind} in {folder}");
        found
    }

    fn below(folder: &str, kind: &str) -> Vec<Self> {
        let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
        let mut found = Vec::new();
        for entry in entries.unwrap_or_else(|error| panic!("{folder}: {error}")) {
            let entry = entry.expect("a readable folder");
            let path = format!("{folder}/{}", entry.file_name().display());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.extend(Self::below(&path, kind));
            } else if path.ends_with(kind) {
                found.push(Self::read(&path));
            }
        }
        found
    }

    /// The lines before the tests, which come last.
    fn lines(&self) -> impl Iterator<Item = &str> {
        let is_test = self.path.ends_with("/tests.rs");
        let lines = self.text.lines().take_while(|line| *line != "#[cfg(test)]");
        lines.filter(move |_| !is_test)
    }

    /// The lines before the tests that are no comments.
    fn code(&self) -> String {
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        self.lines().filter(is_code).collect::<Vec<_>>().join("\n")
    }

    /// Every path that the code names, those of grouped imports in full.
    fn paths(&self) -> BTreeSet<String> {
        let code = self.code();
        let imports = code.split("use ").skip(1);
        let imports = imports.filter_map(|rest| rest.split(';').next());
        let is_outside = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
        let inline = code.split(is_outside).filter(|word| word.contains("::"));
        let inline = inline.map(|word| word.trim_matches(':').to_owned());
        imports.flat_map(expand).chain(inline).collect()
    }

    /// The paths that the code names and that begin with one of these.
    fn named(&self, forbidden: &[&str]) -> Vec<String> {
        let is_at_or_below = |path: &str, start: &str| {
            let rest = path.strip_prefix(start);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let is_forbidden =
            |path: &String| forbidden.iter().any(|start| is_at_or_below(path, start));
        self.paths().into_iter().filter(is_forbidden).collect()
    }

    /// Functions before the tests, with the number of lines that each takes up.
    fn functions(&self) -> Vec<(String, usize)> {
        let lines: Vec<&str> = self.lines().collect();
        let starts = (0..lines.len()).filter_map(|at| Some((at, function(lines[at])?)));
        let measured = starts.map(|(at, name)| {
            let indent = lines[at].len() - lines[at].trim_start().len();
            let ends = |line: &&&str| {
                let is_deep = line.len() - line.trim_start().len() > indent;
                !is_deep && (line.ends_with(['}', ';']))
            };
            let length = lines[at..].iter().position(|line| ends(&line));
            (name, length.map_or(1, |length| length + 1))
        });
        measured.collect()
    }
}

/// The name of the function that begins in a line.
fn function(line: &str) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (before, after) = line.split_once("fn ")?;
    let mut words = before.split_whitespace();
    let is_start = words.all(|word| word.starts_with("pub") || ["const", "async"].contains(&word));
    let name: String = after.chars().take_while(|c| is_word(*c)).collect();
    (is_start && !name.is_empty()).then_some(name)
}

/// The paths of an import: `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
fn expand(import: &str) -> Vec<String> {
    let Some((start, group)) = import.split_once('{') else {
        return vec![import.trim().to_owned()];
    };
    let group = group.rsplit_once('}').map_or(group, |(inside, _)| inside);
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if c != ',' || depth > 0 => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    let parts = parts.iter().map(|part| part.trim());
    let parts = parts.filter(|part| !part.is_empty());
    let inside = parts.flat_map(expand);
    let whole = |part: String| format!("{}{part}", start.trim());
    inside.map(whole).collect()
}

/// All files in Rust.
fn everything() -> Vec<Source> {
    let folders = ["src", "models", "benches"];
    folders.map(|folder| Source::all(folder, ".rs")).concat()
}

/// The lines of some files that are like this, each with its file.
fn lines_of(sources: &[Source], is_like_this: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = sources.iter();
    let lines = lines.flat_map(|source| source.text.lines().map(|line| (&source.path, line)));
    let found = lines.filter(|(_, line)| is_like_this(line));
    found
        .map(|(path, line)| format!("{path}: {line}"))
        .collect()
}

fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

/// What the files name of what they must not know.
fn names(sources: impl IntoIterator<Item = Source>, forbidden: &[&str]) -> Vec<String> {
    let sources = sources.into_iter();
    let named = sources.flat_map(|source| {
        let path = source.path.clone();
        let named = source.named(forbidden).into_iter();
        named.map(move |name| format!("{path} names {name}"))
    });
    named.collect()
}

#[test]
fn imports_are_read_in_full() {
    let source = Source {
        path: "src/example.rs".to_owned(),
        text: "use a::{b, c::{d, e as f}};\n// g::h\nlet i = j::k::<l::m>();\n#[cfg(test)]\nn::o"
            .to_owned(),
    };
    let paths: Vec<String> = source.paths().into_iter().collect();
    for path in ["a::b", "a::c::d", "a::c::e as f", "j::k", "l::m"] {
        assert!(paths.iter().any(|it| it == path), "{path}: {paths:?}");
    }
    assert_eq!(source.named(&["g", "n"]), [""; 0]);
    assert_eq!(source.named(&["a::b", "a::bb", "j"]), ["a::b", "j::k"]);
}

#[test]
fn functions_are_measured() {
    let source = Source {
        path: "src/example.rs".to_owned(),
        text: "fn a() {}\n\n    pub(super) fn b(\n        c: d,\n    ) -> e {\n        f;\n    }\n\
               fn g(h: fn(i)) -> j;\nfn k()\nwhere\n    l: m,\n{\n    n\n}\n"
            .to_owned(),
    };
    let expected = [("a", 1), ("b", 5), ("g", 1), ("k", 6)];
    let expected = expected.map(|(name, lines)| (name.to_owned(), lines));
    assert_eq!(source.functions(), expected);
}

#[test]
fn roles_and_their_vocabulary_know_no_world_outside() {
    let vocabulary = "ballot vote quorum rounds invariant backoff delta effects machine";
    let vocabulary = vocabulary.split(' ');
    let vocabulary = vocabulary.map(|name| Source::read(&format!("src/{name}.rs")));
    let clocks = ["std::time::Instant", "std::time::SystemTime"];
    let others = ["std::net", "std::fs", "std::thread", "rand", "stateright"];
    let outside = [&clocks[..], &others].concat();
    let roles = PROTOCOLS.into_iter().flat_map(roles);
    let broken = names(vocabulary.into_iter().chain(roles), &outside);
    assert_none(&broken, "a role is a function of its state and a message");
}

#[test]
fn the_checker_and_the_runtime_know_no_protocol_and_not_each_other() {
    let rule = "the checker and the runtime know actors";
    let protocols = ["crate::basic", "crate::multi", "crate::fast", "synod"];
    let vocabulary = ["ballot", "vote", "quorum", "rounds"].map(|name| format!("crate::{name}"));
    let vocabulary = vocabulary.each_ref().map(String::as_str);
    let forbidden = [protocols, vocabulary].concat();
    for (folder, other) in [("src/checker", "runtime"), ("src/runtime", "checker")] {
        let sources = Source::all(folder, ".rs");
        let code = sources.iter().map(|it| (&it.path, it.code()));
        let words = ["Paxos", "Ballot", "Acceptor"];
        let tells = |code: &str| words.iter().any(|word| code.contains(word));
        let named = code.filter(|(_, code)| tells(code));
        let mut broken: Vec<String> = named.map(|(path, _)| path.clone()).collect();
        let other = format!("crate::{other}");
        broken.extend(names(sources, &[forbidden.as_slice(), &[&other]].concat()));
        assert_none(&broken, rule);
    }
}

#[test]
fn one_file_of_a_protocol_knows_stateright() {
    for protocol in PROTOCOLS {
        let sources = Source::all(&format!("src/{protocol}"), ".rs").into_iter();
        let knowing = sources.filter(|source| source.code().contains("stateright"));
        let knowing: Vec<String> = knowing.map(|source| source.path).collect();
        assert_eq!(knowing, [format!("src/{protocol}/process.rs")]);
    }
}

#[test]
fn nothing_is_left_to_be_done() {
    // In two parts, so that this file keeps the rule as well.
    let marks = [("TO", "DO"), ("FIX", "ME"), ("dbg", "!"), ("todo", "!")];
    let marks = marks.map(|(start, end)| format!("{start}{end}"));
    let is_marked = |line: &str| marks.iter().any(|mark| line.contains(mark));
    assert_none(&lines_of(&everything(), is_marked), "done, or not there");
}

#[test]
fn lines_fit_on_a_page() {
    // A row of a table is one line.
    let is_broken = |line: &str| is_long(line) && !line.starts_with("//! |");
    assert_none(
        &lines_of(&everything(), is_broken),
        "lines that are too long",
    );
}

fn is_long(line: &str) -> bool {
    line.chars().count() > COLUMNS_MAX
}

#[test]
fn functions_and_roles_are_short() {
    let sources = everything();
    let long = |source: &Source| {
        let functions = source.functions().into_iter();
        let long = functions.filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
        let path = source.path.clone();
        long.map(move |(name, lines)| format!("{path}: {name} has {lines} lines"))
            .collect::<Vec<_>>()
    };
    let broken: Vec<String> = sources.iter().flat_map(long).collect();
    assert_none(&broken, "functions that are too long");
    let roles = PROTOCOLS.into_iter().flat_map(roles);
    let roles = roles.filter(|source| !source.path.ends_with("/node.rs"));
    let roles = roles.map(|source| (source.lines().count(), source.path));
    let long = roles.filter(|(lines, _)| *lines > ROLE_LINES_MAX);
    let broken = long.map(|(lines, path)| format!("{path}: {lines}"));
    assert_none(&broken.collect::<Vec<_>>(), "roles that are too long");
}

/// A doc comment begins with the noun that it describes.
#[test]
fn few_docs_begin_with_a_question() {
    const QUESTIONS: [&str; 10] = [
        "What", "Whether", "How", "Who", "Whom", "Whose", "Whoever", "Whatever", "Where", "Which",
    ];
    let sources = everything();
    let (mut docs, mut questions) = (0, Vec::new());
    for source in &sources {
        let mut is_in_doc = false;
        for line in source.text.lines().map(str::trim_start) {
            let doc = line.strip_prefix("///").or(line.strip_prefix("//!"));
            if let Some(first) = doc.filter(|_| !is_in_doc) {
                docs += 1;
                let word = first.split_whitespace().next().unwrap_or_default();
                if QUESTIONS.contains(&word) {
                    questions.push(format!("{}: {first}", source.path));
                }
            }
            is_in_doc = doc.is_some();
        }
    }
    assert!(docs > 3_000, "{docs}");
    let (count, list) = (questions.len(), questions.join("\n"));
    assert!(count * 10 <= docs, "{count} of {docs}:\n{list}");
}

/// The comment that stands directly above a line.
fn doc_above(lines: &[&str], at: usize) -> String {
    let above = lines[..at].iter().rev().map(|line| line.trim_start());
    above
        .take_while(|line| line.starts_with("///") || line.starts_with("#["))
        .collect()
}

/// The handlers of messages of a protocol's roles, each of which names one of these sources.
fn sourced_handlers(protocol: &str, sources: &[&str]) -> Vec<String> {
    let mut handlers = Vec::new();
    let is_role = |it: &Source| !it.path.contains("/node") && !it.path.contains("client");
    for file in roles(protocol).filter(is_role) {
        let lines: Vec<&str> = file.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let name = function(line).filter(|_| line.trim_start().starts_with("pub fn"));
            let is_rule =
                |it: &String| it.starts_with("on_") || ["prepare", "pick"].contains(&it.as_str());
            let Some(name) = name.filter(is_rule) else {
                continue;
            };
            let doc = doc_above(&lines, at);
            let is_sourced = sources.iter().any(|source| doc.contains(source));
            assert!(is_sourced, "{name} of {} has no source", file.path);
            handlers.push(name);
        }
    }
    handlers
}

#[test]
fn every_handler_names_its_source() {
    let mut basic = sourced_handlers("basic", &["[PMS §"]);
    basic.sort_unstable();
    let expected = "on_accept on_accepted on_decided on_nack on_prepare on_promise on_propose \
                    prepare";
    basic.dedup();
    assert_eq!(basic.join(" "), expected);
    let of_logs = ["[PMS §", "[PMMC §", "[PML §", "[Raft thesis §"];
    assert!(sourced_handlers("multi", &of_logs).len() >= 12);
    assert!(sourced_handlers("fast", &["[Fast, "]).len() >= 11);
}

#[test]
fn the_page_of_the_models_has_every_invariant_and_its_sentence() {
    let page = page("models/README.md");
    let invariants = synod::invariant::ALL.iter();
    for invariant in invariants.chain(synod::invariant::OF_LOGS) {
        for text in [invariant.name, invariant.statement] {
            assert!(page.contains(text), "{text} is missing");
        }
    }
}

#[test]
fn the_readme_has_the_counts_of_the_pinned_configurations() {
    let readme = page("README.md").replace(',', "");
    let expected = expected::load().expect("expected.toml is well-formed");
    for protocol in protocol::ALL {
        let pinned = || expected.all().filter(|(name, _)| *name == protocol.name());
        let largest = pinned().map(|(_, pinned)| pinned.unique_states).max();
        let place = protocol.title().to_lowercase().replace(' ', "-");
        for text in [
            format!("{} states", largest.expect("some are pinned")),
            format!("[{} more](models/README.md#{place})", pinned().count() - 1),
        ] {
            assert!(readme.contains(&text), "{text} is missing");
        }
    }
}

/// The pinned configurations of a protocol as a table.
fn table(protocol: &str) -> String {
    let pinned = expected::load().expect("expected.toml is well-formed");
    let mut table = format!(
        "| configuration | `synod check {protocol}` | states | transitions | depth | took |\n\
         |---|---|--:|--:|--:|---|\n"
    );
    let rows = pinned.all().filter(|(name, _)| *name == protocol);
    let mut rows: Vec<_> = rows.map(|(_, pinned)| pinned).collect();
    rows.sort_by_key(|pinned| pinned.unique_states);
    for row in rows {
        let took = row.took.map(|(s, gib)| format!("{s:.0} s, {gib:.1} GiB"));
        table += &format!(
            "| {} | `{}` | {} | {} | {} | {} |\n",
            row.name,
            row.args,
            grouped(row.unique_states),
            grouped(row.transitions),
            row.depth,
            took.unwrap_or_default(),
        );
    }
    table.replace("``", "")
}

/// Red if a table was written by hand, or not written again. `SYNOD_WRITE=1` writes them.
#[test]
fn the_table_of_the_models_is_made_from_what_is_pinned() {
    let mark = |protocol| format!("{protocol}: made from expected.toml");
    let tables = PROTOCOLS.map(|protocol| (mark(protocol), table(protocol)));
    hold_tables("models/README.md", tables);
}

/// Holds the tables of a page to those that are made, each with the mark of its place; or writes
/// them, with `SYNOD_WRITE=1`.
fn hold_tables(page: &str, tables: impl IntoIterator<Item = (String, String)>) {
    let mut text = Source::read(page).text;
    let is_to_write = std::env::var_os("SYNOD_WRITE").is_some();
    for (mark, table) in tables {
        let (start, end) = (format!("<!-- {mark} -->\n\n"), "\n<!-- end -->");
        let (before, rest) = text.split_once(&start).expect("the table begins");
        let (found, after) = rest.split_once(end).expect("the table ends");
        let is_fine = is_to_write || found == table;
        assert!(
            is_fine,
            "{mark}: write it again: SYNOD_WRITE=1 cargo test --test text the_table"
        );
        text = format!("{before}{start}{table}{end}{after}");
    }
    if is_to_write {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        fs::write(page, text).expect("the page can be written");
    }
}

/// The file of a kind in a folder that was kept last: names end in a date.
fn newest(folder: &str, kind: &str) -> Source {
    let begins = format!("{folder}/{kind}-2");
    let files = Source::all(folder, "").into_iter();
    let of_kind = files.filter(|file| file.path.starts_with(&begins));
    let newest = of_kind.max_by(|one, other| one.path.cmp(&other.path));
    newest.unwrap_or_else(|| panic!("no results of {kind}"))
}

/// The parts of a text between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Red if a test was renamed that the page for contributors promises to turn red.
#[test]
fn the_tests_that_contributors_are_told_of_are_there() {
    let page = Source::read("CONTRIBUTING.md").text;
    let is_test = |word: &&str| {
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        word.chars().all(is_name) && word.matches('_').count() >= 3
    };
    let named: BTreeSet<&str> = quoted(&page).filter(is_test).collect();
    assert!(named.len() >= 10, "{named:?}");
    let models = Source::all("models", ".rs");
    for name in named {
        let begins = format!("fn {name}(");
        let is_there = models.iter().any(|source| source.text.contains(&begins));
        assert!(is_there, "there is no test {name}");
    }
}

/// A page on one line.
fn page(path: &str) -> String {
    let text = Source::read(path).text;
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
