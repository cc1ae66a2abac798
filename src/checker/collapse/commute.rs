//! The choice of one order of two independent steps.

use super::super::permutation::Permutation;
use super::numbered::CELLS;
use super::successors::Effect;
use super::table::{Index, NONE};

/// An actor's last step before a state, as flags: whether it can be the very last step, that is,
/// whether it leads to this state from another, and the facts on which that depends.
///
/// Let a step *a* lead from *p* to *t*, and *b*, of another actor, from *t* to *u*. If *a* sent
/// nothing to the actor of *b*, or nothing that *b* needs, then *b* could be taken at *p* already;
/// and *a* after it, for what others send takes no step away (and what they make the observer
/// forget does not either, if *a* used no message that may be irrelevant by then). Both orders lead
/// to *u*, in as many steps: *a* can be the last step before *u* too. (If all that *a* does is to
/// say again what the actor of *b* is deaf to after *b*, then *u* is where *b* leads from *p*, one
/// level above. A fused step that counts only for what its last step says, but has moved before
/// that, does not commute with such a *b*: [`LastStep::of`] is told that it said more than one
/// thing.) It is enough to take one of the two as the last: the one whose actor comes last. For
/// actors that a permutation maps to one another, the looks of their cells in *u* decide that, so
/// that it does not depend on how they are called; for others, their numbers do.
///
/// No state is lost, and none is found later. Among the steps to *u* from all states one level
/// above, consider one whose actor comes last. The search takes it; otherwise there would be a step
/// to *u* from that level whose actor comes even later.
///
/// The step is written as one number. The lower half is the number of what it said, if it said one
/// thing, to one actor or to many, changed no cell but its own in any other way, and counts whoever
/// hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastStep(u32);

impl LastStep {
    /// The flag of a step that can be the last.
    const LAST: u32 = 1 << 31;
    /// The flag of a step that changed the history.
    const CHANGES_HISTORY: u32 = 1 << 30;
    /// The flag of a step that may have used a message that another step would have made
    /// irrelevant.
    const FRAGILE: u32 = 1 << 29;
    /// The number of flags, below the others, for the other actors whose cells the step changed.
    const FLAGS: usize = 13;
    /// The signature of a step that said more than one thing, or something whose number is too
    /// large, or nothing.
    const UNSAID: u32 = 0xFFFF;
    /// The word if no last step is known.
    pub(super) const NONE: Self = Self(Self::UNSAID);

    /// Returns the flag of an actor, which it may share with others if there are many.
    #[inline]
    fn flag(actor: usize) -> u32 {
        1 << (16 + actor % Self::FLAGS)
    }

    fn new(flags: u32, said: Index) -> Self {
        Self(flags | said.min(Self::UNSAID))
    }

    /// Describes a step of `actor` from one state to another. It is fragile if the inbox held
    /// messages that may be irrelevant, and `said` is the one thing that it said, or [`NONE`].
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
        let changes_history = if from[0] != to[0] {
            Self::CHANGES_HISTORY
        } else {
            0
        };
        let fragile = if is_fragile { Self::FRAGILE } else { 0 };
        Self::new(Self::LAST | changes_history | fragile | touched, said)
    }

    /// Returns the step as a number.
    pub(super) fn word(self) -> u32 {
        self.0
    }

    /// Reads the numbers of last steps.
    pub(super) fn read(words: &[u32]) -> impl Iterator<Item = Self> {
        words.iter().map(|word| Self(*word))
    }

    /// Returns the number of the one thing that the step said, or [`NONE`].
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

    /// Returns whether a last step is known.
    #[inline]
    pub(super) fn is_last(self) -> bool {
        self.is(Self::LAST)
    }

    /// Returns whether the step can be the last even after an effect of `actor`, whose cell had the
    /// part `memory` that the observer's memory depends on. `commutes` tells whether records
    /// commute, and `needs` whether the effect needs to have heard a thing that was said to the
    /// actor.
    pub(super) fn stays_last(
        self,
        actor: usize,
        effect: &Effect,
        forget_input: Index,
        commutes: bool,
        needs: impl FnOnce(Index) -> bool,
    ) -> bool {
        let is_recorded = effect.change != NONE;
        let may_forget = is_recorded || effect.forget_input != forget_input;
        if !self.is_last() {
            return false;
        }
        if self.is(Self::flag(actor)) && (self.said() == NONE || needs(self.said())) {
            return false;
        }
        let is_in_order = commutes || !self.is(Self::CHANGES_HISTORY) || !is_recorded;
        let is_robust = !self.is(Self::FRAGILE) || !may_forget;
        is_in_order && is_robust
    }

    /// Returns the same step with its actors permuted, and what it said with them.
    pub(super) fn image(
        self,
        by: &Permutation,
        actors: usize,
        said: impl FnOnce(Index) -> Index,
    ) -> Self {
        // A shared flag goes to the images of all actors that may have raised it.
        let others = (0..actors).filter(|other| self.is(Self::flag(*other)));
        let images = others.map(|other| Self::flag(usize::from(by.apply(other.into()))));
        let flags = self.0 & (Self::LAST | Self::CHANGES_HISTORY | Self::FRAGILE);
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
        let touched = LastStep::new(LastStep::LAST | LastStep::flag(1), 7);
        assert!(LastStep::flag(1) == LastStep::flag(1 + LastStep::FLAGS));
        let image = touched.image(&group[1], 40, |said| said + 1);
        assert_eq!(image.said(), 8);
        assert_eq!(touched.image(&group[1], 40, |_| 70_000).said(), NONE);
        assert!(
            image.is(LastStep::flag(2)) && image.is(LastStep::flag(1)) && image.is(LastStep::LAST)
        );
        let few = touched.image(&group[1], 5, |said| said);
        assert!(few.is(LastStep::flag(2)) && !few.is(LastStep::flag(1)));
    }

    #[test]
    fn a_step_that_sends_to_an_actor_is_not_last_after_its_steps() {
        let (from, to) = ([0, 0, 5, 6, 7], [0, 0, 4, 6, 8]);
        let last = LastStep::of(0, false, NONE, &from, &to);
        assert!(
            last.is(LastStep::flag(2)) && !last.is(LastStep::flag(1) | LastStep::CHANGES_HISTORY)
        );
        assert!(LastStep::of(1, true, NONE, &from, &[1, 0, 5, 9, 7]).is(LastStep::CHANGES_HISTORY));
    }
}
