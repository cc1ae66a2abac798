//! The protocols, each as one value: all that a command or a test needs to know of it.
//!
//! [`Protocol`] says how a protocol is configured, broken, checked and simulated. Commands and
//! tests go through [`ALL`] and name no protocol.

use super::calls::Calls;
use super::cluster::ClusterArgs;
use super::config::{Assumptions, ConfigError, Settings};
use super::multi;
pub use super::mutant::Rule;
use super::mutant::{Breakable, Broken, Mutant, Mutated};
use super::scenarios::{self, Scenario};
use super::simulate::{Plan, Simulated};
use crate::console::output::Output;
use crate::console::{self, Exit};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgMatches, Args, Command};
use stateright::Model as _;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;
use synod::checker::page::RunPage;
use synod::checker::search::{self, Limits, Progress, Report};
use synod::checker::{Options, System, World, WorldState, explorer};

/// The protocols, in the order of reading.
pub const ALL: &[&dyn AnyProtocol] = &[
    &PhantomData::<synod::basic::Process<char>>,
    &PhantomData::<synod::multi::Process<multi::Register>>,
    &PhantomData::<synod::fast::Process<char>>,
];

/// The protocol of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static dyn AnyProtocol> {
    ALL.iter().copied().find(|protocol| protocol.name() == name)
}

/// A protocol, implemented for the actor that is shipped.
pub trait Protocol: Breakable {
    /// The name on the command line.
    const NAME: &'static str;
    /// The name in prose.
    const TITLE: &'static str;
    /// A sentence about it.
    const ABOUT: &'static str;
    /// The settings of a closed system.
    type Config: Args + Clone + fmt::Debug + PartialEq + Send + Sync;
    /// The closed system that is checked.
    type System: System<Actor = Mutated<Self>> + Clone;

    /// The mutants, the harmless ones last.
    fn mutants() -> impl Iterator<Item = &'static Mutant<Self>>;

    /// The system of a configuration, with the rule of a mutant broken.
    ///
    /// # Errors
    /// If the configuration makes no system.
    fn system(config: &Self::Config, mutant: Broken<Self>) -> Result<Self::System, ConfigError>;

    /// The assumptions about the system's world.
    fn world(config: &Self::Config) -> &Assumptions;

    /// The values that are chosen in a state.
    fn chosen(system: &Self::System, state: &WorldState<Self::System>) -> Vec<String>;

    /// Begins to write down the calls of a system's handlers, for the proofs.
    ///
    /// # Errors
    /// If the protocol has no proved handlers, or the calls cannot be written.
    fn begin_calls(_system: &Self::System, _calls: &Calls) -> io::Result<()> {
        let none = format!("{} has no proved handlers to compare with", Self::TITLE);
        Err(io::Error::other(none))
    }

    /// The world with the calls of its handlers written down.
    fn observe(world: World<Self::System>, _calls: &Arc<Calls>) -> World<Self::System> {
        world
    }

    /// Writes down `count` random calls of the handlers. The same seed gives the same calls.
    fn random_calls(_calls: &Arc<Calls>, _count: usize, _seed: u64) {}

    /// Runs a cluster on this machine over UDP.
    ///
    /// # Errors
    /// If the protocol does not run over UDP, or a directory or a socket cannot be used.
    fn cluster(_args: &ClusterArgs, _output: &mut Output) -> Result<Exit, console::Error> {
        let none = format!("{} does not run over UDP", Self::TITLE);
        Err(console::Error::failed(none))
    }

    /// The nodes of a simulation, if the command names no other number.
    const NODES: u32 = 3;

    /// Simulates one run.
    ///
    /// # Errors
    /// If the plan makes no cluster.
    fn simulate(plan: &Plan, mutant: Broken<Self>, seed: u64) -> Result<Simulated, String>;
}

/// A protocol as a command sees it.
pub trait AnyProtocol: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;
    /// The name in prose.
    fn title(&self) -> &'static str;
    /// A sentence about it.
    fn about(&self) -> &'static str;
    /// The subcommand that takes its configuration.
    fn command(&self) -> Command;
    /// The mutants, the harmless ones last.
    fn mutants(&self) -> Vec<Rule>;
    /// The model of the flags that were given to [`command`](Self::command).
    ///
    /// # Errors
    /// If they contradict each other.
    fn model(&self, given: &ArgMatches) -> Result<Box<dyn Model>, clap::Error>;
    /// The number of nodes of a simulation, if the command names no other.
    fn nodes(&self) -> u32;
    /// Simulates one run, with the rule of the named mutant broken.
    ///
    /// # Errors
    /// If the plan makes no cluster, or there is no such mutant.
    fn simulate(&self, plan: &Plan, mutant: Option<&str>, seed: u64) -> Result<Simulated, String>;
    /// Writes down `count` random calls of the handlers. The same seed gives the same calls.
    fn random_calls(&self, calls: &Arc<Calls>, count: usize, seed: u64);
    /// Runs a cluster on this machine over UDP.
    ///
    /// # Errors
    /// If the protocol does not run over UDP, or a directory or a socket cannot be used.
    fn cluster(&self, args: &ClusterArgs, output: &mut Output) -> Result<Exit, console::Error>;
}

/// The model of `protocol` with these flags.
///
/// # Errors
/// If they are malformed.
pub fn model(protocol: &dyn AnyProtocol, flags: &str) -> Result<Box<dyn Model>, clap::Error> {
    let command = protocol
        .command()
        .no_binary_name(true)
        .args_override_self(true);
    protocol.model(&command.try_get_matches_from(flags.split_whitespace())?)
}

/// The model of a protocol and flags, as they follow `synod check`.
///
/// # Errors
/// If they are malformed.
pub fn parse(words: &str) -> Result<Box<dyn Model>, clap::Error> {
    let (name, flags) = words
        .trim()
        .split_once(char::is_whitespace)
        .unwrap_or((words.trim(), ""));
    match named(name) {
        Some(protocol) => model(protocol, flags),
        None => Err(clap::Error::raw(
            clap::error::ErrorKind::InvalidSubcommand,
            format!("there is no protocol {name}\n"),
        )),
    }
}

impl<P: Protocol> AnyProtocol for PhantomData<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn title(&self) -> &'static str {
        P::TITLE
    }

    fn about(&self) -> &'static str {
        P::ABOUT
    }

    fn command(&self) -> Command {
        let command = Command::new(P::NAME).next_help_heading("Configuration");
        // The comment of the configuration is not about the protocol.
        let command = P::Config::augment_args(command)
            .about(P::ABOUT)
            .long_about(None);
        command.arg(mutant_argument::<P>())
    }

    fn mutants(&self) -> Vec<Rule> {
        P::mutants().map(Mutant::rule).collect()
    }

    fn model(&self, given: &ArgMatches) -> Result<Box<dyn Model>, clap::Error> {
        let mutant = given.get_one::<String>("mutant");
        let mutant = mutant.and_then(|name| find::<P>(name));
        let needs = mutant.map_or("", |mutant| mutant.needs);
        let (config, settings) = Settings::read::<P::Config>(given, needs)?;
        Ok(Box::new(Configured::<P> {
            config,
            settings,
            mutant,
        }))
    }

    fn nodes(&self) -> u32 {
        P::NODES
    }

    fn simulate(&self, plan: &Plan, mutant: Option<&str>, seed: u64) -> Result<Simulated, String> {
        let unknown = |name| format!("--mutant: {} has no mutant {name}", P::NAME);
        let mutant = mutant.map(|name| find::<P>(name).ok_or_else(|| unknown(name)));
        P::simulate(plan, mutant.transpose()?, seed)
    }

    fn random_calls(&self, calls: &Arc<Calls>, count: usize, seed: u64) {
        P::random_calls(calls, count, seed);
    }

    fn cluster(&self, args: &ClusterArgs, output: &mut Output) -> Result<Exit, console::Error> {
        P::cluster(args, output)
    }
}

fn find<P: Protocol>(name: &str) -> Option<&'static Mutant<P>> {
    P::mutants().find(|mutant| mutant.name == name)
}

/// The argument `--mutant`, which shells complete and the long help explains.
fn mutant_argument<P: Protocol>() -> Arg {
    let help = "Break one rule of the protocol, to see how that comes to light. Implies \
                --drop-stale off, and whatever the mutant needs";
    let lines = P::mutants().filter(|mutant| !mutant.rule().is_harmless());
    let lines = lines.map(|mutant| format!("\n  {:<22}{}", mutant.name, mutant.sentence));
    let names = P::mutants();
    let names = names.map(|mutant| PossibleValue::new(mutant.name).help(mutant.sentence));
    Arg::new("mutant")
        .long("mutant")
        .value_name("NAME")
        .help(help)
        .long_help(format!("{help}:{}", lines.collect::<String>()))
        .hide_possible_values(true)
        .value_parser(PossibleValuesParser::new(names))
}

/// Why a model could not be searched or played.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration makes no system.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The search failed.
    #[error("{0}{hint}", hint = hint(.0))]
    Search(#[from] search::Error),
    /// The scenario cannot be played.
    #[error(transparent)]
    Scenario(#[from] scenarios::Error),
    /// The path leads to no state.
    #[error("there is no run of this path")]
    NoRun,
    /// The calls cannot be written.
    #[error(transparent)]
    Calls(#[from] io::Error),
    /// Flags that the protocol itself wrote are malformed.
    #[error(transparent)]
    Flags(#[from] clap::Error),
}

/// The way out of a reduction that is not sound.
fn hint(error: &search::Error) -> &'static str {
    match error {
        search::Error::Unsound(_) => {
            "\nWhich messages can never matter again, and which processes are interchangeable, are \
             claims about the protocol as it was written; check without them: --drop-stale off \
             --symmetry off"
        }
        search::Error::Panicked | search::Error::Eventually(_) | search::Error::TooMany(..) => "",
    }
}

/// A protocol with a configuration, and perhaps a rule that is broken.
pub trait Model: fmt::Debug + Send + Sync {
    /// The protocol.
    fn protocol(&self) -> &'static dyn AnyProtocol;
    /// The flags of the configuration.
    fn settings(&self) -> &Settings;
    /// The rule that is broken.
    fn mutant(&self) -> Option<Rule>;
    /// The names of the properties that are checked.
    ///
    /// # Errors
    /// If the configuration makes no system.
    fn properties(&self) -> Result<Vec<&'static str>, Error>;
    /// Searches the model; its handlers' calls are written to `calls`, and only violations of
    /// `focus` are looked for, if these are given.
    ///
    /// # Errors
    /// If a reduction is not sound, or an actor panics.
    fn search(
        &self,
        limits: Limits,
        calls: Option<&Arc<Calls>>,
        focus: Option<&'static str>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report, Error>;
    /// Serves the model in the Explorer, for ever.
    ///
    /// # Errors
    /// If the configuration makes no system.
    fn serve(&self, address: SocketAddr) -> Result<(), Error>;
    /// Returns the page of a run, by its path in the Explorer.
    ///
    /// # Errors
    /// If the configuration makes no system, or there is no such run.
    fn page(&self, explorer_path: &str) -> Result<RunPage, Error>;
    /// Plays a scenario in the world that the Explorer shows.
    ///
    /// # Errors
    /// If a step is not possible there.
    fn play(&self, scenario: &Scenario) -> Result<scenarios::Run, Error>;
}

impl dyn Model + '_ {
    /// The protocol and its configuration in words.
    #[must_use]
    pub fn title(&self) -> String {
        let (protocol, settings) = (self.protocol().title(), self.settings().describe());
        format!("{protocol}: {settings}")
    }

    /// The words that ask for the model again: protocol, flags, mutant.
    #[must_use]
    pub fn command(&self) -> String {
        let flags = self.flags();
        let space = if flags.is_empty() { "" } else { " " };
        format!("{}{space}{flags}", self.protocol().name())
    }

    /// The flags that ask for the model again.
    #[must_use]
    pub fn flags(&self) -> String {
        let flags = self.settings().flags();
        let mutant = self
            .mutant()
            .map(|mutant| format!("--mutant {}", mutant.name));
        let words = Some(flags).filter(|flags| !flags.is_empty());
        words
            .into_iter()
            .chain(mutant)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The smallest model that is known to kill a mutant.
///
/// # Errors
/// If the mutant's own flags are malformed.
pub fn smallest(protocol: &dyn AnyProtocol, mutant: &Rule) -> Result<Box<dyn Model>, Error> {
    let flags = format!("{} --mutant {}", mutant.smallest, mutant.name);
    Ok(model(protocol, &flags)?)
}

/// A configuration of a protocol.
#[derive(Debug)]
struct Configured<P: Protocol> {
    config: P::Config,
    settings: Settings,
    mutant: Broken<P>,
}

impl<P: Protocol> Configured<P> {
    fn system(&self) -> Result<P::System, ConfigError> {
        P::system(&self.config, self.mutant)
    }

    fn options(&self) -> Options {
        P::world(&self.config).options()
    }
}

impl<P: Protocol> Model for Configured<P> {
    fn protocol(&self) -> &'static dyn AnyProtocol {
        &PhantomData::<P>
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn mutant(&self) -> Option<Rule> {
        self.mutant.map(Mutant::rule)
    }

    fn properties(&self) -> Result<Vec<&'static str>, Error> {
        let world = World::new(self.system()?, self.options());
        Ok(world.properties().iter().map(|it| it.name).collect())
    }

    fn search(
        &self,
        limits: Limits,
        calls: Option<&Arc<Calls>>,
        focus: Option<&'static str>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report, Error> {
        let (system, options) = (self.system()?, self.options());
        if let Some(calls) = calls {
            P::begin_calls(&system, calls)?;
        }
        let world = || {
            let world = World::new(system.clone(), options);
            let world = calls.into_iter().fold(world, P::observe);
            match focus {
                Some(property) => world.focus_on(property),
                None => world,
            }
        };
        Ok(search::run(world, limits, progress)?)
    }

    fn serve(&self, address: SocketAddr) -> Result<(), Error> {
        let model: &dyn Model = self;
        let mutant = self
            .mutant
            .map(|it| format!("; mutant {}: {}", it.name, it.sentence));
        let title = model.title() + &mutant.unwrap_or_default();
        let system = self.system()?;
        explorer::serve(address, || {
            let world = World::new(system.clone(), self.options());
            world.unfolded().titled(title.clone())
        });
        Ok(())
    }

    fn page(&self, explorer_path: &str) -> Result<RunPage, Error> {
        let world = World::new(self.system()?, self.options()).unfolded();
        RunPage::new(&world, explorer_path).ok_or(Error::NoRun)
    }

    fn play(&self, scenario: &Scenario) -> Result<scenarios::Run, Error> {
        let world = World::new(self.system()?, self.options()).unfolded();
        Ok(scenarios::play(scenario, &world, P::chosen)?)
    }
}
