//! The layout of a state in numbers: its history, its tally, and a cell per actor.

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
