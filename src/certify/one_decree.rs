//! Basic and Fast Paxos over texts.

use super::protocol::{Disk, Protocol, ProtocolEvent, ProtocolEventOf};
use super::run::Run;
use crate::backoff::Backoff;
use crate::ballot::NodeId;
use crate::quorum::{AcceptorSet, FastSpec, QuorumError, QuorumSystem};
use crate::rounds::Rounds;
use crate::{basic, fast};
use std::sync::Arc;

impl Run {
    fn nodes(&self) -> Vec<NodeId> {
        AcceptorSet::first(self.nodes).iter().collect()
    }

    /// Returns the cluster, if it runs Basic Paxos.
    ///
    /// # Errors
    /// If there are no nodes.
    pub fn basic(&self) -> Result<basic::Cluster, QuorumError> {
        Ok(basic::Cluster {
            quorums: QuorumSystem::majority(AcceptorSet::first(self.nodes))?,
            proposers: self.nodes(),
            learners: self.nodes(),
            nacks: true,
            round_max: u64::MAX,
            backoff: Backoff::default(),
        })
    }

    /// Returns the cluster, if it runs Fast Paxos. The first round is fast.
    ///
    /// # Errors
    /// If there are no nodes.
    pub fn fast(&self) -> Result<fast::Cluster, QuorumError> {
        let acceptors = AcceptorSet::first(self.nodes);
        Ok(fast::Cluster {
            quorums: FastSpec::majority(acceptors.len()).over(acceptors, Rounds { fast: 1 })?,
            coordinators: self.nodes(),
            learners: self.nodes(),
            nacks: true,
            round_max: u64::MAX,
            backoff: Backoff::default(),
        })
    }
}

/// Implements [`Protocol`] for the processes of a module. The meanings are of messages that the
/// other protocol does not have.
macro_rules! one_decree {
    ($module:ident $(, $message:pat => $meaning:expr)?) => {
        impl Protocol for $module::Process<String> {
            type Settings = ();
            type Value = String;
            type Request = String;

            fn node(run: &Run, (): ()) -> Result<(Self, QuorumSystem), QuorumError> {
                let cluster = run.$module()?;
                let quorums = cluster.quorums.clone();
                Ok(($module::Process::Node(Arc::new(cluster)), quorums))
            }

            fn disk(saved: &Self::Storage) -> Disk<String> {
                let acceptor = saved.acceptor.as_ref();
                let disk = acceptor.map(|it| Disk::of_one(it.promised, it.vote.clone()));
                disk.unwrap_or_default()
            }

            fn decided(
                before: Option<&Self::Storage>,
                after: &Self::Storage,
            ) -> Vec<(u64, String)> {
                let known = before.and_then(|before| before.decided.as_ref());
                let decided = after.decided.iter().filter(|it| Some(*it) != known);
                decided.map(|value| (0, value.clone())).collect()
            }

            fn observe(message: &Self::Msg) -> ProtocolEventOf<Self> {
                use $module::Message;
                match message.clone() {
                    Message::Propose { value } => ProtocolEvent::Request(value),
                    Message::Prepare { ballot } => ProtocolEvent::Prepare(ballot, 0),
                    Message::Promise { ballot, vote } => {
                        let votes = vote.into_iter().map(|vote| (0, vote)).collect();
                        ProtocolEvent::Promise(ballot, votes, 0, None)
                    }
                    $($message => $meaning,)?
                    Message::Accept { vote } => ProtocolEvent::Proposal(0, vote),
                    Message::Accepted { vote } => {
                        ProtocolEvent::Accepted(0, vote.ballot, Some(vote.value))
                    }
                    Message::Decided { value } => ProtocolEvent::Chosen(vec![(0, value)]),
                    Message::Nack { .. } | Message::Ask => ProtocolEvent::Nothing,
                }
            }

            fn requests(value: &String) -> Vec<String> {
                vec![value.clone()]
            }
        }
    };
}

one_decree!(basic);
one_decree!(fast, fast::Message::Any { ballot } => ProtocolEvent::Any(0, ballot));
