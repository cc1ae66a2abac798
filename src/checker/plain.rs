//! The search with stateright's breadth-first checker.

use super::memory;
use super::report::{Bound, Error, Finding, Limits, Outcome, Progress, Report, Trace, verdict};
use super::system::System;
use super::trace::Run;
use super::world::World;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// Visits every reachable state, or as many as `limits` allow, and checks every property.
pub(super) fn report<S: System>(
    world: &dyn Fn() -> World<S>,
    properties: &[Property<World<S>>],
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    let mut found = search(world(), limits, progress)?;
    let finding = |property: &Property<_>| {
        let path = found.paths.remove(property.name);
        Finding::new(property, path.is_some(), || {
            path.map_or(Trace::default(), |path| {
                Trace::new(&world().unfolded(), path)
            })
        })
    };
    let findings: Vec<Finding> = properties.iter().map(finding).collect();
    // stateright stops when every property is settled, but goes on as long as one is open.
    let is_open = |it: &Finding| matches!(it.outcome, Outcome::Holds | Outcome::NotFound);
    let has_counterexample = findings.iter().any(Finding::is_violated);
    let is_exhausted = found.bound.is_none() && !has_counterexample && findings.iter().any(is_open);
    Ok(Report {
        verdict: verdict(&findings, is_exhausted),
        is_exhausted,
        reached: found.reached,
        bound: found.bound,
        complete_depth: None,
        concrete: None,
        bytes: None,
        fingerprint_bits: 64,
        findings,
    })
}

/// Finds the shortest run to a violation of a property of a world, which is known to exist. Returns
/// `None` if the limits do not suffice.
pub(super) fn shortest<S: System>(
    world: World<S>,
    property: &str,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Run<S>>, Error> {
    let mut found = search(
        world,
        Limits {
            threads: 1,
            ..limits
        },
        progress,
    )?;
    let path = found.paths.remove(property);
    Ok(path.filter(|_| found.bound.is_none()))
}

/// The results of stateright: a path for each violation and example, and the progress at the end.
struct Paths<S: System> {
    paths: HashMap<&'static str, Run<S>>,
    reached: Progress,
    bound: Option<Bound>,
}

/// Lets stateright search until all states are visited, a property that must hold does not, or a
/// bound is met.
fn search<S: System>(
    world: World<S>,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Paths<S>, Error> {
    let start = Instant::now();
    let stop = Arc::clone(&world.stop);
    let builder = world.checker().threads(limits.threads.max(1));
    let mut checker = builder.finish_when(HasDiscoveries::AnyFailures).spawn_bfs();
    let handles = checker.handles();
    let bound = |now: &Progress| {
        let has_states = limits
            .states_max
            .is_some_and(|max| now.unique_states >= max);
        let has_time = limits.timeout.is_some_and(|max| now.elapsed >= max);
        let states = has_states.then_some(Bound::States);
        states.or(has_time.then_some(Bound::Time))
    };
    let mut pause = Duration::from_millis(1);
    while !handles.iter().all(JoinHandle::is_finished) {
        let now = measure(&checker, start);
        if bound(&now).is_some() || checker.model().unsoundness().is_some() {
            stop.store(true, Ordering::Relaxed);
        }
        progress(now);
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    let reached = measure(&checker, start);
    for handle in handles {
        handle.join().map_err(|_| Error::Panicked)?;
    }
    // Paths to discoveries are replayed through the model, which must have its actions back.
    stop.store(false, Ordering::Relaxed);
    if let Some(reason) = checker.model().unsoundness() {
        return Err(Error::Unsound(reason.to_owned()));
    }
    Ok(Paths {
        paths: checker.discoveries(),
        // A search that was done before anybody looked is held to its bounds as well.
        bound: bound(&reached),
        reached,
    })
}

fn measure<S: System>(checker: &impl Checker<World<S>>, start: Instant) -> Progress {
    Progress {
        unique_states: checker.unique_state_count(),
        // stateright counts the initial state among the states generated, and as depth one.
        transitions: checker.state_count().saturating_sub(1),
        depth: checker.max_depth().saturating_sub(1),
        frontier: 0,
        bytes: memory::resident(),
        elapsed: start.elapsed(),
    }
}
