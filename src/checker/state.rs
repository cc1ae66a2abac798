//! A global state of a [`World`](super::World), and the steps between them.

use super::part::{At, Part};
use super::system::{MessageOf, RandomOf, StateOf, StorageOf, System, TimerOf};
use stateright::actor::{Envelope, Id};
use std::hash::{Hash, Hasher};

/// An open random choice of an actor: its key and the options.
pub type Choice<S> = (String, Vec<RandomOf<S>>);

/// What an actor has not yet on disk, and what must wait until it is.
pub struct Unsaved<S: System> {
    /// Its local state before the step, which is all that it has shown yet.
    pub shown: StateOf<S>,
    /// What it saves.
    pub storage: StorageOf<S>,
    /// What it sent after the save, in canonical order.
    pub held: Vec<Envelope<MessageOf<S>>>,
}

impl<S: System> Clone for Unsaved<S> {
    fn clone(&self) -> Self {
        Self {
            shown: self.shown.clone(),
            storage: self.storage.clone(),
            held: self.held.clone(),
        }
    }
}

impl<S: System> PartialEq for Unsaved<S> {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown && self.storage == other.storage && self.held == other.held
    }
}

impl<S: System> Eq for Unsaved<S> {}

impl<S: System> Hash for Unsaved<S> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.shown, &self.storage, &self.held).hash(hasher);
    }
}

/// A global state.
pub struct WorldState<S: System> {
    /// Each actor's local state, by id.
    pub locals: Vec<Part<At<StateOf<S>>>>,
    /// What each actor has on disk, by id.
    pub storages: Vec<Option<Part<At<StorageOf<S>>>>>,
    /// What each actor has yet to write, by id. Only with
    /// [`StorageMode::Split`](super::StorageMode::Split).
    pub unsaved: Vec<Option<Part<At<Unsaved<S>>>>>,
    /// The timers that are set, in order.
    pub timers: Vec<Part<At<TimerOf<S>>>>,
    /// The random choices that are open, by actor and key.
    pub choices: Vec<Part<At<Choice<S>>>>,
    /// Every message ever sent, but for stale ones if those are dropped, in order.
    pub network: Vec<Part<Envelope<MessageOf<S>>>>,
    /// What the observer recorded.
    pub history: Part<S::History>,
    /// How many crashes there were.
    pub crashes: usize,
    /// What [`Hash`] hashes: the least sum, over all permutations of interchangeable actors, of
    /// the hashes of the parts. The same for two states exactly if a permutation maps one to the
    /// other, but for collisions of 128 bits.
    pub(super) identity: u128,
}

impl<S: System> Clone for WorldState<S> {
    fn clone(&self) -> Self {
        Self {
            locals: self.locals.clone(),
            storages: self.storages.clone(),
            unsaved: self.unsaved.clone(),
            timers: self.timers.clone(),
            choices: self.choices.clone(),
            network: self.network.clone(),
            history: self.history.clone(),
            crashes: self.crashes,
            identity: self.identity,
        }
    }
}

impl<S: System> PartialEq for WorldState<S> {
    /// Concrete equality: permuted states are different here, though their hash is the same.
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
            && self.crashes == other.crashes
            && self.locals == other.locals
            && self.storages == other.storages
            && self.unsaved == other.unsaved
            && self.timers == other.timers
            && self.choices == other.choices
            && self.network == other.network
            && self.history == other.history
    }
}

impl<S: System> Hash for WorldState<S> {
    /// stateright knows states by their hash alone, so that hashing the identity makes all its
    /// checkers, and the Explorer, see interchangeable states as one.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.identity.hash(hasher);
    }
}

impl<S: System> WorldState<S> {
    /// The state that actor `id` has shown: its local state, but for what it has yet to save.
    #[must_use]
    pub fn shown(&self, id: Id) -> &StateOf<S> {
        let index = usize::from(id);
        let unsaved = self.unsaved[index].as_ref();
        unsaved.map_or(&self.locals[index].value, |at| &at.value.shown)
    }

    /// The states that the actors have shown, by id: what an observer may hold them to.
    pub fn states(&self) -> impl Iterator<Item = &StateOf<S>> {
        (0..self.locals.len()).map(|index| self.shown(Id::from(index)))
    }
}

/// One step of the world.
pub enum Action<S: System> {
    /// A message arrives, for the first time or again.
    Deliver(Part<Envelope<MessageOf<S>>>),
    /// A timer fires.
    Timeout(Id, TimerOf<S>),
    /// A random choice is made.
    Choose(Id, String, RandomOf<S>),
    /// What an actor saved reaches its disk, and what waited for that leaves.
    Flush(Id),
    /// An actor crashes and restarts.
    Crash(Id),
}

impl<S: System> Clone for Action<S> {
    fn clone(&self) -> Self {
        match self {
            Action::Deliver(envelope) => Action::Deliver(envelope.clone()),
            Action::Timeout(id, timer) => Action::Timeout(*id, timer.clone()),
            Action::Choose(id, key, random) => Action::Choose(*id, key.clone(), random.clone()),
            Action::Flush(id) => Action::Flush(*id),
            Action::Crash(id) => Action::Crash(*id),
        }
    }
}

impl<S: System> PartialEq for Action<S> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Action::Deliver(a), Action::Deliver(b)) => a == b,
            (Action::Timeout(a, s), Action::Timeout(b, t)) => a == b && s == t,
            (Action::Choose(a, k, r), Action::Choose(b, l, s)) => a == b && k == l && r == s,
            (Action::Flush(a), Action::Flush(b)) | (Action::Crash(a), Action::Crash(b)) => a == b,
            _ => false,
        }
    }
}
