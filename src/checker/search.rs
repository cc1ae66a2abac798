//! Runs stateright's breadth-first checker on a [`World`], within bounds, and reports.

use super::state::{Action, WorldState};
use super::system::System;
use super::world::World;
use stateright::{Checker, Expectation, HasDiscoveries, Model, Path, Property};
use std::sync::atomic::Ordering;
use std::thread::{JoinHandle, sleep};
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
    /// Nothing wrong was found, but the search stopped before all was visited: at a bound, or, if
    /// only examples were asked for, when it had them all.
    Bounded,
}

/// What a search says of one property.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It holds in every state visited.
    Holds,
    /// It does not: a run that shows it.
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
}

/// Visits every reachable state, or as many as `limits` allow, and checks every property.
///
/// The search ends at the first violation of what must always hold. The shortest run to it is
/// then looked for in a search of its own, within what is left of the limits. `world` is called
/// once per search.
///
/// # Errors
/// If the model's reductions turn out unsound, an actor panics, or a property is of the kind that
/// holds eventually.
pub fn run<S: System>(
    world: impl Fn() -> World<S>,
    limits: Limits,
    mut progress: impl FnMut(Progress),
) -> Result<Report, Error> {
    let start = Instant::now();
    let (found, mut reached, is_stopped) = search(world(), limits, &mut progress)?;
    let mut findings = Vec::new();
    for Discovery {
        property,
        expectation,
        trace,
    } in found
    {
        let outcome = match (expectation, trace) {
            (Expectation::Sometimes, Some(_)) => Outcome::Found,
            (Expectation::Sometimes, None) => Outcome::NotFound,
            (_, None) => Outcome::Holds,
            (_, Some(trace)) => {
                let left = limits
                    .timeout
                    .map(|max| max.saturating_sub(start.elapsed()));
                let limits = Limits {
                    threads: 1,
                    timeout: left,
                    ..limits
                };
                let shortest = shortest(world(), property, limits, &mut progress)?;
                Outcome::Violated(shortest.unwrap_or(trace))
            }
        };
        findings.push(Finding { property, outcome });
    }
    reached.elapsed = start.elapsed();
    let is_found = |kind: fn(&Outcome) -> bool| findings.iter().any(|it| kind(&it.outcome));
    let has_counterexample = is_found(|outcome| matches!(outcome, Outcome::Violated(_)));
    let lacks_example = is_found(|outcome| matches!(outcome, Outcome::NotFound));
    // stateright stops when every property is settled, but goes on as long as one is open.
    let is_open = is_found(|outcome| matches!(outcome, Outcome::Holds | Outcome::NotFound));
    let is_exhausted = !is_stopped && !has_counterexample && is_open;
    let verdict = if has_counterexample || (is_exhausted && lacks_example) {
        Verdict::Violated
    } else if is_exhausted {
        Verdict::Holds
    } else {
        Verdict::Bounded
    };
    Ok(Report {
        verdict,
        is_exhausted,
        reached,
        findings,
    })
}

/// The shortest run to a violation of `property`, which is known to exist; `None` if the limits do
/// not suffice to find it.
fn shortest<S: System>(
    world: World<S>,
    property: &'static str,
    limits: Limits,
    progress: &mut impl FnMut(Progress),
) -> Result<Option<Trace>, Error> {
    let (found, _, is_stopped) = search(world.focus_on(property), limits, progress)?;
    let trace = found.into_iter().find_map(|discovery| discovery.trace);
    Ok(trace.filter(|_| !is_stopped).map(|trace| Trace {
        is_shortest: true,
        ..trace
    }))
}

/// A property, and a run to where it is violated, or to an example of it, if there is one.
struct Discovery {
    property: &'static str,
    expectation: Expectation,
    trace: Option<Trace>,
}

/// Searches until all states are visited, a property that must hold does not, or a bound is met.
/// Says what it found, how far it got, and whether it was stopped.
fn search<S: System>(
    world: World<S>,
    limits: Limits,
    progress: &mut impl FnMut(Progress),
) -> Result<(Vec<Discovery>, Progress, bool), Error> {
    let properties = world.properties();
    let eventually = |it: &&Property<_>| it.expectation == Expectation::Eventually;
    if let Some(property) = properties.iter().find(eventually) {
        return Err(Error::Eventually(property.name));
    }
    let start = Instant::now();
    let stop = world.stop_switch();
    let builder = world.checker().threads(limits.threads.max(1));
    let mut checker = builder.finish_when(HasDiscoveries::AnyFailures).spawn_bfs();
    let handles = checker.handles();
    let is_over = |now: &Progress| {
        limits
            .states_max
            .is_some_and(|max| now.unique_states >= max)
            || limits.timeout.is_some_and(|max| now.elapsed >= max)
    };
    let mut pause = Duration::from_millis(1);
    while !handles.iter().all(JoinHandle::is_finished) {
        let now = measure(&checker, start);
        if is_over(&now) || checker.model().unsoundness().is_some() {
            stop.store(true, Ordering::Relaxed);
        }
        progress(now);
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    let reached = measure(&checker, start);
    // A search that was done before anybody looked is held to its bounds as well.
    let is_stopped = is_over(&reached);
    for handle in handles {
        handle.join().map_err(|_| Error::Panicked)?;
    }
    // Paths to discoveries are replayed through the model, which must have its actions back.
    stop.store(false, Ordering::Relaxed);
    let world = checker.model();
    if let Some(reason) = world.unsoundness() {
        return Err(Error::Unsound(reason.to_owned()));
    }
    let mut paths = checker.discoveries();
    let discoveries = properties.into_iter().map(|property| Discovery {
        property: property.name,
        expectation: property.expectation,
        trace: paths
            .remove(property.name)
            .map(|path| Trace::new(world, path)),
    });
    Ok((discoveries.collect(), reached, is_stopped))
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
            is_shortest: false,
        }
    }
}
