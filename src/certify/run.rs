//! What a trace says of its run before the first step.

use crate::backoff::Backoff;
use crate::ballot::NodeId;
use crate::kv::Store;
use crate::quorum::{AcceptorSet, FastSpec, QuorumError, QuorumSystem};
use crate::rounds::Rounds;
use crate::{basic, fast, multi};
use serde::{Deserialize, Serialize};

/// Which cluster it was: enough to build its nodes again, and the same in every file of a run.
/// Nodes 0 to `nodes - 1` play all roles, with majorities and, in Fast Paxos, the smallest fast
/// quorums that go with them; other processes are clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// A number that no other cluster has.
    pub cluster: u64,
    /// How many nodes there are.
    pub nodes: u32,
    /// What they speak.
    pub protocol: Spoken,
}

/// A protocol, and what its nodes were told beside who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spoken {
    /// Basic Paxos, about texts.
    Basic,
    /// Multi-Paxos, with a store.
    Multi(Replicas),
    /// Fast Paxos, about texts. The first round is fast.
    Fast,
}

/// What replicas of a store have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replicas {
    /// How many clients are remembered at a time.
    pub sessions_max: u64,
    /// After how many entries a snapshot takes their place.
    pub snapshot_every: u64,
}

impl Run {
    /// Which acceptors are enough.
    ///
    /// # Errors
    /// If there are no nodes.
    pub fn quorums(&self) -> Result<QuorumSystem, QuorumError> {
        let acceptors = AcceptorSet::first(self.nodes);
        match self.protocol {
            Spoken::Basic | Spoken::Multi(_) => QuorumSystem::majority(acceptors),
            Spoken::Fast => {
                let spec = FastSpec::majority(acceptors.len());
                spec.over(acceptors, Rounds { fast: 1 })
            }
        }
    }

    /// The cluster, if it speaks Basic Paxos.
    ///
    /// # Errors
    /// If there are no nodes.
    pub fn basic(&self) -> Result<basic::Cluster, QuorumError> {
        let quorums = self.quorums()?;
        let everyone: Vec<NodeId> = quorums.acceptors().iter().collect();
        Ok(basic::Cluster {
            quorums,
            proposers: everyone.clone(),
            learners: everyone,
            nacks: true,
            round_max: u64::MAX,
            backoff: Backoff::default(),
        })
    }

    /// The cluster, if it speaks Fast Paxos.
    ///
    /// # Errors
    /// If there are no nodes.
    pub fn fast(&self) -> Result<fast::Cluster, QuorumError> {
        let quorums = self.quorums()?;
        let everyone: Vec<NodeId> = quorums.acceptors().iter().collect();
        Ok(fast::Cluster {
            quorums,
            coordinators: everyone.clone(),
            learners: everyone,
            nacks: true,
            round_max: u64::MAX,
            backoff: Backoff::default(),
        })
    }

    /// The cluster, if it speaks Multi-Paxos.
    ///
    /// # Errors
    /// If there are no nodes.
    pub fn multi(&self, replicas: Replicas) -> Result<multi::Cluster<Store>, QuorumError> {
        let initial = multi::Sessions::new(Store::default(), replicas.sessions_max);
        Ok(multi::Cluster {
            snapshot_every: Some(replicas.snapshot_every),
            ..multi::Cluster::of_replicas(self.nodes, initial)?
        })
    }
}
