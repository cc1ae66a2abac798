//! The steps that lie ahead of a state.

use super::menu::{Effect, Menu};
use super::notes::Notes;
use super::symmetry::Marks;
use super::table::Index;
use super::wake::Wake;
use super::words::CELLS;

/// The facts that the steps from a state have in common.
#[derive(Clone, Default)]
pub(super) struct Outlook<'a> {
    pub(super) marks: Marks,
    /// Flags of the actors in whose inboxes messages may be moot.
    pub(super) moot: u64,
    /// The part of each actor that the observer's memory depends on.
    pub(super) memory: Vec<Index>,
    /// The look of each actor's cell.
    pub(super) looks: Vec<u32>,
    /// The time that each actor's clock shows, if there are clocks.
    pub(super) clocks: Vec<Option<u64>>,
    /// The menu of each actor.
    pub(super) menus: Vec<&'a Menu>,
}

impl<'a> Outlook<'a> {
    /// Looks up what the steps from a state have in common, and brings the menus close at hand.
    pub(super) fn look_up(&mut self, from: &[u32], notes: &mut Notes<'a>) {
        self.marks = notes.record_marks(from[0]);
        self.moot = 0;
        self.memory.clear();
        self.looks.clear();
        self.clocks.clear();
        self.menus.clear();
        for (actor, cell) in from[CELLS..].iter().enumerate() {
            let facts = notes.facts(*cell);
            self.marks = self.marks.plus(facts.marks);
            self.moot |= flag(facts.may_be_moot, actor);
            self.memory.push(facts.memory);
            self.looks.push(facts.look);
            self.menus.push(notes.menu(*cell));
            if notes.has_clocks() {
                self.clocks.push(notes.clock(*cell));
            }
        }
        let touched = self.menus.iter().map(|menu| menu.touch());
        std::hint::black_box(touched.fold(0, |a, b| a ^ b));
    }
}

/// A step that an actor may take from a state.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'s, 'a> {
    pub(super) from: &'s [u32],
    /// The steps that can be the last before the state, by actor.
    pub(super) lasts: &'s [(usize, Wake)],
    /// Half of the fingerprint of the state, if it is kept.
    pub(super) predecessor: u64,
    pub(super) outlook: &'s Outlook<'a>,
    pub(super) actor: usize,
    pub(super) menu: &'a Menu,
    pub(super) effect: &'a Effect,
}

impl Ahead<'_, '_> {
    /// Returns whether the step sends a message to an actor.
    pub(super) fn sends_to(&self, actor: usize) -> bool {
        let mut sent = self.menu.sent(self.effect).iter();
        sent.any(|sent| sent.to as usize == actor)
    }

    /// Flags of the actors in whose inboxes messages may be moot once the actor has moved.
    pub(super) fn moot(&self) -> u64 {
        self.outlook.moot | flag(self.effect.may_be_moot, self.actor)
    }

    /// Compares the actor of the step with another of its class, by their looks after the step. If
    /// the step changes the other too, the order is not known, and the answer is `false`.
    pub(super) fn looks_earlier_than(&self, other: usize) -> bool {
        let both = flag(true, self.actor) | flag(true, other);
        self.effect.look < self.outlook.looks[other]
            && self.moot() & both == 0
            && !self.sends_to(other)
    }
}

/// A flag for an actor. With many actors, some share a flag, so that one may be up that need not
/// be.
pub(super) fn flag(is_up: bool, actor: usize) -> u64 {
    u64::from(is_up) << (actor % 64)
}
