//! Configurations of Fast Paxos to check.

use super::Fast;
use crate::models::config::{ConfigError, Flags, Layout, Shared};
use crate::models::mutant::Broken;
use clap::Args;
use synod::backoff::Backoff;
use synod::fast::{Cluster, Process};
use synod::quorum::FastSpec;
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

    /// The system of this configuration, with the rule of `mutant` broken.
    ///
    /// # Errors
    /// If a count is out of range, or the quorums do not intersect.
    pub fn system(&self, mutant: Broken<Process<char>>) -> Result<Fast, ConfigError> {
        let coordinators = ("--coordinators", self.coordinators);
        let nodes = self.layout.nodes(&self.shared, coordinators, 1)?;
        ConfigError::count("--ballots", self.ballots, u64::MAX)?;
        let fast = self.fast_rounds;
        let cluster = Cluster {
            quorums: self.spec().over(nodes.acceptors, Rounds { fast })?,
            coordinators: nodes.proposers,
            learners: nodes.learners,
            nacks: self.shared.nacks,
            round_max: self.ballots,
            backoff: Backoff::default(),
        };
        let asked = cluster.asked();
        let asked = |_| asked.clone();
        Ok(Fast::new(&self.shared, nodes.count, cluster, asked, mutant))
    }
}
