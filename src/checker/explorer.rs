//! The stateright Explorer over a [`World`].

use super::{System, World};
use stateright::Model;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Servers that fail at once, one after the other, before [`serve`] gives up.
const FAILURES_MAX: u32 = 10;

/// Serves the Explorer until it fails again and again, as it does if the port is taken.
///
/// stateright's server panics when a browser hangs up in the middle of an answer, so it is started
/// again whenever it ends; a page's address holds all that the page shows, and stays good.
pub fn serve<S: System>(address: SocketAddr, world: impl Fn() -> World<S>) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut failures = 0;
    while failures < FAILURES_MAX {
        let start = Instant::now();
        let served = catch_unwind(AssertUnwindSafe(|| {
            world().checker().serve(address);
        }));
        let is_failure = served.is_err() && start.elapsed() <= Duration::from_secs(1);
        failures = if is_failure { failures + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(20));
    }
    std::panic::set_hook(report);
}
