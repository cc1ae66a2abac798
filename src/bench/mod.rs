//! `synod bench`: the cost of a commit, compared with what the machine allows.

mod args;
mod chart;
mod flood;
mod floor;
mod load;
mod measure;
mod process;
mod report;
mod spawned;
mod summary;
mod target;
mod worker;

use crate::console::output::{Output, bold, dim, many};
use crate::console::store::ClusterFile;
use crate::console::{Error, Exit, temporary};
use args::System;
use load::Work;
use rand::Rng;
use rand::seq::SliceRandom;
use std::fs;
use std::path::Path;
use std::time::Instant;
use summary::{Machine, Results, Round, Run};
use target::Targets;

pub(crate) use args::{BenchArgs, EXAMPLES};
pub(crate) use worker::run as run_process;

/// The commands outstanding where payloads are compared.
const PAYLOADS_OUTSTANDING: usize = 64;

/// The most commands outstanding for `spawn`: its sockets lose further ones, and then only the
/// clients' pause before they send again would be measured.
const SPAWNED_OUTSTANDING_MAX: usize = 64;

pub(crate) fn run(args: &BenchArgs, output: &mut Output) -> Result<Exit, Error> {
    if let Some(path) = &args.config {
        // The clients read the file, but an error in it should end the benchmark at once.
        ClusterFile::read(path)?;
    }
    let temporary = temporary::directory()?;
    let directory = args.dir.as_deref().unwrap_or(temporary.path());
    fs::create_dir_all(directory).map_err(|error| Error::path("create", directory, error))?;
    let write = |path: &Path, text: &str| {
        fs::write(path, text).map_err(|error| Error::path("write --report", path, error))
    };
    // A file that cannot be written is refused before two minutes are spent on measuring.
    args.report
        .as_ref()
        .map_or(Ok(()), |path| write(path, ""))?;
    let results = measure_all(args, directory, output)?;
    if args.json {
        results.print_json(output)?;
    } else {
        results.print_table(output)?;
    }
    if let Some(path) = &args.report {
        write(path, &report::page(&results))?;
        output.note(&format_args!("the report is in {}", path.display()));
    }
    Ok(Exit::Success)
}

fn measure_all(args: &BenchArgs, directory: &Path, output: &mut Output) -> Result<Results, Error> {
    let (plan, rounds) = (plan(args), args.conditions.rounds);
    let mut results = Results::new(Machine::inspect(args, directory)?, &plan);
    let start = Instant::now();
    if !args.json {
        let machine = &results.machine;
        output.line(format_args!("{} {machine}", bold("Multi-Paxos over UDP:")))?;
        output.line(dim(format_args!(
            "{} of {}, {} s each after {} s to warm up",
            many(rounds as u64, "round"),
            many(plan.len() as u64, "measurement"),
            args.conditions.duration_s,
            args.conditions.warmup_s
        )))?;
    }
    let mut rng = rand::rng();
    let (mut done, all) = (0, plan.len() * rounds);
    for durable in args.durable() {
        // No disk is at work while clusters in memory are measured.
        let mut targets = Targets::new(args, directory);
        for round in 0..rounds {
            for at in order(&plan, *durable, &mut rng) {
                let run = &plan[at];
                output.progress(format_args!("{}: {run}", progress(done, all, start)));
                let (sample, nodes) = targets.measure(run, output)?;
                let measured = Round::new(round, sample, nodes);
                if args.json {
                    output.line(measured.json(run))?;
                }
                results.add(at, measured);
                done += 1;
            }
        }
    }
    for _ in 0..args.failovers() {
        output.progress("killing a leader under load");
        results
            .failovers
            .push(target::kill_a_leader(args, directory)?);
    }
    if args.flood {
        output.progress("flooding the nodes");
        results.flooded = target::flood(args)?;
    }
    results.seconds = start.elapsed().as_secs_f64();
    Ok(results)
}

/// The order in which the durable runs of a plan are measured, or the others. Runs of the same work
/// are neighbours, because ratios are taken between them; otherwise the order is random, so that no
/// run always follows the same other one.
fn order(plan: &[Run], durable: bool, rng: &mut impl Rng) -> Vec<usize> {
    let runs = (0..plan.len()).filter(|at| plan[*at].durable == durable);
    let mut order: Vec<usize> = runs.collect();
    order.shuffle(rng);
    let first = |at: &usize| order.iter().position(|it| plan[*it].work == plan[*at].work);
    let mut grouped = order.clone();
    grouped.sort_by_key(first);
    grouped
}

/// A bar that fills as the work is done, and the time that is left.
fn progress(done: usize, all: usize, start: Instant) -> String {
    let full = 20 * done / all;
    let bar = format!("[{:<20}] {done} of {all}", "#".repeat(full));
    match done {
        0 => bar,
        _ => {
            let left = start.elapsed().as_secs_f64() * (all - done) as f64 / done as f64;
            format!("{bar}, {left:.0} s left")
        }
    }
}

/// The runs that are measured in each round.
fn plan(args: &BenchArgs) -> Vec<Run> {
    let work = |outstanding, payload_bytes| Work {
        outstanding,
        rate: args.rate,
        payload_bytes,
        reads_percent: args.reads,
        read: args.read.mode().filter(|_| args.reads > 0),
    };
    let outstanding: Vec<Option<usize>> = match args.rate {
        Some(_) => vec![None],
        None => args.outstanding.iter().copied().map(Some).collect(),
    };
    let mut runs = Vec::new();
    for durable in args.durable().iter().copied() {
        for system in args.systems() {
            let is_spawned = system == System::Stateright;
            for packed in args.packed.iter().copied() {
                // `spawn` does not pack, so it is measured once.
                if is_spawned && packed && args.packed.contains(&false) {
                    continue;
                }
                let packed = packed && !is_spawned;
                let is_possible =
                    |it: &&Option<usize>| !is_spawned || **it <= Some(SPAWNED_OUTSTANDING_MAX);
                let works = outstanding.iter().filter(is_possible);
                let works = works.map(|it| work(*it, args.payload_bytes[0]));
                let compares_payloads = packed && !durable && args.rate.is_none();
                let payloads = args.payload_bytes.iter().skip(1);
                let payloads = payloads
                    .filter(|_| compares_payloads)
                    .map(|payload| work(Some(PAYLOADS_OUTSTANDING), *payload));
                runs.extend(works.chain(payloads).map(|work| Run {
                    system,
                    packed,
                    durable,
                    work,
                }));
            }
        }
    }
    runs
}
