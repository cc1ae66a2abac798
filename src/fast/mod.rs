//! Fast Paxos: one decree, and no detour by a leader as long as clients do not collide.
//!
//! ```text
//!  client    coordinator         acceptors            learners
//!    │            │ Prepare b   (1a) │                    │
//!    │            ├─────────────────▶│                    │
//!    │            │ Promise b, vote  │                    │
//!    │   a quorum │◀─────────────────┤             (1b)   │  beforehand,
//!    │   promised │                  │                    │  once
//!    │  and none  │ Any b       (2a) │  b is open: vote   │
//!    │ has voted: ├─────────────────▶│  for whatever a    │
//!    │            │                  │  client asks for   │
//!    │ Propose v  │                  │                    │
//!    ├────────────┼─────────────────▶│ Accepted b:v  (2b) │
//!    │            │◀─────────────────┼───────────────────▶│ a fast quorum
//!    │            │                  │          Decided v │ voted for v:
//!    │◀───────────┼──────────────────┼────────────────────┤ v is chosen
//!    │            │                  │                    │
//!    │            │ Accept b⁺:w (2a) │  clients collided: │
//!    │            ├─────────────────▶│  no value can get  │
//!    │            │                  │  a fast quorum     │
//! ```
//!
//! [`Acceptor`], [`Coordinator`] and [`Learner`] are plain state machines, one method per message,
//! each method headed by its rule and its source; [`Poll`] is the rule for picking a value.
//! [`node`] joins the roles that a process plays; [`Process`] is stateright's actor. This file
//! knows the messages, and no rule. Which ballots are fast, and what resolves a collision:
//! [`Rounds`](crate::rounds::Rounds).
//!
//! # Messages
//!
//! A handler has the name of its message. What is durable first is saved before the message leaves.
//! The theorems are those of `proofs/fast`; only speed depends on the messages without.
//!
//! | message | from | to | phase | durable first | handler | theorem |
//! |---|---|---|---|---|---|---|
//! | `Propose` | client | acceptors and coordinators | | | [`Acceptor::on_propose`], [`Coordinator::on_propose`] | `validity` |
//! | `Prepare` | coordinator | acceptors | 1a | ballot | [`Acceptor::on_prepare`] | `promise_kept` |
//! | `Promise` | acceptor | coordinator | 1b | promise | [`Coordinator::on_promise`] | `chosen_agreement` |
//! | `Any` | coordinator | acceptors | 2a | | [`Acceptor::on_any`] | `chosen_agreement` |
//! | `Accept` | coordinator | acceptors | 2a | | [`Acceptor::on_accept`] | `one_value_per_ballot` |
//! | `Accepted` | acceptor | learners and the coordinator of a fast ballot | 2b | vote | [`Coordinator::on_accepted`], [`Learner::on_accepted`] | `decided_is_chosen` |
//! | `Nack` | acceptor | coordinator | | | [`Coordinator::on_nack`] | |
//! | `Decided` | learner | learners, coordinators and clients | | decision | [`Learner::on_decided`] | `decision_stands` |
//! | `Ask` | node | learners and coordinators | | | [`Step::on_ask`] | |
//!
//! [`Step::on_ask`]: node
//!
//! Source: `[Fast]` is Lamport, *Fast Paxos* (2005). What the paper calls rounds are ballots here.
//!
//! # Where we differ from the paper
//! - A vote in a fast ballot promises the ballot that resolves a collision in it, because another
//!   coordinator's ballot may lie between the two: that is what makes it safe for the vote to serve
//!   as a promise (coordinated recovery). Acceptors do not resolve collisions by themselves
//!   (uncoordinated recovery).
//! - A coordinator opens a fast ballot only if no vote was reported at all. If votes were, and none
//!   of their values may have been chosen, the paper lets it open the ballot again; that invites
//!   the same clients to collide once more.
//! - That a ballot is open is durable, like a promise.
//! - As in [`basic`](crate::basic): requests are answered once, votes raise promises, refusals are
//!   told ([`Message::Nack`]), a learner follows the highest ballot that it has heard of, and what
//!   nobody seems to finish is finished by a node that voted.

mod acceptor;
mod client;
mod coordinator;
mod learner;
pub mod node;
mod poll;
#[cfg(feature = "actor")]
mod process;

pub use acceptor::Acceptor;
pub use client::{Client, ClientState};
pub use coordinator::{Coordinator, Phase, Request};
pub use learner::Learner;
pub use node::{Durable, NodeState, Timer};
pub use poll::Poll;
#[cfg(feature = "actor")]
pub use process::{Process, ProcessState};

use crate::backoff::Backoff;
use crate::ballot::{Ballot, NodeId};
use crate::quorum::QuorumSystem;
use crate::vote::{OrNone, Vote};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything that is ever said.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message<V> {
    /// Client to acceptors and coordinators: a value to be chosen.
    Propose {
        /// The value.
        value: V,
    },
    /// Phase 1a, coordinator to acceptors: vote in no lower ballot, and say how you voted.
    Prepare {
        /// The ballot, and nothing else.
        ballot: Ballot,
    },
    /// Phase 1b, acceptor to coordinator: a promise, and the highest vote cast below the ballot.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// The acceptor's highest vote.
        vote: Option<Vote<V>>,
    },
    /// Phase 2a, coordinator to acceptors: in a fast ballot, vote for what a client asks for.
    Any {
        /// The ballot.
        ballot: Ballot,
    },
    /// Phase 2a, coordinator to acceptors: vote for this.
    Accept {
        /// The proposal.
        vote: Vote<V>,
    },
    /// Phase 2b, acceptor to learners and the coordinator of a fast ballot: voted for this.
    Accepted {
        /// The vote.
        vote: Vote<V>,
    },
    /// Acceptor to coordinator: refused, for a higher ballot was promised.
    Nack {
        /// The higher ballot.
        promised: Ballot,
    },
    /// Learner to learners, coordinators and clients: this value is chosen.
    Decided {
        /// The value.
        value: V,
    },
    /// Node to learners and coordinators: has anything been chosen?
    Ask,
}

impl<V: fmt::Display> fmt::Debug for Message<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Propose { value } => write!(f, "Propose {value}"),
            Message::Prepare { ballot } => write!(f, "Prepare {ballot}"),
            Message::Promise { ballot, vote } => write!(f, "Promise {ballot} {}", OrNone(vote)),
            Message::Any { ballot } => write!(f, "Any {ballot}"),
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
    /// The acceptors, which of them are enough, and which ballots are fast.
    pub quorums: QuorumSystem,
    /// The coordinators. The first one opens a ballot unasked.
    pub coordinators: Vec<NodeId>,
    /// The learners: every vote is sent to each.
    pub learners: Vec<NodeId>,
    /// Whether a coordinator that is refused is told so ([`Message::Nack`]). Off, it finds out by
    /// waiting: as safe, and slower, but with far fewer states to check.
    pub nacks: bool,
    /// No ballot is started in a higher round: `u64::MAX` in earnest, a few in a model.
    pub round_max: u64,
    /// How long to wait before trying again.
    pub backoff: Backoff,
}

impl Cluster {
    /// The processes that are told the decision: learners, and coordinators so that they stop.
    fn decision_audience(&self) -> Vec<NodeId> {
        let mut audience = [self.learners.as_slice(), self.coordinators.as_slice()].concat();
        audience.sort_unstable();
        audience.dedup();
        audience
    }

    fn is_in_decision_audience(&self, node: NodeId) -> bool {
        self.learners.contains(&node) || self.coordinators.contains(&node)
    }

    /// The nodes that a client asks: acceptors and coordinators.
    #[must_use]
    pub fn asked(&self) -> Vec<NodeId> {
        let acceptors: Vec<NodeId> = self.quorums.acceptors().iter().collect();
        let mut asked = [acceptors.as_slice(), self.coordinators.as_slice()].concat();
        asked.sort_unstable();
        asked.dedup();
        asked
    }
}

#[cfg(test)]
mod testing {
    //! Messages and quorums, written short.

    use super::{Message, QuorumSystem};
    use crate::quorum::{AcceptorSet, FastSpec};
    use crate::rounds::Rounds;
    pub(super) use crate::vote::testing::{ballot, vote};

    /// Quorums of `spec` over the first `acceptors` nodes, with `fast` rounds of fast ballots.
    pub(super) fn system(acceptors: u32, spec: &str, fast: u64) -> QuorumSystem {
        let spec: FastSpec = spec.parse().expect("well-formed");
        let acceptors = AcceptorSet::first(acceptors);
        spec.over(acceptors, Rounds { fast }).expect("lawful")
    }

    pub(super) fn propose(value: char) -> Message<char> {
        Message::Propose { value }
    }

    pub(super) fn any(round: u64, node: u32) -> Message<char> {
        let ballot = ballot(round, node);
        Message::Any { ballot }
    }

    pub(super) fn prepare(round: u64, node: u32) -> Message<char> {
        let ballot = ballot(round, node);
        Message::Prepare { ballot }
    }

    pub(super) fn promise(round: u64, node: u32) -> Message<char> {
        let (ballot, vote) = (ballot(round, node), None);
        Message::Promise { ballot, vote }
    }

    pub(super) fn nack(round: u64, node: u32) -> Message<char> {
        let promised = ballot(round, node);
        Message::Nack { promised }
    }

    pub(super) fn accept(round: u64, node: u32, value: char) -> Message<char> {
        let vote = vote(round, node, value);
        Message::Accept { vote }
    }

    pub(super) fn accepted(round: u64, node: u32, value: char) -> Message<char> {
        let vote = vote(round, node, value);
        Message::Accepted { vote }
    }

    pub(super) fn decided(value: char) -> Message<char> {
        Message::Decided { value }
    }
}
