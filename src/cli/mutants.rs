//! `synod mutants`: every rule broken once, and the invariant that must notice.

use super::check::{split, verdict_name};
use super::model::{ADDRESS, link};
use crate::console::output::{Output, bad, bold, dim, good, grouped, many, mark};
use crate::console::{Error, Exit};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;
use synod::checker::available_memory;
use synod::checker::search::{Finding, Limits, Report, Trace};
use synod::models::protocol::{self, Model, Rule};

/// Examples for the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  synod mutants
  synod mutants vote-below-promise              of each protocol, with a link to the run

Exit status: 0 all were caught; 1 one survived; 2 wrong usage or failed input or output.";

#[derive(Debug, Args)]
pub(super) struct MutantsArgs {
    /// The mutant; all of them if not given.
    #[arg(value_parser = names(), hide_possible_values = true)]
    name: Option<String>,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// The names of all mutants; protocols share some.
fn names() -> PossibleValuesParser {
    let all = protocol::ALL.iter().flat_map(|protocol| protocol.mutants());
    let all: BTreeMap<_, _> = all.map(|it| (it.name, it.sentence)).collect();
    let values = all.into_iter();
    PossibleValuesParser::new(values.map(|(name, help)| PossibleValue::new(name).help(help)))
}

/// The bounds of a search. One thread is enough: most searches end before a second would help. A
/// mutant that survives is given up when the memory is full.
pub(super) fn limits() -> Limits {
    Limits {
        bytes_max: available_memory().map(|free| free / 10 * 9),
        ..Limits::default()
    }
}

/// A mutant, and the smallest model that is known to kill it.
pub(super) type Killer = (Rule, Box<dyn Model>);

/// The mutants of this name, or all of them, each in the smallest configuration that is known to
/// kill it; the harmless ones last.
pub(super) fn models(name: Option<&str>) -> Result<Vec<Killer>, Error> {
    let of = |is_harmless: bool| {
        protocol::ALL.iter().flat_map(move |protocol| {
            let mutants = protocol.mutants().into_iter();
            let mutants = mutants.filter(move |mutant| mutant.is_harmless() == is_harmless);
            mutants.map(|mutant| (*protocol, mutant))
        })
    };
    let meant = of(false).chain(of(true));
    let meant = meant.filter(|(_, mutant)| name.is_none_or(|name| name == mutant.name));
    let models =
        meant.map(|(protocol, mutant)| Ok((mutant, protocol::smallest(protocol, &mutant)?)));
    models
        .collect::<Result<_, protocol::Error>>()
        .map_err(Error::failed)
}

/// Searches for the run by which each mutant comes to light.
pub(super) fn run(args: &MutantsArgs, output: &mut Output) -> Result<Exit, Error> {
    let models = models(args.name.as_deref())?;
    let count = models.len();
    let started = Instant::now();
    let mut tally = Tally::default();
    for (i, (mutant, model)) in models.iter().enumerate() {
        let (name, protocol) = (mutant.name, model.protocol().name());
        output.progress(format_args!("{} of {count}: {protocol} {name}", i + 1));
        let focus = (!mutant.is_harmless()).then_some(mutant.breaks);
        let report = model.search(limits(), None, focus, &mut |_| {});
        let report = report.map_err(Error::failed)?;
        tally.count(mutant, format!("{protocol} {name}"), &report);
        if args.json {
            print_json(mutant, model.as_ref(), &report, output)?;
        } else {
            print(mutant, model.as_ref(), &report, args.name.is_some(), output)?;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    if args.json {
        output.line(json!({
            "type": "result",
            "mutants": tally.mutants,
            "killed": tally.mutants - tally.survived.len(),
            "survived": tally.survived,
            "harmless": tally.harmless,
            "harmful": tally.harmful,
            "seconds": seconds,
        }))?;
    } else {
        conclude(&tally, seconds, output)?;
    }
    Ok(Exit::of(
        tally.survived.is_empty() && tally.harmful.is_empty(),
    ))
}

/// What became of the mutants so far.
#[derive(Debug, Default)]
struct Tally {
    mutants: usize,
    survived: Vec<String>,
    harmless: usize,
    /// Those that were thought to do no harm, and for which that was not shown.
    harmful: Vec<String>,
}

impl Tally {
    fn count(&mut self, mutant: &Rule, name: String, report: &Report) {
        let is_as_expected = is_as_expected(mutant, report);
        let (all, others) = match mutant.is_harmless() {
            true => (&mut self.harmless, &mut self.harmful),
            false => (&mut self.mutants, &mut self.survived),
        };
        *all += 1;
        if !is_as_expected {
            others.push(name);
        }
    }
}

/// Whether a mutant was caught, or whether nothing comes of one that does no harm.
fn is_as_expected(mutant: &Rule, report: &Report) -> bool {
    match mutant.is_harmless() {
        true => report.is_exhausted && counterexample(report).is_none(),
        false => counterexample(report).is_some(),
    }
}

/// The run by which the mutant came to light, if it did.
fn counterexample(report: &Report) -> Option<&Trace> {
    report.findings.iter().find_map(Finding::violation)
}

/// Prints a line of the table; and what the mutant does and where to see it, if `in_full`.
fn print(
    mutant: &Rule,
    model: &dyn Model,
    report: &Report,
    in_full: bool,
    output: &mut Output,
) -> Result<(), Error> {
    let found = counterexample(report);
    let sign = mark(is_as_expected(mutant, report));
    let steps = match found {
        Some(trace) => format!("{:>2} steps", trace.steps.len()),
        None if mutant.is_harmless() && report.is_exhausted => "all seen".to_owned(),
        None if mutant.is_harmless() => "not all".to_owned(),
        None => "survives".to_owned(),
    };
    let notices = match mutant.is_harmless() {
        true => "no harm",
        false => split(mutant.breaks).0,
    };
    let reached = report.reached;
    output.line(format_args!(
        "{sign} {} {:<22}{:<18}{steps:>8} {:>11} states {:>7.2} s",
        model.protocol().name(),
        mutant.name,
        notices,
        grouped(reached.unique_states),
        reached.elapsed.as_secs_f64()
    ))?;
    let command = model.command();
    if !in_full {
        return output.line(dim(format_args!("    synod check {command}")));
    }
    output.line(format_args!("    {}", bold(mutant.sentence)))?;
    let word = if mutant.is_harmless() { "for" } else { "seen:" };
    output.line(format_args!("    {word} {}", mutant.source))?;
    output.line(format_args!("    {}", model.settings().describe()))?;
    output.line(format_args!("    step by step: synod check {command}"))?;
    if let Some(trace) = found {
        let link = link(ADDRESS, &trace.explorer_path);
        output.line(format_args!("    in the browser: synod explore {command}"))?;
        output.line(format_args!("    and open {link}"))?;
    }
    Ok(())
}

fn print_json(
    mutant: &Rule,
    model: &dyn Model,
    report: &Report,
    output: &mut Output,
) -> Result<(), Error> {
    let found = counterexample(report);
    let reached = report.reached;
    output.line(json!({
        "type": if mutant.is_harmless() { "harmless" } else { "mutant" },
        "model": model.protocol().name(),
        "name": mutant.name,
        "sentence": mutant.sentence,
        "seen": mutant.source,
        "breaks": split(mutant.breaks).0,
        "killed": found.is_some(),
        "flags": model.flags(),
        "verdict": verdict_name(report.verdict),
        "unique_states": reached.unique_states,
        "steps": found.map(|trace| trace.steps.len()),
        "is_shortest": found.map(|trace| trace.is_shortest),
        "explorer": found.map(|trace| link(ADDRESS, &trace.explorer_path)),
        "seconds": reached.elapsed.as_secs_f64(),
    }))
}

fn conclude(tally: &Tally, seconds: f64, output: &mut Output) -> Result<(), Error> {
    let (count, killed) = (tally.mutants, tally.mutants - tally.survived.len());
    let verdict = match (tally.survived.is_empty(), count) {
        (true, 0) => good("harmless:"),
        (true, _) => good("killed:"),
        (false, _) => bad("survived:"),
    };
    let mut parts = Vec::new();
    if count > 0 {
        let all = many(count as u64, "mutant");
        parts.push(format!("the invariants caught {killed} of {all}"));
    }
    if tally.harmless > 0 {
        let (all, does) = (
            tally.harmless,
            if tally.harmless == 1 { "does" } else { "do" },
        );
        parts.push(format!(
            "{} of {all} {does} no harm",
            all - tally.harmful.len()
        ));
    }
    output.line(format_args!(
        "{verdict} {}, {seconds:.1} s",
        parts.join("; ")
    ))?;
    for (what, names) in [("caught", &tally.survived), ("harmless", &tally.harmful)] {
        if !names.is_empty() {
            output.line(format_args!("not {what}: {}", names.join(", ")))?;
        }
    }
    Ok(())
}
