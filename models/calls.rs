//! Every distinct call of a handler, written down: what the proofs' handlers are compared with.
//!
//! A [`Recorder`] wraps a process, passes everything on, and writes a line for each call that it
//! has not seen before: who was called with what, in which state, and what came of it. The
//! checker's collapse engine runs a handler once per local state and message, so a search with
//! recorders writes down all that can happen in a configuration. [`random`] goes beyond. The words
//! of a line are explained where they are written; `proofs/driver/calls.ml` reads them.

use super::basic::Speaker;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use synod::backoff::Backoff;
use synod::ballot::{Ballot, NodeId};
use synod::basic::{
    Acceptor, Cluster, Durable, Learner, Message, NodeState, Phase, Process, ProcessState,
    Proposer, Request, Tally, Timer,
};
use synod::quorum::{AcceptorSet, QuorumSystem};
use synod::vote::Vote;

/// A text of words.
#[derive(Default)]
struct Words(String);

impl Words {
    fn word(&mut self, word: impl Display) {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{space}{word}");
    }

    /// `-` for none, `+` before what there is.
    fn option<T>(&mut self, it: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.word(if it.is_some() { "+" } else { "-" });
        if let Some(it) = it {
            write(self, it);
        }
    }

    /// `round.node`.
    fn ballot(&mut self, ballot: Ballot) {
        self.word(ballot);
    }

    fn value(&mut self, value: char) {
        self.word(u32::from(value));
    }

    fn vote(&mut self, vote: &Vote<char>) {
        self.ballot(vote.ballot);
        self.value(vote.value);
    }

    /// One number, in which acceptor `i` is bit `i`.
    fn set(&mut self, set: AcceptorSet) {
        self.word(set.iter().fold(0u64, |bits, node| bits | 1 << node.0));
    }

    fn nodes(&mut self, nodes: &[NodeId]) {
        self.word(nodes.len());
        nodes.iter().for_each(|node| self.word(node));
    }

    fn acceptor(&mut self, acceptor: &Acceptor<char>) {
        self.option(acceptor.promised, Self::ballot);
        self.option(acceptor.vote.as_ref(), Self::vote);
    }

    fn proposer(&mut self, proposer: &Proposer<char>) {
        self.option(proposer.ballot, Self::ballot);
        self.option(proposer.request.as_ref(), |words, request| {
            words.word(request.client);
            words.value(request.value);
        });
        match &proposer.phase {
            Phase::Idle => self.word("idle"),
            Phase::Preparing { promises, highest } => {
                self.word("preparing");
                self.set(*promises);
                self.option(highest.as_ref(), Self::vote);
            }
            Phase::Accepting { value } => {
                self.word("accepting");
                self.value(*value);
            }
            Phase::Preempted { by } => {
                self.word("preempted");
                self.ballot(*by);
            }
        }
    }

    fn learner(&mut self, learner: &Learner<char>) {
        self.option(learner.tally.as_ref(), |words, tally| {
            words.vote(&tally.proposal);
            words.set(tally.voters);
        });
        self.option(learner.decided, Self::value);
    }

    fn state(&mut self, node: &NodeState<char>) {
        self.option(node.acceptor.as_ref(), Self::acceptor);
        self.option(node.proposer.as_ref(), Self::proposer);
        self.option(node.learner.as_ref(), Self::learner);
    }

    fn durable(&mut self, durable: &Durable<char>) {
        self.option(durable.acceptor.as_ref(), Self::acceptor);
        self.option(durable.ballot, Self::ballot);
        self.option(durable.decided, Self::value);
    }

    fn message(&mut self, message: &Message<char>) {
        match message {
            Message::Propose { value } => {
                self.word("propose");
                self.value(*value);
            }
            Message::Prepare { ballot } => {
                self.word("prepare");
                self.ballot(*ballot);
            }
            Message::Promise { ballot, vote } => {
                self.word("promise");
                self.ballot(*ballot);
                self.option(vote.as_ref(), Self::vote);
            }
            Message::Accept { vote } => {
                self.word("accept");
                self.vote(vote);
            }
            Message::Accepted { vote } => {
                self.word("accepted");
                self.vote(vote);
            }
            Message::Nack { promised } => {
                self.word("nack");
                self.ballot(*promised);
            }
            Message::Decided { value } => {
                self.word("decided");
                self.value(*value);
            }
            Message::Ask => self.word("ask"),
        }
    }

    fn timer(&mut self, timer: Timer) {
        self.word(match timer {
            Timer::Retry => "retry",
            Timer::Ask => "ask",
        });
    }

    /// What a step asks for, each request after a semicolon, waits in nanoseconds.
    fn commands(&mut self, out: &[Command<Message<char>, Timer, (), Durable<char>>]) {
        for command in out {
            self.word(";");
            match command {
                Command::Save(durable) => {
                    self.word("save");
                    self.durable(durable);
                }
                Command::Send(to, message) => {
                    self.word("send");
                    self.word(usize::from(*to));
                    self.message(message);
                }
                Command::SetTimer(timer, range) => {
                    self.word("set");
                    self.timer(*timer);
                    self.word(range.start.as_nanos());
                    self.word(range.end.as_nanos());
                }
                Command::CancelTimer(timer) => {
                    self.word("cancel");
                    self.timer(*timer);
                }
                Command::ChooseRandom(key, _) => self.word(key),
            }
        }
    }

    /// Acceptors, thresholds of both phases, proposers, learners, whether refusals are told, the
    /// last round, and the shortest wait with how often it doubles. `None` if quorums are not
    /// thresholds.
    fn cluster(&mut self, cluster: &Cluster) -> Option<()> {
        let quorums = &cluster.quorums;
        let acceptors: Vec<NodeId> = quorums.acceptors().iter().collect();
        let threshold = |is_met: &dyn Fn(AcceptorSet) -> bool| {
            let first = |count| acceptors.iter().take(count).copied().collect();
            let mut sizes = 1..=acceptors.len();
            sizes.find(|count| quorums.is_symmetric() && is_met(first(*count)))
        };
        let phase1 = threshold(&|set| quorums.is_phase1(set))?;
        let phase2 = threshold(&|set| quorums.is_phase2(set))?;
        self.word("cluster");
        self.set(quorums.acceptors());
        for size in [phase1, phase2] {
            self.word("at-least");
            self.word(size);
        }
        self.nodes(&cluster.proposers);
        self.nodes(&cluster.learners);
        self.word(if cluster.nacks { "on" } else { "off" });
        self.word(cluster.round_max);
        self.word(cluster.backoff.base.as_nanos());
        self.word(cluster.backoff.doublings_max);
        Some(())
    }
}

/// Where calls are written to.
pub struct Calls {
    sink: Mutex<Sink>,
}

struct Sink {
    file: Box<dyn Write + Send>,
    seen: HashSet<String>,
    count: usize,
    error: Option<io::Error>,
}

impl Calls {
    /// Calls that are written to `file`.
    pub fn new(file: impl Write + Send + 'static) -> Arc<Self> {
        let sink = Mutex::new(Sink {
            file: Box::new(file),
            seen: HashSet::new(),
            count: 0,
            error: None,
        });
        Arc::new(Self { sink })
    }

    /// Begins calls of nodes of this cluster.
    ///
    /// # Errors
    /// If its quorums are not thresholds.
    pub fn begin(&self, cluster: &Cluster) -> io::Result<()> {
        let mut words = Words::default();
        words.cluster(cluster).ok_or_else(|| {
            io::Error::other("calls can be written down where quorums are thresholds only")
        })?;
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.seen.clear();
        sink.put(&words.0);
        Ok(())
    }

    fn write(&self, words: Words) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if !sink.seen.contains(&words.0) {
            sink.put(&words.0);
            sink.count += 1;
            sink.seen.insert(words.0);
        }
    }

    /// How many calls were written.
    ///
    /// # Errors
    /// If any could not be.
    pub fn finish(&self) -> io::Result<usize> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        match sink.error.take() {
            Some(error) => Err(error),
            None => sink.file.flush().map(|()| sink.count),
        }
    }
}

impl Sink {
    fn put(&mut self, line: &str) {
        if self.error.is_none() {
            self.error = writeln!(self.file, "{line}").err();
        }
    }
}

/// A process whose calls are written down. Clients have no proof to be compared with: theirs are
/// not.
#[derive(Clone)]
pub struct Recorder<A> {
    actor: A,
    calls: Arc<Calls>,
}

impl<A: Speaker> Recorder<A> {
    /// `actor`, with its calls written to `calls`.
    pub fn new(actor: A, calls: &Arc<Calls>) -> Self {
        let calls = Arc::clone(calls);
        Self { actor, calls }
    }

    fn record(&self, mut call: Words, state: &ProcessState<char>, done: &Out<A>) {
        if let Some(after) = state.node() {
            call.word("=>");
            call.state(after);
            call.commands(done);
            self.calls.write(call);
        }
    }
}

/// A call of a node in a state: who, what, and the state after `@`.
fn call(id: Id, before: &ProcessState<char>, what: impl FnOnce(&mut Words)) -> Words {
    let mut words = Words::default();
    words.word(usize::from(id));
    what(&mut words);
    if let Some(node) = before.node() {
        words.word("@");
        words.state(node);
    }
    words
}

impl<A: Speaker> Speaker for Recorder<A> {}

impl<A: Speaker> Actor for Recorder<A> {
    type Msg = Message<char>;
    type Timer = Timer;
    type State = ProcessState<char>;
    type Storage = Durable<char>;
    type Random = ();

    fn on_start(
        &self,
        id: Id,
        storage: &Option<Durable<char>>,
        out: &mut Out<Self>,
    ) -> ProcessState<char> {
        let mut words = Words::default();
        words.word(usize::from(id));
        words.word("start");
        words.option(storage.as_ref(), Words::durable);
        let mut done = Out::new();
        let state = self.actor.on_start(id, storage, &mut done);
        self.record(words, &state, &done);
        out.append(&mut done);
        state
    }

    fn on_msg(
        &self,
        id: Id,
        state: &mut Cow<ProcessState<char>>,
        src: Id,
        msg: Message<char>,
        out: &mut Out<Self>,
    ) {
        let words = call(id, state, |words| {
            words.word("message");
            words.word(usize::from(src));
            words.message(&msg);
        });
        let mut done = Out::new();
        self.actor.on_msg(id, state, src, msg, &mut done);
        self.record(words, state, &done);
        out.append(&mut done);
    }

    fn on_timeout(
        &self,
        id: Id,
        state: &mut Cow<ProcessState<char>>,
        timer: &Timer,
        out: &mut Out<Self>,
    ) {
        let words = call(id, state, |words| {
            words.word("timer");
            words.timer(*timer);
        });
        let mut done = Out::new();
        self.actor.on_timeout(id, state, timer, &mut done);
        self.record(words, state, &done);
        out.append(&mut done);
    }

    fn name(&self) -> String {
        self.actor.name()
    }
}

/// How many random calls are made in one random cluster.
const CALLS_PER_CLUSTER: usize = 2_000;

/// Writes down `count` calls in states and with messages that are drawn at random, whether they can
/// be reached or not. The same seed gives the same calls.
///
/// # Errors
/// If they cannot be written.
pub fn random(calls: &Arc<Calls>, count: usize, seed: u64) -> io::Result<()> {
    let mut dice = Dice(SmallRng::seed_from_u64(seed));
    let mut recorder = None;
    for made in 0..count {
        if made % CALLS_PER_CLUSTER == 0 {
            let cluster = Arc::new(dice.cluster());
            calls.begin(&cluster)?;
            recorder = Some(Recorder::new(Process::Node(cluster), calls));
        }
        if let Some(recorder) = &recorder {
            dice.call(recorder);
        }
    }
    Ok(())
}

/// Draws what a call takes. Few of each kind, so that they meet.
struct Dice(SmallRng);

impl Dice {
    fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.random_range(0..from.len())]
    }

    fn option<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.0.random_bool(0.7).then(|| draw(self))
    }

    fn node(&mut self) -> NodeId {
        // Ids that can be no acceptor's, too.
        NodeId(self.of(&[0, 1, 2, 3, 4, 5, 6, 7, 63, 64, u32::MAX]))
    }

    fn ballot(&mut self) -> Ballot {
        let round = self.of(&[0, 1, 1, 1, 2, 2, 2, 3, 3, u64::MAX - 1, u64::MAX]);
        let node = self.node();
        Ballot { round, node }
    }

    fn value(&mut self) -> char {
        self.of(&['x', 'y', 'z'])
    }

    fn vote(&mut self) -> Vote<char> {
        let (ballot, value) = (self.ballot(), self.value());
        Vote { ballot, value }
    }

    fn set(&mut self) -> AcceptorSet {
        let size = self.0.random_range(0..5);
        (0..size).map(|_| self.node()).collect()
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
        let roles = |dice: &mut Self| {
            let count = dice.0.random_range(0..4);
            (0..count).map(|_| dice.node()).collect()
        };
        let quorums = loop {
            let acceptors = self.set();
            let sizes = [0; 2].map(|_| self.0.random_range(1..5));
            if let Ok(quorums) = QuorumSystem::flexible(acceptors, sizes[0], sizes[1]) {
                break quorums;
            }
        };
        Cluster {
            quorums,
            proposers: roles(self),
            learners: roles(self),
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
