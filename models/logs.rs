//! Multi-Paxos: what was found of it must be found again, and what is broken must show.

use super::models::multi::mutants::{self, Subject};
use super::models::multi::{Config, Layout, Multi, Reads, Register};
use super::{does_no_harm, violation};
use stateright::Model;
use std::collections::BTreeSet;
use synod::checker::World;
use synod::checker::search::{self, Limits, Outcome, Report, Verdict};
use synod::invariant;
use synod::multi::Process;

fn system(config: &Config) -> Multi<Process<Register>> {
    config.system().expect("a sound configuration")
}

fn exhaust(config: &Config) -> Report {
    let world = || World::new(system(config), config.options());
    search::run(world, Limits::default(), |_| {}).expect("a sound model")
}

fn invariants() -> BTreeSet<&'static str> {
    let all = invariant::ALL.iter().chain(invariant::OF_LOGS);
    all.map(|summary| summary.property).collect()
}

#[test]
fn every_invariant_is_a_property_of_the_model() {
    let config = Config {
        replies: true,
        ..Config::default()
    };
    let world = World::new(system(&config), config.options());
    let names: BTreeSet<&str> = world
        .properties()
        .iter()
        .map(|property| property.name)
        .collect();
    assert!(names.is_superset(&invariants()));
}

#[test]
fn every_invariant_catches_a_mutant() {
    let caught: BTreeSet<&str> = mutants::ALL.iter().map(|mutant| mutant.breaks).collect();
    assert_eq!(caught, invariants());
}

#[test]
fn every_mutant_is_caught_by_its_invariant_and_the_real_protocol_is_not() {
    for mutant in mutants::ALL {
        let config = mutant.smallest();
        let broken = || {
            let broken = system(&config).map(|process| Subject::new(process, mutant));
            World::new(broken, config.options())
        };
        let trace = violation(broken, mutant.breaks);
        let steps = trace.map_or(0, |trace| trace.steps.len());
        assert!(steps > 0, "{} survives", mutant.name);
        // The same without the bug; what is stale is a claim about that. Where that takes too long
        // here, it is pinned.
        let real = Config {
            drops_stale: true,
            ..config.clone()
        };
        let real = || World::new(system(&real), real.options()).focus_on(mutant.breaks);
        let limits = Limits {
            states_max: Some(200_000),
            ..Limits::default()
        };
        let report = search::run(real, limits, |_| {}).expect("a sound model");
        let name = mutant.name;
        assert_ne!(report.verdict, Verdict::Violated, "{name} without the bug");
        let is_deep = report.complete_depth >= Some(steps.min(12));
        assert!(
            report.is_exhausted || is_deep,
            "{name}: {:?}",
            report.complete_depth
        );
    }
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

/// Small, and different in what they exercise.
fn small() -> [Config; 6] {
    let small = Config {
        slots: 1,
        ..Config::default()
    };
    [
        small.clone(),
        Config {
            crashes: 1,
            clients: 1,
            ..small.clone()
        },
        Config {
            layout: Layout::Learning,
            clients: 1,
            ..small.clone()
        },
        Config {
            layout: Layout::Colocated,
            snapshot: Some(1),
            chunk: 8,
            clients: 1,
            ..small.clone()
        },
        Config {
            acceptors: 1,
            clients: 1,
            replies: true,
            reads: Reads::Index,
            ..small.clone()
        },
        // What a leader keeps by acceptor must follow a permutation too.
        Config {
            proposers: 1,
            clients: 1,
            replies: true,
            reads: Reads::Index,
            ..small
        },
    ]
}

#[test]
fn no_reduction_changes_the_verdict_or_what_can_be_found() {
    for config in small() {
        let expected = exhaust(&config);
        let found = |report: &Report| {
            let findings = report.findings.iter();
            let found = findings.map(|it| (it.property, matches!(it.outcome, Outcome::Found)));
            found.collect::<BTreeSet<_>>()
        };
        for without in 0..4 {
            let mut less = config.clone();
            match without {
                0 => less.symmetry = false,
                1 => less.drops_stale = false,
                2 => less.forgets = false,
                _ => less.postpones = false,
            }
            let report = exhaust(&less);
            assert_eq!(report.verdict, Verdict::Holds, "{less:?}");
            assert_eq!(found(&report), found(&expected), "{less:?}");
            if without == 0 {
                // Orbits add up to all there is.
                let concrete = expected.concrete.expect("the collapse engine counts");
                assert_eq!(report.reached.unique_states as u128, concrete, "{less:?}");
            }
        }
    }
}
