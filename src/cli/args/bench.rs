//! The arguments of `synod bench`.

use super::super::bench::{System, last_processor};
use super::{ReadArg, Switch};
use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use synod::multi::How;
use synod::runtime::Faults;

pub(super) const EXAMPLES: &str = "\
Examples:
  synod bench                                    a cluster on this machine, in memory and durable
  synod bench --against floor,stateright --report bench.html
  synod bench --outstanding 64 --payload-bytes 16 --durable off --placement together
  synod bench --rate 5000                        latencies at 5,000 commands per second
  synod bench --config store/cluster.toml        a cluster that runs, wherever its nodes are

Exit status: 0 measured; 2 wrong usage, or something failed.";

/// Takes a number of things within a range.
fn count(range: std::ops::RangeInclusive<i64>) -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u32)
        .range(range)
        .map(|count| count as usize)
}

#[derive(Debug, Args)]
pub(in super::super) struct BenchArgs {
    /// Nodes, each of which plays all roles.
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = count(1..=9))]
    pub(in super::super) nodes: usize,
    /// Clients, each with a session and a socket of its own.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = count(1..=64))]
    pub(in super::super) clients: usize,
    /// Commands that each client has under way at any time; each is followed by the next as soon as
    /// it is answered.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    #[arg(default_values_t = [1, 16, 64, 256, 1024])]
    #[arg(value_parser = count(1..=4000))]
    pub(in super::super) outstanding: Vec<usize>,
    /// Commands per second of each client, whether or not those before are answered: latency counts
    /// from when a command was due. Instead of --outstanding.
    #[arg(long, value_name = "R", conflicts_with_all = ["outstanding", "against"])]
    pub(in super::super) rate: Option<f64>,
    /// The bytes of the value that a command writes. The first is measured with every number of
    /// commands under way, the others with 64.
    #[arg(long, value_name = "B,..", value_delimiter = ',')]
    #[arg(default_values_t = [16, 256, 1024])]
    #[arg(value_parser = count(0..=1024))]
    pub(in super::super) payload_bytes: Vec<usize>,
    /// How many commands of a hundred read, and do not write.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(in super::super) reads: u8,
    /// How they read.
    #[arg(long, value_enum, default_value_t = ReadArg::Lease)]
    read: ReadArg,
    /// How long each measurement takes, in seconds.
    #[arg(long, value_name = "S", default_value_t = 0.08)]
    pub(in super::super) duration_s: f64,
    /// How long the clients are at work before it begins, in seconds.
    #[arg(long, value_name = "S", default_value_t = 0.03)]
    pub(in super::super) warmup_s: f64,
    /// How often everything is measured, in another order each time. Medians are reported.
    #[arg(long, value_name = "N", default_value_t = 14)]
    #[arg(value_parser = count(1..=1000))]
    pub(in super::super) rounds: usize,
    /// Whether nodes make durable what they must not forget before they answer.
    #[arg(long, value_enum, default_value_t = OnOffBoth::Both)]
    durable: OnOffBoth,
    /// Whether clients put commands that they send together into one datagram.
    #[arg(long, value_enum, default_value_t = OnOffBoth::Both)]
    packed: OnOffBoth,
    /// Whether datagrams are authenticated; never those of the others.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    authenticated: Switch,
    /// Up to how many bytes messages share a datagram.
    #[arg(long, value_name = "BYTES", default_value_t = 8192)]
    pub(in super::super) datagram_max: usize,
    /// How long nodes and clients look for datagrams before they give the processor away, in
    /// microseconds.
    #[arg(long, value_name = "US", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub(in super::super) spin_us: u64,
    /// Where the nodes run; the clients are in a process of their own.
    #[arg(long, value_enum, default_value_t = Placement::Processes)]
    pub(in super::super) placement: Placement,
    /// What it runs on. On one processor it is measured how much work a command is, which is much
    /// the same whatever else the machine does; on all, also how the work is shared out.
    #[arg(long, value_enum, default_value_t = Processors::One)]
    processors: Processors,
    /// What is done to datagrams: as with `synod cluster`.
    #[arg(long, value_name = "loss=P,dup=P,reorder=P")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(in super::super) faults: Faults,
    /// What else is measured in the same rounds.
    #[arg(long, value_name = "WHAT,..", value_enum, value_delimiter = ',')]
    against: Vec<Peer>,
    /// How often a leader is killed under load, each in a cluster of its own.
    #[arg(long, value_name = "N", default_value_t = 3)]
    failovers: u32,
    /// Measure as well what is left while a stranger floods the nodes with datagrams that look like
    /// those of a client, but are forged. It has a process of its own, on any processor.
    #[arg(long)]
    pub(in super::super) flood: bool,
    /// Measure a cluster that runs already, which this file describes. Its store is written to.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["against", "nodes", "dir", "faults"])]
    #[arg(conflicts_with_all = ["durable", "placement", "authenticated", "failovers", "flood"])]
    pub(in super::super) config: Option<PathBuf>,
    /// Where durable nodes save; a temporary directory if not given.
    #[arg(long, value_name = "DIR")]
    pub(in super::super) dir: Option<PathBuf>,
    /// Print one JSON object per line: every measurement, and then the result.
    #[arg(long)]
    pub(in super::super) json: bool,
    /// Write the results as a page with pictures.
    #[arg(long, value_name = "FILE.html")]
    pub(in super::super) report: Option<PathBuf>,
}

impl BenchArgs {
    /// What clap cannot check.
    pub(in super::super) fn check(&self) -> Result<(), String> {
        for (flag, seconds) in [
            ("--duration-s", self.duration_s),
            ("--warmup-s", self.warmup_s),
        ] {
            if !(0.01..=3600.0).contains(&seconds) {
                return Err(format!(
                    "{flag}: {seconds} is not from 0.01 to 3600 seconds"
                ));
            }
        }
        if let Some(rate) = self
            .rate
            .filter(|rate| !(1.0..=10_000_000.0).contains(rate))
        {
            return Err(format!("--rate: {rate} is not from 1 to 10000000"));
        }
        let (given, most) = (self.datagram_max, synod::runtime::MAX_DATAGRAM);
        if !(512..=most).contains(&given) {
            return Err(format!("--datagram-max: {given} is not from 512 to {most}"));
        }
        Ok(())
    }

    /// How reads are made; through the log if `None`.
    pub(in super::super) fn how(&self) -> Option<How> {
        match self.read {
            ReadArg::Log => None,
            ReadArg::Index => Some(How::Index),
            ReadArg::Lease => Some(How::Lease),
        }
    }

    /// In memory, durable, or one after the other. Of a cluster that runs it is not known.
    pub(in super::super) fn durable(&self) -> &'static [bool] {
        match self.config {
            None => self.durable.all(),
            Some(_) => &[false],
        }
    }

    pub(in super::super) fn packed(&self) -> &'static [bool] {
        self.packed.all()
    }

    pub(in super::super) fn is_authenticated(&self) -> bool {
        self.authenticated == Switch::On
    }

    /// The only processor to run on; any if none.
    pub(in super::super) fn processor(&self) -> Option<usize> {
        match self.processors {
            Processors::One if self.config.is_none() => last_processor(),
            Processors::One | Processors::All => None,
        }
    }

    /// What is measured, ourselves included.
    pub(in super::super) fn systems(&self) -> Vec<System> {
        let peers = self.against.iter().map(|peer| match peer {
            Peer::Floor => System::Floor,
            Peer::Stateright => System::Stateright,
        });
        let mut systems: Vec<System> = std::iter::once(System::Synod).chain(peers).collect();
        systems.sort_unstable();
        systems.dedup();
        systems
    }

    /// How often a leader is killed: never where nobody could follow, or where it is not ours.
    pub(in super::super) fn failovers(&self) -> u32 {
        let can_follow = self.nodes > 2 && self.config.is_none();
        let is_alone = self.placement == Placement::Processes;
        if can_follow && is_alone {
            self.failovers
        } else {
            0
        }
    }
}

/// What we are measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// The same messages on raw sockets, without a protocol.
    Floor,
    /// The same actors under `stateright::actor::spawn`.
    Stateright,
}

/// Where nodes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum Placement {
    /// Each in a process of its own.
    Processes,
    /// All in one process, each on a thread of its own.
    Threads,
    /// All on one thread, except those of `--against`.
    Together,
}

/// On which processors nodes and clients run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Processors {
    /// All on the same one. Only on Linux; elsewhere on all.
    One,
    /// On any.
    All,
}

/// One, the other, or one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnOffBoth {
    On,
    Off,
    Both,
}

impl OnOffBoth {
    fn all(self) -> &'static [bool] {
        match self {
            OnOffBoth::On => &[true],
            OnOffBoth::Off => &[false],
            OnOffBoth::Both => &[false, true],
        }
    }
}
