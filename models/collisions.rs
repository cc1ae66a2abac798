//! Fast Paxos: what is broken must show, and no reduction must change what can be found.

use super::models::fast::mutants::{self, Subject};
use super::models::fast::{Config, Fast};
use super::{does_no_harm, violation};
use stateright::Model;
use std::collections::BTreeSet;
use synod::checker::World;
use synod::checker::search::{self, Limits, Outcome, Report, Verdict};
use synod::fast::Process;
use synod::invariant;

fn system(config: &Config) -> Fast<Process<char>> {
    config.system().expect("a sound configuration")
}

fn exhaust(config: &Config) -> Report {
    let world = || World::new(system(config), config.options());
    search::run(world, Limits::default(), |_| {}).expect("a sound model")
}

#[test]
fn every_invariant_is_a_property_of_the_model_and_catches_a_mutant() {
    let world = World::new(system(&Config::default()), Config::default().options());
    let properties = world.properties();
    let names: BTreeSet<&str> = properties.iter().map(|property| property.name).collect();
    let all: BTreeSet<&str> = invariant::ALL.iter().map(|it| it.property).collect();
    assert!(names.is_superset(&all));
    let caught: BTreeSet<&str> = mutants::ALL.iter().map(|mutant| mutant.breaks).collect();
    assert_eq!(caught, all);
}

#[test]
fn every_mutant_is_caught_by_its_invariant_and_the_real_protocol_is_not() {
    for mutant in mutants::ALL {
        let config = mutant.smallest();
        let broken = || {
            let broken = system(&config).map(|process| Subject::perhaps(process, Some(mutant)));
            World::new(broken, config.options())
        };
        let trace = violation(broken, mutant.breaks);
        let is_caught = trace.is_some_and(|trace| !trace.steps.is_empty());
        assert!(is_caught, "{} survives", mutant.name);
        // The same without the bug; what is stale is a claim about that.
        let real = Config {
            drops_stale: true,
            forgets: true,
            ..config
        };
        let report = exhaust(&real);
        assert_ne!(report.verdict, Verdict::Violated, "{} alone", mutant.name);
        assert!(report.is_exhausted);
    }
}

#[test]
fn what_does_no_harm_is_done_and_breaks_nothing() {
    for mutant in mutants::HARMLESS {
        let config = mutant.smallest();
        let real = || World::new(system(&config), config.options());
        let changed = || {
            let changed = system(&config).map(|process| Subject::perhaps(process, Some(mutant)));
            World::new(changed, config.options())
        };
        does_no_harm(mutant.name, real, changed);
    }
}

#[test]
fn no_reduction_changes_the_verdict_or_what_can_be_found() {
    let default = Config::default();
    for config in [
        default.clone(),
        Config {
            crashes: 1,
            ..default.clone()
        },
        Config {
            acceptors: 2,
            coordinators: 2,
            ..default.clone()
        },
        Config {
            acceptors: 2,
            ballots: 3,
            fast: 2,
            ..default
        },
    ] {
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
            assert_eq!(report.verdict, expected.verdict, "{less:?}");
            assert_eq!(found(&report), found(&expected), "{less:?}");
            if without == 0 {
                // Orbits add up to all there is.
                let concrete = expected.concrete.expect("the collapse engine counts");
                assert_eq!(report.reached.unique_states as u128, concrete, "{less:?}");
            }
        }
    }
}
