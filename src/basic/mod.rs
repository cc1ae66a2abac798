//! Basic Paxos: one decree, chosen once and for all.
//!
//! ```text
//!  client      proposer          acceptors            learners
//!    │ Propose v  │                  │                    │
//!    ├───────────▶│ Prepare b   (1a) │                    │
//!    │            ├─────────────────▶│  b above every     │
//!    │            │ Promise b, vote  │  ballot promised   │
//!    │            │◀─────────────────┤             (1b)   │
//!    │   a quorum │                  │                    │
//!    │   promised │ Accept b:w  (2a) │  w: value of the   │
//!    │            ├─────────────────▶│  highest vote, or v│
//!    │            │                  │ Accepted b:w  (2b) │
//!    │            │                  ├───────────────────▶│ a quorum voted
//!    │            │                  │          Decided w │ in one ballot:
//!    │◀───────────┼──────────────────┼────────────────────┤ w is chosen
//!    │            │                  │                    │
//!    │            │ Nack b'          │  a higher ballot b'│
//!    │            │◀─────────────────┤  was promised      │
//! ```
//!
//! [`Acceptor`], [`Proposer`] and [`Learner`] are plain state machines, one method per message,
//! each method headed by its rule and its source. [`node`] joins the roles that a process plays.
//! This file knows the messages and stateright's `Actor`, and no rule.
//!
//! Sources: `[PMS]` is Lamport, *Paxos Made Simple* (2001). Paxos.tla and Voting.tla are his
//! specifications of the protocol and of its abstraction.
//!
//! # Where we differ from the paper
//! - A *prepare* must be strictly above the promise. A repeated *prepare* or *accept* is not
//!   answered again: a lost answer costs a new ballot.
//! - Voting raises the promise, which the paper leaves implicit.
//! - A refused proposer is told so ([`Message::Nack`]), which the paper suggests.
//! - A learner follows the highest ballot that it has heard of, and no other.
//! - A vote that nobody seems to finish is finished by a node that cast it, if it is a proposer
//!   too, and a ballot that a crash cut short by its proposer.

mod acceptor;
mod client;
mod learner;
pub mod node;
mod proposer;

pub use acceptor::Acceptor;
pub use client::{Client, ClientState};
pub use learner::{Learner, Tally};
pub use node::{Durable, NodeState, Timer};
pub use proposer::{Phase, Proposer, Request};

use crate::actor::{emit, update};
use crate::backoff::Backoff;
use crate::ballot::{Ballot, NodeId};
use crate::quorum::QuorumSystem;
use crate::vote::{OrNone, Value, Vote};
use node::{Effects, Step};
use serde::{Deserialize, Serialize};
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Everything that is ever said.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message<V> {
    /// Client to proposers: a value to be chosen.
    Propose {
        /// The value.
        value: V,
    },
    /// Phase 1a, proposer to acceptors: vote in no lower ballot, and say how you voted.
    Prepare {
        /// The ballot, and nothing else.
        ballot: Ballot,
    },
    /// Phase 1b, acceptor to proposer: a promise, and the highest vote cast below the ballot.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// The acceptor's highest vote.
        vote: Option<Vote<V>>,
    },
    /// Phase 2a, proposer to acceptors: vote for this.
    Accept {
        /// The proposal.
        vote: Vote<V>,
    },
    /// Phase 2b, acceptor to learners: voted for this.
    Accepted {
        /// The vote.
        vote: Vote<V>,
    },
    /// Acceptor to proposer: refused, for a higher ballot was promised.
    Nack {
        /// The higher ballot.
        promised: Ballot,
    },
    /// Learner to whoever has not learned: this value is chosen.
    Decided {
        /// The value.
        value: V,
    },
    /// To learners and proposers: has anything been chosen?
    Ask,
}

impl<V: fmt::Display> fmt::Debug for Message<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Propose { value } => write!(f, "Propose {value}"),
            Message::Prepare { ballot } => write!(f, "Prepare {ballot}"),
            Message::Promise { ballot, vote } => write!(f, "Promise {ballot} {}", OrNone(vote)),
            Message::Accept { vote } => write!(f, "Accept {vote}"),
            Message::Accepted { vote } => write!(f, "Accepted {vote}"),
            Message::Nack { promised } => write!(f, "Nack {promised}"),
            Message::Decided { value } => write!(f, "Decided {value}"),
            Message::Ask => f.write_str("Ask"),
        }
    }
}

/// Who plays which role. The same for every process; a process may play any of them, or all.
///
/// It must not change as long as anything saved under it is in use: quorums of two different
/// clusters need not meet, and a node that lost a role would forget what it saved for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Cluster {
    /// The acceptors, and which of them are enough.
    pub quorums: QuorumSystem,
    /// The proposers.
    pub proposers: Vec<NodeId>,
    /// The learners: every vote is sent to each.
    pub learners: Vec<NodeId>,
    /// Whether a proposer that is refused is told so ([`Message::Nack`]). Off, it finds out by
    /// waiting: as safe, and slower, but with far fewer states to check.
    pub nacks: bool,
    /// No ballot is started in a higher round: `u64::MAX` in earnest, a few in a model.
    pub round_max: u64,
    /// How long to wait before trying again.
    pub backoff: Backoff,
}

impl Cluster {
    /// The processes that are told the decision: learners, and proposers so that they stop.
    fn told(&self) -> Vec<NodeId> {
        let mut told = [self.learners.as_slice(), self.proposers.as_slice()].concat();
        told.sort_unstable();
        told.dedup();
        told
    }

    fn is_told(&self, node: NodeId) -> bool {
        self.learners.contains(&node) || self.proposers.contains(&node)
    }
}

/// A process: a node of the cluster, whose roles follow from its id, or a client.
#[derive(Clone, Debug)]
pub enum Process<V> {
    /// A node that plays the roles which the cluster gives it.
    Node(Arc<Cluster>),
    /// A client.
    Client(Client<V>),
}

/// The state of a [`Process`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ProcessState<V> {
    /// A node's roles.
    Node(NodeState<V>),
    /// A client's knowledge.
    Client(ClientState<V>),
}

impl<V: Value> ProcessState<V> {
    /// The value that the process knows to be chosen.
    #[must_use]
    pub fn decided(&self) -> Option<&V> {
        match self {
            ProcessState::Node(node) => node.decided(),
            ProcessState::Client(client) => client.decided.as_ref(),
        }
    }

    /// Whether `message` from `from` can never again change this process or make it speak,
    /// whatever it does next: not even after a restart.
    ///
    /// The checker drops such messages, and verifies the claim on every step that it explores.
    /// Nothing else depends on it.
    #[must_use]
    pub fn is_stale(&self, cluster: &Cluster, from: NodeId, message: &Message<V>) -> bool {
        match self {
            ProcessState::Node(node) => node.is_stale(cluster, from, message),
            ProcessState::Client(client) => client.decided.is_some(),
        }
    }

    /// The node, unless the process is a client.
    #[must_use]
    pub fn node(&self) -> Option<&NodeState<V>> {
        match self {
            ProcessState::Node(node) => Some(node),
            ProcessState::Client(_) => None,
        }
    }
}

impl<V: fmt::Display> fmt::Debug for ProcessState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessState::Node(node) => node.fmt(f),
            ProcessState::Client(client) => client.fmt(f),
        }
    }
}

/// Runs `step` on a node and hands its effects on: first what must be durable, then the rest.
///
/// This is the one place where a state is saved, so no message can leave before the promise or
/// the vote behind it is on disk.
fn run<V: Value>(
    state: &mut Cow<ProcessState<V>>,
    out: &mut Out<Process<V>>,
    step: impl FnOnce(&mut NodeState<V>) -> Effects<V>,
) {
    let Some(before) = state.node().map(NodeState::durable) else {
        return;
    };
    let mut effects = None;
    update(state, |state| {
        if let ProcessState::Node(node) = state {
            effects = Some(step(node));
        }
    });
    let after = state.node().map(NodeState::durable);
    if let Some(after) = after.filter(|after| *after != before) {
        out.save(after);
    }
    if let Some(effects) = effects {
        emit(effects.sends, effects.timers, out);
    }
}

impl<V: Value> Process<V> {
    /// A client's request, sent until it is answered.
    fn request(client: &Client<V>, out: &mut Out<Self>) {
        for proposer in &client.proposers {
            out.send((*proposer).into(), client.request());
        }
        out.set_timer(Timer::Retry, client.backoff.pace());
    }
}

impl<V: Value> Actor for Process<V> {
    type Msg = Message<V>;
    type Timer = Timer;
    type State = ProcessState<V>;
    type Storage = Durable<V>;
    type Random = ();

    fn on_start(&self, id: Id, storage: &Option<Durable<V>>, out: &mut Out<Self>) -> Self::State {
        match self {
            Process::Node(cluster) => {
                let mut node = Step::start_state(cluster, id.into(), storage.as_ref());
                let effects = Step::new(cluster, id.into(), &mut node).on_start();
                emit(effects.sends, effects.timers, out);
                ProcessState::Node(node)
            }
            Process::Client(client) => {
                Self::request(client, out);
                ProcessState::Client(ClientState { decided: None })
            }
        }
    }

    fn on_msg(
        &self,
        id: Id,
        state: &mut Cow<Self::State>,
        src: Id,
        msg: Message<V>,
        out: &mut Out<Self>,
    ) {
        match self {
            Process::Node(cluster) => run(state, out, |node| {
                Step::new(cluster, id.into(), node).on_message(src.into(), msg)
            }),
            Process::Client(_) => {
                let mut is_told = false;
                update(state, |state| {
                    if let ProcessState::Client(client) = state {
                        is_told = client.on_message(msg);
                    }
                });
                if is_told {
                    out.cancel_timer(Timer::Retry);
                }
            }
        }
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<Self::State>, timer: &Timer, out: &mut Out<Self>) {
        match self {
            Process::Node(cluster) => run(state, out, |node| {
                Step::new(cluster, id.into(), node).on_timer(*timer)
            }),
            Process::Client(client) => Self::request(client, out),
        }
    }

    fn name(&self) -> String {
        match self {
            Process::Node(_) => "node".to_owned(),
            Process::Client(_) => "client".to_owned(),
        }
    }
}

#[cfg(test)]
mod testing {
    //! Ballots and votes, written short.

    use super::{Ballot, NodeId, Vote};

    pub(super) fn ballot(round: u64, node: u32) -> Ballot {
        let node = NodeId(node);
        Ballot { round, node }
    }

    pub(super) fn vote(round: u64, node: u32, value: char) -> Vote<char> {
        let ballot = ballot(round, node);
        Vote { ballot, value }
    }
}
