//! A system to check: actors, and claims about them.

use super::permutation::Permutation;
use super::state::WorldState;
use super::world::World;
use stateright::Property;
use stateright::actor::{Actor, Envelope, Id};
use std::fmt::Debug;
use std::hash::Hash;

/// The messages of a system.
pub type MessageOf<S> = <<S as System>::Actor as Actor>::Msg;
/// The timers of a system.
pub type TimerOf<S> = <<S as System>::Actor as Actor>::Timer;
/// The local states of a system.
pub type StateOf<S> = <<S as System>::Actor as Actor>::State;
/// The saved states of a system.
pub type StorageOf<S> = <<S as System>::Actor as Actor>::Storage;
/// The random choices of a system.
pub type RandomOf<S> = <<S as System>::Actor as Actor>::Random;
/// The records of a system's observer.
pub type HistoryOf<S> = <S as System>::History;

/// A property that must hold of every step. It sees what an actor shows before and after the step.
pub struct StepProperty<S: System> {
    /// The property's name.
    pub name: &'static str,
    /// The condition: it gets the states that an actor shows before and after the step. It must
    /// hold of a step that shows nothing.
    pub condition: fn(&S, Id, &StateOf<S>, &StateOf<S>) -> bool,
}

/// The only assumption about time: no step brings an actor's clock further ahead of another's than
/// `drift`, or beyond `horizon`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clocks {
    /// The difference that the clocks of two actors may have.
    pub drift: u64,
    /// The time beyond which no clock goes.
    pub horizon: u64,
}

impl Clocks {
    /// Returns whether a step may bring the clock of `actor`, one of `actors`, to `after`. `before`
    /// is the time that each actor's clock shows before the step.
    pub(super) fn allow(
        self,
        actor: usize,
        after: Option<u64>,
        actors: usize,
        before: impl Fn(usize) -> Option<u64>,
    ) -> bool {
        let Some(after) = after else {
            return true;
        };
        let is_near = |other| before(other).is_none_or(|it| after <= it + self.drift);
        let mut others = (0..actors).filter(|other| *other != actor);
        let advances = before(actor) < Some(after);
        !advances || after <= self.horizon && others.all(is_near)
    }
}

/// A closed system to check: actors, what an observer records of them, and what must hold.
///
/// Everything but the actors and the properties has a default, so that any stateright actors
/// become a system in a few lines.
#[expect(
    unused_variables,
    reason = "a default ignores what its parameters name"
)]
pub trait System: Sized + Send + Sync + 'static {
    /// The actors. Messages and timers are ordered, so that states and actions have one canonical
    /// order.
    type Actor: Actor<
            Msg: Ord + Send + Sync + 'static,
            Timer: Ord + Send + Sync + 'static,
            State: Eq + Send + Sync + 'static,
            Storage: Eq + Send + Sync + 'static,
            Random: Send + Sync + 'static,
        > + Send
        + Sync
        + 'static;
    /// The observer's history of a run; `()` if it keeps none.
    type History: Clone + Debug + Default + Eq + Hash + Send + Sync + 'static;

    /// Returns the actors. The id of each is its index.
    fn actors(&self) -> &[Self::Actor];

    /// Returns the messages that are in the network from the start, from the world outside the
    /// system. An answer to an id that is no actor is lost.
    fn outside(&self) -> Vec<Envelope<MessageOf<Self>>> {
        Vec::new()
    }

    /// Returns the properties: some must hold always, of others an example must be found. A
    /// property may look at [`WorldState::states`](super::WorldState::states) and at the history,
    /// and at nothing else: messages in flight may be lost, and a step that nobody sees may be
    /// taken later.
    fn properties(&self) -> Vec<Property<World<Self>>>;

    /// Returns the part of a local state that properties and the observer see; by default all of
    /// it. Hidden parts are cleared, so that nobody can look at them by mistake. The more is
    /// hidden, the more steps may be postponed ([`Options::postpones`](super::Options::postpones)).
    fn visible(&self, state: &StateOf<Self>) -> StateOf<Self> {
        state.clone()
    }

    /// Returns the properties that every step must keep; at most 16.
    fn step_properties(&self) -> Vec<StepProperty<Self>> {
        Vec::new()
    }

    /// The number of projections of what actors show; see [`System::projection`].
    const PROJECTIONS: usize = 1;
    /// The projection that [`System::forget`] sees.
    const FORGET_PROJECTION: usize = 0;
    /// The projection that [`System::record`] sees.
    const RECORD_PROJECTION: usize = 0;

    /// Returns whether the observer's history is the same in whatever order it sees two changes of
    /// different actors, and whenever it forgets. This holds if the history consists of sets. If it
    /// does not hold, steps that are recorded do not count as independent.
    fn observations_commute(&self) -> bool {
        false
    }

    /// Returns the history at the start of a run.
    fn initial_history(&self) -> Self::History {
        Self::History::default()
    }

    /// Returns the assumption about the actors' clocks, if they have any ([`System::clock`]).
    fn clocks(&self) -> Option<Clocks> {
        None
    }

    /// Returns the time that an actor's clock shows. It never goes back, and only steps that are
    /// seen advance it.
    fn clock(&self, visible: &StateOf<Self>) -> Option<u64> {
        None
    }

    /// Returns the state in which an actor goes on after a crash, given its state before and the
    /// fresh one that it starts in. They differ only if a part of the state survives every crash,
    /// as a clock does.
    fn restarted(&self, before: &StateOf<Self>, fresh: StateOf<Self>) -> StateOf<Self> {
        fresh
    }

    /// Returns the part of what an actor shows that is seen in a projection; by default all of it.
    /// A property is evaluated once for all states that look the same in its projection, so a
    /// smaller part makes the search faster. Projections are numbered from 0.
    fn projection(&self, projection: usize, visible: &StateOf<Self>) -> StateOf<Self> {
        visible.clone()
    }

    /// Returns the projection in which the property of this name sees a state.
    fn projection_of(&self, property: &str) -> usize {
        0
    }

    /// Returns the history after a change in what the observer sees of an actor, in the projection
    /// [`System::RECORD_PROJECTION`]; `None` if the history stays the same. A restart is such a
    /// change too; a step whose save is pending is none yet.
    fn record(
        &self,
        history: &Self::History,
        id: Id,
        before: &StateOf<Self>,
        after: &StateOf<Self>,
    ) -> Option<Self::History> {
        None
    }

    /// Returns whether the actor may crash and restart. Clients do not.
    fn can_crash(&self, id: Id) -> bool {
        true
    }

    /// Returns whether a message can never again matter to the actor in this state, or after any
    /// steps from it, a restart included. The world drops such messages from the network; it
    /// verifies the claim on every step.
    fn is_stale(&self, id: Id, state: &StateOf<Self>, src: Id, message: &MessageOf<Self>) -> bool {
        false
    }

    /// Returns the history without what can never matter again, given what the observer sees of the
    /// actors in the projection [`System::FORGET_PROJECTION`]; `None` if all of it may still
    /// matter. To forget twice is the same as to forget once.
    ///
    /// Used if [`Options::forgets`](super::Options::forgets) is set. The checker cannot verify the
    /// claim step by step, as it does that of [`System::is_stale`]: state the argument, and compare
    /// with a search that forgets nothing.
    fn forget(&self, history: &Self::History, seen: &[&StateOf<Self>]) -> Option<Self::History> {
        None
    }

    /// Returns whether a message can never again lead to anything that shows, given the observer's
    /// record. The world drops such messages when the observer forgets.
    ///
    /// A message that is not irrelevant under the default history is never irrelevant.
    fn is_irrelevant(&self, history: &Self::History, envelope: &Envelope<MessageOf<Self>>) -> bool {
        false
    }

    /// Returns sets of ids that are alike in everything, of actors or of clients outside: states
    /// that differ by a permutation within these sets count as one. A system that declares any must
    /// also define the `relabel` functions.
    fn interchangeable(&self) -> Vec<Vec<Id>> {
        Vec::new()
    }

    /// Returns a local state with every actor id in it replaced. Timers and random choices must
    /// have none.
    ///
    /// The map may also take several ids to one: entries that are kept by id must then be merged in
    /// a way that does not depend on the order of ids. The collapse engine verifies that every part
    /// looks the same from an id as its image does from the image of the id.
    fn relabel_state(&self, state: &StateOf<Self>, by: &Permutation) -> StateOf<Self> {
        state.clone()
    }

    /// Returns a message with every actor id in it replaced.
    fn relabel_message(&self, message: &MessageOf<Self>, by: &Permutation) -> MessageOf<Self> {
        message.clone()
    }

    /// Returns a saved state with every actor id in it replaced.
    fn relabel_storage(&self, storage: &StorageOf<Self>, by: &Permutation) -> StorageOf<Self> {
        storage.clone()
    }

    /// Returns a record with every actor id in it replaced.
    fn relabel_history(&self, history: &Self::History, by: &Permutation) -> Self::History {
        history.clone()
    }

    /// Returns a line about a state for its readers; by default the observer's history.
    fn summary(&self, state: &WorldState<Self>) -> String {
        format!("recorded: {:?}", *state.history)
    }

    /// Returns the name of an actor, or of a client outside, in pictures.
    fn label(&self, id: Id) -> String {
        let index = usize::from(id);
        let name = self
            .actors()
            .get(index)
            .map(Actor::name)
            .unwrap_or_default();
        format!("{index} {name}").trim_end().to_owned()
    }
}
