//! The counts that the threads of a search share, and the bounds that it is kept to.

use super::super::memory;
use super::super::report::{Bound, Limits, Progress};
use super::numbered::Numbered;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// The counts and flags that the threads of a search share.
#[derive(Default)]
pub(super) struct Shared {
    stop: AtomicBool,
    is_full: AtomicBool,
    has_violation: AtomicBool,
    unique: AtomicUsize,
    transitions: AtomicUsize,
    states_max: usize,
    bytes_max: usize,
    /// Whether one order of two independent steps is enough.
    pub(super) commutes: bool,
    unsound: OnceLock<String>,
}

impl Shared {
    pub(super) fn new(limits: &Limits, model: &dyn Numbered) -> Self {
        Self {
            states_max: limits.states_max.unwrap_or(usize::MAX),
            bytes_max: limits.bytes_max.unwrap_or(usize::MAX),
            // A step that advances a clock is enabled by others' steps: it may not come before.
            commutes: limits.commutes && model.setting().clocks.is_none(),
            ..Self::default()
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn stop_for_memory(&self) {
        self.is_full.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// Returns whether the search has nothing left to do: it was stopped, or a property was
    /// violated.
    pub(super) fn is_over(&self) -> bool {
        self.is_stopped() || self.has_violation.load(Ordering::Relaxed)
    }

    pub(super) fn note_violation(&self) {
        self.has_violation.store(true, Ordering::Relaxed);
    }

    /// Counts new states.
    pub(super) fn count(&self, new: usize) {
        let before = self.unique.fetch_add(new, Ordering::Relaxed);
        if before + new >= self.states_max {
            self.stop();
        }
    }

    /// Counts steps.
    pub(super) fn count_transitions(&self, taken: usize) {
        self.transitions.fetch_add(taken, Ordering::Relaxed);
    }

    pub(super) fn may_grow_by(&self, bytes: usize) -> bool {
        memory::resident().is_none_or(|mine| mine.saturating_add(bytes) <= self.bytes_max)
    }

    /// Stops the search because a claim of the model is false.
    pub(super) fn refute(&self, reason: String) {
        let _ = self.unsound.set(reason);
        self.stop();
    }

    /// Returns the claim that is false, if one was found.
    pub(super) fn unsound(&self) -> Option<&str> {
        self.unsound.get().map(String::as_str)
    }

    /// Returns the bound that stopped a search that got so far.
    pub(super) fn bound(&self, reached: &Progress) -> Option<Bound> {
        self.is_stopped().then(|| {
            if self.is_full.load(Ordering::Relaxed) {
                Bound::Memory
            } else if reached.unique_states >= self.states_max {
                Bound::States
            } else {
                Bound::Time
            }
        })
    }
}

/// Keeps a search to its bounds, and reports its progress.
pub(super) struct Watch<'a> {
    limits: &'a Limits,
    model: &'a dyn Numbered,
    shared: &'a Shared,
    begun: Instant,
    /// The memory of the process when the search began, in bytes, and the most since.
    before: Option<usize>,
    peak: Option<usize>,
    progress: &'a mut dyn FnMut(Progress),
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        limits: &'a Limits,
        model: &'a dyn Numbered,
        shared: &'a Shared,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Self {
        Self {
            limits,
            model,
            shared,
            begun: Instant::now(),
            before: memory::resident(),
            peak: None,
            progress,
        }
    }

    /// Reports progress, and stops the search if it met a bound.
    pub(super) fn tick(&mut self, depth: usize, frontier: usize) -> Progress {
        let resident = memory::resident();
        self.peak = self.peak.max(resident);
        let now = Progress {
            unique_states: self.shared.unique.load(Ordering::Relaxed),
            transitions: self.shared.transitions.load(Ordering::Relaxed),
            depth,
            frontier,
            bytes: resident,
            elapsed: self.begun.elapsed(),
        };
        let is_late = self.limits.timeout.is_some_and(|max| now.elapsed >= max);
        let is_wide = now.unique_states >= self.shared.states_max;
        if is_late || is_wide || self.model.unsoundness().is_some() {
            self.shared.stop();
        }
        if !self.shared.may_grow_by(0) {
            self.shared.stop_for_memory();
        }
        (self.progress)(now);
        now
    }

    /// Returns the memory that the search took, in bytes.
    pub(super) fn bytes(&self) -> Option<usize> {
        let both = self.peak.zip(self.before);
        both.map(|(peak, before)| peak.saturating_sub(before))
    }
}
