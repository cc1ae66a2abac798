//! What there is to check: actors, and what is said about them.

use super::part::Permutation;
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

    /// What must hold always, and what must be found sometimes.
    fn properties(&self) -> Vec<Property<World<Self>>>;

    /// What the observer adds to its record when the state that an actor shows changes; `None` if
    /// nothing. A restart is such a change too; a step whose save is pending is none yet.
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

    /// Sets of actors that are alike in everything: states that differ by a permutation within
    /// these sets count as one. Whoever declares any must also write the `relabel` functions.
    fn interchangeable(&self) -> Vec<Vec<Id>> {
        Vec::new()
    }

    /// A local state with every actor id in it replaced. Timers, and random choices, must have
    /// none.
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
