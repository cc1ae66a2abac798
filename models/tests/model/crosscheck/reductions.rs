//! Leaving out what is stale and merging what is alike loses no state of any actor, and what
//! would lose some is noticed.

use super::global::{Observed, Plain, observed, of_world};
use super::{
    CRASH, MERGED, Paxos, SLOW_CRASH, UNREDUCED, by_world, colocated, config, reach, separated,
    successors, system,
};
use stateright::actor::{Envelope, Id};
use stateright::{Checker, Model, Property};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use synod::basic::{Durable, Message, Phase, Process, ProcessState};
use synod::checker::search::{self, Error, Limits, Verdict};
use synod::checker::{Options, Permutation, System, World, WorldState};
use synod::models::basic::Config;
use synod::models::mutant::Mutated;
use synod::models::one_decree::History;

/// Every way to reduce: what is dropped, forgotten, postponed and merged.
fn reductions(faults: Options) -> impl Iterator<Item = Options> {
    (1..16).map(move |bits| Options {
        drops_stale: bits & 1 != 0,
        forgets: bits & 2 != 0,
        postpones: bits & 4 != 0,
        symmetry: bits & 8 != 0,
        ..faults
    })
}

/// What a checker knows a state by.
fn identity<S: System>(state: &WorldState<S>) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Compares a reduced search with `unreduced`, all that is reachable without reductions: both
/// must see the same states up to permutations, as far as properties can tell. Unless steps are
/// postponed or something is forgotten, they must be the same but for the network. If symmetry is
/// the only reduction, each state stands for its images, and for each of them alone. Says how many
/// states the reduced search found.
fn compare<S: System>(
    unreduced: &HashSet<Plain<S>>,
    new: impl Fn() -> S,
    options: Options,
) -> Result<usize, String> {
    let world = World::new(new(), options);
    let reduced = reach(&world, identity);
    let checker = World::new(new(), options).checker().spawn_bfs().join();
    if checker.unique_state_count() != reduced.len() {
        return Err("stateright and the loop here disagree".to_owned());
    }
    if let Some(reason) = world.unsoundness() {
        return Err(reason.to_owned());
    }
    let mut images: HashSet<Plain<S>> = HashSet::new();
    let mut orbits = 0;
    for state in reduced.values() {
        let group = world.symmetries().iter();
        let orbit: HashSet<Plain<S>> = group.map(|by| of_world(&world.image(state, by))).collect();
        orbits += orbit.len();
        images.extend(orbit);
    }
    let keeps_states = !options.forgets && !options.postpones;
    let keeps_messages = keeps_states && !options.drops_stale;
    if keeps_messages && (images != *unreduced || orbits != unreduced.len()) {
        let all = unreduced.len();
        return Err(format!("orbits of {orbits} states in all, not {all}"));
    }
    if keeps_states {
        let offline = |states: &HashSet<Plain<S>>| -> HashSet<Plain<S>> {
            states.iter().cloned().map(Plain::<S>::offline).collect()
        };
        differ(&offline(&images), &offline(unreduced))?;
    }
    let seen = |states: &HashSet<Plain<S>>| -> HashSet<Observed<S>> {
        let seen = states.iter().map(|state| observed(state, world.system()));
        seen.map(|(visible, record)| match options.forgets {
            true => (visible, S::History::default()),
            false => (visible, record),
        })
        .collect()
    };
    differ(&seen(&images), &seen(unreduced))?;
    Ok(reduced.len())
}

fn differ<T: Eq + Hash>(seen: &HashSet<T>, expected: &HashSet<T>) -> Result<(), String> {
    let lost = expected.difference(seen).count();
    let invented = seen.difference(expected).count();
    match lost + invented {
        0 => Ok(()),
        _ => Err(format!("{lost} states lost, {invented} invented")),
    }
}

/// Looks for a state and a permutation such that the image of a step from the state is no step
/// from its image, or the reverse. The states are all that are reachable: interchangeable ones
/// are told apart. Says how many pairs it examined.
pub(super) fn verify_symmetry<S: System>(system: S, options: Options) -> Result<usize, String> {
    let world = World::new(system, options);
    let states = reach(&world, of_world);
    let mut examined = 0;
    for (plain, state) in &states {
        let next = successors(&world, state);
        for by in world.symmetries() {
            let image = world.image(state, by);
            if identity(&image) != identity(state) {
                return Err(format!("{by:?} changes the identity of {plain:?}"));
            }
            let steps = successors(&world, &image);
            let images = next.iter().map(|next| of_world(&world.image(next, by)));
            let images: HashSet<Plain<S>> = images.collect();
            let steps: HashSet<Plain<S>> = steps.iter().map(of_world).collect();
            if images != steps {
                return Err(format!("{by:?} is no symmetry at {plain:?}"));
            }
            examined += 1;
        }
    }
    Ok(examined)
}

fn cases() -> Vec<(&'static str, Config, Options)> {
    let refusing =
        config("--acceptors 2 --proposers 2 --ballots 1 --clients 1 --nacks on --replies on");
    vec![
        ("two ballots", separated(2, 1, 2, 1), UNREDUCED),
        ("refusals and a client", refusing, UNREDUCED),
        ("nodes", colocated(3, 1, 1), UNREDUCED),
        ("a crash", separated(2, 2, 1, 1), CRASH),
        ("3 acceptors and a crash", separated(3, 1, 1, 1), CRASH),
        ("a slow disk, a crash", separated(3, 1, 1, 1), SLOW_CRASH),
        ("nodes and a crash", colocated(3, 1, 1), CRASH),
    ]
}

/// Red if a message is dropped that still mattered, if two states are merged that no permutation
/// maps to one another, or if two are kept apart that one does.
#[test]
fn with_reductions_the_world_reaches_the_same_up_to_permutation() {
    let mut cases = cases();
    cases.push(("3 acceptors, two ballots", separated(3, 1, 2, 1), UNREDUCED));
    cases.push(("two proposers", separated(3, 2, 1, 1), UNREDUCED));
    cases.push(("nodes that compete", colocated(3, 2, 1), UNREDUCED));
    for (name, config, options) in cases {
        assert_reductions(name, || system(&config), options);
    }
}

/// Asserts that a world with these faults reaches the same however it is reduced.
pub(super) fn assert_reductions<S: System>(name: &str, new: impl Fn() -> S, faults: Options) {
    let unreduced = by_world(new(), faults);
    println!("{name}: {} states", unreduced.len());
    assert!(unreduced.len() > 50, "{name}: nothing happens");
    for options in reductions(faults) {
        let size = compare(&unreduced, &new, options);
        println!("- {options:?}: {size:?}");
        assert!(size.is_ok(), "{name}, {options:?}: {size:?}");
    }
}

/// Red if anything tells interchangeable acceptors apart: the actors, the observer, a `relabel`
/// function that misses an id, what is called stale, or the world itself.
#[test]
fn the_successors_of_an_image_are_the_images_of_the_successors() {
    for (name, config, options) in cases() {
        for drops_stale in [false, true] {
            let mut options = options;
            (options.drops_stale, options.symmetry) = (drops_stale, true);
            let examined = verify_symmetry(system(&config), options);
            println!("{name}, drops {drops_stale}: {examined:?}");
            assert!(examined.is_ok(), "{name}: {examined:?}");
        }
    }
}

/// Whether a message is called stale at an actor.
type Claim = fn(&Paxos, Id, &ProcessState<char>, Id, &Message<char>) -> bool;

/// Basic Paxos with declarations of its own.
struct Declared {
    paxos: Paxos,
    alike: Vec<Vec<Id>>,
    is_stale: Claim,
    /// Whether every vote is called irrelevant.
    is_deaf: bool,
    property: fn(&World<Self>, &WorldState<Self>) -> bool,
}

impl Declared {
    /// Everything as Basic Paxos declares it.
    fn truly(config: &Config) -> Self {
        let paxos = system(config);
        Self {
            alike: paxos.interchangeable(),
            is_stale: Paxos::is_stale,
            is_deaf: false,
            property: |_, _| true,
            paxos,
        }
    }
}

impl System for Declared {
    type Actor = Mutated<Process<char>>;
    type History = History;

    fn actors(&self) -> &[Mutated<Process<char>>] {
        self.paxos.actors()
    }

    fn outside(&self) -> Vec<Envelope<Message<char>>> {
        self.paxos.outside()
    }

    fn properties(&self) -> Vec<Property<World<Self>>> {
        vec![Property::always("anything goes", self.property)]
    }

    fn visible(&self, state: &ProcessState<char>) -> ProcessState<char> {
        self.paxos.visible(state)
    }

    fn is_irrelevant(&self, history: &History, envelope: &Envelope<Message<char>>) -> bool {
        let is_vote = matches!(envelope.msg, Message::Accepted { .. });
        (self.is_deaf && is_vote) || self.paxos.is_irrelevant(history, envelope)
    }

    fn record(
        &self,
        history: &History,
        id: Id,
        before: &ProcessState<char>,
        after: &ProcessState<char>,
    ) -> Option<History> {
        self.paxos.record(history, id, before, after)
    }

    fn is_stale(
        &self,
        id: Id,
        state: &ProcessState<char>,
        src: Id,
        message: &Message<char>,
    ) -> bool {
        (self.is_stale)(&self.paxos, id, state, src, message)
    }

    fn interchangeable(&self) -> Vec<Vec<Id>> {
        self.alike.clone()
    }

    fn relabel_state(&self, state: &ProcessState<char>, by: &Permutation) -> ProcessState<char> {
        self.paxos.relabel_state(state, by)
    }

    fn relabel_message(&self, message: &Message<char>, by: &Permutation) -> Message<char> {
        self.paxos.relabel_message(message, by)
    }

    fn relabel_storage(&self, storage: &Durable<char>, by: &Permutation) -> Durable<char> {
        self.paxos.relabel_storage(storage, by)
    }

    fn relabel_history(&self, history: &History, by: &Permutation) -> History {
        self.paxos.relabel_history(history, by)
    }
}

fn search(new: impl Fn() -> Declared, crashes: usize) -> Result<Verdict, Error> {
    let options = Options {
        crashes,
        ..Options::default()
    };
    let report = search::run(|| World::new(new(), options), Limits::default(), |_| {})?;
    Ok(report.verdict)
}

fn refuted(is_stale: Claim, crashes: usize) -> Option<String> {
    let config = separated(3, 2, 1, 1);
    let new = || Declared {
        is_stale,
        ..Declared::truly(&config)
    };
    match search(new, crashes) {
        Err(Error::Unsound(reason)) => Some(reason),
        Err(error) => panic!("no verdict: {error}"),
        Ok(_) => None,
    }
}

/// Red if the audit lets a message be dropped that its receiver would have answered, now or later;
/// or if it refuses an honest declaration.
#[test]
fn a_message_wrongly_called_stale_is_noticed() {
    assert_eq!(refuted(Paxos::is_stale, 1), None);
    let claim: Claim = |_, _, _, _, message| matches!(message, Message::Accept { .. });
    let reason = refuted(claim, 0).expect("acceptors do vote when asked");
    assert!(reason.contains("is not ignored"), "{reason}");
    // A proposer that has started nothing ignores promises, but it will not do so for ever.
    let claim: Claim = |_, _, state, _, message| {
        let proposer = state.node().and_then(|node| node.proposer.as_ref());
        let is_idle = proposer.is_some_and(|proposer| proposer.phase == Phase::Idle);
        is_idle && matches!(message, Message::Promise { .. })
    };
    let reason = refuted(claim, 0).expect("an idle proposer starts a ballot later");
    assert!(reason.contains("stale before but not after"), "{reason}");
}

/// Red if the audit forgets that a restart is a step as well.
#[test]
fn a_message_that_only_a_restart_revives_is_not_stale() {
    // A vote that is counted need not be counted again, unless the count is lost.
    let claim: Claim = |_, _, state, src, message| {
        let learner = state.node().and_then(|node| node.learner.as_ref());
        let tally = learner.and_then(|learner| learner.tally.as_ref());
        let is_decided = learner.is_some_and(|learner| learner.decided.is_some());
        match (message, tally) {
            (Message::Accepted { vote }, Some(tally)) => {
                let is_counted = tally.voters.iter().any(|voter| voter == src.into());
                (vote.ballot == tally.proposal.ballot && is_counted)
                    || vote.ballot < tally.proposal.ballot
            }
            (Message::Accepted { .. }, None) => is_decided,
            _ => false,
        }
    };
    assert_eq!(refuted(claim, 0), None);
    assert!(refuted(claim, 1).is_some());
}

/// Red if the comparison above could not tell that something was forgotten too soon.
#[test]
fn a_message_wrongly_called_irrelevant_is_noticed() {
    let config = separated(2, 2, 1, 1);
    let mut forgetting = UNREDUCED;
    forgetting.forgets = true;
    let outcome = |is_deaf| {
        let new = || Declared {
            is_deaf,
            ..Declared::truly(&config)
        };
        compare(&by_world(new(), UNREDUCED), new, forgetting)
    };
    assert!(outcome(false).is_ok());
    assert!(outcome(true).is_err());
}

/// Red if a property may look at what is hidden, so that the steps that change it are postponed
/// although they matter.
#[test]
fn a_property_that_looks_at_hidden_parts_is_noticed() {
    let config = separated(3, 1, 1, 1);
    fn counts(state: &ProcessState<char>) -> bool {
        let learner = state.node().and_then(|node| node.learner.as_ref());
        learner.is_some_and(|learner| learner.tally.is_some())
    }
    type Condition = fn(&World<Declared>, &WorldState<Declared>) -> bool;
    let refuted = |property: Condition| {
        let new = || Declared {
            property,
            ..Declared::truly(&config)
        };
        let options = Options {
            postpones: false,
            ..Options::default()
        };
        search::run(|| World::new(new(), options), Limits::default(), |_| {})
    };
    assert!(refuted(|_, state| state.states().count() > 0).is_ok());
    let reason = refuted(|_, state| !state.locals.iter().any(|local| counts(&local.value)));
    let Err(Error::Unsound(reason)) = reason else {
        panic!("nobody noticed")
    };
    assert!(reason.contains("anything goes"), "{reason}");
}

/// Red if the checks of symmetry above could not fail.
#[test]
fn actors_wrongly_called_interchangeable_are_noticed() {
    // Two acceptors, then two proposers, then the learner.
    let config = separated(2, 2, 1, 1);
    for (name, ids, is_true) in [
        ("what the system says", None, true),
        ("the acceptors", Some([0, 1]), true),
        ("the proposers", Some([2, 3]), false),
        ("an acceptor and the learner", Some([0, 4]), false),
        ("an acceptor and a proposer", Some([0, 2]), false),
    ] {
        let new = || {
            let mut declared = Declared::truly(&config);
            if let Some(ids) = ids {
                declared.alike = vec![Id::vec_from(ids)];
            }
            declared
        };
        let compared = compare(&by_world(new(), UNREDUCED), new, MERGED);
        assert_eq!(compared.is_ok(), is_true, "{name}");
        let verified = verify_symmetry(new(), MERGED);
        assert_eq!(verified.is_ok(), is_true, "{name}");
    }
}
