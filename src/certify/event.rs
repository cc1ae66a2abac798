//! The events of a run: the entries of `proofs/Check.v`, printed as `proofs/driver/trace.ml` reads
//! them.

use crate::ballot::{Ballot, NodeId};
use crate::quorum::{AcceptorSet, QuorumSystem, Quorums};
use crate::vote::Vote;
use std::fmt;

/// Votes by slot. Values are numbers, since they are compared for equality only.
pub type Votes = Vec<(u64, Vote<u64>)>;

/// An event of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client asked for a value.
    Requested {
        /// The value.
        value: u64,
    },
    /// An acceptor promised a ballot and reported its votes in slots from `from` on.
    Promised {
        /// The acceptor.
        acceptor: NodeId,
        /// The ballot.
        ballot: Ballot,
        /// The first slot.
        from: u64,
        /// The reported votes.
        votes: Votes,
    },
    /// A value was proposed on the promises of a quorum.
    Proposed {
        /// The slot.
        slot: u64,
        /// The proposal.
        vote: Vote<u64>,
        /// The acceptors whose promises were counted.
        quorum: AcceptorSet,
    },
    /// A fast ballot was opened to any value on the promises of a quorum.
    Opened {
        /// The slot.
        slot: u64,
        /// The ballot.
        ballot: Ballot,
        /// The acceptors whose promises were counted.
        quorum: AcceptorSet,
    },
    /// An acceptor voted.
    Voted {
        /// The acceptor.
        acceptor: NodeId,
        /// The slot.
        slot: u64,
        /// The vote.
        vote: Vote<u64>,
    },
    /// A node decided that a value was chosen.
    Learned {
        /// The slot.
        slot: u64,
        /// The value and the ballot that chose it.
        vote: Vote<u64>,
    },
    /// An acceptor restarted, or sent something, with this state on its disk.
    Restarted {
        /// The acceptor.
        acceptor: NodeId,
        /// Its promise.
        promised: Option<Ballot>,
        /// All its votes.
        votes: Votes,
    },
}

struct Spelt<'a>(&'a Votes);

impl fmt::Display for Spelt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut votes = self.0.iter();
        votes.try_for_each(|(slot, vote)| write!(f, " {slot} {} {}", vote.ballot, vote.value))
    }
}

/// Returns the ids of a set, or `-` if it is empty.
fn members(set: AcceptorSet) -> String {
    if set.is_empty() {
        return "-".to_owned();
    }
    let ids: Vec<String> = set.iter().map(|node| node.to_string()).collect();
    ids.join(",")
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Requested { value } => write!(f, "requested {value}"),
            Event::Promised {
                acceptor,
                ballot,
                from,
                votes,
            } => write!(f, "promised {acceptor} {ballot} {from}{}", Spelt(votes)),
            Event::Proposed { slot, vote, quorum } => {
                let Vote { ballot, value } = vote;
                write!(f, "proposed {slot} {ballot} {value} {}", members(*quorum))
            }
            Event::Opened {
                slot,
                ballot,
                quorum,
            } => write!(f, "opened {slot} {ballot} {}", members(*quorum)),
            Event::Voted {
                acceptor,
                slot,
                vote,
            } => write!(f, "voted {acceptor} {slot} {} {}", vote.ballot, vote.value),
            Event::Learned { slot, vote } => {
                write!(f, "learned {slot} {} {}", vote.ballot, vote.value)
            }
            Event::Restarted {
                acceptor,
                promised,
                votes,
            } => match promised {
                Some(promised) => write!(f, "restarted {acceptor} {promised}{}", Spelt(votes)),
                None => write!(f, "restarted {acceptor} -{}", Spelt(votes)),
            },
        }
    }
}

/// Returns the lines before the events: the acceptors, the quorums of both phases, and, if there
/// are fast ballots, their quorums and rounds.
#[must_use]
pub fn system(quorums: &QuorumSystem) -> String {
    let family = |quorums: &Quorums| match quorums {
        Quorums::AtLeast(size) => format!("at-least {size}"),
        Quorums::AnyOf(sets) => {
            let sets: Vec<String> = sets.iter().map(|set| members(*set)).collect();
            format!("any {}", sets.join(" "))
        }
    };
    let (phase1, phase2) = (family(quorums.phase1()), family(quorums.phase2()));
    let acceptors = members(quorums.acceptors());
    let fast = match quorums.fast() {
        Some((fast, rounds)) => format!("fast {} rounds {}\n", family(fast), rounds.fast),
        None => String::new(),
    };
    format!("acceptors {acceptors}\nphase1 {phase1}\nphase2 {phase2}\n{fast}")
}
