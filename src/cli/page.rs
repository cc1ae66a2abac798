//! Runs as pages for a browser.

use super::model::{ADDRESS, link};
use crate::console::Error;
use std::fs;
use std::path::Path;
use synod::checker::page::RunPage;
use synod::checker::search::Trace;
use synod::models::protocol::Model;

/// The signs in the texts of steps and states.
pub(super) const SIGNS: [(&str, &str); 9] = [
    (
        "0→3 Promise 1.3",
        "the message Promise 1.3 from process 0 to process 3",
    ),
    (
        "1.3",
        "the ballot of round 1 by node 3; ballots are in the order of these numbers",
    ),
    (
        "1.3:x",
        "a vote for x, or a request for votes, in ballot 1.3",
    ),
    ("∅", "none, or nothing yet"),
    ("{0 2}", "the acceptors that have answered"),
    (
        "[0]",
        "a slot of the log; in front of a ballot, that slot's",
    ),
    ("5#0 x", "command 0 of client 5, which writes x"),
    ("no-op", "a command that changes nothing, and fills a slot"),
    ("t3", "the time 3 by a node's own clock"),
];

/// The signs as terms of a page.
pub(super) fn signs() -> Vec<(String, String)> {
    terms(SIGNS)
}

pub(super) fn terms<const N: usize>(terms: [(&str, impl ToString); N]) -> Vec<(String, String)> {
    terms
        .map(|(term, text)| (term.to_owned(), text.to_string()))
        .into()
}

/// The page of a counterexample.
pub(super) fn of_trace(model: &dyn Model, trace: &Trace) -> Result<RunPage, Error> {
    let mut page = model.page(&trace.explorer_path).map_err(Error::failed)?;
    let command = model.command();
    let length = trace.steps.len();
    page.title = format!("{}: a counterexample", model.protocol().title());
    page.facts = terms([
        ("configuration", model.title()),
        ("command", format!("synod check {command}")),
        (
            "Explorer",
            format!(
                "synod explore {command}, then {}",
                link(ADDRESS, &trace.explorer_path)
            ),
        ),
        (
            "length",
            match trace.is_shortest {
                true => format!("{length} steps, and no run is shorter"),
                false => format!("{length} steps; a shorter run may exist"),
            },
        ),
    ]);
    if let Some(mutant) = model.mutant() {
        let protocol = model.protocol().title();
        page.title = format!("{protocol} with a rule broken: {}", mutant.name);
    }
    page.facts.splice(..0, broken(model));
    page.signs = signs();
    Ok(page)
}

/// The fact that a rule is broken, if one is.
pub(super) fn broken(model: &dyn Model) -> Option<(String, String)> {
    let mutant = model.mutant()?;
    let text = format!("{}: {}", mutant.name, mutant.sentence);
    Some(("mutant".to_owned(), text))
}

/// Writes a page to a file.
pub(super) fn write(path: &Path, page: &str) -> Result<(), Error> {
    fs::write(path, page).map_err(|error| Error::path("write", path, error))
}
