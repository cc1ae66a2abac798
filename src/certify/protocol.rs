//! What the certifier must know of a protocol: what its messages and its disk say in the words of
//! the proof.

use crate::ballot::Ballot;
use crate::delta::Delta;
use crate::machine::Machine;
use crate::multi::{Entry, Slot};
use crate::vote::Vote;
use crate::{basic, fast, multi};
use imbl::OrdMap;
use serde::de::DeserializeOwned;
use stateright::actor::Actor;
use std::fmt::Debug;
use std::hash::Hash;

/// What an acceptor has on disk.
pub(super) struct Disk<V> {
    pub(super) promised: Option<Ballot>,
    pub(super) votes: OrdMap<u64, Vote<V>>,
    /// Votes in slots before were dropped, for all is decided there.
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

/// What a message says, as far as the proof is concerned.
pub(super) enum Speech<V, R> {
    Nothing,
    /// A client asks for something.
    Request(R),
    /// Phase 1a, for slots from one on.
    Prepare(Ballot, u64),
    /// Phase 1b: votes, the slot up to which none are told, and where the rest begins, if there is
    /// one.
    Promise(Ballot, Vec<(u64, Vote<V>)>, u64, Option<u64>),
    /// Phase 2a.
    Proposal(u64, Vote<V>),
    /// Phase 2a of a fast ballot: it is open to any value.
    Any(u64, Ballot),
    /// Phase 2b; of the proposal, where no value is told.
    Accepted(u64, Ballot, Option<V>),
    /// These are chosen.
    Chosen(Vec<(u64, V)>),
    /// So is all that was proposed in a ballot in slots before one.
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
    /// What is chosen.
    type Value: Clone + Eq + Hash + Debug;
    /// What clients ask for.
    type Request: Eq + Hash;

    /// What an acceptor has on disk.
    fn disk(saved: &Self::Storage) -> Disk<Self::Value>;
    /// What is known to be decided, and was not before.
    fn decided(before: Option<&Self::Storage>, after: &Self::Storage) -> Vec<(u64, Self::Value)>;
    /// What a message says.
    fn speech(message: &Self::Msg) -> Speech<Self::Value, Self::Request>;
    /// What must have been asked for if this value is proposed.
    fn requests(value: &Self::Value) -> Vec<Self::Request>;
}

/// What a message of a protocol says.
pub(super) type SpeechOf<P> = Speech<<P as Protocol>::Value, <P as Protocol>::Request>;

/// What an acceptor of one decree has on disk, which is slot 0: its promise and its vote.
fn disk_of_one(acceptor: Option<(Option<Ballot>, Option<Vote<String>>)>) -> Disk<String> {
    let (promised, vote) = acceptor.unwrap_or_default();
    Disk {
        promised,
        votes: vote.into_iter().map(|vote| (0_u64, vote)).collect(),
        base: 0,
    }
}

/// What is known to be decided of one decree, if that is news.
fn news_of_one(known: Option<&String>, decided: Option<&String>) -> Vec<(u64, String)> {
    let news = decided.filter(|it| Some(*it) != known);
    news.map(|value| (0, value.clone())).into_iter().collect()
}

impl Protocol for basic::Process<String> {
    type Value = String;
    type Request = String;

    fn disk(saved: &Self::Storage) -> Disk<String> {
        let acceptor = saved.acceptor.as_ref();
        let acceptor = acceptor.map(|acceptor| (acceptor.promised, acceptor.vote.clone()));
        disk_of_one(acceptor)
    }

    fn decided(before: Option<&Self::Storage>, after: &Self::Storage) -> Vec<(u64, String)> {
        let known = before.and_then(|before| before.decided.as_ref());
        news_of_one(known, after.decided.as_ref())
    }

    fn speech(message: &Self::Msg) -> SpeechOf<Self> {
        use basic::Message;
        match message.clone() {
            Message::Propose { value } => Speech::Request(value),
            Message::Prepare { ballot } => Speech::Prepare(ballot, 0),
            Message::Promise { ballot, vote } => {
                let votes = vote.into_iter().map(|vote| (0, vote)).collect();
                Speech::Promise(ballot, votes, 0, None)
            }
            Message::Accept { vote } => Speech::Proposal(0, vote),
            Message::Accepted { vote } => Speech::Accepted(0, vote.ballot, Some(vote.value)),
            Message::Decided { value } => Speech::Chosen(vec![(0, value)]),
            Message::Nack { .. } | Message::Ask => Speech::Nothing,
        }
    }

    fn requests(value: &String) -> Vec<String> {
        vec![value.clone()]
    }
}

impl Protocol for fast::Process<String> {
    type Value = String;
    type Request = String;

    fn disk(saved: &Self::Storage) -> Disk<String> {
        let acceptor = saved.acceptor.as_ref();
        let acceptor = acceptor.map(|acceptor| (acceptor.promised, acceptor.vote.clone()));
        disk_of_one(acceptor)
    }

    fn decided(before: Option<&Self::Storage>, after: &Self::Storage) -> Vec<(u64, String)> {
        let known = before.and_then(|before| before.decided.as_ref());
        news_of_one(known, after.decided.as_ref())
    }

    fn speech(message: &Self::Msg) -> SpeechOf<Self> {
        use fast::Message;
        match message.clone() {
            Message::Propose { value } => Speech::Request(value),
            Message::Prepare { ballot } => Speech::Prepare(ballot, 0),
            Message::Promise { ballot, vote } => {
                let votes = vote.into_iter().map(|vote| (0, vote)).collect();
                Speech::Promise(ballot, votes, 0, None)
            }
            Message::Any { ballot } => Speech::Any(0, ballot),
            Message::Accept { vote } => Speech::Proposal(0, vote),
            Message::Accepted { vote } => Speech::Accepted(0, vote.ballot, Some(vote.value)),
            Message::Decided { value } => Speech::Chosen(vec![(0, value)]),
            Message::Nack { .. } | Message::Ask => Speech::Nothing,
        }
    }

    fn requests(value: &String) -> Vec<String> {
        vec![value.clone()]
    }
}

impl<M: Machine> Protocol for multi::Process<M> {
    type Value = Entry<M::Command>;
    type Request = multi::Request<M::Command>;

    fn disk(saved: &Self::Storage) -> Disk<Self::Value> {
        let Some(acceptor) = &saved.acceptor else {
            return Disk::default();
        };
        let votes = acceptor.votes.iter();
        Disk {
            promised: acceptor.promised,
            votes: votes.map(|(slot, vote)| (slot.0, vote.clone())).collect(),
            base: acceptor.base.0,
        }
    }

    fn decided(before: Option<&Self::Storage>, after: &Self::Storage) -> Vec<(u64, Self::Value)> {
        let known = before.map_or(Slot(0), |before| before.log.end());
        let news = after.log.since(known.max(after.log.start()));
        news.map(|(slot, entry)| (slot.0, entry.clone())).collect()
    }

    fn speech(message: &Self::Msg) -> SpeechOf<Self> {
        use multi::Message;
        match message {
            Message::Request(request) => Speech::Request(request.clone()),
            Message::Prepare { ballot, from } => Speech::Prepare(*ballot, from.0),
            Message::Promise {
                ballot,
                votes,
                decided,
                more,
            } => {
                let votes = votes.iter().map(|(slot, vote)| (slot.0, vote.clone()));
                Speech::Promise(*ballot, votes.collect(), decided.0, more.map(|slot| slot.0))
            }
            Message::Accept { slot, vote } => Speech::Proposal(slot.0, vote.clone()),
            Message::Accepted { ballot, slot } => Speech::Accepted(slot.0, *ballot, None),
            Message::Entries { from, entries } => {
                let slots = (0..).map(|index| from.0.saturating_add(index));
                Speech::Chosen(slots.zip(entries.iter().cloned()).collect())
            }
            Message::Decided { ballot, upto } | Message::Heartbeat { ballot, upto, .. } => {
                Speech::ChosenBefore(*ballot, upto.0)
            }
            _ => Speech::Nothing,
        }
    }

    /// A no-op asks for nothing.
    fn requests(value: &Self::Value) -> Vec<Self::Request> {
        value.requests().to_vec()
    }
}
