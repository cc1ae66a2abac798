//! The images of parts under permutations, and the signatures by which the search tells them apart.

use super::super::super::identity::image_of_timer;
use super::super::super::part::Part;
use super::super::super::permutation::Permutation;
use super::super::super::state::WorldState;
use super::super::super::system::System;
use super::super::symmetry::Signatures;
use super::super::table::Index;
use super::Parts;
use stateright::actor::Id;
use std::hash::Hash;

impl<S: System> Parts<'_, S> {
    /// Returns the signatures of a part. `image` is its value under a map of ids.
    pub(super) fn signatures<T: Hash>(
        &self,
        part: &Part<T>,
        image: impl Fn(&T, &Permutation) -> T,
    ) -> Signatures {
        let hash = |by: &Permutation| part.hash_of(&image(part, by));
        self.setting.symmetry.signatures(&hash)
    }

    /// Returns the signatures of the part of a state that only the steps of actor `id` change.
    pub(super) fn core_signatures(&self, state: &WorldState<S>, id: Id) -> Signatures {
        let (world, index) = (self.world, usize::from(id));
        let mut sum = self.signatures(&state.locals[index], |at, by| world.image_of_local(at, by));
        if let Some(storage) = &state.storages[index] {
            sum = sum.plus(self.signatures(storage, |at, by| world.image_of_storage(at, by)));
        }
        if let Some(unsaved) = &state.unsaved[index] {
            sum = sum.plus(self.signatures(unsaved, |at, by| world.image_of_unsaved(at, by)));
        }
        for timer in state.timers.iter().filter(|timer| timer.id == id) {
            sum = sum.plus(self.signatures(timer, image_of_timer));
        }
        for choice in state.choices.iter().filter(|choice| choice.id == id) {
            sum = sum.plus(self.signatures(choice, image_of_timer));
        }
        sum
    }

    pub(super) fn image_of_message(&self, message: Index, place: usize) -> Index {
        let it = &self.messages[message];
        it.images.get(place, || {
            let by = &self.setting.group[place];
            let image = self.world.image_of_envelope(&it.envelope, by);
            let image = self.intern_message(self.world.envelope(image));
            self.hold_to_signatures(&it.signatures, &self.messages[image].signatures, by, || {
                format!("message {:?}", it.envelope.msg)
            });
            image
        })
    }

    pub(super) fn image_of_core(&self, core: Index, place: usize) -> Index {
        let it = &self.cores[core];
        it.images.get(place, || {
            let by = &self.setting.group[place];
            let to = by.apply(it.id);
            let mut image = self.blank.clone();
            image.timers.retain(|timer| timer.id != to);
            image.choices.retain(|choice| choice.id != to);
            self.world.put_image(&mut image, &it.alone, it.id, by);
            let image = self.intern_core(&image, to);
            self.hold_to_signatures(&it.signatures, &self.cores[image].signatures, by, || {
                format!("state {:?}", it.alone.locals[usize::from(it.id)].value)
            });
            image
        })
    }

    /// Checks that a part looks from each id as its image does from the image of the id. If not,
    /// ids are not replaced as they must be, and states would be taken for others.
    pub(super) fn hold_to_signatures(
        &self,
        of: &Signatures,
        image: &Signatures,
        by: &Permutation,
        what: impl Fn() -> String,
    ) {
        if self.setting.symmetry.turned(of, by) != *image {
            self.world.audit.refute(format!(
                "a reduction is unsound: ids are not replaced evenly in the {}",
                what()
            ));
        }
    }
}
