//! `synod mutants`: every rule broken once, and the invariant that must notice.

use super::args::MutantsArgs;
use super::check::{explorer_link, split, verdict_name};
use super::model::{BrokenRule, Model};
use super::output::{Output, bad, bold, dim, good, grouped};
use super::{Error, Exit};
use crate::models::{fast, multi, mutants};
use serde_json::json;
use std::time::Instant;
use synod::checker::search::{Outcome, Report, Trace};

/// Every mutant of every protocol, each in the smallest configuration that is known to kill it; and
/// then those that do no harm.
fn all() -> impl Iterator<Item = Model> {
    let basic = |mutants: &'static [mutants::Mutant]| {
        let mutants = mutants.iter();
        mutants.map(|mutant| Model::Basic(mutant.smallest(), Some(mutant)))
    };
    let multi = |mutants: &'static [multi::mutants::Mutant]| {
        let mutants = mutants.iter();
        mutants.map(|mutant| Model::Multi(mutant.smallest(), Some(mutant)))
    };
    let fast = |mutants: &'static [fast::mutants::Mutant]| {
        let mutants = mutants.iter();
        mutants.map(|mutant| Model::Fast(mutant.smallest(), Some(mutant)))
    };
    let broken = basic(mutants::ALL).chain(multi(multi::mutants::ALL));
    let broken = broken.chain(fast(fast::mutants::ALL));
    let harmless = basic(mutants::HARMLESS).chain(multi(multi::mutants::HARMLESS));
    let harmless = harmless.chain(fast(fast::mutants::HARMLESS));
    broken.chain(harmless)
}

/// The mutants of this name, or all of them.
fn named(name: Option<&str>) -> Vec<Model> {
    let is_meant = |model: &Model| {
        let its_name = model.mutant().map(|mutant| mutant.name);
        name.is_none() || name == its_name
    };
    all().filter(is_meant).collect()
}

/// Searches for the run by which each mutant comes to light.
pub(super) fn run(args: &MutantsArgs, output: &mut Output) -> Result<Exit, Error> {
    let models = named(args.name.as_deref());
    let count = models.len();
    let started = Instant::now();
    let mut tally = Tally::default();
    for (i, model) in models.iter().enumerate() {
        let Some(mutant) = model.mutant() else {
            continue;
        };
        let (name, protocol) = (mutant.name, model.name());
        output.progress(format_args!("{} of {count}: {protocol} {name}", i + 1));
        let focus = (!mutant.is_harmless()).then_some(mutant.breaks);
        let report = model.search(args.limits(), None, focus, |_| {})?;
        tally.count(mutant, format!("{protocol} {name}"), &report);
        if args.json {
            print_json(model, &report, output)?;
        } else {
            print(model, &report, args.name.is_some(), output)?;
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
    Ok(if tally.survived.is_empty() && tally.harmful.is_empty() {
        Exit::Success
    } else {
        Exit::Violated
    })
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
    fn count(&mut self, mutant: BrokenRule, name: String, report: &Report) {
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
fn is_as_expected(mutant: BrokenRule, report: &Report) -> bool {
    match mutant.is_harmless() {
        true => report.is_exhausted && counterexample(report).is_none(),
        false => counterexample(report).is_some(),
    }
}

/// The run by which the mutant came to light, if it did.
fn counterexample(report: &Report) -> Option<&Trace> {
    report
        .findings
        .iter()
        .find_map(|finding| match &finding.outcome {
            Outcome::Violated(trace) => Some(trace),
            Outcome::Holds | Outcome::Found | Outcome::NotFound => None,
        })
}

/// Prints a line of the table; and what the mutant does and where to see it, if `in_full`.
fn print(model: &Model, report: &Report, in_full: bool, output: &mut Output) -> Result<(), Error> {
    let Some(mutant) = model.mutant() else {
        return Ok(());
    };
    let found = counterexample(report);
    let sign = match is_as_expected(mutant, report) {
        true => good("✓"),
        false => bad("✗"),
    };
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
        model.name(),
        mutant.name,
        notices,
        grouped(reached.unique_states),
        reached.elapsed.as_secs_f64()
    ))?;
    let command = model.command();
    if !in_full {
        return Ok(output.line(dim(format_args!("    synod check {command}")))?);
    }
    output.line(format_args!("    {}", bold(mutant.sentence)))?;
    let (seen, word) = (
        mutant.seen,
        if mutant.is_harmless() { "for" } else { "seen:" },
    );
    output.line(format_args!("    {word} {seen}"))?;
    output.line(format_args!("    {}", model.describe()))?;
    output.line(format_args!("    step by step: synod check {command}"))?;
    if let Some(trace) = found {
        let link = explorer_link(trace);
        output.line(format_args!("    in the browser: synod explore {command}"))?;
        output.line(format_args!("    and open {link}"))?;
    }
    Ok(())
}

fn print_json(model: &Model, report: &Report, output: &mut Output) -> Result<(), Error> {
    let Some(mutant) = model.mutant() else {
        return Ok(());
    };
    let found = counterexample(report);
    let command = model.command();
    let reached = report.reached;
    output.line(json!({
        "type": if mutant.is_harmless() { "harmless" } else { "mutant" },
        "model": model.name(),
        "name": mutant.name,
        "sentence": mutant.sentence,
        "seen": mutant.seen,
        "breaks": split(mutant.breaks).0,
        "killed": found.is_some(),
        "flags": command.split_once(' ').map_or("", |(_, flags)| flags),
        "verdict": verdict_name(report.verdict),
        "unique_states": reached.unique_states,
        "steps": found.map(|trace| trace.steps.len()),
        "is_shortest": found.map(|trace| trace.is_shortest),
        "explorer": found.map(explorer_link),
        "seconds": reached.elapsed.as_secs_f64(),
    }))?;
    Ok(())
}

fn conclude(tally: &Tally, seconds: f64, output: &mut Output) -> Result<(), Error> {
    let (count, killed) = (tally.mutants, tally.mutants - tally.survived.len());
    let verdict = if tally.survived.is_empty() {
        good("killed:")
    } else {
        bad("survived:")
    };
    let harmless = match tally.harmless {
        0 => String::new(),
        all => format!("; {} of {all} do no harm", all - tally.harmful.len()),
    };
    output.line(format_args!(
        "{verdict} {killed} of {count} mutants were caught by their invariants{harmless}, \
         {seconds:.1} s"
    ))?;
    for (what, names) in [("caught", &tally.survived), ("harmless", &tally.harmful)] {
        if !names.is_empty() {
            output.line(format_args!("not {what}: {}", names.join(", ")))?;
        }
    }
    Ok(())
}
