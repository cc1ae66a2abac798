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
    use super::super::testing::{any, ballot, prepare, system, vote};
    use super::*;

    const ME: NodeId = NodeId(9);

    /// A coordinator, and the quorums of its cluster.
    #[derive(Clone)]
    struct Rig(Coordinator<char>, QuorumSystem);

    /// Of four acceptors any three are a quorum, classic or fast; rounds up to `fast` are fast.
    fn quorums(fast: u64) -> QuorumSystem {
        system(4, "fast:3,3", fast)
    }

    /// A coordinator of a client's `own` that has just sent *prepare* for ballot 1.9.
    fn preparing(own: Option<char>, quorums: QuorumSystem) -> Rig {
        let mut rig = Rig(Coordinator::restart(None), quorums);
        if let Some(value) = own {
            rig.0.on_propose(NodeId(20), value);
        }
        assert_eq!(rig.prepare(None), Some(prepare(1, 9)));
        rig
    }

    /// A coordinator whose ballot 1.9 is open; rounds up to `fast` are fast.
    fn watching(fast: u64) -> Rig {
        let mut rig = preparing(Some('o'), quorums(fast));
        assert_eq!(rig.promise(&NO_VOTES), Some(any(1, 9)));
        rig
    }

    impl Rig {
        fn prepare(&mut self, heard: Option<Ballot>) -> Option<Message<char>> {
            self.0.prepare(ME, heard, &self.1, u64::MAX)
        }

        /// Feeds promises for ballot 1.9 and returns what the last one led to.
        fn promise(&mut self, answers: &[(u32, Option<Vote<char>>)]) -> Option<Message<char>> {
            let hear = |(from, vote): &(u32, Option<Vote<char>>)| {
                let (from, ballot) = (NodeId(*from), ballot(1, 9));
                self.0.on_promise(from, ballot, vote.clone(), &self.1)
            };
            answers.iter().map(hear).last()?
        }

        /// Feeds votes in ballot 1.9 and returns what the last one led to.
        fn votes(&mut self, votes: &[(u32, char)]) -> Option<Message<char>> {
            self.votes_until(votes, u64::MAX)
        }

        fn votes_until(&mut self, votes: &[(u32, char)], round_max: u64) -> Option<Message<char>> {
            let hear = |(from, value): &(u32, char)| {
                let (from, vote) = (NodeId(*from), vote(1, 9, *value));
                self.0.on_accepted(from, vote, &self.1, round_max)
            };
            votes.iter().map(hear).last()?
        }
    }

    /// Promises of a quorum that has not voted.
    const NO_VOTES: [(u32, Option<Vote<char>>); 3] = [(0, None), (1, None), (2, None)];

    fn accept(round: u64, value: char) -> Option<Message<char>> {
        let vote = vote(round, 9, value);
        Some(Message::Accept { vote })
    }

    const COLLISION: [(u32, char); 4] = [(0, 'x'), (1, 'y'), (2, 'x'), (3, 'y')];

    #[test]
    fn a_fast_ballot_is_opened_once_a_quorum_promised_and_none_reported_a_vote() {
        let mut rig = preparing(None, quorums(1));
        let two = [(0, None), (1, None)];
        assert_eq!(rig.promise(&two), None);
        assert_eq!(rig.promise(&[(2, None)]), Some(any(1, 9)));
        assert_eq!(rig.promise(&[(3, None)]), None);
    }

    #[test]
    fn a_classic_ballot_is_for_the_own_value_or_for_nothing() {
        let mut rig = preparing(Some('x'), quorums(0));
        assert_eq!(rig.promise(&NO_VOTES), accept(1, 'x'));
        let mut rig = preparing(None, quorums(0));
        assert_eq!(rig.promise(&NO_VOTES), None);
        assert!(rig.0.phase == Phase::Idle);
    }

    #[test]
    fn a_fast_ballot_with_a_vote_reported_is_for_that_value_and_not_open() {
        let mut rig = preparing(Some('o'), quorums(1));
        let answers = [(0, None), (1, Some(vote(1, 3, 'y'))), (2, None)];
        assert_eq!(rig.promise(&answers), accept(1, 'y'));
        assert!(matches!(rig.0.phase, Phase::Watching { .. }));
    }

    #[test]
    fn of_several_values_that_are_reported_the_one_that_may_be_chosen_is_proposed() {
        let Rig(mut coordinator, quorums) = watching(1);
        coordinator.prepare(ME, None, &quorums, u64::MAX);
        let answers = [('y', 0), ('x', 1), ('x', 2)].map(|(value, from)| {
            let vote = Some(vote(1, 3, value));
            coordinator.on_promise(NodeId(from), ballot(3, 9), vote, &quorums)
        });
        assert_eq!(answers, [None, None, accept(3, 'x')]);
    }

    #[test]
    fn it_takes_a_phase_1_quorum_of_distinct_acceptors_that_promised_this_ballot() {
        let mut rig = preparing(Some('x'), quorums(1));
        let answers = [(0, None), (0, None), (1, None), (7, None)];
        assert_eq!(rig.promise(&answers), None);
        let Rig(coordinator, quorums) = &mut rig;
        let other = coordinator.on_promise(NodeId(2), ballot(2, 9), None, quorums);
        assert_eq!(other, None);
        assert!(rig.promise(&[(2, None)]).is_some());
    }

    #[test]
    fn a_collision_is_resolved_in_the_next_ballot_without_asking_for_promises() {
        let mut rig = watching(1);
        // While one of the values may still be chosen there is nothing to resolve.
        assert_eq!(rig.votes(&COLLISION[..3]), None);
        assert_eq!(rig.votes(&COLLISION[3..]), accept(2, 'x'));
        assert_eq!(rig.0.ballot, Some(ballot(2, 9)));
        assert!(rig.0.phase == Phase::Accepting { value: 'x' });
        // And once.
        assert_eq!(rig.votes(&COLLISION), None);
    }

    #[test]
    fn the_next_ballot_may_be_fast_and_is_not_open() {
        let mut rig = watching(2);
        assert_eq!(rig.votes(&COLLISION), accept(2, 'x'));
        assert!(matches!(rig.0.phase, Phase::Watching { .. }));
    }

    #[test]
    fn a_vote_that_is_heard_twice_a_strangers_or_of_another_ballot_does_not_collide() {
        let mut rig = watching(1);
        let heard = [(0, 'x'), (1, 'y'), (2, 'x'), (1, 'y'), (7, 'y')];
        assert_eq!(rig.votes(&heard), None);
        let Rig(mut coordinator, quorums) = rig;
        let other = coordinator.on_accepted(NodeId(3), vote(2, 8, 'y'), &quorums, u64::MAX);
        assert_eq!(other, None);
        let heard = "ballot 1.9 watching 1.9 x from {0,2} y from {1} for 20→o";
        assert_eq!(format!("{coordinator:?}"), heard);
    }

    #[test]
    fn a_collision_without_a_phase_1_quorum_waits_for_one() {
        // It takes all five to prepare, and four to choose, which three values rule out.
        let mut rig = preparing(None, system(5, "fast:5,1,4", 1));
        let promises = [0, 1, 2, 3, 4].map(|from| (from, None));
        assert!(rig.promise(&promises).is_some());
        let four = [(0, 'x'), (1, 'y'), (2, 'z'), (3, 'x')];
        assert_eq!(rig.votes(&four), None);
        assert_eq!(rig.votes(&[(4, 'y')]), accept(2, 'x'));
    }

    #[test]
    fn no_ballot_is_started_above_the_last_round() {
        let mut rig = watching(1);
        assert_eq!(rig.votes_until(&COLLISION, 1), None);
        let Rig(mut coordinator, quorums) = rig;
        assert_eq!(coordinator.ballot, Some(ballot(1, 9)));
        assert_eq!(coordinator.prepare(ME, None, &quorums, 2), None);
        assert!(coordinator.prepare(ME, None, &quorums, 3).is_some());
    }

    #[test]
    fn a_new_ballot_is_above_the_one_that_would_resolve_the_last() {
        let mut rig = watching(1);
        assert_eq!(rig.prepare(None), Some(prepare(3, 9)));
    }

    #[test]
    fn a_new_ballot_is_above_what_outbid_the_last_and_what_the_node_heard_of() {
        let mut rig = preparing(Some('x'), quorums(1));
        let mut outbid = |round, node| rig.0.on_nack(ballot(round, node));
        assert!(!outbid(1, 8) && !outbid(1, 9) && outbid(7, 3) && !outbid(8, 3));
        assert_eq!(rig.clone().prepare(None), Some(prepare(8, 9)));
        let heard = Some(ballot(9, 1));
        assert_eq!(rig.prepare(heard), Some(prepare(10, 9)));
    }

    #[test]
    fn a_restarted_coordinator_resumes_nothing() {
        let mut rig = watching(1);
        rig.0 = Coordinator::restart(rig.0.ballot);
        assert_eq!(rig.votes(&COLLISION), None);
        assert_eq!(rig.promise(&NO_VOTES), None);
        // Nor does it take the ballot that would have resolved the one it left.
        assert_eq!(rig.prepare(None), Some(prepare(3, 9)));
    }

    #[test]
    fn a_promise_is_past_once_it_is_counted_or_its_ballot_is_over() {
        let mut rig = preparing(None, quorums(1));
        rig.promise(&[(0, None)]);
        let is_past = |it: &Rig, from, round| it.0.is_past_promise(NodeId(from), ballot(round, 9));
        assert!(is_past(&rig, 0, 1) && !is_past(&rig, 1, 1));
        assert!(is_past(&rig, 1, 0) && !is_past(&rig, 0, 2));
        rig.promise(&[(1, None), (2, None)]);
        assert!(is_past(&rig, 3, 1) && !is_past(&rig, 3, 2));
    }

    #[test]
    fn a_retired_coordinator_names_its_client_and_ignores_late_answers() {
        let mut rig = watching(1);
        assert!(!rig.0.on_propose(NodeId(21), 'y'));
        assert_eq!(rig.0.retire(), Some(NodeId(20)));
        assert_eq!(rig.votes(&COLLISION), None);
        assert!(!rig.0.on_nack(ballot(7, 4)));
    }
}
