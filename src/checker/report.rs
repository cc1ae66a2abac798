//! The limits of a search, and its results.

use serde::Serialize;
use stateright::{Expectation, Model, Property};
use std::time::Duration;

/// An engine that searches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The engine of this crate: breadth-first, with states that are a few numbers each.
    ///
    /// Each handler runs once per local state and message, and all threads search a level together.
    #[default]
    Collapse,
    /// The breadth-first checker of stateright.
    Stateright,
}

/// The engine to search with, and the bounds at which it gives up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The engine.
    pub engine: Engine,
    /// The number of threads. With more than one, stateright does not visit states level by level,
    /// so that the depth it reports may exceed the true one.
    pub threads: usize,
    /// Whether the collapse engine takes two independent steps in one order only, where both lead
    /// to the same state. It finds all states nevertheless, at the same depth, and counts all
    /// steps.
    pub commutes: bool,
    /// The number of unique states soon after which the search stops.
    pub states_max: Option<usize>,
    /// The number of bytes that the process may occupy. Only the collapse engine heeds it, and only
    /// where the system tells how much that is.
    pub bytes_max: Option<usize>,
    /// The time soon after which the search stops.
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

/// A bound that ended a search early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// [`Limits::states_max`].
    States,
    /// [`Limits::bytes_max`].
    Memory,
    /// [`Limits::timeout`].
    Time,
}

/// The progress of a search.
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

/// The overall result of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The search visited every reachable state. All that must hold always does, and all that
    /// should be found sometimes was.
    Holds,
    /// There is a counterexample, or every state was visited and an expected example is missing.
    Violated,
    /// Nothing wrong was found, but the search stopped before all was visited: at a bound, or, if
    /// only examples were asked for, when it had them all.
    Bounded,
}

/// The result for one property.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It holds in every state visited.
    Holds,
    /// It does not hold: a run shows it, which has no steps if a bound was met before the run was
    /// rebuilt.
    Violated(Trace),
    /// An example of what should happen sometimes was found.
    Found,
    /// No example was found.
    NotFound,
}

/// A property and its result.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The property's name.
    pub property: &'static str,
    /// The result.
    pub outcome: Outcome,
}

impl Finding {
    /// The result for a property of which a counterexample, or the example that it asks for, was
    /// met or not. `trace` is the run to a counterexample.
    pub(super) fn new<M: Model>(
        property: &Property<M>,
        is_met: bool,
        trace: impl FnOnce() -> Trace,
    ) -> Self {
        let outcome = match (&property.expectation, is_met) {
            (Expectation::Sometimes, true) => Outcome::Found,
            (Expectation::Sometimes, false) => Outcome::NotFound,
            (_, false) => Outcome::Holds,
            (_, true) => Outcome::Violated(trace()),
        };
        Finding {
            property: property.name,
            outcome,
        }
    }

    /// The run that shows that the property does not hold, if one does.
    #[must_use]
    pub fn violation(&self) -> Option<&Trace> {
        match &self.outcome {
            Outcome::Violated(trace) => Some(trace),
            Outcome::Holds | Outcome::Found | Outcome::NotFound => None,
        }
    }

    pub(super) fn is_violated(&self) -> bool {
        self.violation().is_some()
    }
}

/// A run, ready to print. By default it is known to exist, and no more than that.
#[derive(Clone, Debug, Default)]
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
    /// The step, as text.
    pub action: String,
    /// The actor that took it.
    pub actor: String,
    /// The actor's state after it.
    pub after: String,
}

/// The result of a search.
#[derive(Clone, Debug)]
pub struct Report {
    /// The overall result.
    pub verdict: Verdict,
    /// Whether every reachable state was visited. A search ends early at a bound, and at the
    /// first violation of what must always hold.
    pub is_exhausted: bool,
    /// The progress at the end.
    pub reached: Progress,
    /// The bound that stopped the search, if one did.
    pub bound: Option<Bound>,
    /// The number of steps within which every state was visited, whatever ended the search. `None`
    /// if no state was, or the engine does not know.
    pub complete_depth: Option<usize>,
    /// The number of states if interchangeable ones are told apart: what the unique states stand
    /// for, by the sizes of their orbits. `None` if the engine does not count them.
    pub concrete: Option<u128>,
    /// Memory that the search took, in bytes; `None` if not known.
    pub bytes: Option<usize>,
    /// The number of bits that tell states apart.
    pub fingerprint_bits: u32,
    /// The result for each property.
    pub findings: Vec<Finding>,
}

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

/// The overall result, given that of each property.
pub(super) fn verdict(findings: &[Finding], is_exhausted: bool) -> Verdict {
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

/// The reason why a search has no result.
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
