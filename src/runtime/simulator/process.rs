//! A simulated process: an actor, its disk, and the datagrams that wait for the disk.

use super::super::clock;
use super::super::codec::{Codec, Frame, Lengths, decode};
use super::super::core::{Runnable, Setup, rng_of};
use super::super::counters::Counters;
use super::super::disk::{Crash, Disk};
use super::super::endpoint::BATCH_MAX;
use super::super::error::Error;
use super::super::log::{Log, Sizes};
use super::super::observer::StepObserver;
use super::super::persistent::{Persistent, Saves};
use super::CLUSTER;
use crate::delta::Delta;
use rand::Rng;
use rand::rngs::SmallRng;
use stateright::actor::Id;
use std::collections::VecDeque;
use std::time::Duration;

/// The sizes of logs. They are small, so that a short simulation exercises rare events.
const SIZES: Sizes = Sizes {
    room: 512,
    appended_min: 1024,
};

/// The greatest number of datagrams that wait for a busy process; further ones are lost.
const WAITING_MAX: usize = 4096;

/// An actor, up or down.
pub(super) struct Process<A: Runnable> {
    /// The actor while it is down.
    down: Option<A>,
    up: Option<Box<Persistent<A, Disk>>>,
    pub(super) disk: Disk,
    pub(super) codec: Codec,
    lengths: Lengths,
    begins_sync: bool,
    /// The number of starts and crashes. Events that were planned for an earlier life are void.
    pub(super) life: u64,
    clock: Clock,
    waiting: VecDeque<Vec<u8>>,
    messages: Vec<(Id, A::Msg)>,
    /// The time of the next planned wake-up.
    wake: Option<Duration>,
    /// The encoded state that must be on the disk, if it is known.
    durable: Option<Vec<u8>>,
    /// The counts of the process, and of its actor before the last crash.
    counters: Counters,
}

/// The clock of a process.
pub(super) struct Clock {
    /// The microseconds that it advances in one microsecond.
    rate: f64,
    /// A reading, and its time.
    set: (u64, Duration),
    rng: SmallRng,
}

impl Clock {
    /// Creates a clock that is too fast or too slow by at most a fraction.
    pub(super) fn new(drift: f64, mut rng: SmallRng) -> Self {
        Clock {
            rate: 1.0 + drift * rng.random_range(-1.0..=1.0),
            set: (0, Duration::ZERO),
            rng,
        }
    }

    /// Resets the clock to a random reading, for a restart.
    fn reset(&mut self, now: Duration) {
        self.set = (self.rng.random_range(0..1 << 40), now);
    }

    fn read(&self, now: Duration) -> u64 {
        let (shown, at) = self.set;
        let passed = now.saturating_sub(at).mul_f64(self.rate);
        shown.saturating_add(clock::microseconds(passed))
    }
}

impl<A: Runnable> Process<A> {
    /// Creates a process whose actor is down.
    pub(super) fn new(actor: A, codec: Codec, datagram_max: usize, clock: Clock) -> Self {
        Process {
            down: Some(actor),
            up: None,
            disk: Disk::default(),
            lengths: codec.lengths(datagram_max),
            codec,
            begins_sync: false,
            life: 0,
            clock,
            waiting: VecDeque::new(),
            messages: Vec::new(),
            wake: None,
            durable: None,
            counters: Counters::default(),
        }
    }

    pub(super) fn actor(&self) -> Option<&Persistent<A, Disk>> {
        self.up.as_deref()
    }

    /// Starts the actor, which is down, from its disk. It stays down if the disk fails.
    pub(super) fn start(
        &mut self,
        node: usize,
        seed: u64,
        now: Duration,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        let id = Id::from(node);
        let opened = Log::open::<A::Storage>(self.disk.clone(), SIZES, CLUSTER, id);
        let (log, recovered) = match opened {
            Ok(opened) => opened,
            // The caller sees that the disk has failed.
            Err(_) if self.disk.has_failed() => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.durable.is_some() && self.durable != content::<A>(recovered.state.as_ref()) {
            return Err(Error::Forgotten { node });
        }
        let Some(actor) = self.down.take() else {
            return Ok(());
        };
        self.clock.reset(now);
        let setup = Setup {
            actor,
            id,
            saved: recovered.state,
            lengths: self.lengths,
            rng: rng_of(seed, id),
        };
        let shown = self.clock.read(now);
        let saves = Saves::Log(Box::new(log));
        let start = || Persistent::start(setup, saves, now, step_observer);
        self.up = Some(Box::new(clock::imagine(shown, start)?));
        self.life += 1;
        self.write(step_observer)
    }

    pub(super) fn counters(&self) -> Counters {
        let actor = self.actor().map(Persistent::counters);
        Counters::sum([&self.counters].into_iter().chain(&actor))
    }

    /// Takes the actor down.
    pub(super) fn crash(&mut self, kind: Crash, rng: &mut SmallRng) {
        self.counters = self.counters();
        self.life += 1;
        self.waiting.clear();
        self.messages.clear();
        self.wake = None;
        self.begins_sync = false;
        if let Some(actor) = self.up.take() {
            let saved = actor
                .is_released()
                .then(|| content::<A>(actor.core().saved()));
            // A record that is not synced may be on the disk or not.
            self.durable = saved.flatten();
            self.down = Some(actor.into_actor());
        }
        self.disk.crash(kind, rng);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.disk.has_failed()
    }

    /// Receives a datagram, or loses it if too many wait.
    pub(super) fn receive(&mut self, datagram: Vec<u8>) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(datagram);
        }
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        let next = self.actor().and_then(|actor| actor.core().next());
        next.is_some_and(|next| next <= now)
    }

    /// Returns whether a wake-up was planned for this life. It is then no longer planned.
    pub(super) fn wakes(&mut self, life: u64) -> bool {
        let is_planned = life == self.life;
        if is_planned {
            self.wake = None;
        }
        is_planned
    }

    /// Plans the next wake-up. Returns its time, unless an earlier one is planned.
    pub(super) fn plan(&mut self, now: Duration) -> Option<Duration> {
        if self.is_syncing() {
            return None;
        }
        let next = self.actor()?.core().next()?.max(now);
        let is_sooner = self.wake.is_none_or(|wake| next < wake);
        is_sooner.then(|| *self.wake.insert(next))
    }

    /// Returns whether the process waits for its disk.
    pub(super) fn is_syncing(&self) -> bool {
        self.actor().is_some_and(|actor| !actor.is_released())
    }

    /// Returns whether a sync has begun since the last call.
    pub(super) fn begins_sync(&mut self) -> bool {
        std::mem::take(&mut self.begins_sync)
    }

    /// Handles the waiting datagrams and the events that are due as one batch, unless the process
    /// waits for its disk.
    pub(super) fn step(
        &mut self,
        now: Duration,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        if self.is_syncing() || (self.waiting.is_empty() && !self.is_due(now)) {
            return Ok(());
        }
        let Some(actor) = &mut self.up else {
            return Ok(());
        };
        let batch = self.waiting.len().min(BATCH_MAX);
        for datagram in self.waiting.drain(..batch) {
            let opened = self.codec.open(&datagram);
            let messages = &mut self.messages;
            let read = opened.and_then(|(from, payload)| decode(from, payload, messages));
            self.counters.count_received(read);
            actor.recycle(datagram);
        }
        clock::imagine(self.clock.read(now), || {
            actor.step(now, &mut self.messages, step_observer)
        })?;
        self.write(step_observer)
    }

    /// Writes the save of the last batch. Releases its messages if nothing must be synced.
    fn write(&mut self, step_observer: &mut impl StepObserver<A>) -> Result<(), Error> {
        let Some(actor) = &mut self.up else {
            return Ok(());
        };
        match forgive(actor.write(), &self.disk)? {
            Some(true) => self.begins_sync = true,
            Some(false) => actor.release(step_observer)?,
            None => {}
        }
        Ok(())
    }

    /// Ends a sync: the messages of the last batch are released.
    pub(super) fn sync(&mut self, step_observer: &mut impl StepObserver<A>) -> Result<(), Error> {
        let Some(actor) = &mut self.up else {
            return Ok(());
        };
        forgive(actor.release(step_observer), &self.disk).map(drop)
    }

    /// Shortens the log if it has outgrown the state.
    pub(super) fn compact(&mut self) -> Result<(), Error> {
        let Some(actor) = &mut self.up else {
            return Ok(());
        };
        forgive(actor.compact(), &self.disk).map(drop)
    }

    /// Takes the messages that are released.
    pub(super) fn take(&mut self, frames: &mut Vec<Frame>) {
        if let Some(actor) = &mut self.up {
            actor.take(frames);
        }
    }
}

/// Encodes a state as it is written. An actor's `==` may ignore differences.
fn content<A: Runnable>(state: Option<&A::Storage>) -> Option<Vec<u8>> {
    let changes = state.map_or(Vec::new(), |state| state.changes(None));
    postcard::to_allocvec(&changes).ok()
}

/// Ignores an error if the disk was made to fail.
fn forgive<T>(result: Result<T, Error>, disk: &Disk) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(_) if disk.has_failed() => Ok(None),
        Err(error) => Err(error),
    }
}
