//! Which of two independent steps need not be taken.

use super::super::permutation::Permutation;
use super::menu::Effect;
use super::table::{Index, NONE};
use super::words::CELLS;

/// What is known of an actor's last step before a state, as flags: whether it can be the very last,
/// that is, whether it leads to this state from another; and, if so, what matters for that.
///
/// Let a step *a* lead from *p* to *t*, and *b*, of another actor, from *t* to *u*. If *a* sent
/// nothing to the actor of *b*, or nothing that *b* needs, then *b* could be taken at *p*
/// already; and *a* after it, for what others send takes no step away (and what they make the
/// observer forget does not either, if *a* used no message that may be moot by then). Both orders
/// lead to *u*, in as many steps: *a* can be the last step before *u* too. (If all that *a* does
/// is to say again what the actor of *b* is deaf to after *b*, then *u* is where *b* leads from
/// *p*, one level above. A burst that counts only for what its last step says, but has moved
/// before that, does not commute with such a *b*: [`Wake::of`] is told that it said more than one
/// thing.) It is enough to take one of the two as the last: the one whose actor comes last. Of
/// actors that a permutation maps to one another that is for the looks of their cells in *u* to
/// decide, so that it does not depend on what they are called; of others, for their numbers.
///
/// No state is lost, and none is found later. Of the steps to *u* from all states one level above,
/// consider one whose actor comes last. It is taken, for if it were not, there would be a step to
/// *u* from that level whose actor comes even later.
///
/// Written down as one number: the lower half is the number of what it said, if it said one thing,
/// to one actor or to many, changed no cell but its own in any other way, and counts whoever hears
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wake(u32);

impl Wake {
    /// The step can be the last.
    const LAST: u32 = 1 << 31;
    /// It changed the record.
    const RECORDS: u32 = 1 << 30;
    /// It may have used a message that another step would have made moot.
    const FRAGILE: u32 = 1 << 29;
    /// How many flags there are, below the others, for the other actors whose cells it changed.
    const FLAGS: usize = 13;
    /// It said more than one thing, or something whose number is too large, or nothing.
    const UNSAID: u32 = 0xFFFF;
    /// No last step is known.
    pub(super) const NONE: Self = Self(Self::UNSAID);

    /// The flag of an actor, which it may share with others if there are many.
    #[inline]
    fn flag(actor: usize) -> u32 {
        1 << (16 + actor % Self::FLAGS)
    }

    fn new(flags: u32, said: Index) -> Self {
        Self(flags | said.min(Self::UNSAID))
    }

    /// A step of `actor` from one state to another, which said one thing or did not; fragile if its
    /// inbox held messages that may be moot.
    pub(super) fn of(
        actor: usize,
        is_fragile: bool,
        said: Index,
        from: &[u32],
        to: &[u32],
    ) -> Self {
        let cells = from[CELLS..].iter().zip(&to[CELLS..]).enumerate();
        let touched = cells.filter(|(other, (old, new))| *other != actor && old != new);
        let touched = touched.fold(0, |all, (other, _)| all | Self::flag(other));
        let records = if from[0] != to[0] { Self::RECORDS } else { 0 };
        let fragile = if is_fragile { Self::FRAGILE } else { 0 };
        Self::new(Self::LAST | records | fragile | touched, said)
    }

    /// The number that it is written down as.
    pub(super) fn word(self) -> u32 {
        self.0
    }

    /// Reads what is written down of one or more last steps.
    pub(super) fn read(words: &[u32]) -> impl Iterator<Item = Self> {
        words.iter().map(|word| Self(*word))
    }

    /// What it said, or [`NONE`].
    fn said(self) -> Index {
        match self.0 & Self::UNSAID {
            Self::UNSAID => NONE,
            said => said,
        }
    }

    #[inline]
    fn is(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    /// Whether a last step is known.
    #[inline]
    pub(super) fn is_last(self) -> bool {
        self.is(Self::LAST)
    }

    /// Whether the step can be the last even after an effect of `actor`, whose cell had `memory` in
    /// what the observer's memory depends on. `commutes` says whether records do, and `needs` which
    /// things that were said to it the effect needs to have heard.
    pub(super) fn outlasts(
        self,
        actor: usize,
        effect: &Effect,
        memory: Index,
        commutes: bool,
        needs: impl FnOnce(Index) -> bool,
    ) -> bool {
        let is_recorded = effect.change != NONE;
        let reminds = is_recorded || effect.memory != memory;
        if !self.is_last() {
            return false;
        }
        if self.is(Self::flag(actor)) && (self.said() == NONE || needs(self.said())) {
            return false;
        }
        let is_in_order = commutes || !self.is(Self::RECORDS) || !is_recorded;
        let is_robust = !self.is(Self::FRAGILE) || !reminds;
        is_in_order && is_robust
    }

    /// The same step with its actors permuted, and what it said with them.
    pub(super) fn image(
        self,
        by: &Permutation,
        actors: usize,
        said: impl FnOnce(Index) -> Index,
    ) -> Self {
        // A flag that is shared goes wherever any of those goes who may have raised it.
        let others = (0..actors).filter(|other| self.is(Self::flag(*other)));
        let images = others.map(|other| Self::flag(usize::from(by.apply(other.into()))));
        let flags = self.0 & (Self::LAST | Self::RECORDS | Self::FRAGILE);
        let said = match self.said() {
            NONE => NONE,
            it => said(it),
        };
        Self::new(images.fold(flags, |all, flag| all | flag), said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateright::actor::Id;

    #[test]
    fn flags_that_are_shared_follow_all_who_share_them() {
        let group = Permutation::within(&[Id::vec_from([1usize, 2])], 40);
        let touched = Wake::new(Wake::LAST | Wake::flag(1), 7);
        assert!(Wake::flag(1) == Wake::flag(1 + Wake::FLAGS));
        let image = touched.image(&group[1], 40, |said| said + 1);
        assert_eq!(image.said(), 8);
        assert_eq!(touched.image(&group[1], 40, |_| 70_000).said(), NONE);
        assert!(image.is(Wake::flag(2)) && image.is(Wake::flag(1)) && image.is(Wake::LAST));
        let few = touched.image(&group[1], 5, |said| said);
        assert!(few.is(Wake::flag(2)) && !few.is(Wake::flag(1)));
    }

    #[test]
    fn a_step_that_sends_to_an_actor_does_not_outlast_its_steps() {
        let (from, to) = ([0, 0, 5, 6, 7], [0, 0, 4, 6, 8]);
        let wake = Wake::of(0, false, NONE, &from, &to);
        assert!(wake.is(Wake::flag(2)) && !wake.is(Wake::flag(1) | Wake::RECORDS));
        assert!(Wake::of(1, true, NONE, &from, &[1, 0, 5, 9, 7]).is(Wake::RECORDS));
    }
}
