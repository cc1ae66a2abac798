//! The words of Fast Paxos: values are numbers, that of their character.

use super::{Calls, Described, Dice, Recorder, Remembered, Words, Written};
use rand::Rng;
use stateright::actor::{Id, Out};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use synod::backoff::Backoff;
use synod::ballot::{Ballot, NodeId};
use synod::fast::{
    Acceptor, Cluster, Coordinator, Durable, Learner, Message, NodeState, Phase, Poll, Process,
    ProcessState, Request, Timer,
};
use synod::quorum::{AcceptorSet, QuorumSystem};
use synod::rounds::Rounds;

impl Written for Acceptor<char> {
    fn write(&self, words: &mut Words) {
        words.option(self.promised, Words::ballot);
        words.switch(self.open);
        words.option(self.vote.as_ref(), Words::put);
    }
}

impl Written for Poll<char> {
    fn write(&self, words: &mut Words) {
        words.option(self.ballot, Words::ballot);
        words.all(self.votes.iter(), |words, (value, voters)| {
            words.value(*value);
            words.set(*voters);
        });
    }
}

impl Written for Coordinator<char> {
    fn write(&self, words: &mut Words) {
        words.option(self.ballot, Words::ballot);
        words.option(self.request.as_ref(), |words, request| {
            words.word(request.client);
            words.value(request.value);
        });
        match &self.phase {
            Phase::Idle => words.word("idle"),
            Phase::Preparing { promises, poll } => {
                words.word("preparing");
                words.set(*promises);
                words.put(poll);
            }
            Phase::Watching { poll } => {
                words.word("watching");
                words.put(poll);
            }
            Phase::Accepting { value } => {
                words.word("accepting");
                words.value(*value);
            }
            Phase::Preempted { by } => {
                words.word("preempted");
                words.ballot(*by);
            }
        }
    }
}

impl Written for Learner<char> {
    fn write(&self, words: &mut Words) {
        words.put(&self.poll);
        words.option(self.decided, Words::value);
    }
}

impl Written for ProcessState<char> {
    fn write(&self, words: &mut Words) {
        let Some(node) = self.node() else { return };
        words.option(node.acceptor.as_ref(), Words::put);
        words.option(node.coordinator.as_ref(), Words::put);
        words.option(node.learner.as_ref(), Words::put);
    }
}

impl Remembered<Message<char>> for ProcessState<char> {
    fn is_node(&self) -> bool {
        self.node().is_some()
    }
}

impl Written for Durable<char> {
    fn write(&self, words: &mut Words) {
        words.option(self.acceptor.as_ref(), Words::put);
        words.option(self.ballot, Words::ballot);
        words.option(self.decided, Words::value);
    }
}

impl Written for Message<char> {
    fn write(&self, words: &mut Words) {
        match self {
            Message::Propose { value } => {
                words.word("propose");
                words.value(*value);
            }
            Message::Prepare { ballot } => {
                words.word("prepare");
                words.ballot(*ballot);
            }
            Message::Promise { ballot, vote } => {
                words.word("promise");
                words.ballot(*ballot);
                words.option(vote.as_ref(), Words::put);
            }
            Message::Any { ballot } => {
                words.word("any");
                words.ballot(*ballot);
            }
            Message::Accept { vote } => {
                words.word("accept");
                words.put(vote);
            }
            Message::Accepted { vote } => {
                words.word("accepted");
                words.put(vote);
            }
            Message::Nack { promised } => {
                words.word("nack");
                words.ballot(*promised);
            }
            Message::Decided { value } => {
                words.word("decided");
                words.value(*value);
            }
            Message::Ask => words.word("ask"),
        }
    }
}

impl Written for Timer {
    fn write(&self, words: &mut Words) {
        words.word(match self {
            Timer::Retry => "retry",
            Timer::Ask => "ask",
        });
    }
}

impl Described for Cluster {
    fn quorums(&self) -> &QuorumSystem {
        &self.quorums
    }
}

impl Written for Cluster {
    /// Quorums, how many rounds are fast and how many acceptors choose in one, coordinators,
    /// learners, whether refusals are told, the last round, and the shortest wait with how often it
    /// doubles.
    fn write(&self, words: &mut Words) {
        let rounds = self.quorums.rounds();
        words.word("fast");
        words.quorums(&self.quorums);
        words.word(rounds.fast);
        words.word(fast_size(&self.quorums));
        words.nodes(&self.coordinators);
        words.nodes(&self.learners);
        words.switch(self.nacks);
        words.word(self.round_max);
        words.word(self.backoff.base.as_nanos());
        words.word(self.backoff.doublings_max);
    }
}

/// How many acceptors choose in a fast ballot. Round 0, which nobody uses, counts as fast always.
fn fast_size(quorums: &QuorumSystem) -> usize {
    let (round, node) = (0, NodeId(0));
    let acceptors: Vec<NodeId> = quorums.acceptors().iter().collect();
    let first = |count| acceptors.iter().take(count).copied().collect();
    let mut sizes = 1..=acceptors.len();
    let size = sizes.find(|count| quorums.chooses(Ballot { round, node }, first(*count)));
    // There is one, for all acceptors are enough.
    size.unwrap_or(acceptors.len())
}

/// How many random calls are made in one random cluster.
const CALLS_PER_CLUSTER: usize = 2_000;

/// Random calls in random states, whether they can be reached or not.
pub(super) fn random(calls: &Arc<Calls>, count: usize, dice: &mut Dice) -> io::Result<()> {
    let mut drawn = None;
    for made in 0..count {
        if made % CALLS_PER_CLUSTER == 0 {
            let cluster = Arc::new(Draw(dice).cluster());
            calls.begin(&*cluster)?;
            let recorder = Recorder::new(Process::Node(Arc::clone(&cluster)), calls);
            drawn = Some((cluster, recorder));
        }
        if let Some((cluster, recorder)) = &drawn {
            Draw(dice).call(cluster, recorder);
        }
    }
    Ok(())
}

/// Draws what a call of Fast Paxos takes.
struct Draw<'a>(&'a mut Dice);

impl Draw<'_> {
    fn acceptor(&mut self) -> Acceptor<char> {
        Acceptor {
            promised: self.0.option(Dice::ballot),
            open: self.0.0.random_bool(0.5),
            vote: self.0.option(Dice::vote),
        }
    }

    /// Votes of distinct values, or the order of two of one value would matter. (Their voters may
    /// overlap.)
    fn poll(&mut self) -> Poll<char> {
        let mut values = vec!['x', 'y', 'z'];
        let count = self.0.0.random_range(0..=3);
        let votes = (0..count).map(|_| {
            let value = values.remove(self.0.0.random_range(0..values.len()));
            (value, self.0.set())
        });
        let votes: Vec<(char, AcceptorSet)> = votes.collect();
        let ballot = self.0.option(Dice::ballot);
        Poll { ballot, votes }
    }

    fn phase(&mut self, ballot: Option<Ballot>) -> Phase<char> {
        match self.0.0.random_range(0..8) {
            0 => Phase::Idle,
            1 => Phase::Accepting {
                value: self.0.value(),
            },
            2 => Phase::Preempted {
                by: self.0.ballot(),
            },
            3..6 => {
                // Mostly of the ballot that is watched.
                let mut poll = self.poll();
                if self.0.0.random_bool(0.8) {
                    poll.ballot = ballot;
                }
                Phase::Watching { poll }
            }
            _ => Phase::Preparing {
                promises: self.0.set(),
                poll: self.poll(),
            },
        }
    }

    fn coordinator(&mut self) -> Coordinator<char> {
        let ballot = self.0.option(Dice::ballot);
        Coordinator {
            ballot,
            request: self.0.option(|dice| Request {
                client: dice.node(),
                value: dice.value(),
            }),
            phase: self.phase(ballot),
        }
    }

    fn learner(&mut self) -> Learner<char> {
        let poll = self.poll();
        let decided = self.0.0.random_bool(0.2).then(|| self.0.value());
        Learner { poll, decided }
    }

    fn state(&mut self) -> NodeState<char> {
        NodeState {
            acceptor: self.0.option(|dice| Draw(dice).acceptor()),
            coordinator: self.0.option(|dice| Draw(dice).coordinator()),
            learner: self.0.option(|dice| Draw(dice).learner()),
        }
    }

    fn message(&mut self) -> Message<char> {
        let dice = &mut *self.0;
        match dice.0.random_range(0..14) {
            0 => Message::Propose {
                value: dice.value(),
            },
            1 => Message::Prepare {
                ballot: dice.ballot(),
            },
            2 => Message::Any {
                ballot: dice.ballot(),
            },
            3..6 => Message::Promise {
                ballot: dice.ballot(),
                vote: dice.option(Dice::vote),
            },
            6..8 => Message::Accept { vote: dice.vote() },
            8..11 => Message::Accepted { vote: dice.vote() },
            11 => Message::Nack {
                promised: dice.ballot(),
            },
            12 => Message::Decided {
                value: dice.value(),
            },
            _ => Message::Ask,
        }
    }

    fn cluster(&mut self) -> Cluster {
        let dice = &mut *self.0;
        let quorums = loop {
            let (fast, rounds) = (dice.0.random_range(1..6), dice.of(&[0, 1, 2, u64::MAX]));
            let rounds = Rounds { fast: rounds };
            if let Ok(quorums) = dice.quorums().with_fast(fast, rounds) {
                break quorums;
            }
        };
        Cluster {
            quorums,
            coordinators: dice.several(4, Dice::node),
            learners: dice.several(4, Dice::node),
            nacks: dice.0.random_bool(0.5),
            round_max: dice.of(&[1, 3, u64::MAX]),
            backoff: Backoff {
                base: Duration::from_millis(dice.of(&[1, 20])),
                doublings_max: dice.of(&[0, 6]),
            },
        }
    }

    fn call(&mut self, cluster: &Cluster, recorder: &Recorder<Process<char>>) {
        // Half of the calls are made where somebody has a role, and half of the messages are an
        // acceptor's, or few would matter.
        let acceptors: Vec<NodeId> = cluster.quorums.acceptors().iter().collect();
        let some = |dice: &mut Dice| match dice.0.random_bool(0.5) {
            true => dice.of(&acceptors),
            false => dice.node(),
        };
        let (id, mut out) = (Id::from(some(self.0)), Out::new());
        let kind = self.0.0.random_range(0..10);
        if kind == 0 {
            let durable = self.0.option(|dice| Durable {
                acceptor: dice.option(|dice| Draw(dice).acceptor()),
                ballot: dice.option(Dice::ballot),
                decided: dice.option(Dice::value),
            });
            recorder.on_start(id, &durable, &mut out);
            return;
        }
        let state = ProcessState::Node(self.state());
        let mut state = Cow::Borrowed(&state);
        if kind == 1 {
            let timer = self.0.of(&[Timer::Retry, Timer::Ask]);
            recorder.on_timeout(id, &mut state, &timer, &mut out);
            return;
        }
        // Half of the answers are about the coordinator's own ballot.
        let coordinator = state.node().and_then(|node| node.coordinator.as_ref());
        let own = coordinator.and_then(|coordinator| coordinator.ballot);
        let message = match (self.message(), own.filter(|_| self.0.0.random_bool(0.5))) {
            (Message::Promise { vote, .. }, Some(ballot)) => Message::Promise { ballot, vote },
            (Message::Accepted { mut vote }, Some(ballot)) => {
                vote.ballot = ballot;
                Message::Accepted { vote }
            }
            (message, _) => message,
        };
        let from = Id::from(some(self.0));
        recorder.on_msg(id, &mut state, from, message, &mut out);
    }
}
