//! Multi-Paxos over a store.

use super::protocol::{Disk, Protocol, ProtocolEvent, ProtocolEventOf};
use super::run::{Replicas, Run};
use crate::kv::{Command, Store};
use crate::multi::{Clock, Cluster, Entry, Message, Process, Request, Sessions, Slot};
use crate::quorum::{QuorumError, QuorumSystem};
use crate::runtime::clock::now_us;
use std::sync::Arc;

impl Run {
    /// Returns the cluster, if it runs Multi-Paxos.
    ///
    /// # Errors
    /// If there are no nodes.
    pub fn multi(&self, replicas: Replicas) -> Result<Cluster<Store>, QuorumError> {
        let initial = Sessions::new(Store::default(), replicas.sessions_max);
        Ok(Cluster {
            snapshot_every: Some(replicas.snapshot_every),
            ..Cluster::of_replicas(self.nodes, initial)?
        })
    }
}

impl Protocol for Process<Store> {
    type Settings = Replicas;
    type Value = Entry<Command>;
    type Request = Request<Command>;

    fn node(run: &Run, replicas: Replicas) -> Result<(Self, QuorumSystem), QuorumError> {
        let cluster = run.multi(replicas)?;
        let quorums = cluster.quorums.clone();
        Ok((
            Process::Node(Arc::new(cluster), Clock::Real(now_us)),
            quorums,
        ))
    }

    fn disk(saved: &Self::Storage) -> Disk<Self::Value> {
        let disk = saved.acceptor.as_ref().map(|acceptor| {
            let votes = acceptor.votes.iter();
            Disk {
                promised: acceptor.promised,
                votes: votes.map(|(slot, vote)| (slot.0, vote.clone())).collect(),
                base: acceptor.base.0,
            }
        });
        disk.unwrap_or_default()
    }

    fn decided(before: Option<&Self::Storage>, after: &Self::Storage) -> Vec<(u64, Self::Value)> {
        let known = before.map_or(Slot(0), |before| before.log.end());
        let news = after.log.since(known.max(after.log.start()));
        news.map(|(slot, entry)| (slot.0, entry.clone())).collect()
    }

    fn observe(message: &Self::Msg) -> ProtocolEventOf<Self> {
        match message {
            Message::Request(request) => ProtocolEvent::Request(request.clone()),
            Message::Prepare { ballot, from } => ProtocolEvent::Prepare(*ballot, from.0),
            Message::Promise {
                ballot,
                votes,
                decided,
                more,
            } => {
                let votes = votes.iter().map(|(slot, vote)| (slot.0, vote.clone()));
                ProtocolEvent::Promise(*ballot, votes.collect(), decided.0, more.map(|slot| slot.0))
            }
            Message::Accept { slot, vote } => ProtocolEvent::Proposal(slot.0, vote.clone()),
            Message::Accepted { ballot, slot } => ProtocolEvent::Accepted(slot.0, *ballot, None),
            Message::Entries { from, entries } => {
                let slots = (0..).map(|index| from.0.saturating_add(index));
                ProtocolEvent::Chosen(slots.zip(entries.iter().cloned()).collect())
            }
            Message::Decided { ballot, upto } | Message::Heartbeat { ballot, upto, .. } => {
                ProtocolEvent::ChosenBefore(*ballot, upto.0)
            }
            _ => ProtocolEvent::Nothing,
        }
    }

    /// A no-op consists of no requests.
    fn requests(value: &Self::Value) -> Vec<Self::Request> {
        value.requests().to_vec()
    }
}
