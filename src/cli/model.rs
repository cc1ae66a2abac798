//! The arguments that name a protocol, and a configuration of it.

use crate::console::Error;
use crate::console::output::{Output, warn};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgMatches, Command, FromArgMatches, Subcommand};
use std::fmt::Display;
use synod::models::protocol::{self, AnyProtocol, Model};

/// A protocol, and a configuration of its model.
#[derive(Debug)]
pub(super) struct ModelArgs(pub(super) Box<dyn Model>);

impl FromArgMatches for ModelArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = matches.subcommand();
        let asked = given.and_then(|(name, given)| Some((protocol::named(name)?, given)));
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (protocol, given) = asked.ok_or_else(missing)?;
        Ok(Self(protocol.model(given)?))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for ModelArgs {
    fn augment_subcommands(command: Command) -> Command {
        let protocols = protocol::ALL.iter();
        protocols.fold(command, |command, protocol| {
            command.subcommand(protocol.command())
        })
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        protocol::named(name).is_some()
    }
}

/// The value parser of an argument that names a protocol.
pub(super) fn protocols() -> impl TypedValueParser<Value = &'static dyn AnyProtocol> {
    let names = protocol::ALL.iter();
    let names = names.map(|it| PossibleValue::new(it.name()).help(it.about()));
    let parser = PossibleValuesParser::new(names);
    parser.try_map(|name| protocol::named(&name).ok_or("there is no such protocol"))
}

/// The address where the Explorer is served unless another is given.
pub(super) const ADDRESS: &str = "127.0.0.1:3000";

/// The page on which the Explorer at an address shows a run.
pub(super) fn link(address: impl Display, explorer_path: &str) -> String {
    format!("http://{address}/#/steps/{explorer_path}")
}

/// Prints the rule that is broken, if one is.
pub(super) fn introduce(model: &dyn Model, output: &mut Output) -> Result<(), Error> {
    if let Some(mutant) = model.mutant() {
        output.line(format_args!("{} {}", warn("Mutant:"), mutant.sentence))?;
    }
    Ok(())
}
