//! `synod simulate`: a protocol on a simulated network, in many runs, each determined by a seed.

use super::model::protocols;
use crate::console::output::{Output, bad, bold, dim, good, grouped, many, warn};
use crate::console::{Error, Exit};
use clap::Args;
use std::collections::BTreeMap;
use std::time::Instant;
use synod::models::protocol::AnyProtocol;
use synod::models::simulate::{End, Plan, Simulated, Tally};

/// Examples for the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  synod simulate basic --seeds 1000
  synod simulate multi --seeds 1000              five nodes, three clients, a store
  synod simulate basic --seed 7                  one run, the same every time
  synod simulate basic --mutant forget-vote --seeds 1000   break a rule, see which seed shows it

Exit status: 0 all runs ended well; 1 something is wrong in one, or no run showed the mutant;
2 wrong usage or failed input or output; 3 a run was not over at its time limit.";

#[derive(Args)]
pub(super) struct SimulateArgs {
    /// The protocol to simulate.
    #[arg(value_parser = protocols())]
    protocol: &'static dyn AnyProtocol,
    /// Nodes, each of which plays all roles. By default 3, of Multi-Paxos 5.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    nodes: Option<u32>,
    /// Clients of Multi-Paxos, 3 by default. Basic Paxos and Fast Paxos have two.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    clients: Option<u32>,
    /// Runs, one seed after the other. By default 100, or one if the seed is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// The first seed, which determines all that happens in its run; 0 if not given.
    #[arg(long, value_name = "K")]
    seed: Option<u64>,
    /// Break one rule of the protocol, to see that it comes to light: see `synod mutants`.
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

impl SimulateArgs {
    fn plan(&self) -> Plan {
        Plan {
            nodes: self.nodes.unwrap_or_else(|| self.protocol.nodes()),
            clients: self.clients,
        }
    }

    /// The command that runs one seed again.
    fn command(&self, seed: u64) -> String {
        let clients = self.clients.map(|it| format!(" --clients {it}"));
        let mutant = self.mutant.as_ref().map(|it| format!(" --mutant {it}"));
        format!(
            "synod simulate {} --nodes {}{}{} --seed {seed}",
            self.protocol.name(),
            self.plan().nodes,
            clients.unwrap_or_default(),
            mutant.unwrap_or_default(),
        )
    }
}

pub(super) fn run(args: &SimulateArgs, output: &mut Output) -> Result<Exit, Error> {
    let (first, start) = (args.seed.unwrap_or(0), Instant::now());
    let one_or_many = if args.seed.is_some() { 1 } else { 100 };
    let seeds = args.seeds.unwrap_or(one_or_many);
    let mut sum = Tally::default();
    for count in 0..seeds {
        let seed = first.wrapping_add(count);
        let run = args
            .protocol
            .simulate(&args.plan(), args.mutant.as_deref(), seed);
        let Simulated { tally, end } = run.map_err(Error::Usage)?;
        sum.add(&tally);
        let (exit, verdict, what) = match end {
            End::Over => {
                output.progress(format_args!("{} of {seeds} runs", count + 1));
                continue;
            }
            End::Late => (
                Exit::Bounded,
                "bounded",
                warn("not over at the time limit").to_string(),
            ),
            End::Wrong(what) => (Exit::Violated, "violated", what),
        };
        say(args, output, &sum, count + 1, start, verdict)?;
        if !args.json {
            output.line(format_args!(
                "{} {what}, within {:.2} s of simulated time\nSee it again: {}",
                bad(format_args!("seed {seed}:")),
                tally.time.as_secs_f64(),
                args.command(seed),
            ))?;
        }
        return Ok(exit);
    }
    let exit = Exit::of(args.mutant.is_none());
    let verdict = if args.mutant.is_some() {
        "not seen"
    } else {
        "holds"
    };
    say(args, output, &sum, seeds, start, verdict)?;
    if !args.json {
        let (runs, title) = (many(seeds, "run"), args.protocol.title());
        match &args.mutant {
            Some(mutant) => output.line(format_args!(
                "{} {mutant} breaks a rule of {title}, and {runs} did not show it; try more seeds, \
                 or synod mutants {mutant}",
                warn("not seen:")
            ))?,
            None => output.line(format_args!("{} in {runs} of {title}", good("agreed")))?,
        }
    }
    Ok(exit)
}

/// Prints the sums over all runs.
fn say(
    args: &SimulateArgs,
    output: &mut Output,
    sum: &Tally,
    runs: u64,
    start: Instant,
    verdict: &str,
) -> Result<(), Error> {
    let seconds = start.elapsed().as_secs_f64();
    let (messages, virtual_s) = (sum.counters.messages_received, sum.time.as_secs_f64());
    if args.json {
        let notes = sum
            .notes
            .iter()
            .map(|(what, count)| (what.replace(' ', "_"), count));
        let result = serde_json::json!({
            "type": "result",
            "protocol": args.protocol.name(),
            "verdict": verdict,
            "first_seed": args.seed.unwrap_or(0),
            "runs": runs,
            "messages": messages,
            "crashes": sum.crashes,
            "partitions": sum.partitions,
            "notes": notes.collect::<BTreeMap<_, _>>(),
            "virtual_s": virtual_s,
            "seconds": seconds,
            "hash": format!("{:016x}", sum.hash),
        });
        output.line(result)?;
        return Ok(());
    }
    output.line(format_args!(
        "{} {} from seed {}: {}, {} lost, {}, {}, {}, {virtual_s:.1} s of simulated time in \
         {seconds:.2} s",
        bold("Simulated:"),
        many(runs, "run"),
        args.seed.unwrap_or(0),
        many(messages, "message"),
        many(sum.counters.lost, "datagram"),
        many(sum.crashes, "crash"),
        many(sum.partitions, "partition"),
        many(sum.counters.saves, "save"),
    ))?;
    if !sum.notes.is_empty() {
        let notes = sum.notes.iter();
        let notes = notes.map(|(what, count)| format!("{} {what}", grouped(*count as usize)));
        output.line(format_args!("  {}", notes.collect::<Vec<_>>().join(", ")))?;
    }
    let hash = format_args!("hash of all that happened: {:016x}", sum.hash).to_string();
    output.line(dim(hash))?;
    Ok(())
}
