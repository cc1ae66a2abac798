//! Every distinct call of a handler, written down: what the proofs' handlers are compared with.
//!
//! [`Calls::record`] writes a line for each call that it has not seen before: who was called with
//! what, in which state, and what came of it. The checker's collapse engine runs a handler once per
//! local state and message, so a search whose world is observed by it
//! ([`World::observed_by`](synod::checker::World::observed_by)) writes down all that can happen in
//! a configuration. [`random`] goes beyond. The words
//! of a line are explained where they are written ([`basic`], [`multi`], [`fast`]); `proofs/driver`
//! reads them.

mod basic;
mod fast;
mod multi;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use synod::ballot::{Ballot, NodeId};
use synod::checker::{Call, Caller, Event, Input};
use synod::quorum::{AcceptorSet, QuorumSystem};

/// A text of words.
#[derive(Default)]
pub struct Words(String);

/// What can be written down in words.
pub trait Written {
    /// Writes it.
    fn write(&self, words: &mut Words);
}

/// The state of a process, of which nodes' calls are written down.
pub trait Remembered<M>: Written {
    /// Whether it is a node. Clients have no proof to be compared with: their calls are not
    /// written.
    fn is_node(&self) -> bool;

    /// The bytes that a call with this message, if it is one, which leads to `after`, may need the
    /// checksums of: the proofs leave open what a checksum is.
    fn summed(&self, _message: Option<&M>, _after: &Self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// Who plays which role in a cluster, and how.
pub trait Described: Written {
    /// Which acceptors are enough. Only thresholds can be written down.
    fn quorums(&self) -> &QuorumSystem;
}

impl Words {
    fn word(&mut self, word: impl Display) {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{space}{word}");
    }

    fn put(&mut self, it: &impl Written) {
        it.write(self);
    }

    /// `-` for none, `+` before what there is.
    fn option<T>(&mut self, it: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.word(if it.is_some() { "+" } else { "-" });
        if let Some(it) = it {
            write(self, it);
        }
    }

    /// How many there are, and each.
    fn all<T>(
        &mut self,
        those: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.word(those.len());
        those.for_each(|it| write(self, it));
    }

    fn switch(&mut self, is_on: bool) {
        self.word(if is_on { "on" } else { "off" });
    }

    /// `round.node`.
    fn ballot(&mut self, ballot: Ballot) {
        self.word(ballot);
    }

    /// One number, in which acceptor `i` is bit `i`.
    fn set(&mut self, set: AcceptorSet) {
        self.word(set.iter().fold(0u64, |bits, node| bits | 1 << node.0));
    }

    fn nodes(&mut self, nodes: &[NodeId]) {
        self.all(nodes.iter(), Self::word);
    }

    /// In hexadecimal, `.` if there are none.
    fn bytes(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            self.word('.');
        } else {
            self.word("");
            for byte in bytes {
                // As above.
                let _ = write!(self.0, "{byte:02x}");
            }
        }
    }

    /// Acceptors, and the thresholds of both phases. Only where quorums are thresholds.
    fn quorums(&mut self, quorums: &QuorumSystem) {
        let acceptors: Vec<NodeId> = quorums.acceptors().iter().collect();
        let threshold = |is_met: &dyn Fn(AcceptorSet) -> bool| {
            let first = |count| acceptors.iter().take(count).copied().collect();
            let mut sizes = 1..=acceptors.len();
            sizes.find(|count| is_met(first(*count)))
        };
        self.set(quorums.acceptors());
        for size in [
            threshold(&|set| quorums.is_phase1(set)),
            threshold(&|set| quorums.is_phase2(set)),
        ] {
            self.word("at-least");
            // There is one, for all acceptors are enough.
            self.word(size.unwrap_or(acceptors.len()));
        }
    }

    /// What a process is called with.
    fn event<A: Recorded>(&mut self, event: Event<'_, A>) {
        match event {
            Event::Message(src, message) => {
                self.word("message");
                self.word(usize::from(src));
                self.put(message);
            }
            Event::Timeout(timer) => {
                self.word("timer");
                self.put(timer);
            }
            // Nothing is drawn at random.
            Event::Random(()) => {}
        }
    }

    /// What a step asks for, each request after a semicolon, waits in nanoseconds.
    fn commands<M: Written, T: Written, S: Written>(&mut self, out: &[Command<M, T, (), S>]) {
        for command in out {
            self.word(";");
            match command {
                Command::Save(durable) => {
                    self.word("save");
                    durable.write(self);
                }
                Command::Send(to, message) => {
                    self.word("send");
                    self.word(usize::from(*to));
                    message.write(self);
                }
                Command::SetTimer(timer, range) => {
                    self.word("set");
                    timer.write(self);
                    self.word(range.start.as_nanos());
                    self.word(range.end.as_nanos());
                }
                Command::CancelTimer(timer) => {
                    self.word("cancel");
                    timer.write(self);
                }
                Command::ChooseRandom(key, _) => self.word(key),
            }
        }
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
    pub fn begin(&self, cluster: &impl Described) -> io::Result<()> {
        if !cluster.quorums().is_symmetric() {
            return Err(io::Error::other(
                "calls can be written down where quorums are thresholds only",
            ));
        }
        let mut words = Words::default();
        words.word("cluster");
        cluster.write(&mut words);
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

/// An actor whose calls can be written down.
pub trait Recorded:
    Actor<
        Random = (),
        Msg: Written,
        Timer: Written,
        Storage: Written,
        State: Remembered<<Self as Actor>::Msg>,
    >
{
}

impl<A> Recorded for A
where
    A: Actor<Random = ()>,
    A::Msg: Written,
    A::Timer: Written,
    A::Storage: Written,
    A::State: Remembered<A::Msg>,
{
}

impl Calls {
    /// Writes a call of a node: checksums that it may need, who, what, the state before after `@`,
    /// and what came of it after `=>`.
    pub fn record<A: Recorded>(&self, call: &Call<'_, A>) {
        if !call.after.is_node() {
            return;
        }
        let mut words = Words::default();
        match call.input {
            Input::Start(storage) => {
                words.word(usize::from(call.id));
                words.word("start");
                words.option(storage.as_ref(), |words, it| it.write(words));
            }
            Input::Event(before, event) => {
                let message = match event {
                    Event::Message(_, message) => Some(message),
                    Event::Timeout(_) | Event::Random(()) => None,
                };
                for bytes in before.summed(message, call.after) {
                    words.word("sum");
                    words.bytes(&bytes);
                    words.word(xxhash_rust::xxh3::xxh3_64(&bytes));
                }
                words.word(usize::from(call.id));
                words.event::<A>(event);
                words.word("@");
                words.put(before);
            }
        }
        words.word("=>");
        words.put(call.after);
        words.commands(call.commands);
        self.write(words);
    }
}

/// A process whose calls are written down.
pub struct Recorder<A: Actor> {
    actor: A,
    caller: Caller<A>,
}

impl<A: Recorded> Recorder<A> {
    /// `actor`, with its calls written to `calls`.
    pub fn new(actor: A, calls: &Arc<Calls>) -> Self {
        let calls = Arc::clone(calls);
        let caller = Caller::observed_by(move |call| calls.record(call));
        Self { actor, caller }
    }

    fn on_start(&self, id: Id, storage: &Option<A::Storage>, out: &mut Out<A>) -> A::State {
        let (state, mut commands) = self.caller.start(&self.actor, id, storage);
        out.append(&mut commands);
        state
    }

    fn on_msg(&self, id: Id, state: &mut Cow<A::State>, src: Id, msg: A::Msg, out: &mut Out<A>) {
        self.call(id, state, Event::Message(src, &msg), out);
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<A::State>, timer: &A::Timer, out: &mut Out<A>) {
        self.call(id, state, Event::Timeout(timer), out);
    }

    fn call(&self, id: Id, state: &mut Cow<A::State>, event: Event<'_, A>, out: &mut Out<A>) {
        let before = state.clone();
        let (after, mut commands) = self.caller.call(&self.actor, id, &before, event);
        if let Cow::Owned(after) = after {
            *state = Cow::Owned(after);
        }
        out.append(&mut commands);
    }
}

/// Writes down `count` calls of each protocol with messages that are drawn at random, whether they
/// can be sent or not. The same seed gives the same calls.
///
/// # Errors
/// If they cannot be written.
pub fn random(calls: &Arc<Calls>, count: usize, seed: u64) -> io::Result<()> {
    basic::random(calls, count, &mut Dice(SmallRng::seed_from_u64(seed)))?;
    multi::random(calls, count, &mut Dice(SmallRng::seed_from_u64(seed)))?;
    fast::random(calls, count, &mut Dice(SmallRng::seed_from_u64(seed)))
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

    fn several<T>(&mut self, below: usize, mut draw: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.0.random_range(0..below);
        (0..count).map(|_| draw(self)).collect()
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

    fn set(&mut self) -> AcceptorSet {
        self.several(5, Self::node).into_iter().collect()
    }

    fn quorums(&mut self) -> QuorumSystem {
        loop {
            let acceptors = self.set();
            let sizes = [0; 2].map(|_| self.0.random_range(1..5));
            if let Ok(quorums) = QuorumSystem::flexible(acceptors, sizes[0], sizes[1]) {
                return quorums;
            }
        }
    }
}
