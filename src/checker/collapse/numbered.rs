//! A world in numbers, as the search sees it.
//!
//! The search knows no actor. It asks this trait, keeps most answers
//! ([`thread_cache`](super::thread_cache)), and is compiled once for all systems. A state is its
//! history, its tally, and a cell per actor.

use super::super::permutation::Permutation;
use super::super::system::Clocks;
use super::successors::Successors;
use super::symmetry::{Signatures, Symmetry};
use super::table::Index;

/// The place of the first cell in a state.
pub(super) const CELLS: usize = 2;

/// The lowest bit of a tally that stands for a broken step property; the bits below it count
/// crashes.
pub(super) const BROKEN: u32 = 16;

/// Returns the number of crashes in a tally.
pub(super) fn crashes(tally: u32) -> u32 {
    tally & ((1 << BROKEN) - 1)
}

/// Returns the places of the bits that are set.
pub(super) fn bits(set: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |at| set & 1 << at != 0)
}

/// The facts that hold throughout a search.
pub(super) struct Setting<'w> {
    /// The number of actors.
    pub(super) actors: usize,
    /// The permutations under which states count as one.
    pub(super) group: &'w [Permutation],
    pub(super) symmetry: Symmetry,
    /// The class of each actor: actors of one class are permuted with one another.
    pub(super) classes: Vec<usize>,
    /// The number of crashes that a run may have.
    pub(super) crashes: u32,
    /// Whether a save takes effect in a step of its own.
    pub(super) is_split: bool,
    /// Whether the observer forgets, and irrelevant messages are dropped.
    pub(super) forgets: bool,
    /// Whether the order in which the observer sees two changes does not matter.
    pub(super) observations_commute: bool,
    pub(super) clocks: Option<Clocks>,
    pub(super) properties: Properties,
}

/// The properties, as bits by their places.
pub(super) struct Properties {
    /// The properties of states that see each projection.
    pub(super) by_aspect: Vec<u32>,
    /// The properties that ask for an example.
    pub(super) examples: u32,
    /// The place of each step property, if it is to be looked at.
    pub(super) steps: Vec<Option<usize>>,
}

/// The facts about a cell that steps ask for most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CellFacts {
    /// Whether these facts were looked up.
    pub(super) is_known: bool,
    /// Whether a message in the inbox may ever be irrelevant.
    pub(super) may_be_irrelevant: bool,
    /// The number of the part that the observer's memory depends on.
    pub(super) forget_input: Index,
    /// The look of the cell, which does not depend on how ids are called.
    pub(super) shape: u32,
    pub(super) signatures: Signatures,
}

/// The facts about a message that steps ask for most.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageFacts {
    /// Whether it may ever be irrelevant.
    pub(super) may_be_irrelevant: bool,
    pub(super) signatures: Signatures,
}

/// A world whose states, messages and records are numbers.
pub(super) trait Numbered: Sync {
    /// Returns the facts that hold throughout a search.
    fn setting(&self) -> &Setting<'_>;

    /// Returns the claim of the system that turned out false, if one did.
    fn unsoundness(&self) -> Option<&str>;

    /// Returns the facts about a cell.
    fn cell_facts(&self, cell: Index) -> CellFacts;

    /// Returns the facts about a message.
    fn message_facts(&self, message: Index) -> MessageFacts;

    /// Returns the signatures of a record.
    fn history_signatures(&self, history_id: Index) -> Signatures;

    /// Returns the effects that the actor of a cell may have there.
    fn successors(&self, cell: Index) -> &Successors;

    /// Returns the time that the clock of a cell's actor shows.
    fn clock(&self, cell: Index) -> Option<u64>;

    /// Returns the number of the part of a cell that is seen in a projection.
    fn projection(&self, cell: Index, projection: usize) -> Index;

    /// Returns the cell with one more message in its inbox.
    fn receive(&self, cell: Index, message: Index) -> Index;

    /// Returns the cell without the messages that are irrelevant, given the history.
    fn clear(&self, cell: Index, history_id: Index) -> Index;

    /// Returns the history after the observer has seen a change.
    fn observe(&self, history_id: Index, change: Index) -> Index;

    /// Returns the history after the observer has forgotten what these cells let it forget.
    fn forget(&self, history_id: Index, cells: &[u32]) -> Index;

    /// Returns a cell's image under the permutation at `place` in the group.
    fn cell_image(&self, cell: Index, place: usize) -> Index;

    /// Returns the image of a saying under the permutation at `place` in the group.
    fn saying_image(&self, saying: Index, place: usize) -> Index;

    /// Returns a record's image under the permutation at `place` in the group.
    fn history_image(&self, history_id: Index, place: usize) -> Index;

    /// Returns those of the `asked` properties, as bits, that hold of what is seen of a state in a
    /// projection.
    fn holding(&self, state: &[u32], projection: usize, asked: u32) -> u32;

    /// Returns the name of a property that holds of what it sees of a state and not of the whole,
    /// or the other way round.
    fn misjudged(&self, state: &[u32]) -> Option<&'static str>;
}
