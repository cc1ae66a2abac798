//! A global state of a [`World`](super::World), and the steps between them.

use super::part::{At, Interner, Part};
use super::system::{MessageOf, RandomOf, StateOf, StorageOf, System, TimerOf};
use stateright::actor::{Envelope, Id};
use std::hash::{Hash, Hasher};

/// An open random choice of an actor: its key and the options.
pub type Choice<S> = (String, Vec<RandomOf<S>>);

/// What an actor has not yet on disk, and what must wait until it is.
pub struct Unsaved<S: System> {
    /// What it saves.
    pub storage: StorageOf<S>,
    /// What it sent after the save, in canonical order.
    pub held: Vec<Envelope<MessageOf<S>>>,
}

impl<S: System> Clone for Unsaved<S> {
    fn clone(&self) -> Self {
        Self {
            storage: self.storage.clone(),
            held: self.held.clone(),
        }
    }
}

impl<S: System> PartialEq for Unsaved<S> {
    fn eq(&self, other: &Self) -> bool {
        self.storage == other.storage && self.held == other.held
    }
}

impl<S: System> Eq for Unsaved<S> {}

impl<S: System> Hash for Unsaved<S> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.storage, &self.held).hash(hasher);
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
    /// What each actor has shown, by id: the part of its local state that is visible, but for what
    /// it has yet to save.
    pub shown: Vec<Part<At<StateOf<S>>>>,
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
    /// The step properties that some step did not keep, as bits by their places.
    pub broken: u16,
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
            shown: self.shown.clone(),
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
            && self.shown == other.shown
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
    /// What actor `id` has shown ([`System::visible`]).
    #[must_use]
    pub fn shown(&self, id: Id) -> &StateOf<S> {
        &self.shown[usize::from(id)].value
    }

    /// What the actors have shown, by id: all that an observer may hold them to.
    pub fn states(&self) -> impl Iterator<Item = &StateOf<S>> {
        self.shown.iter().map(|part| &part.value)
    }
}

impl<S: System> WorldState<S> {
    /// Puts open choices into their canonical order: by actor and key.
    pub(super) fn sort_choices(&mut self) {
        self.choices
            .sort_unstable_by(|a, b| choice_key(a).cmp(&choice_key(b)));
    }

    /// Addresses that tell what belongs to actor `id` from anything else that could.
    pub(super) fn own(&self, id: Id) -> Vec<usize> {
        let index = usize::from(id);
        let mut own = vec![
            self.locals[index].address(),
            self.storages[index].as_ref().map_or(0, Part::address),
            self.unsaved[index].as_ref().map_or(0, Part::address),
            self.shown[index].address(),
        ];
        let timers = self.timers.iter().filter(|timer| timer.id == id);
        own.extend(timers.map(Part::address));
        let choices = self.choices.iter().filter(|choice| choice.id == id);
        own.extend(choices.map(Part::address));
        own
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
    /// One actor takes several steps in a row, of which only the last shows
    /// ([`Options::postpones`](super::Options::postpones)).
    Burst(Vec<Action<S>>),
}

impl<S: System> Clone for Action<S> {
    fn clone(&self) -> Self {
        match self {
            Action::Deliver(envelope) => Action::Deliver(envelope.clone()),
            Action::Timeout(id, timer) => Action::Timeout(*id, timer.clone()),
            Action::Choose(id, key, random) => Action::Choose(*id, key.clone(), random.clone()),
            Action::Flush(id) => Action::Flush(*id),
            Action::Crash(id) => Action::Crash(*id),
            Action::Burst(steps) => Action::Burst(steps.clone()),
        }
    }
}

impl<S: System> Action<S> {
    /// The steps of a burst, or the one that this is.
    pub(super) fn steps(self) -> Vec<Self> {
        match self {
            Action::Burst(steps) => steps,
            step => vec![step],
        }
    }

    /// Several steps of one actor, or one alone.
    pub(super) fn in_a_row(mut steps: Vec<Self>) -> Self {
        match steps.len() {
            1 => steps.remove(0),
            _ => Action::Burst(steps),
        }
    }
}

impl<S: System> PartialEq for Action<S> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Action::Deliver(a), Action::Deliver(b)) => a == b,
            (Action::Timeout(a, s), Action::Timeout(b, t)) => a == b && s == t,
            (Action::Choose(a, k, r), Action::Choose(b, l, s)) => a == b && k == l && r == s,
            (Action::Burst(a), Action::Burst(b)) => a == b,
            (Action::Flush(a), Action::Flush(b)) | (Action::Crash(a), Action::Crash(b)) => a == b,
            _ => false,
        }
    }
}

/// What tells an actor's open choices apart.
pub(super) fn choice_key<T>(choice: &At<(String, T)>) -> (Id, &str) {
    (choice.id, &choice.value.0)
}

/// Every part that a world has seen, by kind.
pub(super) struct Interners<S: System> {
    locals: Interner<At<StateOf<S>>>,
    storages: Interner<At<StorageOf<S>>>,
    unsaved: Interner<At<Unsaved<S>>>,
    timers: Interner<At<TimerOf<S>>>,
    choices: Interner<At<Choice<S>>>,
    network: Interner<Envelope<MessageOf<S>>>,
    histories: Interner<S::History>,
    shown: Interner<At<StateOf<S>>>,
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
            shown: Interner::new(7),
        }
    }

    pub(super) fn local(&self, at: At<StateOf<S>>) -> Part<At<StateOf<S>>> {
        self.locals.intern(at).0
    }

    pub(super) fn storage(&self, at: At<StorageOf<S>>) -> Part<At<StorageOf<S>>> {
        self.storages.intern(at).0
    }

    pub(super) fn unsaved(&self, at: At<Unsaved<S>>) -> Part<At<Unsaved<S>>> {
        self.unsaved.intern(at).0
    }

    pub(super) fn timer(&self, at: At<TimerOf<S>>) -> Part<At<TimerOf<S>>> {
        self.timers.intern(at).0
    }

    pub(super) fn choice(&self, at: At<Choice<S>>) -> Part<At<Choice<S>>> {
        self.choices.intern(at).0
    }

    pub(super) fn history(&self, history: S::History) -> Part<S::History> {
        self.histories.intern(history).0
    }

    pub(super) fn shown(&self, at: At<StateOf<S>>) -> Part<At<StateOf<S>>> {
        self.shown.intern(at).0
    }

    /// The message as a part, and whether it is the first time that it is seen.
    pub(super) fn envelope(
        &self,
        envelope: Envelope<MessageOf<S>>,
    ) -> (Part<Envelope<MessageOf<S>>>, bool) {
        self.network.intern(envelope)
    }
}
