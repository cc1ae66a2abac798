//! What one thread has looked up already, kept where it is needed next.
//!
//! A search visits memory at random, and waiting for memory is most of what it does. The steps
//! from one state have much in common: its cells and its record. So what such steps ask for is
//! kept with the cell or the record that it is about, where the first step finds it and the
//! others find it close at hand. Each thread has notes of its own and takes no lock for them.

use super::super::system::System;
use super::parts::{Effect, Parts};
use super::symmetry::Marks;
use super::table::{Cache, Index, NONE, pair};
use hashbrown::HashMap;
use std::ops::Range;

/// With more permutations than this, images are kept in a cache of limited size instead.
const ORDER_MAX: usize = 24;

/// What is known of a cell.
#[derive(Default)]
struct CellNote {
    /// Where its effects begin and end, in the notes on effects.
    effects: [Index; 2],
    /// Messages, and what it becomes when they arrive.
    arrivals: Vec<(Index, Index)>,
    facts: Facts,
}

/// What steps ask of a cell most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    is_known: bool,
    knows_effects: bool,
    /// Whether a message in the inbox may ever be moot.
    pub(super) may_be_moot: bool,
    /// What the observer's memory depends on.
    pub(super) memory: Index,
    /// What it looks like, whatever ids are called.
    pub(super) look: u32,
    pub(super) marks: Marks,
}

/// What steps ask of a message most.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageFacts {
    pub(super) may_be_moot: bool,
    pub(super) marks: Marks,
}

/// What is known of a record.
struct RecordNote {
    is_known: bool,
    marks: Marks,
    /// What it becomes when the observer sees changes.
    changes: HashMap<Index, Index>,
}

/// A thread's notes.
pub(super) struct Notes<'a, S: System> {
    parts: &'a Parts<'a, S>,
    cells: Vec<CellNote>,
    effects: Vec<Effect>,
    /// Receivers and messages, of all effects.
    sent: Vec<(u32, Index)>,
    /// What effects need to have heard.
    needs: Vec<Index>,
    records: Vec<RecordNote>,
    messages: Vec<Option<MessageFacts>>,
    /// The images of cells and of records under every permutation, as far as they are known, if
    /// there are few permutations.
    cell_images: Vec<Index>,
    record_images: Vec<Index>,
    image_cache: Cache<1>,
}

impl<'a, S: System> Notes<'a, S> {
    pub(super) fn new(parts: &'a Parts<'a, S>) -> Self {
        Self {
            parts,
            cells: Vec::new(),
            effects: Vec::new(),
            sent: Vec::new(),
            needs: Vec::new(),
            records: Vec::new(),
            messages: Vec::new(),
            cell_images: Vec::new(),
            record_images: Vec::new(),
            image_cache: Cache::new(),
        }
    }

    fn cell(&mut self, cell: Index) -> &mut CellNote {
        let at = cell as usize;
        if at >= self.cells.len() {
            self.cells.resize_with(at + 1 + at / 4, CellNote::default);
        }
        &mut self.cells[at]
    }

    fn record(&mut self, record: Index) -> &mut RecordNote {
        let at = record as usize;
        if at >= self.records.len() {
            self.records.resize_with(at + 1 + at / 4, || RecordNote {
                is_known: false,
                marks: Marks::default(),
                changes: HashMap::new(),
            });
        }
        &mut self.records[at]
    }

    /// The places of all that the actor may do in a cell.
    pub(super) fn effects(&mut self, cell: Index) -> Range<usize> {
        if !self.cell(cell).facts.knows_effects {
            let first = self.effects.len() as Index;
            for effect in self.parts.effects(cell) {
                let first = self.sent.len() as Index;
                self.sent.extend_from_slice(&effect.sent);
                let sent = [first, self.sent.len() as Index];
                let first = self.needs.len() as Index;
                self.needs.extend_from_slice(&effect.needs);
                let needs = [first, self.needs.len() as Index];
                self.effects.push(Effect {
                    sent,
                    needs,
                    ..effect.step
                });
            }
            let end = self.effects.len() as Index;
            let note = self.cell(cell);
            note.effects = [first, end];
            note.facts.knows_effects = true;
        }
        let [first, end] = self.cells[cell as usize].effects;
        first as usize..end as usize
    }

    /// The effect at a place.
    pub(super) fn effect(&self, place: usize) -> Effect {
        self.effects[place]
    }

    /// The receiver and the message at a place, of those that [`Effect::sent`] names.
    pub(super) fn sent(&self, place: Index) -> (u32, Index) {
        self.sent[place as usize]
    }

    /// Whether an effect needs to have heard this.
    pub(super) fn needs(&self, effect: &Effect, saying: Index) -> bool {
        let [first, end] = effect.needs;
        self.needs[first as usize..end as usize].contains(&saying)
    }

    pub(super) fn facts(&mut self, cell: Index) -> Facts {
        let parts = self.parts;
        let note = self.cell(cell);
        if !note.facts.is_known {
            let it = parts.cell(cell);
            note.facts = Facts {
                is_known: true,
                knows_effects: false,
                may_be_moot: it.may_be_moot,
                memory: parts.aspect(cell, S::ASPECT_OF_MEMORY),
                look: it.look,
                marks: it.marks,
            };
        }
        note.facts
    }

    /// What a cell becomes when a message arrives: itself, if the message is of no use there.
    pub(super) fn arrival(&mut self, cell: Index, message: Index) -> Index {
        let parts = self.parts;
        let arrivals = &mut self.cell(cell).arrivals;
        if let Some((_, after)) = arrivals.iter().find(|(it, _)| *it == message) {
            return *after;
        }
        let after = parts.receive(cell, message);
        arrivals.push((message, after));
        after
    }

    pub(super) fn message(&mut self, message: Index) -> MessageFacts {
        let (parts, at) = (self.parts, message as usize);
        if at >= self.messages.len() {
            self.messages.resize(at + 1, None);
        }
        *self.messages[at].get_or_insert_with(|| {
            let it = parts.message(message);
            MessageFacts {
                may_be_moot: it.may_be_moot,
                marks: it.marks,
            }
        })
    }

    /// Touches what is noted of an actor's effects, so that it is at hand when they are taken.
    pub(super) fn touch(&self, effects: &Range<usize>) -> Index {
        let Some(first) = self.effects.get(effects.start) else {
            return NONE;
        };
        let last = &self.effects[effects.end.max(1) - 1];
        let sent = self.sent.get(first.sent[0] as usize);
        first.cell ^ last.cell ^ sent.map_or(0, |(_, message)| *message)
    }

    pub(super) fn record_marks(&mut self, record: Index) -> Marks {
        let parts = self.parts;
        let note = self.record(record);
        if !note.is_known {
            note.is_known = true;
            note.marks = parts.record(record).marks;
        }
        note.marks
    }

    /// What a record becomes when the observer sees a change.
    pub(super) fn observe(&mut self, record: Index, change: Index) -> Index {
        let parts = self.parts;
        let changes = &mut self.record(record).changes;
        let see = || parts.observe(record, change);
        *changes.entry(change).or_insert_with(see)
    }

    /// A cell's image under the permutation at `place` in the group.
    pub(super) fn cell_image(&mut self, cell: Index, place: usize) -> Index {
        let (parts, order) = (self.parts, self.parts.symmetry.order());
        let make = || parts.cell_image(cell, place);
        if order > ORDER_MAX {
            return self.image_cache.get(pair(cell, place as Index), make);
        }
        look_up(&mut self.cell_images, cell as usize * order + place, make)
    }

    /// A record's image under the permutation at `place` in the group.
    pub(super) fn record_image(&mut self, record: Index, place: usize) -> Index {
        let (parts, order) = (self.parts, self.parts.symmetry.order());
        let make = || parts.record_image(record, place);
        if order > ORDER_MAX {
            let key = pair(record, NONE - place as Index);
            return self.image_cache.get(key, make);
        }
        look_up(
            &mut self.record_images,
            record as usize * order + place,
            make,
        )
    }
}

/// What is written at a place, or made and written there.
fn look_up(table: &mut Vec<Index>, place: usize, make: impl FnOnce() -> Index) -> Index {
    if place >= table.len() {
        table.resize(place + 1 + place / 4, NONE);
    }
    if table[place] == NONE {
        table[place] = make();
    }
    table[place]
}
