//! What one thread has looked up already, kept where it is needed next.
//!
//! A search visits memory at random, and waiting for memory is most of what it does. The steps
//! from one state have much in common: its cells and its record. So what such steps ask for is
//! kept with the cell or the record that it is about, where the first step finds it and the
//! others find it close at hand. Each thread has notes of its own and takes no lock for them.

use super::super::system::System;
use super::parts::{Menu, Parts, Sent};
use super::symmetry::Marks;
use super::table::{Cache, Index, NONE, pair};
use hashbrown::HashMap;

/// With more permutations than this, images are kept in a cache of limited size instead.
const ORDER_MAX: usize = 24;

/// What is known of a cell: a line of the processor's cache, with what nearly all steps ask for.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct CellNote<'a> {
    menu: Option<&'a Menu>,
    /// The ranks of messages that are known not to change it.
    deaf: [u32; 3],
    facts: Facts,
}

const _: () = assert!(size_of::<CellNote<'_>>() == 64);

/// What steps ask of a cell most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    is_known: bool,
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
    cells: Vec<CellNote<'a>>,
    /// Messages, and what a cell becomes when they arrive.
    arrivals: Vec<Vec<(Index, Index)>>,
    records: Vec<RecordNote>,
    messages: Vec<Option<MessageFacts>>,
    /// The images of cells and of records under every permutation, as far as they are known, if
    /// there are few permutations.
    cell_images: Vec<Index>,
    record_images: Vec<Index>,
    saying_images: Vec<Index>,
    /// What is seen of cells, in every aspect.
    aspects: Vec<Index>,
    image_cache: Cache<1>,
}

impl<'a, S: System> Notes<'a, S> {
    pub(super) fn new(parts: &'a Parts<'a, S>) -> Self {
        Self {
            parts,
            cells: Vec::new(),
            arrivals: Vec::new(),
            records: Vec::new(),
            messages: Vec::new(),
            cell_images: Vec::new(),
            record_images: Vec::new(),
            saying_images: Vec::new(),
            aspects: Vec::new(),
            image_cache: Cache::new(),
        }
    }

    /// What is known of a cell, which is written down if it is not yet.
    fn cell(&mut self, cell: Index) -> &mut CellNote<'a> {
        let at = cell as usize;
        if at >= self.cells.len() {
            let unknown = CellNote {
                menu: None,
                deaf: [0; 3],
                facts: Facts::default(),
            };
            self.cells.resize(at + 1 + at / 4, unknown);
        }
        let (parts, note) = (self.parts, &mut self.cells[at]);
        if !note.facts.is_known {
            let it = parts.cell(cell);
            note.facts = Facts {
                is_known: true,
                may_be_moot: it.may_be_moot,
                memory: parts.aspect(cell, S::ASPECT_OF_MEMORY),
                look: it.look,
                marks: it.marks,
            };
        }
        note
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

    /// What the actor may do in a cell.
    pub(super) fn menu(&mut self, cell: Index) -> &'a Menu {
        let parts = self.parts;
        self.cell(cell).menu.get_or_insert_with(|| parts.menu(cell))
    }

    pub(super) fn facts(&mut self, cell: Index) -> Facts {
        self.cell(cell).facts
    }

    /// What is seen of a cell in an aspect.
    pub(super) fn aspect(&mut self, cell: Index, aspect: usize) -> Index {
        let (parts, at) = (self.parts, cell as usize * S::ASPECTS + aspect);
        look_up(&mut self.aspects, at, || parts.aspect(cell, aspect))
    }

    /// What a cell becomes when a message arrives: itself, if the message is of no use there.
    #[inline]
    pub(super) fn arrival(&mut self, cell: Index, sent: Sent) -> Index {
        let (word, bit) = (sent.rank as usize / 32, 1 << (sent.rank % 32));
        let note = self.cells.get(cell as usize);
        let deaf = note.and_then(|note| note.deaf.get(word));
        if deaf.is_some_and(|deaf| deaf & bit != 0) {
            return cell;
        }
        self.look_up_arrival(cell, sent)
    }

    fn look_up_arrival(&mut self, cell: Index, sent: Sent) -> Index {
        let at = cell as usize;
        if at >= self.arrivals.len() {
            self.arrivals.resize_with(at + 1 + at / 4, Vec::new);
        }
        let arrivals = &mut self.arrivals[at];
        if let Some((_, after)) = arrivals.iter().find(|(it, _)| *it == sent.message) {
            return *after;
        }
        let after = self.parts.receive(cell, sent.message);
        let (word, bit) = (sent.rank as usize / 32, 1 << (sent.rank % 32));
        match self.cell(cell).deaf.get_mut(word) {
            Some(deaf) if after == cell => *deaf |= bit,
            _ => self.arrivals[at].push((sent.message, after)),
        }
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

    /// The image of what was said, under the permutation at `place` in the group.
    pub(super) fn saying_image(&mut self, saying: Index, place: usize) -> Index {
        let (parts, order) = (self.parts, self.parts.symmetry.order());
        let make = || parts.saying_image(saying, place);
        if order > ORDER_MAX {
            return make();
        }
        look_up(
            &mut self.saying_images,
            saying as usize * order + place,
            make,
        )
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
