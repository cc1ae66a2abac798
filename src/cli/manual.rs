//! `synod completions` and `synod man`: shell completions and manual pages.

use crate::console::output::Output;
use crate::console::{Error, Exit};
use clap::{Args, Command};
use clap_complete::Shell;
use std::fmt::Write;
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
    shell: Shell,
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
    if args.shell == Shell::Fish {
        output.line(fish_positionals(&synod).trim_end())?;
    }
    Ok(Exit::Success)
}

/// The lines that complete the values of positional arguments, which clap leaves out for fish.
fn fish_positionals(synod: &Command) -> String {
    let mut lines = String::new();
    for command in synod.get_subcommands() {
        let values = command.get_positionals();
        let values = values.flat_map(|it| it.get_value_parser().possible_values());
        for value in values.flatten() {
            let (name, value) = (command.get_name(), value.get_name());
            // Writing to a string cannot fail.
            let _ = writeln!(
                lines,
                "complete -c synod -n \"__fish_synod_using_subcommand {name}\" -f -a {value}"
            );
        }
    }
    lines
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
