//! Rules of the pages: their links lead somewhere, and the front page is short.

use super::{Source, page};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use synod::models::protocol::{self, Rule};
use synod::models::{expected, scenarios};

const README_BYTES_MAX: usize = 10_000;
const SENTENCE_WORDS_MAX: usize = 30;

/// The pages of a folder and of those below it.
fn pages_in(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') && !["target", "build"].contains(&name) {
            pages_in(&path, pages);
        } else if name.ends_with(".md") {
            pages.push(path);
        }
    }
}

/// The text without what is code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The headings of a page as GitHub links to them.
fn anchors(text: &str) -> BTreeSet<String> {
    let text = prose(text);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let is_kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    let kept = headings.map(|it| it.chars().filter(is_kept).collect::<String>());
    kept.map(|it| it.replace(' ', "-")).collect()
}

/// Red if a file or a heading was renamed that a page links to.
#[test]
fn the_links_of_the_pages_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut pages, mut links) = (Vec::new(), 0);
    pages_in(root, &mut pages);
    for page in pages {
        let text = fs::read_to_string(&page).expect("a readable page");
        for link in prose(&text).split("](").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if file.contains("://") {
                continue;
            }
            let folder = page.parent().unwrap_or(root);
            let of_others = Some(folder.join(file)).filter(|_| !file.is_empty());
            let target = of_others.unwrap_or_else(|| page.clone());
            assert!(target.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let target = fs::read_to_string(&target).expect("a page");
                let (is_there, page) = (anchors(&target).contains(anchor), page.display());
                assert!(is_there, "{page}: {link}: there is no such heading");
            }
            links += 1;
        }
    }
    assert!(links > 100, "{links}");
}

/// Red if the front page grows, or has a sentence that must be read twice.
#[test]
fn the_front_page_is_short_and_so_are_its_sentences() {
    let text = Source::read("README.md").text;
    assert!(text.len() <= README_BYTES_MAX, "{} bytes", text.len());
    let text = prose(&text);
    let paragraphs = text.split("\n\n").filter(|it| !it.starts_with(['|', '#']));
    let items = paragraphs.flat_map(|it| it.split("\n- "));
    for sentence in items.flat_map(|it| it.split_inclusive(['.', ':', '?', ';'])) {
        let words = sentence.split_whitespace().count();
        assert!(words <= SENTENCE_WORDS_MAX, "{words} words: {sentence}");
    }
}

/// The crates that the library needs without its features, as cargo counts them.
fn crates() -> usize {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--offline", "--edges=normal"])
        .args(["--prefix=none", "--no-default-features", "--format={p}"])
        .output();
    let tree = String::from_utf8(output.expect("cargo can be run").stdout).expect("text");
    let crates = tree.lines().filter_map(|line| line.split(' ').next());
    crates.collect::<BTreeSet<_>>().len()
}

/// Red if a page counts otherwise than the program.
#[test]
fn the_pages_count_as_the_program_does() {
    let rules: Vec<Rule> = protocol::ALL.iter().flat_map(|it| it.mutants()).collect();
    let harmful = rules.iter().filter(|rule| !rule.is_harmless()).count();
    let pinned = expected::load().expect("expected.toml is well-formed");
    let (pinned, told, crates) = (pinned.all().count(), scenarios::ALL.len(), crates());
    let (readme, changes) = ("README.md", "CHANGELOG.md");
    let breaks = format!("breaks {harmful} rules in turn");
    let linked = format!("[{told} scenarios](models/README.md#scenarios)");
    for (name, claim) in [
        (
            readme,
            format!("{breaks}, and the invariants catch all {harmful}"),
        ),
        (readme, linked),
        (changes, format!("{pinned} configurations are pinned")),
        (changes, breaks),
        (changes, format!("tells {told} runs step by step")),
        (changes, format!("the roles alone need {crates} crates")),
        ("src/README.md", format!("needs {crates} crates")),
    ] {
        assert!(page(name).contains(&claim), "{name} does not say: {claim}");
    }
    let harmless = rules.len() - harmful;
    assert_eq!(harmless, 9, "CHANGELOG.md counts the harmless ones");
}
