//! The clock that actors may read: monotonic, and imagined where everything else is.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

thread_local! {
    /// What the clock of the process shows whose step is being imagined on this thread.
    static IMAGINED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Microseconds by a clock that never runs backwards, counted from some moment that is another one
/// in every process of the operating system. Within a
/// [`simulator`](super::simulator)'s step it is the clock of the process that takes the step.
///
/// It neither depends on the time of day nor follows it. A machine that is suspended may stop it:
/// so never compare its readings with those of another machine, but as far as rates go.
#[must_use]
pub fn now_us() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let real = || microseconds(START.get_or_init(Instant::now).elapsed());
    IMAGINED.get().unwrap_or_else(real)
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
