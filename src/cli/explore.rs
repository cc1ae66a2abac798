//! `synod explore`.

use super::args::ExploreArgs;
use super::model::Model;
use super::output::{Output, bold};
use super::scenarios::{Staged, link};
use super::{Error, Exit};
use crate::models::scenarios::Run;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use synod::checker::{System, World};

use stateright::Model as _;

pub(super) fn run(args: &ExploreArgs, output: &mut Output) -> Result<Exit, Error> {
    let model = args.protocol.model();
    let scenario = args.scenario.as_deref();
    let scenario = scenario.map(|name| stage(name, &model)).transpose()?;
    let model = scenario
        .as_ref()
        .map_or(model, |(staged, _)| staged.model.clone());
    model.validate()?;
    let address = free_address(&args.address)?;
    model.introduce(output)?;
    output.line(format_args!(
        "{} http://{address}/ (Ctrl-C ends it)",
        bold(format_args!("Exploring {} at", model.title()))
    ))?;
    if let Some((staged, run)) = &scenario {
        let (title, link) = (&staged.scenario.title, link(address, run));
        output.line(format_args!("{} {link}", bold(format_args!("{title}:"))))?;
    }
    model.serve(address)?;
    Err(Error::Other(format!(
        "the Explorer failed at {address} again and again; is another program using the port?"
    )))
}

/// The scenario of a name, and its run. It brings its own configuration: nothing but the protocol
/// may be asked for besides.
fn stage(name: &str, asked: &Model) -> Result<(Staged, Run), Error> {
    let staged = Staged::named(name)?;
    let protocol = staged.model.name();
    if asked.command() != protocol {
        return Err(Error::Other(format!(
            "--scenario {name} brings its own configuration: synod explore {protocol} --scenario \
             {name}"
        )));
    }
    let run = staged.play()?;
    Ok((staged, run))
}

/// The address to serve, known to be free: stateright would panic on one that is not.
fn free_address(address: &str) -> Result<SocketAddr, Error> {
    let what = "--address takes HOST:PORT, such as 127.0.0.1:3000";
    let resolved = address.to_socket_addrs();
    let first = resolved.map(|mut addresses| addresses.next());
    let Ok(Some(first)) = first else {
        return Err(Error::Other(format!("{what}, not {address}")));
    };
    let listener = TcpListener::bind(first).map_err(|error| {
        Error::Other(format!(
            "cannot serve {first}: {error}; choose another with --address, port 0 for any free one"
        ))
    })?;
    listener.local_addr().map_err(Error::other)
}

/// Serves the Explorer for ever.
///
/// stateright's server panics when a browser hangs up in the middle of an answer, so it is begun
/// again whenever it ends; a page's address holds all that the page shows, and stays good.
pub(super) fn serve<S: System>(address: SocketAddr, world: impl Fn() -> World<S>) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut failures_in_a_row = 0;
    while failures_in_a_row < 10 {
        let start = std::time::Instant::now();
        let served = catch_unwind(AssertUnwindSafe(|| {
            world().checker().serve(address);
        }));
        let lasted = start.elapsed() > Duration::from_secs(1);
        failures_in_a_row = if lasted || served.is_ok() {
            0
        } else {
            failures_in_a_row + 1
        };
        std::thread::sleep(Duration::from_millis(20));
    }
    std::panic::set_hook(report);
}
