//! The steps that lie ahead of a state.

use super::commute::LastStep;
use super::numbered::CELLS;
use super::successors::{Effect, Successors};
use super::symmetry::Signatures;
use super::table::Index;
use super::thread_cache::ThreadCache;

/// The facts that the steps from a state have in common.
#[derive(Clone, Default)]
pub(super) struct Outlook<'a> {
    pub(super) signatures: Signatures,
    /// Flags of the actors in whose inboxes messages may be irrelevant.
    pub(super) irrelevant: u64,
    /// The part of each actor that the observer's memory depends on.
    pub(super) forget_input: Vec<Index>,
    /// The look of each actor's cell.
    pub(super) shapes: Vec<u32>,
    /// The time that each actor's clock shows, if there are clocks.
    pub(super) clocks: Vec<Option<u64>>,
    /// The menu of each actor.
    pub(super) successors: Vec<&'a Successors>,
}

impl<'a> Outlook<'a> {
    /// Looks up what the steps from a state have in common, and brings the menus close at hand.
    pub(super) fn look_up(&mut self, from: &[u32], cache: &mut ThreadCache<'a>) {
        self.signatures = cache.history_signatures(from[0]);
        self.irrelevant = 0;
        self.forget_input.clear();
        self.shapes.clear();
        self.clocks.clear();
        self.successors.clear();
        for (actor, cell) in from[CELLS..].iter().enumerate() {
            let facts = cache.facts(*cell);
            self.signatures = self.signatures.plus(facts.signatures);
            self.irrelevant |= flag(facts.may_be_irrelevant, actor);
            self.forget_input.push(facts.forget_input);
            self.shapes.push(facts.shape);
            self.successors.push(cache.successors(*cell));
            if cache.has_clocks {
                self.clocks.push(cache.clock(*cell));
            }
        }
        let touched = self.successors.iter().map(|successors| successors.touch());
        std::hint::black_box(touched.fold(0, |a, b| a ^ b));
    }
}

/// A step that an actor may take from a state.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'s, 'a> {
    pub(super) from: &'s [u32],
    /// The steps that can be the last before the state, by actor.
    pub(super) lasts: &'s [(usize, LastStep)],
    /// Half of the fingerprint of the state, if it is kept.
    pub(super) predecessor: u64,
    pub(super) outlook: &'s Outlook<'a>,
    pub(super) actor: usize,
    pub(super) successors: &'a Successors,
    pub(super) effect: &'a Effect,
}

impl Ahead<'_, '_> {
    /// Returns whether the step sends a message to an actor.
    pub(super) fn sends_to(&self, actor: usize) -> bool {
        let mut sent = self.successors.sent(self.effect).iter();
        sent.any(|sent| sent.to as usize == actor)
    }

    /// Flags of the actors in whose inboxes messages may be irrelevant once the actor has moved.
    pub(super) fn irrelevant(&self) -> u64 {
        self.outlook.irrelevant | flag(self.effect.may_be_irrelevant, self.actor)
    }

    /// Compares the actor of the step with another of its class, by their looks after the step. If
    /// the step changes the other too, the order is not known, and the answer is `false`.
    pub(super) fn looks_earlier_than(&self, other: usize) -> bool {
        let both = flag(true, self.actor) | flag(true, other);
        self.effect.shape < self.outlook.shapes[other]
            && self.irrelevant() & both == 0
            && !self.sends_to(other)
    }
}

/// A flag for an actor. With many actors, some share a flag, so that one may be up that need not
/// be.
pub(super) fn flag(is_up: bool, actor: usize) -> u64 {
    u64::from(is_up) << (actor % 64)
}
