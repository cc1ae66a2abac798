//! Configurations of Basic Paxos to check.

use super::Basic;
use crate::models::config::{ConfigError, Flags, Shared};
use clap::{Args, ValueEnum};
use std::sync::Arc;
use synod::backoff::Backoff;
use synod::ballot::NodeId;
use synod::basic::{Client, Cluster, Process};
use synod::quorum::{AcceptorSet, QuorumSpec};

/// The processes that play the roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Acceptors, proposers and learners are processes of their own.
    #[default]
    Separated,
    /// Each node is an acceptor and a learner, and the first few are proposers too.
    Colocated,
}

/// The proposers that a client asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Asks {
    /// Every proposer.
    #[default]
    All,
    /// One proposer: clients take them in turn.
    One,
}

/// A configuration to check.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Config {
    /// The settings that all protocols share.
    #[command(flatten)]
    pub shared: Shared,
    /// One role per process, or all on each node.
    #[arg(long, value_enum, default_value_t = Layout::Separated)]
    pub layout: Layout,
    /// Proposers; in the co-located layout at most as many as acceptors.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub proposers: u32,
    /// Ballots that each proposer may start.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub ballots: u64,
    /// Quorums: `majority`, or `flexible:Q1,Q2` with Q1 acceptors to prepare and Q2 to choose.
    #[arg(long, value_name = "SPEC", default_value = "majority")]
    pub quorums: QuorumSpec,
    /// Learners that are processes of their own. With 0 nobody learns what is chosen, and only the
    /// votes are checked.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub learners: u32,
    /// Proposers that a client asks: all, or one, in turn.
    #[arg(long, value_enum, default_value_t = Asks::All)]
    pub ask: Asks,
}

/// More learners than this are of no use: each decides by itself.
const LEARNERS_MAX: u32 = 8;

impl Default for Config {
    fn default() -> Self {
        Self::plain()
    }
}

impl Config {
    /// The nodes' ids by role: acceptors, proposers, learners.
    fn roles(&self) -> (AcceptorSet, Vec<NodeId>, Vec<NodeId>) {
        let acceptors = AcceptorSet::first(self.shared.acceptors);
        match self.layout {
            Layout::Separated => {
                let first = self.shared.acceptors + self.proposers;
                let proposers = (self.shared.acceptors..first).map(NodeId).collect();
                let learners = first..first + self.learners;
                (acceptors, proposers, learners.map(NodeId).collect())
            }
            Layout::Colocated => {
                let proposers = (0..self.proposers).map(NodeId).collect();
                (acceptors, proposers, acceptors.iter().collect())
            }
        }
    }

    /// The system of this configuration.
    ///
    /// # Errors
    /// If a count is out of range, or the quorums do not intersect.
    pub fn system(&self) -> Result<Basic<Process<char>>, ConfigError> {
        self.shared.validate()?;
        let proposers_max = match self.layout {
            Layout::Separated => 64,
            Layout::Colocated => self.shared.acceptors.into(),
        };
        ConfigError::count("--proposers", self.proposers.into(), proposers_max)?;
        ConfigError::count("--ballots", self.ballots, u64::MAX)?;
        if self.learners > LEARNERS_MAX {
            return Err(ConfigError::Count {
                flag: "--learners",
                expected: format!("a number from 0 to {LEARNERS_MAX}"),
                given: self.learners.into(),
            });
        }
        if self.layout == Layout::Colocated && self.learners != Self::default().learners {
            return Err(ConfigError::Needs {
                flag: "--learners",
                needed: "--layout separated: co-located, every node learns",
            });
        }
        let (acceptors, proposers, learners) = self.roles();
        let nodes = match self.layout {
            Layout::Separated => self.shared.acceptors + self.proposers + self.learners,
            Layout::Colocated => self.shared.acceptors,
        };
        let cluster = Arc::new(Cluster {
            quorums: self.quorums.over(acceptors)?,
            proposers: proposers.clone(),
            learners,
            nacks: self.shared.nacks,
            round_max: self.ballots,
            backoff: Backoff::default(),
        });
        let servers = (0..nodes).map(|_| Process::Node(Arc::clone(&cluster)));
        let client = |(place, value): (usize, char)| Client {
            value,
            proposers: match self.ask {
                Asks::All => proposers.clone(),
                Asks::One => vec![proposers[place % proposers.len()]],
            },
            backoff: Backoff::default(),
        };
        let clients: Vec<Client<char>> = self.shared.values().enumerate().map(client).collect();
        let actors = if self.shared.replies {
            servers
                .chain(clients.iter().cloned().map(Process::Client))
                .collect()
        } else {
            servers.collect()
        };
        Ok(Basic {
            actors,
            clients,
            nodes: nodes as usize,
            cluster,
        })
    }
}
