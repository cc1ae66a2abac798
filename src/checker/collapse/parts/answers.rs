//! The answers that the search gets about a world.

use super::super::super::system::{StateOf, System};
use super::super::menu::Menu;
use super::super::numbered::{CellFacts, MessageFacts, Numbered, Setting};
use super::super::symmetry::Marks;
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
        let it = self.cell(cell);
        CellFacts {
            is_known: true,
            may_be_moot: it.may_be_moot,
            memory: self.aspect(cell, S::ASPECT_OF_MEMORY),
            look: it.look,
            marks: it.marks,
        }
    }

    fn message_facts(&self, message: Index) -> MessageFacts {
        let it = self.message(message);
        MessageFacts {
            may_be_moot: it.may_be_moot,
            marks: it.marks,
        }
    }

    fn record_marks(&self, record: Index) -> Marks {
        self.record(record).marks
    }

    fn menu(&self, cell: Index) -> &Menu {
        self.menu_of(cell)
    }

    fn clock(&self, cell: Index) -> Option<u64> {
        let core = self.core_of(cell);
        let shown = &core.alone.shown[usize::from(core.id)];
        self.world.system().clock(&shown.value)
    }

    fn aspect(&self, cell: Index, aspect: usize) -> Index {
        self.core_of(cell).aspects[aspect]
    }

    fn receive(&self, cell: Index, message: Index) -> Index {
        let it = self.cell(cell);
        let envelope = &self.message(message).envelope;
        let alone = &self.core(it.core).alone;
        if it.inbox.binary_search(&message).is_ok() || self.world.is_dropped(alone, envelope) {
            return cell;
        }
        let mut inbox = it.inbox.to_vec();
        inbox.push(message);
        self.intern_cell(it.core, inbox)
    }

    fn clear(&self, cell: Index, record: Index) -> Index {
        let it = self.cell(cell);
        let history = &self.record(record).history;
        let is_moot = |message: &Index| {
            let envelope = &self.message(*message).envelope;
            self.world.system().is_moot(history, envelope)
        };
        if !it.inbox.iter().any(is_moot) {
            return cell;
        }
        let mut inbox = it.inbox.to_vec();
        inbox.retain(|message| !is_moot(message));
        self.intern_cell(it.core, inbox)
    }

    fn observe(&self, record: Index, change: Index) -> Index {
        self.observed.get(record, change, || {
            let [before, after] = self.changes.get(change);
            let history = &self.record(record).history;
            let seen = self.world.seen(history, before, after);
            seen.map_or(record, |history| self.intern_record(history))
        })
    }

    fn forget(&self, record: Index, cells: &[u32]) -> Index {
        let seen = cells
            .iter()
            .map(|cell| self.aspect(*cell, S::ASPECT_OF_MEMORY));
        let seen: Vec<&StateOf<S>> = seen.map(|it| &self.aspects.get(it).value).collect();
        let history = &self.record(record).history;
        match self.world.system().forget(history, &seen) {
            Some(history) => self.intern_record(self.world.interners.history(history)),
            None => record,
        }
    }

    fn cell_image(&self, cell: Index, place: usize) -> Index {
        self.image_of_cell(cell, place)
    }

    fn saying_image(&self, saying: Index, place: usize) -> Index {
        self.image_of_message(saying, place)
    }

    fn record_image(&self, record: Index, place: usize) -> Index {
        self.image_of_record(record, place)
    }

    fn holding(&self, state: &[u32], aspect: usize, asked: u32) -> u32 {
        let seen = self.seen_state(state, aspect);
        let holds = |at: &usize| (self.properties[*at].condition)(self.world, &seen);
        bits(asked).filter(holds).fold(0, |all, at| all | 1 << at)
    }

    fn misjudged(&self, state: &[u32]) -> Option<&'static str> {
        let whole = self.state(state);
        let holds = |at: usize, state: &_| (self.properties[at].condition)(self.world, state);
        let mut aspects = self.setting.properties.by_aspect.iter().enumerate();
        let misjudged = aspects.find_map(|(aspect, asked)| {
            let seen = self.seen_state(state, aspect);
            bits(*asked).find(|at| holds(*at, &seen) != holds(*at, &whole))
        });
        misjudged.map(|at| self.properties[at].name)
    }
}
