//! A global state of a [`World`](super::World), and the steps between them.

use super::part::{At, Interner, Part};
use super::system::{MessageOf, RandomOf, StateOf, StorageOf, System, TimerOf};
use stateright::actor::{Envelope, Id};
use std::hash::{Hash, Hasher};

/// An open random choice of an actor: its key and the options.
pub type Choice<S> = (String, Vec<RandomOf<S>>);

/// A save that is not yet on disk, and the messages that must wait until it is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Unsaved<D, M> {
    /// The state that is saved.
    pub storage: D,
    /// The messages that the actor sent after the save, in canonical order.
    pub held: Vec<Envelope<M>>,
}

/// The unsaved steps of a system.
pub type UnsavedOf<S> = Unsaved<StorageOf<S>, MessageOf<S>>;

/// A global state.
pub struct WorldState<S: System> {
    /// Each actor's local state, by id.
    pub locals: Vec<Part<At<StateOf<S>>>>,
    /// The state that each actor has on disk, by id.
    pub storages: Vec<Option<Part<At<StorageOf<S>>>>>,
    /// The save that each actor has yet to write, by id. Only with
    /// [`StorageMode::Split`](super::StorageMode::Split).
    pub unsaved: Vec<Option<Part<At<UnsavedOf<S>>>>>,
    /// The state that each actor has shown, by id: the visible part of its local state, without
    /// steps that it has yet to save.
    pub visible: Vec<Part<At<StateOf<S>>>>,
    /// The timers that are set, in order.
    pub timers: Vec<Part<At<TimerOf<S>>>>,
    /// The random choices that are open, by actor and key.
    pub choices: Vec<Part<At<Choice<S>>>>,
    /// Every message ever sent, in order; without stale ones if those are dropped.
    pub network: Vec<Part<Envelope<MessageOf<S>>>>,
    /// The observer's history.
    pub history: Part<S::History>,
    /// The number of crashes so far.
    pub crashes: usize,
    /// The step properties that some step did not keep, as bits by their places.
    pub broken: u16,
    /// The number that [`Hash`] hashes: the least sum, over all permutations of interchangeable
    /// actors, of the hashes of the parts. Two states have the same one exactly if a permutation
    /// maps one to the other, apart from collisions of 128 bits. The collapse engine finds
    /// representatives in another way (`collapse/symmetry.rs`), for its states have no hashes to
    /// add up; `models/tests/model/crosscheck` compares the two.
    pub(super) identity: u128,
}

impl<S: System> Clone for WorldState<S> {
    fn clone(&self) -> Self {
        Self {
            locals: self.locals.clone(),
            storages: self.storages.clone(),
            unsaved: self.unsaved.clone(),
            visible: self.visible.clone(),
            timers: self.timers.clone(),
            choices: self.choices.clone(),
            network: self.network.clone(),
            history: self.history.clone(),
            crashes: self.crashes,
            broken: self.broken,
            identity: self.identity,
        }
    }
}

impl<S: System> PartialEq for WorldState<S> {
    /// Concrete equality: permuted states are different here, though their hash is the same.
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
            && self.crashes == other.crashes
            && self.broken == other.broken
            && self.locals == other.locals
            && self.storages == other.storages
            && self.unsaved == other.unsaved
            && self.visible == other.visible
            && self.timers == other.timers
            && self.choices == other.choices
            && self.network == other.network
            && self.history == other.history
    }
}

impl<S: System> Hash for WorldState<S> {
    /// stateright knows states by their hash alone. Hashing the identity makes all its checkers,
    /// and the Explorer, see interchangeable states as one.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.identity.hash(hasher);
    }
}

impl<S: System> WorldState<S> {
    /// Returns the state that actor `id` has shown ([`System::visible`]).
    #[must_use]
    pub fn visible(&self, id: Id) -> &StateOf<S> {
        &self.visible[usize::from(id)].value
    }

    /// Returns the states that the actors have shown, by id. Observers and properties see nothing
    /// else of them.
    pub fn states(&self) -> impl Iterator<Item = &StateOf<S>> {
        self.visible.iter().map(|part| &part.value)
    }

    /// Puts open choices into their canonical order: by actor and key.
    pub(super) fn sort_choices(&mut self) {
        self.choices
            .sort_unstable_by(|a, b| choice_key(a).cmp(&choice_key(b)));
    }

    /// Returns the addresses of the parts that belong to actor `id`, which tell them from any
    /// others.
    pub(super) fn own(&self, id: Id) -> Vec<usize> {
        let index = usize::from(id);
        let mut own = vec![
            self.locals[index].address(),
            self.storages[index].as_ref().map_or(0, Part::address),
            self.unsaved[index].as_ref().map_or(0, Part::address),
            self.visible[index].address(),
        ];
        let timers = self.timers.iter().filter(|timer| timer.id == id);
        own.extend(timers.map(Part::address));
        let choices = self.choices.iter().filter(|choice| choice.id == id);
        own.extend(choices.map(Part::address));
        own
    }
}

/// One step of the world.
#[derive(Clone, PartialEq)]
pub enum Action<M, T, R> {
    /// A message arrives, for the first time or again.
    Deliver(Part<Envelope<M>>),
    /// A timer fires.
    Timeout(Id, T),
    /// A random choice is made.
    Choose(Id, String, R),
    /// An actor's save reaches its disk, and the messages that waited for it leave.
    Flush(Id),
    /// An actor crashes and restarts.
    Crash(Id),
    /// One actor takes several steps in a row, of which only the last shows
    /// ([`Options::postpones`](super::Options::postpones)).
    Fused(Vec<Self>),
}

/// The steps of a system.
pub type ActionOf<S> = Action<MessageOf<S>, TimerOf<S>, RandomOf<S>>;

impl<M, T, R> Action<M, T, R> {
    /// Returns the steps of a fused step, or this step alone.
    pub(super) fn steps(self) -> Vec<Self> {
        match self {
            Action::Fused(steps) => steps,
            step => vec![step],
        }
    }

    /// Returns several steps of one actor as a fused step, or one step alone.
    pub(super) fn in_a_row(mut steps: Vec<Self>) -> Self {
        match steps.len() {
            1 => steps.remove(0),
            _ => Action::Fused(steps),
        }
    }
}

/// Returns the actor and the key of an open choice, which tell it from others.
pub(super) fn choice_key<T>(choice: &At<(String, T)>) -> (Id, &str) {
    (choice.id, &choice.value.0)
}

/// Every part that a world has seen, by kind.
pub(super) struct Interners<S: System> {
    pub(super) locals: Interner<At<StateOf<S>>>,
    pub(super) storages: Interner<At<StorageOf<S>>>,
    pub(super) unsaved: Interner<At<UnsavedOf<S>>>,
    pub(super) timers: Interner<At<TimerOf<S>>>,
    pub(super) choices: Interner<At<Choice<S>>>,
    pub(super) network: Interner<Envelope<MessageOf<S>>>,
    pub(super) histories: Interner<S::History>,
    pub(super) visible: Interner<At<StateOf<S>>>,
}

impl<S: System> Interners<S> {
    pub(super) fn new() -> Self {
        Self {
            locals: Interner::new(0),
            storages: Interner::new(1),
            unsaved: Interner::new(2),
            timers: Interner::new(3),
            choices: Interner::new(4),
            network: Interner::new(5),
            histories: Interner::new(6),
            visible: Interner::new(7),
        }
    }
}
