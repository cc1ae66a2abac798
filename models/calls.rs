//! The distinct calls of handlers, as lines of words: what the proofs' handlers are compared with.
//!
//! [`Calls::record`] writes a line for each call that it has not seen before. The checker's
//! collapse engine runs a handler once per local state and message, so a search with recorders
//! writes all calls that are possible in a configuration. Random calls go beyond.
//!
//! The line `cluster basic …` begins the calls of a cluster. The line of a call has the checksums
//! that the call may need, the process, the input with the state before, `=>`, the state after, and
//! the outputs. All of them are written by [`Words`]; `proofs/driver` reads them.

mod basic;
mod dice;
mod fast;
pub(super) mod multi;
mod words;

use super::one_decree::OneDecree;
use dice::{Dice, Drawn};
use rand::Rng;
use serde::Serialize;
use stateright::actor::{Actor, Command};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use synod::ballot::{Ballot, NodeId};
use synod::checker::{Call, Caller, Event, Input, System, World};
use words::Words;
use xxhash_rust::xxh3::xxh3_64;

/// The state of a process, of which the calls of nodes are recorded.
pub trait Remembered<M> {
    /// A node's state.
    type Node: Serialize;

    /// Returns the state of a node; `None` of a client, for which there is no proof.
    fn node(&self) -> Option<&Self::Node>;

    /// Returns the bytes of which a call with this message, if any, may need the checksums: the
    /// proofs leave open what a checksum is.
    fn summed(&self, _message: Option<&M>, _after: &Self) -> BTreeSet<Vec<u8>> {
        BTreeSet::new()
    }
}

/// An actor whose calls can be recorded.
pub trait Recorded:
    Actor<
        Random = (),
        Msg: Serialize,
        Timer: Serialize,
        Storage: Serialize,
        State: Remembered<<Self as Actor>::Msg>,
    >
{
}

impl<A> Recorded for A
where
    A: Actor<Random = ()>,
    A::Msg: Serialize,
    A::Timer: Serialize,
    A::Storage: Serialize,
    A::State: Remembered<A::Msg>,
{
}

/// The file that calls are written to.
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

    /// Returns a caller of handlers that records the calls.
    fn caller<A: Recorded>(self: &Arc<Self>) -> Caller<A> {
        let calls = Arc::clone(self);
        Caller::observed_by(move |call| calls.record(call))
    }

    /// Begins the calls of a cluster of this protocol.
    pub fn begin(&self, protocol: &str, cluster: &impl Serialize) {
        let mut words = Words(format!("cluster {protocol}"));
        let written = cluster.serialize(&mut words).map(|()| words.0);
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.seen.clear();
        sink.put(written);
    }

    /// Returns the world with the calls of its handlers recorded.
    pub fn observe<S: System<Actor: Recorded>>(self: &Arc<Self>, world: World<S>) -> World<S> {
        let calls = Arc::clone(self);
        world.observed_by(move |call| calls.record(call))
    }

    /// Writes a call of a node, unless it was written.
    pub fn record<A: Recorded>(&self, call: &Call<'_, A>) {
        let Some(after) = call.after.node() else {
            return;
        };
        let line = line(call, after);
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(line) = &line
            && !sink.seen.insert(line.clone())
        {
            return;
        }
        sink.put(line);
        sink.count += 1;
    }

    /// Returns how many calls were written.
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
    fn put(&mut self, line: Result<String, fmt::Error>) {
        if self.error.is_none() {
            let line = line.map_err(io::Error::other);
            self.error = line.and_then(|line| writeln!(self.file, "{line}")).err();
        }
    }
}

/// Returns the line of a call.
fn line<A: Recorded>(
    call: &Call<'_, A>,
    after: &<A::State as Remembered<A::Msg>>::Node,
) -> Result<String, fmt::Error> {
    let mut words = Words::default();
    let sums = match call.input {
        Input::Start(_) => BTreeSet::new(),
        Input::Event(before, Event::Message(_, it)) => before.summed(Some(it), call.after),
        Input::Event(before, _) => before.summed(None, call.after),
    };
    let sums: Vec<_> = sums.iter().map(|bytes| (bytes, xxh3_64(bytes))).collect();
    (sums, usize::from(call.id)).serialize(&mut words)?;
    match call.input {
        Input::Start(storage) => words.variant("Start", storage)?,
        Input::Event(before, event) => {
            match event {
                Event::Message(from, it) => words.variant("Message", &(usize::from(from), it))?,
                Event::Timeout(timer) => words.variant("Timeout", timer)?,
                // There are none.
                Event::Random(()) => {}
            }
            before.node().ok_or(fmt::Error)?.serialize(&mut words)?;
        }
    }
    words.variant("=>", after)?;
    words.word(call.commands.len())?;
    for command in call.commands.iter() {
        match command {
            Command::Save(durable) => words.variant("Save", durable)?,
            Command::Send(to, it) => words.variant("Send", &(usize::from(*to), it))?,
            Command::SetTimer(timer, range) => words.variant("SetTimer", &(timer, range))?,
            Command::CancelTimer(timer) => words.variant("CancelTimer", timer)?,
            Command::ChooseRandom(key, _) => words.word(key)?,
        }
    }
    Ok(words.0)
}

/// A node of a protocol for one value, of which random calls can be made in random states.
pub(super) trait Scattered:
    OneDecree<Roles: Drawn, Msg: Drawn, Timer: Drawn, Storage: Drawn, State: Drawn>
{
    /// Draws the id of a node.
    fn id(_: &Self::Roles, d: &mut Dice) -> NodeId {
        d.draw()
    }

    /// Returns the ballot of the node's proposer.
    fn ballot(state: &Self::State) -> Option<Ballot>;

    /// Changes a message that answers a proposer into one about this ballot.
    fn answer(message: &mut Self::Msg, ballot: Ballot);
}

/// How many random calls are made in one random cluster.
const CALLS_PER_CLUSTER: usize = 2_000;

/// Writes down `count` random calls, in states and with messages that may be unreachable. The same
/// seed gives the same calls.
pub(super) fn one_decree<A: Scattered>(calls: &Arc<Calls>, count: usize, seed: u64) {
    let d = &mut Dice::new(seed);
    let caller = calls.caller();
    for made in (0..count).step_by(CALLS_PER_CLUSTER) {
        let cluster = Arc::new(d.draw::<A::Roles>());
        calls.begin(<A as OneDecree>::NAME, &*cluster);
        let actor = A::server(Arc::clone(&cluster));
        for _ in made..count.min(made + CALLS_PER_CLUSTER) {
            let id = A::id(&cluster, d).into();
            match d.0.random_range(0..10) {
                0 => drop(caller.start(&actor, id, &d.draw())),
                1 => drop(caller.call(&actor, id, &d.draw(), Event::Timeout(&d.draw()))),
                _ => {
                    let (state, mut message) = (d.draw(), d.draw());
                    // Half of the answers are about the proposer's own ballot, or few would matter.
                    if let Some(ballot) = A::ballot(&state).filter(|_| d.chance(0.5)) {
                        A::answer(&mut message, ballot);
                    }
                    let from = A::id(&cluster, d).into();
                    drop(caller.call(&actor, id, &state, Event::Message(from, &message)));
                }
            }
        }
    }
}
