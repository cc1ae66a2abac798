//! The calls of Fast Paxos.

use super::dice::{Dice, Drawn, drawn};
use super::{Remembered, Scattered};
use rand::Rng;
use synod::ballot::{Ballot, NodeId};
use synod::fast::{
    Acceptor, Cluster, Coordinator, Durable, Learner, Message, NodeState, Phase, Poll, Process,
    ProcessState, Request, Timer,
};
use synod::quorum::QuorumSystem;
use synod::rounds::Rounds;

impl Remembered<Message<char>> for ProcessState<char> {
    type Node = NodeState<char>;

    fn node(&self) -> Option<&NodeState<char>> {
        self.node()
    }
}

impl Scattered for Process<char> {
    /// Half of the calls are made where somebody has a role, and half of the messages are an
    /// acceptor's, or few would matter.
    fn id(cluster: &Cluster, d: &mut Dice) -> NodeId {
        let acceptors: Vec<NodeId> = cluster.quorums.acceptors().iter().collect();
        match d.draw() {
            true => d.of(&acceptors),
            false => d.draw(),
        }
    }

    fn ballot(state: &ProcessState<char>) -> Option<Ballot> {
        state.node()?.coordinator.as_ref()?.ballot
    }

    fn answer(message: &mut Message<char>, own: Ballot) {
        match message {
            Message::Promise { ballot, .. } => *ballot = own,
            Message::Accepted { vote } => vote.ballot = own,
            _ => {}
        }
    }
}

drawn! { Acceptor<char> { promised, open, vote } }
drawn! { Request<char> { client, value } }
drawn! { Learner<char> { poll, decided = |d| d.option(0.2, Dice::draw) } }
drawn! { NodeState<char> { acceptor, coordinator, learner } }
drawn! { ProcessState<char> = |d| ProcessState::Node(d.draw()) }
drawn! { Durable<char> { acceptor, ballot, decided } }
drawn! { Timer = |d| d.of(&[Timer::Retry, Timer::Ask]) }
drawn! { Phase<char>:
    1 Idle {}
    1 Accepting { value }
    1 Preempted { by }
    3 Watching { poll }
    2 Preparing { promises, poll }
}
drawn! { Message<char>:
    1 Propose { value }
    1 Prepare { ballot }
    1 Any { ballot }
    3 Promise { ballot, vote }
    2 Accept { vote }
    3 Accepted { vote }
    1 Nack { promised }
    1 Decided { value }
    1 Ask {}
}
drawn! { Cluster {
    quorums = |d| loop {
        let (fast, rounds) = (d.0.random_range(1..6), d.of(&[0, 1, 2, u64::MAX]));
        let rounds = Rounds { fast: rounds };
        if let Ok(quorums) = d.draw::<QuorumSystem>().with_fast(fast, rounds) {
            break quorums;
        }
    },
    coordinators, learners, nacks, round_max = |d| d.of(&[1, 3, u64::MAX]), backoff,
} }

impl Drawn for Poll<char> {
    /// Votes of distinct values, or the order of two of one value would matter. (Their voters may
    /// overlap.)
    fn drawn(d: &mut Dice) -> Self {
        let mut values = vec!['x', 'y', 'z'];
        let count = d.0.random_range(0..=3);
        let votes = (0..count).map(|_| {
            let value = values.remove(d.0.random_range(0..values.len()));
            (value, d.draw())
        });
        let votes = votes.collect();
        let ballot = d.draw();
        Poll { ballot, votes }
    }
}

impl Drawn for Coordinator<char> {
    /// What is watched is mostly a poll of the coordinator's ballot.
    fn drawn(d: &mut Dice) -> Self {
        let (ballot, request, mut phase) = (d.draw(), d.draw(), d.draw());
        if let Phase::Watching { poll } = &mut phase
            && d.chance(0.8)
        {
            poll.ballot = ballot;
        }
        Coordinator {
            ballot,
            request,
            phase,
        }
    }
}
