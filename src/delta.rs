//! Durable state as a sequence of changes: what is written is what changed, not all there is.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Durable state that is saved by what changed.
///
/// The law: the changes from `before` to `after`, applied to `before` one by one in their order,
/// give `after`. The changes from nothing are therefore all of the state, in as many pieces as it
/// likes. [`Delta::reaches`] is the law, to be tested.
///
/// What [`changes`](Delta::changes) costs should grow with the change and not with the state: it is
/// called for every save. Share what is large (behind an [`Arc`](std::sync::Arc), say) and compare
/// pointers.
pub trait Delta: Sized {
    /// One change.
    type Change: Serialize + DeserializeOwned;

    /// What leads from `before` (nothing, at first) to `self`, in order; empty if nothing changed.
    fn changes(&self, before: Option<&Self>) -> Vec<Self::Change>;

    /// `before` with one change applied; `None` if the change does not fit, which is damage.
    fn apply(before: Option<Self>, change: Self::Change) -> Option<Self>;

    /// Applies changes in their order; `None` if there are none and there was nothing before, or
    /// if one does not fit.
    fn replay(
        before: Option<Self>,
        changes: impl IntoIterator<Item = Self::Change>,
    ) -> Option<Self> {
        let mut changes = changes.into_iter();
        changes.try_fold(before, |state, change| Self::apply(state, change).map(Some))?
    }

    /// Whether the changes from `before` to `self` lead there, and those from nothing as well.
    fn reaches(&self, before: Option<&Self>) -> bool
    where
        Self: Clone + PartialEq,
    {
        let replayed = |start: Option<&Self>| Self::replay(start.cloned(), self.changes(start));
        replayed(before).as_ref() == Some(self) && replayed(None).as_ref() == Some(self)
    }
}

/// The changes of a small state that is written as a whole: itself, unless it is as before.
pub fn whole<S: Clone + PartialEq>(state: &S, before: Option<&S>) -> Vec<S> {
    if before == Some(state) {
        Vec::new()
    } else {
        vec![state.clone()]
    }
}

/// Implements [`Delta`] for small types that are written as a whole.
macro_rules! delta_of_small {
    ($($type:ty),*) => {$(
        impl Delta for $type {
            type Change = Self;

            fn changes(&self, before: Option<&Self>) -> Vec<Self> {
                whole(self, before)
            }

            fn apply(_: Option<Self>, change: Self) -> Option<Self> {
                Some(change)
            }
        }
    )*};
}

delta_of_small!((), bool, u8, u16, u32, u64, usize, String);

#[cfg(test)]
mod tests {
    use super::*;

    /// Grows, and never shrinks; all of it can be compared without being copied.
    #[derive(Clone, Debug, PartialEq)]
    struct Log(Vec<char>);

    impl Delta for Log {
        type Change = (usize, char);

        fn changes(&self, before: Option<&Self>) -> Vec<(usize, char)> {
            let known = before.map_or(0, |log| log.0.len());
            let new = self.0.iter().copied().enumerate();
            new.skip(known).collect()
        }

        fn apply(before: Option<Self>, (at, item): (usize, char)) -> Option<Self> {
            let mut log = before.unwrap_or(Log(Vec::new()));
            log.0.push(item);
            (log.0.len() == at + 1).then_some(log)
        }
    }

    #[test]
    fn changes_lead_from_one_state_to_the_other() {
        let [before, after] = ["ab", "abcd"].map(|text| Log(text.chars().collect()));
        assert_eq!(after.changes(Some(&before)), [(2, 'c'), (3, 'd')]);
        assert!(after.reaches(Some(&before)));
        assert!(after.reaches(None));
        // This log cannot shrink, and the law says so.
        assert!(!before.reaches(Some(&after)));
    }

    #[test]
    fn a_change_that_does_not_fit_is_no_state() {
        let log = Log(vec!['a']);
        assert_eq!(Log::replay(Some(log.clone()), [(1, 'b'), (3, 'c')]), None);
        let longer = Log::replay(Some(log), [(1, 'b')]);
        assert_eq!(longer, Some(Log(vec!['a', 'b'])));
        assert_eq!(Log::replay(None, []), None);
    }

    #[test]
    fn a_small_state_is_written_as_a_whole_and_only_if_it_changed() {
        assert_eq!(7_u32.changes(None), [7]);
        assert_eq!(7_u32.changes(Some(&6)), [7]);
        assert!(7_u32.changes(Some(&7)).is_empty());
        assert!(7_u32.reaches(Some(&6)) && 7_u32.reaches(Some(&7)));
    }
}
