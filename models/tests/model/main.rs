//! Tests of the models: what is pinned, the mutants, the reductions, and the engine that searches.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what helps tests may fail as they do"
)]

mod crosscheck;
mod flags;
mod fourth;
mod mutants;
mod reductions;
#[path = "../support.rs"]
mod support;
mod two_phase;

use stateright::{Checker, Model};
use std::collections::BTreeSet;
use synod::basic::Process;
use synod::checker::World;
use synod::checker::search::{self, Engine, Limits, Outcome, Report, Trace, Verdict};
use synod::invariant::{Agreement, Invariant};
use synod::models::basic::Config;
use synod::models::config::Flags;
use synod::models::expected::{self, Pinned};
use synod::models::one_decree::CHOSEN;
use synod::models::protocol::{self, Protocol};

/// The first violation that a search found.
fn violation(report: &Report) -> Option<&Trace> {
    let outcomes = report.findings.iter().map(|finding| &finding.outcome);
    outcomes.into_iter().find_map(|outcome| match outcome {
        Outcome::Violated(trace) => Some(trace),
        Outcome::Holds | Outcome::Found | Outcome::NotFound => None,
    })
}

/// The usual limits of a search, with another engine.
fn limits(engine: Engine) -> Limits {
    Limits {
        engine,
        ..Limits::default()
    }
}

/// The world of Basic Paxos with these flags, and with the rule of a mutant broken.
fn world(flags: &str, mutant: &str) -> World<<Process<char> as Protocol>::System> {
    let mutant = Process::mutants().find(|it| it.name == mutant);
    let config = Config::from_flags(flags).expect("well-formed flags");
    let system = Process::system(&config, mutant).expect("a sound configuration");
    World::new(system, config.shared.world.options())
}

#[test]
fn no_run_breaks_a_rule_sooner_than_the_one_reported() {
    // The shortest run by stateright's own breadth-first levels: nothing is violated in any
    // state that fewer steps reach.
    let flags = "--drop-stale off --forget off --acceptors 1 --ballots 1";
    let focused = || world(flags, "ignore-vote").focus_on(Agreement::PROPERTY);
    let report = search::run(focused, Limits::default(), |_| {}).expect("a sound model");
    let trace = violation(&report).expect("the mutant is caught");
    let world = focused();
    let property = world.property(Agreement::PROPERTY);
    let holds = |state: &_| (property.condition)(&world, state);
    let next = |level: &[_]| -> Vec<_> {
        let next = level.iter().flat_map(|state| world.next_states(state));
        next.collect()
    };
    let mut level = world.init_states();
    for _ in 1..trace.steps.len() {
        level = next(&level);
        level.sort_by_cached_key(|state| format!("{state:?}"));
        level.dedup_by(|a, b| a == b);
        assert!(level.iter().all(holds));
    }
    assert!(!next(&level).iter().all(holds));
}

#[test]
fn small_pinned_configurations_have_the_states_they_had() {
    let expected = expected::load().expect("expected.toml is well-formed");
    let mut names = BTreeSet::new();
    for (protocol, pinned) in expected.all() {
        let is_new = names.insert((protocol, &pinned.name));
        assert!(is_new, "{protocol} {} is there twice", pinned.name);
    }
    for protocol in protocol::ALL {
        let pinned = expected.all().filter(|(name, _)| *name == protocol.name());
        assert!(pinned.filter(|(_, pinned)| pinned.small).count() >= 10);
    }
    // The command reads the same file and runs the same search: it is the one that is tested.
    let output = support::synod(&["check", "--all", "--json"]);
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    let lines = output.stdout.lines();
    let results = lines.filter(|line| line.contains("\"type\":\"result\""));
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
        let output = support::synod(&flags.collect::<Vec<_>>());
        let last = output.stdout.lines().last().unwrap_or_default();
        for (field, count) in [
            ("unique_states", pinned.unique_states),
            ("transitions", pinned.transitions),
            ("depth", pinned.depth),
        ] {
            let (name, found) = (&pinned.name, format!("\"{field}\":{count}"));
            assert!(last.contains(&found), "{name}: no {found} in {last}");
        }
    }
}

#[test]
fn a_search_that_is_stopped_does_not_claim_to_have_seen_everything() {
    let limits = Limits {
        states_max: Some(500),
        ..Limits::default()
    };
    let report = search::run(|| world("", ""), limits, |_| {}).expect("a sound model");
    assert_eq!(report.verdict, Verdict::Bounded);
    assert!(!report.is_exhausted && report.reached.unique_states >= 500);
}

#[test]
fn a_search_for_examples_alone_does_not_claim_to_have_seen_everything() {
    let world = || world("--ballots 1", "").focus_on(CHOSEN);
    let report = |engine| {
        let report = search::run(world, limits(engine), |_| {}).expect("a sound model");
        assert!(matches!(report.findings[0].outcome, Outcome::Found));
        report.is_exhausted
    };
    // stateright stops once it has its example; the other engine goes on to the end.
    assert!(!report(Engine::Stateright));
    assert!(report(Engine::Collapse));
}

#[test]
fn the_search_for_a_shorter_run_keeps_to_its_bounds() {
    let limits = Limits {
        timeout: Some(std::time::Duration::ZERO),
        ..Limits::default()
    };
    let broken = || world("--drop-stale off --forget off", "ignore-vote");
    let report = search::run(broken, limits, |_| {}).expect("a sound model");
    assert_eq!(report.verdict, Verdict::Bounded);
    assert!(report.reached.elapsed < std::time::Duration::from_secs(5));
}

#[test]
fn the_depth_first_checker_agrees_with_the_breadth_first_one() {
    let world = || world("--ballots 1 --crashes 1", "");
    let breadth = world().checker().spawn_bfs().join();
    let depth = world().checker().threads(2).spawn_dfs().join();
    assert_eq!(breadth.unique_state_count(), depth.unique_state_count());
    depth.assert_properties();
}
