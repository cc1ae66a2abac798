//! A state in the making: the result of a step, before the search knows whether it is new.

use super::ahead::{Ahead, flag};
use super::menu::{Effect, Sent};
use super::notes::Notes;
use super::symmetry::Marks;
use super::table::{Index, NONE};
use super::wake::Wake;
use super::words::CELLS;

/// A state in the making.
pub(super) struct Draft {
    actors: usize,
    pub(super) words: Vec<u32>,
    /// The steps that can be the last before the state, by actor, as words.
    pub(super) wakes: Vec<u32>,
    pub(super) marks: Marks,
    /// Flags of the actors in whose inboxes messages may be moot.
    moot: u64,
    /// Whether moot messages were dropped on the way to the state.
    has_cleared: bool,
}

impl Draft {
    /// An empty draft of a state of so many actors.
    pub(super) fn new(actors: usize) -> Self {
        Self {
            actors,
            words: Vec::with_capacity(actors + CELLS),
            wakes: Vec::with_capacity(actors),
            marks: Marks::default(),
            moot: 0,
            has_cleared: false,
        }
    }

    /// Replaces the draft by a state before which no last step is known.
    pub(super) fn restart(&mut self, words: &[u32], notes: &mut Notes<'_>) {
        self.words.clear();
        self.words.extend_from_slice(words);
        self.marks = notes.record_marks(words[0]);
        for cell in &words[CELLS..] {
            self.marks = self.marks.plus(notes.facts(*cell).marks);
        }
        self.forget_lasts();
    }

    /// Forgets which steps can be the last.
    pub(super) fn forget_lasts(&mut self) {
        self.wakes.clear();
        self.wakes.resize(self.actors, Wake::NONE.word());
    }

    /// Adds a step that leads to the draft to those that can be the last.
    pub(super) fn add_last(&mut self, ahead: &Ahead<'_, '_>) {
        let (from, actor, effect) = (ahead.from, ahead.actor, ahead.effect);
        let is_fragile = ahead.outlook.moot & flag(true, actor) != 0;
        // A burst that counts only for what its last step says would not count after a step by
        // which nobody listens to that any more.
        let is_for_news = effect.is_loop && effect.cell != from[CELLS + actor];
        let said = if self.has_cleared || is_for_news {
            NONE
        } else {
            effect.says
        };
        self.wakes[actor] = Wake::of(actor, is_fragile, said, from, &self.words).word();
    }

    /// Replaces the draft by the state that a step leads to, except for its tally and its last
    /// steps. If the observer `forgets`, what no longer matters to it is dropped.
    pub(super) fn apply(&mut self, ahead: &Ahead<'_, '_>, forgets: bool, notes: &mut Notes<'_>) {
        let (from, actor, effect) = (ahead.from, ahead.actor, ahead.effect);
        self.words.clear();
        self.words.extend_from_slice(from);
        let before = std::mem::replace(&mut self.words[CELLS + actor], effect.cell);
        let [less, more] = [before, effect.cell].map(|cell| notes.facts(cell).marks);
        self.marks = ahead.outlook.marks.minus(less).plus(more);
        self.has_cleared = false;
        self.moot = ahead.moot();
        for sent in ahead.menu.sent(effect) {
            self.deliver(*sent, notes);
        }
        if effect.change != NONE {
            let record = notes.observe(self.words[0], effect.change);
            self.replace_record(record, notes);
        }
        if forgets {
            let memory = &ahead.outlook.memory;
            if effect.shows && (self.words[0] != from[0] || effect.memory != memory[actor]) {
                let (record, cells) = (self.words[0], &self.words[CELLS..]);
                let record = notes.forget(record, memory, actor, effect.memory, cells);
                self.replace_record(record, notes);
            }
            if self.moot != 0 {
                self.clear(from, notes);
            }
        }
    }

    /// Returns whether an effect changes nothing.
    pub(super) fn is_still(&self, from: &[u32], actor: usize, effect: &Effect) -> bool {
        let at = CELLS + actor;
        if !effect.is_loop {
            // Messages that became moot may undo all that a step does.
            return (effect.cell == from[at] || self.moot != 0) && self.words == from;
        }
        let mut words = self.words.iter().zip(from).enumerate();
        self.words[at] == effect.cell && words.all(|(word, (new, old))| word == at || new == old)
    }

    /// Puts a message into its receiver's inbox.
    fn deliver(&mut self, sent: Sent, notes: &mut Notes<'_>) {
        let to = sent.to as usize;
        let cell = self.words[CELLS + to];
        let after = notes.arrival(cell, sent);
        if after != cell {
            let facts = notes.message(sent.message);
            self.words[CELLS + to] = after;
            self.marks = self.marks.plus(facts.marks);
            self.moot |= flag(facts.may_be_moot, to);
        }
    }

    fn replace_record(&mut self, record: Index, notes: &mut Notes<'_>) {
        let before = std::mem::replace(&mut self.words[0], record);
        if before != record {
            let [less, more] = [before, record].map(|it| notes.record_marks(it));
            self.marks = self.marks.minus(less).plus(more);
        }
    }

    /// Drops messages that are moot.
    fn clear(&mut self, from: &[u32], notes: &mut Notes<'_>) {
        let record = self.words[0];
        for at in CELLS..self.words.len() {
            let cell = self.words[at];
            let may_be_moot = self.moot & flag(true, at - CELLS) != 0;
            if !may_be_moot || (record == from[0] && cell == from[at]) {
                continue;
            }
            let after = notes.clear(cell, record);
            if after != cell {
                let [less, more] = [cell, after].map(|cell| notes.facts(cell).marks);
                self.marks = self.marks.minus(less).plus(more);
                self.words[at] = after;
                self.has_cleared = true;
            }
        }
    }
}
