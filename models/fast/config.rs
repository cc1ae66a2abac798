//! Configurations of Fast Paxos to check.

use super::Fast;
use crate::models::basic::Layout;
use crate::models::config::{ConfigError, Flags, Shared};
use clap::Args;
use std::sync::Arc;
use synod::backoff::Backoff;
use synod::ballot::NodeId;
use synod::fast::{Client, Cluster, Process};
use synod::quorum::{AcceptorSet, FastSpec};
use synod::rounds::Rounds;

/// A configuration to check.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Config {
    /// The settings that all protocols share.
    #[command(flatten)]
    pub shared: Shared,
    /// One role per process, or all on each node.
    #[arg(long, value_enum, default_value_t = Layout::Separated)]
    pub layout: Layout,
    /// Coordinators; in the co-located layout at most as many as acceptors.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub coordinators: u32,
    /// Rounds, each of which has a ballot for each coordinator.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub ballots: u64,
    /// Fast rounds: the first ones.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub fast_rounds: u64,
    /// Quorums: `fast:QC,QF` with QC acceptors for a classic quorum and QF for a fast one, or
    /// `fast:Q1,Q2,QF` with Q1 to prepare and Q2 to choose in a classic ballot. By default
    /// majorities, and the smallest fast quorums that go with them.
    #[arg(long, value_name = "SPEC")]
    pub quorums: Option<FastSpec>,
}

impl Default for Config {
    fn default() -> Self {
        Self::plain()
    }
}

impl Config {
    /// Which acceptors are enough.
    #[must_use]
    pub fn spec(&self) -> FastSpec {
        let majority = || FastSpec::majority(self.shared.acceptors as usize);
        self.quorums.unwrap_or_else(majority)
    }

    /// The nodes' ids by role: acceptors, coordinators, learners.
    fn roles(&self) -> (AcceptorSet, Vec<NodeId>, Vec<NodeId>) {
        let acceptors = AcceptorSet::first(self.shared.acceptors);
        match self.layout {
            Layout::Separated => {
                let learner = self.shared.acceptors + self.coordinators;
                let coordinators = (self.shared.acceptors..learner).map(NodeId).collect();
                (acceptors, coordinators, vec![NodeId(learner)])
            }
            Layout::Colocated => {
                let coordinators = (0..self.coordinators).map(NodeId).collect();
                (acceptors, coordinators, acceptors.iter().collect())
            }
        }
    }

    /// The system of this configuration.
    ///
    /// # Errors
    /// If a count is out of range, or the quorums do not intersect.
    pub fn system(&self) -> Result<Fast<Process<char>>, ConfigError> {
        self.shared.validate()?;
        let coordinators_max = match self.layout {
            Layout::Separated => 64,
            Layout::Colocated => self.shared.acceptors.into(),
        };
        ConfigError::count("--coordinators", self.coordinators.into(), coordinators_max)?;
        ConfigError::count("--ballots", self.ballots, u64::MAX)?;
        let (acceptors, coordinators, learners) = self.roles();
        let nodes = match self.layout {
            Layout::Separated => self.shared.acceptors + self.coordinators + 1,
            Layout::Colocated => self.shared.acceptors,
        };
        let cluster = Arc::new(Cluster {
            quorums: self.spec().over(
                acceptors,
                Rounds {
                    fast: self.fast_rounds,
                },
            )?,
            coordinators,
            learners,
            nacks: self.shared.nacks,
            round_max: self.ballots,
            backoff: Backoff::default(),
        });
        let servers = (0..nodes).map(|_| Process::Node(Arc::clone(&cluster)));
        let client = |value| Client {
            value,
            nodes: cluster.asked(),
            backoff: Backoff::default(),
        };
        let clients: Vec<Client<char>> = self.shared.values().map(client).collect();
        let actors = if self.shared.replies {
            servers
                .chain(clients.iter().cloned().map(Process::Client))
                .collect()
        } else {
            servers.collect()
        };
        Ok(Fast {
            actors,
            clients,
            nodes: nodes as usize,
            cluster,
        })
    }
}
