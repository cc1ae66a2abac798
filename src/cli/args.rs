//! The arguments, and the help that explains them.

mod bench;
mod certify;

pub(super) use bench::{BenchArgs, Placement};
pub(super) use certify::CertifyArgs;

use super::model::protocols;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use synod::models::protocol::AnyProtocol;
use synod::runtime::Faults;

/// Paxos, written once: check it, explore it, run it.
#[derive(Parser)]
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

#[derive(Subcommand)]
pub(super) enum Command {
    /// Visit every state of a configuration and check every invariant.
    #[command(after_help = super::check::EXAMPLES)]
    #[command(arg_required_else_help = true)]
    Check(super::check::CheckArgs),
    /// Walk through the states of a configuration in the browser.
    #[command(after_help = super::explore::EXAMPLES)]
    Explore(super::explore::ExploreArgs),
    /// Run a cluster on this machine over UDP: clients are at work, a node is killed and restarts.
    #[command(after_help = CLUSTER_EXAMPLES)]
    Cluster(ClusterArgs),
    /// Run a protocol on an imagined network with imagined disks, again and again: with loss,
    /// duplication, reordering, crashes and partitions, all of them told by a seed.
    #[command(after_help = super::simulate::EXAMPLES)]
    Simulate(super::simulate::SimulateArgs),
    /// Break one rule at a time, and see which invariant notices, how soon, in how small a world.
    #[command(after_help = super::mutants::EXAMPLES)]
    Mutants(super::mutants::MutantsArgs),
    /// Play a run to learn from, step by step, each with its reason; or list them.
    #[command(after_help = super::scenarios::EXAMPLES)]
    Scenarios(super::scenarios::ScenariosArgs),
    /// Judge a recorded run: is it one of the proved protocol, and do the actors take its steps?
    #[command(after_help = certify::EXAMPLES)]
    Certify(CertifyArgs),
    /// Run one node of a replicated key-value store, until it is interrupted.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Ask a replicated key-value store for one thing.
    #[command(after_help = KV_EXAMPLES)]
    Kv(KvArgs),
    /// Measure what a commit costs over UDP, beside what the machine itself takes for its messages.
    #[command(after_help = bench::EXAMPLES)]
    Bench(BenchArgs),
    /// Play a part in a benchmark.
    #[command(hide = true)]
    BenchProcess,
    /// Write the file that describes a cluster, to begin with.
    Config(ConfigArgs),
    /// List what must hold, in a sentence each.
    Invariants,
    /// Print the script by which a shell completes these commands.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Write the manual pages.
    Man(ManArgs),
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  synod completions bash > ~/.local/share/bash-completion/completions/synod
  synod completions fish > ~/.config/fish/completions/synod.fish
  synod completions zsh > ~/.zfunc/_synod        with ~/.zfunc in fpath, before compinit";

const CLUSTER_EXAMPLES: &str = "\
Examples:
  synod cluster basic
  synod cluster basic --nodes 5 --faults loss=0.2,dup=0.2,reorder=0.2
  synod cluster multi --dir store           a replicated store, whose leader is killed

Exit status: 0 all agree, and what clients were told is linearizable; 1 something contradicts
something else; 2 wrong usage or failed input or output; 3 the time was up before the end.";

const SERVE_EXAMPLES: &str = "\
Examples:
  synod config --nodes 3 --dir store
  synod serve --config store/cluster.toml --node 0

Exit status: 0 stopped by SIGINT or SIGTERM; 2 wrong usage or failed input or output.";

const KV_EXAMPLES: &str = "\
Examples:
  synod kv put colour red --config store/cluster.toml
  synod kv get colour --read lease --config store/cluster.toml
  synod kv cas colour green --expected red --config store/cluster.toml

Exit status: 0 done; 1 there is no such key to get or delete, or cas found something else than was
expected; 2 wrong usage or failed input or output; 3 no answer in time, or the session expired: then
it is not known whether a write took effect.";

#[derive(Args)]
pub(super) struct ClusterArgs {
    /// The protocol to run.
    #[arg(default_value = "basic", value_parser = protocols())]
    pub(super) protocol: &'static dyn AnyProtocol,
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

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The file that describes the cluster.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Which of its nodes this is.
    #[arg(long, value_name = "ID")]
    pub(super) node: u32,
    /// Serve counters for Prometheus there, under /metrics.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) metrics: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Nodes, one on each machine, or all on this one.
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) nodes: u32,
    /// Where the file `cluster.toml` is written, with a new key. One that is there is left alone.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// Where the first node is; the others are at the ports after it.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7000")]
    pub(super) address: SocketAddr,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Which shell.
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Where to, a page per command; the directory is made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct KvArgs {
    /// The file that describes the cluster.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "cluster.toml"
    )]
    pub(super) config: PathBuf,
    /// Print one JSON object per line.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Give up, with exit status 3, after so many seconds.
    #[arg(long, global = true, value_name = "S", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) timeout_s: u64,
    /// What to ask for.
    #[command(subcommand)]
    pub(super) command: KvCommand,
}

/// What a store can be asked. Keys have up to 256 bytes, values up to 1,024.
#[derive(Debug, Subcommand)]
pub(super) enum KvCommand {
    /// Print what a key holds.
    Get {
        /// The key.
        key: String,
        /// How it is made sure that no write is missed.
        #[arg(long, value_enum, default_value_t = ReadArg::Index)]
        read: ReadArg,
    },
    /// Have a key hold a value.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Have a key hold nothing.
    Delete {
        /// The key.
        key: String,
    },
    /// Have a key hold a value, if it holds what is expected.
    #[command(group = clap::ArgGroup::new("condition").required(true))]
    Cas {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What the key must hold.
        #[arg(long, value_name = "VALUE", group = "condition")]
        expected: Option<String>,
        /// The key must hold nothing.
        #[arg(long, group = "condition")]
        absent: bool,
    },
}

impl KvCommand {
    /// Its name on the command line.
    pub(super) fn name(&self) -> &'static str {
        match self {
            KvCommand::Get { .. } => "get",
            KvCommand::Put { .. } => "put",
            KvCommand::Delete { .. } => "delete",
            KvCommand::Cas { .. } => "cas",
        }
    }

    /// The key that it is about.
    pub(super) fn key(&self) -> &str {
        match self {
            KvCommand::Get { key, .. }
            | KvCommand::Put { key, .. }
            | KvCommand::Delete { key }
            | KvCommand::Cas { key, .. } => key,
        }
    }
}

/// How a read makes sure that it misses no write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReadArg {
    /// It has a place in the log, like a write.
    Log,
    /// The leader asks a quorum whether it still leads.
    Index,
    /// The leader has a lease; if it has none, it asks.
    Lease,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
