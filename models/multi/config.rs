//! Configurations of Multi-Paxos to check.

use super::Layout;
use super::machine::{Command, Register};
use super::{Multi, Reads};
use crate::models::basic::ConfigError;
use std::sync::Arc;
use std::time::Duration;
use synod::backoff::Backoff;
use synod::ballot::NodeId;
use synod::checker::{Clocks, Options, StorageMode};
use synod::multi::lease::Terms;
use synod::multi::{Client, Clock, Cluster, How, Limits, Order, Process, Sessions, Task};
use synod::quorum::{AcceptorSet, QuorumSpec};

/// A configuration to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who plays which role.
    pub layout: Layout,
    /// The number of acceptors.
    pub acceptors: u32,
    /// The number of proposers.
    pub proposers: u32,
    /// The rounds, each of which has one ballot per proposer.
    pub ballots: u64,
    /// The number of slots.
    pub slots: u64,
    /// The number of clients, each of which writes a value of its own.
    pub clients: u32,
    /// Whether clients are actors that wait for an answer. If not, they stand outside: all that
    /// they ask for is in the network from the start.
    pub replies: bool,
    /// How the last client reads, once its write is answered; none if it does not. Takes `replies`.
    pub reads: Reads,
    /// Whether clients open their sessions themselves, and how many may be open at a time; none if
    /// all are open from the start. Takes `replies`.
    pub sessions: Option<u64>,
    /// How many slots may be under way at a time.
    pub window: usize,
    /// How many requests a slot takes.
    pub batch: usize,
    /// Whether requests wait for others to share a slot with.
    pub gathers: bool,
    /// After how many entries a snapshot is taken; never if none.
    pub snapshot: Option<u64>,
    /// Bytes of a snapshot, of entries or of votes per message.
    pub chunk: usize,
    /// Whether leaders show signs of life.
    pub heartbeats: bool,
    /// How long a lease lasts, and how much less the leader counts on, in ticks; none if there are
    /// no leases and no clocks. Takes `heartbeats`.
    pub lease: Option<(u64, u64)>,
    /// How far clocks may come apart, and when they stop.
    pub clocks: (u64, u64),
    /// Whether refused proposers are told.
    pub nacks: bool,
    /// The number of crashes in a run, of any nodes but clients.
    pub crashes: usize,
    /// Which acceptors are enough.
    pub quorums: QuorumSpec,
    /// When a save takes effect.
    pub storage: StorageMode,
    /// Whether acceptors that differ in nothing count as interchangeable.
    pub symmetry: bool,
    /// Whether messages that can never matter again are dropped.
    pub drops_stale: bool,
    /// Whether votes that can never matter again are forgotten, and messages about them dropped.
    pub forgets: bool,
    /// Whether steps that nobody sees are postponed.
    pub postpones: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            layout: Layout::Separated,
            acceptors: 3,
            proposers: 2,
            ballots: 1,
            slots: 2,
            clients: 2,
            replies: false,
            reads: Reads::None,
            sessions: None,
            window: 2,
            batch: 1,
            gathers: false,
            snapshot: None,
            chunk: 1024,
            heartbeats: false,
            lease: None,
            clocks: (1, 5),
            nacks: false,
            crashes: 0,
            quorums: QuorumSpec::Majority,
            storage: StorageMode::Atomic,
            symmetry: true,
            drops_stale: true,
            forgets: true,
            postpones: true,
        }
    }
}

impl Config {
    /// The nodes' ids by role: acceptors, proposers, learners; and how many nodes there are.
    fn roles(&self) -> (AcceptorSet, Vec<NodeId>, Vec<NodeId>, u32) {
        let acceptors = AcceptorSet::first(self.acceptors);
        match self.layout {
            Layout::Separated => {
                // The proposers learn; a learner that does nothing else would add little.
                let nodes = self.acceptors + self.proposers;
                let proposers: Vec<NodeId> = (self.acceptors..nodes).map(NodeId).collect();
                (acceptors, proposers.clone(), proposers, nodes)
            }
            Layout::Learning => {
                let nodes = self.acceptors + self.proposers;
                let proposers = (self.acceptors..nodes).map(NodeId).collect();
                (acceptors, proposers, acceptors.iter().collect(), nodes)
            }
            Layout::Colocated => {
                let proposers = (0..self.proposers).map(NodeId).collect();
                (
                    acceptors,
                    proposers,
                    acceptors.iter().collect(),
                    self.acceptors,
                )
            }
        }
    }

    /// What each client does. The last one reads as well.
    fn tasks(&self, client: u32) -> Vec<Task<Command>> {
        let value = char::from(b'a' + ((23 + client) % 26) as u8);
        let mut tasks = vec![Task::Do(Command::Write(value))];
        if client + 1 == self.clients {
            tasks.extend(match self.reads {
                Reads::None => None,
                Reads::Log => Some(Task::Do(Command::Read)),
                Reads::Index => Some(Task::Read(Command::Read, How::Index)),
                Reads::Lease => Some(Task::Read(Command::Read, How::Lease)),
            });
        }
        tasks
    }

    fn check(&self) -> Result<(), ConfigError> {
        let proposers_max = match self.layout {
            Layout::Separated | Layout::Learning => 64,
            Layout::Colocated => self.acceptors.into(),
        };
        let capacity = AcceptorSet::CAPACITY.into();
        ConfigError::count("--acceptors", self.acceptors.into(), capacity)?;
        ConfigError::count("--proposers", self.proposers.into(), proposers_max)?;
        ConfigError::count("--ballots", self.ballots, u64::MAX)?;
        ConfigError::count("--slots", self.slots, u64::MAX)?;
        ConfigError::count("--clients", self.clients.into(), 26)?;
        ConfigError::count("--window", self.window as u64, u64::MAX)?;
        if self.lease.is_some() {
            ConfigError::count("--clocks", self.clocks.0, u64::MAX)?;
        }
        ConfigError::count("--batch", self.batch as u64, u64::MAX)?;
        let needs = |flag, needed| Err(ConfigError::Needs { flag, needed });
        if self.reads != Reads::None && !self.replies {
            return needs("--reads", "--replies on");
        }
        if self.sessions.is_some() && !self.replies {
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

    /// The system of this configuration.
    ///
    /// # Errors
    /// If a count is out of range, one setting needs another, or the quorums do not intersect.
    pub fn system(&self) -> Result<Multi<Process<Register>>, ConfigError> {
        self.check()?;
        let (acceptors, proposers, learners, nodes) = self.roles();
        let capacity = self.sessions.unwrap_or(self.clients.into());
        let mut initial = Sessions::new(Register::default(), capacity);
        if self.sessions.is_none() {
            for _ in 0..self.clients {
                initial.carry_out(&Order::Open { seq: 0 });
            }
        }
        let pace = Duration::from_millis(10)..Duration::from_millis(20);
        let terms = |(duration, margin)| Terms { duration, margin };
        let cluster = Arc::new(Cluster {
            quorums: self.quorums.over(acceptors)?,
            proposers: proposers.clone(),
            learners,
            initial,
            limits: Limits {
                round_max: self.ballots,
                slots: self.slots,
                // One for the read, and one that begins after a reply was lost; none where it is
                // the leases that are looked at.
                beats_max: if self.reads == Reads::Lease { 0 } else { 2 },
                window: self.window,
                gathers: self.gathers,
                batch_max: self.batch,
                bytes_max: self.chunk,
                queue_max: usize::MAX,
            },
            nacks: self.nacks,
            heartbeat: self.heartbeats.then_some(pace),
            election: Backoff::default(),
            lease: self.lease.map(terms),
            snapshot_every: self.snapshot,
        });
        let servers = (0..nodes).map(|_| Process::Node(Arc::clone(&cluster), Clock::Ticks));
        let client = |client: u32| Client {
            tasks: self.tasks(client),
            session: self.sessions.is_none().then_some(client.into()),
            leaders: proposers.clone(),
            is_loyal: false,
            backoff: Backoff::default(),
        };
        let clients: Vec<Client<Command>> = (0..self.clients).map(client).collect();
        let mut actors: Vec<_> = servers.collect();
        if self.replies {
            actors.extend(clients.iter().cloned().map(Process::Client));
        }
        let (drift, horizon) = self.clocks;
        let clocks = self.lease.map(|_| Clocks { drift, horizon });
        Ok(Multi::new(
            actors,
            clients,
            nodes as usize,
            cluster,
            clocks,
            self.clone(),
        ))
    }

    /// What may happen in the world of this configuration.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            crashes: self.crashes,
            storage: self.storage,
            drops_stale: self.drops_stale,
            forgets: self.forgets,
            postpones: self.postpones,
            symmetry: self.symmetry,
        }
    }
}
