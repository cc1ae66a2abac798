//! `synod completions` and `synod man`: what shells and `man` are told about the arguments.

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::output::Output;
use super::{Error, Exit};
use clap::CommandFactory;
use std::fs;

/// Prints the script by which a shell completes the arguments.
pub(super) fn completions(args: &CompletionsArgs, output: &mut Output) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "synod", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Success)
}

/// Writes a manual page per command.
pub(super) fn man(args: &ManArgs, output: &mut Output) -> Result<Exit, Error> {
    let failed = |error| Error::Other(format!("cannot write to {}: {error}", args.dir.display()));
    fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(failed)?;
    let dir = args.dir.display();
    output.line(format_args!("the pages are in {dir}: man -l {dir}/synod.1"))?;
    Ok(Exit::Success)
}
