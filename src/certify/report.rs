//! The verdicts on a run.

use super::event::{Event, system};
use super::rule::{Rule, Violation};
use super::run::Run;
use crate::quorum::QuorumSystem;
use serde::Serialize;
use std::fmt;

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The index of the file.
    pub file: usize,
    /// The line, counted from 1.
    pub line: usize,
}

/// A place at which a run breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The name of the file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The broken rule.
    #[serde(rename = "rule_name")]
    pub rule: Rule,
    /// The rule in words, and what breaks it.
    #[serde(rename = "rule")]
    pub reason: String,
    /// The recorded data, shortened.
    pub recorded: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rejection { file, line, .. } = self;
        let Rejection {
            reason, recorded, ..
        } = self;
        write!(f, "{file}, line {line}: {reason}; recorded is {recorded}")
    }
}

/// A summary of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// The name of the file.
    pub file: String,
    /// The process that took the steps; `None` if there are no steps.
    pub node: Option<usize>,
    /// Set if the process is a client.
    pub is_client: bool,
    /// The number of steps.
    pub steps: usize,
    /// The last line, if a process that was killed left it unfinished. It is not counted.
    pub torn: Option<usize>,
}

/// The verdicts on a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The run.
    pub run: Run,
    /// A summary of each trace.
    pub contents: Vec<Contents>,
    /// The number of messages from clients without a trace. They are taken on trust.
    pub untraced: usize,
    /// The first message that was received and not sent.
    pub causality: Option<Rejection>,
    /// The first step that the actor does not take.
    pub model: Option<Rejection>,
    /// The first event that is no step of the proved protocol.
    pub protocol: Option<Rejection>,
    /// The events of all nodes in an order in which they can have happened, with their places.
    pub events: Vec<(Place, Event)>,
    /// The values, which the events name by number.
    pub values: Vec<String>,
    pub(super) quorums: QuorumSystem,
}

impl Report {
    /// Returns `true` if no rule is broken.
    #[must_use]
    pub fn is_certified(&self) -> bool {
        self.causality.is_none() && self.model.is_none() && self.protocol.is_none()
    }

    /// Returns the input of the checker that is extracted from the proofs: the system, and then one
    /// event in each line.
    #[must_use]
    pub fn events_as_text(&self) -> String {
        let mut text = system(&self.quorums);
        for (_, event) in &self.events {
            text += &format!("{event}\n");
        }
        text
    }

    /// Returns the rejection of a line of [`Report::events_as_text`] by the checker of the proofs.
    #[must_use]
    pub fn rejection_at(&self, line: usize) -> Option<Rejection> {
        let index = line.checked_sub(system(&self.quorums).lines().count() + 1)?;
        let (place, event) = self.events.get(index)?;
        let violation = Rule::ProvedStep.broken("the checker rejects it".to_owned());
        Some(self.rejection(*place, &violation, event.to_string()))
    }

    pub(super) fn rejection(
        &self,
        place: Place,
        violation: &Violation,
        recorded: String,
    ) -> Rejection {
        Rejection {
            file: self.contents[place.file].file.clone(),
            line: place.line,
            rule: violation.rule,
            reason: violation.to_string(),
            recorded,
        }
    }
}
