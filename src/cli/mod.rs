//! The command line: what can be asked, and what the answers' exit codes mean.

mod args;
mod certify;
mod check;
mod cluster;
mod config;
mod decree;
mod explore;
mod kv;
mod manual;
mod model;
mod mutants;
mod scenarios;
mod scribe;
mod serve;
mod simulate;

use crate::bench;
use crate::console::output::{self, Output};
use crate::console::{Error, Exit};
use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use std::process::ExitCode;

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::new();
    let result = match cli.command {
        Command::Check(args) => check::run(&args, &mut output),
        Command::Explore(args) => explore::run(&args, &mut output),
        Command::Cluster(args) => cluster::run(&args, &mut output),
        Command::Simulate(args) => simulate::run(&args, &mut output),
        Command::Mutants(args) => mutants::run(&args, &mut output),
        Command::Scenarios(args) => scenarios::run(&args, &mut output),
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
    let exit = match result {
        Ok(exit) => exit,
        // Whoever closes the pipe, as `head` does, has read enough.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Exit::Success
        }
        Err(error) => {
            output.error(&error);
            Exit::Failure
        }
    };
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
