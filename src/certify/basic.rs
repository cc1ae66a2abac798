//! Basic Paxos over texts.

use super::protocol::{Disk, Protocol, ProtocolEvent, ProtocolEventOf};
use super::run::Run;
use crate::backoff::Backoff;
use crate::ballot::NodeId;
use crate::basic::{Cluster, Message, Process};
use crate::quorum::{AcceptorSet, QuorumError, QuorumSystem};
use std::sync::Arc;

impl Run {
    /// Returns the cluster, if it runs Basic Paxos.
    ///
    /// # Errors
    /// If there are no nodes.
    pub fn basic(&self) -> Result<Cluster, QuorumError> {
        let quorums = QuorumSystem::majority(AcceptorSet::first(self.nodes))?;
        let nodes: Vec<NodeId> = quorums.acceptors().iter().collect();
        Ok(Cluster {
            quorums,
            proposers: nodes.clone(),
            learners: nodes,
            nacks: true,
            round_max: u64::MAX,
            backoff: Backoff::default(),
        })
    }
}

impl Protocol for Process<String> {
    type Settings = ();
    type Value = String;
    type Request = String;

    fn node(run: &Run, (): ()) -> Result<(Self, QuorumSystem), QuorumError> {
        let cluster = run.basic()?;
        let quorums = cluster.quorums.clone();
        Ok((Process::Node(Arc::new(cluster)), quorums))
    }

    fn disk(saved: &Self::Storage) -> Disk<String> {
        let acceptor = saved.acceptor.as_ref();
        let disk = acceptor.map(|it| Disk::of_one(it.promised, it.vote.clone()));
        disk.unwrap_or_default()
    }

    fn decided(before: Option<&Self::Storage>, after: &Self::Storage) -> Vec<(u64, String)> {
        let known = before.and_then(|before| before.decided.as_ref());
        let decided = after.decided.iter().filter(|it| Some(*it) != known);
        decided.map(|value| (0, value.clone())).collect()
    }

    fn observe(message: &Self::Msg) -> ProtocolEventOf<Self> {
        match message.clone() {
            Message::Propose { value } => ProtocolEvent::Request(value),
            Message::Prepare { ballot } => ProtocolEvent::Prepare(ballot, 0),
            Message::Promise { ballot, vote } => {
                let votes = vote.into_iter().map(|vote| (0, vote)).collect();
                ProtocolEvent::Promise(ballot, votes, 0, None)
            }
            Message::Accept { vote } => ProtocolEvent::Proposal(0, vote),
            Message::Accepted { vote } => ProtocolEvent::Accepted(0, vote.ballot, Some(vote.value)),
            Message::Decided { value } => ProtocolEvent::Chosen(vec![(0, value)]),
            Message::Nack { .. } | Message::Ask => ProtocolEvent::Nothing,
        }
    }

    fn requests(value: &String) -> Vec<String> {
        vec![value.clone()]
    }
}
