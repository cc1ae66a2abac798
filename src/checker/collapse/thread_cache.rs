//! The answers that one thread has looked up already, kept where they are needed next.
//!
//! A search visits memory at random, and waiting for memory is most of what it does. The steps from
//! one state have much in common: its cells and its history. So the answers for such steps are kept
//! with the cell or the history that they are about: the first step finds them there, and the
//! others find them close at hand. Each thread has a cache of its own and takes no lock for them.

use super::numbered::{CellFacts, MessageFacts, Numbered};
use super::successors::{Sent, Successors};
use super::symmetry::Signatures;
use super::table::{Cache, Index, NONE, fingerprint, pair};
use hashbrown::HashMap;

/// The number of permutations beyond which a cache of limited size keeps the images.
const ORDER_MAX: usize = 24;

/// The notes on a cell: one line of the processor's cache, with the answers that nearly all steps
/// need.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct CachedCell<'a> {
    successors: Option<&'a Successors>,
    /// The ranks of messages that are known not to change it.
    deaf: [u32; 3],
    facts: CellFacts,
}

const _: () = assert!(size_of::<CachedCell<'_>>() == 64);

/// The notes on a record.
#[derive(Default)]
struct CachedHistory {
    is_known: bool,
    signatures: Signatures,
    /// The records that it becomes when the observer sees changes.
    changes: HashMap<Index, Index>,
}

/// A thread's cache of the answers of [`Numbered`], by the same names.
pub(super) struct ThreadCache<'a> {
    model: &'a dyn Numbered,
    /// The numbers of permutations and of projections, and whether there are clocks.
    order: usize,
    aspects_count: usize,
    pub(super) has_clocks: bool,
    cells: Vec<CachedCell<'a>>,
    /// The messages that arrived in each cell, and the cells that it becomes.
    arrivals: Vec<Vec<(Index, Index)>>,
    histories: Vec<CachedHistory>,
    messages: Vec<Option<MessageFacts>>,
    /// The known images of cells and of histories under every permutation, if there are few
    /// permutations.
    cell_images: Vec<Index>,
    history_images: Vec<Index>,
    saying_images: Vec<Index>,
    /// The parts that are seen of cells, in every projection.
    projections: Vec<Index>,
    image_cache: Cache<1>,
    /// Cells without irrelevant messages, by cell and record.
    cleared: Cache<1>,
    /// Records after forgetting, by what that depends on.
    forgotten: Cache<2>,
    /// Scratch: a key of `forgotten`.
    key: Vec<u32>,
}

impl<'a> ThreadCache<'a> {
    pub(super) fn new(model: &'a dyn Numbered) -> Self {
        let setting = model.setting();
        Self {
            model,
            order: setting.symmetry.order(),
            aspects_count: setting.properties.by_aspect.len(),
            has_clocks: setting.clocks.is_some(),
            cells: Vec::new(),
            arrivals: Vec::new(),
            histories: Vec::new(),
            messages: Vec::new(),
            cell_images: Vec::new(),
            history_images: Vec::new(),
            saying_images: Vec::new(),
            projections: Vec::new(),
            image_cache: Cache::new(),
            cleared: Cache::new(),
            forgotten: Cache::new(),
            key: Vec::new(),
        }
    }

    /// Returns the notes on a cell, with its facts.
    fn cell(&mut self, cell: Index) -> &mut CachedCell<'a> {
        let at = cell as usize;
        if at >= self.cells.len() {
            self.cells.resize(at + 1 + at / 4, CachedCell::default());
        }
        let (model, cached) = (self.model, &mut self.cells[at]);
        if !cached.facts.is_known {
            cached.facts = model.cell_facts(cell);
        }
        cached
    }

    fn history(&mut self, history_id: Index) -> &mut CachedHistory {
        let at = history_id as usize;
        if at >= self.histories.len() {
            self.histories
                .resize_with(at + 1 + at / 4, CachedHistory::default);
        }
        &mut self.histories[at]
    }

    pub(super) fn successors(&mut self, cell: Index) -> &'a Successors {
        let model = self.model;
        self.cell(cell)
            .successors
            .get_or_insert_with(|| model.successors(cell))
    }

    pub(super) fn facts(&mut self, cell: Index) -> CellFacts {
        self.cell(cell).facts
    }

    pub(super) fn projection(&mut self, cell: Index, projection: usize) -> Index {
        let (model, at) = (self.model, cell as usize * self.aspects_count + projection);
        look_up(&mut self.projections, at, || {
            model.projection(cell, projection)
        })
    }

    /// Returns the cell after a message has arrived: the same one if the message is of no use
    /// there.
    #[inline]
    pub(super) fn arrival(&mut self, cell: Index, sent: Sent) -> Index {
        let (word, bit) = (sent.rank as usize / 32, 1 << (sent.rank % 32));
        let cached = self.cells.get(cell as usize);
        let deaf = cached.and_then(|cached| cached.deaf.get(word));
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
        let after = self.model.receive(cell, sent.message);
        let (word, bit) = (sent.rank as usize / 32, 1 << (sent.rank % 32));
        match self.cell(cell).deaf.get_mut(word) {
            Some(deaf) if after == cell => *deaf |= bit,
            _ => self.arrivals[at].push((sent.message, after)),
        }
        after
    }

    pub(super) fn message(&mut self, message: Index) -> MessageFacts {
        let (model, at) = (self.model, message as usize);
        if at >= self.messages.len() {
            self.messages.resize(at + 1, None);
        }
        *self.messages[at].get_or_insert_with(|| model.message_facts(message))
    }

    pub(super) fn history_signatures(&mut self, history_id: Index) -> Signatures {
        let model = self.model;
        let cached = self.history(history_id);
        if !cached.is_known {
            cached.is_known = true;
            cached.signatures = model.history_signatures(history_id);
        }
        cached.signatures
    }

    pub(super) fn observe(&mut self, history_id: Index, change: Index) -> Index {
        let model = self.model;
        let changes = &mut self.history(history_id).changes;
        let see = || model.observe(history_id, change);
        *changes.entry(change).or_insert_with(see)
    }

    /// Returns the history after the observer has forgotten what it may. Its memory depends on the
    /// parts `memory` of the actors, except for one actor, which has the part `own`.
    pub(super) fn forget(
        &mut self,
        history_id: Index,
        forget_input: &[Index],
        actor: usize,
        own: Index,
        cells: &[u32],
    ) -> Index {
        self.key.clear();
        self.key.push(history_id);
        self.key.extend_from_slice(forget_input);
        self.key[1 + actor] = own;
        let (model, key) = (self.model, fingerprint(&self.key));
        self.forgotten.get(key, || model.forget(history_id, cells))
    }

    pub(super) fn clear(&mut self, cell: Index, history_id: Index) -> Index {
        let model = self.model;
        self.cleared
            .get(pair(cell, history_id), || model.clear(cell, history_id))
    }

    pub(super) fn clock(&self, cell: Index) -> Option<u64> {
        self.model.clock(cell)
    }

    pub(super) fn cell_image(&mut self, cell: Index, place: usize) -> Index {
        let (model, order) = (self.model, self.order);
        let make = || model.cell_image(cell, place);
        if order > ORDER_MAX {
            return self.image_cache.get(pair(cell, place as Index), make);
        }
        look_up(&mut self.cell_images, cell as usize * order + place, make)
    }

    pub(super) fn saying_image(&mut self, saying: Index, place: usize) -> Index {
        let (model, order) = (self.model, self.order);
        let make = || model.saying_image(saying, place);
        if order > ORDER_MAX {
            return make();
        }
        look_up(
            &mut self.saying_images,
            saying as usize * order + place,
            make,
        )
    }

    pub(super) fn history_image(&mut self, history_id: Index, place: usize) -> Index {
        let (model, order) = (self.model, self.order);
        let make = || model.history_image(history_id, place);
        if order > ORDER_MAX {
            let key = pair(history_id, NONE - place as Index);
            return self.image_cache.get(key, make);
        }
        look_up(
            &mut self.history_images,
            history_id as usize * order + place,
            make,
        )
    }
}

/// Returns the entry at a place, which is made if it is missing.
fn look_up(table: &mut Vec<Index>, place: usize, make: impl FnOnce() -> Index) -> Index {
    if place >= table.len() {
        table.resize(place + 1 + place / 4, NONE);
    }
    if table[place] == NONE {
        table[place] = make();
    }
    table[place]
}
