//! The arguments of `synod bench`.

use super::measure::last_processor;
use crate::console::store::ReadArg;
use crate::models::config::{number, switch};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use synod::runtime::{Faults, FaultsError, MAX_DATAGRAM};

/// The examples below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  synod bench                                    a cluster on this machine, in memory and durable
  synod bench --against floor,stateright --report bench.html
  synod bench --outstanding 64 --payload-bytes 16 --durable off --placement together
  synod bench --rate 5000                        latencies at 5,000 commands per second
  synod bench --config store/cluster.toml        a running cluster, wherever its nodes are

Exit status: 0 measured; 2 wrong usage, or something failed.";

/// A parser of `on`, `off` or `both`.
fn switches() -> impl TypedValueParser<Value = &'static [bool]> {
    let parser = PossibleValuesParser::new(["on", "off", "both"]);
    parser.map(|text| -> &'static [bool] {
        match text.as_str() {
            "on" => &[true],
            "off" => &[false],
            _ => &[false, true],
        }
    })
}

/// A parser of faults, which are kept as text.
fn faults(text: &str) -> Result<String, FaultsError> {
    text.parse::<Faults>().map(|faults| faults.to_string())
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(super) conditions: Conditions,
    /// Commands that each client has outstanding at any time; each is followed by the next as soon
    /// as it is answered.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    #[arg(default_values_t = [1, 16, 64, 256, 1024], value_parser = number(1..=4000_usize))]
    pub(super) outstanding: Vec<usize>,
    /// Commands per second of each client, whether or not earlier ones are answered: latency counts
    /// from when a command was due. Replaces --outstanding.
    #[arg(long, value_name = "R", value_parser = number(1.0..=10_000_000.0))]
    #[arg(conflicts_with_all = ["outstanding", "against"])]
    pub(super) rate: Option<f64>,
    /// The bytes of the value that a command writes. The first size is measured with every number
    /// of outstanding commands, the others with 64.
    #[arg(long, value_name = "B,..", value_delimiter = ',')]
    #[arg(default_values_t = [16, 256, 1024], value_parser = number(0..=1024_usize))]
    pub(super) payload_bytes: Vec<usize>,
    /// The percentage of commands that read instead of writing.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    #[arg(value_parser = number(0..=100_u8))]
    pub(super) reads: u8,
    /// The way in which commands read.
    #[arg(long, value_enum, default_value_t = ReadArg::Lease)]
    pub(super) read: ReadArg,
    /// Nodes make durable what they must not forget before they answer.
    #[arg(long, default_value = "both", value_parser = switches())]
    durable: &'static [bool],
    /// Clients put commands that they send together into one datagram.
    #[arg(long, default_value = "both", value_parser = switches())]
    pub(super) packed: &'static [bool],
    /// The processors that nodes and clients run on.
    #[arg(long, value_enum, default_value_t = Processors::One)]
    processors: Processors,
    /// The systems that are measured beside Synod, in the same rounds.
    #[arg(long, value_name = "SYSTEM,..", value_enum, value_delimiter = ',')]
    against: Vec<System>,
    /// The number of times that a leader is killed under load, each in a cluster of its own.
    #[arg(long, value_name = "N", default_value_t = 3)]
    failovers: u32,
    /// Measure also the throughput that is left while an outsider floods the nodes with forged
    /// datagrams, which look like those of a client. It runs in a process of its own, on any
    /// processor.
    #[arg(long)]
    pub(super) flood: bool,
    /// Measure the running cluster that this file describes. Its store is written to.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["against", "nodes", "dir", "faults"])]
    #[arg(conflicts_with_all = ["durable", "placement", "authenticated", "failovers", "flood"])]
    pub(super) config: Option<PathBuf>,
    /// The directory in which durable nodes save; a temporary one by default.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Print one JSON object per line: every measurement, and then the result.
    #[arg(long)]
    pub(super) json: bool,
    /// Write the results as a page with charts.
    #[arg(long, value_name = "FILE.html")]
    pub(super) report: Option<PathBuf>,
}

/// The conditions under which everything is measured, which the results repeat.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(super) struct Conditions {
    /// Nodes, each of which plays all roles.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = number(1..=9_usize))]
    pub(super) nodes: usize,
    /// Clients, each with a session and a socket of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number(1..=64_usize))]
    pub(super) clients: usize,
    /// The place where the nodes run; the clients are in a process of their own.
    #[arg(long, value_enum, default_value_t = Placement::Processes)]
    pub(super) placement: Placement,
    /// The duration of each measurement, in seconds.
    #[arg(long, value_name = "S", default_value_t = 0.08, value_parser = number(0.01..=3600.0))]
    pub(super) duration_s: f64,
    /// The time for which clients are at work before a measurement begins, in seconds.
    #[arg(long, value_name = "S", default_value_t = 0.03, value_parser = number(0.01..=3600.0))]
    pub(super) warmup_s: f64,
    /// Rounds, each of which measures everything, in another order. Medians are reported.
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = number(1..=1000_usize))]
    pub(super) rounds: usize,
    /// The nodes and clients of Synod authenticate datagrams.
    #[arg(long, default_value = "on", value_parser = switch(), action = ArgAction::Set)]
    pub(super) authenticated: bool,
    /// The size in bytes up to which messages share a datagram.
    #[arg(long, value_name = "BYTES", default_value_t = 8192)]
    #[arg(value_parser = number(512..=MAX_DATAGRAM))]
    pub(super) datagram_max: usize,
    /// The time for which nodes and clients poll for datagrams before they yield the processor, in
    /// microseconds.
    #[arg(long, value_name = "US", default_value_t = 0)]
    #[arg(value_parser = number(0..=10_000_u64))]
    pub(super) spin_us: u64,
    /// The probabilities of faults of datagrams, as for `synod cluster`.
    #[arg(long, value_name = "loss=P,dup=P,reorder=P", value_parser = faults)]
    #[arg(default_value = "", hide_default_value = true)]
    pub(super) faults: String,
}

impl BenchArgs {
    /// The kinds of storage to measure: in memory (`false`), durable, or both. Nobody knows that of
    /// a running cluster.
    pub(super) fn durable(&self) -> &'static [bool] {
        match self.config {
            None => self.durable,
            Some(_) => &[false],
        }
    }

    /// The only processor to run on, or `None` for any.
    pub(super) fn processor(&self) -> Option<usize> {
        match self.processors {
            Processors::One if self.config.is_none() => last_processor(),
            Processors::One | Processors::All => None,
        }
    }

    /// The systems to measure, Synod first.
    pub(super) fn systems(&self) -> Vec<System> {
        let mut systems = self.against.clone();
        systems.push(System::Synod);
        systems.sort_unstable();
        systems.dedup();
        systems
    }

    /// The number of leaders to kill: none if no majority is left, or if the cluster is not ours.
    pub(super) fn failovers(&self) -> u32 {
        let can_follow = self.conditions.nodes > 2 && self.config.is_none();
        let is_alone = self.conditions.placement == Placement::Processes;
        if can_follow && is_alone {
            self.failovers
        } else {
            0
        }
    }
}

/// A system that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum System {
    /// Multi-Paxos on our runtime.
    #[value(skip)]
    Synod,
    /// The same messages on raw sockets, without a protocol.
    Floor,
    /// The same actors under `stateright::actor::spawn`.
    Stateright,
}

impl System {
    pub(super) fn name(self) -> &'static str {
        match self {
            System::Synod => "synod",
            System::Floor => "floor",
            System::Stateright => "stateright",
        }
    }
}

/// The place where nodes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Placement {
    /// Each in a process of its own.
    Processes,
    /// All in one process, each on a thread of its own.
    Threads,
    /// All on one thread, except those of `--against`.
    Together,
}

/// The processors that nodes and clients run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Processors {
    /// The same one, on Linux: this measures the work of a command, whatever else the machine does.
    One,
    /// Any: this measures also how well the work is shared among processors.
    All,
}
