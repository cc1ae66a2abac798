//! Tests of the `synod` command as a user meets it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what helps tests may fail as they do"
)]

mod browser;
mod certify;
mod command;
mod kill;
mod pages;
mod run;
mod scenarios;
mod serve;
#[path = "../support.rs"]
mod support;
mod terminal;
mod transcripts;
