//! Any actors on an imagined network with imagined disks, in imagined time: what happens is
//! determined by a seed, to the last bit (for one version of this crate and its dependencies, on
//! machines of one word size).
//!
//! The node's core, the codec, the faults and the log are those that run over UDP. Imagined are
//! only the clock, the sockets and what the disk does with bytes that are not synced yet. A save
//! takes time, during which datagrams queue up, and a crash may fall into it.
//!
//! ```
//! use stateright::actor::{Actor, Id, Out};
//! use std::borrow::Cow;
//! use std::time::Duration;
//! use synod::runtime::simulator::{Settings, Simulation};
//!
//! /// Counts what it is sent, remembers the count, and answers with it.
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
use super::observer::Watch;
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
    /// Determines everything that happens. 0 by default.
    pub seed: u64,
    /// What is done to every datagram. Nothing by default.
    pub faults: Faults,
    /// How long a datagram is on its way, each by itself, so that they overtake each other. 20 to
    /// 200 µs by default.
    pub latency: Range<Duration>,
    /// How long it takes to make a save durable. 50 to 500 µs by default.
    pub sync: Range<Duration>,
    /// Up to how many bytes messages share a datagram. 1,400 by default; what a node would refuse
    /// is not taken.
    pub datagram_max: usize,
    /// What datagrams are authenticated with. `None` by default.
    pub key: Option<Key>,
    /// By what fraction a process' [clock](super::clock) runs too fast or too slow at most. Each
    /// has a rate of its own, which stays, and shows another time whenever it is started. Timers
    /// are as late as they are, whatever the clock shows. 0 by default.
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

/// A simulated network of actors, whose ids are their places.
pub struct Simulation<A: Runnable> {
    settings: Settings,
    processes: Vec<Process<A>>,
    queue: Queue,
    now: Duration,
    rng: SmallRng,
    dice: Dice,
    /// For each sender and receiver, whether nothing passes between them.
    blocked: Vec<bool>,
    hash: u64,
    /// The datagrams that were sent, and those that have no destination.
    counters: Counters,
    frames: Vec<Frame>,
}

impl<A: Runnable> Simulation<A> {
    /// Nothing has happened yet: the actors start as soon as the simulation runs.
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

    /// Lets everything happen that happens until a time, counted from the beginning.
    ///
    /// # Errors
    ///
    /// What would stop a node for good, and is not part of the simulation: an actor that sends
    /// before it saves ([`Error::SendBeforeSave`]), a save that cannot be encoded
    /// ([`Error::Unencodable`]), a log that cannot be read again ([`Error::Damaged`]) or has lost
    /// what was durable ([`Error::Forgotten`]).
    pub fn run_until(&mut self, until: Duration, watch: &mut impl Watch<A>) -> Result<(), Error> {
        while let Some((at, happening)) = self.queue.pop_until(until) {
            self.now = at;
            self.happen(happening, watch)?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// The time, counted from the beginning.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// How many actors there are, up or down.
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    /// Whether there are no actors at all.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// The state of an actor, unless it is down.
    ///
    /// # Panics
    ///
    /// As all that follows, if there is no actor of that id.
    pub fn state(&self, id: usize) -> Option<&A::State> {
        self.processes[id].actor().map(|actor| actor.state())
    }

    /// Whether an actor is up.
    pub fn is_up(&self, id: usize) -> bool {
        self.processes[id].actor().is_some()
    }

    /// Takes an actor down, at any point of what it does. Its state is lost, and of what it was
    /// about to make durable any part may be.
    pub fn crash(&mut self, id: usize) {
        let kinds = [Crash::Kept, Crash::Lost, Crash::Torn, Crash::Scattered];
        let kind = kinds[self.rng.random_range(0..kinds.len())];
        self.processes[id].crash(kind, &mut self.rng);
    }

    /// Takes an actor down in the middle of one of its next operations on its disk, be it that
    /// number, counted from 1: writing, syncing, replacing a file. One that does not use its disk
    /// does not crash.
    pub fn crash_at_operation(&mut self, id: usize, operation: u64) {
        self.processes[id].disk.fail_at(operation.max(1));
    }

    /// Starts an actor again, with what its disk holds; does nothing if it is up.
    pub fn restart(&mut self, id: usize) {
        self.queue.push(self.now, Happening::Start { node: id });
    }

    /// Lets nothing pass from one actor to another; the way back is another matter.
    pub fn block(&mut self, from: usize, to: usize) {
        let at = self.way(from, to);
        self.blocked[at] = true;
    }

    /// Lets nothing pass between different groups, in neither direction. Who is in no group is
    /// not affected.
    pub fn partition(&mut self, groups: &[&[usize]]) {
        for (number, group) in groups.iter().enumerate() {
            for other in groups
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != number)
            {
                for (from, to) in group.iter().flat_map(|f| other.1.iter().map(|t| (*f, *t))) {
                    self.block(from, to);
                }
            }
        }
    }

    /// Lets everything pass again.
    pub fn heal(&mut self) {
        self.blocked.fill(false);
    }

    /// A number that stands for everything that has happened: the same only if all was the same.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// What all actors have counted together, and what became of their datagrams.
    pub fn counters(&self) -> Counters {
        let processes: Vec<_> = self.processes.iter().map(Process::counters).collect();
        Counters::sum(
            processes
                .iter()
                .chain([&self.counters, self.dice.counters()]),
        )
    }

    fn way(&self, from: usize, to: usize) -> usize {
        assert!(to < self.processes.len(), "there is no actor {to}");
        from * self.processes.len() + to
    }

    fn happen(&mut self, happening: Happening, watch: &mut impl Watch<A>) -> Result<(), Error> {
        match happening {
            Happening::Start { node } if !self.is_up(node) => {
                self.note(node, b"start");
                let seed = self.rng.random();
                self.processes[node].start(node, seed, self.now, watch)?;
                self.go_on(node, watch)
            }
            Happening::Start { .. } => Ok(()),
            Happening::Datagram { from, to, bytes } => {
                if self.is_up(to) && !self.blocked[self.way(from, to)] {
                    self.note(to, &bytes);
                    self.processes[to].receive(bytes);
                    self.go_on(to, watch)?;
                }
                Ok(())
            }
            Happening::Wake { node, life } => {
                let process = &mut self.processes[node];
                if process.wakes(life) && process.is_due(self.now) {
                    self.note(node, b"wake");
                }
                self.go_on(node, watch)
            }
            Happening::Synced { node, life } => {
                if self.processes[node].life == life && self.is_up(node) {
                    self.processes[node].sync(watch)?;
                    self.send(node);
                    self.processes[node].compact()?;
                    self.go_on(node, watch)?;
                }
                Ok(())
            }
        }
    }

    /// Lets a process do what it can do now, and plans what comes next.
    fn go_on(&mut self, node: usize, watch: &mut impl Watch<A>) -> Result<(), Error> {
        let (now, life) = (self.now, self.processes[node].life);
        if !self.processes[node].has_failed() {
            self.processes[node].step(now, watch)?;
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

    /// Puts on their way what a process has to say.
    fn send(&mut self, node: usize) {
        let process = &mut self.processes[node];
        process.take(&mut self.frames);
        let mut frames = std::mem::take(&mut self.frames);
        for mut frame in frames.drain(..) {
            let to = usize::from(frame.to());
            if to >= self.processes.len() {
                self.counters.unaddressed += 1;
                continue;
            }
            if self.blocked[self.way(node, to)] {
                continue;
            }
            self.processes[node].codec.seal(&mut frame);
            let bytes = frame.into_datagram();
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

    /// Mixes something that happens to a process into the hash.
    fn note(&mut self, node: usize, what: &[u8]) {
        let place = (self.now.as_nanos() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let seed = self.hash.rotate_left(5) ^ place ^ node as u64;
        self.hash = xxh3_64_with_seed(what, seed);
    }
}

#[cfg(test)]
mod tests;
