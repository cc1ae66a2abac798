//! Judges what was seen of a run, knowing nothing of how it came about.

pub mod history;
