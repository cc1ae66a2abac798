//! The world against independent witnesses: stateright's own `ActorModel`, and an enumeration by
//! hand. Whoever trusts a verdict trusts the world that it was reached in.

mod brute;
mod calls;
mod engines;
mod fast;
mod global;
mod reductions;
mod toys;

use brute::explore;
use global::{Plain, of_actor_model, of_world};
use stateright::actor::{ActorModel, ActorModelState, Network};
use stateright::{Checker, HasDiscoveries, Model, UniformChooser};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::thread::sleep;
use std::time::Duration;
use synod::checker::{Options, StateOf, StorageMode, System, World};
use synod::models::basic::{Basic, Config};
use synod::models::config::Flags;
use synod::models::one_decree::CHOSEN;

/// Basic Paxos as it is.
type Paxos = Basic;

/// No fault, nothing left out and nothing merged.
const UNREDUCED: Options = Options {
    crashes: 0,
    storage: StorageMode::Atomic,
    drops_stale: false,
    forgets: false,
    postpones: false,
    symmetry: false,
};

/// Every permutation of interchangeable actors is merged, and nothing else.
const MERGED: Options = Options {
    symmetry: true,
    ..UNREDUCED
};

/// A crash, and no reductions.
const CRASH: Options = faults(1, StorageMode::Atomic);

/// The same, with a slow disk.
const SLOW_CRASH: Options = faults(1, StorageMode::Split);

/// A number of crashes and a disk, and no reductions.
const fn faults(crashes: usize, storage: StorageMode) -> Options {
    Options {
        crashes,
        storage,
        ..UNREDUCED
    }
}

/// The configuration of these flags.
fn config<C: Flags>(flags: &str) -> C {
    C::from_flags(flags).expect("well-formed flags")
}

/// Role-separated nodes, and clients outside.
fn separated(acceptors: u32, proposers: u32, ballots: u64, clients: u32) -> Config {
    config(&format!(
        "--acceptors {acceptors} --proposers {proposers} --ballots {ballots} --clients {clients}"
    ))
}

/// Co-located nodes, and one client outside.
fn colocated(nodes: u32, proposers: u32, ballots: u64) -> Config {
    config(&format!(
        "--layout colocated --acceptors {nodes} --proposers {proposers} --ballots {ballots} \
         --clients 1"
    ))
}

fn system(config: &Config) -> Paxos {
    config.system(None).expect("the configuration is in range")
}

fn successors<M: Model>(model: &M, state: &M::State) -> Vec<M::State> {
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    let next = |action| model.next_state(state, action);
    actions.into_iter().filter_map(next).collect()
}

/// Every reachable state, one for each `key`, in a loop of its own.
fn reach<M: Model, K: Eq + Hash>(model: &M, key: impl Fn(&M::State) -> K) -> HashMap<K, M::State>
where
    M::State: Clone,
{
    let mut open = VecDeque::from(model.init_states());
    let first = |state: &M::State| (key(state), state.clone());
    let mut reached: HashMap<K, M::State> = open.iter().map(first).collect();
    while let Some(state) = open.pop_front() {
        for next in successors(model, &state) {
            if let Entry::Vacant(vacant) = reached.entry(key(&next)) {
                vacant.insert(next.clone());
                open.push_back(next);
            }
        }
    }
    reached
}

/// What the actors alone show of a set of states.
fn vectors<S: System>(states: &HashSet<Plain<S>>) -> HashSet<&[StateOf<S>]> {
    states.iter().map(|state| state.locals.as_slice()).collect()
}

/// What the world reaches.
fn by_world<S: System>(system: S, options: Options) -> HashSet<Plain<S>> {
    let world = World::new(system, options);
    reach(&world, of_world).into_keys().collect()
}

/// What stateright's `ActorModel` reaches. Its states are told apart by equality, for its own hash
/// takes them for one another if they differ in whose timer is set.
fn by_actor_model<S: System<Actor: Clone>>(system: &S) -> HashSet<Plain<S>> {
    let model = ActorModel::<S::Actor>::new((), ())
        .actors(system.actors().to_vec())
        .init_network(Network::new_unordered_duplicating(system.outside()));
    let key = |state: &ActorModelState<S::Actor>| of_actor_model::<S>(state);
    reach(&model, key).into_keys().collect()
}

/// Configurations without faults, small enough for the plainest of loops.
fn configurations() -> Vec<(&'static str, Config)> {
    let answered =
        config("--acceptors 2 --proposers 2 --ballots 1 --clients 1 --replies on --nacks on");
    let votes_alone =
        config("--acceptors 3 --proposers 2 --ballots 1 --clients 3 --learners 0 --ask one");
    let two_learn = config("--acceptors 2 --proposers 1 --ballots 1 --clients 1 --learners 2");
    vec![
        ("3 acceptors, 2 proposers", separated(3, 2, 1, 1)),
        ("no learner, 3 clients that ask one proposer", votes_alone),
        ("2 learners", two_learn),
        ("2 acceptors, 2 proposers, 2 values", separated(2, 2, 1, 2)),
        ("3 acceptors, 1 proposer, 2 ballots", separated(3, 1, 2, 1)),
        ("2 acceptors, 2 proposers, refusals, a client", answered),
        ("3 nodes, 1 of them a proposer", colocated(3, 1, 1)),
    ]
}

/// Red if the world withholds a step that `ActorModel` takes (a message lost from the network, a
/// timer cleared too early), takes one that it does not, or changes what an actor asked for.
#[test]
fn the_world_reaches_what_plain_actor_model_reaches() {
    let mut configurations = configurations();
    configurations.push(("3 nodes, 2 of them proposers", colocated(3, 2, 1)));
    for (name, config) in configurations {
        assert_plain(name, || system(&config));
    }
}

/// Asserts that the world and stateright's `ActorModel` reach the same.
fn assert_plain<S: System<Actor: Clone>>(name: &str, new: impl Fn() -> S) {
    let world = by_world(new(), UNREDUCED).into_iter();
    let world: HashSet<Plain<S>> = world.map(Plain::<S>::unobserved).collect();
    let plain = by_actor_model(&new());
    let (seen, expected) = (vectors::<S>(&world), vectors::<S>(&plain));
    println!("{name}: {} vectors, {} states", expected.len(), plain.len());
    assert!(expected.len() > 10, "{name}: nothing happens");
    assert!(seen.is_subset(&expected), "{name}: too much is reached");
    assert!(expected.is_subset(&seen), "{name}: too little is reached");
    // Not only the actors: disks, timers and network too.
    assert!(
        world == plain,
        "{name}: the same actors, but not the same world"
    );
}

/// The same, and configurations with faults.
fn faulty() -> Vec<(&'static str, Config, Options)> {
    let slow = faults(0, StorageMode::Split);
    let twice = faults(2, StorageMode::Split);
    let plain = configurations().into_iter();
    let mut cases: Vec<(&str, Config, Options)> = plain
        .map(|(name, config)| (name, config, UNREDUCED))
        .collect();
    let client = config("--acceptors 2 --proposers 2 --ballots 1 --clients 1 --replies on");
    cases.extend([
        ("a client and a crash", client, CRASH),
        ("a crash", separated(3, 1, 1, 1), CRASH),
        ("two proposers, a crash", separated(2, 2, 1, 1), CRASH),
        ("two ballots and a crash", separated(2, 1, 2, 1), CRASH),
        ("a slow disk", separated(3, 1, 1, 1), slow),
        ("a slow disk, a crash", separated(2, 1, 1, 1), SLOW_CRASH),
        ("a slow disk, two crashes", separated(1, 2, 1, 1), twice),
        ("slow nodes, a crash", colocated(2, 2, 1), SLOW_CRASH),
    ]);
    cases
}

/// Red if stateright's checkers, which know states by hash alone, take two states of the world
/// for one; and if a crash, a disk, a timer or the observer works otherwise than described.
#[test]
fn the_world_has_the_states_and_the_steps_that_brute_force_finds() {
    for (name, config, options) in faulty() {
        let brute = explore(&system(&config), options);
        let states = by_world(system(&config), options);
        assert!(states == brute.states, "{name}: not the same states");
        let model = || World::new(system(&config), options).checker();
        let bfs = model().spawn_bfs().join();
        let dfs = model().spawn_dfs().join();
        println!(
            "{name}: {} states, {} transitions",
            brute.states.len(),
            brute.transitions
        );
        for (unique, generated) in [
            (bfs.unique_state_count(), bfs.state_count()),
            (dfs.unique_state_count(), dfs.state_count()),
        ] {
            assert_eq!(unique, brute.states.len(), "{name}: states");
            // The initial state counts as generated.
            assert_eq!(generated - 1, brute.transitions, "{name}: transitions");
        }
    }
}

/// Red if the world answers differently according to who asks: a hash that is not the same in
/// every run or thread, an order of actions that varies, or a property that depends on either.
#[test]
fn all_of_staterights_checkers_agree_on_the_world() {
    for config in [separated(3, 2, 1, 2), colocated(3, 2, 1)] {
        let model = || World::new(system(&config), config.shared.world.options()).checker();
        let bfs = model().spawn_bfs().join();
        let dfs = model().spawn_dfs().join();
        let parallel = model().threads(2).spawn_dfs().join();
        let on_demand = model().spawn_on_demand();
        on_demand.run_to_completion();
        while !on_demand.is_done() {
            sleep(Duration::from_millis(1));
        }
        println!("{} states", bfs.unique_state_count());
        assert_eq!(dfs.unique_state_count(), bfs.unique_state_count());
        assert_eq!(parallel.unique_state_count(), bfs.unique_state_count());
        assert_eq!(on_demand.unique_state_count(), bfs.unique_state_count());
        assert_eq!(dfs.state_count(), bfs.state_count());
        bfs.assert_properties();
        dfs.assert_properties();
        on_demand.assert_properties();
    }
}

/// Red if random walks never choose anything, or break an invariant. What a simulation found is
/// told by when it stops, for stateright's simulation records its paths wrongly.
#[test]
fn simulation_of_the_world_chooses_a_value_and_breaks_nothing() {
    const STATES: usize = 100_000;
    let simulate = |finish_when| {
        let config = Config::default();
        let model = World::new(system(&config), config.shared.world.options());
        let checker = model.checker().target_state_count(STATES);
        let checker = checker.finish_when(finish_when);
        let walked = checker.spawn_simulation(7, UniformChooser).join();
        walked.state_count()
    };
    let until_chosen = simulate(HasDiscoveries::AllOf(BTreeSet::from([CHOSEN])));
    let until_violated = simulate(HasDiscoveries::AnyFailures);
    println!("chosen within {until_chosen} states");
    assert!(until_chosen < STATES, "no value was chosen");
    assert!(until_violated >= STATES, "an invariant was broken");
}
