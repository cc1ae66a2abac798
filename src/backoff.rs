//! When to try again. Liveness only: nothing here sees a vote, a promise or a value.
//!
//! Two proposers that outbid each other without pause can go on for ever (`[PMS §2.4]`); that
//! randomised waits resolve the duel is as near to a guarantee as an asynchronous network allows.

use serde::Serialize;
use std::ops::Range;
use std::time::Duration;

/// How long to wait for an answer before the next attempt: exponential in the ballot's round.
///
/// The round is what grows with every failed attempt anywhere, so it serves as the exponent, and
/// no counter of attempts adds to the state that the checker explores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Backoff {
    /// The shortest wait. Longer than a round trip, or attempts cut themselves short.
    pub base: Duration,
    /// The wait doubles at most so many times.
    pub doublings_max: u32,
}

impl Default for Backoff {
    /// 20 ms, doubling up to six times: at most 1.3 s.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(20),
            doublings_max: 6,
        }
    }
}

impl Backoff {
    /// The range to draw the wait of an attempt in `round` from: `base` to `base · 2^round`.
    #[must_use]
    pub fn wait(&self, round: u64) -> Range<Duration> {
        let doublings =
            u32::try_from(round).map_or(self.doublings_max, |r| r.min(self.doublings_max));
        let longest = self
            .base
            .saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX));
        self.base..longest
    }

    /// The range for something repeated at a steady pace: `base` to `2 · base`.
    #[must_use]
    pub fn pace(&self) -> Range<Duration> {
        self.wait(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_the_round_and_levels_off() {
        let backoff = Backoff {
            base: Duration::from_millis(10),
            doublings_max: 3,
        };
        let longest: Vec<u128> = [1, 2, 3, 4, u64::MAX]
            .map(|round| backoff.wait(round).end.as_millis())
            .to_vec();
        assert_eq!(longest, [20, 40, 80, 80, 80]);
    }

    #[test]
    fn absurd_settings_do_not_overflow() {
        let backoff = Backoff {
            base: Duration::MAX,
            doublings_max: u32::MAX,
        };
        assert_eq!(backoff.wait(u64::MAX).end, Duration::MAX);
    }
}
