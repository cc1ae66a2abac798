//! One process of a simulation: a core, a disk, and what waits while the disk works.

use super::super::clock;
use super::super::codec::{Codec, Frame, Lengths, decode};
use super::super::core::{Change, Core, Runnable, Watch, rng_of};
use super::super::counters::Counters;
use super::super::disk::{Crash, Disk};
use super::super::endpoint::BATCH_MAX;
use super::super::error::Error;
use super::super::log::{Log, Sizes};
use super::CLUSTER;
use crate::delta::Delta;
use rand::Rng;
use rand::rngs::SmallRng;
use stateright::actor::{Actor, Id};
use std::collections::VecDeque;
use std::time::Duration;

/// Small, so that a short simulation exercises what is rare in earnest.
const SIZES: Sizes = Sizes {
    room: 512,
    appended_min: 1024,
};

/// How many datagrams wait at most while a process is busy; further ones are lost.
const WAITING_MAX: usize = 4096;

/// An actor, up or down.
pub(super) struct Process<A: Runnable> {
    body: Body<A>,
    pub(super) disk: Disk,
    pub(super) codec: Codec,
    lengths: Lengths,
    /// How often it was started or crashed: what was planned for an earlier life is void.
    pub(super) life: u64,
    clock: Clock,
    waiting: VecDeque<Vec<u8>>,
    messages: Vec<(Id, A::Msg)>,
    /// When it is going to be woken.
    wake: Option<Duration>,
    /// What must be on the disk, if it is known.
    durable: Option<Vec<u8>>,
    /// The counts of the process, and of the bodies that it has lost.
    counters: Counters,
}

/// What a process reads the time off.
pub(super) struct Clock {
    /// How many microseconds it advances in one.
    rate: f64,
    /// What it shows, and since when.
    set: (u64, Duration),
    rng: SmallRng,
}

impl Clock {
    /// A clock that is too fast or too slow, but by no more than a fraction.
    pub(super) fn new(drift: f64, mut rng: SmallRng) -> Self {
        Clock {
            rate: 1.0 + drift * rng.random_range(-1.0..=1.0),
            set: (0, Duration::ZERO),
            rng,
        }
    }

    /// Who restarts begins to count anew, from anywhere.
    fn reset(&mut self, now: Duration) {
        self.set = (self.rng.random_range(0..1 << 40), now);
    }

    fn read(&self, now: Duration) -> u64 {
        let (shown, at) = self.set;
        let passed = now.saturating_sub(at).mul_f64(self.rate);
        shown.saturating_add(clock::microseconds(passed))
    }
}

enum Body<A: Runnable> {
    Up {
        core: Box<Core<A>>,
        log: Box<Log<Disk>>,
        saving: Saving,
    },
    Down(A),
    /// Between the two.
    Gone,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Saving {
    /// All that was saved is durable.
    Done,
    /// A record was written, but when it will be durable is not decided yet.
    Begins,
    /// A record is on its way to the disk.
    Lasts,
}

impl<A: Runnable> Process<A> {
    /// An actor that is down.
    pub(super) fn new(actor: A, codec: Codec, datagram_max: usize, clock: Clock) -> Self {
        Process {
            body: Body::Down(actor),
            disk: Disk::default(),
            lengths: codec.lengths(datagram_max),
            codec,
            life: 0,
            clock,
            waiting: VecDeque::new(),
            messages: Vec::new(),
            wake: None,
            durable: None,
            counters: Counters::default(),
        }
    }

    pub(super) fn core(&self) -> Option<&Core<A>> {
        match &self.body {
            Body::Up { core, .. } => Some(core),
            Body::Down(_) | Body::Gone => None,
        }
    }

    /// Starts the actor, which is down, with what its disk holds. If the disk fails on the way, it
    /// stays down.
    pub(super) fn start(
        &mut self,
        node: usize,
        seed: u64,
        now: Duration,
        watch: &mut impl Watch<A>,
    ) -> Result<(), Error> {
        let id = Id::from(node);
        let opened = Log::open::<A::Storage>(self.disk.clone(), SIZES, CLUSTER, id);
        let (mut log, recovered) = match opened {
            Ok(opened) => opened,
            // The caller sees that the disk has failed.
            Err(_) if self.disk.has_failed() => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.durable.is_some() && self.durable != content::<A>(recovered.state.as_ref()) {
            return Err(Error::Forgotten { node });
        }
        let Body::Down(actor) = std::mem::replace(&mut self.body, Body::Gone) else {
            return Ok(());
        };
        self.clock.reset(now);
        let (rng, lengths, saved) = (rng_of(seed, id), self.lengths, recovered.state);
        let (core, changes) = clock::imagine(self.clock.read(now), || {
            Core::start(actor, id, saved, lengths, rng, now, watch)
        })?;
        let saving = write::<A>(&mut log, &changes, &self.disk)?;
        if saving == Saving::Done {
            watch.durable(id, core.state())?;
        }
        self.body = Body::Up {
            core: Box::new(core),
            log: Box::new(log),
            saving,
        };
        self.life += 1;
        Ok(())
    }

    pub(super) fn counters(&self) -> Counters {
        let mut counters = self.counters;
        if let Body::Up { core, log, .. } = &self.body {
            counters.add(&core.counters());
            counters.add(log.counters());
        }
        counters
    }

    /// Takes the actor down.
    pub(super) fn crash(&mut self, kind: Crash, rng: &mut SmallRng) {
        self.counters = self.counters();
        self.life += 1;
        self.waiting.clear();
        self.messages.clear();
        self.wake = None;
        self.body = match std::mem::replace(&mut self.body, Body::Gone) {
            Body::Up { core, saving, .. } => {
                self.durable = match saving {
                    Saving::Done => content::<A>(core.saved()),
                    // The record that was on its way may have come to be durable.
                    Saving::Begins | Saving::Lasts => None,
                };
                Body::Down(core.into_actor())
            }
            down => down,
        };
        self.disk.crash(kind, rng);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.disk.has_failed()
    }

    /// A datagram arrives.
    pub(super) fn receive(&mut self, datagram: Vec<u8>) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(datagram);
        }
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        let next = self.core().and_then(Core::next);
        next.is_some_and(|next| next <= now)
    }

    /// Whether this is the waking that was planned last.
    pub(super) fn wakes(&mut self, life: u64) -> bool {
        let is_planned = life == self.life;
        if is_planned {
            self.wake = None;
        }
        is_planned
    }

    /// When the process is to be woken next, unless that is planned already.
    pub(super) fn plan(&mut self, now: Duration) -> Option<Duration> {
        if self.is_syncing() {
            return None;
        }
        let next = self.core()?.next()?.max(now);
        let is_sooner = self.wake.is_none_or(|wake| next < wake);
        is_sooner.then(|| *self.wake.insert(next))
    }

    /// Whether the disk works, so that the process waits.
    pub(super) fn is_syncing(&self) -> bool {
        matches!(self.body, Body::Up { saving, .. } if saving != Saving::Done)
    }

    /// Whether the disk begins to work.
    pub(super) fn begins_sync(&mut self) -> bool {
        match &mut self.body {
            Body::Up { saving, .. } if *saving == Saving::Begins => {
                *saving = Saving::Lasts;
                true
            }
            _ => false,
        }
    }

    /// Handles what waits and what is due as one batch, unless the disk works.
    pub(super) fn step(
        &mut self,
        node: usize,
        now: Duration,
        watch: &mut impl Watch<A>,
    ) -> Result<(), Error> {
        let id = Id::from(node);
        if self.is_syncing() || (self.waiting.is_empty() && !self.is_due(now)) {
            return Ok(());
        }
        let Body::Up { core, log, saving } = &mut self.body else {
            return Ok(());
        };
        let batch = self.waiting.len().min(BATCH_MAX);
        for datagram in self.waiting.drain(..batch) {
            let opened = self.codec.open(&datagram);
            let messages = &mut self.messages;
            let read = opened.and_then(|(from, payload)| decode(from, payload, messages));
            self.counters.count_received(read);
            core.outbox.recycle(datagram);
        }
        let changes = clock::imagine(self.clock.read(now), || {
            core.step(now, &mut self.messages, watch)
        })?;
        *saving = write::<A>(log, &changes, &self.disk)?;
        if *saving == Saving::Done {
            watch.durable(id, core.state())?;
        }
        Ok(())
    }

    /// What was written is durable.
    pub(super) fn sync(&mut self, node: usize, watch: &mut impl Watch<A>) -> Result<(), Error> {
        let Body::Up { core, log, saving } = &mut self.body else {
            return Ok(());
        };
        if forgive(log.sync(), &self.disk)?.is_some() {
            *saving = Saving::Done;
            watch.durable(Id::from(node), core.state())?;
        }
        Ok(())
    }

    /// Keeps the log small.
    pub(super) fn compact(&mut self) -> Result<(), Error> {
        if let Body::Up { core, log, saving } = &mut self.body
            && *saving == Saving::Done
            && let Some(saved) = core.saved()
        {
            forgive(log.compact(saved), &self.disk)?;
        }
        Ok(())
    }

    /// Takes what may be sent.
    pub(super) fn take(&mut self, frames: &mut Vec<Frame>) {
        if let Body::Up { core, saving, .. } = &mut self.body
            && *saving == Saving::Done
        {
            core.outbox.take(frames);
        }
    }
}

/// The state as it is written, entry by entry: what `==` says of it is up to somebody else.
fn content<A: Runnable>(state: Option<&A::Storage>) -> Option<Vec<u8>> {
    let changes = state.map_or(Vec::new(), |state| state.changes(None));
    postcard::to_allocvec(&changes).ok()
}

fn write<A: Actor<Storage: Delta>>(
    log: &mut Log<Disk>,
    changes: &[Change<A>],
    disk: &Disk,
) -> Result<Saving, Error> {
    if changes.is_empty() {
        return Ok(Saving::Done);
    }
    forgive(log.append(changes), disk)?;
    Ok(Saving::Begins)
}

/// Takes an error of a disk that has failed on purpose for none.
fn forgive<T>(result: Result<T, Error>, disk: &Disk) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(_) if disk.has_failed() => Ok(None),
        Err(error) => Err(error),
    }
}
