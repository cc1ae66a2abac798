//! Scenarios: runs to learn from, told step by step.
//!
//! A scenario is a file in `models/scenarios/`: a configuration as `synod check` takes it, the
//! steps of a run by the names that they are shown with, each with its reason and where the rule
//! stands, and what must be so in the end. It is played in the world that `synod check` explores,
//! so that no rule of a protocol stands here: a step which the rules do not allow is an error.

use serde::Deserialize;
use stateright::{Expectation, Model};
use std::collections::BTreeMap;
use synod::checker::{Refusal, Replay, System, Taken, World, WorldState};

/// The names of the files beside this one, each with its text.
macro_rules! texts {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("scenarios/", $name, ".toml")))),*]
    };
}

/// The scenarios in the order in which to read them, by name, each with its text.
pub const ALL: &[(&str, &str)] = texts![
    "one-decree"
    "echoes"
    "minority"
    "adopted"
    "not-seen"
    "nobody-knows"
    "own-value"
    "stale-accept"
    "not-additive"
    "lowest-vote"
    "vote-promises"
    "restart"
    "amnesia"
    "duel"
    "backoff"
    "flexible"
    "log"
    "leader-change"
    "lagging"
    "notice"
    "foreign-notice"
    "retry"
    "chain"
    "stale-read"
    "lease"
    "drift"
    "fast-path"
    "collision"
    "may-be-chosen"
    "one-vote-binds"
    "in-between"
];

/// A run that is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is about, in a few words.
    pub title: String,
    /// What one learns from it, in a line.
    pub teaches: String,
    /// The configuration: protocol and flags, as `synod check` takes them.
    pub check: String,
    /// What to know before it begins.
    pub story: String,
    /// What happens.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
    /// What must be so in the end.
    pub end: End,
}

/// Something that happens, or several things of a kind, and why the rules have it so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The heading of the part that begins here.
    pub part: Option<String>,
    /// The steps that are taken, as they are shown.
    #[serde(default)]
    pub take: Vec<String>,
    /// Messages that are delivered after that, and change nothing.
    #[serde(default)]
    pub idle: Vec<String>,
    /// Why, in a sentence or two.
    pub why: String,
    /// Where the rule stands: paper and section.
    pub rule: Option<String>,
}

/// What must be so after the last step. What it does not say to be violated must hold throughout.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// All that is chosen; of a log, each entry after its slot.
    pub chosen: Vec<String>,
    /// Examples that the run is one of.
    #[serde(default)]
    pub found: Vec<String>,
    /// What must always hold, and does not in this run.
    #[serde(default)]
    pub violated: Vec<String>,
    /// So many steps repeat those before them, in higher ballots, and lead back to where these
    /// began.
    pub repeats: Option<usize>,
    /// The states of some processes, by id.
    #[serde(default)]
    pub states: BTreeMap<String, String>,
    /// What is to be learned from it.
    pub moral: String,
}

/// A scenario that was played.
#[derive(Debug)]
pub struct Run {
    /// What each of the scenario's steps came to: an entry for each step taken.
    pub taken: Vec<Vec<Taken>>,
    /// What was asked of the end, and whether it is so.
    pub checks: Vec<Check>,
    /// The run as the Explorer addresses it, below `#/steps/`.
    pub explorer_path: String,
}

/// Something asked of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is the case.
    pub is: String,
    /// What ought to be, if that is something else.
    pub expected: Option<String>,
}

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The world has no state to begin in.
    #[error("nothing can begin in this configuration")]
    Empty,
    /// A step is not possible.
    #[error("step {0}: {1}")]
    Refused(usize, #[source] Refusal),
    /// A message changes something that should change nothing.
    #[error("after step {0}: `{1}` is to change nothing, and changes something")]
    Changes(usize, String),
}

/// Plays a scenario in its world. `chosen` says what is chosen in a state.
///
/// # Errors
/// If a step is not possible there.
pub fn play<S: System>(
    scenario: &Scenario,
    world: &World<S>,
    chosen: impl Fn(&S, &WorldState<S>) -> Vec<String>,
) -> Result<Run, Error> {
    let mut replay = Replay::new(world).ok_or(Error::Empty)?;
    let mut all = Vec::new();
    for step in &scenario.steps {
        let mut taken = Vec::new();
        for name in &step.take {
            let number = replay.states().len();
            let refused = |refusal| Error::Refused(number, refusal);
            taken.push(replay.take(name).map_err(refused)?);
        }
        let number = replay.states().len() - 1;
        for name in &step.idle {
            let refused = |refusal| Error::Refused(number, refusal);
            if !replay.is_idle(name).map_err(refused)? {
                return Err(Error::Changes(number, name.clone()));
            }
        }
        all.push(taken);
    }
    Ok(Run {
        taken: all,
        checks: examine(scenario, world, replay.states(), chosen),
        explorer_path: replay.explorer_path().to_owned(),
    })
}

impl Check {
    /// Whether what is the case ought to be.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.expected.is_none()
    }

    fn new(expected: String, is: String) -> Self {
        let differs = is != expected;
        Self {
            is,
            expected: differs.then_some(expected),
        }
    }
}

/// `a, b and c`, or what to say if there is none.
fn all_of(words: &[String], none: &str) -> String {
    match words {
        [] => none.to_owned(),
        [word] => word.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Returns the words for the values that are chosen.
#[must_use]
pub fn told(chosen: &[String]) -> String {
    format!("chosen: {}", all_of(chosen, "nothing"))
}

fn examine<S: System>(
    scenario: &Scenario,
    world: &World<S>,
    states: &[WorldState<S>],
    chosen: impl Fn(&S, &WorldState<S>) -> Vec<String>,
) -> Vec<Check> {
    let (end, mut checks) = (&scenario.end, Vec::new());
    let Some(last) = states.last() else {
        return checks;
    };
    let chosen = chosen(world.system(), last);
    checks.push(Check::new(told(&end.chosen), told(&chosen)));
    for (id, state) in &end.states {
        let local = id.parse().ok().and_then(|id: usize| last.locals.get(id));
        let Some(local) = local else {
            checks.push(Check::new(id.clone(), format!("there is no process {id}")));
            continue;
        };
        let label = world.system().label(local.id);
        let is = format!("{label}: {:?}", local.value);
        checks.push(Check::new(format!("{label}: {state}"), is));
    }
    if let Some(period) = end.repeats {
        checks.push(repeats(scenario, states, period));
    }
    checks.extend(properties(end, world, states));
    checks
}

/// What the run says of each property: all hold throughout, but for those that it is to violate,
/// and it is an example of what it is to be an example of.
fn properties<S: System>(end: &End, world: &World<S>, states: &[WorldState<S>]) -> Vec<Check> {
    let (mut checks, mut all_hold) = (Vec::new(), true);
    let mut unknown: Vec<&String> = end.found.iter().chain(&end.violated).collect();
    for property in world.properties() {
        let parts = property.name.split_once(": ");
        let (name, statement) = parts.unwrap_or((property.name, ""));
        let is_in = |list: &[String]| list.iter().any(|it| it == name);
        unknown.retain(|it| *it != name);
        let says = |what: &str| format!("{name}{what}: {statement}");
        let holds = |state| (property.condition)(world, state);
        if property.expectation == Expectation::Always {
            let broken = states.iter().position(|state| !holds(state));
            all_hold &= broken.is_none();
            let is = match broken {
                Some(step) => says(&format!(" is violated at step {step}")),
                None => says(" holds"),
            };
            let is_expected = broken.is_some() == is_in(&end.violated);
            let other = if broken.is_some() {
                " holds"
            } else {
                " is violated"
            };
            let expected = (!is_expected).then(|| says(other));
            if broken.is_some() || expected.is_some() {
                checks.push(Check { is, expected });
            }
        } else if is_in(&end.found) {
            let is_found = states.iter().any(holds);
            let is = says(if is_found { "" } else { " is not found" });
            checks.push(Check::new(says(""), is));
        }
    }
    let no_such = |name: &String| Check::new(name.clone(), format!("there is no property {name}"));
    checks.extend(unknown.into_iter().map(no_such));
    if all_hold {
        let is = "every invariant holds in every state of the run".to_owned();
        checks.push(Check { is, expected: None });
    }
    checks
}

/// Whether the last steps repeat those before, in higher ballots: a run that can go on for ever.
fn repeats<S: System>(scenario: &Scenario, states: &[WorldState<S>], period: usize) -> Check {
    let steps: Vec<&String> = scenario.steps.iter().flat_map(|it| &it.take).collect();
    let locals = |state: &WorldState<S>| {
        let values = state.locals.iter().map(|local| &local.value);
        format!("{:?}", values.collect::<Vec<_>>())
    };
    let rounds = |text: &str| ballots(text).map(|(_, round)| round).max().unwrap_or(0);
    let is_lasso = || {
        let before = steps.len().checked_sub(period.checked_mul(2)?)?;
        let (first, second) = steps[before..].split_at(period);
        let (first, second) = (format!("{first:?}"), format!("{second:?}"));
        let higher = rounds(&second).checked_sub(rounds(&first))?;
        let then = locals(&states[states.len() - 1 - period]);
        let now = locals(&states[states.len() - 1]);
        let is_same = lowered(&second, higher) == first && lowered(&now, higher) == then;
        (higher > 0 && is_same).then_some(())
    };
    let says = |does: &str| {
        format!("the last {period} steps {does} the {period} before them, in higher ballots")
    };
    let is = if is_lasso().is_some() {
        says("repeat")
    } else {
        says("do not repeat")
    };
    Check::new(says("repeat"), is)
}

/// The ballots in a text: where each begins, and its round.
fn ballots(text: &str) -> impl Iterator<Item = (usize, u64)> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let places = text.match_indices(is_part).map(|(at, _)| at);
    let starts = places.filter(move |at| !text[..*at].ends_with(is_part));
    starts.filter_map(move |at| {
        let number = text[at..].split(|c| !is_part(c)).next()?;
        let (round, _) = number.split_once('.')?;
        Some((at, round.parse().ok()?))
    })
}

/// A text with its ballots so many rounds lower.
fn lowered(text: &str, by: u64) -> String {
    let (mut lower, mut from) = (String::new(), 0);
    for (at, round) in ballots(text) {
        lower += &text[from..at];
        lower += &round.saturating_sub(by).to_string();
        from = at + round.to_string().len();
    }
    lower + &text[from..]
}

/// The scenario of this text.
///
/// # Errors
/// If it is not one, in words that name the place.
pub fn parse(text: &str) -> Result<Scenario, toml::de::Error> {
    toml::from_str(text)
}

/// The text of the scenario of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static str> {
    let found = ALL.iter().find(|(it, _)| *it == name);
    found.map(|(_, text)| *text)
}
