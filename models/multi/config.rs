//! Configurations of Multi-Paxos to check.

use super::Multi;
use super::machine::{Command, Register};
use crate::models::config::{self, ConfigError, Flags, Nodes, Shared, switch};
use crate::models::mutant::{Broken, Mutated};
use clap::{ArgAction, Args, ValueEnum};
use std::sync::Arc;
use std::time::Duration;
use synod::backoff::Backoff;
use synod::checker::Clocks;
use synod::multi::lease::LeaseTimes;
use synod::multi::{Client, Clock, Cluster, Limits, Operation, Process, ReadMode, Sessions, Task};
use synod::quorum::QuorumSpec;

/// The processes that play the roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Acceptors are processes of their own, and so are proposers, which learn what is decided.
    #[default]
    Separated,
    /// Acceptors learn, proposers are processes of their own.
    Learning,
    /// Each node is an acceptor and a learner, and the first few are proposers too.
    Colocated,
}

/// The way in which the last client reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Reads {
    /// It does not read.
    #[default]
    None,
    /// Through the log, like a write.
    Log,
    /// The leader asks a quorum whether it still leads.
    Index,
    /// The leader has a lease; if it has none, it asks.
    Lease,
}

/// A configuration to check.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Config {
    /// The settings that all protocols share.
    #[command(flatten)]
    pub shared: Shared,
    /// The processes that play the roles.
    #[arg(long, value_enum, default_value_t = Layout::Separated)]
    pub layout: Layout,
    /// Proposers; in the co-located layout at most as many as acceptors.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub proposers: u32,
    /// Ballots that each proposer may start.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub ballots: u64,
    /// Slots of the log.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub slots: u64,
    /// Quorums: `majority`, or `flexible:Q1,Q2` with Q1 acceptors to prepare and Q2 to choose.
    #[arg(long, value_name = "SPEC", default_value = "majority")]
    pub quorums: QuorumSpec,
    /// Slots that may be open at a time.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub window: usize,
    /// Requests that one slot takes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub batch: usize,
    /// Requests wait for others to share a slot with, as they do over UDP.
    #[arg(long, action = ArgAction::Set, value_parser = switch(), default_value = "off")]
    pub gather: bool,
    /// The last client's read, once its write is answered. Needs `--replies on`.
    #[arg(long, value_enum, default_value_t = Reads::None)]
    pub reads: Reads,
    /// Sessions that are kept at a time, which clients open themselves; if not given, every client
    /// has one from the start. Needs `--replies on`.
    #[arg(long, value_name = "N")]
    pub sessions: Option<u64>,
    /// Entries that a snapshot replaces; there are no snapshots if not given.
    #[arg(long, value_name = "N")]
    pub snapshot: Option<u64>,
    /// Bytes of a snapshot, or of several entries or votes, in one message.
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    pub chunk: usize,
    /// Leaders send heartbeats.
    #[arg(long, action = ArgAction::Set, value_parser = switch(), default_value = "off")]
    pub heartbeats: bool,
    /// Leases: the ticks for which acceptors hold off other leaders, and how many fewer a leader
    /// counts on. Needs `--heartbeats on`.
    #[arg(long, value_name = "D,M", value_parser = pair)]
    pub lease: Option<(u64, u64)>,
    /// Clocks, where there are leases: the ticks that two may differ by, and the tick at which they
    /// stop.
    #[arg(long, value_name = "DRIFT,END", value_parser = pair, default_value = "1,5")]
    pub clocks: (u64, u64),
}

impl Default for Config {
    fn default() -> Self {
        Self::plain()
    }
}

fn pair(text: &str) -> Result<(u64, u64), String> {
    let parse = |(a, b): (&str, &str)| Some((a.parse().ok()?, b.parse().ok()?));
    let pair = text.split_once(',').and_then(parse);
    pair.ok_or_else(|| "expected two numbers, such as 2,1".to_owned())
}

impl Config {
    /// The nodes by role.
    fn nodes(&self) -> Result<Nodes, ConfigError> {
        let layout = match self.layout {
            Layout::Separated | Layout::Learning => config::Layout::Separated,
            Layout::Colocated => config::Layout::Colocated,
        };
        let mut nodes = layout.nodes(&self.shared, ("--proposers", self.proposers), 0)?;
        match self.layout {
            // A learner that does nothing else would add little.
            Layout::Separated => nodes.learners.clone_from(&nodes.proposers),
            Layout::Learning => nodes.learners = nodes.acceptors.iter().collect(),
            Layout::Colocated => {}
        }
        Ok(nodes)
    }

    /// What each client does. The last one reads as well.
    fn tasks(&self, client: u32) -> Vec<Task<Command>> {
        let value = char::from(b'a' + ((23 + client) % 26) as u8);
        let mut tasks = vec![Task::Do(Command::Write(value))];
        if client + 1 == self.shared.clients {
            tasks.extend(match self.reads {
                Reads::None => None,
                Reads::Log => Some(Task::Do(Command::Read)),
                Reads::Index => Some(Task::Read(Command::Read, ReadMode::Index)),
                Reads::Lease => Some(Task::Read(Command::Read, ReadMode::Lease)),
            });
        }
        tasks
    }

    fn check(&self) -> Result<(), ConfigError> {
        ConfigError::count("--ballots", self.ballots, u64::MAX)?;
        ConfigError::count("--slots", self.slots, u64::MAX)?;
        ConfigError::count("--window", self.window as u64, u64::MAX)?;
        if self.lease.is_some() {
            ConfigError::count("--clocks", self.clocks.0, u64::MAX)?;
        }
        ConfigError::count("--batch", self.batch as u64, u64::MAX)?;
        let needs = |flag, needed| Err(ConfigError::Needs { flag, needed });
        if self.reads != Reads::None && !self.shared.replies {
            return needs("--reads", "--replies on");
        }
        if self.sessions.is_some() && !self.shared.replies {
            return needs("--sessions", "--replies on");
        }
        if self.reads == Reads::Lease && self.lease.is_none() {
            return needs("--reads lease", "--lease");
        }
        if self.lease.is_some() && !self.heartbeats {
            return needs("--lease", "--heartbeats on");
        }
        Ok(())
    }

    /// The system of this configuration, with the rule of `mutant` broken.
    ///
    /// # Errors
    /// If a count is out of range, one setting needs another, or the quorums do not intersect.
    pub fn system(&self, mutant: Broken<Process<Register>>) -> Result<Multi, ConfigError> {
        let nodes = self.nodes()?;
        self.check()?;
        let capacity = self.sessions.unwrap_or(self.shared.clients.into());
        let mut initial = Sessions::new(Register::default(), capacity);
        if self.sessions.is_none() {
            for _ in 0..self.shared.clients {
                initial.apply_operation(&Operation::Open { seq: 0 });
            }
        }
        let pace = Duration::from_millis(10)..Duration::from_millis(20);
        let times = |(duration, margin)| LeaseTimes { duration, margin };
        let cluster = Arc::new(Cluster {
            quorums: self.quorums.over(nodes.acceptors)?,
            proposers: nodes.proposers,
            learners: nodes.learners,
            initial,
            limits: Limits {
                round_max: self.ballots,
                slots: self.slots,
                // One for the read, and one that begins after a reply was lost; none where it is
                // the leases that are looked at.
                heartbeats_max: if self.reads == Reads::Lease { 0 } else { 2 },
                window: self.window,
                gathers: self.gather,
                batch_max: self.batch,
                bytes_max: self.chunk,
                queue_max: usize::MAX,
            },
            nacks: self.shared.nacks,
            heartbeat: self.heartbeats.then_some(pace),
            election: Backoff::default(),
            lease: self.lease.map(times),
            snapshot_every: self.snapshot,
        });
        let client = |client: u32| Client {
            tasks: self.tasks(client),
            session: self.sessions.is_none().then_some(client.into()),
            leaders: cluster.proposers.clone(),
            is_loyal: false,
            backoff: Backoff::default(),
        };
        let clients: Vec<Client<Command>> = (0..self.shared.clients).map(client).collect();
        let servers = (0..nodes.count).map(|_| Process::Node(Arc::clone(&cluster), Clock::Ticks));
        let asking = clients.iter().filter(|_| self.shared.replies);
        let actors = servers.chain(asking.cloned().map(Process::Client));
        let (drift, horizon) = self.clocks;
        Ok(Multi {
            actors: actors.map(|actor| Mutated::new(actor, mutant)).collect(),
            clients,
            nodes: nodes.count as usize,
            clocks: self.lease.map(|_| Clocks { drift, horizon }),
            cluster,
            config: self.clone(),
        })
    }
}
