//! `synod check`.

use super::model::{ADDRESS, ModelArgs, introduce, link};
use super::page;
use crate::console::output::{Output, bad, bold, dim, good, grouped, many, mark, warn, wrap};
use crate::console::{Error, Exit};
use clap::{ArgAction, Args};
use serde_json::json;
use std::fmt::Write;
use std::fs::File;
use std::io::BufWriter;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use synod::checker::available_memory;
use synod::checker::search::{
    Bound, Engine, Finding, Limits, Outcome, Progress, Report, Trace, Verdict,
};
use synod::models::calls::Calls;
use synod::models::config::{number, switch};
use synod::models::expected::{self, Pinned};
use synod::models::protocol::{self, Model, Rule};

/// Examples for the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  synod check basic                              three acceptors, two proposers, two ballots each
  synod check basic --acceptors 5 --ballots 1 --quorums flexible:4,2
  synod check basic --mutant ignore-vote         break a rule, see the shortest counterexample
  synod check fast --acceptors 4                 clients that ask the acceptors, and collide

Exit status: 0 everything was visited and holds; 1 a counterexample, or an expected example was
not found; 2 wrong usage or failed input or output; 3 stopped at a bound.";

/// The columns of `check --all` before the name of a configuration, and those of the name.
const TABLE_COLUMNS: usize = 47;
const NAME_COLUMNS: usize = 33;

/// The number of threads that may search; few machines have more.
const THREADS_MAX: usize = 256;

/// Bytes in a GiB.
const GIB: f64 = (1u64 << 30) as f64;

/// How often the progress line changes.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Determines the random calls of `--random-steps`: the same ones each time.
const RANDOM_SEED: u64 = 1;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Check every pinned configuration that is marked small, against its expected counts.
    #[arg(long)]
    all: bool,
    /// The search engine.
    #[arg(
        help_heading = "Search",
        long,
        global = true,
        value_enum,
        default_value_t
    )]
    engine: Engine,
    /// Threads to search with. By default as many as there are processors, or with stateright one:
    /// with more, the depth that it reports may exceed the true one.
    #[arg(help_heading = "Search")]
    #[arg(long, global = true, value_name = "N", value_parser = number(1..=THREADS_MAX))]
    threads: Option<usize>,
    /// Take independent steps in one order only (collapse engine); changes no count.
    #[arg(help_heading = "Reductions")]
    #[arg(long, global = true, action = ArgAction::Set, value_parser = switch())]
    #[arg(default_value = "on")]
    commute: bool,
    /// Stop, with exit status 3, after about so many unique states.
    #[arg(help_heading = "Search", long, global = true, value_name = "N", value_parser = positive)]
    max_states: Option<NonZeroUsize>,
    /// Stop, with exit status 3, before the process takes more memory than this (collapse engine).
    /// By default nine tenths of what is free.
    #[arg(help_heading = "Search")]
    #[arg(long, global = true, value_name = "GIB", value_parser = positive)]
    max_memory_gib: Option<NonZeroUsize>,
    /// Stop, with exit status 3, after so many seconds.
    #[arg(help_heading = "Search", long, global = true, value_name = "S")]
    timeout_s: Option<u64>,
    /// Print one JSON object per line.
    #[arg(help_heading = "Output", long, global = true)]
    json: bool,
    /// Write the shortest counterexample, if there is one, to FILE: a page for a browser.
    #[arg(help_heading = "Output", long, global = true, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write to FILE each distinct call of a node's handlers that the search makes, and what came
    /// of it: `proofs/` compares them with the handlers that are proved.
    #[arg(help_heading = "Output", long, global = true, value_name = "FILE")]
    dump_steps: Option<PathBuf>,
    /// Also N random calls per protocol, in random states or random walks of a cluster.
    #[arg(
        help_heading = "Output",
        long,
        global = true,
        value_name = "N",
        requires = "dump_steps",
        default_value_t = 0
    )]
    random_steps: usize,
    /// The protocol to check.
    #[command(subcommand)]
    model: Option<ModelArgs>,
}

impl CheckArgs {
    fn limits(&self) -> Limits {
        let most = self
            .max_memory_gib
            .map(|gib| gib.get().saturating_mul(1 << 30));
        let free = || available_memory().map(|free| free / 10 * 9);
        Limits {
            engine: self.engine,
            threads: self.threads(),
            commutes: self.commute,
            states_max: self.max_states.map(NonZeroUsize::get),
            bytes_max: most.or_else(free),
            timeout: self.timeout_s.map(Duration::from_secs),
        }
    }

    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| match self.engine {
            Engine::Collapse => processors(),
            Engine::Stateright => 1,
        })
    }
}

/// The number of threads that search at the same time.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |it| it.get().min(THREADS_MAX))
}

fn positive(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse();
    number.map_err(|_| "expected a number of at least 1".to_owned())
}

pub(super) fn run(args: &CheckArgs, output: &mut Output) -> Result<Exit, Error> {
    let Some(path) = &args.dump_steps else {
        return check(args, None, output);
    };
    let failed = |error| Error::Failed(format!("--dump-steps {}: {error}", path.display()));
    let file = File::create(path).map_err(failed)?;
    let calls = Calls::new(BufWriter::new(file));
    let exit = check(args, Some(&calls), output)?;
    for protocol in protocol::ALL {
        protocol.random_calls(&calls, args.random_steps, RANDOM_SEED);
    }
    let count = calls.finish().map_err(failed)?;
    if !args.json {
        let (count, path) = (grouped(count), path.display());
        output.line(format_args!(
            "{count} distinct calls of handlers are in {path}"
        ))?;
    }
    Ok(exit)
}

fn check(args: &CheckArgs, calls: Option<&Arc<Calls>>, output: &mut Output) -> Result<Exit, Error> {
    let model = match (&args.model, args.all) {
        (Some(ModelArgs(model)), false) => model.as_ref(),
        (None, true) if args.html.is_some() => {
            return Err(Error::usage(
                "--html takes a protocol to check, and not --all",
            ));
        }
        (None, true) => return check_all(args, calls, output),
        (Some(_), true) => {
            return Err(Error::usage(
                "--all checks all protocols: `synod check --all`, without a protocol",
            ));
        }
        (None, false) => return Err(Error::usage("name a protocol to check, or pass --all")),
    };
    if !args.json {
        // A configuration that makes no system is refused before anything is printed.
        model.properties().map_err(Error::failed)?;
        print_header(model, output)?;
    }
    let report = search(model, args.limits(), calls, output)?;
    if args.json {
        print_json(args, model, None, &report, output)?;
    } else {
        print(model, &report, output)?;
    }
    if let Some(path) = &args.html {
        write_page(model, &report, path, output)?;
    }
    Ok(match report.verdict {
        Verdict::Holds => Exit::Success,
        Verdict::Violated => Exit::Violated,
        Verdict::Bounded => Exit::Bounded,
    })
}

fn search(
    model: &dyn Model,
    limits: Limits,
    calls: Option<&Arc<Calls>>,
    output: &mut Output,
) -> Result<Report, Error> {
    let expected = expected::load().ok();
    let pinned = expected.as_ref().and_then(|it| it.find(model));
    let states = pinned.map(|pinned| pinned.unique_states);
    let mut last: Option<(Instant, Progress)> = None;
    let report = model.search(limits, calls, None, &mut |now: Progress| {
        let is_due = last.is_none_or(|(shown, _)| shown.elapsed() >= PROGRESS_EVERY);
        if is_due {
            output.progress(progress_line(now, last.map(|(_, before)| before), states));
            last = Some((Instant::now(), now));
        }
    });
    report.map_err(Error::failed)
}

/// The progress, with the most important first: a narrow terminal cuts the line. The share that is
/// done is known if the number of states is.
fn progress_line(now: Progress, before: Option<Progress>, states: Option<usize>) -> String {
    let (taken, time) = before.map_or((0, Duration::ZERO), |b| (b.transitions, b.elapsed));
    let seconds = now.elapsed.saturating_sub(time).as_secs_f64();
    let rate = now.transitions.saturating_sub(taken) as f64 / seconds.max(1e-3);
    let mut line = format!("{:.0} s", now.elapsed.as_secs_f64());
    // Writing to a string cannot fail.
    if let Some(states) = states {
        let _ = write!(line, ", {} %", 100 * now.unique_states / states.max(1));
    }
    let _ = write!(
        line,
        ": {} states, {} transitions ({}/s), depth {}",
        grouped(now.unique_states),
        grouped(now.transitions),
        grouped(rate as usize),
        now.depth,
    );
    if let Some(bytes) = now.bytes {
        let _ = write!(line, ", {:.1} GiB", bytes as f64 / GIB);
    }
    if now.frontier > 0 {
        let _ = write!(line, ", frontier {}", grouped(now.frontier));
    }
    line
}

/// Writes the page of the shortest counterexample, if there is one.
fn write_page(
    model: &dyn Model,
    report: &Report,
    path: &Path,
    output: &mut Output,
) -> Result<(), Error> {
    let found = shortest(report).filter(|(_, trace)| !trace.steps.is_empty());
    let Some((_, trace)) = found else {
        output.note(&format_args!(
            "no counterexample: {} is not written",
            path.display()
        ));
        return Ok(());
    };
    page::write(path, &page::of_trace(model, trace)?.render())?;
    output.note(&format_args!("the run as a page: {}", path.display()));
    Ok(())
}

/// The shortest counterexample, and the property that it violates.
pub(super) fn shortest(report: &Report) -> Option<(&'static str, &Trace)> {
    let findings = report.findings.iter();
    let violations = findings.filter_map(|it| Some((it.property, it.violation()?)));
    violations.min_by_key(|(_, trace)| trace.steps.len())
}

fn print_header(model: &dyn Model, output: &mut Output) -> Result<(), Error> {
    let title = format!("{}:", model.protocol().title());
    let description = model.settings().describe();
    output.line(format_args!("{} {description}", bold(title)))?;
    introduce(model, output)
}

fn print(model: &dyn Model, report: &Report, output: &mut Output) -> Result<(), Error> {
    for finding in &report.findings {
        print_finding(finding, report.is_exhausted, output)?;
    }
    if let Some((property, trace)) = shortest(report) {
        print_trace(property, trace, model, output)?;
    }
    conclude(report, output)?;
    match model.mutant() {
        Some(mutant) if report.verdict != Verdict::Violated => {
            print_survival(model, &mutant, output)
        }
        _ => Ok(()),
    }
}

fn conclude(report: &Report, output: &mut Output) -> Result<(), Error> {
    let reached = report.reached;
    let counts = format!(
        "{}, {}, depth {}, {:.2} s",
        many(reached.unique_states as u64, "unique state"),
        many(reached.transitions as u64, "transition"),
        reached.depth,
        reached.elapsed.as_secs_f64()
    );
    let (verdict, scope) = match report.verdict {
        Verdict::Holds => (
            good("holds:"),
            "every reachable state was visited".to_owned(),
        ),
        Verdict::Violated if report.is_exhausted => (
            bad("incomplete:"),
            "an expected example does not exist, though every reachable state was visited"
                .to_owned(),
        ),
        Verdict::Violated => (bad("violated:"), "searched until then".to_owned()),
        Verdict::Bounded => (warn("stopped at a bound:"), bounded_scope(report)),
    };
    output.line(format_args!("{verdict} {scope}: {counts}"))?;
    remark(report).map_or(Ok(()), |remark| output.line(dim(remark)))
}

/// What a search that met a bound can say for itself.
fn bounded_scope(report: &Report) -> String {
    let mut scope = match report.complete_depth {
        Some(depth) => format!(
            "nothing wrong in what was visited: all that {depth} steps reach, not all beyond"
        ),
        None => "nothing wrong in what was visited, which is not all".to_owned(),
    };
    if report.bound == Some(Bound::Memory) {
        scope += "; --max-memory-gib allows more";
    }
    scope
}

/// How sure the result is, what symmetry saved, and what memory it took.
fn remark(report: &Report) -> Option<String> {
    let mut parts = Vec::new();
    let states = report.reached.unique_states as u128;
    if let Some(concrete) = report.concrete.filter(|concrete| *concrete > states) {
        let concrete = usize::try_from(concrete).unwrap_or(usize::MAX);
        parts.push(format!("by symmetry they stand for {}", grouped(concrete)));
    }
    if report.verdict == Verdict::Holds {
        parts.push(format!(
            "told apart by {} bits: the odds that one was missed are {:.0e}",
            report.fingerprint_bits,
            report.miss_odds()
        ));
    }
    // With few states it is the program that takes the memory, not they.
    if let Some(bytes) = report.bytes_per_state().filter(|_| states > 1_000_000) {
        parts.push(format!("{bytes:.0} bytes per state"));
    }
    (!parts.is_empty()).then(|| format!("({})", parts.join("; ")))
}

/// A mutant that a configuration does not kill is no less wrong, unless it is a harmless one.
fn print_survival(model: &dyn Model, mutant: &Rule, output: &mut Output) -> Result<(), Error> {
    if mutant.is_harmless() {
        let (harmless, name, why) = (good("harmless:"), mutant.name, mutant.source);
        return output.line(format_args!("{harmless} {name} breaks no invariant: {why}"));
    }
    let killer = protocol::smallest(model.protocol(), mutant).map_err(Error::failed)?;
    output.line(format_args!(
        "{} the mutant survives in this configuration; this one kills it: synod check {}",
        warn("beware:"),
        killer.command()
    ))
}

/// The name and the sentence of a property.
pub(super) fn split(property: &str) -> (&str, &str) {
    property.split_once(": ").unwrap_or((property, ""))
}

fn print_finding(finding: &Finding, is_exhausted: bool, output: &mut Output) -> Result<(), Error> {
    let (name, statement) = split(finding.property);
    let word = outcome_name(&finding.outcome, is_exhausted);
    let (sign, kind) = match &finding.outcome {
        Outcome::Violated(trace) if trace.steps.is_empty() => (mark(false), word.to_owned()),
        Outcome::Violated(trace) => (mark(false), format!("step {}", trace.steps.len())),
        Outcome::Found => (mark(true), word.to_owned()),
        Outcome::Holds if is_exhausted => (mark(true), "always".to_owned()),
        Outcome::NotFound if is_exhausted => (mark(false), word.to_owned()),
        Outcome::Holds | Outcome::NotFound => (warn("?"), word.to_owned()),
    };
    output.line(format_args!(
        "  {sign} {kind:<10}{:<18} {statement}",
        bold(name)
    ))
}

/// What was found of a property, in a word or two.
fn outcome_name(outcome: &Outcome, is_exhausted: bool) -> &'static str {
    match outcome {
        Outcome::Holds if is_exhausted => "holds",
        Outcome::Holds => "so far",
        Outcome::Violated(_) => "violated",
        Outcome::Found => "found",
        Outcome::NotFound if is_exhausted => "not found",
        Outcome::NotFound => "not yet",
    }
}

fn print_trace(
    property: &str,
    trace: &Trace,
    model: &dyn Model,
    output: &mut Output,
) -> Result<(), Error> {
    let (name, _) = split(property);
    if trace.steps.is_empty() {
        return output.line(format_args!(
            "\n{}; a bound was met before the run to it was rebuilt\n",
            bad(format_args!("{name} is violated"))
        ));
    }
    output.line(format_args!(
        "\n{} after {} steps{}:",
        bad(format_args!("{name} is violated")),
        trace.steps.len(),
        if trace.is_shortest {
            ", and no sooner in any run"
        } else {
            "; a shorter run may exist, but the search for it was stopped"
        }
    ))?;
    let widths = trace.steps.iter().map(|step| step.action.chars().count());
    let width = widths.max().unwrap_or(0);
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
        "\nSee it in the browser: synod explore {}\nand open {}\n",
        model.command(),
        link(ADDRESS, &trace.explorer_path)
    ))
}

/// Prints the report; `pinned` and whether it is as expected, if it is one of `check --all`.
fn print_json(
    args: &CheckArgs,
    model: &dyn Model,
    pinned: Option<(&Pinned, bool)>,
    report: &Report,
    output: &mut Output,
) -> Result<(), Error> {
    for finding in &report.findings {
        let (name, statement) = split(finding.property);
        let trace = finding.violation();
        let steps = |trace: &Trace| {
            let steps = trace.steps.iter();
            let steps = steps.map(|it| json!([it.action, it.actor, it.after]));
            steps.collect::<Vec<_>>()
        };
        output.line(json!({
            "type": "property",
            "name": name,
            "statement": statement,
            "outcome": outcome_name(&finding.outcome, report.is_exhausted),
            "trace": trace.map(steps),
            "is_shortest": trace.map(|trace| trace.is_shortest),
            "explorer": trace.map(|trace| link(ADDRESS, &trace.explorer_path)),
        }))?;
    }
    let reached = report.reached;
    output.line(json!({
        "type": "result",
        "model": model.protocol().name(),
        "name": pinned.map(|(pinned, _)| &pinned.name),
        "as_expected": pinned.map(|(_, is_as_expected)| is_as_expected),
        "flags": model.flags(),
        "engine": args.engine,
        "threads": args.threads(),
        "verdict": verdict_name(report.verdict),
        "unique_states": reached.unique_states,
        "transitions": reached.transitions,
        "depth": reached.depth,
        "seconds": reached.elapsed.as_secs_f64(),
        "bytes_per_state": report.bytes_per_state(),
        "bytes": report.bytes,
        "concrete_states": report.concrete.map(|states| states as f64),
        "miss_odds": report.miss_odds(),
        "bound": report.bound,
        "complete_depth": report.complete_depth,
    }))
}

pub(super) fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Violated => "violated",
        Verdict::Bounded => "bounded",
    }
}

/// Checks the small pinned configurations, and that each has the states it had.
fn check_all(
    args: &CheckArgs,
    calls: Option<&Arc<Calls>>,
    output: &mut Output,
) -> Result<Exit, Error> {
    let expected = expected::load()
        .map_err(|error| Error::Failed(format!("models/expected.toml is damaged: {error}")))?;
    let small: Vec<_> = expected.all().filter(|(_, pinned)| pinned.small).collect();
    let (start, mut met, mut exit) = (Instant::now(), 0, Exit::Success);
    if !args.json {
        output.line(dim(
            "  model     states transitions depth    time  configuration",
        ))?;
    }
    for (protocol, pinned) in &small {
        let model = protocol::parse(&format!("{protocol} {}", pinned.args))
            .map_err(|error| Error::Failed(format!("{}: {error}", pinned.name)))?;
        let model = model.as_ref();
        let report = search(model, args.limits(), calls, output)?;
        let is_as_expected = matches(pinned, &report, args.limits());
        met += u64::from(is_as_expected);
        match report.verdict {
            Verdict::Bounded if exit == Exit::Success => exit = Exit::Bounded,
            Verdict::Holds | Verdict::Violated if !is_as_expected => exit = Exit::Violated,
            Verdict::Holds | Verdict::Violated | Verdict::Bounded => {}
        }
        if args.json {
            let pinned = Some((*pinned, is_as_expected));
            print_json(args, model, pinned, &report, output)?;
        } else {
            print_pinned(model, pinned, &report, is_as_expected, output)?;
        }
    }
    if !args.json {
        let (all, seconds) = (many(small.len() as u64, "configuration"), start.elapsed());
        output.line(format_args!(
            "{met} of {all} as expected, {:.1} s",
            seconds.as_secs_f64()
        ))?;
    }
    Ok(exit)
}

fn matches(pinned: &Pinned, report: &Report, limits: Limits) -> bool {
    let is_depth_exact = limits.engine == Engine::Collapse || limits.threads == 1;
    let reached = report.reached;
    report.verdict == Verdict::Holds
        && reached.unique_states == pinned.unique_states
        && reached.transitions == pinned.transitions
        && (reached.depth == pinned.depth || !is_depth_exact)
}

fn print_pinned(
    model: &dyn Model,
    pinned: &Pinned,
    report: &Report,
    is_as_expected: bool,
    output: &mut Output,
) -> Result<(), Error> {
    let reached = report.reached;
    let sign = match report.verdict {
        Verdict::Bounded if !is_as_expected => warn("?"),
        _ => mark(is_as_expected),
    };
    let protocol = model.protocol().name();
    let mut name = wrap(&pinned.name, 0, NAME_COLUMNS).into_iter();
    output.line(format_args!(
        "{sign} {protocol:<6}{:>10} {:>11} {:>4} {:>7.2} s  {}",
        grouped(reached.unique_states),
        grouped(reached.transitions),
        reached.depth,
        reached.elapsed.as_secs_f64(),
        name.next().unwrap_or_default(),
    ))?;
    for rest in name {
        output.line(format_args!("{:TABLE_COLUMNS$}{rest}", ""))?;
    }
    if !is_as_expected && report.verdict != Verdict::Bounded {
        output.line(format_args!(
            "  expected holds: {} states, {} transitions, depth {} (synod check {})",
            grouped(pinned.unique_states),
            grouped(pinned.transitions),
            pinned.depth,
            model.command()
        ))?;
    }
    Ok(())
}
