//! The words of Basic Paxos: values are numbers, that of their character.

use super::{Calls, Described, Dice, Recorder, Remembered, Words, Written};
use rand::Rng;
use stateright::actor::{Id, Out};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use synod::backoff::Backoff;
use synod::basic::{
    Acceptor, Cluster, Durable, Learner, Message, NodeState, Phase, Process, ProcessState,
    Proposer, Request, Tally, Timer,
};
use synod::quorum::QuorumSystem;
use synod::vote::Vote;

impl Words {
    pub(super) fn value(&mut self, value: char) {
        self.word(u32::from(value));
    }
}

impl Written for Vote<char> {
    fn write(&self, words: &mut Words) {
        words.ballot(self.ballot);
        words.value(self.value);
    }
}

impl Written for Acceptor<char> {
    fn write(&self, words: &mut Words) {
        words.option(self.promised, Words::ballot);
        words.option(self.vote.as_ref(), Words::put);
    }
}

impl Written for Proposer<char> {
    fn write(&self, words: &mut Words) {
        words.option(self.ballot, Words::ballot);
        words.option(self.request.as_ref(), |words, request| {
            words.word(request.client);
            words.value(request.value);
        });
        match &self.phase {
            Phase::Idle => words.word("idle"),
            Phase::Preparing { promises, highest } => {
                words.word("preparing");
                words.set(*promises);
                words.option(highest.as_ref(), Words::put);
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
        words.option(self.tally.as_ref(), |words, tally| {
            words.put(&tally.proposal);
            words.set(tally.voters);
        });
        words.option(self.decided, Words::value);
    }
}

impl Written for ProcessState<char> {
    fn write(&self, words: &mut Words) {
        let Some(node) = self.node() else { return };
        words.option(node.acceptor.as_ref(), Words::put);
        words.option(node.proposer.as_ref(), Words::put);
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
    /// Quorums, proposers, learners, whether refusals are told, the last round, and the shortest
    /// wait with how often it doubles.
    fn write(&self, words: &mut Words) {
        words.word("basic");
        words.quorums(&self.quorums);
        words.nodes(&self.proposers);
        words.nodes(&self.learners);
        words.switch(self.nacks);
        words.word(self.round_max);
        words.word(self.backoff.base.as_nanos());
        words.word(self.backoff.doublings_max);
    }
}

/// How many random calls are made in one random cluster.
const CALLS_PER_CLUSTER: usize = 2_000;

/// Random calls in random states, whether they can be reached or not.
pub(super) fn random(calls: &Arc<Calls>, count: usize, dice: &mut Dice) -> io::Result<()> {
    let mut recorder = None;
    for made in 0..count {
        if made % CALLS_PER_CLUSTER == 0 {
            let cluster = Arc::new(dice.cluster());
            calls.begin(&*cluster)?;
            recorder = Some(Recorder::new(Process::Node(cluster), calls));
        }
        if let Some(recorder) = &recorder {
            dice.call(recorder);
        }
    }
    Ok(())
}

impl Dice {
    pub(super) fn value(&mut self) -> char {
        self.of(&['x', 'y', 'z'])
    }

    pub(super) fn vote(&mut self) -> Vote<char> {
        let (ballot, value) = (self.ballot(), self.value());
        Vote { ballot, value }
    }

    fn acceptor(&mut self) -> Acceptor<char> {
        let (promised, vote) = (self.option(Self::ballot), self.option(Self::vote));
        Acceptor { promised, vote }
    }

    fn phase(&mut self) -> Phase<char> {
        match self.0.random_range(0..6) {
            0 => Phase::Idle,
            1 => Phase::Accepting {
                value: self.value(),
            },
            2 => Phase::Preempted { by: self.ballot() },
            _ => Phase::Preparing {
                promises: self.set(),
                highest: self.option(Self::vote),
            },
        }
    }

    fn proposer(&mut self) -> Proposer<char> {
        Proposer {
            ballot: self.option(Self::ballot),
            request: self.option(|dice| Request {
                client: dice.node(),
                value: dice.value(),
            }),
            phase: self.phase(),
        }
    }

    fn learner(&mut self) -> Learner<char> {
        let tally = self.option(|dice| Tally {
            proposal: dice.vote(),
            voters: dice.set(),
        });
        let decided = self.0.random_bool(0.2).then(|| self.value());
        Learner { tally, decided }
    }

    fn state(&mut self) -> NodeState<char> {
        NodeState {
            acceptor: self.option(Self::acceptor),
            proposer: self.option(Self::proposer),
            learner: self.option(Self::learner),
        }
    }

    fn message(&mut self) -> Message<char> {
        match self.0.random_range(0..12) {
            0 => Message::Propose {
                value: self.value(),
            },
            1..3 => Message::Prepare {
                ballot: self.ballot(),
            },
            3..6 => Message::Promise {
                ballot: self.ballot(),
                vote: self.option(Self::vote),
            },
            6..8 => Message::Accept { vote: self.vote() },
            8..9 => Message::Accepted { vote: self.vote() },
            9 => Message::Nack {
                promised: self.ballot(),
            },
            10 => Message::Decided {
                value: self.value(),
            },
            _ => Message::Ask,
        }
    }

    fn cluster(&mut self) -> Cluster {
        Cluster {
            quorums: self.quorums(),
            proposers: self.several(4, Self::node),
            learners: self.several(4, Self::node),
            nacks: self.0.random_bool(0.5),
            round_max: self.of(&[1, 3, u64::MAX]),
            backoff: Backoff {
                base: Duration::from_millis(self.of(&[1, 20])),
                doublings_max: self.of(&[0, 6]),
            },
        }
    }

    fn call(&mut self, recorder: &Recorder<Process<char>>) {
        let (id, mut out) = (Id::from(self.node()), Out::new());
        let kind = self.0.random_range(0..10);
        if kind == 0 {
            let durable = self.option(|dice| Durable {
                acceptor: dice.option(Self::acceptor),
                ballot: dice.option(Self::ballot),
                decided: dice.option(Self::value),
            });
            recorder.on_start(id, &durable, &mut out);
            return;
        }
        let state = ProcessState::Node(self.state());
        let mut state = Cow::Borrowed(&state);
        if kind == 1 {
            let timer = self.of(&[Timer::Retry, Timer::Ask]);
            recorder.on_timeout(id, &mut state, &timer, &mut out);
        } else {
            // Half of the messages are about the proposer's own ballot, or few would matter.
            let own = state.node().and_then(|node| node.proposer.as_ref()?.ballot);
            let message = match (self.message(), own.filter(|_| self.0.random_bool(0.5))) {
                (Message::Promise { vote, .. }, Some(ballot)) => Message::Promise { ballot, vote },
                (message, _) => message,
            };
            let from = Id::from(self.node());
            recorder.on_msg(id, &mut state, from, message, &mut out);
        }
    }
}
