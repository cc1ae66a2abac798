//! A deterministic simulator: actors on a simulated network with simulated disks, in simulated
//! time. A seed determines every bit of a run, for one version of this crate and its dependencies,
//! on machines of one word size.
//!
//! The actors run with the core, the codec, the faults and the log that run over UDP. Only the
//! clock, the sockets and the bytes that a disk has not synced are simulated. A save takes time,
//! during which datagrams queue up, and a crash may happen.
//!
//! ```
//! use stateright::actor::{Actor, Id, Out};
//! use std::borrow::Cow;
//! use std::time::Duration;
//! use synod::runtime::simulator::{Settings, Simulation};
//!
//! /// An actor that counts messages, saves the count, and answers with it.
//! struct Counter;
//!
//! impl Actor for Counter {
//!     type Msg = u32;
//!     type State = u32;
//!     type Timer = ();
//!     type Random = ();
//!     type Storage = u32;
//!
//!     fn on_start(&self, id: Id, saved: &Option<u32>, out: &mut Out<Self>) -> u32 {
//!         if id == Id::from(0) {
//!             out.send(Id::from(1), 0);
//!         }
//!         saved.unwrap_or(0)
//!     }
//!
//!     fn on_msg(&self, _: Id, count: &mut Cow<u32>, from: Id, _: u32, out: &mut Out<Self>) {
//!         *count.to_mut() += 1;
//!         out.save(**count);
//!         out.send(from, **count);
//!     }
//! }
//!
//! let mut simulation = Simulation::new(vec![Counter, Counter], Settings::default());
//! let mut steps = 0;
//! simulation.run_until(Duration::from_secs(1), &mut |_: Id, _: &u32| steps += 1)?;
//! simulation.crash(1);
//! simulation.restart(1);
//! simulation.run_until(Duration::from_secs(2), &mut |_: Id, _: &u32| steps += 1)?;
//! assert!(steps > 1000 && simulation.state(1) > Some(&500), "it remembers");
//! # Ok::<(), synod::runtime::Error>(())
//! ```

mod chaos;
mod process;
mod queue;

pub use chaos::{Chaos, ChaosSettings};

use super::codec::{Codec, Frame, Key, LIMIT_MIN, MAX_DATAGRAM};
use super::core::Runnable;
use super::counters::Counters;
use super::disk::Crash;
use super::error::Error;
use super::faults::{Dice, Faults};
use super::observer::StepObserver;
use super::timer::draw;
use process::{Clock, Process};
use queue::{Happening, Queue};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use stateright::actor::Id;
use std::ops::Range;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The world of a [`Simulation`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The seed that determines the run. 0 by default.
    pub seed: u64,
    /// The faults of datagrams. None by default.
    pub faults: Faults,
    /// The latency of a datagram. Each datagram has its own, so that they overtake each other. 20
    /// to 200 µs by default.
    pub latency: Range<Duration>,
    /// The time that a sync takes. 50 to 500 µs by default.
    pub sync: Range<Duration>,
    /// The greatest length in bytes of a datagram that messages share. 1,400 by default. A length
    /// that a node would refuse is changed to the nearest that it accepts.
    pub datagram_max: usize,
    /// The key that authenticates datagrams. `None` by default.
    pub key: Option<Key>,
    /// The greatest fraction by which the [clock](super::clock) of a process is too fast or too
    /// slow. Each clock has a constant rate, and starts from another time whenever the process
    /// starts. Timers do not depend on the clock. 0 by default.
    pub drift: f64,
}

impl Default for Settings {
    fn default() -> Self {
        let us = Duration::from_micros;
        Settings {
            seed: 0,
            faults: Faults::default(),
            latency: us(20)..us(200),
            sync: us(50)..us(500),
            datagram_max: 1400,
            key: None,
            drift: 0.0,
        }
    }
}

/// The cluster of all simulated nodes.
const CLUSTER: u64 = 1;

/// A simulated network of actors. Their ids are their indices.
pub struct Simulation<A: Runnable> {
    settings: Settings,
    processes: Vec<Process<A>>,
    queue: Queue,
    now: Duration,
    rng: SmallRng,
    dice: Dice,
    /// The connections that are blocked, by sender and receiver.
    blocked: Vec<bool>,
    hash: u64,
    /// The datagrams that were sent, and those that have no destination.
    counters: Counters,
    frames: Vec<Frame>,
}

impl<A: Runnable> Simulation<A> {
    /// Creates a simulation. The actors start when it runs.
    pub fn new(actors: Vec<A>, settings: Settings) -> Self {
        let mut rng = SmallRng::seed_from_u64(settings.seed);
        let dice = Dice::new(settings.faults, SmallRng::from_rng(&mut rng));
        let count = actors.len();
        let mut clocks = SmallRng::seed_from_u64(settings.seed ^ 0x2545_f491_4f6c_dd1d);
        let processes = actors.into_iter().enumerate().map(|(id, actor)| {
            let codec = Codec::new(CLUSTER, Id::from(id), settings.key.clone());
            let datagram_max = settings.datagram_max.clamp(LIMIT_MIN, MAX_DATAGRAM);
            let clock = Clock::new(settings.drift, SmallRng::from_rng(&mut clocks));
            Process::new(actor, codec, datagram_max, clock)
        });
        let mut simulation = Simulation {
            processes: processes.collect(),
            settings,
            queue: Queue::default(),
            now: Duration::ZERO,
            rng,
            dice,
            blocked: vec![false; count * count],
            hash: 0,
            counters: Counters::default(),
            frames: Vec::new(),
        };
        (0..count).for_each(|id| simulation.restart(id));
        simulation
    }

    /// Runs until a time, which counts from the beginning.
    ///
    /// # Errors
    ///
    /// The errors that would stop a node and are not simulated: [`Error::SendBeforeSave`] if an
    /// actor sends before it saves, [`Error::Unencodable`] if a save cannot be encoded,
    /// [`Error::Damaged`] if a log cannot be read again, [`Error::Forgotten`] if it has lost a
    /// durable state.
    pub fn run_until(
        &mut self,
        until: Duration,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        while let Some((at, happening)) = self.queue.pop_until(until) {
            self.now = at;
            self.happen(happening, step_observer)?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// Returns the time, counted from the beginning.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Returns the number of actors, up or down.
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    /// Returns whether there are no actors.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// Returns the state of an actor, unless it is down.
    ///
    /// # Panics
    ///
    /// Panics if there is no actor with this id, like the methods below.
    pub fn state(&self, id: usize) -> Option<&A::State> {
        self.processes[id].actor().map(|actor| actor.core().state())
    }

    /// Returns whether an actor is up.
    pub fn is_up(&self, id: usize) -> bool {
        self.processes[id].actor().is_some()
    }

    /// Crashes an actor at this point. Its state is lost, and of its writes that are not synced any
    /// part may be.
    pub fn crash(&mut self, id: usize) {
        let kinds = [Crash::Kept, Crash::Lost, Crash::Torn, Crash::Scattered];
        let kind = kinds[self.rng.random_range(0..kinds.len())];
        self.processes[id].crash(kind, &mut self.rng);
    }

    /// Crashes an actor in the middle of one of its next disk operations, which count from 1: a
    /// write, a sync, the replacement of a file. An actor that does not use its disk does not
    /// crash.
    pub fn crash_at_operation(&mut self, id: usize, operation: u64) {
        self.processes[id].disk.fail_at(operation.max(1));
    }

    /// Starts an actor again from its disk. Does nothing if it is up.
    pub fn restart(&mut self, id: usize) {
        self.queue.push(self.now, Happening::Start { node: id });
    }

    /// Blocks the datagrams from one actor to another, but not those back.
    pub fn block(&mut self, from: usize, to: usize) {
        let at = self.way(from, to);
        self.blocked[at] = true;
    }

    /// Blocks the datagrams between groups, in both directions. Actors in no group are not
    /// affected.
    pub fn partition(&mut self, groups: &[&[usize]]) {
        for (at, group) in groups.iter().enumerate() {
            let others = groups.iter().enumerate().filter(|(other, _)| *other != at);
            for to in others.flat_map(|(_, other)| *other) {
                group.iter().for_each(|from| self.block(*from, *to));
            }
        }
    }

    /// Unblocks all datagrams.
    pub fn heal(&mut self) {
        self.blocked.fill(false);
    }

    /// Returns a hash of the run.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Adds up the counters of the actors and of the network.
    pub fn counters(&self) -> Counters {
        let processes: Vec<_> = self.processes.iter().map(Process::counters).collect();
        Counters::sum(
            processes
                .iter()
                .chain([&self.counters, &self.dice.counters]),
        )
    }

    fn way(&self, from: usize, to: usize) -> usize {
        assert!(to < self.processes.len(), "there is no actor {to}");
        from * self.processes.len() + to
    }

    fn happen(
        &mut self,
        happening: Happening,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        match happening {
            Happening::Start { node } if !self.is_up(node) => {
                self.note(node, b"start");
                let seed = self.rng.random();
                self.processes[node].start(node, seed, self.now, step_observer)?;
                self.go_on(node, step_observer)
            }
            Happening::Start { .. } => Ok(()),
            Happening::Datagram { from, to, bytes } => {
                if self.is_up(to) && !self.blocked[self.way(from, to)] {
                    self.note(to, &bytes);
                    self.processes[to].receive(bytes);
                    self.go_on(to, step_observer)?;
                }
                Ok(())
            }
            Happening::Wake { node, life } => {
                let process = &mut self.processes[node];
                if process.wakes(life) && process.is_due(self.now) {
                    self.note(node, b"wake");
                }
                self.go_on(node, step_observer)
            }
            Happening::Synced { node, life } => {
                if self.processes[node].life == life && self.is_up(node) {
                    self.processes[node].sync(step_observer)?;
                    self.send(node);
                    self.processes[node].compact()?;
                    self.go_on(node, step_observer)?;
                }
                Ok(())
            }
        }
    }

    /// Lets a process do what it can do now, and plans its next events.
    fn go_on(
        &mut self,
        node: usize,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        let (now, life) = (self.now, self.processes[node].life);
        if !self.processes[node].has_failed() {
            self.processes[node].step(now, step_observer)?;
        }
        if self.processes[node].has_failed() {
            self.crash(node);
            return Ok(());
        }
        if self.processes[node].begins_sync() {
            let took = draw(&mut self.rng, self.settings.sync.clone());
            self.queue
                .push(now + took, Happening::Synced { node, life });
        } else if !self.processes[node].is_syncing() {
            self.send(node);
        }
        if let Some(at) = self.processes[node].plan(now) {
            self.queue.push(at, Happening::Wake { node, life });
        }
        Ok(())
    }

    /// Sends the released messages of a process.
    fn send(&mut self, node: usize) {
        let process = &mut self.processes[node];
        process.take(&mut self.frames);
        let mut frames = std::mem::take(&mut self.frames);
        for mut frame in frames.drain(..) {
            let to = usize::from(frame.to);
            if to >= self.processes.len() {
                self.counters.unaddressed += 1;
                continue;
            }
            if self.blocked[self.way(node, to)] {
                continue;
            }
            self.processes[node].codec.seal(&mut frame);
            let bytes = frame.datagram;
            let [first, second] = self.dice.roll();
            if let Some(delay) = second {
                self.dispatch(node, to, delay, bytes.clone());
            }
            if let Some(delay) = first {
                self.dispatch(node, to, delay, bytes);
            }
        }
        self.frames = frames;
    }

    fn dispatch(&mut self, from: usize, to: usize, delay: Duration, bytes: Vec<u8>) {
        self.counters.sent += 1;
        let latency = draw(&mut self.rng, self.settings.latency.clone());
        let at = self.now + latency + delay;
        self.queue.push(at, Happening::Datagram { from, to, bytes });
    }

    /// Adds an event of a process to the hash.
    fn note(&mut self, node: usize, what: &[u8]) {
        let place = (self.now.as_nanos() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let seed = self.hash.rotate_left(5) ^ place ^ node as u64;
        self.hash = xxh3_64_with_seed(what, seed);
    }
}

#[cfg(test)]
mod tests;
