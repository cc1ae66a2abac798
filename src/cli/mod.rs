//! The command line: what can be asked, and what the answers' exit codes mean.

mod args;
mod bench;
mod certify;
mod check;
mod cluster;
mod config;
mod explore;
mod kv;
mod manual;
mod model;
mod mutants;
mod output;
mod scenarios;
mod serve;
mod simulate;

use args::{Cli, Command};
use clap::Parser;
use output::Output;
use std::process::ExitCode;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Everything was visited and holds; or what was asked is done.
    Success = 0,
    /// A counterexample, or an expected example that was not found.
    Violated = 1,
    /// Wrong usage, or input or output that failed.
    Failure = 2,
    /// Stopped at a bound.
    Bounded = 3,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Standard output failed, perhaps because nobody reads it any more.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
    /// Anything else, in words for the user.
    #[error("{0}")]
    Other(String),
}

impl Error {
    fn other(error: impl std::fmt::Display) -> Self {
        Error::Other(error.to_string())
    }
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
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
        Command::BenchProcess => bench::play(),
        Command::Config(args) => config::run(&args, &mut output),
        Command::Completions(args) => manual::completions(&args, &mut output),
        Command::Man(args) => manual::man(&args, &mut output),
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
