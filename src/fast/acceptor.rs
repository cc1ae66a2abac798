//! The acceptor: the memory of the protocol. All of its state is durable.

use super::Message;
use crate::ballot::Ballot;
use crate::rounds::Rounds;
use crate::vote::{OrNone, Value, Vote};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an acceptor must never forget: a promise, whether it is free to vote as it likes, and its
/// last vote.
///
/// Persisted before an answer leaves, so that to an acceptor a restart is no event at all.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Acceptor<V> {
    /// The highest ballot promised or voted in (`rnd`). No vote is cast below it.
    pub promised: Option<Ballot>,
    /// Whether in the promised ballot any value may be voted for, and none was yet.
    pub open: bool,
    /// The highest vote cast (`vrnd` and `vval`).
    pub vote: Option<Vote<V>>,
}

impl<V> Default for Acceptor<V> {
    /// An acceptor that has promised nothing and never voted.
    fn default() -> Self {
        Self {
            promised: None,
            open: false,
            vote: None,
        }
    }
}

impl<V: Value> Acceptor<V> {
    /// Phase 1b: a *prepare* above every ballot promised so far is answered with a promise to
    /// vote in no lower one, and with the highest vote cast.
    ///
    /// `[Fast, phase 1b]`
    pub fn on_prepare(&mut self, ballot: Ballot) -> Option<Message<V>> {
        if self.promised >= Some(ballot) {
            return self.refusal_of(ballot);
        }
        self.promised = Some(ballot);
        self.open = false;
        let vote = self.vote.clone();
        Some(Message::Promise { ballot, vote })
    }

    /// Phase 2b of a ballot that has a value: it is voted for unless a higher ballot was promised.
    ///
    /// `[Fast, phase 2b]`
    pub fn on_accept(&mut self, proposal: Vote<V>, rounds: Rounds) -> Option<Message<V>> {
        if self.promised > Some(proposal.ballot) {
            return self.refusal_of(proposal.ballot);
        }
        if self.vote.as_ref() == Some(&proposal) {
            return None;
        }
        Some(self.cast(proposal, rounds))
    }

    /// Phase 2a of a fast ballot: from now on what a client asks for may be voted for, unless a
    /// higher ballot was promised.
    ///
    /// `[Fast, "any" message]`
    pub fn on_any(&mut self, ballot: Ballot) -> Option<Message<V>> {
        if self.promised > Some(ballot) {
            return self.refusal_of(ballot);
        }
        self.promised = Some(ballot);
        self.open = true;
        None
    }

    /// Phase 2b of a fast ballot: the first value that a client asks for is voted for. The first
    /// only: an acceptor votes once in a ballot.
    ///
    /// `[Fast, phase 2b and "any" message]`
    pub fn on_propose(&mut self, value: V, rounds: Rounds) -> Option<Message<V>> {
        let ballot = self.promised.filter(|_| self.open)?;
        Some(self.cast(Vote { ballot, value }, rounds))
    }

    /// Votes. Whoever votes in a fast ballot thereby promises the ballot that resolves collisions
    /// in it, so that its coordinator need not ask: see [`Rounds::recovery`].
    fn cast(&mut self, vote: Vote<V>, rounds: Rounds) -> Message<V> {
        let recovery = rounds.recovery(vote.ballot);
        self.promised = Some(recovery.unwrap_or(vote.ballot));
        self.open = false;
        self.vote = Some(vote.clone());
        Message::Accepted { vote }
    }

    /// Which ballot stands in the way of `ballot`, for its coordinator to give up at once and go
    /// above it. None if that is its own: then it knows. Only speed depends on the answer.
    fn refusal_of(&self, ballot: Ballot) -> Option<Message<V>> {
        let promised = self.promised.filter(|it| it.node != ballot.node)?;
        Some(Message::Nack { promised })
    }

    /// Whether a request of phase 1 in `ballot` can never again be granted here.
    #[must_use]
    pub fn is_past_prepare(&self, ballot: Ballot) -> bool {
        self.promised >= Some(ballot)
    }

    /// Whether a request of phase 2 can never again be granted here, or is already.
    #[must_use]
    pub fn is_past_accept(&self, proposal: &Vote<V>) -> bool {
        self.promised > Some(proposal.ballot) || self.vote.as_ref() == Some(proposal)
    }

    /// Whether `ballot` can never again be opened here, or is already.
    #[must_use]
    pub fn is_past_any(&self, ballot: Ballot) -> bool {
        self.promised > Some(ballot) || (self.promised == Some(ballot) && self.open)
    }

    /// Whether no fast ballot can ever be open here any more.
    #[must_use]
    pub fn is_past_fast(&self, rounds: Rounds) -> bool {
        rounds.fast == 0 || self.promised.is_some_and(|it| it.round > rounds.fast)
    }
}

impl<V: fmt::Display> fmt::Debug for Acceptor<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (promised, vote) = (OrNone(&self.promised), OrNone(&self.vote));
        let open = if self.open { " open" } else { "" };
        write!(f, "promised {promised}{open} voted {vote}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, nack, vote};
    use super::*;

    /// Round 1 is fast.
    const ROUNDS: Rounds = Rounds { fast: 1 };

    fn promised(round: u64, node: u32) -> Acceptor<char> {
        let mut acceptor = Acceptor::default();
        acceptor.on_prepare(ballot(round, node));
        acceptor
    }

    fn open(round: u64, node: u32) -> Acceptor<char> {
        let mut acceptor = promised(round, node);
        acceptor.on_any(ballot(round, node));
        acceptor
    }

    fn accepted(round: u64, node: u32, value: char) -> Option<Message<char>> {
        let vote = vote(round, node, value);
        Some(Message::Accepted { vote })
    }

    #[test]
    fn a_higher_prepare_is_answered_with_the_highest_vote_and_a_lower_refused() {
        let mut acceptor = promised(2, 0);
        acceptor.on_accept(vote(2, 0, 'x'), ROUNDS);
        let (lower, ballot) = (ballot(2, 0), ballot(3, 1));
        let vote = Some(vote(2, 0, 'x'));
        let promise = Message::Promise { ballot, vote };
        assert_eq!(acceptor.on_prepare(ballot), Some(promise));
        let before = acceptor.clone();
        assert_eq!(acceptor.on_prepare(lower), Some(nack(3, 1)));
        assert_eq!(acceptor.on_prepare(ballot), None);
        assert_eq!(acceptor, before);
    }

    #[test]
    fn nothing_is_voted_for_on_a_clients_word_alone() {
        assert_eq!(Acceptor::default().on_propose('x', ROUNDS), None);
        assert_eq!(promised(1, 0).on_propose('x', ROUNDS), None);
    }

    #[test]
    fn once_a_ballot_is_open_the_first_value_asked_for_is_voted_for_and_no_other() {
        let mut acceptor = open(1, 0);
        assert_eq!(acceptor.on_propose('x', ROUNDS), accepted(1, 0, 'x'));
        assert_eq!(acceptor.on_propose('y', ROUNDS), None);
        // Not even if it is opened again, or another value proposed in it.
        assert_eq!(acceptor.on_any(ballot(1, 0)), None);
        assert_eq!(acceptor.on_propose('y', ROUNDS), None);
        assert_eq!(acceptor.on_accept(vote(1, 0, 'y'), ROUNDS), None);
        assert_eq!(acceptor.vote, Some(vote(1, 0, 'x')));
    }

    #[test]
    fn a_vote_in_a_fast_ballot_promises_the_ballot_that_resolves_it() {
        let mut acceptor = open(1, 0);
        acceptor.on_propose('x', ROUNDS);
        assert_eq!(acceptor.promised, Some(ballot(2, 0)));
        // So no ballot of another coordinator comes in between.
        assert_eq!(acceptor.on_prepare(ballot(1, 1)), Some(nack(2, 0)));
        let answer = acceptor.on_accept(vote(2, 0, 'y'), ROUNDS);
        assert_eq!(answer, accepted(2, 0, 'y'));
        assert_eq!(acceptor.promised, Some(ballot(2, 0)));
    }

    #[test]
    fn a_value_proposed_in_a_fast_ballot_is_a_vote_like_any_other() {
        let mut acceptor = promised(1, 0);
        let answer = acceptor.on_accept(vote(1, 0, 'x'), ROUNDS);
        assert_eq!(answer, accepted(1, 0, 'x'));
        assert_eq!(acceptor.promised, Some(ballot(2, 0)));
    }

    #[test]
    fn a_higher_promise_closes_a_fast_ballot() {
        let mut acceptor = open(1, 0);
        acceptor.on_prepare(ballot(1, 1));
        assert_eq!(acceptor.on_propose('x', ROUNDS), None);
        assert_eq!(acceptor.on_any(ballot(1, 0)), Some(nack(1, 1)));
        assert_eq!(acceptor.on_propose('x', ROUNDS), None);
    }

    #[test]
    fn any_counts_as_a_promise() {
        let mut acceptor = Acceptor::default();
        acceptor.on_any(ballot(1, 1));
        assert_eq!(acceptor.on_prepare(ballot(1, 0)), Some(nack(1, 1)));
        assert_eq!(acceptor.on_propose('x', ROUNDS), accepted(1, 1, 'x'));
    }

    #[test]
    fn a_vote_in_a_classic_ballot_promises_that_ballot_and_is_not_cast_twice() {
        let mut acceptor = promised(1, 0);
        let answer = acceptor.on_accept(vote(3, 1, 'x'), ROUNDS);
        assert_eq!(answer, accepted(3, 1, 'x'));
        assert_eq!(acceptor.promised, Some(ballot(3, 1)));
        assert_eq!(acceptor.on_accept(vote(3, 1, 'x'), ROUNDS), None);
        let answer = acceptor.on_accept(vote(2, 0, 'y'), ROUNDS);
        assert_eq!(answer, Some(nack(3, 1)));
    }

    #[test]
    fn past_is_what_changes_nothing_any_more() {
        let mut acceptor = open(1, 0);
        assert!(acceptor.is_past_any(ballot(1, 0)) && !acceptor.is_past_any(ballot(1, 1)));
        assert!(!promised(1, 0).is_past_any(ballot(1, 0)));
        assert!(acceptor.is_past_prepare(ballot(1, 0)) && !acceptor.is_past_prepare(ballot(1, 1)));
        assert!(!acceptor.is_past_fast(ROUNDS));
        acceptor.on_propose('x', ROUNDS);
        assert!(acceptor.is_past_any(ballot(1, 1)) && acceptor.is_past_fast(ROUNDS));
        assert!(Acceptor::<char>::default().is_past_fast(Rounds::default()));
    }
}
