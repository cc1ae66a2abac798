//! `synod check`.

use super::args::{self, CheckArgs, DEFAULT_ADDRESS, PinnedArgs};
use super::output::{Output, bad, bold, dim, good, grouped, warn};
use super::{Error, Exit};
use crate::models::basic::{Config, Layout};
use crate::models::expected::{self, Pinned};
use crate::models::mutants::{Broken, Mutant};
use clap::Parser;
use serde_json::json;
use std::time::{Duration, Instant};
use synod::checker::search::{self, Finding, Limits, Outcome, Progress, Report, Trace, Verdict};
use synod::checker::{StorageMode, World};

/// How often the progress line changes.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

pub(super) fn run(args: &CheckArgs, output: &mut Output) -> Result<Exit, Error> {
    if args.all {
        return check_all(args, output);
    }
    let (config, mutant) = (args.model.config(), args.model.mutant());
    let report = search(&config, mutant, args.limits(), output)?;
    if args.json {
        print_json(args, &config, mutant, &report, output)?;
    } else {
        print(&config, mutant, &report, output)?;
    }
    Ok(match report.verdict {
        Verdict::Holds => Exit::Success,
        Verdict::Violated => Exit::Violated,
        Verdict::Bounded => Exit::Bounded,
    })
}

fn search(
    config: &Config,
    mutant: Option<&Mutant>,
    limits: Limits,
    output: &mut Output,
) -> Result<Report, Error> {
    let mut last: Option<(Instant, Progress)> = None;
    let progress = |now: Progress| {
        let is_due = last.is_none_or(|(shown, _)| shown.elapsed() >= PROGRESS_EVERY);
        if is_due {
            output.progress(progress_line(now, last.map(|(_, before)| before)));
            last = Some((Instant::now(), now));
        }
    };
    let system = config.system().map_err(Error::other)?;
    let options = config.options();
    let result = match mutant {
        None => search::run(|| World::new(system.clone(), options), limits, progress),
        Some(mutant) => {
            let broken = || system.clone().map(|process| Broken::new(process, mutant));
            search::run(|| World::new(broken(), options), limits, progress)
        }
    };
    result.map_err(|error| match error {
        search::Error::Unsound(_) => Error::Other(format!(
            "{error}\nWhich messages can never matter again is a claim about the protocol as it was \
             written; check without it: --drop-stale off"
        )),
        search::Error::Panicked => Error::other(error),
    })
}

fn progress_line(now: Progress, before: Option<Progress>) -> String {
    let (states, time) = before.map_or((0, Duration::ZERO), |b| (b.unique_states, b.elapsed));
    let seconds = now.elapsed.saturating_sub(time).as_secs_f64();
    let rate = now.unique_states.saturating_sub(states) as f64 / seconds.max(1e-3);
    format!(
        "{} unique states, {} transitions, depth {}, {} states/s, {:.0} s",
        grouped(now.unique_states),
        grouped(now.transitions),
        now.depth,
        grouped(rate as usize),
        now.elapsed.as_secs_f64(),
    )
}

/// The configuration in words.
fn describe(config: &Config) -> String {
    let many = |count: u64, one: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {one}{plural}")
    };
    let mut parts = vec![
        many(config.acceptors.into(), "acceptor"),
        many(config.proposers.into(), "proposer"),
        format!("{} each", many(config.ballots, "ballot")),
        many(config.clients.into(), "client"),
    ];
    let mut add = |applies: bool, part: String| parts.extend(applies.then_some(part));
    add(
        config.crashes > 0,
        many(config.crashes as u64, "crash").replace("crashs", "crashes"),
    );
    add(true, format!("{} quorums", config.quorums));
    let layout = match config.layout {
        Layout::Separated => "a role per process",
        Layout::Colocated => "all roles at each node",
    };
    add(true, layout.to_owned());
    add(
        config.storage == StorageMode::Split,
        "split storage".to_owned(),
    );
    add(config.nacks, "nacks".to_owned());
    add(config.replies, "clients wait for replies".to_owned());
    add(!config.symmetry, "no symmetry reduction".to_owned());
    add(!config.drops_stale, "stale messages kept".to_owned());
    parts.join(", ")
}

fn print(
    config: &Config,
    mutant: Option<&Mutant>,
    report: &Report,
    output: &mut Output,
) -> Result<(), Error> {
    output.line(format_args!(
        "{} {}",
        bold("Basic Paxos:"),
        describe(config)
    ))?;
    if let Some(mutant) = mutant {
        output.line(format_args!("{} {}", warn("Mutant:"), mutant.sentence))?;
    }
    for finding in &report.findings {
        print_finding(finding, report.is_exhausted, output)?;
    }
    let violations = report
        .findings
        .iter()
        .filter_map(|finding| match &finding.outcome {
            Outcome::Violated(trace) => Some((finding.property, trace)),
            Outcome::Holds | Outcome::Found | Outcome::NotFound => None,
        });
    if let Some((property, trace)) = violations.min_by_key(|(_, trace)| trace.steps.len()) {
        print_trace(property, trace, config, mutant, output)?;
    }
    let reached = report.reached;
    let counts = format!(
        "{} unique states, {} transitions, depth {}, {:.2} s",
        grouped(reached.unique_states),
        grouped(reached.transitions),
        reached.depth,
        reached.elapsed.as_secs_f64()
    );
    match report.verdict {
        Verdict::Holds => {
            output.line(format_args!(
                "{} every reachable state was visited: {counts}",
                good("holds:")
            ))?;
            output.line(dim(format_args!(
                "(states are told apart by 64 bits: the odds that one was missed are {:.0e})",
                miss_odds(reached.unique_states)
            )))?;
        }
        Verdict::Violated => {
            let scope = if report.is_exhausted {
                "every reachable state was visited"
            } else {
                "searched until then"
            };
            output.line(format_args!("{} {scope}: {counts}", bad("violated:")))?;
        }
        Verdict::Bounded => output.line(format_args!(
            "{} nothing wrong in what was visited, which is not all: {counts}",
            warn("stopped at a bound:")
        ))?,
    }
    Ok(())
}

fn print_finding(finding: &Finding, is_exhausted: bool, output: &mut Output) -> Result<(), Error> {
    let (name, statement) = finding
        .property
        .split_once(": ")
        .unwrap_or((finding.property, ""));
    let (sign, kind) = match &finding.outcome {
        Outcome::Holds if is_exhausted => (good("✓"), "always".to_owned()),
        Outcome::Holds => (warn("?"), "so far".to_owned()),
        Outcome::Violated(trace) => (bad("✗"), format!("step {}", trace.steps.len())),
        Outcome::Found => (good("✓"), "found".to_owned()),
        Outcome::NotFound if is_exhausted => (bad("✗"), "not found".to_owned()),
        Outcome::NotFound => (warn("?"), "not yet".to_owned()),
    };
    output.line(format_args!(
        "  {sign} {kind:<10}{:<18} {statement}",
        bold(name)
    ))?;
    Ok(())
}

fn print_trace(
    property: &str,
    trace: &Trace,
    config: &Config,
    mutant: Option<&Mutant>,
    output: &mut Output,
) -> Result<(), Error> {
    let name = property.split(':').next().unwrap_or(property);
    output.line(format_args!(
        "\n{} after {} steps, and no sooner in any run:",
        bad(format_args!("{name} is violated")),
        trace.steps.len()
    ))?;
    let width = trace
        .steps
        .iter()
        .map(|step| step.action.chars().count())
        .max();
    let width = width.unwrap_or(0);
    for (i, step) in trace.steps.iter().enumerate() {
        let after = format!("{}: {}", step.actor, step.after);
        output.line(format_args!(
            "{:>4}. {:<width$}  {}",
            i + 1,
            step.action,
            dim(after)
        ))?;
    }
    output.line(format_args!(
        "\nSee it in the browser: synod explore basic{}\nand open {}\n",
        args::flags(config, mutant),
        explorer_link(trace)
    ))?;
    Ok(())
}

fn explorer_link(trace: &Trace) -> String {
    format!("http://{DEFAULT_ADDRESS}/#/steps/{}", trace.explorer_path)
}

/// How likely it is that two of so many states have the same 64-bit fingerprint.
fn miss_odds(states: usize) -> f64 {
    (states as f64).powi(2) / 2f64.powi(65)
}

fn print_json(
    args: &CheckArgs,
    config: &Config,
    mutant: Option<&Mutant>,
    report: &Report,
    output: &mut Output,
) -> Result<(), Error> {
    for finding in &report.findings {
        let (name, statement) = finding
            .property
            .split_once(": ")
            .unwrap_or((finding.property, ""));
        let (outcome, trace) = match &finding.outcome {
            Outcome::Holds if report.is_exhausted => ("holds", None),
            Outcome::Holds => ("so far", None),
            Outcome::Violated(trace) => ("violated", Some(trace)),
            Outcome::Found => ("found", None),
            Outcome::NotFound if report.is_exhausted => ("not found", None),
            Outcome::NotFound => ("not yet", None),
        };
        let steps = |trace: &Trace| {
            trace
                .steps
                .iter()
                .map(|s| json!([s.action, s.actor, s.after]))
                .collect::<Vec<_>>()
        };
        output.line(json!({
            "type": "property",
            "name": name,
            "statement": statement,
            "outcome": outcome,
            "trace": trace.map(steps),
            "explorer": trace.map(explorer_link),
        }))?;
    }
    let reached = report.reached;
    output.line(json!({
        "type": "result",
        "model": "basic",
        "flags": args::flags(config, mutant).trim_start(),
        "engine": "stateright",
        "threads": args.threads,
        "verdict": verdict_name(report.verdict),
        "unique_states": reached.unique_states,
        "transitions": reached.transitions,
        "depth": reached.depth,
        "seconds": reached.elapsed.as_secs_f64(),
        "bytes_per_state": null,
        "miss_odds": miss_odds(reached.unique_states),
    }))?;
    Ok(())
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Violated => "violated",
        Verdict::Bounded => "bounded",
    }
}

/// Checks the small pinned configurations, and that each has the states it had.
fn check_all(args: &CheckArgs, output: &mut Output) -> Result<Exit, Error> {
    let expected = expected::load()
        .map_err(|error| Error::Other(format!("models/expected.toml is damaged: {error}")))?;
    let mut exit = Exit::Success;
    for pinned in expected.basic.iter().filter(|pinned| pinned.small) {
        let flags = PinnedArgs::try_parse_from(pinned.args.split_whitespace())
            .map_err(|error| Error::Other(format!("{}: {error}", pinned.name)))?;
        let report = search(&flags.model.config(), None, args.limits(), output)?;
        let is_as_expected = matches(pinned, &report, args.threads);
        if report.verdict == Verdict::Bounded && exit == Exit::Success {
            exit = Exit::Bounded;
        } else if !is_as_expected {
            exit = Exit::Violated;
        }
        if args.json {
            print_json(args, &flags.model.config(), None, &report, output)?;
        } else {
            print_pinned(pinned, &report, is_as_expected, output)?;
        }
    }
    Ok(exit)
}

fn matches(pinned: &Pinned, report: &Report, threads: usize) -> bool {
    let reached = report.reached;
    verdict_name(report.verdict) == pinned.verdict
        && reached.unique_states == pinned.unique_states
        && reached.transitions == pinned.transitions
        && (reached.depth == pinned.depth || threads > 1)
}

fn print_pinned(
    pinned: &Pinned,
    report: &Report,
    is_as_expected: bool,
    output: &mut Output,
) -> Result<(), Error> {
    let reached = report.reached;
    let sign = match (is_as_expected, report.verdict) {
        (true, _) => good("✓"),
        (false, Verdict::Bounded) => warn("?"),
        (false, _) => bad("✗"),
    };
    output.line(format_args!(
        "{sign} {:<36}{:<9} {:>10} states {:>11} transitions  depth {:>2} {:>7.2} s",
        pinned.name,
        verdict_name(report.verdict),
        grouped(reached.unique_states),
        grouped(reached.transitions),
        reached.depth,
        reached.elapsed.as_secs_f64()
    ))?;
    if !is_as_expected && report.verdict != Verdict::Bounded {
        output.line(format_args!(
            "  expected {}: {} states, {} transitions, depth {} (synod check basic {})",
            pinned.verdict,
            grouped(pinned.unique_states),
            grouped(pinned.transitions),
            pinned.depth,
            pinned.args
        ))?;
    }
    Ok(())
}
