//! The models' tests: what was found once must be found again, and what is broken must show.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what helps tests may fail as they do"
)]

use synod::models;

mod certify;
mod collisions;
mod command;
mod corpus;
mod crosscheck;
mod kill;
mod logs;
mod serve;
mod tidy;
mod traces;
mod udp;

use models::basic::{Basic, Config};
use models::expected::{self, Pinned};
use models::mutants::{self, Subject};
use stateright::{Checker, Model};
use std::collections::BTreeSet;
use synod::basic::Process;
use synod::checker::search::{self, Engine, Limits, Outcome, Trace, Verdict};
use synod::checker::{System, World};
use synod::invariant;

fn system(config: &Config) -> Basic<Process<char>> {
    config.system().expect("a sound configuration")
}

/// The shortest violation of one property, checked alone.
fn violation<S: System>(world: impl Fn() -> World<S>, property: &'static str) -> Option<Trace> {
    let focused = || world().focus_on(property);
    let report = search::run(focused, Limits::default(), |_| {}).expect("a sound model");
    report
        .findings
        .into_iter()
        .find_map(|finding| match finding.outcome {
            Outcome::Violated(trace) => Some(trace),
            Outcome::Holds | Outcome::Found | Outcome::NotFound => None,
        })
}

#[test]
fn every_invariant_is_a_property_of_the_model() {
    let world = World::new(system(&Config::default()), Config::default().options());
    let names: BTreeSet<&str> = world
        .properties()
        .iter()
        .map(|property| property.name)
        .collect();
    for invariant in invariant::ALL {
        assert!(names.contains(invariant.property), "{}", invariant.name);
    }
}

#[test]
fn every_invariant_catches_a_mutant() {
    let caught: BTreeSet<&str> = mutants::ALL.iter().map(|mutant| mutant.breaks).collect();
    let all: BTreeSet<&str> = invariant::ALL
        .iter()
        .map(|summary| summary.property)
        .collect();
    assert_eq!(caught, all);
}

#[test]
fn every_mutant_is_caught_by_its_invariant_and_the_real_protocol_is_not() {
    for mutant in mutants::ALL {
        let config = mutant.smallest();
        // What is stale is a claim about the real protocol, which may therefore use it.
        let reduced = Config {
            drops_stale: true,
            ..config.clone()
        };
        let real = || World::new(system(&reduced), reduced.options()).focus_on(mutant.breaks);
        let report = search::run(real, Limits::default(), |_| {}).expect("a sound model");
        assert_eq!(
            report.verdict,
            Verdict::Holds,
            "{} without the bug",
            mutant.name
        );
        let broken = || {
            let broken = system(&config).map(|process| Subject::new(process, mutant));
            World::new(broken, config.options())
        };
        let trace = violation(broken, mutant.breaks);
        assert!(
            trace.is_some_and(|trace| !trace.steps.is_empty()),
            "{}",
            mutant.name
        );
    }
}

/// A change that does no harm: all that it leads to is visited, and it is made. It is told by
/// steps, not states: an order of messages that only the change allows may lead to a known state.
fn does_no_harm<S: System, T: System>(
    name: &str,
    real: impl Fn() -> World<S>,
    changed: impl Fn() -> World<T>,
) {
    let changed = search::run(changed, Limits::default(), |_| {}).expect("a sound model");
    // Not that an example is not found any more: that the change may prevent.
    let is_violated = |outcome: &Outcome| matches!(outcome, Outcome::Violated(_));
    let mut findings = changed.findings.iter();
    let breaks = findings.any(|finding| is_violated(&finding.outcome));
    assert!(changed.is_exhausted && !breaks, "{name}");
    let real = search::run(real, Limits::default(), |_| {}).expect("a sound model");
    let (changed, real) = (changed.reached.transitions, real.reached.transitions);
    assert_ne!(changed, real, "{name} is never done");
}

#[test]
fn what_does_no_harm_is_done_and_breaks_nothing() {
    for mutant in mutants::HARMLESS {
        let config = mutant.smallest();
        let real = || World::new(system(&config), config.options());
        let changed = || {
            let changed = system(&config).map(|process| Subject::new(process, mutant));
            World::new(changed, config.options())
        };
        does_no_harm(mutant.name, real, changed);
    }
}

#[test]
fn no_run_breaks_a_rule_sooner_than_the_one_reported() {
    // The shortest run by stateright's own breadth-first levels: nothing is violated in any
    // state that fewer steps reach.
    let mutant = mutants::Mutant::named("ignore-vote").expect("a mutant of that name");
    let config = mutant.smallest();
    let broken = || {
        let broken = system(&config).map(|process| Subject::new(process, mutant));
        World::new(broken, config.options())
    };
    let trace = violation(broken, mutant.breaks).expect("the mutant is caught");
    let world = broken();
    let property = world.property(mutant.breaks);
    let mut level = world.init_states();
    for _ in 1..trace.steps.len() {
        level = level
            .iter()
            .flat_map(|state| world.next_states(state))
            .collect();
        level.sort_by_cached_key(|state| format!("{state:?}"));
        level.dedup_by(|a, b| a == b);
        assert!(
            level
                .iter()
                .all(|state| (property.condition)(&world, state))
        );
    }
    let next = level.iter().flat_map(|state| world.next_states(state));
    assert!(
        next.into_iter()
            .any(|state| !(property.condition)(&world, &state))
    );
}

#[test]
fn small_pinned_configurations_have_the_states_they_had() {
    let expected = expected::load().expect("expected.toml is well-formed");
    let mut names = BTreeSet::new();
    for (protocol, pinned) in expected.all() {
        let is_new = names.insert((protocol, &pinned.name));
        assert!(is_new, "{protocol} {} is there twice", pinned.name);
        assert_eq!(pinned.verdict, "holds");
    }
    for pinned in [&expected.basic, &expected.multi, &expected.fast] {
        assert!(pinned.iter().filter(|pinned| pinned.small).count() >= 10);
    }
    // The command reads the same file and runs the same search: it is the one that is tested.
    let output = command::synod(&["check", "--all", "--json"]);
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    let results = output
        .stdout
        .lines()
        .filter(|line| line.contains("\"type\":\"result\""));
    let small = expected.all().filter(|(_, pinned)| pinned.small).count();
    assert_eq!(results.count(), small);
}

/// How many states a pinned configuration has at most for stateright to search it in a test, by
/// protocol: those of a log are larger.
const STATERIGHT_STATES_MAX: [(&str, usize); 3] =
    [("basic", 60_000), ("multi", 25_000), ("fast", 60_000)];

#[test]
fn stateright_finds_what_is_pinned() {
    let expected = expected::load().expect("expected.toml is well-formed");
    let small = |(protocol, pinned): &(&str, &Pinned)| {
        let mut limits = STATERIGHT_STATES_MAX.iter();
        limits.any(|(name, most)| name == protocol && pinned.unique_states <= *most)
    };
    let pinned: Vec<_> = expected.all().filter(small).collect();
    assert!(pinned.len() >= 28);
    for (protocol, pinned) in pinned {
        let flags = ["check", protocol, "--engine", "stateright", "--json"];
        let flags = flags.into_iter().chain(pinned.args.split_whitespace());
        let output = command::synod(&flags.collect::<Vec<_>>());
        let last = output.stdout.lines().last().unwrap_or_default();
        for (field, count) in [
            ("unique_states", pinned.unique_states),
            ("transitions", pinned.transitions),
            ("depth", pinned.depth),
        ] {
            let found = format!("\"{field}\":{count}");
            assert!(
                last.contains(&found),
                "{}: no {found} in {last}",
                pinned.name
            );
        }
    }
}

#[test]
fn a_search_that_is_stopped_does_not_claim_to_have_seen_everything() {
    let config = Config::default();
    let limits = Limits {
        states_max: Some(500),
        ..Limits::default()
    };
    let world = || World::new(system(&config), config.options());
    let report = search::run(world, limits, |_| {}).expect("a sound model");
    assert_eq!(report.verdict, Verdict::Bounded);
    assert!(!report.is_exhausted && report.reached.unique_states >= 500);
}

#[test]
fn a_search_for_examples_alone_does_not_claim_to_have_seen_everything() {
    let config = Config {
        ballots: 1,
        ..Config::default()
    };
    let world = || World::new(system(&config), config.options()).focus_on(models::basic::CHOSEN);
    let report = |engine| {
        let limits = Limits {
            engine,
            ..Limits::default()
        };
        let report = search::run(world, limits, |_| {}).expect("a sound model");
        assert!(matches!(report.findings[0].outcome, Outcome::Found));
        report.is_exhausted
    };
    // stateright stops once it has its example; the other engine goes on to the end.
    assert!(!report(Engine::Stateright));
    assert!(report(Engine::Collapse));
}

#[test]
fn the_search_for_a_shorter_run_keeps_to_its_bounds() {
    let mutant = mutants::Mutant::named("ignore-vote").expect("a mutant of that name");
    let config = mutant.prepare(Config::default());
    let limits = Limits {
        timeout: Some(std::time::Duration::ZERO),
        ..Limits::default()
    };
    let broken = || {
        let broken = system(&config).map(|process| Subject::new(process, mutant));
        World::new(broken, config.options())
    };
    let report = search::run(broken, limits, |_| {}).expect("a sound model");
    assert_eq!(report.verdict, Verdict::Bounded);
    assert!(report.reached.elapsed < std::time::Duration::from_secs(5));
}

#[test]
fn the_depth_first_checker_agrees_with_the_breadth_first_one() {
    let config = Config {
        ballots: 1,
        crashes: 1,
        ..Config::default()
    };
    let world = || World::new(system(&config), config.options());
    let breadth = world().checker().spawn_bfs().join();
    let depth = world().checker().threads(2).spawn_dfs().join();
    assert_eq!(breadth.unique_state_count(), depth.unique_state_count());
    depth.assert_properties();
}
