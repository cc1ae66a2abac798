//! The interface between `certify` and a protocol.

use super::run::Run;
use crate::ballot::Ballot;
use crate::delta::Delta;
use crate::quorum::{QuorumError, QuorumSystem};
use crate::vote::Vote;
use imbl::OrdMap;
use serde::de::DeserializeOwned;
use stateright::actor::Actor;
use std::fmt::Debug;
use std::hash::Hash;

/// An acceptor's durable state.
pub(super) struct Disk<V> {
    pub(super) promised: Option<Ballot>,
    pub(super) votes: OrdMap<u64, Vote<V>>,
    /// The first slot whose vote is kept: earlier votes were dropped when their slots were decided.
    pub(super) base: u64,
}

impl<V> Default for Disk<V> {
    fn default() -> Self {
        Disk {
            promised: None,
            votes: OrdMap::new(),
            base: 0,
        }
    }
}

impl<V: Clone> Disk<V> {
    /// Returns the state of an acceptor that votes in slot 0 only.
    pub(super) fn of_one(promised: Option<Ballot>, vote: Option<Vote<V>>) -> Self {
        Disk {
            promised,
            votes: vote.into_iter().map(|vote| (0_u64, vote)).collect(),
            base: 0,
        }
    }
}

/// The meaning of a message in the proof.
pub(super) enum ProtocolEvent<V, R> {
    /// The proof does not speak of the message.
    Nothing,
    /// A client's request.
    Request(R),
    /// Phase 1a, for all slots from one on.
    Prepare(Ballot, u64),
    /// Phase 1b: the ballot, the reported votes, the first slot that they are about, and the first
    /// slot of the next part of the report, if there is one.
    Promise(Ballot, Vec<(u64, Vote<V>)>, u64, Option<u64>),
    /// Phase 2a.
    Proposal(u64, Vote<V>),
    /// Phase 2a of a fast ballot, which opens it to any value.
    Any(u64, Ballot),
    /// Phase 2b. Without a value, the vote is for the proposal.
    Accepted(u64, Ballot, Option<V>),
    /// Chosen values.
    Chosen(Vec<(u64, V)>),
    /// All proposals of a ballot in slots before one are chosen.
    ChosenBefore(Ballot, u64),
}

/// A protocol whose runs can be certified.
pub(super) trait Protocol:
    Actor<
        Msg: Hash + Eq + DeserializeOwned,
        Timer: DeserializeOwned,
        Random: DeserializeOwned,
        State: 'static,
        Storage: Delta<Change: Clone + Debug + PartialEq> + Clone + PartialEq + Debug,
    >
{
    /// The settings that a trace gives beside the protocol's name.
    type Settings;
    /// The values that are chosen.
    type Value: Clone + Eq + Hash + Debug;
    /// The requests of clients.
    type Request: Eq + Hash;

    /// Returns the actor that is each node of a run, and the quorums.
    fn node(run: &Run, settings: Self::Settings) -> Result<(Self, QuorumSystem), QuorumError>;

    /// Returns the acceptor's part of what a node saved.
    fn disk(saved: &Self::Storage) -> Disk<Self::Value>;

    /// Returns the decisions that a node has saved and had not before.
    fn decided(before: Option<&Self::Storage>, after: &Self::Storage) -> Vec<(u64, Self::Value)>;

    /// Returns the meaning of a message.
    fn observe(message: &Self::Msg) -> ProtocolEventOf<Self>;

    /// Returns the requests that a value consists of.
    fn requests(value: &Self::Value) -> Vec<Self::Request>;
}

/// The meaning of a message of a protocol.
pub(super) type ProtocolEventOf<P> =
    ProtocolEvent<<P as Protocol>::Value, <P as Protocol>::Request>;
