//! The order of a run, in which its steps are judged.

use super::derive::Deriver;
use super::error::Error;
use super::judge::Judge;
use super::protocol::Protocol;
use super::replay::{Replay, quote};
use super::report::{Place, Report};
use super::rule::Rule;
use super::trace::{StepOf, Trace};
use crate::runtime::RecordedEvent;
use std::collections::{BTreeSet, HashSet};

/// A judgement that is not finished.
pub(super) struct Certifier<P: Protocol> {
    /// The processes that have traces.
    owners: BTreeSet<usize>,
    /// The messages that were sent: sender, receiver, message.
    sent: HashSet<(usize, usize, P::Msg)>,
    replay: Replay<P>,
    deriver: Deriver<P>,
    judge: Judge,
    report: Report,
}

impl<P: Protocol> Certifier<P> {
    /// Begins to judge a run. `report` has no verdicts yet.
    pub(super) fn new(owners: BTreeSet<usize>, node: P, report: Report) -> Self {
        Certifier {
            owners,
            sent: HashSet::new(),
            replay: Replay::new(node),
            deriver: Deriver::new(report.quorums.clone()),
            judge: Judge::new(report.quorums.clone()),
            report,
        }
    }

    /// Takes all steps in an order in which they can have happened: those of a process in their
    /// order, and each after what it receives was sent.
    pub(super) fn run(mut self, traces: &[Trace<P>]) -> Result<Report, Error> {
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
            let place = Place { file, line: *line };
            self.reject_message(place, step);
            // The steps after it are still judged.
            self.step(place, step)?;
            next[file] += 1;
        }
        self.report.values = self.deriver.values().iter().map(quote).collect();
        Ok(self.report)
    }

    /// Returns `true` if the message that a step receives was sent.
    fn is_enabled(&self, step: &StepOf<P>) -> bool {
        let RecordedEvent::Message(from, message) = &step.event else {
            return true;
        };
        !self.owners.contains(from) || self.sent.contains(&(*from, step.node, message.clone()))
    }

    /// Returns the file to go on with if no step is enabled; `None` at the end of all files. While
    /// causality holds, a file whose next message no later step sends comes first.
    fn blocked(&self, traces: &[Trace<P>], next: &[usize]) -> Option<usize> {
        let mut left = (0..traces.len()).filter(|file| next[*file] < traces[*file].steps.len());
        let is_sent_nowhere = |file: &usize| {
            let (_, step) = &traces[*file].steps[next[*file]];
            let RecordedEvent::Message(from, message) = &step.event else {
                return false;
            };
            let is_it = |sent: &(usize, P::Msg)| sent.0 == step.node && sent.1 == *message;
            let mut senders = traces.iter().zip(next);
            let later = senders.find(|(trace, _)| trace.node == Some(*from));
            let mut later = later
                .into_iter()
                .flat_map(|(trace, at)| &trace.steps[*at..]);
            !later.any(|(_, step)| step.sends.iter().any(is_it))
        };
        // One such message is enough to reject the run.
        let first = left.clone().next();
        let forged = left.find(|file| self.report.causality.is_none() && is_sent_nowhere(file));
        forged.or(first)
    }

    fn reject_message(&mut self, place: Place, step: &StepOf<P>) {
        if let RecordedEvent::Message(from, message) = &step.event {
            let violation = Rule::SentBeforeReceived.broken(format!("{from} has not sent it"));
            let rejection = self.report.rejection(place, &violation, quote(message));
            self.report.causality.get_or_insert(rejection);
        }
    }

    fn step(&mut self, place: Place, step: &StepOf<P>) -> Result<(), Error> {
        for (to, message) in &step.sends {
            self.sent.insert((step.node, *to, message.clone()));
        }
        if step.node >= self.report.run.nodes as usize {
            let sends = step.sends.iter();
            sends.for_each(|(_, message)| self.deriver.hear_client(message));
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
        let events = self.deriver.step(step).map_err(|problem| Error::Line {
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
