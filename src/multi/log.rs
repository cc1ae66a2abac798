//! The log: slots, what stands in them, and the decided prefix.

use super::Request;
use crate::machine::Data;
use imbl::Vector;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A place in the log: one decree of the many (an *instance* in `[PMS §3]`). Counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Slot(pub u64);

impl Slot {
    /// No leader proposes so many slots beyond the first one that it has open, or more. So no more
    /// than these can be without a vote below one that has some, and nobody need keep entries
    /// further ahead.
    pub const SPAN_MAX: u64 = 1 << 20;

    /// The one after it. Slots do not run out: 2⁶⁴ of them at a million a second take 585,000
    /// years.
    #[must_use]
    pub fn next(self) -> Self {
        Slot(self.0.saturating_add(1))
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is chosen for a slot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Entry<C> {
    /// Nothing to do: fills a gap that a leader left.
    Noop,
    /// Clients' requests, in the order in which they are carried out. Shared, for the same entry is
    /// sent to many and kept by all.
    Batch(Arc<[Request<C>]>),
}

impl<C: Data> Entry<C> {
    /// How many bytes it takes, encoded.
    #[must_use]
    pub fn bytes(&self) -> usize {
        bytes(self)
    }
}

/// How many bytes something takes, encoded; what cannot be encoded fits nowhere.
pub(super) fn bytes(value: &impl Serialize) -> usize {
    postcard::experimental::serialized_size(value).unwrap_or(usize::MAX)
}

impl<C> Entry<C> {
    /// The requests in it.
    #[must_use]
    pub fn requests(&self) -> &[Request<C>] {
        match self {
            Entry::Noop => &[],
            Entry::Batch(requests) => requests,
        }
    }
}

impl<C: fmt::Debug> fmt::Display for Entry<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Noop => f.write_str("no-op"),
            Entry::Batch(requests) => {
                for (index, request) in requests.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "+" };
                    write!(f, "{separator}{request:?}")?;
                }
                Ok(())
            }
        }
    }
}

impl<C: fmt::Debug> fmt::Debug for Entry<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Decided entries without a gap, from the slot up to which a snapshot speaks for all before.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Log<C> {
    start: Slot,
    entries: Vector<Entry<C>>,
}

impl<C: Clone> Log<C> {
    /// An empty log that continues at a slot.
    #[must_use]
    pub fn from(start: Slot) -> Self {
        Self {
            start,
            entries: Vector::new(),
        }
    }

    /// The first slot that is there: those before were truncated.
    #[must_use]
    pub fn start(&self) -> Slot {
        self.start
    }

    /// The first slot that is not there yet.
    #[must_use]
    pub fn end(&self) -> Slot {
        Slot(self.start.0.saturating_add(self.entries.len() as u64))
    }

    /// The entries of the slots from a given one.
    pub fn since(&self, from: Slot) -> impl Iterator<Item = (Slot, &Entry<C>)> {
        let skipped = usize::try_from(from.0.saturating_sub(self.start.0)).unwrap_or(usize::MAX);
        // Each by its index: to skip would visit all before.
        (skipped..self.entries.len()).filter_map(|index| {
            let slot = Slot(self.start.0.saturating_add(index as u64));
            Some((slot, self.entries.get(index)?))
        })
    }

    /// The entry of a slot, if it is there.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&Entry<C>> {
        let index = slot.0.checked_sub(self.start.0)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// Appends the entry of the slot at the end.
    pub fn push(&mut self, entry: Entry<C>) {
        self.entries.push_back(entry);
    }
}

impl<C: fmt::Debug + Clone> fmt::Debug for Log<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {}", self.start)?;
        for entry in &self.entries {
            write!(f, " {entry}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::entry;
    use super::*;

    fn log(start: u64, letters: &str) -> Log<char> {
        let mut log = Log::from(Slot(start));
        for letter in letters.chars() {
            log.push(entry(&letter.to_string()));
        }
        log
    }

    fn since(log: &Log<char>, from: u64) -> Vec<(u64, String)> {
        let since = log.since(Slot(from));
        since
            .map(|(slot, entry)| (slot.0, entry.to_string()))
            .collect()
    }

    #[test]
    fn a_log_knows_the_slots_from_its_start_to_its_end() {
        let log = log(5, "ab");
        assert_eq!((log.start(), log.end()), (Slot(5), Slot(7)));
        let known = [4, 5, 6, 7, u64::MAX].map(|slot| log.get(Slot(slot)).cloned());
        let expected = [None, Some(entry("a")), Some(entry("b")), None, None];
        assert_eq!(known, expected);
    }

    #[test]
    fn slots_look_the_same_wherever_they_are_shown() {
        assert_eq!(format!("{0} {0:?}", Slot(7)), "[7] [7]");
    }

    #[test]
    fn entries_come_with_their_slots() {
        let log = log(5, "ab");
        let slots = |from| -> Vec<u64> { since(&log, from).iter().map(|it| it.0).collect() };
        assert_eq!(slots(0), [5, 6]);
        assert_eq!(slots(6), [6]);
        assert_eq!(slots(7), [0; 0]);
        assert_eq!(slots(u64::MAX), [0; 0]);
        assert_eq!(since(&log, 6)[0].1, entry("b").to_string());
    }

    #[test]
    fn a_log_at_the_end_of_numbers_can_be_read() {
        let log = log(u64::MAX, "a");
        assert_eq!(log.end(), Slot(u64::MAX));
        assert_eq!(since(&log, 0).len(), 1);
        assert_eq!(Slot(u64::MAX).next(), Slot(u64::MAX));
    }
}
