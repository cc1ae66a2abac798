//! The parts that a world has seen, their images under permutations, and the identity of states.

use super::part::{At, Interner, Part, Permutation, fingerprint};
use super::state::{Choice, Unsaved, WorldState};
use super::system::{MessageOf, StateOf, StorageOf, System, TimerOf};
use super::world::World;
use stateright::actor::{Envelope, Id};

/// Every part that a world has seen, by kind.
pub(super) struct Interners<S: System> {
    locals: Interner<At<StateOf<S>>>,
    storages: Interner<At<StorageOf<S>>>,
    unsaved: Interner<At<Unsaved<S>>>,
    timers: Interner<At<TimerOf<S>>>,
    choices: Interner<At<Choice<S>>>,
    network: Interner<Envelope<MessageOf<S>>>,
    histories: Interner<S::History>,
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
        }
    }
}

impl<S: System> World<S> {
    /// The state with its actors permuted.
    #[must_use]
    pub fn image(&self, state: &WorldState<S>, by: &Permutation) -> WorldState<S> {
        let mut image = state.clone();
        for (id, local) in state.locals.iter().enumerate() {
            let to = usize::from(by.apply(Id::from(id)));
            image.locals[to] = self.local(self.image_of_local(local, by));
            let storage = state.storages[id].as_ref();
            image.storages[to] = storage.map(|at| self.storage(self.image_of_storage(at, by)));
            let unsaved = state.unsaved[id].as_ref();
            image.unsaved[to] = unsaved.map(|at| self.unsaved(self.image_of_unsaved(at, by)));
        }
        let timers = state.timers.iter();
        image.timers = timers
            .map(|at| self.timer(image_of_timer(at, by)))
            .collect();
        image.timers.sort_unstable();
        let choices = state.choices.iter();
        image.choices = choices
            .map(|at| self.choice(image_of_choice(at, by)))
            .collect();
        image
            .choices
            .sort_unstable_by(|a, b| choice_key(a).cmp(&choice_key(b)));
        let network = state.network.iter();
        image.network = network
            .map(|e| self.envelope(self.image_of_envelope(e, by)))
            .collect();
        image.network.sort_unstable();
        image.history = self.history(self.system.relabel_history(&state.history, by));
        image.identity = self.identity(&image);
        image
    }

    fn image_of_local(&self, at: &At<StateOf<S>>, by: &Permutation) -> At<StateOf<S>> {
        At {
            id: by.apply(at.id),
            value: self.system.relabel_state(&at.value, by),
        }
    }

    fn image_of_storage(&self, at: &At<StorageOf<S>>, by: &Permutation) -> At<StorageOf<S>> {
        At {
            id: by.apply(at.id),
            value: self.system.relabel_storage(&at.value, by),
        }
    }

    fn image_of_unsaved(&self, at: &At<Unsaved<S>>, by: &Permutation) -> At<Unsaved<S>> {
        let held = at.value.held.iter();
        let mut held: Vec<_> = held.map(|e| self.image_of_envelope(e, by)).collect();
        held.sort_unstable();
        At {
            id: by.apply(at.id),
            value: Unsaved {
                shown: self.system.relabel_state(&at.value.shown, by),
                storage: self.system.relabel_storage(&at.value.storage, by),
                held,
            },
        }
    }

    fn image_of_envelope(
        &self,
        envelope: &Envelope<MessageOf<S>>,
        by: &Permutation,
    ) -> Envelope<MessageOf<S>> {
        Envelope {
            src: by.apply(envelope.src),
            dst: by.apply(envelope.dst),
            msg: self.system.relabel_message(&envelope.msg, by),
        }
    }

    pub(super) fn local(&self, at: At<StateOf<S>>) -> Part<At<StateOf<S>>> {
        let image = |at: &At<_>, by: &_| self.image_of_local(at, by);
        self.interners.locals.intern(at, &self.group, image).0
    }

    pub(super) fn storage(&self, at: At<StorageOf<S>>) -> Part<At<StorageOf<S>>> {
        let image = |at: &At<_>, by: &_| self.image_of_storage(at, by);
        self.interners.storages.intern(at, &self.group, image).0
    }

    pub(super) fn unsaved(&self, at: At<Unsaved<S>>) -> Part<At<Unsaved<S>>> {
        let image = |at: &At<_>, by: &_| self.image_of_unsaved(at, by);
        self.interners.unsaved.intern(at, &self.group, image).0
    }

    pub(super) fn timer(&self, at: At<TimerOf<S>>) -> Part<At<TimerOf<S>>> {
        self.interners
            .timers
            .intern(at, &self.group, image_of_timer)
            .0
    }

    pub(super) fn choice(&self, at: At<Choice<S>>) -> Part<At<Choice<S>>> {
        self.interners
            .choices
            .intern(at, &self.group, image_of_choice)
            .0
    }

    pub(super) fn history(&self, history: S::History) -> Part<S::History> {
        let image = |history: &_, by: &_| self.system.relabel_history(history, by);
        self.interners
            .histories
            .intern(history, &self.group, image)
            .0
    }

    pub(super) fn envelope(
        &self,
        envelope: Envelope<MessageOf<S>>,
    ) -> Part<Envelope<MessageOf<S>>> {
        let image = |envelope: &_, by: &_| self.image_of_envelope(envelope, by);
        let interned = self.interners.network.intern(envelope, &self.group, image);
        let (envelope, is_new) = interned;
        if is_new && self.options.drops_stale {
            self.audit.message(&self.system, &envelope);
        }
        envelope
    }

    pub(super) fn identity(&self, state: &WorldState<S>) -> u128 {
        let mut sums = vec![0u128; self.group.len()];
        let mut add = |hashes: &[u128]| {
            for (sum, hash) in sums.iter_mut().zip(hashes) {
                *sum = sum.wrapping_add(*hash);
            }
        };
        state.locals.iter().for_each(|part| add(part.hashes()));
        state
            .storages
            .iter()
            .flatten()
            .for_each(|part| add(part.hashes()));
        state
            .unsaved
            .iter()
            .flatten()
            .for_each(|part| add(part.hashes()));
        state.timers.iter().for_each(|part| add(part.hashes()));
        state.choices.iter().for_each(|part| add(part.hashes()));
        state.network.iter().for_each(|part| add(part.hashes()));
        add(state.history.hashes());
        let least = sums.into_iter().min().unwrap_or_default();
        fingerprint(u8::MAX, &(least, state.crashes))
    }
}

fn image_of_timer<T: Clone>(at: &At<T>, by: &Permutation) -> At<T> {
    At {
        id: by.apply(at.id),
        value: at.value.clone(),
    }
}

fn image_of_choice<T: Clone>(at: &At<T>, by: &Permutation) -> At<T> {
    image_of_timer(at, by)
}

/// What tells an actor's open choices apart.
pub(super) fn choice_key<T>(choice: &At<(String, T)>) -> (Id, &str) {
    (choice.id, &choice.value.0)
}
