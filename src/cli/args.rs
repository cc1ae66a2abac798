//! The arguments, and the help that explains them.

use crate::models::basic::{Config, Layout};
use crate::models::mutants::{self, Mutant};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use synod::checker::search::{Engine, Limits};
use synod::checker::{StorageMode, available_memory};
use synod::quorum::QuorumSpec;
use synod::runtime::Faults;

/// Paxos, written once: check it, explore it, run it.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    help_expected = true,
    propagate_version = true
)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Visit every state of a configuration and check every invariant.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Walk through the states of a configuration in the browser.
    #[command(after_help = EXPLORE_EXAMPLES)]
    Explore(ExploreArgs),
    /// Run a cluster on this machine over UDP: two clients compete, a node is killed and restarts.
    #[command(after_help = CLUSTER_EXAMPLES)]
    Cluster(ClusterArgs),
    /// List what must hold, in a sentence each.
    Invariants,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  synod check basic                              three acceptors, two proposers, two ballots each
  synod check basic --acceptors 5 --ballots 1 --quorums flexible:4,2
  synod check basic --mutant ignore-vote         break a rule, see the shortest counterexample

Exit status: 0 everything was visited and holds; 1 a counterexample, or an expected example was
not found; 2 wrong usage or failed input or output; 3 stopped at a bound.";

const EXPLORE_EXAMPLES: &str = "\
Examples:
  synod explore basic
  synod explore basic --acceptors 1 --mutant ignore-vote --address 127.0.0.1:8080";

const CLUSTER_EXAMPLES: &str = "\
Examples:
  synod cluster basic
  synod cluster basic --nodes 5 --faults loss=0.2,dup=0.2,reorder=0.2

Exit status: 0 all decided, and the same; 1 they disagree; 2 wrong usage or failed input or output;
3 not all had decided when the time was up.";

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// Basic Paxos: one decree.
    Basic,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The protocol to check.
    #[arg(required_unless_present = "all")]
    pub(super) protocol: Option<Protocol>,
    /// Check every pinned configuration that is marked small, against its expected counts.
    #[arg(long, conflicts_with_all = ["protocol", "ModelArgs"])]
    pub(super) all: bool,
    /// What searches.
    #[arg(long, value_enum, default_value_t = EngineArg::Collapse)]
    pub(super) engine: EngineArg,
    /// Threads to search with. By default as many as there are processors, or with stateright one:
    /// with more, the depth that it reports may exceed the true one.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
    /// Take independent steps in one order only (collapse engine); changes no count.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    commute: Switch,
    /// Stop, with exit status 3, after about so many unique states.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) max_states: Option<usize>,
    /// Stop, with exit status 3, before the process takes more memory than this (collapse engine).
    /// By default nine tenths of what is free.
    #[arg(long, value_name = "GIB", value_parser = positive)]
    max_memory_gib: Option<usize>,
    /// Stop, with exit status 3, after so many seconds.
    #[arg(long, value_name = "S")]
    pub(super) timeout_s: Option<u64>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(super) json: bool,
    /// Write to FILE each distinct call of a node's handlers that the search makes, and what came
    /// of it: `proofs/` compares them with the handlers that are proved.
    #[arg(long, value_name = "FILE")]
    pub(super) dump_steps: Option<PathBuf>,
    /// And so many calls more, in states drawn at random.
    #[arg(long, value_name = "N", requires = "dump_steps", default_value_t = 0)]
    pub(super) random_steps: usize,
    #[command(flatten)]
    pub(super) model: ModelArgs,
}

impl CheckArgs {
    pub(super) fn limits(&self) -> Limits {
        let most = self.max_memory_gib.map(|gib| gib.saturating_mul(1 << 30));
        let free = || available_memory().map(|free| free / 10 * 9);
        Limits {
            engine: self.engine.engine(),
            threads: self.threads(),
            commutes: self.commute == Switch::On,
            states_max: self.max_states,
            bytes_max: most.or_else(free),
            timeout: self.timeout_s.map(Duration::from_secs),
        }
    }

    pub(super) fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, |it| it.get().min(THREADS_MAX));
        self.threads.unwrap_or_else(|| match self.engine {
            EngineArg::Collapse => all(),
            EngineArg::Stateright => 1,
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct ExploreArgs {
    /// The protocol to explore.
    pub(super) protocol: Protocol,
    /// Where to serve the Explorer; port 0 takes any that is free.
    #[arg(long, value_name = "HOST:PORT", default_value = DEFAULT_ADDRESS)]
    pub(super) address: String,
    #[command(flatten)]
    pub(super) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    /// The protocol to run.
    #[arg(default_value = "basic")]
    pub(super) protocol: Protocol,
    /// Nodes, each of which plays all roles.
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) nodes: u32,
    /// Where the nodes keep their state; a temporary directory if not given. A cluster that is
    /// run again in the same directory remembers what it decided.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// What is done to datagrams: the probabilities of loss, duplication and reordering, all or
    /// some of them. Nothing if not given.
    #[arg(long, value_name = "loss=P,dup=P,reorder=P")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(super) faults: Faults,
    /// Determines the faults, the timeouts, and which node is killed when; drawn if not given.
    #[arg(long, value_name = "K")]
    pub(super) seed: Option<u64>,
    /// Give up, with exit status 3, after so many seconds.
    #[arg(long, value_name = "S", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) timeout_s: u64,
}

/// Where the Explorer is served unless told otherwise.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:3000";

/// How many threads may search; there are few machines with more.
const THREADS_MAX: usize = 256;

/// What searches for violations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum EngineArg {
    /// Our own: exhaustive, breadth-first, with states that are a few numbers each.
    Collapse,
    /// stateright's breadth-first checker.
    Stateright,
}

impl EngineArg {
    /// Its name in results.
    pub(super) fn name(self) -> &'static str {
        match self {
            EngineArg::Collapse => "collapse",
            EngineArg::Stateright => "stateright",
        }
    }

    fn engine(self) -> Engine {
        match self {
            EngineArg::Collapse => Engine::Collapse,
            EngineArg::Stateright => Engine::Stateright,
        }
    }
}

/// Parsed on its own to read the pinned configurations.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
pub(super) struct PinnedArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,
}

/// The configuration of a model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct ModelArgs {
    /// Processes with a role each, or nodes that play them all.
    #[arg(long, value_enum, default_value_t = LayoutArg::Separated)]
    layout: LayoutArg,
    /// Acceptors, at most 64.
    #[arg(long, value_name = "N", default_value_t = 3)]
    acceptors: u32,
    /// Proposers; in the co-located layout at most as many as acceptors.
    #[arg(long, value_name = "N", default_value_t = 2)]
    proposers: u32,
    /// Ballots that each proposer may start.
    #[arg(long, value_name = "N", default_value_t = 2)]
    ballots: u64,
    /// Clients, each with a value of its own that any proposer may come to pursue.
    #[arg(long, value_name = "N", default_value_t = 2)]
    clients: u32,
    /// Crashes with recovery in one run, of any nodes but clients.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = crashes)]
    crashes: usize,
    /// Which acceptors are enough: `majority`, or `flexible:Q1,Q2` with Q1 to prepare and Q2 to
    /// choose.
    #[arg(long, value_name = "SPEC", default_value = "majority")]
    quorums: QuorumSpec,
    /// Whether a save takes effect within its step, or at a later step that a crash may forestall.
    #[arg(long, value_enum, default_value_t = StorageArg::Atomic)]
    storage: StorageArg,
    /// Whether acceptors tell refused proposers so; if not, those find out by waiting.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    nacks: Switch,
    /// Whether clients are part of the model and wait for an answer.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    replies: Switch,
    /// Take interchangeable acceptors for one another.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    symmetry: Switch,
    /// Leave out messages that can never matter again.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    drop_stale: Switch,
    /// Forget votes that can never matter again, and leave out the messages about them.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    forget: Switch,
    /// Postpone steps that nobody sees until the next step of the same process.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    postpone: Switch,
    /// Break one rule of the protocol, to see how that comes to light. Implies `--drop-stale off`,
    /// and the crashes and the storage that the mutant takes.
    #[arg(long, value_name = "NAME", value_parser = mutant, long_help = mutant_help())]
    mutant: Option<&'static Mutant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LayoutArg {
    Separated,
    Colocated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StorageArg {
    Atomic,
    Split,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl ModelArgs {
    /// The configuration asked for, made fit for the mutant if there is one.
    pub(super) fn config(&self) -> Config {
        let config = Config {
            layout: match self.layout {
                LayoutArg::Separated => Layout::Separated,
                LayoutArg::Colocated => Layout::Colocated,
            },
            acceptors: self.acceptors,
            proposers: self.proposers,
            ballots: self.ballots,
            clients: self.clients,
            replies: self.replies == Switch::On,
            nacks: self.nacks == Switch::On,
            crashes: self.crashes,
            quorums: self.quorums,
            storage: match self.storage {
                StorageArg::Atomic => StorageMode::Atomic,
                StorageArg::Split => StorageMode::Split,
            },
            symmetry: self.symmetry == Switch::On,
            drops_stale: self.drop_stale == Switch::On,
            forgets: self.forget == Switch::On,
            postpones: self.postpone == Switch::On,
        };
        match self.mutant {
            Some(mutant) => mutant.prepare(config),
            None => config,
        }
    }

    /// The rule to break, if any.
    pub(super) fn mutant(&self) -> Option<&'static Mutant> {
        self.mutant
    }
}

/// How a configuration is written as flags: each flag, and what it is given.
fn as_flags(config: &Config) -> [(&'static str, String); 14] {
    let switch = |is_on: bool| if is_on { "on" } else { "off" }.to_owned();
    let layout = match config.layout {
        Layout::Separated => "separated",
        Layout::Colocated => "colocated",
    };
    let storage = match config.storage {
        StorageMode::Atomic => "atomic",
        StorageMode::Split => "split",
    };
    [
        ("layout", layout.to_owned()),
        ("acceptors", config.acceptors.to_string()),
        ("proposers", config.proposers.to_string()),
        ("ballots", config.ballots.to_string()),
        ("clients", config.clients.to_string()),
        ("crashes", config.crashes.to_string()),
        ("quorums", config.quorums.to_string()),
        ("storage", storage.to_owned()),
        ("nacks", switch(config.nacks)),
        ("replies", switch(config.replies)),
        ("symmetry", switch(config.symmetry)),
        ("drop-stale", switch(config.drops_stale)),
        ("forget", switch(config.forgets)),
        ("postpone", switch(config.postpones)),
    ]
}

/// The flags that ask for a configuration again: those that differ from what they would be given
/// without a word.
pub(super) fn flags(config: &Config, mutant: Option<&Mutant>) -> String {
    let plain = Config::default();
    let plain = mutant.map_or(plain.clone(), |mutant| mutant.prepare(plain));
    let given = as_flags(config).into_iter().zip(as_flags(&plain));
    let mut flags = String::new();
    for ((flag, value), (_, default)) in given {
        if value != default {
            // Writing to a string cannot fail.
            let _ = write!(flags, " --{flag} {value}");
        }
    }
    if let Some(mutant) = mutant {
        let _ = write!(flags, " --mutant {}", mutant.name);
    }
    flags
}

fn threads(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=THREADS_MAX).contains(number));
    number.ok_or_else(|| format!("expected a number from 1 to {THREADS_MAX}"))
}

fn crashes(text: &str) -> Result<usize, String> {
    let number = text.parse::<u16>().map(usize::from);
    number.map_err(|_| format!("expected a number from 0 to {}", u16::MAX))
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn mutant(name: &str) -> Result<&'static Mutant, String> {
    let names = || {
        mutants::ALL
            .iter()
            .map(|mutant| mutant.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    Mutant::named(name).ok_or_else(|| format!("expected one of: {}", names()))
}

fn mutant_help() -> String {
    let mut help = "Break one rule of the protocol, to see how that comes to light:".to_owned();
    for mutant in mutants::ALL {
        let _ = write!(help, "\n  {:<20}{}", mutant.name, mutant.sentence);
    }
    help
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_ask_for_the_same_configuration_again() {
        let asked = "--layout colocated --acceptors 4 --proposers 3 --ballots 1 --clients 1 \
                     --crashes 2 --quorums flexible:3,2 --storage split --nacks on --replies on \
                     --symmetry off --drop-stale off --forget off --postpone off";
        let parse =
            |text: &str| PinnedArgs::try_parse_from(text.split_whitespace()).map(|a| a.model);
        let model = parse(asked).expect("well-formed");
        let again = parse(&flags(&model.config(), model.mutant())).expect("well-formed");
        assert_eq!(again.config(), model.config());
        assert_eq!(again.mutant(), model.mutant());
        assert_ne!(model.config(), Config::default());
        assert_eq!(flags(&Config::default(), None), "");
        let model = parse("--ballots 1 --mutant ignore-vote").expect("well-formed");
        let again = flags(&model.config(), model.mutant());
        assert_eq!(again, " --ballots 1 --mutant ignore-vote");
    }
}
