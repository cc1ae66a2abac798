//! The coordinator: phases 1a and 2a of one ballot at a time, the choice of the value, and what to
//! do when clients collide.

use super::{Message, Poll};
use crate::ballot::{Ballot, NodeId};
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::vote::{OrNone, Value, Vote};
use serde::Serialize;
use std::fmt;

/// A coordinator. Of its state only `ballot` is durable.
///
/// After a restart it is idle: it never takes up the ballot it left, nor the one that was to
/// resolve it, because it no longer knows what it asked the acceptors.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Coordinator<V> {
    /// The highest ballot ever started here. Persisted before a message of it leaves, so that no
    /// ballot is used twice.
    pub ballot: Option<Ballot>,
    /// What a client asked for, and which client. Proposed by a coordinator that is free to.
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

/// How far a coordinator is with its ballot.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub enum Phase<V> {
    /// Nothing under way: just started, nothing to propose, or the decision is known.
    Idle,
    /// Phase 1: waiting for promises.
    Preparing {
        /// The acceptors that promised.
        promises: AcceptorSet,
        /// The votes that they reported.
        poll: Poll<V>,
    },
    /// Phase 2 of a fast ballot: watching how the acceptors vote.
    Watching {
        /// Their votes.
        poll: Poll<V>,
    },
    /// Phase 2 of a classic ballot: asking the acceptors to vote for `value`.
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

impl<V> Coordinator<V> {
    /// A coordinator that starts, for the first time or again, having used ballots up to `ballot`.
    #[must_use]
    pub fn restart(ballot: Option<Ballot>) -> Self {
        Self {
            ballot,
            request: None,
            phase: Phase::Idle,
        }
    }
}

impl<V: Value> Coordinator<V> {
    /// A client's request. The first one stands until the decision is known; says whether it was
    /// taken.
    ///
    /// `[Fast, phase 2a]`
    pub fn on_propose(&mut self, client: NodeId, value: V) -> bool {
        let is_free = self.request.is_none();
        if is_free {
            self.request = Some(Request { client, value });
        }
        is_free
    }

    /// Phase 1a: choose a ballot higher than any used or heard of, and ask the acceptors for
    /// promises. `heard` is what the node knows besides: the promise of its own acceptor.
    ///
    /// Higher also than the ballot that resolves the present one, if that is fast: whoever voted
    /// has promised that already, and would not answer.
    ///
    /// `None` in a round above `round_max`: there is no such ballot left.
    ///
    /// `[Fast, phase 1a]`
    pub fn prepare(
        &mut self,
        me: NodeId,
        heard: Option<Ballot>,
        quorums: &QuorumSystem,
        round_max: u64,
    ) -> Option<Message<V>> {
        let outbid_by = match self.phase {
            Phase::Preempted { by } => Some(by),
            Phase::Idle
            | Phase::Preparing { .. }
            | Phase::Watching { .. }
            | Phase::Accepting { .. } => None,
        };
        let recovery = self.ballot.and_then(|it| quorums.rounds().recovery(it));
        let used = self.ballot.max(recovery);
        let ballot = Ballot::above(used.max(outbid_by).max(heard), me)?;
        if ballot.round > round_max {
            return None;
        }
        self.ballot = Some(ballot);
        self.phase = Phase::Preparing {
            promises: AcceptorSet::new(),
            poll: Poll::default(),
        };
        Some(Message::Prepare { ballot })
    }

    /// Phase 2a, once a quorum has promised: ask the acceptors to vote for the value that
    /// [`Poll::pick`] names. If no vote was reported the coordinator is free: a fast ballot it
    /// opens to what clients ask for, in a classic one it proposes what it was asked for itself,
    /// and without a client it rests.
    ///
    /// Promises of other ballots say nothing about this one, strangers have no say, and an acceptor
    /// counts once.
    ///
    /// `[Fast, phase 2a]`
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
        let Phase::Preparing { promises, poll } = &mut self.phase else {
            return None;
        };
        if !promises.insert(from) {
            return None;
        }
        if let Some(vote) = vote {
            poll.hear(from, vote);
        }
        if !quorums.is_phase1(*promises) {
            return None;
        }
        let picked = poll.pick(*promises, quorums).cloned();
        if picked.is_none() && quorums.rounds().is_fast(ballot) {
            let poll = Poll::default();
            self.phase = Phase::Watching { poll };
            return Some(Message::Any { ballot });
        }
        let own = || self.request.as_ref().map(|request| request.value.clone());
        match picked.or_else(own) {
            Some(value) => Some(self.propose(Vote { ballot, value }, quorums)),
            None => {
                self.phase = Phase::Idle;
                None
            }
        }
    }

    /// A vote in a fast ballot of this coordinator. Once no value can get a fast quorum any more,
    /// clients have collided, and the votes of a phase-1 quorum serve as its promises for the next
    /// ballot: *coordinated recovery*.
    ///
    /// `None` also in a round above `round_max`: there is no such ballot left.
    ///
    /// `[Fast, coordinated recovery]`
    pub fn on_accepted(
        &mut self,
        from: NodeId,
        vote: Vote<V>,
        quorums: &QuorumSystem,
        round_max: u64,
    ) -> Option<Message<V>> {
        if self.ballot != Some(vote.ballot) || !quorums.acceptors().contains(from) {
            return None;
        }
        let recovery = quorums.rounds().recovery(vote.ballot);
        let Phase::Watching { poll } = &mut self.phase else {
            return None;
        };
        poll.hear(from, vote);
        let heard = poll.voters();
        let has_collided = poll.choosable(heard, quorums).is_none();
        if !has_collided || !quorums.is_phase1(heard) {
            return None;
        }
        let ballot = recovery.filter(|it| it.round <= round_max)?;
        let value = poll.pick(heard, quorums)?.clone();
        self.ballot = Some(ballot);
        Some(self.propose(Vote { ballot, value }, quorums))
    }

    /// Puts a value to the vote, in a fast ballot or in a classic one.
    fn propose(&mut self, vote: Vote<V>, quorums: &QuorumSystem) -> Message<V> {
        self.phase = if quorums.rounds().is_fast(vote.ballot) {
            let poll = Poll::default();
            Phase::Watching { poll }
        } else {
            let value = vote.value.clone();
            Phase::Accepting { value }
        };
        Message::Accept { vote }
    }

    /// Somebody promised a higher ballot: abandon this one, and outbid it after a pause. Says
    /// whether the ballot was abandoned. During the pause further refusals are ignored: if they
    /// tell of an even higher ballot, the next attempt will hear of it.
    ///
    /// `[Fast, progress]`
    pub fn on_nack(&mut self, promised: Ballot) -> bool {
        let is_under_way = match self.phase {
            Phase::Preparing { .. } | Phase::Watching { .. } | Phase::Accepting { .. } => true,
            Phase::Idle | Phase::Preempted { .. } => false,
        };
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
    pub fn is_past_promise(&self, from: NodeId, ballot: Ballot) -> bool {
        let is_counted = match &self.phase {
            Phase::Preparing { promises, .. } => promises.contains(from),
            Phase::Idle
            | Phase::Watching { .. }
            | Phase::Accepting { .. }
            | Phase::Preempted { .. } => true,
        };
        Some(ballot) < self.ballot || (Some(ballot) == self.ballot && is_counted)
    }
}

impl<V: fmt::Display> fmt::Debug for Coordinator<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ballot {} ", OrNone(&self.ballot))?;
        match &self.phase {
            Phase::Idle => f.write_str("idle")?,
            Phase::Preparing { promises, poll } => {
                write!(f, "preparing {promises} highest {poll:?}")?;
            }
            Phase::Watching { poll } => write!(f, "watching {poll:?}")?,
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
    use super::super::testing::{ballot, system, vote};
    use super::*;

    const ME: NodeId = NodeId(9);

    /// Of four acceptors any three are a quorum, classic or fast; rounds up to `fast` are fast.
    fn quorums(fast: u64) -> QuorumSystem {
        system(4, "fast:3,3", fast)
    }

    /// A coordinator of a client's `own` that has just sent *prepare* for ballot 1.9.
    fn preparing(own: Option<char>, quorums: &QuorumSystem) -> Coordinator<char> {
        let mut coordinator = Coordinator::restart(None);
        if let Some(value) = own {
            coordinator.on_propose(NodeId(20), value);
        }
        coordinator
            .prepare(ME, None, quorums, u64::MAX)
            .expect("the first round");
        coordinator
    }

    /// Feeds promises for ballot 1.9 and returns what the last one led to.
    fn promise(
        coordinator: &mut Coordinator<char>,
        answers: &[(u32, Option<Vote<char>>)],
        quorums: &QuorumSystem,
    ) -> Option<Message<char>> {
        let mut last = None;
        for (from, vote) in answers {
            last = coordinator.on_promise(NodeId(*from), ballot(1, 9), vote.clone(), quorums);
        }
        last
    }

    /// A coordinator whose ballot 1.9 is open.
    fn watching(quorums: &QuorumSystem) -> Coordinator<char> {
        let mut coordinator = preparing(Some('o'), quorums);
        let open = promise(
            &mut coordinator,
            &[(0, None), (1, None), (2, None)],
            quorums,
        );
        let any = Message::Any {
            ballot: ballot(1, 9),
        };
        assert_eq!(open, Some(any));
        coordinator
    }

    /// Feeds votes in ballot 1.9 and returns what the last one led to.
    fn votes(
        coordinator: &mut Coordinator<char>,
        votes: &[(u32, char)],
        quorums: &QuorumSystem,
        round_max: u64,
    ) -> Option<Message<char>> {
        let mut last = None;
        for (from, value) in votes {
            let vote = vote(1, 9, *value);
            last = coordinator.on_accepted(NodeId(*from), vote, quorums, round_max);
        }
        last
    }

    fn accept(round: u64, value: char) -> Option<Message<char>> {
        let vote = vote(round, 9, value);
        Some(Message::Accept { vote })
    }

    const COLLISION: [(u32, char); 4] = [(0, 'x'), (1, 'y'), (2, 'x'), (3, 'y')];

    #[test]
    fn a_fast_ballot_is_opened_once_a_quorum_promised_and_none_reported_a_vote() {
        let quorums = quorums(1);
        let mut coordinator = preparing(None, &quorums);
        let two = [(0, None), (1, None)];
        assert_eq!(promise(&mut coordinator, &two, &quorums), None);
        assert!(matches!(
            promise(&mut coordinator, &[(2, None)], &quorums),
            Some(Message::Any { .. })
        ));
        assert_eq!(promise(&mut coordinator, &[(3, None)], &quorums), None);
    }

    #[test]
    fn a_classic_ballot_is_for_the_own_value_or_for_nothing() {
        let quorums = quorums(0);
        let answers = [(0, None), (1, None), (2, None)];
        let mut coordinator = preparing(Some('x'), &quorums);
        let proposed = promise(&mut coordinator, &answers, &quorums);
        assert_eq!(proposed, accept(1, 'x'));
        let mut coordinator = preparing(None, &quorums);
        assert_eq!(promise(&mut coordinator, &answers, &quorums), None);
        assert!(coordinator.phase == Phase::Idle);
    }

    #[test]
    fn a_fast_ballot_with_a_vote_reported_is_for_that_value_and_not_open() {
        let quorums = quorums(1);
        let mut coordinator = preparing(Some('o'), &quorums);
        let answers = [(0, None), (1, Some(vote(1, 3, 'y'))), (2, None)];
        let proposed = promise(&mut coordinator, &answers, &quorums);
        assert_eq!(proposed, accept(1, 'y'));
        assert!(matches!(coordinator.phase, Phase::Watching { .. }));
    }

    #[test]
    fn of_several_values_that_are_reported_the_one_that_may_be_chosen_is_proposed() {
        let quorums = quorums(1);
        let mut coordinator = Coordinator::restart(Some(ballot(1, 9)));
        coordinator.on_propose(NodeId(20), 'o');
        coordinator.prepare(ME, None, &quorums, u64::MAX);
        let answers = [('y', 0), ('x', 1), ('x', 2)].map(|(value, from)| {
            let vote = Some(vote(1, 3, value));
            coordinator.on_promise(NodeId(from), ballot(3, 9), vote, &quorums)
        });
        assert_eq!(answers, [None, None, accept(3, 'x')]);
    }

    #[test]
    fn it_takes_a_phase_1_quorum_of_distinct_acceptors_that_promised_this_ballot() {
        let quorums = quorums(1);
        let mut coordinator = preparing(Some('x'), &quorums);
        let answers = [(0, None), (0, None), (1, None), (7, None)];
        assert_eq!(promise(&mut coordinator, &answers, &quorums), None);
        let other = coordinator.on_promise(NodeId(2), ballot(2, 9), None, &quorums);
        assert_eq!(other, None);
        assert!(promise(&mut coordinator, &[(2, None)], &quorums).is_some());
    }

    #[test]
    fn a_collision_is_resolved_in_the_next_ballot_without_asking_for_promises() {
        let quorums = quorums(1);
        let mut coordinator = watching(&quorums);
        // While one of the values may still be chosen there is nothing to resolve.
        let before = votes(&mut coordinator, &COLLISION[..3], &quorums, u64::MAX);
        assert_eq!(before, None);
        let last = votes(&mut coordinator, &COLLISION[3..], &quorums, u64::MAX);
        assert_eq!(last, accept(2, 'x'));
        assert_eq!(coordinator.ballot, Some(ballot(2, 9)));
        assert!(coordinator.phase == Phase::Accepting { value: 'x' });
        // And once.
        let again = votes(&mut coordinator, &COLLISION, &quorums, u64::MAX);
        assert_eq!(again, None);
    }

    #[test]
    fn the_next_ballot_may_be_fast_and_is_not_open() {
        let quorums = quorums(2);
        let mut coordinator = watching(&quorums);
        let last = votes(&mut coordinator, &COLLISION, &quorums, u64::MAX);
        assert_eq!(last, accept(2, 'x'));
        assert!(matches!(coordinator.phase, Phase::Watching { .. }));
    }

    #[test]
    fn a_vote_that_is_heard_twice_a_strangers_or_of_another_ballot_does_not_collide() {
        let quorums = quorums(1);
        let mut coordinator = watching(&quorums);
        let heard = [(0, 'x'), (1, 'y'), (2, 'x'), (1, 'y'), (7, 'y')];
        assert_eq!(votes(&mut coordinator, &heard, &quorums, u64::MAX), None);
        let other = vote(2, 8, 'y');
        let other = coordinator.on_accepted(NodeId(3), other, &quorums, u64::MAX);
        assert_eq!(other, None);
        let heard = "ballot 1.9 watching 1.9 x from {0,2} y from {1} for 20→o";
        assert_eq!(format!("{coordinator:?}"), heard);
    }

    #[test]
    fn a_collision_without_a_phase_1_quorum_waits_for_one() {
        // It takes all five to prepare, and four to choose, which three values rule out.
        let quorums = system(5, "fast:5,1,4", 1);
        let mut coordinator = preparing(None, &quorums);
        let promises = [0, 1, 2, 3, 4].map(|from| (from, None));
        assert!(promise(&mut coordinator, &promises, &quorums).is_some());
        let four = [(0, 'x'), (1, 'y'), (2, 'z'), (3, 'x')];
        let heard = votes(&mut coordinator, &four, &quorums, u64::MAX);
        assert_eq!(heard, None);
        let heard = votes(&mut coordinator, &[(4, 'y')], &quorums, u64::MAX);
        assert_eq!(heard, accept(2, 'x'));
    }

    #[test]
    fn no_ballot_is_started_above_the_last_round() {
        let quorums = quorums(1);
        let mut coordinator = watching(&quorums);
        assert_eq!(votes(&mut coordinator, &COLLISION, &quorums, 1), None);
        assert_eq!(coordinator.ballot, Some(ballot(1, 9)));
        assert_eq!(coordinator.prepare(ME, None, &quorums, 2), None);
        assert!(coordinator.prepare(ME, None, &quorums, 3).is_some());
    }

    #[test]
    fn a_new_ballot_is_above_the_one_that_would_resolve_the_last() {
        let quorums = quorums(1);
        let mut coordinator = watching(&quorums);
        let next = coordinator.prepare(ME, None, &quorums, u64::MAX);
        let ballot = ballot(3, 9);
        assert_eq!(next, Some(Message::Prepare { ballot }));
    }

    #[test]
    fn a_new_ballot_is_above_what_outbid_the_last_and_what_the_node_heard_of() {
        let quorums = quorums(1);
        let mut coordinator = preparing(Some('x'), &quorums);
        assert!(!coordinator.on_nack(ballot(1, 8)) && !coordinator.on_nack(ballot(1, 9)));
        assert!(coordinator.on_nack(ballot(7, 3)));
        assert!(!coordinator.on_nack(ballot(8, 3)));
        let mut heard = coordinator.clone();
        let next = coordinator.prepare(ME, None, &quorums, u64::MAX);
        let above = Message::Prepare {
            ballot: ballot(8, 9),
        };
        assert_eq!(next, Some(above));
        let next = heard.prepare(ME, Some(ballot(9, 1)), &quorums, u64::MAX);
        let above = Message::Prepare {
            ballot: ballot(10, 9),
        };
        assert_eq!(next, Some(above));
    }

    #[test]
    fn a_restarted_coordinator_resumes_nothing() {
        let quorums = quorums(1);
        let before = watching(&quorums);
        let mut coordinator = Coordinator::restart(before.ballot);
        assert_eq!(
            votes(&mut coordinator, &COLLISION, &quorums, u64::MAX),
            None
        );
        let answers = [(0, None), (1, None), (2, None)];
        assert_eq!(promise(&mut coordinator, &answers, &quorums), None);
    }

    #[test]
    fn a_promise_is_past_once_it_is_counted_or_its_ballot_is_over() {
        let quorums = quorums(1);
        let mut coordinator = preparing(None, &quorums);
        promise(&mut coordinator, &[(0, None)], &quorums);
        let is_past = |it: &Coordinator<char>, from, round| {
            it.is_past_promise(NodeId(from), ballot(round, 9))
        };
        assert!(is_past(&coordinator, 0, 1) && !is_past(&coordinator, 1, 1));
        assert!(is_past(&coordinator, 1, 0) && !is_past(&coordinator, 0, 2));
        promise(&mut coordinator, &[(1, None), (2, None)], &quorums);
        assert!(is_past(&coordinator, 3, 1) && !is_past(&coordinator, 3, 2));
    }

    #[test]
    fn a_retired_coordinator_names_its_client_and_ignores_late_answers() {
        let quorums = quorums(1);
        let mut coordinator = watching(&quorums);
        assert!(!coordinator.on_propose(NodeId(21), 'y'));
        assert_eq!(coordinator.retire(), Some(NodeId(20)));
        assert_eq!(
            votes(&mut coordinator, &COLLISION, &quorums, u64::MAX),
            None
        );
        assert!(!coordinator.on_nack(ballot(7, 4)));
    }
}
