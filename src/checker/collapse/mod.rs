//! Exhaustive search in which a global state is a handful of numbers.
//!
//! An actor's step depends on its local state and a message, and there are few of either: millions
//! of global states are combinations of a few hundred local ones. So each handler runs once per
//! local state and message ([`parts`]); a global state is a number per actor; and a step replaces
//! a few of these numbers. (SPIN does the same to save memory and calls it collapse compression.)
//!
//! The search is breadth-first, level by level, on as many threads as are asked for ([`worker`]).
//! It remembers a fingerprint of each state ([`seen`]) and, only if a run is to be rebuilt,
//! half of its predecessor's. Permuted states are one ([`symmetry`]), and of independent steps one
//! order is enough ([`wake`]).

mod notes;
mod parts;
mod seen;
mod symmetry;
mod table;
mod wake;
mod worker;

use super::memory;
use super::search::{Bound, Error, Limits, Progress};
use super::state::{Action, WorldState};
use super::system::System;
use super::world::World;
use parts::{CELLS, Parts};
pub(super) use seen::BITS;
use seen::{Fingerprint, Seen};
use stateright::{Model, Path};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};
use worker::{CHUNK, Worker, bits};

/// States of one level, in chunks for threads to take.
struct Level {
    /// Numbers per state, with what is known of last steps.
    width: usize,
    chunks: Vec<Vec<u32>>,
}

impl Level {
    fn new(width: usize) -> Self {
        let chunks = Vec::new();
        Self { width, chunks }
    }

    /// Both levels, neither of which is changed. States of both are in no order.
    fn and(mut self, mut more: Self) -> Self {
        self.chunks.append(&mut more.chunks);
        self
    }

    fn push(&mut self, state: &[u32]) {
        let room = CHUNK * self.width;
        match self.chunks.last_mut().filter(|chunk| chunk.len() < room) {
            Some(chunk) => chunk.extend_from_slice(state),
            None => {
                let mut chunk = Vec::with_capacity(room);
                chunk.extend_from_slice(state);
                self.chunks.push(chunk);
            }
        }
    }

    /// Brings states that have much in common together.
    fn sorted(&self) -> Self {
        let states = self.chunks.iter();
        let states = states.flat_map(|chunk| chunk.chunks_exact(self.width));
        let mut order: Vec<(u64, &[u32])> = states.map(|state| (kin(state), state)).collect();
        order.sort_unstable_by_key(|(kin, _)| *kin);
        let mut sorted = Self::new(self.width);
        order.iter().for_each(|(_, state)| sorted.push(state));
        sorted
    }

    fn len(&self) -> usize {
        let words: usize = self.chunks.iter().map(Vec::len).sum();
        words / self.width
    }
}

/// What the neighbours of a state in its level share with it: the record and one cell. To tell more
/// apart takes longer than it saves.
fn kin(state: &[u32]) -> u64 {
    u64::from(state[0]) << 32 | u64::from(state[CELLS])
}

/// What a thread finds for the next level, in no particular order. States with one record are kept
/// in one of some buckets, most of which are so small that sorting a copy takes little memory.
struct Finds {
    width: usize,
    buckets: Vec<Level>,
}

impl Finds {
    const BUCKETS: usize = 64;

    fn new(width: usize) -> Self {
        let buckets = (0..Self::BUCKETS).map(|_| Level::new(width)).collect();
        Self { width, buckets }
    }

    fn push(&mut self, state: &[u32]) {
        self.buckets[state[0] as usize % Self::BUCKETS].push(state);
    }

    /// Sorts all that was found.
    fn sort(&mut self) {
        for bucket in &mut self.buckets {
            *bucket = bucket.sorted();
        }
    }

    /// Takes all that was found, and leaves nothing.
    fn take(&mut self) -> Level {
        let buckets = std::mem::replace(self, Self::new(self.width)).buckets;
        buckets.into_iter().fold(Level::new(self.width), Level::and)
    }
}

/// What the threads of a search share.
struct Shared {
    stop: AtomicBool,
    is_full: AtomicBool,
    has_violation: AtomicBool,
    unique: AtomicUsize,
    transitions: AtomicUsize,
    states_max: usize,
    bytes_max: usize,
    commutes: bool,
    unsound: OnceLock<String>,
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn stop_for_memory(&self) {
        self.is_full.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// Counts new states.
    fn count(&self, new: usize) {
        let before = self.unique.fetch_add(new, Ordering::Relaxed);
        if before + new >= self.states_max {
            self.stop();
        }
    }

    fn may_grow_by(&self, bytes: usize) -> bool {
        memory::resident().is_none_or(|mine| mine.saturating_add(bytes) <= self.bytes_max)
    }

    /// What the model claims is not so.
    fn refute(&self, reason: String) {
        let _ = self.unsound.set(reason);
        self.stop();
    }
}

/// What a search found.
pub(super) struct Found {
    pub(super) reached: Progress,
    /// Which bound it met, if it was stopped at one.
    pub(super) bound: Option<Bound>,
    /// How many states there are without symmetry.
    pub(super) concrete: u128,
    /// Which properties are violated, and which examples were found, by their places.
    pub(super) violated: Vec<usize>,
    pub(super) examples: Vec<usize>,
    /// Memory that the search took, in bytes; `None` where the system does not tell.
    pub(super) bytes: Option<usize>,
}

/// A run of a world.
type Run<S> = Path<WorldState<S>, Action<S>>;

/// Visits all states of a world, or as many as the limits allow, up to the level of the first
/// violation.
pub(super) fn search<S: System>(
    world: &World<S>,
    limits: &Limits,
    progress: &mut impl FnMut(Progress),
) -> Result<Found, Error> {
    let (parts, start) = Parts::new(world);
    let seen = Seen::unlinked();
    explore(&parts, &seen, &start, limits, progress).map(|(found, _)| found)
}

/// The shortest run to a violation of a property of a world, which is known to exist; `None` if
/// the limits do not suffice to find it.
pub(super) fn shortest<S: System>(
    world: &World<S>,
    limits: &Limits,
    progress: &mut impl FnMut(Progress),
) -> Result<Option<Run<S>>, Error> {
    let (parts, start) = Parts::new(world);
    let seen = Seen::linked();
    let (found, prints) = explore(&parts, &seen, &start, limits, progress)?;
    let Some(end) = prints.end.filter(|_| found.bound.is_none()) else {
        return Ok(None);
    };
    let way = seen.way_to(end[0], prints.start[0]);
    Ok(follow(&parts, &way))
}

/// The concrete run through states of these fingerprints.
fn follow<S: System>(parts: &Parts<S>, way: &[u64]) -> Option<Run<S>> {
    let world = parts.world;
    let seen = Seen::unlinked();
    let shared = Shared::new(&Limits::default(), world);
    let mut worker = Worker::new(parts, &seen, &shared, &[]);
    let init = world.init_states().swap_remove(0);
    let (mut state, mut actions) = (init.clone(), Vec::new());
    for print in way.iter().skip(1) {
        let mut options = Vec::new();
        world.actions(&state, &mut options);
        let mut steps = options.into_iter().filter_map(|action| {
            let next = world.next_state(&state, action.clone())?;
            Some((action, next))
        });
        let (action, next) =
            steps.find(|(_, next)| worker.print(&parts.words(next))[0] == *print)?;
        actions.push(action);
        state = next;
    }
    Path::from_actions(world, init, &actions)
}

/// Fingerprints of the initial state, and of one that violates a property.
struct Prints {
    start: Fingerprint,
    end: Option<Fingerprint>,
}

impl Shared {
    fn new<S: System>(limits: &Limits, world: &World<S>) -> Self {
        Self {
            stop: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            has_violation: AtomicBool::new(false),
            unique: AtomicUsize::new(0),
            transitions: AtomicUsize::new(0),
            states_max: limits.states_max.unwrap_or(usize::MAX),
            bytes_max: limits.bytes_max.unwrap_or(usize::MAX),
            // A step that advances a clock is enabled by others' steps: it may not come before.
            commutes: limits.commutes && world.system().clocks().is_none(),
            unsound: OnceLock::new(),
        }
    }

    /// Which bound a search met that got so far.
    fn bound(&self, reached: &Progress) -> Option<Bound> {
        self.is_stopped().then(|| {
            if self.is_full.load(Ordering::Relaxed) {
                Bound::Memory
            } else if reached.unique_states >= self.states_max {
                Bound::States
            } else {
                Bound::Time
            }
        })
    }

    fn error<S: System>(&self, world: &World<S>) -> Option<Error> {
        let unsound = self.unsound.get().map(String::as_str);
        let reason = unsound.or(world.unsoundness())?;
        Some(Error::Unsound(reason.to_owned()))
    }
}

fn explore<S: System>(
    parts: &Parts<S>,
    seen: &Seen,
    start: &[u32],
    limits: &Limits,
    progress: &mut impl FnMut(Progress),
) -> Result<(Found, Prints), Error> {
    let properties = parts.world.properties();
    let shared = Shared::new(limits, parts.world);
    let new_worker = |_| Worker::new(parts, seen, &shared, &properties);
    let mut workers: Vec<_> = (0..limits.threads.max(1)).map(new_worker).collect();
    let mut watch = Watch {
        limits,
        shared: &shared,
        begun: Instant::now(),
        before: memory::resident(),
        peak: None,
        progress,
    };
    let start = workers[0].begin(start);
    let mut level = workers[0].take_next();
    let width = level.width;
    let (mut frontier, mut depth) = (level.len(), 0);
    watch.tick(0, 1, parts.world);
    while !shared.is_stopped() && !shared.has_violation.load(Ordering::Relaxed) {
        run_level(&mut workers, level, &shared, &mut || {
            watch.tick(depth, frontier, parts.world);
        })?;
        if shared.is_stopped() {
            break;
        }
        let found = workers.iter_mut().map(Worker::take_next);
        level = found.fold(Level::new(width), Level::and);
        if level.chunks.is_empty() {
            break;
        }
        (frontier, depth) = (level.len(), depth + 1);
    }
    let reached = watch.tick(depth, frontier, parts.world);
    if let Some(error) = shared.error(parts.world) {
        return Err(error);
    }
    let bytes = watch.peak.zip(watch.before);
    let bytes = bytes.map(|(peak, before)| peak.saturating_sub(before));
    let mut violated: Vec<_> = workers.iter().flat_map(|it| it.violated.clone()).collect();
    violated.sort_unstable();
    let end = violated.first().map(|(_, print)| *print);
    violated.dedup_by_key(|(property, _)| *property);
    let examples = workers.iter().fold(0, |all, worker| all | worker.found);
    let found = Found {
        bound: shared.bound(&reached),
        reached,
        concrete: workers.iter().map(|worker| worker.concrete).sum(),
        violated: violated.into_iter().map(|(property, _)| property).collect(),
        examples: bits(examples).collect(),
        bytes,
    };
    Ok((found, Prints { start, end }))
}

/// Keeps a search to its bounds, and says how far it is.
struct Watch<'a, P> {
    limits: &'a Limits,
    shared: &'a Shared,
    begun: Instant,
    /// Memory of the process when the search began, and the most since, in bytes.
    before: Option<usize>,
    peak: Option<usize>,
    progress: &'a mut P,
}

impl<P: FnMut(Progress)> Watch<'_, P> {
    fn tick<S: System>(&mut self, depth: usize, frontier: usize, world: &World<S>) -> Progress {
        let resident = memory::resident();
        self.peak = self.peak.max(resident);
        let now = Progress {
            unique_states: self.shared.unique.load(Ordering::Relaxed),
            transitions: self.shared.transitions.load(Ordering::Relaxed),
            depth,
            frontier,
            bytes: resident,
            elapsed: self.begun.elapsed(),
        };
        let is_late = self.limits.timeout.is_some_and(|max| now.elapsed >= max);
        let is_wide = now.unique_states >= self.shared.states_max;
        if is_late || is_wide || world.unsoundness().is_some() {
            self.shared.stop();
        }
        if !self.shared.may_grow_by(0) {
            self.shared.stop_for_memory();
        }
        (self.progress)(now);
        now
    }
}

/// How often a search says how far it is, and looks at its bounds.
const TICK: Duration = Duration::from_millis(20);

/// Expands every state of a level, on as many workers as it has chunks for.
fn run_level<S: System>(
    workers: &mut [Worker<S>],
    level: Level,
    shared: &Shared,
    tick: &mut impl FnMut(),
) -> Result<(), Error> {
    let needed = level.len().div_ceil(CHUNK).min(workers.len());
    let chunks = Mutex::new(level.chunks.into_iter());
    let take = || {
        let mut chunks = chunks.lock().unwrap_or_else(PoisonError::into_inner);
        chunks.next()
    };
    let run = |worker: &mut Worker<S>| {
        // Each chunk's memory is free for the next level as soon as it is expanded.
        while let Some(chunk) = take() {
            let before = worker.transitions;
            worker.expand(&chunk);
            let taken = (worker.transitions - before) as usize;
            shared.transitions.fetch_add(taken, Ordering::Relaxed);
        }
        worker.finish_level();
    };
    let workers = &mut workers[..needed];
    std::thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        let run = &run;
        let handles: Vec<_> = workers
            .iter_mut()
            .map(|worker| {
                let done = done.clone();
                scope.spawn(move || {
                    run(worker);
                    drop(done);
                })
            })
            .collect();
        drop(done);
        // Nobody sends: the channel closes when the last worker is done, in whatever way.
        while let Err(mpsc::RecvTimeoutError::Timeout) = is_done.recv_timeout(TICK) {
            tick();
        }
        // All are joined, or the scope would panic for those that did.
        let results: Vec<_> = handles.into_iter().map(|handle| handle.join()).collect();
        match results.iter().any(Result::is_err) {
            true => Err(Error::Panicked),
            false => Ok(()),
        }
    })
}
