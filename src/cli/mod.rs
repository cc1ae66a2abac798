//! The command line: what can be asked, and what the answers' exit codes mean.

mod certify;
mod check;
mod cluster;
mod config;
mod explore;
mod kv;
mod manual;
mod model;
mod mutants;
mod page;
mod scenarios;
mod serve;
mod simulate;
mod site;

use crate::bench;
use crate::console::output::{self, Output};
use crate::console::{Error, Exit};
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Paxos, written once: check it, explore it, run it.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    help_expected = true,
    propagate_version = true
)]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Visit every state of a configuration and check every invariant.
    #[command(after_help = check::EXAMPLES)]
    #[command(arg_required_else_help = true)]
    Check(check::CheckArgs),
    /// Walk through the states of a configuration in the browser.
    #[command(after_help = explore::EXAMPLES)]
    Explore(explore::ExploreArgs),
    /// Run a cluster on this machine over UDP: clients are at work, a node is killed and restarts.
    #[command(after_help = cluster::EXAMPLES)]
    Cluster(cluster::ClusterCommand),
    /// Run a protocol on a simulated network with simulated disks, again and again: with loss,
    /// duplication, reordering, crashes and partitions, all of them determined by a seed.
    #[command(after_help = simulate::EXAMPLES)]
    Simulate(simulate::SimulateArgs),
    /// Break one rule at a time, and see which invariant notices, how soon, in how small a world.
    #[command(after_help = mutants::EXAMPLES)]
    Mutants(mutants::MutantsArgs),
    /// Play a run to learn from, step by step, each with its reason; or list them.
    #[command(after_help = scenarios::EXAMPLES)]
    Scenarios(scenarios::ScenariosArgs),
    /// Judge a recorded run: is it one of the proved protocol, and do the actors take its steps?
    #[command(after_help = certify::EXAMPLES)]
    Certify(certify::CertifyArgs),
    /// Run one node of a replicated key-value store, until it is interrupted.
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArgs),
    /// Send one command to a replicated key-value store.
    #[command(after_help = kv::EXAMPLES)]
    Kv(kv::KvArgs),
    /// Measure the cost of a commit over UDP, compared with what the machine allows.
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// Run the nodes or clients of a benchmark, in a process of their own.
    #[command(hide = true)]
    BenchProcess,
    /// Write the file of a new cluster.
    Config(config::ConfigArgs),
    /// List what must hold, in a sentence each.
    Invariants,
    /// Print the script with which a shell completes these commands.
    #[command(after_help = manual::COMPLETIONS_EXAMPLES)]
    Completions(manual::CompletionsArgs),
    /// Write the manual pages.
    Man(manual::ManArgs),
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::default();
    let result = match cli.command {
        Command::Check(args) => check::run(&args, &mut output),
        Command::Explore(args) => explore::run(&args, &mut output),
        Command::Cluster(args) => cluster::run(&args, &mut output),
        Command::Simulate(args) => simulate::run(&args, &mut output),
        Command::Mutants(args) => mutants::run(&args, &mut output),
        Command::Scenarios(args) => match args.folder() {
            Some(folder) => site::write(folder, &mut output),
            None => scenarios::run(&args, &mut output),
        },
        Command::Certify(args) => certify::run(&args, &mut output),
        Command::Serve(args) => serve::run(&args, &mut output),
        Command::Kv(args) => kv::run(&args, &mut output),
        Command::Bench(args) => bench::run(&args, &mut output),
        Command::BenchProcess => bench::run_process(),
        Command::Config(args) => config::run(&args, &mut output),
        Command::Completions(args) => manual::completions(&args, Cli::command(), &mut output),
        Command::Man(args) => manual::man(&args, Cli::command(), &mut output),
        Command::Invariants => invariants(&mut output).map(|()| Exit::Success),
    };
    let exit = result.unwrap_or_else(|error| {
        let exit = error.exit();
        if exit != Exit::Success {
            output.error(&error);
        }
        exit
    });
    ExitCode::from(exit as u8)
}

fn invariants(output: &mut Output) -> Result<(), Error> {
    for invariant in synod::invariant::ALL
        .iter()
        .chain(synod::invariant::OF_LOGS)
    {
        output.line(format_args!(
            "{:<18}{:<62}{}",
            output::bold(invariant.name),
            invariant.statement,
            output::dim(invariant.source)
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
