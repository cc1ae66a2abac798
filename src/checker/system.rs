//! What there is to check: actors, and what is said about them.

use super::permutation::Permutation;
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
/// What the actors of a system save.
pub type StorageOf<S> = <<S as System>::Actor as Actor>::Storage;
/// The random choices of a system.
pub type RandomOf<S> = <<S as System>::Actor as Actor>::Random;
/// What the observer of a system records.
pub type HistoryOf<S> = <S as System>::History;

/// Something that must hold of every step: it looks at what an actor shows before and after it.
pub struct StepProperty<S: System> {
    /// The property's name.
    pub name: &'static str,
    /// Whether it holds of a step of an actor, given what that shows before and after. It must
    /// hold of a step that shows nothing.
    pub condition: fn(&S, Id, &StateOf<S>, &StateOf<S>) -> bool,
}

/// The one assumption about time that there is: a step that would bring an actor's clock further
/// ahead of another's than `drift`, or beyond `horizon`, is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clocks {
    /// How far the clocks of two actors may come apart.
    pub drift: u64,
    /// When a run ends, as far as clocks are concerned.
    pub horizon: u64,
}

impl Clocks {
    /// Whether a step may be taken that brings the clock of `actor` to `after`. `before` is the
    /// time that each actor's clock shows before the step.
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
    /// What an observer remembers of a run; `()` if nothing.
    type History: Clone + Debug + Default + Eq + Hash + Send + Sync + 'static;

    /// The actors; each one's id is its index.
    fn actors(&self) -> &[Self::Actor];

    /// Messages that are in the network from the start: what the world outside the system says.
    /// What an actor answers to an id that is no actor is gone.
    fn outside(&self) -> Vec<Envelope<MessageOf<Self>>> {
        Vec::new()
    }

    /// What must hold always, and what must be found sometimes. A property may look at
    /// [`WorldState::states`](super::WorldState::states) and at the history, and at nothing else:
    /// messages in flight may be lost, and a step that nobody sees may be taken later.
    fn properties(&self) -> Vec<Property<World<Self>>>;

    /// The part of a local state that properties and the observer see; all of it unless less is
    /// said here. What is hidden is cleared, so that nobody can look at it by mistake. The more is
    /// hidden, the more steps may be postponed ([`Options::postpones`](super::Options::postpones)).
    fn visible(&self, state: &StateOf<Self>) -> StateOf<Self> {
        state.clone()
    }

    /// What must hold of every step; at most 16.
    fn step_properties(&self) -> Vec<StepProperty<Self>> {
        Vec::new()
    }

    /// How many aspects there are of what actors show; see [`System::aspect`].
    const ASPECTS: usize = 1;
    /// The aspect that [`System::forget`] sees.
    const ASPECT_OF_MEMORY: usize = 0;
    /// The aspect that [`System::record`] sees.
    const ASPECT_OF_RECORD: usize = 0;

    /// Whether the observer's record is the same in whatever order it sees two changes of different
    /// actors, and whenever it forgets. So it is if it keeps sets. If not, steps that are recorded
    /// do not count as independent.
    fn records_commute(&self) -> bool {
        false
    }

    /// What the observer remembers before anything has happened; the default unless said here.
    fn first_record(&self) -> Self::History {
        Self::History::default()
    }

    /// What is assumed about the actors' clocks, if they have any ([`System::clock`]).
    fn clocks(&self) -> Option<Clocks> {
        None
    }

    /// What an actor's clock shows: it never goes back, and only steps that are seen advance it.
    fn clock(&self, shown: &StateOf<Self>) -> Option<u64> {
        let _ = shown;
        None
    }

    /// The state in which an actor goes on after a crash, given its state before and the one that
    /// it would start in: the same, unless something of it survives every crash, as a clock does.
    fn restarted(&self, before: &StateOf<Self>, fresh: StateOf<Self>) -> StateOf<Self> {
        let _ = before;
        fresh
    }

    /// The part of what an actor shows that is seen in an aspect; all of it unless less is said
    /// here. The less it is, the fewer different things there are to hold a property to, for a
    /// property is held but once to what looks the same. Aspects are numbered from 0.
    fn aspect(&self, aspect: usize, shown: &StateOf<Self>) -> StateOf<Self> {
        let _ = aspect;
        shown.clone()
    }

    /// The aspect in which the property of this name sees a state.
    fn aspect_of(&self, property: &str) -> usize {
        let _ = property;
        0
    }

    /// What the observer adds to its record when what it sees of an actor changes, in the aspect
    /// [`System::ASPECT_OF_RECORD`]; `None` if nothing. A restart is such a change too; a step
    /// whose save is pending is none yet.
    fn record(
        &self,
        history: &Self::History,
        id: Id,
        before: &StateOf<Self>,
        after: &StateOf<Self>,
    ) -> Option<Self::History> {
        let _ = (history, id, before, after);
        None
    }

    /// Whether the actor may crash and restart. Clients do not.
    fn can_crash(&self, id: Id) -> bool {
        let _ = id;
        true
    }

    /// Whether a message can never again matter to the actor in this state, or after any steps
    /// from it, a restart included. Such messages are dropped from the network; the claim is
    /// verified on every step.
    fn is_stale(&self, id: Id, state: &StateOf<Self>, src: Id, message: &MessageOf<Self>) -> bool {
        let _ = (id, state, src, message);
        false
    }

    /// What is left of the record when the observer forgets what can never matter again, given what
    /// it sees of the actors in the aspect [`System::ASPECT_OF_MEMORY`]; `None` if all of it may
    /// still matter. Forgetting twice is forgetting once.
    ///
    /// Used if [`Options::forgets`](super::Options::forgets) is set. The claim cannot be verified
    /// step by step, as that of [`System::is_stale`] is: state the argument, and compare with a
    /// search that forgets nothing.
    fn forget(&self, history: &Self::History, seen: &[&StateOf<Self>]) -> Option<Self::History> {
        let _ = (history, seen);
        None
    }

    /// Whether a message can never again lead to anything that shows, given what the observer
    /// remembers. Such messages are dropped together with what the observer forgets.
    ///
    /// What is not moot to an observer that remembers nothing (the default history) never is.
    fn is_moot(&self, history: &Self::History, envelope: &Envelope<MessageOf<Self>>) -> bool {
        let _ = (history, envelope);
        false
    }

    /// Sets of ids that are alike in everything, of actors or of those who speak from outside:
    /// states that differ by a permutation within these sets count as one. Whoever declares any
    /// must also write the `relabel` functions.
    fn interchangeable(&self) -> Vec<Vec<Id>> {
        Vec::new()
    }

    /// A local state with every actor id in it replaced. Timers, and random choices, must have
    /// none.
    ///
    /// Beside permutations the map may be one that takes several ids to one: what is kept by id
    /// must then be merged in a way that does not depend on the order of ids. The collapse engine
    /// verifies for every part that it meets that it looks the same from an id as its image does
    /// from the image of the id.
    fn relabel_state(&self, state: &StateOf<Self>, by: &Permutation) -> StateOf<Self> {
        let _ = by;
        state.clone()
    }

    /// A message with every actor id in it replaced.
    fn relabel_message(&self, message: &MessageOf<Self>, by: &Permutation) -> MessageOf<Self> {
        let _ = by;
        message.clone()
    }

    /// A saved state with every actor id in it replaced.
    fn relabel_storage(&self, storage: &StorageOf<Self>, by: &Permutation) -> StorageOf<Self> {
        let _ = by;
        storage.clone()
    }

    /// A record with every actor id in it replaced.
    fn relabel_history(&self, history: &Self::History, by: &Permutation) -> Self::History {
        let _ = by;
        history.clone()
    }

    /// What to call an actor, or whoever speaks from outside, in pictures.
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
