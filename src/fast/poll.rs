//! A poll: who voted for what in one ballot, and what follows from it.

use crate::ballot::{Ballot, NodeId};
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::vote::{Value, Vote};
use serde::Serialize;
use std::fmt;

/// The votes heard of in one ballot, the highest that any was heard of.
///
/// In a fast ballot they may be for several values.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Poll<V> {
    /// The ballot; none if no vote was heard of.
    pub ballot: Option<Ballot>,
    /// The values that have votes, in the order in which they were heard, and whose.
    pub votes: Vec<(V, AcceptorSet)>,
}

impl<V> Default for Poll<V> {
    /// No vote was heard of.
    fn default() -> Self {
        Self {
            ballot: None,
            votes: Vec::new(),
        }
    }
}

impl<V: Value> Poll<V> {
    /// A vote. One in a lower ballot than that of the poll is ignored, one in a higher starts a
    /// new poll: votes of different ballots never add up.
    pub fn hear(&mut self, from: NodeId, vote: Vote<V>) {
        if Some(vote.ballot) < self.ballot {
            return;
        }
        if Some(vote.ballot) > self.ballot {
            *self = Self {
                ballot: Some(vote.ballot),
                votes: Vec::new(),
            };
        }
        let known = self
            .votes
            .iter_mut()
            .find(|(value, _)| *value == vote.value);
        match known {
            Some((_, voters)) => drop(voters.insert(from)),
            None => self.votes.push((vote.value, [from].into_iter().collect())),
        }
    }

    /// Everybody who voted.
    #[must_use]
    pub fn voters(&self) -> AcceptorSet {
        let voters = self.votes.iter().map(|(_, voters)| *voters);
        voters.fold(AcceptorSet::new(), AcceptorSet::union)
    }

    /// The value that a quorum has voted for.
    #[must_use]
    pub fn chosen(&self, quorums: &QuorumSystem) -> Option<&V> {
        let ballot = self.ballot?;
        let mut votes = self.votes.iter();
        let chosen = votes.find(|(_, voters)| quorums.chooses(ballot, *voters));
        chosen.map(|(value, _)| value)
    }

    /// The value, among those voted for, that may have been chosen in this ballot or may be yet,
    /// as far as is known to whoever has heard from `heard`: everybody in some quorum of the
    /// ballot voted for it or was not heard. There is at most one once a phase-1 quorum was heard,
    /// for that meets any two fast quorums where these meet.
    ///
    /// `[Fast, O4]`
    #[must_use]
    pub fn choosable(&self, heard: AcceptorSet, quorums: &QuorumSystem) -> Option<&V> {
        let ballot = self.ballot?;
        let mut votes = self.votes.iter();
        let choosable =
            votes.find(|(_, voters)| !quorums.blocks(ballot, heard.difference(*voters)));
        choosable.map(|(value, _)| value)
    }

    /// The value to go on with after a phase-1 quorum, `heard`, has reported the votes of this
    /// poll: the one that may have been chosen, or any that has a vote if none may. None if there
    /// was no vote at all: then whoever goes on is free.
    ///
    /// Any: if several values have votes, acceptors were free to vote for either, so both are
    /// safe; and if one value has, no other need be.
    ///
    /// `[Fast, rule for picking a value in phase 2a]`
    #[must_use]
    pub fn pick(&self, heard: AcceptorSet, quorums: &QuorumSystem) -> Option<&V> {
        let any = || self.votes.first().map(|(value, _)| value);
        self.choosable(heard, quorums).or_else(any)
    }
}

impl<V: fmt::Display> fmt::Debug for Poll<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ballot) = self.ballot else {
            return f.write_str("∅");
        };
        write!(f, "{ballot}")?;
        for (value, voters) in &self.votes {
            write!(f, " {value} from {voters}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{system, vote};
    use super::*;

    /// A poll of ballot 1.9, which is fast.
    fn poll(votes: &[(u32, char)]) -> Poll<char> {
        let mut poll = Poll::default();
        for (from, value) in votes {
            poll.hear(NodeId(*from), vote(1, 9, *value));
        }
        poll
    }

    fn first(count: u32) -> AcceptorSet {
        AcceptorSet::first(count)
    }

    #[test]
    fn the_highest_ballot_is_followed_and_votes_of_two_ballots_do_not_add_up() {
        let mut poll = poll(&[(0, 'x')]);
        poll.hear(NodeId(1), vote(2, 9, 'x'));
        poll.hear(NodeId(2), vote(1, 9, 'y'));
        assert_eq!(format!("{poll:?}"), "2.9 x from {1}");
    }

    #[test]
    fn an_acceptor_counts_once_for_a_value() {
        let poll = poll(&[(0, 'x'), (1, 'y'), (0, 'x')]);
        assert_eq!(format!("{poll:?}"), "1.9 x from {0} y from {1}");
        assert_eq!(poll.voters(), first(2));
    }

    #[test]
    fn a_fast_ballot_takes_a_fast_quorum_for_one_value() {
        let system = system(3, "fast:2,3", 1);
        assert_eq!(poll(&[(0, 'x'), (1, 'x')]).chosen(&system), None);
        assert_eq!(poll(&[(0, 'x'), (1, 'x'), (2, 'y')]).chosen(&system), None);
        let all = poll(&[(0, 'x'), (1, 'x'), (2, 'x')]);
        assert_eq!(all.chosen(&system), Some(&'x'));
        let mut classic = Poll::default();
        classic.hear(NodeId(0), vote(2, 9, 'x'));
        classic.hear(NodeId(1), vote(2, 9, 'x'));
        assert_eq!(classic.chosen(&system), Some(&'x'));
    }

    #[test]
    fn a_value_may_be_chosen_while_a_quorum_of_others_may_vote_for_it() {
        // Of four acceptors three choose. Two votes each: neither can have three.
        let system = system(4, "fast:3,3", 1);
        let tie = poll(&[(0, 'x'), (1, 'x'), (2, 'y'), (3, 'y')]);
        assert_eq!(tie.choosable(first(4), &system), None);
        // The last one may have voted like the first two.
        let open = poll(&[(0, 'y'), (1, 'x'), (2, 'x')]);
        assert_eq!(open.choosable(first(3), &system), Some(&'x'));
        // If it was heard, and had not voted, it did not.
        assert_eq!(open.choosable(first(4), &system), None);
    }

    #[test]
    fn what_may_be_chosen_is_picked_though_heard_of_last() {
        let system = system(4, "fast:3,3", 1);
        let open = poll(&[(0, 'y'), (1, 'x'), (2, 'x')]);
        assert_eq!(open.pick(first(3), &system), Some(&'x'));
    }

    #[test]
    fn if_none_may_be_chosen_any_value_with_a_vote_is_picked() {
        let system = system(4, "fast:3,3", 1);
        let tie = poll(&[(0, 'x'), (1, 'x'), (2, 'y'), (3, 'y')]);
        assert_eq!(tie.pick(first(4), &system), Some(&'x'));
        // One vote is too few to be one of a fast quorum, and still binds: the ballot may have
        // been for that value only, because of a lower one.
        let one = poll(&[(0, 'x')]);
        assert_eq!(one.choosable(first(3), &system), None);
        assert_eq!(one.pick(first(3), &system), Some(&'x'));
        assert_eq!(poll(&[]).pick(first(3), &system), None);
    }
}
