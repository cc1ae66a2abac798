//! The world of Fast Paxos against the same witnesses: its declarations are claims of its own.

use super::reductions::{assert_reductions, verify_symmetry};
use super::{CRASH, SLOW_CRASH, UNREDUCED, assert_plain, config};
use synod::checker::Options;
use synod::models::fast::{Config, Fast};

fn system(config: &Config) -> Fast {
    config.system(None).expect("the configuration is in range")
}

fn separated(acceptors: u32, coordinators: u32, ballots: u64, clients: u32) -> Config {
    config(&format!(
        "--acceptors {acceptors} --coordinators {coordinators} --ballots {ballots} \
         --clients {clients}"
    ))
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
        ("a crash", separated(2, 1, 1, 2), CRASH),
        ("a slow disk, a crash", separated(2, 1, 1, 1), SLOW_CRASH),
    ]
}

/// Red if a message is dropped that still mattered (a vote that tells a coordinator of a
/// collision), if what a vote was for is forgotten too soon, or if states are merged that differ.
#[test]
fn with_reductions_fast_paxos_reaches_the_same_up_to_permutation() {
    for (name, config, options) in cases() {
        assert_reductions(name, || system(&config), options);
    }
}

/// Red if anything tells acceptors or clients apart: a poll that is relabelled wrongly, a value
/// that is preferred for what it is.
#[test]
fn acceptors_and_clients_of_fast_paxos_are_interchangeable() {
    let mut most = 0;
    for (name, config, options) in cases() {
        let symmetry = true;
        let options = Options {
            symmetry,
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
        assert_plain(name, || system(&config));
    }
}
