//! No two files of the library need one another, directly or by way of others.

use super::Source;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The modules, and those that the text of each names.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Sets of files that may need one another, each with the reason.
const ALLOWED: [(&[&str], &str); 1] = [(
    &["checker::state", "checker::system", "checker::world"],
    "a system states properties of a world and its states, which are those of a system",
)];

/// The module in a file: `a::b` in `src/a/b.rs` and in `src/a/b/mod.rs`.
fn module(path: &str) -> String {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.trim_end_matches("/mod").replace('/', "::")
}

/// The module of `all` to which a path leads that the module `from` names.
fn target(path: &str, from: &str, all: &BTreeSet<String>) -> Option<String> {
    let mut place: Vec<&str> = from.split("::").collect();
    let mut names = path.split("::").map(str::trim).peekable();
    match *names.peek()? {
        "crate" | "synod" => place.clear(),
        "super" | "self" => {}
        first if all.contains(&format!("{from}::{first}")) => {}
        _ => return None,
    }
    for name in names {
        match name {
            "crate" | "synod" | "self" => {}
            "super" => drop(place.pop()),
            name => place.push(name),
        }
    }
    let mut ends = (1..=place.len()).rev().map(|end| place[..end].join("::"));
    ends.find(|module| all.contains(module))
}

/// The modules that each module of some files names. A folder's own file hands out what those below
/// it define, and they use what it defines, so that their names for one another do not count.
fn uses(sources: &[Source]) -> Uses {
    let all: BTreeSet<String> = sources.iter().map(|source| module(&source.path)).collect();
    let is_below = |one: &str, other: &str| one.starts_with(&format!("{other}::"));
    let uses = sources.iter().map(|source| {
        let from = module(&source.path);
        let paths = source.paths().into_iter();
        let targets = paths.filter_map(|path| target(&path, &from, &all));
        let counts =
            |it: &String| *it != from && !is_below(it, &from) && !is_below(&from, it.as_str());
        let targets = targets.filter(counts).collect();
        (from, targets)
    });
    uses.collect()
}

/// The shortest way from a module back to itself, if there is one, by way of modules that are not
/// all in one of the sets of files that may need one another.
fn circle(uses: &Uses, allowed: &[&[&str]]) -> Option<Vec<String>> {
    let is_allowed = |from: &str, to: &str| {
        let mut sets = allowed.iter();
        sets.any(|set| set.contains(&from) && set.contains(&to))
    };
    let back = |start: &String| {
        let mut ways = VecDeque::from([vec![start.clone()]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            let last = way.last()?;
            let named = uses.get(last).into_iter().flatten();
            for next in named.filter(|it| !is_allowed(last, it)) {
                let longer = [way.clone(), vec![next.clone()]].concat();
                if next == start {
                    return Some(longer);
                }
                if seen.insert(next) {
                    ways.push_back(longer);
                }
            }
        }
        None
    };
    uses.keys().filter_map(back).min_by_key(Vec::len)
}

#[test]
fn no_two_files_need_one_another() {
    let mut sources = Source::all("src", ".rs");
    sources.retain(|source| !["src/lib.rs", "src/main.rs"].contains(&source.path.as_str()));
    let uses = uses(&sources);
    let counted: usize = uses.values().map(BTreeSet::len).sum();
    assert!(counted > 500, "{counted} imports");
    let sets = ALLOWED.map(|(set, _)| set);
    if let Some(circle) = circle(&uses, &sets) {
        panic!("files need one another: {}", circle.join(" → "));
    }
    for (set, why) in ALLOWED {
        let among = uses.iter().filter(|(from, _)| set.contains(&from.as_str()));
        let among: Uses = among.map(|(from, to)| (from.clone(), to.clone())).collect();
        assert!(circle(&among, &[]).is_some(), "no longer needed: {why}");
    }
}

#[test]
fn a_circle_is_found_whatever_the_form_of_an_import() {
    let source = |path: &str, text: &str| Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let circle = |last: &str| {
        let sources = [
            source("src/a/mod.rs", "pub use b::B;\n"),
            source("src/a/b.rs", "use super::{A, c::{C, D as E}};\n"),
            source("src/a/c.rs", "use crate::d::F;\n"),
            source("src/d.rs", last),
        ];
        circle(&uses(&sources), &[]).map(|it| it.join(" "))
    };
    assert_eq!(circle("use std::fmt;\n"), None);
    assert_eq!(circle("// use crate::a::b::B;\n"), None);
    let found = Some("a::b a::c d a::b".to_owned());
    assert_eq!(circle("use crate::a::b::B;\n"), found);
    assert_eq!(circle("use synod::a::{b::B};\n"), found);
    assert_eq!(circle("type G = super::a::b::B;\n"), found);
}
