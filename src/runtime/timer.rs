//! A schedule of later events: timers, random choices, delayed datagrams.
//!
//! Times are durations since a moment that the driver of the node chooses. So nothing here reads a
//! clock, and simulated time works as well.

use rand::Rng;
use rand::rngs::SmallRng;
use std::ops::Range;
use std::time::Duration;

/// Items, and the time at which each is due. It is a vector that knows its minimum: an actor has
/// two to ten timers, and to scan so few is faster than a tree.
pub(super) struct Schedule<T> {
    items: Vec<(Duration, T)>,
    next: Option<Duration>,
}

impl<T> Schedule<T> {
    pub(super) fn new() -> Self {
        Schedule {
            items: Vec::new(),
            next: None,
        }
    }

    /// Adds an item that is due `after` from now. An item is not kept if a duration cannot express
    /// its time, which never comes.
    pub(super) fn add(&mut self, now: Duration, after: Duration, item: T) {
        if let Some(at) = now.checked_add(after) {
            self.items.push((at, item));
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
    }

    /// Removes the items that match.
    pub(super) fn remove(&mut self, matches: impl Fn(&T) -> bool) {
        let before = self.items.len();
        self.items.retain(|(_, item)| !matches(item));
        if self.items.len() < before {
            self.find_next();
        }
    }

    /// Returns the time at which the earliest item is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.next
    }

    /// Returns the number of items.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns the number of items that are due.
    pub(super) fn due(&self, now: Duration) -> usize {
        if self.next.is_none_or(|next| next > now) {
            return 0;
        }
        self.items.iter().filter(|(at, _)| *at <= now).count()
    }

    /// Takes the earliest item that is due. Of items with the same time the one added first comes
    /// first.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<T> {
        if self.next? > now {
            return None;
        }
        let earliest = self.items.iter().enumerate();
        let (index, _) = earliest.min_by_key(|(_, (at, _))| *at)?;
        let (_, item) = self.items.remove(index);
        self.find_next();
        Some(item)
    }

    fn find_next(&mut self) {
        self.next = self.items.iter().map(|(at, _)| *at).min();
    }
}

/// Draws a duration uniformly from a range. Returns the start of an empty or inverted range.
pub(super) fn draw(rng: &mut SmallRng, range: Range<Duration>) -> Duration {
    if range.is_empty() {
        range.start
    } else {
        rng.random_range(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const MS: Duration = Duration::from_millis(1);
    const START: Duration = Duration::from_secs(5);

    #[test]
    fn items_come_when_due_and_in_order() {
        let mut schedule = Schedule::new();
        schedule.add(START, 3 * MS, 'c');
        schedule.add(START, MS, 'a');
        schedule.add(START, MS, 'b');
        assert_eq!(schedule.next(), Some(START + MS));
        assert_eq!((schedule.due(START), schedule.pop_due(START)), (0, None));
        assert_eq!((schedule.due(START + MS), schedule.len()), (2, 3));
        assert_eq!(schedule.pop_due(START + MS), Some('a'));
        assert_eq!(schedule.pop_due(START + MS), Some('b'));
        assert_eq!(schedule.pop_due(START + MS), None);
        assert_eq!(schedule.pop_due(START + 4 * MS), Some('c'));
        assert_eq!((schedule.next(), schedule.due(START * 2)), (None, 0));
    }

    #[test]
    fn a_removed_item_never_comes_and_is_not_waited_for() {
        let mut schedule = Schedule::new();
        schedule.add(START, MS, 'a');
        schedule.add(START, 2 * MS, 'b');
        schedule.remove(|item| *item == 'a');
        assert_eq!(schedule.next(), Some(START + 2 * MS));
        assert_eq!(schedule.pop_due(START + 2 * MS), Some('b'));
        assert_eq!(schedule.pop_due(START + 2 * MS), None);
    }

    #[test]
    fn a_time_beyond_the_clock_is_never() {
        let mut schedule = Schedule::new();
        schedule.add(START, Duration::MAX, ());
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_drawn_duration_is_spread_over_its_range() {
        let mut rng = SmallRng::seed_from_u64(1);
        let drawn: Vec<_> = (0..200).map(|_| draw(&mut rng, MS..5 * MS)).collect();
        assert!(drawn.iter().all(|duration| (MS..5 * MS).contains(duration)));
        assert!(drawn.iter().any(|duration| *duration < 2 * MS));
        assert!(drawn.iter().any(|duration| *duration > 4 * MS));
    }

    #[test]
    fn an_empty_or_inverted_range_gives_its_start() {
        let mut rng = SmallRng::seed_from_u64(1);
        assert_eq!(draw(&mut rng, MS..MS), MS);
        assert_eq!(draw(&mut rng, 2 * MS..MS), 2 * MS);
        assert!(draw(&mut rng, Duration::ZERO..Duration::MAX) <= Duration::MAX);
    }
}
