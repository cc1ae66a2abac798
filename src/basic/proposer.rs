//! The proposer: phases 1a and 2a of one ballot at a time, and the choice of the value.

use super::Message;
use crate::ballot::{Ballot, NodeId};
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::vote::{OrNone, Value, Vote};
use serde::Serialize;
use std::fmt;

/// A proposer. Of its state only `ballot` is durable.
///
/// After a restart it is idle: it never takes up the ballot it left, even if promises for it
/// arrive again, because it no longer knows what it asked the acceptors to accept.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Proposer<V> {
    /// The highest ballot ever started here. Persisted before its *prepare* leaves, so that no
    /// ballot is used twice.
    pub ballot: Option<Ballot>,
    /// What a client asked for, and which client. Proposed only if no acceptor reports a vote.
    pub request: Option<Request<V>>,
    /// How far the present ballot is.
    pub phase: Phase<V>,
}

/// A client's wish to have a value chosen.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Request<V> {
    /// Who asked, and is to be told.
    pub client: NodeId,
    /// The value asked for.
    pub value: V,
}

/// How far a proposer is with its ballot.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub enum Phase<V> {
    /// Nothing under way: just started, nothing to propose, or the decision is known.
    Idle,
    /// Phase 1: waiting for promises.
    Preparing {
        /// The acceptors that promised.
        promises: AcceptorSet,
        /// The highest vote that they reported.
        highest: Option<Vote<V>>,
    },
    /// Phase 2: asking the acceptors to vote for `value`.
    Accepting {
        /// The value of the ballot. Never another one in the same ballot.
        value: V,
    },
    /// An acceptor refused the ballot on account of a higher one.
    Preempted {
        /// The higher one.
        by: Ballot,
    },
}

impl<V> Proposer<V> {
    /// A proposer that starts, for the first time or again, having used ballots up to `ballot`.
    #[must_use]
    pub fn restart(ballot: Option<Ballot>) -> Self {
        Self {
            ballot,
            request: None,
            phase: Phase::Idle,
        }
    }
}

impl<V: Value> Proposer<V> {
    /// A client's request. The first one stands until the decision is known; says whether it was
    /// taken. Which value a proposer pursues is its own choice.
    ///
    /// `[PMS §2.1]`
    pub fn on_propose(&mut self, client: NodeId, value: V) -> bool {
        let is_free = self.request.is_none();
        if is_free {
            self.request = Some(Request { client, value });
        }
        is_free
    }

    /// Phase 1a: choose a ballot higher than any used or heard of, and ask the acceptors for
    /// promises. The request carries the ballot alone. `heard` is what the node knows besides:
    /// the promise of its own acceptor.
    ///
    /// `None` in a round above `round_max`: there is no such ballot left.
    ///
    /// `[PMS §2.2, phase 1(a)]` · `Phase1a` (Paxos.tla)
    pub fn prepare(
        &mut self,
        me: NodeId,
        heard: Option<Ballot>,
        round_max: u64,
    ) -> Option<Message<V>> {
        let outbid_by = match self.phase {
            Phase::Preempted { by } => Some(by),
            Phase::Idle | Phase::Preparing { .. } | Phase::Accepting { .. } => None,
        };
        let ballot = Ballot::above(self.ballot.max(outbid_by).max(heard), me)?;
        if ballot.round > round_max {
            return None;
        }
        self.ballot = Some(ballot);
        self.phase = Phase::Preparing {
            promises: AcceptorSet::new(),
            highest: None,
        };
        Some(Message::Prepare { ballot })
    }

    /// Phase 2a: once a quorum has promised, ask the acceptors to vote for the value of the
    /// highest vote reported; for the client's own only if no vote was.
    ///
    /// Promises of other ballots say nothing about this one, strangers have no say, and an acceptor
    /// counts once. With neither a vote nor a client there is nothing to finish, and the proposer
    /// rests.
    ///
    /// `[PMS §2.2, phase 2(a), P2c]` · `Phase2a` (Paxos.tla)
    pub fn on_promise(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        vote: Option<Vote<V>>,
        quorums: &QuorumSystem,
    ) -> Option<Message<V>> {
        if self.ballot != Some(ballot) || !quorums.acceptors().contains(from) {
            return None;
        }
        let Phase::Preparing { promises, highest } = &mut self.phase else {
            return None;
        };
        if !promises.insert(from) {
            return None;
        }
        let ballot_of = |vote: &Option<Vote<V>>| vote.as_ref().map(|vote| vote.ballot);
        if ballot_of(&vote) > ballot_of(highest) {
            *highest = vote;
        }
        if !quorums.is_phase1(*promises) {
            return None;
        }
        let reported = highest.take().map(|vote| vote.value);
        let own = || self.request.as_ref().map(|request| request.value.clone());
        let Some(value) = reported.or_else(own) else {
            self.phase = Phase::Idle;
            return None;
        };
        let proposal = value.clone();
        self.phase = Phase::Accepting { value };
        Some(Message::Accept {
            vote: Vote {
                ballot,
                value: proposal,
            },
        })
    }

    /// Somebody promised a higher ballot: abandon this one, and outbid it after a pause. Says
    /// whether the ballot was abandoned. During the pause further refusals are ignored: if they
    /// tell of an even higher ballot, the next attempt will hear of it.
    ///
    /// `[PMS §2.2, last paragraph]` · not in Paxos.tla
    pub fn on_nack(&mut self, promised: Ballot) -> bool {
        let is_under_way = matches!(
            self.phase,
            Phase::Preparing { .. } | Phase::Accepting { .. }
        );
        let gives_up = is_under_way && self.ballot < Some(promised);
        if gives_up {
            self.phase = Phase::Preempted { by: promised };
        }
        gives_up
    }

    /// The decision is known: stop, and name the client that waits for it.
    pub fn retire(&mut self) -> Option<NodeId> {
        self.phase = Phase::Idle;
        self.request.take().map(|request| request.client)
    }

    /// Whether a promise from `from` for `ballot` can never matter again.
    #[must_use]
    pub fn is_past(&self, from: NodeId, ballot: Ballot) -> bool {
        let is_counted = match &self.phase {
            Phase::Preparing { promises, .. } => promises.contains(from),
            Phase::Idle | Phase::Accepting { .. } | Phase::Preempted { .. } => true,
        };
        Some(ballot) < self.ballot || (Some(ballot) == self.ballot && is_counted)
    }
}

impl<V: fmt::Display> fmt::Debug for Proposer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ballot {} ", OrNone(&self.ballot))?;
        match &self.phase {
            Phase::Idle => f.write_str("idle")?,
            Phase::Preparing { promises, highest } => {
                write!(f, "preparing {promises} highest {}", OrNone(highest))?;
            }
            Phase::Accepting { value } => write!(f, "accepting {value}")?,
            Phase::Preempted { by } => write!(f, "preempted by {by}")?,
        }
        match &self.request {
            Some(request) => write!(f, " for {}→{}", request.client, request.value),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, prepare, vote};
    use super::*;

    const ME: NodeId = NodeId(3);

    fn majority_of_three() -> QuorumSystem {
        QuorumSystem::majority(AcceptorSet::first(3)).expect("majorities intersect")
    }

    /// A proposer of `own` that has just sent *prepare* for ballot 1.3.
    fn preparing(own: Option<char>) -> Proposer<char> {
        let mut proposer = Proposer::restart(None);
        if let Some(value) = own {
            proposer.on_propose(NodeId(9), value);
        }
        assert_eq!(next(&mut proposer, None), Some(prepare(1, 3)));
        proposer
    }

    fn next(proposer: &mut Proposer<char>, heard: Option<Ballot>) -> Option<Message<char>> {
        proposer.prepare(ME, heard, u64::MAX)
    }

    /// Feeds promises for ballot 1.3 and returns what the last one led to.
    fn promise(
        proposer: &mut Proposer<char>,
        answers: &[(u32, Option<Vote<char>>)],
    ) -> Option<Message<char>> {
        let mut last = None;
        for (from, vote) in answers {
            let (from, vote) = (NodeId(*from), vote.clone());
            last = proposer.on_promise(from, ballot(1, 3), vote, &majority_of_three());
        }
        last
    }

    fn accept(value: char) -> Option<Message<char>> {
        let vote = vote(1, 3, value);
        Some(Message::Accept { vote })
    }

    #[test]
    fn it_takes_a_phase_1_quorum_to_propose() {
        for (prepare, choose) in [(3, 1), (1, 3)] {
            let quorums = QuorumSystem::flexible(AcceptorSet::first(3), prepare, choose);
            let quorums = quorums.expect("they intersect");
            let mut proposer = preparing(Some('x'));
            let mut hear = |from| proposer.on_promise(NodeId(from), ballot(1, 3), None, &quorums);
            let proposed_at = (0..3).position(|from| hear(from).is_some());
            assert_eq!(proposed_at, Some(prepare - 1));
        }
    }

    #[test]
    fn the_first_request_stands() {
        let mut proposer = Proposer::restart(None);
        assert!(proposer.on_propose(NodeId(8), 'x'));
        assert!(!proposer.on_propose(NodeId(9), 'y'));
        assert_eq!(proposer.request.map(|request| request.value), Some('x'));
    }

    #[test]
    fn every_attempt_takes_a_higher_ballot() {
        let mut proposer = preparing(Some('x'));
        assert_eq!(next(&mut proposer, None), Some(prepare(2, 3)));
        // Above what outbid it, and above what the node heard of.
        assert!(proposer.on_nack(ballot(7, 4)));
        assert_eq!(next(&mut proposer, None), Some(prepare(8, 3)));
        let mut proposer = Proposer::restart(None);
        let heard = Some(ballot(4, 5));
        assert_eq!(next(&mut proposer, heard), Some(prepare(5, 3)));
    }

    #[test]
    fn an_old_refusal_is_ignored() {
        let mut proposer = preparing(Some('x'));
        next(&mut proposer, None);
        assert!(!proposer.on_nack(ballot(1, 4)));
        assert!(matches!(proposer.phase, Phase::Preparing { .. }));
    }

    #[test]
    fn no_ballot_is_started_above_the_last_round() {
        let mut proposer = preparing(Some('x'));
        let before = proposer.clone();
        assert_eq!(proposer.prepare(ME, None, 1), None);
        assert_eq!(proposer, before);
    }

    #[test]
    fn without_votes_the_own_value_is_proposed_once_a_quorum_promised() {
        let mut proposer = preparing(Some('x'));
        for _ in ["the first time", "and again"] {
            assert_eq!(promise(&mut proposer, &[(0, None)]), None);
        }
        assert_eq!(promise(&mut proposer, &[(1, None)]), accept('x'));
        assert_eq!(promise(&mut proposer, &[(2, None)]), None);
    }

    #[test]
    fn the_value_of_the_highest_ballot_wins_whatever_the_order_and_the_values() {
        let low = Some(vote(1, 1, 'z'));
        let high = Some(vote(1, 2, 'a'));
        for answers in [[(0, low.clone()), (1, high.clone())], [(0, high), (1, low)]] {
            let mut proposer = preparing(Some('x'));
            assert_eq!(promise(&mut proposer, &answers), accept('a'));
        }
    }

    #[test]
    fn one_reported_vote_is_enough_to_bind() {
        let mut proposer = preparing(Some('x'));
        let answers = [(0, Some(vote(1, 1, 'y'))), (1, None)];
        assert_eq!(promise(&mut proposer, &answers), accept('y'));
    }

    #[test]
    fn what_a_stranger_promises_or_reports_does_not_count() {
        let mut proposer = preparing(Some('x'));
        let answers = [(7, Some(vote(1, 2, 'y'))), (0, None), (1, None)];
        assert_eq!(promise(&mut proposer, &answers), accept('x'));
    }

    #[test]
    fn a_promise_for_another_ballot_does_not_count() {
        let mut proposer = preparing(Some('x'));
        next(&mut proposer, None);
        assert_eq!(promise(&mut proposer, &[(0, None), (1, None)]), None);
    }

    #[test]
    fn a_restarted_proposer_does_not_resume_its_ballot() {
        let before = preparing(Some('x'));
        let mut proposer = Proposer::restart(before.ballot);
        assert_eq!(promise(&mut proposer, &[(0, None), (1, None)]), None);
        assert_eq!(next(&mut proposer, None), Some(prepare(2, 3)));
    }

    #[test]
    fn a_proposer_without_a_client_finishes_what_it_finds_and_rests_if_it_finds_nothing() {
        let mut proposer = preparing(None);
        let answers = [(0, Some(vote(1, 1, 'y'))), (1, None)];
        assert_eq!(promise(&mut proposer, &answers), accept('y'));
        let mut proposer = preparing(None);
        assert_eq!(promise(&mut proposer, &[(0, None), (1, None)]), None);
        assert!(proposer.phase == Phase::Idle);
    }

    #[test]
    fn a_retired_proposer_names_its_client_and_ignores_late_answers() {
        let mut proposer = preparing(Some('x'));
        assert_eq!(proposer.retire(), Some(NodeId(9)));
        assert_eq!(promise(&mut proposer, &[(0, None), (1, None)]), None);
        assert!(!proposer.on_nack(ballot(7, 4)));
    }
}
