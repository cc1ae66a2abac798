//! Runs stateright's breadth-first checker on a [`World`], within bounds, and reports.

use super::state::{Action, WorldState};
use super::system::System;
use super::world::World;
use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// When to give up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads to search with. With more than one, stateright does not visit states level by
    /// level, so that the depth it reports may exceed the true one.
    pub threads: usize,
    /// Stop soon after so many unique states.
    pub states_max: Option<usize>,
    /// Stop soon after so much time.
    pub timeout: Option<Duration>,
}

impl Default for Limits {
    /// One thread and no bound.
    fn default() -> Self {
        Self {
            threads: 1,
            states_max: None,
            timeout: None,
        }
    }
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
    /// Stopped at a bound: nothing wrong was found so far.
    Bounded,
}

/// What a search says of one property.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It holds in every state visited.
    Holds,
    /// It does not: the shortest run that shows it.
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
}

/// Visits every reachable state, or as many as `limits` allow, and checks every property.
///
/// The search ends at the first violation of what must always hold; the shortest run to it is
/// then looked for in a search of its own. `world` is called once per search.
///
/// # Errors
/// If the model's reductions turn out unsound, or an actor panics.
pub fn run<S: System>(
    world: impl Fn() -> World<S>,
    limits: Limits,
    mut progress: impl FnMut(Progress),
) -> Result<Report, Error> {
    let (checker, reached, is_stopped) = search(world(), limits, &mut progress)?;
    let mut findings = Vec::new();
    for property in checker.model().properties() {
        let is_discovered = checker.discovery(property.name).is_some();
        let outcome = match (property.expectation, is_discovered) {
            (Expectation::Sometimes, true) => Outcome::Found,
            (Expectation::Sometimes, false) => Outcome::NotFound,
            (_, false) => Outcome::Holds,
            (_, true) => Outcome::Violated(shortest(&world, property.name, &mut progress)?),
        };
        let property = property.name;
        findings.push(Finding { property, outcome });
    }
    let is_found = |kind: fn(&Outcome) -> bool| findings.iter().any(|it| kind(&it.outcome));
    let has_counterexample = is_found(|outcome| matches!(outcome, Outcome::Violated(_)));
    let lacks_example = is_found(|outcome| matches!(outcome, Outcome::NotFound));
    let is_exhausted = !is_stopped && !has_counterexample;
    let verdict = if has_counterexample || (is_exhausted && lacks_example) {
        Verdict::Violated
    } else if is_stopped {
        Verdict::Bounded
    } else {
        Verdict::Holds
    };
    Ok(Report {
        verdict,
        is_exhausted,
        reached,
        findings,
    })
}

/// The shortest run to a violation of `property`, which is known to exist.
fn shortest<S: System>(
    world: &impl Fn() -> World<S>,
    property: &'static str,
    progress: &mut impl FnMut(Progress),
) -> Result<Trace, Error> {
    let focused = world().focus_on(property);
    let (checker, _, _) = search(focused, Limits::default(), progress)?;
    let path = checker.discovery(property);
    Ok(path.map_or_else(Trace::empty, |path| Trace::new(checker.model(), path)))
}

/// Searches until all states are visited, a property that must hold does not, or a bound is met.
/// Says how far it got, and whether it was stopped.
fn search<S: System, P: FnMut(Progress)>(
    world: World<S>,
    limits: Limits,
    progress: &mut P,
) -> Result<(impl Checker<World<S>> + use<S, P>, Progress, bool), Error> {
    let start = Instant::now();
    let stop = world.stop_switch();
    let builder = world.checker().threads(limits.threads.max(1));
    let mut checker = builder.finish_when(HasDiscoveries::AnyFailures).spawn_bfs();
    let handles = checker.handles();
    let mut is_stopped = false;
    let mut pause = Duration::from_millis(1);
    while !handles.iter().all(std::thread::JoinHandle::is_finished) {
        let now = measure(&checker, start);
        let is_over = limits
            .states_max
            .is_some_and(|max| now.unique_states >= max)
            || limits.timeout.is_some_and(|max| now.elapsed >= max);
        if is_over || checker.model().unsoundness().is_some() {
            is_stopped = true;
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
    Ok((checker, reached, is_stopped))
}

fn measure<S: System>(checker: &impl Checker<World<S>>, start: Instant) -> Progress {
    Progress {
        unique_states: checker.unique_state_count(),
        // stateright counts the initial state among the states generated, and as depth one.
        transitions: checker.state_count().saturating_sub(1),
        depth: checker.max_depth().saturating_sub(1),
        elapsed: start.elapsed(),
    }
}

impl Trace {
    fn empty() -> Self {
        Self {
            steps: Vec::new(),
            explorer_path: "0".to_owned(),
        }
    }

    /// The run of a path of `world`.
    pub fn new<S: System>(world: &World<S>, path: Path<WorldState<S>, Action<S>>) -> Self {
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
        }
    }
}
