//! `synod explore`.

use super::model::{ADDRESS, ModelArgs, introduce, link};
use super::scenarios::{Staged, names};
use crate::console::output::{Output, bold};
use crate::console::{Error, Exit};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use synod::models::protocol::Model;
use synod::models::scenarios::Run;

/// Examples for the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  synod explore basic
  synod explore basic --acceptors 1 --mutant ignore-vote --address 127.0.0.1:8080
  synod explore basic --scenario duel            a run of `synod scenarios`, in the browser";

#[derive(Debug, Args)]
pub(super) struct ExploreArgs {
    /// Address of the Explorer; port 0 takes any that is free.
    #[arg(long, global = true, value_name = "HOST:PORT", default_value = ADDRESS)]
    address: String,
    /// Open a run of `synod scenarios`, which brings its own configuration.
    #[arg(long, global = true, value_name = "NAME", hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(names()))]
    scenario: Option<String>,
    /// The protocol to explore.
    #[command(subcommand)]
    model: ModelArgs,
}

pub(super) fn run(args: &ExploreArgs, output: &mut Output) -> Result<Exit, Error> {
    let ModelArgs(asked) = &args.model;
    let scenario = args.scenario.as_deref();
    let scenario = scenario
        .map(|name| stage(name, asked.as_ref()))
        .transpose()?;
    let staged = scenario.as_ref().map(|(staged, _)| staged.model.as_ref());
    let model = staged.unwrap_or(asked.as_ref());
    model.properties().map_err(Error::failed)?;
    let address = free_address(&args.address)?;
    introduce(model, output)?;
    let title = format!("Exploring {} at", model.protocol().title());
    output.line(format_args!(
        "{} http://{address}/ (Ctrl-C ends it)",
        bold(title)
    ))?;
    if let Some((staged, run)) = &scenario {
        let (title, link) = (&staged.scenario.title, link(address, &run.explorer_path));
        output.line(format_args!("{} {link}", bold(format_args!("{title}:"))))?;
    }
    model.serve(address).map_err(Error::failed)?;
    Err(Error::Failed(format!(
        "the Explorer failed at {address} again and again; is another program using the port?"
    )))
}

/// The scenario of a name, and its run. It brings its own configuration, which no other flag may
/// contradict.
fn stage(name: &str, asked: &dyn Model) -> Result<(Staged, Run), Error> {
    let staged = Staged::named(name)?;
    let (protocol, other) = (staged.model.protocol().name(), asked.protocol().name());
    let contradiction = match asked.mutant() {
        _ if protocol != other => Some(other.to_owned()),
        mutant if mutant.is_some() && mutant != staged.model.mutant() => {
            mutant.map(|mutant| format!("--mutant {}", mutant.name))
        }
        _ => staged.model.settings().contradicts(asked.settings()),
    };
    if let Some(contradiction) = contradiction {
        return Err(Error::usage(format_args!(
            "--scenario {name} brings its own configuration, which {contradiction} contradicts: \
             synod explore {protocol} --scenario {name}"
        )));
    }
    let run = staged.play()?;
    Ok((staged, run))
}

/// The address to serve, which must be free: stateright panics on one that is not.
fn free_address(address: &str) -> Result<SocketAddr, Error> {
    let what = "--address takes HOST:PORT, such as 127.0.0.1:3000";
    let resolved = address.to_socket_addrs();
    let first = resolved.map(|mut addresses| addresses.next());
    let Ok(Some(first)) = first else {
        return Err(Error::usage(format_args!("{what}, not {address}")));
    };
    let listener = TcpListener::bind(first).map_err(|error| {
        Error::Failed(format!(
            "cannot serve {first}: {error}; choose another with --address, port 0 for any free one"
        ))
    })?;
    listener.local_addr().map_err(Error::failed)
}
