//! Configurations: the settings that all protocols share, and the flags that ask for one.
//!
//! The `Config` of each protocol is a set of command-line arguments. Its flags, their help, its
//! default, its description and the command that asks for it again all follow from that one
//! definition.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, ArgMatches, Args, Command, ValueEnum};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use synod::ballot::NodeId;
use synod::checker::{Options, StorageMode};
use synod::quorum::{AcceptorSet, QuorumError};

/// The processes that take part in every protocol.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Shared {
    /// Acceptors, at most 64.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub acceptors: u32,
    /// Clients, each with a value of its own that any node may come to pursue.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub clients: u32,
    /// Acceptors tell a proposer that it was refused; if not, it finds out by waiting.
    #[arg(long, action = ArgAction::Set, value_parser = switch(), default_value = "off")]
    pub nacks: bool,
    /// Clients are part of the model and wait for an answer. If not, all that they propose is in
    /// the network from the start.
    #[arg(long, action = ArgAction::Set, value_parser = switch(), default_value = "off")]
    pub replies: bool,
    /// The assumptions about the world, and the reductions of the search.
    #[command(flatten)]
    pub world: Assumptions,
}

/// The assumptions about the world of any actors, and the reductions of the search.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Assumptions {
    /// Crashes with recovery in one run, of any nodes but clients.
    #[arg(help_heading = "World", long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = number(0..=usize::from(u16::MAX)))]
    pub crashes: usize,
    /// When a save takes effect: within its step, or at a later step that a crash may forestall.
    #[arg(help_heading = "World", long, value_enum, default_value_t = Storage::Atomic)]
    pub storage: Storage,
    /// Treat interchangeable acceptors, clients and learners as the same.
    #[arg(help_heading = "Reductions")]
    #[arg(long, action = ArgAction::Set, value_parser = switch(), default_value = "on")]
    pub symmetry: bool,
    /// Leave out messages that can never matter again.
    #[arg(help_heading = "Reductions")]
    #[arg(long, action = ArgAction::Set, value_parser = switch(), default_value = "on")]
    pub drop_stale: bool,
    /// Forget votes that can never matter again, and leave out the messages about them.
    #[arg(help_heading = "Reductions")]
    #[arg(long, action = ArgAction::Set, value_parser = switch(), default_value = "on")]
    pub forget: bool,
    /// Postpone steps that nobody sees until the next step of the same process.
    #[arg(help_heading = "Reductions")]
    #[arg(long, action = ArgAction::Set, value_parser = switch(), default_value = "on")]
    pub postpone: bool,
}

/// When a save takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    /// Within the step that saves.
    Atomic,
    /// At a later step, which a crash may forestall.
    Split,
}

impl Assumptions {
    /// The options of the checker's world.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            crashes: self.crashes,
            storage: match self.storage {
                Storage::Atomic => StorageMode::Atomic,
                Storage::Split => StorageMode::Split,
            },
            drops_stale: self.drop_stale,
            forgets: self.forget,
            postpones: self.postpone,
            symmetry: self.symmetry,
        }
    }
}

impl Shared {
    /// The values that clients propose, one each: x, y, z, a, b, …
    pub fn values(&self) -> impl Iterator<Item = char> + use<> {
        (0..self.clients).map(|client| char::from(b'a' + ((23 + client) % 26) as u8))
    }

    /// Checks the counts that every protocol has.
    ///
    /// # Errors
    /// If one is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let capacity = AcceptorSet::CAPACITY;
        ConfigError::count("--acceptors", self.acceptors.into(), capacity.into())?;
        ConfigError::count("--clients", self.clients.into(), 26)
    }
}

/// The processes that play the roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Acceptors, proposers and learners are processes of their own.
    #[default]
    Separated,
    /// Each node is an acceptor and a learner, and the first few are proposers too.
    Colocated,
}

/// The nodes' ids by role.
pub struct Nodes {
    /// The acceptors.
    pub acceptors: AcceptorSet,
    /// The proposers.
    pub proposers: Vec<NodeId>,
    /// The learners.
    pub learners: Vec<NodeId>,
    /// The number of nodes.
    pub count: u32,
}

impl Layout {
    /// The nodes of this layout. `flag` gave the number of proposers.
    ///
    /// # Errors
    /// If a count is out of range.
    pub fn nodes(
        self,
        shared: &Shared,
        (flag, proposers): (&'static str, u32),
        learners: u32,
    ) -> Result<Nodes, ConfigError> {
        shared.validate()?;
        let all = shared.acceptors;
        let proposers_max = match self {
            Layout::Separated => 64,
            Layout::Colocated => all,
        };
        ConfigError::count(flag, proposers.into(), proposers_max.into())?;
        let (first, learners) = match self {
            Layout::Separated => (all, all + proposers..all + proposers + learners),
            Layout::Colocated => (0, 0..all),
        };
        Ok(Nodes {
            acceptors: AcceptorSet::first(all),
            proposers: (first..first + proposers).map(NodeId).collect(),
            count: learners.end,
            learners: learners.map(NodeId).collect(),
        })
    }
}

/// The values `on` and `off`.
pub fn switch() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|value| value == "on")
}

/// A parser of the numbers in a range.
pub fn number<N>(range: RangeInclusive<N>) -> impl Fn(&str) -> Result<N, String> + Clone
where
    N: Clone + Display + FromStr + PartialOrd,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        let (start, end) = (range.start(), range.end());
        number.ok_or_else(|| format!("expected a number from {start} to {end}"))
    }
}

/// Why a configuration makes no system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The quorums break the law.
    #[error("--quorums: {0}")]
    Quorums(#[from] QuorumError),
    /// A count that must be positive is zero, or one is out of range.
    #[error("{flag} takes {expected}, not {given}")]
    Count {
        /// The flag at fault.
        flag: &'static str,
        /// The values that the flag takes.
        expected: String,
        /// The value that was given.
        given: u64,
    },
    /// One setting is of no use without another.
    #[error("{flag} needs {needed}")]
    Needs {
        /// The flag at fault.
        flag: &'static str,
        /// The other flags to pass.
        needed: &'static str,
    },
}

impl ConfigError {
    /// Returns an error unless `given` is from 1 to `max`.
    ///
    /// # Errors
    /// If it is not.
    pub fn count(flag: &'static str, given: u64, max: u64) -> Result<(), Self> {
        if (1..=max).contains(&given) {
            return Ok(());
        }
        let expected = match max {
            u64::MAX => "a number of at least 1".to_owned(),
            max => format!("a number from 1 to {max}"),
        };
        Err(ConfigError::Count {
            flag,
            expected,
            given,
        })
    }
}

/// A set of arguments that can be read from text.
pub trait Flags: Args {
    /// The arguments that these flags give; the others have their defaults.
    ///
    /// # Errors
    /// If a flag is unknown, or takes no such value.
    fn from_flags(flags: &str) -> Result<Self, clap::Error> {
        Self::from_arg_matches(&matches::<Self>(flags.split_whitespace())?)
    }

    /// The arguments that no flag changes.
    #[must_use]
    fn plain() -> Self {
        // The defaults are part of the definition; a test reads them all.
        Self::from_flags("").unwrap_or_else(|error| error.exit())
    }
}

impl<A: Args> Flags for A {}

/// The arguments of `A` alone, as a command.
pub fn arguments<A: Args>() -> Command {
    A::augment_args(
        Command::new("")
            .no_binary_name(true)
            .args_override_self(true),
    )
}

fn matches<A: Args>(
    flags: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
) -> Result<ArgMatches, clap::Error> {
    arguments::<A>().try_get_matches_from(flags)
}

/// The flags that ask for a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The flags that make a difference, in the order in which they were given, with their values.
    given: Vec<(String, String)>,
    /// All flags with their values, in the order in which they are defined.
    all: Vec<(String, String)>,
    /// All flags with their defaults.
    plain: Vec<(String, String)>,
}

impl Settings {
    /// The configuration of the flags that were `given`, on top of those that are `needed` anyway;
    /// and these flags.
    ///
    /// # Errors
    /// If `needed` is malformed.
    pub fn read<A: Args>(given: &ArgMatches, needed: &str) -> Result<(A, Self), clap::Error> {
        let (mut given, needed) = (explicit::<A>(given), needed.split_whitespace());
        let base = values::<A>(&matches::<A>(needed.clone())?);
        let words = given.iter().flat_map(|(flag, value)| [flag, value]);
        let words = needed.chain(words.map(String::as_str));
        let matches = matches::<A>(words.map(str::to_owned))?;
        given.retain(|given| !base.contains(given));
        let settings = Self {
            given,
            all: values::<A>(&matches),
            plain: values::<A>(&super::config::matches::<A>([""; 0])?),
        };
        Ok((A::from_arg_matches(&matches)?, settings))
    }

    /// The flags that ask for the configuration again.
    #[must_use]
    pub fn flags(&self) -> String {
        let given = self.given.iter();
        let given = given.map(|(flag, value)| format!("{flag} {value}"));
        given.collect::<Vec<_>>().join(" ")
    }

    /// The first flag that `other` gives and that has another value here.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> Option<String> {
        let mut others = other.given.iter();
        let differs = others.find(|given| !self.all.contains(given))?;
        Some(format!("{} {}", differs.0, differs.1))
    }

    /// The configuration in words: all counts, and then whatever else differs from the default.
    #[must_use]
    pub fn describe(&self) -> String {
        let (mut counts, mut others) = (Vec::new(), Vec::new());
        for given @ (flag, value) in &self.all {
            let name = flag.trim_start_matches('-');
            let is_count = name.ends_with('s') && value.parse::<u64>().is_ok();
            match value.as_str() {
                "0" => {}
                "1" if is_count => counts.push(format!("1 {}", singular(name))),
                _ if is_count => counts.push(format!("{value} {name}")),
                _ if self.plain.contains(given) => {}
                "on" => others.push(name.to_owned()),
                _ => others.push(format!("{name} {value}")),
            }
        }
        counts.append(&mut others);
        counts.join(", ")
    }
}

/// `fast-rounds` becomes `fast-round`, and `crashes` becomes `crash`.
fn singular(plural: &str) -> &str {
    let stem = plural
        .strip_suffix("es")
        .filter(|stem| stem.ends_with("sh"));
    stem.or_else(|| plural.strip_suffix('s')).unwrap_or(plural)
}

/// The flags of `A` that were written, in their order, with their values.
fn explicit<A: Args>(matches: &ArgMatches) -> Vec<(String, String)> {
    let is_written = |id| matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
    let command = arguments::<A>();
    let mut written: Vec<_> = command
        .get_arguments()
        .filter(|arg| is_written(arg.get_id().as_str()))
        .filter_map(|arg| {
            Some((
                matches.index_of(arg.get_id().as_str())?,
                flag(arg, matches)?,
            ))
        })
        .collect();
    written.sort();
    written.into_iter().map(|(_, flag)| flag).collect()
}

/// Every flag of `A` that has a value, and the value.
fn values<A: Args>(matches: &ArgMatches) -> Vec<(String, String)> {
    let command = arguments::<A>();
    let arguments = command.get_arguments();
    arguments.filter_map(|arg| flag(arg, matches)).collect()
}

fn flag(arg: &clap::Arg, matches: &ArgMatches) -> Option<(String, String)> {
    let value = matches.get_raw(arg.get_id().as_str())?.next_back()?;
    Some((format!("--{}", arg.get_long()?), value.to_str()?.to_owned()))
}
