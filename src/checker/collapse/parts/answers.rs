//! The answers that the search gets about a world, the images of parts under permutations, and the
//! signatures by which the search tells them apart.

use super::super::super::identity::image_of_timer;
use super::super::super::part::Part;
use super::super::super::permutation::Permutation;
use super::super::super::state::WorldState;
use super::super::super::system::{StateOf, System};
use super::super::numbered::{CellFacts, MessageFacts, Numbered, Setting, bits};
use super::super::successors::Successors;
use super::super::symmetry::Signatures;
use super::super::table::Index;
use super::Parts;
use stateright::actor::Id;
use std::hash::Hash;

impl<S: System> Numbered for Parts<'_, S> {
    fn setting(&self) -> &Setting<'_> {
        &self.setting
    }

    fn unsoundness(&self) -> Option<&str> {
        self.world.unsoundness()
    }

    fn cell_facts(&self, cell: Index) -> CellFacts {
        let it = &self.cells[cell];
        CellFacts {
            is_known: true,
            may_be_irrelevant: it.may_be_irrelevant,
            forget_input: self.projection(cell, S::FORGET_PROJECTION),
            shape: it.shape,
            signatures: it.signatures,
        }
    }

    fn message_facts(&self, message: Index) -> MessageFacts {
        let it = &self.messages[message];
        MessageFacts {
            may_be_irrelevant: it.may_be_irrelevant,
            signatures: it.signatures,
        }
    }

    fn history_signatures(&self, history_id: Index) -> Signatures {
        self.histories[history_id].signatures
    }

    fn successors(&self, cell: Index) -> &Successors {
        let make = || Successors::arrange(self.sendings(cell), |message| self.send(message));
        self.cells[cell].successors.get_or_init(make)
    }

    fn clock(&self, cell: Index) -> Option<u64> {
        let core = self.core_of(cell);
        let visible = &core.alone.visible[usize::from(core.id)];
        self.world.system().clock(&visible.value)
    }

    fn projection(&self, cell: Index, projection: usize) -> Index {
        self.core_of(cell).projections[projection]
    }

    fn receive(&self, cell: Index, message: Index) -> Index {
        let it = &self.cells[cell];
        let envelope = &self.messages[message].envelope;
        let alone = &self.cores[it.core].alone;
        if it.inbox.binary_search(&message).is_ok() || self.world.is_dropped(alone, envelope) {
            return cell;
        }
        let mut inbox = it.inbox.to_vec();
        inbox.push(message);
        self.intern_cell(it.core, inbox)
    }

    fn clear(&self, cell: Index, history_id: Index) -> Index {
        let it = &self.cells[cell];
        let history = &self.histories[history_id].history;
        let is_irrelevant = |message: &Index| {
            let envelope = &self.messages[*message].envelope;
            self.world.system().is_irrelevant(history, envelope)
        };
        if !it.inbox.iter().any(is_irrelevant) {
            return cell;
        }
        let mut inbox = it.inbox.to_vec();
        inbox.retain(|message| !is_irrelevant(message));
        self.intern_cell(it.core, inbox)
    }

    fn observe(&self, history_id: Index, change: Index) -> Index {
        self.observed.get(history_id, change, || {
            let [before, after] = &self.changes[change];
            let history = &self.histories[history_id].history;
            let seen = self.world.seen(history, before, after);
            seen.map_or(history_id, |history| self.intern_history(history))
        })
    }

    fn forget(&self, history_id: Index, cells: &[u32]) -> Index {
        let seen = cells
            .iter()
            .map(|cell| self.projection(*cell, S::FORGET_PROJECTION));
        let seen: Vec<&StateOf<S>> = seen.map(|it| &self.projections[it].value).collect();
        let history = &self.histories[history_id].history;
        match self.world.system().forget(history, &seen) {
            Some(history) => self.intern_history(self.world.interners.histories.intern(history)),
            None => history_id,
        }
    }

    fn cell_image(&self, cell: Index, place: usize) -> Index {
        let it = &self.cells[cell];
        let inbox = it.inbox.iter();
        let inbox = inbox.map(|message| self.image_of_message(*message, place));
        self.intern_cell(self.image_of_core(it.core, place), inbox.collect())
    }

    fn saying_image(&self, saying: Index, place: usize) -> Index {
        self.image_of_message(saying, place)
    }

    fn history_image(&self, history_id: Index, place: usize) -> Index {
        self.history_images.get(history_id, place as Index, || {
            let (by, of) = (&self.setting.group[place], &self.histories[history_id]);
            let history = self.world.system.relabel_history(&of.history, by);
            let image = self.intern_history(self.world.interners.histories.intern(history));
            self.hold_to_signatures(
                &of.signatures,
                &self.histories[image].signatures,
                by,
                || format!("history {:?}", *of.history),
            );
            image
        })
    }

    fn holding(&self, state: &[u32], projection: usize, asked: u32) -> u32 {
        let seen = self.seen_state(state, projection);
        let holds = |at: &usize| (self.properties[*at].condition)(self.world, &seen);
        bits(asked).filter(holds).fold(0, |all, at| all | 1 << at)
    }

    fn misjudged(&self, state: &[u32]) -> Option<&'static str> {
        let whole = self.state(state);
        let holds = |at: usize, state: &_| (self.properties[at].condition)(self.world, state);
        let mut projections = self.setting.properties.by_aspect.iter().enumerate();
        let misjudged = projections.find_map(|(projection, asked)| {
            let seen = self.seen_state(state, projection);
            bits(*asked).find(|at| holds(*at, &seen) != holds(*at, &whole))
        });
        misjudged.map(|at| self.properties[at].name)
    }
}

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

    fn image_of_message(&self, message: Index, place: usize) -> Index {
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

    fn image_of_core(&self, core: Index, place: usize) -> Index {
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
    fn hold_to_signatures(
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
