//! The calls of Basic Paxos.

use super::dice::{Dice, drawn};
use super::{Remembered, Scattered};
use synod::ballot::Ballot;
use synod::basic::{
    Acceptor, Cluster, Durable, Learner, Message, NodeState, Phase, Process, ProcessState,
    Proposer, Request, Tally, Timer,
};

impl Remembered<Message<char>> for ProcessState<char> {
    type Node = NodeState<char>;

    fn node(&self) -> Option<&NodeState<char>> {
        self.node()
    }
}

impl Scattered for Process<char> {
    fn ballot(state: &ProcessState<char>) -> Option<Ballot> {
        state.node()?.proposer.as_ref()?.ballot
    }

    fn answer(message: &mut Message<char>, own: Ballot) {
        if let Message::Promise { ballot, .. } = message {
            *ballot = own;
        }
    }
}

drawn! { Acceptor<char> { promised, vote } }
drawn! { Request<char> { client, value } }
drawn! { Proposer<char> { ballot, request, phase } }
drawn! { Phase<char>:
    1 Idle {}
    1 Accepting { value }
    1 Preempted { by }
    3 Preparing { promises, highest }
}
drawn! { Tally<char> { proposal, voters } }
drawn! { Learner<char> { tally, decided = |d| d.option(0.2, Dice::draw) } }
drawn! { NodeState<char> { acceptor, proposer, learner } }
drawn! { ProcessState<char> = |d| ProcessState::Node(d.draw()) }
drawn! { Durable<char> { acceptor, ballot, decided } }
drawn! { Timer = |d| d.of(&[Timer::Retry, Timer::Ask]) }
drawn! { Message<char>:
    1 Propose { value }
    2 Prepare { ballot }
    3 Promise { ballot, vote }
    2 Accept { vote }
    1 Accepted { vote }
    1 Nack { promised }
    1 Decided { value }
    1 Ask {}
}
drawn! { Cluster {
    quorums, proposers, learners, nacks, round_max = |d| d.of(&[1, 3, u64::MAX]), backoff,
} }
