//! Judges recorded runs and histories without trust in the programs that produced them.
//!
//! [`history`] judges what clients were told: replies that a single machine could have given. The
//! rest judges nodes: [`certify`] takes what each of them recorded
//! ([`Recorder`](crate::runtime::Recorder)) and checks the [`Rule`]s of three judges.
//!
//! - **Causality.** The steps have an order in which every message was sent before it was received.
//! - **The model.** The actors of this crate, which the checker explores, save and send just what
//!   was recorded if they are fed with the same events.
//! - **The protocol.** All promises, proposals, votes and decisions, in that order, are a run of
//!   the system that is proved in `proofs/Core.v`. The events are those of `proofs/Check.v`, and
//!   [`judge`] mirrors its guards; [`Report::events`] is for the checker that is extracted from the
//!   proof. The events follow from what the nodes sent and saved, not from the replay, so that this
//!   verdict holds for any program.
//!
//! A certified run cannot have decided two values in one slot, and no continuation of it that
//! conforms to the protocol ever will (`Check.Lasting`).
//!
//! # A trace
//! A trace is one file per process, as the [`Recorder`](crate::runtime::Recorder) writes it: lines
//! of JSON, of which the first names the run ([`Run`]), again at each start of the process, and the
//! others are steps. Here node 1 promises, votes, and restarts from its disk:
//!
//! ```json
//! {"run":{"cluster":7,"nodes":3,"protocol":"basic"}}
//! {"node":1,"us":0,"event":{"start":[]},"clock":[],"saves":null,"sends":[[0,"Ask"],[2,"Ask"]]}
//! {"node":1,"us":310,"event":{"message":[0,{"Prepare":{"ballot":{"round":1,"node":0}}}]},
//!  "clock":[],"saves":[{"acceptor":{"promised":{"round":1,"node":0},"vote":null},
//!  "ballot":null,"decided":null}],
//!  "sends":[[0,{"Promise":{"ballot":{"round":1,"node":0},"vote":null}}]]}
//! ...
//! {"run":{"cluster":7,"nodes":3,"protocol":"basic"}}
//! {"node":1,"us":0,"event":{"start":[{"acceptor":..,"ballot":null,"decided":null}]},..}
//! ```
//!
//! (A step takes one line, which is folded here.) The events of these steps are, in the language of
//! `proofs/driver/trace.ml`:
//!
//! ```text
//! promised 1 1.0 0
//! voted 1 0 1.0 0
//! restarted 1 1.0 0 1.0 0
//! ```
//!
//! # What is not judged
//! - Leases, reads and replies are replayed, but the proof does not speak of them.
//! - Clients are not replayed, and may request any value.
//! - Slots that come with a snapshot are learned by the nodes that decided them.
//! - The later parts of a promise are replayed, and their votes are taken from the disk.
//!
//! # Another protocol
//! A protocol takes part by one file with its `Protocol`, as `basic.rs`, and one line in `run.rs`.

mod basic;
mod certifier;
mod derive;
mod error;
pub mod event;
mod fast;
pub mod history;
pub mod judge;
mod multi;
mod protocol;
mod replay;
mod report;
mod rule;
mod run;
mod trace;

pub use error::{Error, Problem};
pub use report::{Contents, Place, Rejection, Report};
pub use rule::{Rule, Violation};
pub use run::{ProtocolKind, Replicas, Run};
pub use trace::File;

use crate::quorum::AcceptorSet;
use certifier::Certifier;
use protocol::Protocol;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use trace::{StepOf, Trace};

/// Judges the traces of one run: one file of each node, and any number of files of clients.
///
/// # Errors
/// If the files are not that: malformed lines (except for a torn last line), files of different
/// clusters, two files of one process, a node without a file.
pub fn certify(files: &[File]) -> Result<Report, Error> {
    let first = files.first().ok_or(Error::NoTraces)?;
    let run = first.run()?;
    for file in files {
        if file.run()? != run {
            let (file, other) = (file.name.clone(), first.name.clone());
            return Err(Error::DifferentClusters(file, other));
        }
    }
    // A single node sends no messages, so that there would be nothing to judge.
    if !(2..=AcceptorSet::CAPACITY).contains(&run.nodes) {
        return Err(first.error(1, Problem::NodeCount(run.nodes)));
    }
    run::certify_run(run, files)
}

/// Judges the traces of a run of protocol `P`.
fn certify_as<P>(run: Run, settings: P::Settings, files: &[File]) -> Result<Report, Error>
where
    P: Protocol,
    StepOf<P>: DeserializeOwned,
{
    let traces: Result<Vec<Trace<P>>, _> = files.iter().map(|file| file.read(&run)).collect();
    let traces = traces?;
    let mut owners: BTreeMap<usize, &str> = BTreeMap::new();
    for trace in &traces {
        if let Some(process) = trace.node
            && let Some(other) = owners.insert(process, &trace.name)
        {
            let files = [other.to_owned(), trace.name.clone()];
            return Err(Error::SameProcess { files, process });
        }
    }
    let nodes = run.nodes;
    if let Some(node) = (0..nodes as usize).find(|node| !owners.contains_key(node)) {
        return Err(Error::MissingNode { node, nodes });
    }
    let (node, quorums) = P::node(&run, settings)?;
    let contents = traces.iter().map(|trace| Contents {
        file: trace.name.clone(),
        node: trace.node,
        is_client: trace.node.is_some_and(|node| node >= nodes as usize),
        steps: trace.steps.len(),
        torn: trace.torn,
    });
    let report = Report {
        contents: contents.collect(),
        run,
        untraced: 0,
        causality: None,
        model: None,
        protocol: None,
        events: Vec::new(),
        values: Vec::new(),
        quorums,
    };
    Certifier::new(owners.into_keys().collect(), node, report).run(&traces)
}
