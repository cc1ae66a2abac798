//! Judges what was seen of a run, knowing nothing of how it came about.
//!
//! [`history`] is about clients: whether what they were told can be told apart from one machine.
//! The rest is about nodes: [`certify`] takes what each recorded of itself
//! ([`Recorder`](crate::runtime::Recorder)) and asks three questions.
//!
//! - **Causality.** Can the files be put into one order in which every message was sent before it
//!   was received?
//! - **The model.** Fed with the same events, do the actors of this crate, the ones that are
//!   checked, save and send just what was recorded?
//! - **The protocol.** Is all that was promised, proposed, voted and decided, in that order, a run
//!   of the system that is proved in `proofs/Core.v`? The events are those of `proofs/Check.v`, and
//!   [`judge`] mirrors its guards; [`Report::events`] is for the checker that is extracted from the
//!   proof. Nothing here is taken from the replay: what the nodes said and saved speaks for itself,
//!   whatever program they ran.
//!
//! A run that was certified cannot have decided two values in one slot, and no continuation of it
//! that keeps to the protocol ever will (`Check.Lasting`).
//!
//! # A trace
//! One file for each process, as the [`Recorder`](crate::runtime::Recorder) writes it: lines of
//! JSON, first of which run it is ([`Run`]), and again whenever the process is started; then the
//! steps. Here node 1 promises, votes, and comes back from its disk:
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
//! (A step takes one line; here it is folded.) What the nodes did is then, in the language of
//! `proofs/driver/trace.ml`:
//!
//! ```text
//! promised 1 1.0 0
//! voted 1 0 1.0 0
//! restarted 1 1.0 0 1.0 0
//! ```
//!
//! # What is not judged
//! The sending of leases, reads and replies is replayed, but it is no part of the proof. Clients
//! may ask for what they like; of theirs, only what they sent counts. A snapshot that is fetched
//! speaks for slots that others learned. The parts of a promise after the first are replayed, and
//! their votes are taken from the disk.

mod derive;
mod error;
pub mod event;
pub mod history;
pub mod judge;
mod protocol;
mod replay;
mod rule;
mod run;
mod trace;

pub use error::{Error, Problem};
pub use rule::{Rule, Violation};
pub use run::{Replicas, Run, Spoken};
pub use trace::File;

use crate::multi::Clock;
use crate::quorum::{AcceptorSet, QuorumError};
use crate::runtime::RecordedEvent;
use crate::runtime::clock::now_us;
use crate::{basic, fast, multi};
use derive::Deriver;
use event::Event;
use judge::Judge;
use protocol::Protocol;
use replay::{Replay, quote};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;
use trace::{StepOf, Trace};

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the files.
    pub file: usize,
    /// The line, counted from 1.
    pub line: usize,
}

/// Why a run is not certified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The broken rule.
    #[serde(rename = "rule_name")]
    pub rule: Rule,
    /// The rule in words, and what breaks it.
    #[serde(rename = "rule")]
    pub reason: String,
    /// The beginning of what was recorded.
    pub recorded: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rejection {
            file,
            line,
            reason,
            recorded,
            ..
        } = self;
        write!(f, "{file}, line {line}: {reason}; recorded is {recorded}")
    }
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Its name.
    pub file: String,
    /// Whose steps they are.
    pub node: Option<usize>,
    /// Whether that is a client.
    pub is_client: bool,
    /// How many there are.
    pub steps: usize,
    /// The line that a node which was killed left unfinished. It is not counted.
    pub torn: Option<usize>,
}

/// The verdicts on a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which run.
    pub run: Run,
    /// What there was to read.
    pub contents: Vec<Contents>,
    /// How many messages came from clients whose traces are not there. They are taken on trust.
    pub untraced: usize,
    /// A message that was received and not sent.
    pub causality: Option<Rejection>,
    /// A step that the actor does not take.
    pub model: Option<Rejection>,
    /// A step that is none of the proved protocol.
    pub protocol: Option<Rejection>,
    /// What the nodes did, in an order in which it can have happened, and where it was recorded.
    pub events: Vec<(Place, Event)>,
    /// The values that the events name by number.
    pub values: Vec<String>,
}

impl Report {
    /// Whether nothing speaks against it.
    #[must_use]
    pub fn is_certified(&self) -> bool {
        self.causality.is_none() && self.model.is_none() && self.protocol.is_none()
    }

    /// The trace in the language of the checker of the proofs: the system, and one event in each
    /// line after it.
    #[must_use]
    pub fn events_as_text(&self) -> String {
        let mut text = self.system();
        for (_, event) in &self.events {
            text += &format!("{event}\n");
        }
        text
    }

    fn system(&self) -> String {
        let quorums = self.run.quorums();
        quorums.map(|it| event::system(&it)).unwrap_or_default()
    }

    /// What was recorded where the checker of the proofs rejects a line of the trace.
    #[must_use]
    pub fn rejection_at(&self, line: usize) -> Option<Rejection> {
        let index = line.checked_sub(self.system().lines().count() + 1)?;
        let (place, event) = self.events.get(index)?;
        let violation = Rule::ProvedStep.broken("the checker rejects it".to_owned());
        Some(self.rejection(*place, &violation, event.to_string()))
    }

    fn rejection(&self, place: Place, violation: &Violation, recorded: String) -> Rejection {
        Rejection {
            file: self.contents[place.file].file.clone(),
            line: place.line,
            rule: violation.rule,
            reason: violation.to_string(),
            recorded,
        }
    }
}

/// Judges the traces of one run, one file for each node and, perhaps, for each client.
///
/// # Errors
/// If the files cannot be read as that: malformed lines (but for the last, if it is torn), files of
/// different clusters, two files of one node, a node without a file.
pub fn certify(files: &[File]) -> Result<Report, Error> {
    let first = files.first().ok_or(Error::NoTraces)?;
    let run = first.run()?;
    for file in files {
        if file.run()? != run {
            let (file, other) = (file.name.clone(), first.name.clone());
            return Err(Error::DifferentClusters(file, other));
        }
    }
    let invalid = |error: QuorumError| first.error(1, error);
    // One that is alone says nothing that could be certified.
    if !(2..=AcceptorSet::CAPACITY).contains(&run.nodes) {
        return Err(first.error(1, Problem::NodeCount(run.nodes)));
    }
    match run.protocol {
        Spoken::Basic => {
            let cluster = Arc::new(run.basic().map_err(invalid)?);
            judge_with(run, files, basic::Process::Node(cluster))
        }
        Spoken::Fast => {
            let cluster = Arc::new(run.fast().map_err(invalid)?);
            judge_with(run, files, fast::Process::Node(cluster))
        }
        Spoken::Multi(replicas) => {
            let cluster = Arc::new(run.multi(replicas).map_err(invalid)?);
            judge_with(
                run,
                files,
                multi::Process::Node(cluster, Clock::Real(now_us)),
            )
        }
    }
}

fn judge_with<P>(run: Run, files: &[File], node: P) -> Result<Report, Error>
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
    if let Some(node) = (0..run.nodes as usize).find(|node| !owners.contains_key(node)) {
        let nodes = run.nodes;
        return Err(Error::MissingNode { node, nodes });
    }
    let quorums = run.quorums().map_err(|error| files[0].error(1, error))?;
    let contents = traces.iter().map(|trace| Contents {
        file: trace.name.clone(),
        node: trace.node,
        is_client: trace.node.is_some_and(|node| node >= run.nodes as usize),
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
    };
    let certifier = Certifier {
        owners: owners.into_keys().collect(),
        sent: HashSet::new(),
        replay: Replay::new(node),
        deriver: Deriver::new(quorums.clone()),
        judge: Judge::new(quorums),
        report,
    };
    certifier.run(&traces)
}

/// A judgement under way.
struct Certifier<P: Protocol> {
    /// The processes that have traces.
    owners: BTreeSet<usize>,
    /// Who has said what to whom.
    sent: HashSet<(usize, usize, P::Msg)>,
    replay: Replay<P>,
    deriver: Deriver<P>,
    judge: Judge,
    report: Report,
}

impl<P: Protocol> Certifier<P> {
    /// Takes all steps in an order in which they can have happened: those of a node in theirs, and
    /// none before what it received was sent.
    fn run(mut self, traces: &[Trace<P>]) -> Result<Report, Error> {
        let mut next = vec![0; traces.len()];
        loop {
            let mut goes_on = false;
            for (file, trace) in traces.iter().enumerate() {
                while let Some((line, step)) = trace.steps.get(next[file])
                    && self.is_enabled(step)
                {
                    self.step(Place { file, line: *line }, step)?;
                    next[file] += 1;
                    goes_on = true;
                }
            }
            if goes_on {
                continue;
            }
            let Some(file) = self.blocked(traces, &next) else {
                break;
            };
            let (line, step) = &traces[file].steps[next[file]];
            self.forged(Place { file, line: *line }, step);
            // What follows from it is still to be judged.
            self.step(Place { file, line: *line }, step)?;
            next[file] += 1;
        }
        self.report.values = self.deriver.values().iter().map(quote).collect();
        Ok(self.report)
    }

    fn is_node(&self, process: usize) -> bool {
        process < self.report.run.nodes as usize
    }

    /// Whether what a step reacts to has happened.
    fn is_enabled(&self, step: &StepOf<P>) -> bool {
        let RecordedEvent::Message(from, message) = &step.event else {
            return true;
        };
        !self.owners.contains(from) || self.sent.contains(&(*from, step.node, message.clone()))
    }

    /// Of the files that cannot go on, one whose next message is sent nowhere in what is left;
    /// none if nothing is left.
    fn blocked(&self, traces: &[Trace<P>], next: &[usize]) -> Option<usize> {
        let mut left = (0..traces.len()).filter(|file| next[*file] < traces[*file].steps.len());
        let is_sent_nowhere = |file: &usize| {
            let (_, step) = &traces[*file].steps[next[*file]];
            let RecordedEvent::Message(from, message) = &step.event else {
                return false;
            };
            let is_it = |sent: &(usize, P::Msg)| sent.0 == step.node && sent.1 == *message;
            let rests = traces
                .iter()
                .zip(next)
                .filter(|(it, _)| it.node == Some(*from));
            let mut steps = rests.flat_map(|(trace, next)| &trace.steps[*next..]);
            !steps.any(|(_, step)| step.sends.iter().any(is_it))
        };
        // Once is enough to know that the run is not certified.
        let first = left.clone().next();
        let forged = left.find(|file| self.report.causality.is_none() && is_sent_nowhere(file));
        forged.or(first)
    }

    fn forged(&mut self, place: Place, step: &StepOf<P>) {
        let RecordedEvent::Message(from, message) = &step.event else {
            return;
        };
        let violation = Rule::SentBeforeReceived.broken(format!("{from} has not sent it"));
        let rejection = self.report.rejection(place, &violation, quote(message));
        self.report.causality.get_or_insert(rejection);
    }

    fn step(&mut self, place: Place, step: &StepOf<P>) -> Result<(), Error> {
        for (to, message) in &step.sends {
            self.sent.insert((step.node, *to, message.clone()));
        }
        if !self.is_node(step.node) {
            for (_, message) in &step.sends {
                self.deriver.hear_client(message);
            }
            return Ok(());
        }
        if let RecordedEvent::Message(from, message) = &step.event
            && !self.owners.contains(from)
        {
            self.report.untraced += 1;
            self.deriver.hear_client(message);
        }
        if self.report.model.is_none()
            && let Err((violation, recorded)) = self.replay.step(step)
        {
            self.report.model = Some(self.report.rejection(place, &violation, recorded));
        }
        let events = self.deriver.step(step);
        let events = events.map_err(|problem| Error::Line {
            file: self.report.contents[place.file].file.clone(),
            line: place.line,
            problem,
        })?;
        for event in events {
            if self.report.protocol.is_none()
                && let Err(violation) = self.judge.step(&event)
            {
                let recorded = event.to_string();
                self.report.protocol = Some(self.report.rejection(place, &violation, recorded));
            }
            self.report.events.push((place, event));
        }
        Ok(())
    }
}
