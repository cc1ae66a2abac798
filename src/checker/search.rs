//! Searches a [`World`] within bounds, and reports: with the collapse engine of this crate, or with
//! stateright's breadth-first checker.

use super::state::{Action, WorldState};
use super::system::System;
use super::world::{STEPS_MAX, World};
use super::{collapse, memory};
use stateright::{Checker, Expectation, HasDiscoveries, Model, Path, Property};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// What searches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// This crate's own: each handler runs once per local state and message, states are a few
    /// numbers each, and breadth-first levels are searched by all threads.
    #[default]
    Collapse,
    /// stateright's breadth-first checker.
    Stateright,
}

/// With what to search, and when to give up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// What searches.
    pub engine: Engine,
    /// Threads to search with. With more than one, stateright does not visit states level by
    /// level, so that the depth it reports may exceed the true one.
    pub threads: usize,
    /// Whether the collapse engine takes two independent steps in one order only, where both lead
    /// to the same state. All states are found all the same, at the same depth, and all steps
    /// counted.
    pub commutes: bool,
    /// Stop soon after so many unique states.
    pub states_max: Option<usize>,
    /// Stop before the process occupies more memory than so many bytes. Only the collapse engine
    /// heeds it, and only where the system tells how much that is.
    pub bytes_max: Option<usize>,
    /// Stop soon after so much time.
    pub timeout: Option<Duration>,
}

impl Default for Limits {
    /// The collapse engine on one thread, and no bound.
    fn default() -> Self {
        Self {
            engine: Engine::Collapse,
            threads: 1,
            commutes: true,
            states_max: None,
            bytes_max: None,
            timeout: None,
        }
    }
}

/// What ended a search early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// [`Limits::states_max`].
    States,
    /// [`Limits::bytes_max`].
    Memory,
    /// [`Limits::timeout`].
    Time,
}

/// How far a search is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Distinct states found.
    pub unique_states: usize,
    /// Steps taken, those to known states included.
    pub transitions: usize,
    /// The number of steps to the deepest state found, each by a shortest way.
    pub depth: usize,
    /// States of the present level, which are to be expanded. 0 if not known.
    pub frontier: usize,
    /// Memory that the process occupies, in bytes; `None` where the system does not tell.
    pub bytes: Option<usize>,
    /// Time since the search began.
    pub elapsed: Duration,
}

/// What a search says of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every reachable state was visited; what must hold always does, and what should be found
    /// sometimes was.
    Holds,
    /// There is a counterexample, or every state was visited and an expected example is missing.
    Violated,
    /// Nothing wrong was found, but the search stopped before all was visited: at a bound, or, if
    /// only examples were asked for, when it had them all.
    Bounded,
}

/// What a search says of one property.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It holds in every state visited.
    Holds,
    /// It does not: a run that shows it, which has no steps if a bound was met before it was
    /// rebuilt.
    Violated(Trace),
    /// An example of what should happen sometimes was found.
    Found,
    /// None was found.
    NotFound,
}

/// A property and what was found of it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The property's name.
    pub property: &'static str,
    /// What was found.
    pub outcome: Outcome,
}

/// A run, ready to print.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The steps from the initial state.
    pub steps: Vec<TraceStep>,
    /// The run as the Explorer addresses it, below `#/steps/`.
    pub explorer_path: String,
    /// Whether no shorter run ends like this. Not known if the search for one was stopped.
    pub is_shortest: bool,
}

/// One step of a [`Trace`].
#[derive(Clone, Debug)]
pub struct TraceStep {
    /// What happened.
    pub action: String,
    /// Who took the step.
    pub actor: String,
    /// The actor's state after it.
    pub after: String,
}

/// The result of a search.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it says of the whole.
    pub verdict: Verdict,
    /// Whether every reachable state was visited. A search ends early at a bound, and at the
    /// first violation of what must always hold.
    pub is_exhausted: bool,
    /// How far it got.
    pub reached: Progress,
    /// Which bound it met, if it was stopped at one.
    pub bound: Option<Bound>,
    /// Every state that so many steps reach was visited, whatever ended the search. `None` if none
    /// was, or the engine does not know.
    pub complete_depth: Option<usize>,
    /// How many states there are if interchangeable ones are told apart: what the unique states
    /// stand for, by the sizes of their orbits. `None` if the engine does not count them.
    pub concrete: Option<u128>,
    /// Memory that the search took, in bytes; `None` if not known.
    pub bytes: Option<usize>,
    /// How many bits tell states apart.
    pub fingerprint_bits: u32,
    /// What it says of each property.
    pub findings: Vec<Finding>,
}

/// Why a search has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The model declared a reduction that is not one.
    #[error("{0}")]
    Unsound(String),
    /// A handler panicked.
    #[error("an actor panicked during the search; run with RUST_BACKTRACE=1 to see where")]
    Panicked,
    /// The model has a property of a kind that this search cannot decide.
    #[error(
        "`{0}` is to hold eventually, which this search cannot decide: it neither follows cycles \
         nor knows fairness; state what must hold always"
    )]
    Eventually(&'static str),
    /// There are more properties than a search keeps apart.
    #[error("the model has {0}, and a search takes at most {1}")]
    TooMany(String, usize),
}

/// How many properties a search takes, step properties included.
const PROPERTIES_MAX: usize = 32;

impl Report {
    /// The odds that a state was missed because its fingerprint is that of another.
    #[must_use]
    pub fn miss_odds(&self) -> f64 {
        let states = self.reached.unique_states as f64;
        states * states / 2f64.powi(self.fingerprint_bits as i32 + 1)
    }

    /// Memory that the search took, per unique state.
    #[must_use]
    pub fn bytes_per_state(&self) -> Option<f64> {
        let states = self.reached.unique_states.max(1) as f64;
        self.bytes.map(|bytes| bytes as f64 / states)
    }
}

/// Visits every reachable state, or as many as `limits` allow, and checks every property.
///
/// The search ends at the first violation of what must always hold. The shortest run to it is
/// then looked for in a search of its own, which postpones nothing, within what is left of the
/// limits. `world` is called once per search.
///
/// # Errors
/// If the model's reductions turn out unsound, an actor panics, or a property is of the kind that
/// holds eventually.
pub fn run<S: System>(
    world: impl Fn() -> World<S>,
    limits: Limits,
    mut progress: impl FnMut(Progress),
) -> Result<Report, Error> {
    let (properties, steps) = (
        world().properties(),
        world().system().step_properties().len(),
    );
    let too_many = |count, what, max| Err(Error::TooMany(format!("{count} {what}"), max));
    if steps > STEPS_MAX {
        return too_many(steps, "step properties", STEPS_MAX);
    }
    if properties.len() > PROPERTIES_MAX {
        return too_many(properties.len(), "properties", PROPERTIES_MAX);
    }
    let eventually = |it: &&Property<_>| it.expectation == Expectation::Eventually;
    if let Some(property) = properties.iter().find(eventually) {
        return Err(Error::Eventually(property.name));
    }
    let mut report = match limits.engine {
        Engine::Collapse => by_collapse(&world, &properties, limits, &mut progress)?,
        Engine::Stateright => by_stateright(&world, &properties, limits, &mut progress)?,
    };
    let begun = Instant::now();
    for finding in &mut report.findings {
        if matches!(finding.outcome, Outcome::Violated(_)) {
            let elapsed = report.reached.elapsed + begun.elapsed();
            let left = limits.timeout.map(|max| max.saturating_sub(elapsed));
            let limits = Limits {
                timeout: left,
                ..limits
            };
            let shortest = shortest(&world, finding.property, limits, &mut progress)?;
            if let Some(trace) = shortest {
                finding.outcome = Outcome::Violated(trace);
            }
        }
    }
    report.reached.elapsed += begun.elapsed();
    Ok(report)
}

fn by_collapse<S: System>(
    world: &impl Fn() -> World<S>,
    properties: &[Property<World<S>>],
    limits: Limits,
    progress: &mut impl FnMut(Progress),
) -> Result<Report, Error> {
    let found = collapse::search(&world(), &limits, progress)?;
    let outcome = |(place, property): (usize, &Property<_>)| {
        let is_violated = found.violated.contains(&place);
        let outcome = match property.expectation {
            Expectation::Sometimes if found.examples.contains(&place) => Outcome::Found,
            Expectation::Sometimes => Outcome::NotFound,
            _ if is_violated => Outcome::Violated(Trace::unknown()),
            _ => Outcome::Holds,
        };
        Finding {
            property: property.name,
            outcome,
        }
    };
    let findings: Vec<Finding> = properties.iter().enumerate().map(outcome).collect();
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

fn by_stateright<S: System>(
    world: &impl Fn() -> World<S>,
    properties: &[Property<World<S>>],
    limits: Limits,
    progress: &mut impl FnMut(Progress),
) -> Result<Report, Error> {
    let mut found = stateright(world(), limits, progress)?;
    let outcome = |property: &Property<_>| {
        let path = found.paths.remove(property.name);
        let outcome = match (&property.expectation, path) {
            (Expectation::Sometimes, Some(_)) => Outcome::Found,
            (Expectation::Sometimes, None) => Outcome::NotFound,
            (_, None) => Outcome::Holds,
            (_, Some(path)) => Outcome::Violated(Trace::new(&world().unfolded(), path)),
        };
        Finding {
            property: property.name,
            outcome,
        }
    };
    let findings: Vec<Finding> = properties.iter().map(outcome).collect();
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

fn verdict(findings: &[Finding], is_exhausted: bool) -> Verdict {
    let lacks_example = |it: &Finding| matches!(it.outcome, Outcome::NotFound);
    if findings.iter().any(Finding::is_violated)
        || (is_exhausted && findings.iter().any(lacks_example))
    {
        Verdict::Violated
    } else if is_exhausted {
        Verdict::Holds
    } else {
        Verdict::Bounded
    }
}

/// The shortest run to a violation of `property`, which is known to exist. If the limits do not
/// suffice for that, a run that may be longer; `None` if they do not suffice for any.
fn shortest<S: System>(
    world: &impl Fn() -> World<S>,
    property: &'static str,
    limits: Limits,
    progress: &mut impl FnMut(Progress),
) -> Result<Option<Trace>, Error> {
    let focused = || world().focus_on(property);
    let run = |world: World<S>, progress: &mut _| match limits.engine {
        Engine::Collapse => collapse::shortest(&world, &limits, progress),
        Engine::Stateright => {
            let limits = Limits {
                threads: 1,
                ..limits
            };
            let mut found = stateright(world, limits, progress)?;
            Ok(found
                .paths
                .remove(property)
                .filter(|_| found.bound.is_none()))
        }
    };
    let trace = |path| Trace::new(&focused().unfolded(), path);
    if let Some(path) = run(focused().unfolded(), progress)? {
        let trace = trace(path);
        return Ok(Some(Trace {
            is_shortest: true,
            ..trace
        }));
    }
    // With steps postponed there are fewer states, and the bound may be wide enough.
    let is_worthwhile = limits.engine == Engine::Collapse;
    let path = is_worthwhile
        .then(|| run(focused(), progress))
        .transpose()?;
    Ok(path.flatten().map(trace))
}

/// What stateright found: a path for each violation and example, and how far it got.
struct Paths<S: System> {
    paths: HashMap<&'static str, Path<WorldState<S>, Action<S>>>,
    reached: Progress,
    bound: Option<Bound>,
}

/// Lets stateright search until all states are visited, a property that must hold does not, or a
/// bound is met.
fn stateright<S: System>(
    world: World<S>,
    limits: Limits,
    progress: &mut impl FnMut(Progress),
) -> Result<Paths<S>, Error> {
    let start = Instant::now();
    let stop = world.stop_switch();
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

impl Finding {
    fn is_violated(&self) -> bool {
        matches!(self.outcome, Outcome::Violated(_))
    }
}

impl Trace {
    /// A run that is known to exist, and no more than that.
    fn unknown() -> Self {
        Self {
            steps: Vec::new(),
            explorer_path: String::new(),
            is_shortest: false,
        }
    }

    /// The run of a path, step by step, in a `world` that postpones nothing.
    fn new<S: System>(world: &World<S>, path: Path<WorldState<S>, Action<S>>) -> Self {
        let start = path.clone().into_vec().swap_remove(0).0;
        let actions = path.into_actions();
        let single = actions.into_iter().flat_map(Action::steps);
        let Some(path) = Path::from_actions(world, start, &single.collect::<Vec<_>>()) else {
            return Self::unknown();
        };
        let explorer_path = path.encode(world);
        let path = path.into_vec();
        let states = path.iter().skip(1).map(|(state, _)| state);
        let actions = path.iter().filter_map(|(_, action)| action.as_ref());
        let steps = actions.zip(states).map(|(action, after)| TraceStep {
            action: format!("{action:?}"),
            actor: world.system().label(action.actor()),
            after: format!("{:?}", after.locals[usize::from(action.actor())].value),
        });
        Self {
            steps: steps.collect(),
            explorer_path,
            is_shortest: false,
        }
    }
}
