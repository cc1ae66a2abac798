//! What limits a leader.

use serde::Serialize;

/// What limits a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Limits {
    /// No ballot is started in a higher round: `u64::MAX` in earnest, a few in a model.
    pub round_max: u64,
    /// How many slots there are: `u64::MAX` in earnest, a few in a model.
    pub slots: u64,
    /// How many rounds of heartbeats reads may ask for in one ballot: `u64::MAX` in earnest, a few
    /// in a model.
    pub heartbeats_max: u64,
    /// How far a leader may propose beyond the first slot that it has open (α in `[PMS §3]`);
    /// never as far as [`Slot::SPAN_MAX`](crate::multi::Slot::SPAN_MAX).
    pub window: usize,
    /// Whether requests wait for others to share a slot with, as in Nagle's algorithm: a slot that
    /// is not full is proposed for only while none is under way, and only once all that has arrived
    /// was looked at. So batches grow with the load, and nobody waits longer than for one slot.
    pub gathers: bool,
    /// How many requests one slot takes.
    pub batch_max: usize,
    /// How many bytes of requests, entries or votes one message takes, if more than one is in it.
    pub bytes_max: usize,
    /// How many requests may wait for room, and how many reads for an answer; the rest are refused
    /// silently, and come again.
    pub queue_max: usize,
}

impl Default for Limits {
    /// Only what keeps a cluster swift: 8 slots under way, 256 requests in each, 4,096 waiting.
    fn default() -> Self {
        Self {
            round_max: u64::MAX,
            slots: u64::MAX,
            heartbeats_max: u64::MAX,
            window: 8,
            gathers: true,
            batch_max: 256,
            bytes_max: 1_200,
            queue_max: 4_096,
        }
    }
}
