//! The answers that the search gets about a world.

use super::super::super::system::{StateOf, System};
use super::super::numbered::{CellFacts, MessageFacts, Numbered, Setting};
use super::super::successors::Successors;
use super::super::symmetry::Signatures;
use super::super::table::Index;
use super::super::words::bits;
use super::Parts;

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
            let history = self.world.image_of_history(&of.history, by);
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
