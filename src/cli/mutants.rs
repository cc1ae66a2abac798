//! `synod mutants`: every rule broken once, and the invariant that must notice.

use super::args::MutantsArgs;
use super::check::{explorer_link, split, verdict_name};
use super::model::Model;
use super::output::{Output, bad, bold, dim, good, grouped};
use super::{Error, Exit};
use crate::models::{multi, mutants};
use serde_json::json;
use std::time::Instant;
use synod::checker::search::{Outcome, Report, Trace};

/// Every mutant of every protocol, each in the smallest configuration that is known to kill it.
fn all() -> impl Iterator<Item = Model> {
    let basic = mutants::ALL.iter();
    let basic = basic.map(|mutant| Model::Basic(mutant.smallest(), Some(mutant)));
    let multi = multi::mutants::ALL.iter();
    basic.chain(multi.map(|mutant| Model::Multi(mutant.smallest(), Some(mutant))))
}

/// The mutants of this name, or all of them.
fn named(name: Option<&str>) -> Result<Vec<Model>, Error> {
    let name_of = |model: &Model| model.mutant().map(|mutant| mutant.name);
    let chosen: Vec<_> = all()
        .filter(|model| name.is_none() || name == name_of(model))
        .collect();
    match name {
        Some(name) if chosen.is_empty() => {
            let mut names: Vec<_> = all().filter_map(|model| name_of(&model)).collect();
            names.sort_unstable();
            names.dedup();
            let names = names.join(", ");
            Err(Error::Other(format!(
                "there is no mutant {name}; there are {names}"
            )))
        }
        _ => Ok(chosen),
    }
}

/// Searches for the run by which each mutant comes to light.
pub(super) fn run(args: &MutantsArgs, output: &mut Output) -> Result<Exit, Error> {
    let models = named(args.name.as_deref())?;
    let count = models.len();
    let started = Instant::now();
    let mut survived = Vec::new();
    for (i, model) in models.iter().enumerate() {
        let Some(mutant) = model.mutant() else {
            continue;
        };
        let (name, protocol) = (mutant.name, model.name());
        output.progress(format_args!("{} of {count}: {protocol} {name}", i + 1));
        let report = model.search(args.limits(), None, Some(mutant.breaks), |_| {})?;
        if counterexample(&report).is_none() {
            survived.push(format!("{protocol} {name}"));
        }
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
            "mutants": count,
            "killed": count - survived.len(),
            "survived": survived,
            "seconds": seconds,
        }))?;
    } else {
        conclude(count, &survived, seconds, output)?;
    }
    Ok(if survived.is_empty() {
        Exit::Success
    } else {
        Exit::Violated
    })
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
    let (sign, steps) = match found {
        Some(trace) => (good("✓"), format!("{:>2} steps", trace.steps.len())),
        None => (bad("✗"), "survives".to_owned()),
    };
    let reached = report.reached;
    output.line(format_args!(
        "{sign} {} {:<20}{:<18}{steps:>8} {:>11} states {:>7.2} s",
        model.name(),
        mutant.name,
        split(mutant.breaks).0,
        grouped(reached.unique_states),
        reached.elapsed.as_secs_f64()
    ))?;
    let command = model.command();
    if !in_full {
        return Ok(output.line(dim(format_args!("    synod check {command}")))?);
    }
    output.line(format_args!("    {}", bold(mutant.sentence)))?;
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
        "type": "mutant",
        "model": model.name(),
        "name": mutant.name,
        "sentence": mutant.sentence,
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

fn conclude(
    count: usize,
    survived: &[String],
    seconds: f64,
    output: &mut Output,
) -> Result<(), Error> {
    let killed = count - survived.len();
    let verdict = if survived.is_empty() {
        good("killed:")
    } else {
        bad("survived:")
    };
    output.line(format_args!(
        "{verdict} {killed} of {count} mutants were caught by their invariants, {seconds:.1} s"
    ))?;
    if !survived.is_empty() {
        output.line(format_args!("not caught: {}", survived.join(", ")))?;
    }
    Ok(())
}
