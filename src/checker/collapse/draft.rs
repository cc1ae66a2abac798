//! A state in the making: the result of a step, before the search knows whether it is new.

use super::ahead::{Ahead, flag};
use super::commute::LastStep;
use super::numbered::CELLS;
use super::successors::{Effect, Sent};
use super::symmetry::Signatures;
use super::table::{Index, NONE};
use super::thread_cache::ThreadCache;

/// A state in the making.
#[derive(Default)]
pub(super) struct Draft {
    actors: usize,
    pub(super) words: Vec<u32>,
    /// The steps that can be the last before the state, by actor, as words.
    pub(super) last_steps: Vec<u32>,
    pub(super) signatures: Signatures,
    /// Flags of the actors in whose inboxes messages may be irrelevant.
    irrelevant: u64,
    /// Whether irrelevant messages were dropped on the way to the state.
    has_cleared: bool,
}

impl Draft {
    /// An empty draft of a state of so many actors.
    pub(super) fn new(actors: usize) -> Self {
        Self {
            actors,
            ..Self::default()
        }
    }

    /// Replaces the draft by a state before which no last step is known.
    pub(super) fn restart(&mut self, words: &[u32], cache: &mut ThreadCache<'_>) {
        self.words.clear();
        self.words.extend_from_slice(words);
        self.signatures = cache.history_signatures(words[0]);
        for cell in &words[CELLS..] {
            self.signatures = self.signatures.plus(cache.facts(*cell).signatures);
        }
        self.forget_lasts();
    }

    /// Forgets which steps can be the last.
    pub(super) fn forget_lasts(&mut self) {
        self.last_steps.clear();
        self.last_steps.resize(self.actors, LastStep::NONE.word());
    }

    /// Adds a step that leads to the draft to those that can be the last.
    pub(super) fn add_last(&mut self, ahead: &Ahead<'_, '_>) {
        let (from, actor, effect) = (ahead.from, ahead.actor, ahead.effect);
        let is_fragile = ahead.outlook.irrelevant & flag(true, actor) != 0;
        // A fused step that counts only for what its last step says would not count after a step by
        // which nobody listens to that any more.
        let is_for_news = effect.is_loop && effect.cell != from[CELLS + actor];
        let said = if self.has_cleared || is_for_news {
            NONE
        } else {
            effect.says
        };
        self.last_steps[actor] = LastStep::of(actor, is_fragile, said, from, &self.words).word();
    }

    /// Replaces the draft by the state that a step leads to, except for its tally and its last
    /// steps. If the observer `forgets`, what no longer matters to it is dropped.
    pub(super) fn apply(
        &mut self,
        ahead: &Ahead<'_, '_>,
        forgets: bool,
        cache: &mut ThreadCache<'_>,
    ) {
        let (from, actor, effect) = (ahead.from, ahead.actor, ahead.effect);
        self.words.clear();
        self.words.extend_from_slice(from);
        let before = std::mem::replace(&mut self.words[CELLS + actor], effect.cell);
        let [less, more] = [before, effect.cell].map(|cell| cache.facts(cell).signatures);
        self.signatures = ahead.outlook.signatures.minus(less).plus(more);
        self.has_cleared = false;
        self.irrelevant = ahead.irrelevant();
        for sent in ahead.successors.sent(effect) {
            self.deliver(*sent, cache);
        }
        if effect.change != NONE {
            let history_id = cache.observe(self.words[0], effect.change);
            self.replace_history(history_id, cache);
        }
        if forgets {
            let forget_input = &ahead.outlook.forget_input;
            if effect.is_visible
                && (self.words[0] != from[0] || effect.forget_input != forget_input[actor])
            {
                let (history_id, cells) = (self.words[0], &self.words[CELLS..]);
                let history_id =
                    cache.forget(history_id, forget_input, actor, effect.forget_input, cells);
                self.replace_history(history_id, cache);
            }
            if self.irrelevant != 0 {
                self.clear(from, cache);
            }
        }
    }

    /// Returns whether an effect changes nothing.
    pub(super) fn is_still(&self, from: &[u32], actor: usize, effect: &Effect) -> bool {
        let at = CELLS + actor;
        if !effect.is_loop {
            // Messages that became irrelevant may undo all that a step does.
            return (effect.cell == from[at] || self.irrelevant != 0) && self.words == from;
        }
        let mut words = self.words.iter().zip(from).enumerate();
        self.words[at] == effect.cell && words.all(|(word, (new, old))| word == at || new == old)
    }

    /// Puts a message into its receiver's inbox.
    fn deliver(&mut self, sent: Sent, cache: &mut ThreadCache<'_>) {
        let to = sent.to as usize;
        let cell = self.words[CELLS + to];
        let after = cache.arrival(cell, sent);
        if after != cell {
            let facts = cache.message(sent.message);
            self.words[CELLS + to] = after;
            self.signatures = self.signatures.plus(facts.signatures);
            self.irrelevant |= flag(facts.may_be_irrelevant, to);
        }
    }

    fn replace_history(&mut self, history_id: Index, cache: &mut ThreadCache<'_>) {
        let before = std::mem::replace(&mut self.words[0], history_id);
        if before != history_id {
            let [less, more] = [before, history_id].map(|it| cache.history_signatures(it));
            self.signatures = self.signatures.minus(less).plus(more);
        }
    }

    /// Drops messages that are irrelevant.
    fn clear(&mut self, from: &[u32], cache: &mut ThreadCache<'_>) {
        let history_id = self.words[0];
        for at in CELLS..self.words.len() {
            let cell = self.words[at];
            let may_be_irrelevant = self.irrelevant & flag(true, at - CELLS) != 0;
            if !may_be_irrelevant || (history_id == from[0] && cell == from[at]) {
                continue;
            }
            let after = cache.clear(cell, history_id);
            if after != cell {
                let [less, more] = [cell, after].map(|cell| cache.facts(cell).signatures);
                self.signatures = self.signatures.minus(less).plus(more);
                self.words[at] = after;
                self.has_cleared = true;
            }
        }
    }
}
