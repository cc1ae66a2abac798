//! The collapse engine against stateright's breadth-first checker, on the same worlds.

use super::global::of_world;
use super::{UNREDUCED, colocated, config, separated, successors, system};
use stateright::actor::{Actor, Id, Out, model_timeout};
use stateright::{Checker, Model, Property};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use synod::checker::search::{self, Bound, Engine, Limits, Outcome, Report, Verdict};
use synod::checker::{Options, StorageMode, System, World, WorldState};
use synod::models::basic::Config;
use synod::models::protocol;

fn limits(threads: usize, commutes: bool) -> Limits {
    Limits {
        threads,
        commutes,
        ..Limits::default()
    }
}

fn collapse<S: System>(world: impl Fn() -> World<S>, limits: Limits) -> Report {
    search::run(world, limits, |_| {}).expect("a sound model")
}

/// What both engines must agree on.
fn counts(report: &Report) -> (Verdict, usize, usize, usize) {
    let reached = report.reached;
    let states = reached.unique_states;
    (report.verdict, states, reached.transitions, reached.depth)
}

/// Runs the engine in all its ways, compares each with stateright, and says how many states there
/// are: those found, and those that they stand for.
fn agree(config: &Config, options: Options) -> (usize, u128) {
    let world = || World::new(system(config), options);
    let checker = world().checker().spawn_bfs().join();
    let expected = (
        Verdict::Holds,
        checker.unique_state_count(),
        checker.state_count() - 1,
        checker.max_depth() - 1,
    );
    let mut concrete = BTreeSet::new();
    for (threads, commutes) in [(1, true), (2, true), (1, false)] {
        let report = collapse(world, limits(threads, commutes));
        assert_eq!(counts(&report), expected, "{config:?}, {options:?}");
        concrete.insert(report.concrete.expect("the engine counts them"));
    }
    assert_eq!(concrete.len(), 1, "{config:?}: {concrete:?}");
    (expected.1, concrete.into_iter().next().unwrap_or_default())
}

fn configurations() -> Vec<(Config, usize, StorageMode)> {
    use StorageMode::{Atomic, Split};
    let refusing =
        config("--acceptors 2 --proposers 2 --ballots 1 --clients 2 --nacks on --replies on");
    vec![
        (separated(3, 2, 1, 2), 0, Atomic),
        (separated(4, 2, 1, 1), 0, Atomic),
        (separated(2, 1, 2, 2), 1, Atomic),
        (separated(3, 1, 1, 2), 1, Split),
        (refusing, 0, Atomic),
        (colocated(3, 2, 1), 0, Atomic),
        (colocated(3, 1, 1), 2, Split),
    ]
}

/// Red if the engine loses a state or invents one, counts a step twice or not at all, or finds a
/// state later than it could; and if the orbits of the states that it merges do not add up.
#[test]
fn the_engine_finds_what_stateright_finds() {
    for (config, crashes, storage) in configurations() {
        for bits in 0..8 {
            let options = |symmetry| Options {
                crashes,
                storage,
                drops_stale: bits & 1 != 0,
                forgets: bits & 2 != 0,
                postpones: bits & 4 != 0,
                symmetry,
            };
            // Unreduced worlds with refusals, or four acceptors, are too large for a test.
            if bits & 1 == 0 && (config.shared.nacks || config.shared.acceptors > 3) {
                continue;
            }
            let (merged, concrete) = agree(&config, options(true));
            println!("{config:?} {bits}: {merged} for {concrete}");
            assert!(merged as u128 <= concrete);
            let (apart, same) = agree(&config, options(false));
            assert_eq!([apart as u128, same], [concrete; 2], "{config:?} {bits}");
        }
    }
}

/// Red if the run that is shown is not the shortest, or ends elsewhere than it should.
#[test]
fn the_shortest_run_has_the_length_that_stateright_finds() {
    let basic = protocol::named("basic").expect("a protocol");
    let mutants = basic.mutants().into_iter();
    for mutant in mutants.filter(|mutant| !mutant.is_harmless()) {
        // That one takes stateright too long for a test.
        if mutant.name == "lowest-vote" {
            continue;
        }
        let model = protocol::smallest(basic, &mutant).expect("well-formed flags");
        let steps = |engine| {
            let limits = super::super::limits(engine);
            let report = model.search(limits, None, Some(mutant.breaks), &mut |_| {});
            let report = report.expect("a sound model");
            let outcome = report.findings.into_iter().next().map(|it| it.outcome);
            match outcome {
                Some(Outcome::Violated(trace)) if trace.is_shortest => trace.steps.len(),
                other => panic!("{}: {other:?}", mutant.name),
            }
        };
        let length = steps(Engine::Collapse);
        println!("{}: {length} steps", mutant.name);
        assert!(length > 0);
        assert_eq!(length, steps(Engine::Stateright), "{}", mutant.name);
    }
}

/// Red if the engine goes on beyond its bounds, or calls what it stopped short of exhausted.
#[test]
fn bounds_are_kept_and_named() {
    let world = || World::new(system(&separated(3, 2, 2, 2)), UNREDUCED);
    let bounded = |bound: fn(&mut Limits)| {
        let mut limits = Limits::default();
        bound(&mut limits);
        let report = collapse(world, limits);
        assert_eq!(report.verdict, Verdict::Bounded);
        assert!(!report.is_exhausted);
        // All that so many steps reach was visited: it is no more than the states that are counted.
        let Some(depth) = report.complete_depth else {
            assert_eq!(report.reached.unique_states, 0);
            return report.bound.expect("it was stopped");
        };
        let mut level = world().init_states();
        let mut within: HashSet<_> = level.iter().map(of_world).collect();
        for _ in 0..depth {
            let world = world();
            let next = level.iter().flat_map(|state| successors(&world, state));
            level = next.filter(|next| within.insert(of_world(next))).collect();
        }
        assert!(within.len() <= report.reached.unique_states);
        report.bound.expect("it was stopped")
    };
    assert_eq!(bounded(|it| it.states_max = Some(5_000)), Bound::States);
    assert_eq!(bounded(|it| it.timeout = Some(Duration::ZERO)), Bound::Time);
    if synod::checker::available_memory().is_some() {
        assert_eq!(bounded(|it| it.bytes_max = Some(1_000_000)), Bound::Memory);
    }
}

/// Two actors that each move once; the observer writes down who, in order. `LIES` claims that the
/// order does not matter.
struct Race<const LIES: bool>([Runner; 2]);

struct Runner;

impl Actor for Runner {
    type Msg = ();
    type Timer = ();
    type State = bool;
    type Storage = ();
    type Random = ();

    fn on_start(&self, _: Id, _: &Option<()>, out: &mut Out<Self>) -> bool {
        out.set_timer((), model_timeout());
        false
    }

    fn on_timeout(&self, _: Id, state: &mut Cow<bool>, (): &(), _: &mut Out<Self>) {
        *state.to_mut() = true;
    }
}

/// How often the property of the race was asked whether it holds.
static LOOKS: AtomicUsize = AtomicUsize::new(0);

impl<const LIES: bool> System for Race<LIES> {
    type Actor = Runner;
    type History = Vec<usize>;

    fn observations_commute(&self) -> bool {
        LIES
    }

    const PROJECTIONS: usize = 2;

    fn actors(&self) -> &[Runner] {
        &self.0
    }

    fn properties(&self) -> Vec<Property<World<Self>>> {
        vec![Property::always("fair", |_, state: &WorldState<Self>| {
            LOOKS.fetch_add(1, Ordering::Relaxed);
            state.history.len() <= 2
        })]
    }

    fn projection_of(&self, _: &str) -> usize {
        1
    }

    fn projection(&self, projection: usize, visible: &bool) -> bool {
        projection == 0 && *visible
    }

    fn record(&self, history: &Vec<usize>, id: Id, _: &bool, _: &bool) -> Option<Vec<usize>> {
        Some([history.as_slice(), &[usize::from(id)]].concat())
    }
}

/// Red if a property that the search cannot keep apart from others is left out in silence.
#[test]
fn more_properties_than_a_search_takes_are_refused() {
    struct Many;

    impl System for Many {
        type Actor = Runner;
        type History = ();

        fn actors(&self) -> &[Runner] {
            &[Runner]
        }

        fn properties(&self) -> Vec<Property<World<Self>>> {
            let property = |_| Property::always("one of many", |_, _| true);
            (0..33).map(property).collect()
        }
    }

    let report = search::run(|| World::new(Many, UNREDUCED), Limits::default(), |_| {});
    let error = report.expect_err("there are too many").to_string();
    assert!(error.contains("33 properties"), "{error}");
}

/// Red if steps whose order is recorded are taken for independent; and if a wrong claim that they
/// are could not be told by the states that are lost. Red also if a property is asked again and
/// again about the same record.
#[test]
fn steps_whose_order_is_recorded_are_taken_in_both() {
    fn states<const LIES: bool>(commutes: bool) -> usize {
        let world = || World::new(Race::<LIES>([Runner, Runner]), UNREDUCED);
        collapse(world, limits(1, commutes)).reached.unique_states
    }
    // Nobody; one or the other; both, in either order.
    assert_eq!(states::<false>(false), 5);
    let before = LOOKS.load(Ordering::Relaxed);
    assert_eq!(states::<false>(true), 5);
    // Once for each record; and twice for each state, to compare what it sees with the whole.
    assert_eq!(LOOKS.load(Ordering::Relaxed) - before, 5 + 2 * 5);
    assert_eq!(states::<true>(true), 4);
}
