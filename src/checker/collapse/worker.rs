//! One thread of the search: expands states, and inserts the states that they lead to.

use super::ahead::{Ahead, Outlook};
use super::canonical::Canon;
use super::commute::LastStep;
use super::control::Shared;
use super::draft::Draft;
use super::insert::Inserter;
use super::level::Level;
use super::numbered::{BROKEN, CELLS, Numbered, Setting, crashes};
use super::seen::{Fingerprint, Seen};
use super::table::NONE;
use super::thread_cache::ThreadCache;
use std::cmp::Ordering;

/// The number of states that are looked at before the first of them is expanded. Each must wait for
/// memory, and together they wait but once.
const AHEAD: usize = 16;

/// One thread of the search.
pub(super) struct Worker<'a> {
    setting: &'a Setting<'a>,
    shared: &'a Shared,
    cache: ThreadCache<'a>,
    canon: Canon<'a>,
    pub(super) inserter: Inserter<'a>,
    /// Scratch: the state that a step leads to.
    draft: Draft,
    /// Scratch: the steps that can be the last before the state that is expanded, by actor.
    lasts: Vec<(usize, LastStep)>,
    outlooks: Vec<Outlook<'a>>,
    /// The number of steps taken.
    pub(super) transitions: u64,
}

impl<'a> Worker<'a> {
    pub(super) fn new(model: &'a dyn Numbered, seen: &'a Seen, shared: &'a Shared) -> Self {
        let setting = model.setting();
        Self {
            setting,
            shared,
            cache: ThreadCache::new(model),
            canon: Canon::new(setting),
            inserter: Inserter::new(model, seen, shared),
            draft: Draft::new(setting.actors),
            lasts: Vec::with_capacity(setting.actors),
            outlooks: vec![Outlook::default(); AHEAD],
            transitions: 0,
        }
    }

    /// Takes the states that were found for the next level.
    pub(super) fn take_next(&mut self) -> Level {
        self.inserter.next.take()
    }

    /// Ends a level: inserts the states that still wait, and puts the new ones into an order in
    /// which neighbours have much in common.
    pub(super) fn finish_level(&mut self) {
        self.inserter.flush_all(&mut self.cache);
        self.inserter.next.sort();
    }

    /// Inserts the initial state.
    pub(super) fn begin(&mut self, words: &[u32]) -> Fingerprint {
        self.draft.restart(words, &mut self.cache);
        let start = self.insert(0, true);
        self.inserter.flush_all(&mut self.cache);
        start
    }

    /// Inserts the representative of the draft.
    fn insert(&mut self, predecessor: u64, may_be_visible: bool) -> Fingerprint {
        let Self {
            canon,
            draft,
            cache,
            inserter,
            ..
        } = self;
        let concrete = canon.canonicalize(draft, cache);
        inserter.push(draft, concrete, predecessor, may_be_visible, cache)
    }

    /// Expands every state of a chunk.
    pub(super) fn expand(&mut self, chunk: &[u32]) {
        let mut outlooks = std::mem::take(&mut self.outlooks);
        let (width, actors) = (self.inserter.next.width, self.setting.actors);
        for states in chunk.chunks(AHEAD * width) {
            if self.shared.is_stopped() {
                break;
            }
            let states = || states.chunks_exact(width);
            for (state, outlook) in states().zip(&mut outlooks) {
                outlook.look_up(&state[..CELLS + actors], &mut self.cache);
            }
            for (state, outlook) in states().zip(&outlooks) {
                self.expand_one(state, outlook);
            }
        }
        self.outlooks = outlooks;
    }

    fn expand_one(&mut self, state: &[u32], outlook: &Outlook<'a>) {
        let (from, last_steps) = state.split_at(CELLS + self.setting.actors);
        let predecessor = self.inserter.predecessor(from);
        let mut lasts = std::mem::take(&mut self.lasts);
        lasts.clear();
        let last_steps = LastStep::read(last_steps).enumerate();
        lasts.extend(last_steps.filter(|(_, last)| last.is_last()));
        for (actor, successors) in outlook.successors.iter().enumerate() {
            let ahead = |effect| Ahead {
                from,
                lasts: &lasts,
                predecessor,
                outlook,
                actor,
                successors,
                effect,
            };
            for effect in successors.plain() {
                self.take(&ahead(effect));
            }
            let mut taken = NONE;
            for resend in &successors.resends {
                let cell = from[CELLS + resend.sent.to as usize];
                if resend.effect != taken && self.cache.arrival(cell, resend.sent) != cell {
                    taken = resend.effect;
                    self.take(&ahead(successors.effect(taken)));
                }
            }
        }
        self.lasts = lasts;
    }

    /// Takes a step, unless it may not be taken, need not be, or changes nothing.
    fn take(&mut self, ahead: &Ahead<'_, 'a>) {
        let (from, actor, effect) = (ahead.from, ahead.actor, ahead.effect);
        let crashed = crashes(from[1]) + crashes(effect.tally);
        if crashed > self.setting.crashes || !self.is_in_time(ahead) {
            return;
        }
        // A covered step is counted, and so it must be certain that it changes something.
        let may_be_covered = self.shared.commutes && effect.moves && !effect.is_loop;
        if may_be_covered && self.keep_lasts(ahead, true) {
            self.transitions += 1;
            return;
        }
        let forgets = self.setting.forgets;
        self.draft.apply(ahead, forgets, &mut self.cache);
        if self.draft.is_still(from, actor, effect) {
            return;
        }
        let broken = (from[1] | effect.tally) >> BROKEN << BROKEN;
        self.draft.words[1] = broken | crashed;
        self.transitions += 1;
        if !may_be_covered {
            self.keep_lasts(ahead, false);
        }
        self.draft.add_last(ahead);
        let is_recorded = self.draft.words[0] != from[0];
        self.insert(ahead.predecessor, effect.is_visible || is_recorded);
    }

    /// Returns whether the actor's clock is not too far ahead of any other after a step.
    fn is_in_time(&self, ahead: &Ahead<'_, 'a>) -> bool {
        let Some(clocks) = self.setting.clocks else {
            return true;
        };
        let (before, after) = (&ahead.outlook.clocks, self.cache.clock(ahead.effect.cell));
        clocks.allow(ahead.actor, after, before.len(), |other| before[other])
    }

    /// Notes in the draft which steps that could be the last before a step can be the last after it
    /// too. If `covers`, a step need not be taken if one of them comes later: to take that one to
    /// the same state is enough. Returns whether it is so.
    fn keep_lasts(&mut self, ahead: &Ahead<'_, 'a>, covers: bool) -> bool {
        self.draft.forget_lasts();
        for (other, last) in ahead.lasts {
            if !self.stays_last(*other, *last, ahead) {
                continue;
            }
            if covers && self.comes_later(*other, ahead) {
                return true;
            }
            self.draft.last_steps[*other] = last.word();
        }
        false
    }

    /// Returns whether another actor comes later than the actor of a step, in the order that
    /// chooses one of two independent steps.
    fn comes_later(&self, other: usize, ahead: &Ahead<'_, 'a>) -> bool {
        let classes = &self.setting.classes;
        match classes[other].cmp(&classes[ahead.actor]) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => other != ahead.actor && ahead.looks_earlier_than(other),
        }
    }

    /// Returns whether the last step of another actor can be the last even after a step.
    fn stays_last(&self, other: usize, last: LastStep, ahead: &Ahead<'_, 'a>) -> bool {
        // While a save is pending nothing is dropped, so that it matters whether a message arrives
        // before or after the step that saves.
        let is_split = self.setting.is_split;
        let (successors, effect) = (ahead.successors, ahead.effect);
        let needs = |saying| is_split || successors.needs(effect).contains(&saying);
        let forget_input = ahead.outlook.forget_input[ahead.actor];
        let commutes = self.setting.observations_commute;
        other != ahead.actor
            && last.stays_last(ahead.actor, effect, forget_input, commutes, needs)
            && !(is_split && ahead.sends_to(other))
    }
}
