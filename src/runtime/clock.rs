//! The clock that actors may read: monotonic, and imagined where everything else is.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

thread_local! {
    /// What the clock of the process shows whose step is being imagined on this thread.
    static IMAGINED: Cell<Option<u64>> = const { Cell::new(None) };
    /// What the clock of a step that is replayed on this thread is still to show.
    static REPLAYED: RefCell<Option<VecDeque<u64>>> = const { RefCell::new(None) };
    /// What a step that is recorded on this thread has read.
    static NOTED: RefCell<Option<Vec<u64>>> = const { RefCell::new(None) };
}

/// Microseconds by a clock that never runs backwards, counted from some moment that is another one
/// in every process of the operating system. Within a
/// [`simulator`](super::simulator)'s step it is the clock of the process that takes the step, and
/// within a [`replay`] it shows what was recorded.
///
/// It neither depends on the time of day nor follows it. A machine that is suspended may stop it:
/// so never compare its readings with those of another machine, but as far as rates go.
#[must_use]
pub fn now_us() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let real = || microseconds(START.get_or_init(Instant::now).elapsed());
    let replayed = REPLAYED.with_borrow_mut(|left| {
        let next = left.as_mut().map(VecDeque::pop_front);
        // A step that reads more often than it was recorded to is told the wrong time, and its
        // replay that it did.
        if next == Some(None) {
            *left = None;
        }
        next.map(Option::unwrap_or_default)
    });
    let shown = replayed.unwrap_or_else(|| IMAGINED.get().unwrap_or_else(real));
    NOTED.with_borrow_mut(|noted| noted.iter_mut().for_each(|noted| noted.push(shown)));
    shown
}

/// Has the clock show these readings, one after the other, for as long as `step` takes. Says as
/// well whether the step read just these.
pub fn replay<T>(readings: &[u64], step: impl FnOnce() -> T) -> (T, bool) {
    /// Also if the step panics: the thread may go on.
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            REPLAYED.set(None);
        }
    }
    REPLAYED.set(Some(readings.iter().copied().collect()));
    let _back = Back;
    let result = step();
    let is_exact = REPLAYED.take().is_some_and(|left| left.is_empty());
    (result, is_exact)
}

/// From now on readings are noted on this thread.
pub(super) fn note() {
    NOTED.set(Some(Vec::new()));
}

/// What was noted; no more is.
pub(super) fn noted() -> Vec<u64> {
    NOTED.take().unwrap_or_default()
}

/// Has the clock show a time for as long as `step` takes.
pub(super) fn imagine<T>(shown: u64, step: impl FnOnce() -> T) -> T {
    /// Also if the step panics: the thread may go on.
    struct Back(Option<u64>);
    impl Drop for Back {
        fn drop(&mut self) {
            IMAGINED.set(self.0);
        }
    }
    let _back = Back(IMAGINED.replace(Some(shown)));
    step()
}

/// A duration in microseconds; 2⁶⁴ of them are 584,000 years.
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
