//! The images of states under permutations, and the identity that they have in common.

use super::part::{At, fingerprint};
use super::permutation::Permutation;
use super::state::{Unsaved, UnsavedOf, WorldState};
use super::system::{MessageOf, StateOf, StorageOf, System};
use super::world::World;
use stateright::actor::{Envelope, Id};

impl<S: System> World<S> {
    /// Returns the state with its actors permuted.
    #[must_use]
    pub fn image(&self, state: &WorldState<S>, by: &Permutation) -> WorldState<S> {
        let mut image = state.clone();
        image.timers.clear();
        image.choices.clear();
        for id in (0..state.locals.len()).map(Id::from) {
            self.put_image(&mut image, state, id, by);
        }
        let network = state.network.iter();
        image.network = network
            .map(|e| self.envelope(self.image_of_envelope(e, by)))
            .collect();
        image.network.sort_unstable();
        image.history = self
            .interners
            .histories
            .intern(self.system.relabel_history(&state.history, by));
        image.identity = self.identity(&image);
        image
    }

    /// Puts the image of what belongs to actor `id` where it belongs in the image of its state.
    pub(super) fn put_image(
        &self,
        image: &mut WorldState<S>,
        state: &WorldState<S>,
        id: Id,
        by: &Permutation,
    ) {
        let (from, to) = (usize::from(id), usize::from(by.apply(id)));
        image.locals[to] = self
            .interners
            .locals
            .intern(self.image_of_local(&state.locals[from], by));
        image.visible[to] = self
            .interners
            .visible
            .intern(self.image_of_local(&state.visible[from], by));
        let storage = state.storages[from].as_ref();
        image.storages[to] = storage.map(|at| {
            self.interners
                .storages
                .intern(self.image_of_storage(at, by))
        });
        let unsaved = state.unsaved[from].as_ref();
        image.unsaved[to] =
            unsaved.map(|at| self.interners.unsaved.intern(self.image_of_unsaved(at, by)));
        let timers = state.timers.iter().filter(|timer| timer.id == id);
        let timers = timers.map(|at| self.interners.timers.intern(image_of_timer(at, by)));
        image.timers.extend(timers);
        image.timers.sort_unstable();
        let choices = state.choices.iter().filter(|choice| choice.id == id);
        let choices = choices.map(|at| self.interners.choices.intern(image_of_timer(at, by)));
        image.choices.extend(choices);
        image.sort_choices();
    }

    pub(super) fn image_of_local(&self, at: &At<StateOf<S>>, by: &Permutation) -> At<StateOf<S>> {
        At {
            id: by.apply(at.id),
            value: self.system.relabel_state(&at.value, by),
        }
    }

    pub(super) fn image_of_storage(
        &self,
        at: &At<StorageOf<S>>,
        by: &Permutation,
    ) -> At<StorageOf<S>> {
        At {
            id: by.apply(at.id),
            value: self.system.relabel_storage(&at.value, by),
        }
    }

    pub(super) fn image_of_unsaved(
        &self,
        at: &At<UnsavedOf<S>>,
        by: &Permutation,
    ) -> At<UnsavedOf<S>> {
        let held = at.value.held.iter();
        let mut held: Vec<_> = held.map(|e| self.image_of_envelope(e, by)).collect();
        held.sort_unstable();
        At {
            id: by.apply(at.id),
            value: Unsaved {
                storage: self.system.relabel_storage(&at.value.storage, by),
                held,
            },
        }
    }

    pub(super) fn image_of_envelope(
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

    /// Returns the identity of a state: the least sum, over all permutations, of the hashes of its
    /// parts.
    pub(super) fn identity(&self, state: &WorldState<S>) -> u128 {
        let group = self.symmetries();
        let mut sums = vec![0u128; group.len()];
        let mut add = |hashes: &[u128]| {
            for (sum, hash) in sums.iter_mut().zip(hashes) {
                *sum = sum.wrapping_add(*hash);
            }
        };
        let image_of_local = |at: &_, by: &_| self.image_of_local(at, by);
        for local in &state.locals {
            add(local.hashes(group, image_of_local));
        }
        for storage in state.storages.iter().flatten() {
            add(storage.hashes(group, |at, by| self.image_of_storage(at, by)));
        }
        // What an actor shows follows from its local state, unless that is not yet on disk.
        for (visible, unsaved) in state.visible.iter().zip(&state.unsaved) {
            if let Some(unsaved) = unsaved {
                add(visible.hashes(group, image_of_local));
                add(unsaved.hashes(group, |at, by| self.image_of_unsaved(at, by)));
            }
        }
        for timer in &state.timers {
            add(timer.hashes(group, image_of_timer));
        }
        for choice in &state.choices {
            add(choice.hashes(group, image_of_timer));
        }
        for envelope in &state.network {
            add(envelope.hashes(group, |it, by| self.image_of_envelope(it, by)));
        }
        add(state
            .history
            .hashes(group, |it, by| self.system.relabel_history(it, by)));
        let least = sums.into_iter().min().unwrap_or_default();
        fingerprint(u8::MAX, &(least, state.crashes, state.broken))
    }
}

/// Returns the image of a timer, or of a random choice: no id is in it.
pub(super) fn image_of_timer<T: Clone>(at: &At<T>, by: &Permutation) -> At<T> {
    At {
        id: by.apply(at.id),
        value: at.value.clone(),
    }
}
