//! Exhaustive search in which a global state is a handful of numbers.
//!
//! An actor's step depends on its local state and a message, and there are few of either: millions
//! of global states are combinations of a few hundred local ones. So each handler runs once per
//! local state and message ([`parts`]); a global state is a number per actor; and a step replaces
//! a few of these numbers. (SPIN does the same to save memory and calls it collapse compression.)
//!
//! The search is breadth-first, level by level, on as many threads as the limits say ([`explore`],
//! [`worker`]). It remembers a fingerprint of each state ([`seen`]) and, only if a run is to be
//! rebuilt, half of its predecessor's. Permuted states are one ([`symmetry`], [`canonical`]), and
//! one order of independent steps is enough ([`commute`]).
//!
//! The search itself knows numbers and no actors ([`numbered`]), so that there is one copy of it in
//! a program, whatever the number of systems. `models/tests/model/crosscheck` compares its results
//! with those of stateright's checker and of an enumeration by hand.

mod ahead;
mod canonical;
mod commute;
mod control;
mod draft;
mod explore;
mod insert;
mod judge;
mod level;
mod numbered;
mod parts;
mod seen;
mod successors;
mod symmetry;
mod table;
mod thread_cache;
mod worker;

use super::report::{Error, Limits, Progress};
use super::system::System;
use super::trace::Run;
use super::world::World;
use canonical::Canon;
use explore::{Found, explore};
use numbered::Numbered;
use parts::Parts;
pub(super) use seen::BITS;
use seen::Seen;
use stateright::{Model, Path};
use thread_cache::ThreadCache;

/// Visits all states of a world, or as many as the limits allow, up to the level of the first
/// violation.
pub(super) fn search<S: System>(
    world: &World<S>,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Found, Error> {
    let (parts, start) = Parts::new(world);
    let found = explore(&parts, &Seen::unlinked(), &start, limits, progress);
    found.map(|(found, _)| found)
}

/// Finds the shortest run to a violation of a property of a world, which is known to exist. Returns
/// `None` if the limits do not suffice.
pub(super) fn shortest<S: System>(
    world: &World<S>,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
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

/// Rebuilds the concrete run through states of these fingerprints.
fn follow<S: System>(parts: &Parts<'_, S>, way: &[u64]) -> Option<Run<S>> {
    let (world, mut cache) = (parts.world, ThreadCache::new(parts));
    let mut canon = Canon::new(parts.setting());
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
            steps.find(|(_, next)| canon.print(&parts.words(next), &mut cache)[0] == *print)?;
        actions.push(action);
        state = next;
    }
    Path::from_actions(world, init, &actions)
}
