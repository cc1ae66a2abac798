//! The models' tests.

#[path = "mod.rs"]
mod models;

mod crosscheck;
