//! The search, level by level.

use super::super::report::{Bound, Error, Limits, Progress};
use super::control::{Shared, Watch};
use super::level::{CHUNK, Level};
use super::numbered::{Numbered, bits};
use super::seen::{Fingerprint, Seen};
use super::worker::Worker;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// The results of a search.
pub(in super::super) struct Found {
    pub(in super::super) reached: Progress,
    /// The bound that stopped the search, if one did.
    pub(in super::super) bound: Option<Bound>,
    /// The number of states without symmetry.
    pub(in super::super) concrete: u128,
    /// The properties that are violated, by their places.
    pub(in super::super) violated: Vec<usize>,
    /// The properties of which an example was found, by their places.
    pub(in super::super) examples: Vec<usize>,
    /// The memory that the search took, in bytes; `None` where the system does not tell.
    pub(in super::super) bytes: Option<usize>,
}

/// The fingerprints of the initial state, and of one that violates a property.
pub(super) struct Prints {
    pub(super) start: Fingerprint,
    pub(super) end: Option<Fingerprint>,
}

/// Visits all states that `start` leads to, or as many as the limits allow, up to the level of the
/// first violation.
pub(super) fn explore(
    model: &dyn Numbered,
    seen: &Seen,
    start: &[u32],
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Found, Prints), Error> {
    let shared = Shared::new(limits, model);
    let new_worker = |_| Worker::new(model, seen, &shared);
    let mut workers: Vec<_> = (0..limits.threads.max(1)).map(new_worker).collect();
    let mut watch = Watch::new(limits, model, &shared, progress);
    let start = workers[0].begin(start);
    let mut level = workers[0].take_next();
    let width = level.width;
    let (mut frontier, mut depth) = (level.len(), 0);
    watch.tick(0, 1);
    while !shared.is_over() {
        run_level(&mut workers, level, &shared, &mut || {
            watch.tick(depth, frontier);
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
    let reached = watch.tick(depth, frontier);
    if let Some(reason) = shared.unsound().or(model.unsoundness()) {
        return Err(Error::Unsound(reason.to_owned()));
    }
    let judges = || workers.iter().map(|it| &it.inserter.judge);
    let mut violated: Vec<_> = judges().flat_map(|it| it.violated.clone()).collect();
    violated.sort_unstable();
    let end = violated.first().map(|(_, print)| *print);
    violated.dedup_by_key(|(property, _)| *property);
    let examples = judges().fold(0, |all, judge| all | judge.found);
    let found = Found {
        bound: shared.bound(&reached),
        reached,
        concrete: workers.iter().map(|it| it.inserter.concrete).sum(),
        violated: violated.into_iter().map(|(property, _)| property).collect(),
        examples: bits(examples).collect(),
        bytes: watch.bytes(),
    };
    Ok((found, Prints { start, end }))
}

/// The time between two looks at the bounds.
const TICK: Duration = Duration::from_millis(20);

/// Expands every state of a level, on as many workers as it has chunks for.
fn run_level(
    workers: &mut [Worker<'_>],
    level: Level,
    shared: &Shared,
    tick: &mut dyn FnMut(),
) -> Result<(), Error> {
    let needed = level.len().div_ceil(CHUNK).min(workers.len());
    let chunks = Mutex::new(level.chunks.into_iter());
    let take = || {
        let mut chunks = chunks.lock().unwrap_or_else(PoisonError::into_inner);
        chunks.next()
    };
    let run = |worker: &mut Worker<'_>| {
        // Each chunk's memory is free for the next level as soon as it is expanded.
        while let Some(chunk) = take() {
            let before = worker.transitions;
            worker.expand(&chunk);
            shared.count_transitions((worker.transitions - before) as usize);
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
