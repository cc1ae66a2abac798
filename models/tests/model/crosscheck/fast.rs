//! The world of Fast Paxos against the same witnesses: its declarations are claims of its own.

use super::global::Plain;
use super::reductions::{compare, reductions, verify_symmetry};
use super::{UNREDUCED, by_actor_model, by_world, faults};
use std::collections::HashSet;
use synod::checker::{Options, StorageMode};
use synod::fast::Process;
use synod::models::config::Flags;
use synod::models::fast::{Config, Fast};

/// Fast Paxos as it is.
type Paxos = Fast<Process<char>>;

fn system(config: &Config) -> Paxos {
    config.system().expect("the configuration is in range")
}

fn separated(acceptors: u32, coordinators: u32, ballots: u64, clients: u32) -> Config {
    config(&format!(
        "--acceptors {acceptors} --coordinators {coordinators} --ballots {ballots} \
         --clients {clients}"
    ))
}

fn config(flags: &str) -> Config {
    Config::from_flags(flags).expect("well-formed flags")
}

fn cases() -> Vec<(&'static str, Config, Options)> {
    let refusing =
        config("--acceptors 1 --coordinators 2 --ballots 1 --clients 1 --nacks on --replies on");
    let nodes = config("--acceptors 2 --coordinators 1 --ballots 2 --clients 2 --layout colocated");
    vec![
        ("a collision", separated(2, 1, 2, 2), UNREDUCED),
        ("three acceptors", separated(3, 1, 1, 2), UNREDUCED),
        ("two coordinators", separated(2, 2, 1, 1), UNREDUCED),
        ("refusals and a client", refusing, UNREDUCED),
        ("nodes that collide", nodes, UNREDUCED),
        (
            "a crash",
            separated(2, 1, 1, 2),
            faults(1, StorageMode::Atomic),
        ),
        (
            "a slow disk and a crash",
            separated(2, 1, 1, 1),
            faults(1, StorageMode::Split),
        ),
    ]
}

/// Red if a message is dropped that still mattered (a vote that tells a coordinator of a
/// collision), if what a vote was for is forgotten too soon, or if states are merged that differ.
#[test]
fn with_reductions_fast_paxos_reaches_the_same_up_to_permutation() {
    for (name, config, options) in cases() {
        let unreduced = by_world(system(&config), options);
        println!("{name}: {} states", unreduced.len());
        assert!(unreduced.len() > 50, "{name}: nothing happens");
        for options in reductions(options) {
            let size = compare(&unreduced, || system(&config), options);
            println!("- {options:?}: {size:?}");
            assert!(size.is_ok(), "{name}, {options:?}: {size:?}");
        }
    }
}

/// Red if anything tells acceptors or clients apart: a poll that is relabelled wrongly, a value
/// that is preferred for what it is.
#[test]
fn acceptors_and_clients_of_fast_paxos_are_interchangeable() {
    let mut most = 0;
    for (name, config, options) in cases() {
        let options = Options {
            symmetry: true,
            ..options
        };
        let examined = verify_symmetry(system(&config), options);
        println!("{name}: {examined:?}");
        let examined = examined.unwrap_or_else(|reason| panic!("{name}: {reason}"));
        most = most.max(examined);
    }
    assert!(most > 100, "nothing to permute: {most}");
}

/// Red if the world withholds a step of Fast Paxos that stateright's `ActorModel` takes, or takes
/// one that it does not.
#[test]
fn the_world_of_fast_paxos_is_that_of_plain_actor_model() {
    for (name, config, options) in cases() {
        if options.crashes > 0 {
            continue;
        }
        let world: HashSet<Plain<Paxos>> = by_world(system(&config), UNREDUCED)
            .into_iter()
            .map(Plain::<Paxos>::unobserved)
            .collect();
        let plain = by_actor_model(&system(&config));
        println!("{name}: {} states", plain.len());
        assert!(world == plain, "{name}: not the same world");
    }
}
