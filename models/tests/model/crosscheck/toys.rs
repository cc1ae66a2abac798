//! The world over actors that are no Paxos: timers, random choices and disks, one at a time.

use super::brute::explore;
use super::{MERGED, UNREDUCED, by_actor_model, by_world, faults};
use stateright::actor::{Actor, ActorModel, Envelope, Id, Network, Out, model_timeout};
use stateright::{Checker, Expectation, Model, Property};
use std::borrow::Cow;
use synod::checker::search::{self, Limits, Outcome, Verdict};
use synod::checker::{Options, StorageMode, System, World, WorldState};

/// The server does not forget what it told the witness.
const TOLD: &str = "what the witness was told is known";

/// An actor that does one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Toy {
    /// Has an alarm go off once, and shows nothing of it.
    Alarm,
    /// Draws once from each of two urns; a 1 from the first closes the second.
    Gambler,
    /// Once asked, remembers it, and tells the witness: in this order or the reverse.
    Server { saves_first: bool },
    /// Remembers what it was told, on no disk.
    Witness,
}

/// The witness's id: the server's is 0.
const WITNESS: usize = 1;

impl Actor for Toy {
    type Msg = ();
    type Timer = ();
    type State = u8;
    type Storage = u8;
    type Random = u8;

    fn on_start(&self, _: Id, storage: &Option<u8>, out: &mut Out<Self>) -> u8 {
        match self {
            Toy::Alarm => out.set_timer((), model_timeout()),
            Toy::Gambler => {
                out.choose_random("first", vec![1, 2]);
                out.choose_random("second", vec![3]);
            }
            Toy::Server { .. } | Toy::Witness => {}
        }
        storage.unwrap_or(0)
    }

    fn on_msg(&self, _: Id, state: &mut Cow<u8>, _: Id, (): (), out: &mut Out<Self>) {
        if **state == 1 {
            return;
        }
        *state.to_mut() = 1;
        match self {
            Toy::Server { saves_first: true } => {
                out.save(1);
                out.send(Id::from(WITNESS), ());
            }
            Toy::Server { saves_first: false } => {
                out.send(Id::from(WITNESS), ());
                out.save(1);
            }
            Toy::Alarm | Toy::Gambler | Toy::Witness => {}
        }
    }

    fn on_random(&self, _: Id, state: &mut Cow<u8>, random: &u8, out: &mut Out<Self>) {
        *state.to_mut() = *random;
        if *random == 1 {
            out.remove_random("second");
        }
    }
}

/// Some toys; all alike if they are of one kind.
#[derive(Clone, Debug)]
struct Toys(Vec<Toy>);

impl System for Toys {
    type Actor = Toy;
    type History = ();

    fn actors(&self) -> &[Toy] {
        &self.0
    }

    fn outside(&self) -> Vec<Envelope<()>> {
        let (src, dst) = (Id::from(self.0.len()), Id::from(0));
        let is_asked = matches!(self.0[0], Toy::Server { .. });
        is_asked
            .then_some(Envelope { src, dst, msg: () })
            .into_iter()
            .collect()
    }

    fn properties(&self) -> Vec<Property<World<Self>>> {
        let told_is_known = |world: &World<Self>, state: &WorldState<Self>| {
            let states = || state.states().copied();
            let mut toys = world.system().0.iter().zip(states());
            !toys.any(|toy| toy == (&Toy::Witness, 1)) || states().next() == Some(1)
        };
        vec![
            Property::always(TOLD, told_is_known),
            // stateright stops early when there is nothing more to find out.
            Property::always("anything goes", |_, _| true),
        ]
    }

    fn interchangeable(&self) -> Vec<Vec<Id>> {
        let is_one_kind = self.0.iter().all(|toy| *toy == self.0[0]);
        let ids = (0..self.0.len()).map(Id::from).collect();
        Vec::from_iter(is_one_kind.then_some(ids))
    }
}

/// The number of states that stateright finds, after a comparison with brute force.
fn count(toys: &Toys, options: Options) -> usize {
    let model = || World::new(toys.clone(), options).checker();
    let bfs = model().spawn_bfs().join();
    let dfs = model().spawn_dfs().join();
    assert_eq!(bfs.unique_state_count(), dfs.unique_state_count());
    if !options.symmetry {
        let brute = explore(toys, options);
        assert!(by_world(toys.clone(), options) == brute.states, "{toys:?}");
        assert_eq!(bfs.unique_state_count(), brute.states.len(), "{toys:?}");
        assert_eq!(bfs.state_count() - 1, brute.transitions, "{toys:?}");
    }
    bfs.unique_state_count()
}

/// Without faults or reductions the world is `ActorModel`'s, told apart by equality.
fn equals_actor_model(toys: &Toys) -> bool {
    by_world(toys.clone(), UNREDUCED) == by_actor_model(toys)
}

/// Red if the world's hash forgets whose timer is set, as that of `ActorModel` does.
#[test]
fn the_world_tells_apart_whose_timer_is_set() {
    let toys = |count| Toys(vec![Toy::Alarm; count]);
    assert_eq!(count(&toys(2), UNREDUCED), 4);
    assert_eq!(count(&toys(3), UNREDUCED), 8);
    assert!(equals_actor_model(&toys(3)));
    let model = ActorModel::<Toy>::new((), ())
        .actors(toys(2).0)
        .init_network(Network::new_unordered_duplicating([]))
        .property(Expectation::Always, "anything goes", |_, _| true);
    let found = model.checker().spawn_bfs().join().unique_state_count();
    // With 4, a reason for having a world of our own is gone.
    assert_eq!(found, 3, "stateright's hash is mended");
    assert_eq!(count(&toys(3), MERGED), 4, "0, 1, 2 or 3 alarms are set");
}

/// Red if a choice stays open once made, is not withdrawn when the actor says so or crashes, or
/// is another's.
#[test]
fn the_world_makes_random_choices() {
    let toys = |count| Toys(vec![Toy::Gambler; count]);
    // Undecided; 1; 2 or 3 with the other urn untouched; 2 or 3 with both drawn from.
    assert_eq!(count(&toys(1), UNREDUCED), 6);
    assert_eq!(count(&toys(2), UNREDUCED), 6 * 6);
    assert!(equals_actor_model(&toys(2)));
    assert_eq!(count(&toys(2), MERGED), 6 * 7 / 2);
    assert_eq!(count(&toys(1), faults(1, StorageMode::Atomic)), 6 + 6);
}

/// Red if a save on a slow disk takes effect at once, if what follows it does not wait, or if
/// what came before it does.
#[test]
fn only_a_slow_disk_shows_that_a_message_left_before_its_save() {
    let verdict = |saves_first, storage| {
        let toys = Toys(vec![Toy::Server { saves_first }, Toy::Witness]);
        let options = Options {
            crashes: 1,
            storage,
            ..Options::default()
        };
        count(&toys, faults(1, storage));
        let new = || World::new(toys.clone(), options);
        search::run(new, Limits::default(), |_| {}).expect("nothing is called stale")
    };
    for storage in [StorageMode::Atomic, StorageMode::Split] {
        let report = verdict(true, storage);
        assert_eq!(report.verdict, Verdict::Holds, "{storage:?}");
        // The witness is told, or else nothing was shown.
        assert!(report.reached.unique_states > 4);
    }
    assert_eq!(verdict(false, StorageMode::Atomic).verdict, Verdict::Holds);
    let report = verdict(false, StorageMode::Split);
    assert_eq!(report.verdict, Verdict::Violated);
    let mut findings = report.findings.iter();
    let told = findings.find(|finding| finding.property == TOLD);
    let Some(Outcome::Violated(trace)) = told.map(|finding| &finding.outcome) else {
        panic!("it is violated by what the witness was told")
    };
    // Asked, and told before the server can be held to it.
    assert_eq!(trace.steps.len(), 2);
}
