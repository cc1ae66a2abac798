//! The monotonic clock that actors may read. In a simulation it is simulated.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

thread_local! {
    /// The reading of a simulated process whose step runs on this thread.
    static IMAGINED: Cell<Option<u64>> = const { Cell::new(None) };
    /// The readings that are left to a step that is replayed on this thread.
    static REPLAYED: RefCell<Option<VecDeque<u64>>> = const { RefCell::new(None) };
    /// The readings of a step that is recorded on this thread.
    static NOTED: RefCell<Option<Vec<u64>>> = const { RefCell::new(None) };
}

/// Reads a clock in microseconds. It never runs backwards, and counts from the first reading in a
/// process of the operating system. In a step of a [`simulator`](super::simulator) it is the clock
/// of the simulated process, and in a [`replay`] it shows the recorded readings.
///
/// It does not depend on the time of day. It may stop while the machine is suspended. So do not
/// compare its readings with those of another machine, except for their rates.
#[must_use]
pub fn now_us() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let real = || microseconds(START.get_or_init(Instant::now).elapsed());
    let replayed = REPLAYED.with_borrow_mut(|left| {
        let next = left.as_mut().map(VecDeque::pop_front);
        // A step that reads more often than was recorded gets a wrong time, and `replay` says so.
        if next == Some(None) {
            *left = None;
        }
        next.map(Option::unwrap_or_default)
    });
    let shown = replayed.unwrap_or_else(|| IMAGINED.get().unwrap_or_else(real));
    NOTED.with_borrow_mut(|noted| noted.iter_mut().for_each(|noted| noted.push(shown)));
    shown
}

/// Runs a step during which the clock shows these readings, one after the other. Also returns
/// whether the step read exactly these.
pub fn replay<T>(readings: &[u64], step: impl FnOnce() -> T) -> (T, bool) {
    REPLAYED.set(Some(readings.iter().copied().collect()));
    let _end = AtLast(|| REPLAYED.set(None));
    let result = step();
    let is_exact = REPLAYED.take().is_some_and(|left| left.is_empty());
    (result, is_exact)
}

/// Begins to record the readings on this thread.
pub(super) fn note() {
    NOTED.set(Some(Vec::new()));
}

/// Ends the recording, and returns it.
pub(super) fn noted() -> Vec<u64> {
    NOTED.take().unwrap_or_default()
}

/// Runs a step during which the clock shows a time.
pub(super) fn imagine<T>(shown: u64, step: impl FnOnce() -> T) -> T {
    let before = IMAGINED.replace(Some(shown));
    let _back = AtLast(|| IMAGINED.set(before));
    step()
}

/// A guard that calls a function when it goes out of scope, even if a step panics.
struct AtLast<F: Fn()>(F);

impl<F: Fn()> Drop for AtLast<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Returns a duration in microseconds, of which 2⁶⁴ are 584,000 years.
pub(super) fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replayed_step_reads_what_was_noted_and_is_found_out_if_it_reads_otherwise() {
        note();
        let read = imagine(7, || [now_us(), now_us()]);
        let noted = noted();
        assert_eq!(noted, read);
        let again = |times| replay(&noted, || (0..times).map(|_| now_us()).max()).1;
        assert_eq!([1, 2, 3, 4].map(again), [false, true, false, false]);
        assert_eq!(replay(&[5, 9], || [now_us(), now_us()]), ([5, 9], true));
    }

    #[test]
    fn the_clock_shows_what_is_imagined_and_then_the_real_time_again() {
        let before = now_us();
        let shown = imagine(u64::MAX, || (now_us(), imagine(7, now_us), now_us()));
        assert_eq!(shown, (u64::MAX, 7, u64::MAX));
        let panicked = std::panic::catch_unwind(|| imagine(7, || panic!("on purpose")));
        assert!(panicked.is_err());
        let after = now_us();
        assert!(before <= after && after < u64::MAX);
        std::thread::sleep(Duration::from_millis(2));
        assert!(now_us() >= after + 2_000);
    }
}
