//! Configurations of Basic Paxos to check.

use super::Basic;
use crate::models::config::{ConfigError, Flags, Layout, Shared};
use crate::models::mutant::Broken;
use clap::{Args, ValueEnum};
use synod::backoff::Backoff;
use synod::basic::{Cluster, Process};
use synod::quorum::QuorumSpec;

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
    /// The system of this configuration, with the rule of `mutant` broken.
    ///
    /// # Errors
    /// If a count is out of range, or the quorums do not intersect.
    pub fn system(&self, mutant: Broken<Process<char>>) -> Result<Basic, ConfigError> {
        if self.learners > LEARNERS_MAX {
            return Err(ConfigError::Count {
                flag: "--learners",
                expected: format!("a number from 0 to {LEARNERS_MAX}"),
                given: self.learners.into(),
            });
        }
        let proposers = ("--proposers", self.proposers);
        let nodes = self.layout.nodes(&self.shared, proposers, self.learners)?;
        ConfigError::count("--ballots", self.ballots, u64::MAX)?;
        if self.layout == Layout::Colocated && self.learners != Self::default().learners {
            return Err(ConfigError::Needs {
                flag: "--learners",
                needed: "--layout separated: co-located, every node learns",
            });
        }
        let proposers = nodes.proposers.clone();
        let asked = |place: usize| match self.ask {
            Asks::All => proposers.clone(),
            Asks::One => vec![proposers[place % proposers.len()]],
        };
        let cluster = Cluster {
            quorums: self.quorums.over(nodes.acceptors)?,
            proposers: nodes.proposers,
            learners: nodes.learners,
            nacks: self.shared.nacks,
            round_max: self.ballots,
            backoff: Backoff::default(),
        };
        Ok(Basic::new(
            &self.shared,
            nodes.count,
            cluster,
            asked,
            mutant,
        ))
    }
}
