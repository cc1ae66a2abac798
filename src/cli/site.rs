//! All scenarios, and the shortest counterexample of each mutant, as pages: a course on Paxos.

use super::check::{shortest, split};
use super::mutants::{Killer, limits, models};
use super::scenarios::{Staged, names};
use super::{check, page};
use crate::console::output::{Output, many};
use crate::console::{Error, Exit};
use std::fmt::{self, Write};
use std::fs;
use std::path::Path;
use synod::checker::Escaped;
use synod::checker::page::{RunPage, document, write_terms};
use synod::checker::search::Limits;
use synod::models::protocol;
use synod::models::scenarios::Check;

/// The name of the first page.
const INDEX: &str = "index.html";

/// A page as the index lists it.
struct Entry {
    protocol: &'static str,
    file: String,
    title: String,
    about: String,
    aside: String,
    page: RunPage,
}

/// Writes the pages into a folder.
pub(super) fn write(folder: &Path, output: &mut Output) -> Result<Exit, Error> {
    fs::create_dir_all(folder).map_err(|error| Error::path("create", folder, error))?;
    let mut failed = Vec::new();
    let mut scenarios = Vec::new();
    for name in names() {
        scenarios.push(scenario(name, &mut failed)?);
    }
    let (killers, mut mutants) = (models(None)?, Vec::new());
    let killers = killers.iter().filter(|(mutant, _)| !mutant.is_harmless());
    for killer @ (mutant, model) in killers.clone() {
        let (place, count) = (mutants.len() + 1, killers.clone().count());
        let name = format!("{} {}", model.protocol().name(), mutant.name);
        output.progress(format_args!("mutant {place} of {count}: {name}"));
        match counterexample(killer)? {
            Some(entry) => mutants.push(entry),
            None => failed.push(name),
        }
    }
    for entries in [&mut scenarios, &mut mutants] {
        join(entries);
        for entry in entries.iter() {
            page::write(&folder.join(&entry.file), &entry.page.render())?;
        }
    }
    page::write(&folder.join(INDEX), &index(&scenarios, &mutants))?;
    for name in &failed {
        output.note(&format_args!("not as it should be: {name}"));
    }
    let pages = many((scenarios.len() + mutants.len()) as u64, "run");
    output.line(format_args!("{pages}: {}", folder.join(INDEX).display()))?;
    Ok(Exit::of(failed.is_empty()))
}

fn scenario(name: &str, failed: &mut Vec<String>) -> Result<Entry, Error> {
    let staged = Staged::named(name)?;
    let run = staged.play()?;
    if !run.checks.iter().all(Check::is_met) {
        failed.push(name.to_owned());
    }
    Ok(Entry {
        protocol: staged.model.protocol().title(),
        file: format!("{name}.html"),
        title: staged.scenario.title.clone(),
        about: staged.scenario.teaches.clone(),
        aside: many(run.taken.iter().flatten().count() as u64, "step"),
        page: staged.page(&run)?,
    })
}

/// The shortest run by which a mutant comes to light, if it does.
fn counterexample((mutant, model): &Killer) -> Result<Option<Entry>, Error> {
    let limits = Limits {
        threads: check::processors(),
        ..limits()
    };
    let report = model.search(limits, None, Some(mutant.breaks), &mut |_| {});
    let report = report.map_err(Error::failed)?;
    let found = shortest(&report).filter(|(_, trace)| !trace.steps.is_empty());
    let entry = found.map(|(property, trace)| {
        let (name, _) = split(property);
        Ok(Entry {
            protocol: model.protocol().title(),
            file: format!("{}-{}.html", model.protocol().name(), mutant.name),
            title: mutant.name.to_owned(),
            about: mutant.sentence.to_owned(),
            aside: format!(
                "{name} is violated after {}",
                many(trace.steps.len() as u64, "step")
            ),
            page: page::of_trace(model.as_ref(), trace)?,
        })
    });
    entry.transpose()
}

/// Links each page with the one before, the index and the one after.
fn join(entries: &mut [Entry]) {
    let all: Vec<_> = entries
        .iter()
        .map(|it| (it.title.clone(), it.file.clone()))
        .collect();
    for (place, entry) in entries.iter_mut().enumerate() {
        let link = |sign: &str, place: Option<usize>| {
            let (title, file) = all.get(place?)?;
            Some((format!("{sign} {title}"), file.clone()))
        };
        let links = [
            Some(("All runs".to_owned(), INDEX.to_owned())),
            link("Before:", place.checked_sub(1)),
            link("Next:", Some(place + 1)),
        ];
        entry.page.links = links.into_iter().flatten().collect();
    }
}

fn index(scenarios: &[Entry], mutants: &[Entry]) -> String {
    let mut body = String::new();
    // Writing to a string cannot fail.
    let _ = write_index(&mut body, scenarios, mutants);
    document("Paxos, run by run", &body)
}

fn write_index(html: &mut String, scenarios: &[Entry], mutants: &[Entry]) -> fmt::Result {
    html.push_str(
        "<h1>Paxos, run by run</h1>\
         <p>Paxos lets machines agree although they crash and messages are lost. Each page is a \
         run of a protocol, step by step: the messages, what each step changes, and the reason. \
         In this order the scenarios are a course. The runs after them break one rule each, and \
         show in as few steps as possible what the rule is for.</p><h2>Notation</h2>",
    );
    write_terms(html, "signs", &page::signs())?;
    write_list(html, "", scenarios)?;
    write_list(html, ", with a rule broken", mutants)
}

/// Writes the entries under the titles of their protocols.
fn write_list(html: &mut String, addition: &str, entries: &[Entry]) -> fmt::Result {
    for protocol in protocol::ALL {
        let title = protocol.title();
        write!(html, "<h2>{title}{addition}</h2><ol class='course'>")?;
        for entry in entries.iter().filter(|it| it.protocol == title) {
            let (file, title) = (Escaped(&entry.file), Escaped(&entry.title));
            let (about, aside) = (Escaped(&entry.about), Escaped(&entry.aside));
            write!(
                html,
                "<li><a href='{file}'>{title}</a><p>{about}</p><p class='aside'>{aside}</p></li>"
            )?;
        }
        html.push_str("</ol>");
    }
    Ok(())
}
