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
//! each method headed by its rule and its source. [`node`] joins the roles that a process plays;
//! [`Process`] is stateright's actor. This file knows the messages, and no rule.
//!
//! # Messages
//!
//! A handler has the name of its message. What is durable first is saved before the message leaves.
//! The theorems are those of `proofs/basic`; only speed depends on the messages without.
//!
//! | message | from | to | phase | durable first | handler | theorem |
//! |---|---|---|---|---|---|---|
//! | `Propose` | client | proposers | | | [`Proposer::on_propose`] | `validity` |
//! | `Prepare` | proposer | acceptors | 1a | ballot | [`Acceptor::on_prepare`] | `promise_kept` |
//! | `Promise` | acceptor | proposer | 1b | promise | [`Proposer::on_promise`] | `chosen_agreement` |
//! | `Accept` | proposer | acceptors | 2a | | [`Acceptor::on_accept`] | `one_value_per_ballot` |
//! | `Accepted` | acceptor | learners | 2b | vote | [`Learner::on_accepted`] | `decided_is_chosen` |
//! | `Nack` | acceptor | proposer | | | [`Proposer::on_nack`] | |
//! | `Decided` | learner | learners, proposers and clients | | decision | [`Learner::on_decided`] | `decision_stands` |
//! | `Ask` | node | learners and proposers | | | [`Step::on_ask`] | |
//!
//! [`Step::on_ask`]: node
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
#[cfg(feature = "actor")]
mod process;
mod proposer;

pub use acceptor::Acceptor;
pub use client::{Client, ClientState};
pub use learner::{Learner, Tally};
pub use node::{Durable, NodeState, Timer};
#[cfg(feature = "actor")]
pub use process::{Process, ProcessState};
pub use proposer::{Phase, Proposer, Request};

use crate::backoff::Backoff;
use crate::ballot::{Ballot, NodeId};
use crate::quorum::QuorumSystem;
use crate::vote::{OrNone, Vote};
use serde::{Deserialize, Serialize};
use std::fmt;

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
    /// Learner to learners, proposers and clients: this value is chosen.
    Decided {
        /// The value.
        value: V,
    },
    /// Node to learners and proposers: has anything been chosen?
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
    fn decision_audience(&self) -> Vec<NodeId> {
        let mut audience = [self.learners.as_slice(), self.proposers.as_slice()].concat();
        audience.sort_unstable();
        audience.dedup();
        audience
    }

    fn is_in_decision_audience(&self, node: NodeId) -> bool {
        self.learners.contains(&node) || self.proposers.contains(&node)
    }
}

#[cfg(test)]
mod testing {
    //! Messages, written short.

    use super::{Message, Vote};
    pub(super) use crate::vote::testing::{ballot, vote};

    pub(super) fn propose(value: char) -> Message<char> {
        Message::Propose { value }
    }

    pub(super) fn prepare(round: u64, node: u32) -> Message<char> {
        let ballot = ballot(round, node);
        Message::Prepare { ballot }
    }

    pub(super) fn promise(round: u64, node: u32, vote: Option<Vote<char>>) -> Message<char> {
        let ballot = ballot(round, node);
        Message::Promise { ballot, vote }
    }

    pub(super) fn accept(round: u64, node: u32, value: char) -> Message<char> {
        let vote = vote(round, node, value);
        Message::Accept { vote }
    }

    pub(super) fn accepted(round: u64, node: u32, value: char) -> Message<char> {
        let vote = vote(round, node, value);
        Message::Accepted { vote }
    }

    pub(super) fn nack(round: u64, node: u32) -> Message<char> {
        let promised = ballot(round, node);
        Message::Nack { promised }
    }

    pub(super) fn decided(value: char) -> Message<char> {
        Message::Decided { value }
    }
}
