//! The numbers of nodes and of proposals: [`NodeId`] and [`Ballot`].

use serde::{Deserialize, Serialize};
use std::fmt;

/// A node's number: a small index, the same in the models and over UDP.
///
/// It identifies a node, and is no address: only the runtime knows addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of a proposal, shown as `round.node` (`3.1` is round 3 of node 1).
///
/// Ballots are totally ordered, by round and then by node. Each node has ballots of its own, so
/// that no two proposers use the same one (`[PMS §2.2]`, "different proposers choose their numbers
/// from disjoint sets of numbers"). There is no ballot zero: the absence of a ballot is `None`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// The number of the proposer's attempt, from 1. It is the more significant half of the order.
    pub round: u64,
    /// The proposer that owns the ballot.
    pub node: NodeId,
}

impl Ballot {
    /// Returns the lowest ballot of `node` in a round above `seen`, or its first ballot if `seen`
    /// is `None`.
    ///
    /// Returns `None` if there are no more rounds, which takes 2⁶⁴ attempts or a corrupt message.
    #[must_use]
    pub fn above(seen: Option<Ballot>, node: NodeId) -> Option<Ballot> {
        let round = seen.map_or(0, |ballot| ballot.round).checked_add(1)?;
        Some(Ballot { round, node })
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round, self.node)
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot(round: u64, node: u32) -> Ballot {
        let node = NodeId(node);
        Ballot { round, node }
    }

    #[test]
    fn nodes_and_ballots_look_the_same_wherever_they_are_shown() {
        let (node, ballot) = (NodeId(1), ballot(3, 1));
        assert_eq!(format!("{node} {node:?}"), "1 1");
        assert_eq!(format!("{ballot} {ballot:?}"), "3.1 3.1");
    }

    #[test]
    fn rounds_weigh_more_than_nodes() {
        assert!(ballot(1, 9) < ballot(2, 0));
        assert!(ballot(2, 0) < ballot(2, 1));
    }

    #[test]
    fn a_new_ballot_is_above_all_seen_and_its_owners() {
        for node in 0..3 {
            for seen in [None, Some(ballot(1, 2)), Some(ballot(7, 0))] {
                let next = Ballot::above(seen, NodeId(node)).expect("rounds are left");
                assert!(Some(next) > seen);
                assert_eq!(next.node, NodeId(node));
            }
        }
    }

    #[test]
    fn rounds_that_are_used_up_do_not_wrap_around() {
        assert_eq!(Ballot::above(Some(ballot(u64::MAX, 0)), NodeId(1)), None);
    }
}
