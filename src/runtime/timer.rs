//! What is to happen at a later time: timers, random choices, datagrams held back.

use rand::Rng;
use rand::rngs::SmallRng;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Items and the time at which each is due. A plain vector: an actor has two to ten timers, and
/// scanning so few is faster than any tree.
pub(super) struct Schedule<T> {
    items: Vec<(Instant, T)>,
}

impl<T> Schedule<T> {
    pub(super) fn new() -> Self {
        Schedule { items: Vec::new() }
    }

    /// Adds an item that is due `after` from now. A time that the clock cannot express never
    /// comes, so such an item is not kept.
    pub(super) fn add(&mut self, now: Instant, after: Duration, item: T) {
        if let Some(at) = now.checked_add(after) {
            self.items.push((at, item));
        }
    }

    /// Removes the items that match.
    pub(super) fn remove(&mut self, matches: impl Fn(&T) -> bool) {
        self.items.retain(|(_, item)| !matches(item));
    }

    /// When the earliest item is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.items.iter().map(|(at, _)| *at).min()
    }

    /// Takes the earliest item that is due, if there is one. Of two that are due at the same time
    /// the one added first comes first.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<T> {
        let (index, (at, _)) = self
            .items
            .iter()
            .enumerate()
            .min_by_key(|(_, (at, _))| *at)?;
        (*at <= now).then(|| self.items.remove(index).1)
    }
}

/// A duration drawn uniformly from the range; its start if the range is empty or inverted.
pub(super) fn draw(rng: &mut SmallRng, range: Range<Duration>) -> Duration {
    if range.is_empty() {
        range.start
    } else {
        rng.random_range(range)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn items_come_when_due_and_in_order() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        schedule.add(start, 3 * MS, 'c');
        schedule.add(start, MS, 'a');
        schedule.add(start, MS, 'b');
        assert_eq!(schedule.next(), Some(start + MS));
        assert_eq!(schedule.pop_due(start), None);
        assert_eq!(schedule.pop_due(start + MS), Some('a'));
        assert_eq!(schedule.pop_due(start + MS), Some('b'));
        assert_eq!(schedule.pop_due(start + MS), None);
        assert_eq!(schedule.pop_due(start + 4 * MS), Some('c'));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_removed_item_never_comes() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        schedule.add(start, MS, 'a');
        schedule.add(start, MS, 'b');
        schedule.remove(|item| *item == 'a');
        assert_eq!(schedule.pop_due(start + MS), Some('b'));
        assert_eq!(schedule.pop_due(start + MS), None);
    }

    #[test]
    fn a_time_beyond_the_clock_is_never() {
        let mut schedule = Schedule::new();
        schedule.add(Instant::now(), Duration::MAX, ());
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
