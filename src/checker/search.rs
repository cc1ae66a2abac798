//! Searches a [`World`] within bounds, and reports: with the collapse engine of this crate, or with
//! stateright's breadth-first checker.

pub use super::report::{
    Bound, Engine, Error, Finding, Limits, Outcome, Progress, Report, Trace, TraceStep, Verdict,
};

use super::report::verdict;
use super::system::System;
use super::world::{STEPS_MAX, World};
use super::{collapse, plain};
use stateright::{Expectation, Model, Property};
use std::time::Instant;

/// The number of properties that a search takes, step properties included.
const PROPERTIES_MAX: usize = 32;

/// Visits every reachable state, or as many as `limits` allow, and checks every property.
///
/// The search ends at the first violation of what must always hold. It then looks for the shortest
/// run to that in a search of its own, which postpones nothing, within what is left of the limits.
/// `world` is called once per search.
///
/// # Errors
/// If the model's reductions turn out unsound, an actor panics, or a property is of the kind that
/// holds eventually.
pub fn run<S: System>(
    world: impl Fn() -> World<S>,
    limits: Limits,
    mut progress: impl FnMut(Progress),
) -> Result<Report, Error> {
    search(&world, limits, &mut progress)
}

fn search<S: System>(
    world: &dyn Fn() -> World<S>,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    let properties = check(&world())?;
    let mut report = match limits.engine {
        Engine::Collapse => by_collapse(&world(), &properties, &limits, progress)?,
        Engine::Stateright => plain::report(world, &properties, limits, progress)?,
    };
    let begun = Instant::now();
    for finding in &mut report.findings {
        if finding.is_violated() {
            let elapsed = report.reached.elapsed + begun.elapsed();
            let left = limits.timeout.map(|max| max.saturating_sub(elapsed));
            let limits = Limits {
                timeout: left,
                ..limits
            };
            if let Some(trace) = shortest(world, finding.property, limits, progress)? {
                finding.outcome = Outcome::Violated(trace);
            }
        }
    }
    report.reached.elapsed += begun.elapsed();
    Ok(report)
}

/// The properties of a world, which must be few enough, and of a kind that can be decided.
fn check<S: System>(world: &World<S>) -> Result<Vec<Property<World<S>>>, Error> {
    let (properties, steps) = (world.properties(), world.system().step_properties().len());
    let too_many = |count, what, max| Err(Error::TooMany(format!("{count} {what}"), max));
    if steps > STEPS_MAX {
        return too_many(steps, "step properties", STEPS_MAX);
    }
    if properties.len() > PROPERTIES_MAX {
        return too_many(properties.len(), "properties", PROPERTIES_MAX);
    }
    let eventually = |it: &&Property<_>| it.expectation == Expectation::Eventually;
    match properties.iter().find(eventually) {
        Some(property) => Err(Error::Eventually(property.name)),
        None => Ok(properties),
    }
}

fn by_collapse<S: System>(
    world: &World<S>,
    properties: &[Property<World<S>>],
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    let found = collapse::search(world, limits, progress)?;
    let finding = |(place, property): (usize, &Property<_>)| {
        let met = [&found.violated, &found.examples];
        let is_met = met.iter().any(|places| places.contains(&place));
        Finding::new(property, is_met, Trace::default)
    };
    let findings: Vec<Finding> = properties.iter().enumerate().map(finding).collect();
    let is_exhausted = found.bound.is_none() && found.violated.is_empty();
    Ok(Report {
        verdict: verdict(&findings, is_exhausted),
        is_exhausted,
        reached: found.reached,
        bound: found.bound,
        // Levels are taken up one after the other, if there was room for the first at all.
        complete_depth: (found.reached.unique_states > 0).then_some(found.reached.depth),
        concrete: Some(found.concrete),
        bytes: found.bytes,
        fingerprint_bits: collapse::BITS,
        findings,
    })
}

/// Finds the shortest run to a violation of `property`, which is known to exist. If the limits do
/// not suffice for that, returns a run that may be longer; `None` if they do not suffice for any.
fn shortest<S: System>(
    world: &dyn Fn() -> World<S>,
    property: &'static str,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Trace>, Error> {
    let focused = || world().focus_on(property);
    let mut run = |world: World<S>| match limits.engine {
        Engine::Collapse => collapse::shortest(&world, &limits, progress),
        Engine::Stateright => plain::shortest(world, property, limits, progress),
    };
    let trace = |path, is_shortest| Trace {
        is_shortest,
        ..Trace::new(&focused().unfolded(), path)
    };
    if let Some(path) = run(focused().unfolded())? {
        return Ok(Some(trace(path, true)));
    }
    // With steps postponed there are fewer states, and the bound may be wide enough.
    let path = match limits.engine {
        Engine::Collapse => run(focused())?,
        Engine::Stateright => None,
    };
    Ok(path.map(|path| trace(path, false)))
}
