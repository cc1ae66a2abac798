//! Tests of the runtime over real sockets, and of what the fuzzer found.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what helps tests may fail as they do"
)]

mod corpus;
mod udp;
