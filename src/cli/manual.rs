//! `synod completions` and `synod man`: shell completions and manual pages.

use crate::console::output::Output;
use crate::console::{Error, Exit};
use clap::{Args, Command};
use std::fs;
use std::path::PathBuf;

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  synod completions bash > ~/.local/share/bash-completion/completions/synod
  synod completions fish > ~/.config/fish/completions/synod.fish
  synod completions zsh > ~/.zfunc/_synod        with ~/.zfunc in fpath, before compinit";

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The directory of the pages, one per command; it is created if it does not exist.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Prints the script with which a shell completes the arguments.
pub(super) fn completions(
    args: &CompletionsArgs,
    mut synod: Command,
    output: &mut Output,
) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut synod, "synod", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Success)
}

/// Writes a manual page per command.
pub(super) fn man(args: &ManArgs, synod: Command, output: &mut Output) -> Result<Exit, Error> {
    let failed = |error| Error::path("write to", &args.dir, error);
    fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(synod, &args.dir).map_err(failed)?;
    let dir = args.dir.display();
    output.line(format_args!(
        "the pages are in {dir}; read them with: man -l {dir}/synod.1"
    ))?;
    Ok(Exit::Success)
}
