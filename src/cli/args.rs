//! The arguments, and the help that explains them.

mod certify;

pub(super) use certify::CertifyArgs;

use super::model::Model;
use super::{config, kv, manual, serve};
use crate::bench;
use crate::models::basic::{self, Layout};
use crate::models::fast;
use crate::models::fast::mutants::Mutant as FastMutant;
use crate::models::multi::mutants::Mutant as MultiMutant;
use crate::models::multi::{self, Reads};
use crate::models::mutants::{self, Mutant};
use crate::models::scenarios;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use synod::checker::search::{Engine, Limits};
use synod::checker::{StorageMode, available_memory};
use synod::quorum::{FastSpec, QuorumSpec};
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
    #[command(arg_required_else_help = true)]
    Check(CheckArgs),
    /// Walk through the states of a configuration in the browser.
    #[command(after_help = EXPLORE_EXAMPLES)]
    Explore(ExploreArgs),
    /// Run a cluster on this machine over UDP: clients are at work, a node is killed and restarts.
    #[command(after_help = CLUSTER_EXAMPLES)]
    Cluster(ClusterArgs),
    /// Run a protocol on an imagined network with imagined disks, again and again: with loss,
    /// duplication, reordering, crashes and partitions, all of them told by a seed.
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateArgs),
    /// Break one rule at a time, and see which invariant notices, how soon, in how small a world.
    #[command(after_help = MUTANTS_EXAMPLES)]
    Mutants(MutantsArgs),
    /// Play a run to learn from, step by step, each with its reason; or list them.
    #[command(after_help = SCENARIOS_EXAMPLES)]
    Scenarios(ScenariosArgs),
    /// Judge a recorded run: is it one of the proved protocol, and do the actors take its steps?
    #[command(after_help = certify::EXAMPLES)]
    Certify(CertifyArgs),
    /// Run one node of a replicated key-value store, until it is interrupted.
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArgs),
    /// Send one command to a replicated key-value store.
    #[command(after_help = kv::EXAMPLES)]
    Kv(kv::KvArgs),
    /// Measure the cost of a commit over UDP, compared with what the machine allows.
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// Run the nodes or clients of a benchmark, in a process of their own.
    #[command(hide = true)]
    BenchProcess,
    /// Write the file of a new cluster.
    Config(config::ConfigArgs),
    /// List what must hold, in a sentence each.
    Invariants,
    /// Print the script with which a shell completes these commands.
    #[command(after_help = manual::COMPLETIONS_EXAMPLES)]
    Completions(manual::CompletionsArgs),
    /// Write the manual pages.
    Man(manual::ManArgs),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  synod check basic                              three acceptors, two proposers, two ballots each
  synod check basic --acceptors 5 --ballots 1 --quorums flexible:4,2
  synod check basic --mutant ignore-vote         break a rule, see the shortest counterexample
  synod check fast --acceptors 4                 clients that ask the acceptors, and collide

Exit status: 0 everything was visited and holds; 1 a counterexample, or an expected example was
not found; 2 wrong usage or failed input or output; 3 stopped at a bound.";

const EXPLORE_EXAMPLES: &str = "\
Examples:
  synod explore basic
  synod explore basic --acceptors 1 --mutant ignore-vote --address 127.0.0.1:8080
  synod explore basic --scenario duel            a run of `synod scenarios`, in the browser";

const MUTANTS_EXAMPLES: &str = "\
Examples:
  synod mutants
  synod mutants vote-below-promise              of each protocol, with a link to the run

Exit status: 0 all were caught; 1 one survived; 2 wrong usage or failed input or output.";

const SCENARIOS_EXAMPLES: &str = "\
Examples:
  synod scenarios                          what there is, in the order in which to read it
  synod scenarios duel                     how two proposers keep each other from deciding
  synod scenarios --file mine.toml         one of your own: copy one from models/scenarios/

Exit status: 0 it ends as it should; 1 it ends otherwise; 2 wrong usage, a step that is not
possible, or failed input or output.";

const CLUSTER_EXAMPLES: &str = "\
Examples:
  synod cluster basic
  synod cluster basic --nodes 5 --faults loss=0.2,dup=0.2,reorder=0.2
  synod cluster multi --dir store           a replicated store, whose leader is killed

Exit status: 0 all agree, and what clients were told is linearizable; 1 something contradicts
something else; 2 wrong usage or failed input or output; 3 the time was up before the end.";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  synod simulate basic --seeds 1000
  synod simulate multi --seeds 1000              five nodes, three clients, a store
  synod simulate basic --seed 7                  one run, the same every time
  synod simulate basic --mutant forget-promise   break a rule, see which seed shows it

Exit status: 0 all runs ended well; 1 something is wrong in one; 2 wrong usage or failed input or
output; 3 a run was not over at its time limit.";

/// A protocol, and a configuration of its model.
#[derive(Debug, Subcommand)]
#[command(next_help_heading = "Configuration")]
pub(super) enum ModelArgs {
    /// Basic Paxos: one decree.
    Basic(BasicArgs),
    /// Multi-Paxos: a log of decrees under one leader, and the machine that it drives.
    Multi(MultiArgs),
    /// Fast Paxos: one decree, for which clients ask the acceptors themselves.
    Fast(FastArgs),
}

impl ModelArgs {
    /// The model asked for.
    pub(super) fn model(&self) -> Model {
        match self {
            ModelArgs::Basic(args) => Model::Basic(args.config(), args.mutant),
            ModelArgs::Multi(args) => Model::Multi(args.config(), args.mutant),
            ModelArgs::Fast(args) => Model::Fast(args.config(), args.mutant),
        }
    }
}

/// A protocol that runs over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// Basic Paxos: one decree.
    Basic,
    /// Multi-Paxos: a log of decrees, and the key-value store that it drives.
    Multi,
    /// Fast Paxos: one decree, for which clients ask the acceptors themselves.
    Fast,
}

impl Protocol {
    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Protocol::Basic => "basic",
            Protocol::Multi => "multi",
            Protocol::Fast => "fast",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Check every pinned configuration that is marked small, against its expected counts.
    #[arg(long)]
    pub(super) all: bool,
    /// What searches.
    #[arg(long, global = true, value_enum, default_value_t = EngineArg::Collapse)]
    pub(super) engine: EngineArg,
    /// Threads to search with. By default as many as there are processors, or with stateright one:
    /// with more, the depth that it reports may exceed the true one.
    #[arg(long, global = true, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
    /// Take independent steps in one order only (collapse engine); changes no count.
    #[arg(long, global = true, value_enum, default_value_t = Switch::On)]
    commute: Switch,
    /// Stop, with exit status 3, after about so many unique states.
    #[arg(long, global = true, value_name = "N", value_parser = positive)]
    pub(super) max_states: Option<usize>,
    /// Stop, with exit status 3, before the process takes more memory than this (collapse engine).
    /// By default nine tenths of what is free.
    #[arg(long, global = true, value_name = "GIB", value_parser = positive)]
    max_memory_gib: Option<usize>,
    /// Stop, with exit status 3, after so many seconds.
    #[arg(long, global = true, value_name = "S")]
    pub(super) timeout_s: Option<u64>,
    /// Print one JSON object per line.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Write to FILE each distinct call of a node's handlers that the search makes, and what came
    /// of it: `proofs/` compares them with the handlers that are proved.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) dump_steps: Option<PathBuf>,
    /// And so many calls more of each protocol, at random: in states that are drawn, or in walks of
    /// clusters that are.
    #[arg(
        long,
        global = true,
        value_name = "N",
        requires = "dump_steps",
        default_value_t = 0
    )]
    pub(super) random_steps: usize,
    /// The protocol to check.
    #[command(subcommand)]
    pub(super) protocol: Option<ModelArgs>,
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
    /// Where to serve the Explorer; port 0 takes any that is free.
    #[arg(long, global = true, value_name = "HOST:PORT", default_value = DEFAULT_ADDRESS)]
    pub(super) address: String,
    /// Open a run of `synod scenarios`, which brings its own configuration.
    #[arg(long, global = true, value_name = "NAME", hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(scenarios()))]
    pub(super) scenario: Option<String>,
    /// The protocol to explore.
    #[command(subcommand)]
    pub(super) protocol: ModelArgs,
}

/// The names of the scenarios.
fn scenarios() -> impl Iterator<Item = &'static str> {
    scenarios::ALL.iter().map(|(name, _)| *name)
}

#[derive(Debug, Args)]
pub(super) struct ScenariosArgs {
    /// Which; a list of them if not given.
    #[arg(value_parser = PossibleValuesParser::new(scenarios()), hide_possible_values = true)]
    pub(super) name: Option<String>,
    /// One of your own, in a file like those in models/scenarios/.
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    pub(super) file: Option<PathBuf>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct MutantsArgs {
    /// Which; all of them if not given.
    #[arg(value_parser = any_mutant(), hide_possible_values = true)]
    pub(super) name: Option<String>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(super) json: bool,
}

impl MutantsArgs {
    /// One thread: most searches are over before a second would help. A mutant that survives is
    /// given up when the memory is full.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            bytes_max: available_memory().map(|free| free / 10 * 9),
            ..Limits::default()
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// The protocol to simulate.
    pub(super) protocol: Protocol,
    /// Nodes, each of which plays all roles. By default 3, of Multi-Paxos 5.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    nodes: Option<u32>,
    /// Clients of Multi-Paxos, 3 by default. Basic Paxos and Fast Paxos have two.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) clients: Option<u32>,
    /// So many runs, one seed after the other. By default 100, or one if the seed is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) seeds: Option<u64>,
    /// The first seed, which determines all that happens in its run; 0 if not given.
    #[arg(long, value_name = "K")]
    pub(super) seed: Option<u64>,
    /// Break one rule of the protocol, to see that it comes to light.
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    #[arg(value_parser = mutant(), long_help = mutant_help())]
    pub(super) mutant: Option<&'static Mutant>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(super) json: bool,
}

impl SimulateArgs {
    /// How many nodes there are.
    pub(super) fn nodes(&self) -> u32 {
        self.nodes.unwrap_or(match self.protocol {
            Protocol::Basic | Protocol::Fast => 3,
            Protocol::Multi => 5,
        })
    }
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
    /// Record every step of every process in a file of this directory, as a line of JSON.
    #[arg(long, value_name = "DIR")]
    pub(super) trace: Option<PathBuf>,
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
    #[command(subcommand)]
    pub(super) protocol: ModelArgs,
}

/// What all models have in common: who there is, and what may happen.
#[derive(Debug, Args)]
struct WorldArgs {
    /// Acceptors, at most 64.
    #[arg(long, value_name = "N", default_value_t = 3)]
    acceptors: u32,
    /// Clients, each with a value of its own that any node may come to pursue.
    #[arg(long, value_name = "N", default_value_t = 2)]
    clients: u32,
    /// Crashes with recovery in one run, of any nodes but clients.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = crashes)]
    crashes: usize,
    /// Whether a save takes effect within its step, or at a later step that a crash may forestall.
    #[arg(long, value_enum, default_value_t = StorageArg::Atomic)]
    storage: StorageArg,
    /// Whether acceptors tell whom they refuse so; if not, those find out by waiting.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    nacks: Switch,
    /// Whether clients are part of the model and wait for an answer.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    replies: Switch,
    /// Take acceptors that differ in nothing for one another, and clients and learners likewise.
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
}

/// Who proposes, and which quorums it takes, where no ballot is fast.
#[derive(Debug, Args)]
struct ProposerArgs {
    /// Proposers; in the co-located layout at most as many as acceptors.
    #[arg(long, value_name = "N", default_value_t = 2)]
    proposers: u32,
    /// Which acceptors are enough: `majority`, or `flexible:Q1,Q2` with Q1 to prepare and Q2 to
    /// choose.
    #[arg(long, value_name = "SPEC", default_value = "majority")]
    quorums: QuorumSpec,
}

/// The configuration of the model of Basic Paxos.
#[derive(Debug, Args)]
pub(super) struct BasicArgs {
    /// Processes with a role each, or nodes that play them all.
    #[arg(long, value_enum, default_value_t = LayoutArg::Separated)]
    layout: LayoutArg,
    #[command(flatten)]
    proposers: ProposerArgs,
    /// Learners that are processes of their own. With 0 nobody comes to know what is chosen, and
    /// what is checked is the votes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    learners: u32,
    /// Whether a client asks every proposer, or one: clients take them in turn.
    #[arg(long, value_enum, default_value_t = AsksArg::All)]
    ask: AsksArg,
    #[command(flatten)]
    world: WorldArgs,
    /// Ballots that each proposer may start.
    #[arg(long, value_name = "N", default_value_t = 2)]
    ballots: u64,
    /// Break one rule of the protocol, to see how that comes to light. Implies `--drop-stale off`,
    /// and the crashes and the storage that the mutant takes.
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    #[arg(value_parser = mutant(), long_help = mutant_help())]
    mutant: Option<&'static Mutant>,
}

/// The configuration of the model of Multi-Paxos.
#[derive(Debug, Args)]
pub(super) struct MultiArgs {
    /// Who plays which role.
    #[arg(long, value_enum, default_value_t = MultiLayoutArg::Separated)]
    layout: MultiLayoutArg,
    #[command(flatten)]
    proposers: ProposerArgs,
    #[command(flatten)]
    world: WorldArgs,
    /// Ballots that each proposer may start.
    #[arg(long, value_name = "N", default_value_t = 1)]
    ballots: u64,
    /// Slots of the log.
    #[arg(long, value_name = "N", default_value_t = 2)]
    slots: u64,
    /// Slots that may be under way at a time.
    #[arg(long, value_name = "N", default_value_t = 2)]
    window: usize,
    /// Requests that one slot takes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// Whether requests wait for others to share a slot with, as they do over UDP.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    gather: Switch,
    /// How the last client reads, once its write is answered. Needs `--replies on`.
    #[arg(long, value_enum, default_value_t = ReadsArg::None)]
    reads: ReadsArg,
    /// Clients open sessions, of which so many are kept at a time; if not given, every client has
    /// one from the start. Needs `--replies on`.
    #[arg(long, value_name = "N")]
    sessions: Option<u64>,
    /// A snapshot takes the place of so many entries; never if not given.
    #[arg(long, value_name = "N")]
    snapshot: Option<u64>,
    /// Bytes of a snapshot, or of several entries or votes, in one message.
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    chunk: usize,
    /// Whether leaders show signs of life.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    heartbeats: Switch,
    /// Leases: how many ticks acceptors hold off others for, and how many fewer a leader counts on.
    /// Needs `--heartbeats on`.
    #[arg(long, value_name = "D,M", value_parser = pair)]
    lease: Option<(u64, u64)>,
    /// What is assumed of clocks, where there are leases: how many ticks two may come apart, and
    /// when they stop.
    #[arg(long, value_name = "DRIFT,END", value_parser = pair, default_value = "1,5")]
    clocks: (u64, u64),
    /// Break one rule of the protocol, to see how that comes to light. Implies what the mutant
    /// takes.
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    #[arg(value_parser = multi_mutant(), long_help = multi_mutant_help())]
    mutant: Option<&'static MultiMutant>,
}

/// The configuration of the model of Fast Paxos.
#[derive(Debug, Args)]
pub(super) struct FastArgs {
    /// Processes with a role each, or nodes that play them all.
    #[arg(long, value_enum, default_value_t = LayoutArg::Separated)]
    layout: LayoutArg,
    /// Coordinators; in the co-located layout at most as many as acceptors.
    #[arg(long, value_name = "N", default_value_t = 1)]
    coordinators: u32,
    /// Which acceptors are enough: `fast:QC,QF` with QC for a classic quorum and QF for a fast one,
    /// or `fast:Q1,Q2,QF` with Q1 to prepare and Q2 to choose in a classic ballot. By default
    /// majorities, and the smallest fast quorums that go with them.
    #[arg(long, value_name = "SPEC")]
    quorums: Option<FastSpec>,
    #[command(flatten)]
    world: WorldArgs,
    /// Rounds, each of which has a ballot for each coordinator.
    #[arg(long, value_name = "N", default_value_t = 2)]
    ballots: u64,
    /// How many rounds, the first ones, are fast.
    #[arg(long, value_name = "N", default_value_t = 1)]
    fast_rounds: u64,
    /// Break one rule of the protocol, to see how that comes to light. Implies `--drop-stale off`,
    /// and the crashes and the storage that the mutant takes.
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    #[arg(value_parser = fast_mutant(), long_help = fast_mutant_help())]
    mutant: Option<&'static FastMutant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LayoutArg {
    Separated,
    Colocated,
}

impl From<LayoutArg> for Layout {
    fn from(layout: LayoutArg) -> Self {
        match layout {
            LayoutArg::Separated => Layout::Separated,
            LayoutArg::Colocated => Layout::Colocated,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AsksArg {
    All,
    One,
}

impl From<AsksArg> for basic::Asks {
    fn from(asks: AsksArg) -> Self {
        match asks {
            AsksArg::All => basic::Asks::All,
            AsksArg::One => basic::Asks::One,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MultiLayoutArg {
    /// Acceptors, and proposers that learn.
    Separated,
    /// Acceptors that learn, and proposers.
    Learning,
    /// Nodes that are acceptors and learners, some of them proposers too.
    Colocated,
}

impl From<MultiLayoutArg> for multi::Layout {
    fn from(layout: MultiLayoutArg) -> Self {
        match layout {
            MultiLayoutArg::Separated => multi::Layout::Separated,
            MultiLayoutArg::Learning => multi::Layout::Learning,
            MultiLayoutArg::Colocated => multi::Layout::Colocated,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StorageArg {
    Atomic,
    Split,
}

impl From<StorageArg> for StorageMode {
    fn from(storage: StorageArg) -> Self {
        match storage {
            StorageArg::Atomic => StorageMode::Atomic,
            StorageArg::Split => StorageMode::Split,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReadsArg {
    /// It does not.
    None,
    /// Through the log, like a write.
    Log,
    /// The leader asks a quorum whether it still leads.
    Index,
    /// The leader has a lease; if not, it asks.
    Lease,
}

impl From<ReadsArg> for Reads {
    fn from(reads: ReadsArg) -> Self {
        match reads {
            ReadsArg::None => Reads::None,
            ReadsArg::Log => Reads::Log,
            ReadsArg::Index => Reads::Index,
            ReadsArg::Lease => Reads::Lease,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Switch {
    fn is_on(self) -> bool {
        self == Switch::On
    }
}

impl BasicArgs {
    /// The configuration asked for, made fit for the mutant if there is one.
    fn config(&self) -> basic::Config {
        let world = &self.world;
        let config = basic::Config {
            layout: self.layout.into(),
            acceptors: world.acceptors,
            proposers: self.proposers.proposers,
            learners: self.learners,
            ballots: self.ballots,
            clients: world.clients,
            asks: self.ask.into(),
            replies: world.replies.is_on(),
            nacks: world.nacks.is_on(),
            crashes: world.crashes,
            quorums: self.proposers.quorums,
            storage: world.storage.into(),
            symmetry: world.symmetry.is_on(),
            drops_stale: world.drop_stale.is_on(),
            forgets: world.forget.is_on(),
            postpones: world.postpone.is_on(),
        };
        match self.mutant {
            Some(mutant) => mutant.prepare(config),
            None => config,
        }
    }
}

impl MultiArgs {
    /// The configuration asked for, made fit for the mutant if there is one.
    fn config(&self) -> multi::Config {
        let world = &self.world;
        let config = multi::Config {
            layout: self.layout.into(),
            acceptors: world.acceptors,
            proposers: self.proposers.proposers,
            ballots: self.ballots,
            slots: self.slots,
            clients: world.clients,
            replies: world.replies.is_on(),
            reads: self.reads.into(),
            sessions: self.sessions,
            window: self.window,
            batch: self.batch,
            gathers: self.gather == Switch::On,
            snapshot: self.snapshot,
            chunk: self.chunk,
            heartbeats: self.heartbeats.is_on(),
            lease: self.lease,
            clocks: self.clocks,
            nacks: world.nacks.is_on(),
            crashes: world.crashes,
            quorums: self.proposers.quorums,
            storage: world.storage.into(),
            symmetry: world.symmetry.is_on(),
            drops_stale: world.drop_stale.is_on(),
            forgets: world.forget.is_on(),
            postpones: world.postpone.is_on(),
        };
        match self.mutant {
            Some(mutant) => mutant.prepare(config),
            None => config,
        }
    }
}

impl FastArgs {
    /// The configuration asked for, made fit for the mutant if there is one.
    fn config(&self) -> fast::Config {
        let world = &self.world;
        let config = fast::Config {
            layout: self.layout.into(),
            acceptors: world.acceptors,
            coordinators: self.coordinators,
            ballots: self.ballots,
            fast: self.fast_rounds,
            clients: world.clients,
            replies: world.replies.is_on(),
            nacks: world.nacks.is_on(),
            crashes: world.crashes,
            quorums: self.quorums,
            storage: world.storage.into(),
            symmetry: world.symmetry.is_on(),
            drops_stale: world.drop_stale.is_on(),
            forgets: world.forget.is_on(),
            postpones: world.postpone.is_on(),
        };
        match self.mutant {
            Some(mutant) => mutant.prepare(config),
            None => config,
        }
    }
}

fn pair(text: &str) -> Result<(u64, u64), String> {
    let parse = |(a, b): (&str, &str)| Some((a.parse().ok()?, b.parse().ok()?));
    let pair = text.split_once(',').and_then(parse);
    pair.ok_or_else(|| "expected two numbers, such as 2,1".to_owned())
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

/// Names that shells complete and clap suggests, each with what it stands for.
fn names(all: impl IntoIterator<Item = (&'static str, &'static str)>) -> PossibleValuesParser {
    let values = all.into_iter();
    PossibleValuesParser::new(values.map(|(name, help)| PossibleValue::new(name).help(help)))
}

fn mutant() -> impl TypedValueParser<Value = &'static Mutant> {
    let all = mutants::ALL.iter().chain(mutants::HARMLESS);
    let parser = names(all.map(|it| (it.name, it.sentence)));
    parser.try_map(|name| Mutant::named(&name).ok_or("there is no such mutant"))
}

fn multi_mutant() -> impl TypedValueParser<Value = &'static MultiMutant> {
    let all = multi::mutants::ALL.iter().chain(multi::mutants::HARMLESS);
    let parser = names(all.map(|it| (it.name, it.sentence)));
    parser.try_map(|name| MultiMutant::named(&name).ok_or("there is no such mutant"))
}

fn fast_mutant() -> impl TypedValueParser<Value = &'static FastMutant> {
    let all = fast::mutants::ALL.iter().chain(fast::mutants::HARMLESS);
    let parser = names(all.map(|it| (it.name, it.sentence)));
    parser.try_map(|name| FastMutant::named(&name).ok_or("there is no such mutant"))
}

/// The mutants of all protocols, of which some share a name.
fn any_mutant() -> PossibleValuesParser {
    let basic = mutants::ALL.iter().chain(mutants::HARMLESS);
    let basic = basic.map(|it| (it.name, it.sentence));
    let multi = multi::mutants::ALL.iter().chain(multi::mutants::HARMLESS);
    let multi = multi.map(|it| (it.name, it.sentence));
    let fast = fast::mutants::ALL.iter().chain(fast::mutants::HARMLESS);
    let fast = fast.map(|it| (it.name, it.sentence));
    names(basic.chain(multi).chain(fast).collect::<BTreeMap<_, _>>())
}

fn list<'a>(mutants: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut help = "Break one rule of the protocol, to see how that comes to light:".to_owned();
    for (name, sentence) in mutants {
        let _ = write!(help, "\n  {name:<22}{sentence}");
    }
    help
}

fn mutant_help() -> String {
    list(mutants::ALL.iter().map(|it| (it.name, it.sentence)))
}

fn multi_mutant_help() -> String {
    list(multi::mutants::ALL.iter().map(|it| (it.name, it.sentence)))
}

fn fast_mutant_help() -> String {
    list(fast::mutants::ALL.iter().map(|it| (it.name, it.sentence)))
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
        let parse = |text: &str| {
            let parsed = PinnedArgs::try_parse_from(text.split_whitespace());
            parsed.expect("well-formed").protocol.model()
        };
        for (asked, plain) in [
            (
                "basic --layout colocated --acceptors 4 --proposers 3 --ballots 1 --clients 1 \
                 --crashes 2 --quorums flexible:3,2 --storage split --nacks on --replies on \
                 --symmetry off --drop-stale off --forget off --postpone off",
                "basic",
            ),
            (
                "multi --layout colocated --acceptors 4 --proposers 3 --ballots 2 --slots 3 \
                 --clients 1 --replies on --reads lease --sessions 1 --window 1 --batch 3 \
                 --gather on --snapshot 2 --chunk 8 --heartbeats on --lease 2,1 --clocks 2,7 \
                 --nacks on \
                 --crashes 2 --quorums flexible:3,2 --storage split --symmetry off \
                 --drop-stale off --forget off --postpone off",
                "multi",
            ),
            (
                "fast --layout colocated --acceptors 4 --coordinators 3 --ballots 3 \
                 --fast-rounds 2 --clients 1 --crashes 2 --quorums fast:4,2,3 --storage split \
                 --nacks on --replies on --symmetry off --drop-stale off --forget off \
                 --postpone off",
                "fast",
            ),
            (
                "basic --ballots 1 --mutant ignore-vote",
                "basic --mutant ignore-vote",
            ),
        ] {
            let model = parse(asked);
            assert_eq!(parse(&model.command()), model);
            assert_ne!(parse(plain), model, "{asked}");
            assert_eq!(parse(plain).command(), plain);
        }
        let command = parse("basic --ballots 1 --mutant ignore-vote").command();
        assert_eq!(command, "basic --ballots 1 --mutant ignore-vote");
    }
}
