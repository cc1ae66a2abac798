//! The texts of states and steps, for the terminal, the Explorer and pages.

use super::state::{Action, ActionOf, WorldState};
use super::system::System;
use super::world::World;
use stateright::actor::{Envelope, Id};
use stateright::{Expectation, Model};
use std::fmt::{self, Write};

/// `0→3 Promise 1.3 ∅`.
fn write_envelope<M: fmt::Debug>(f: &mut impl Write, envelope: &Envelope<M>) -> fmt::Result {
    let (src, dst) = (usize::from(envelope.src), usize::from(envelope.dst));
    write!(f, "{src}→{dst} {:?}", envelope.msg)
}

impl<M: fmt::Debug, T: fmt::Debug, R: fmt::Debug> fmt::Debug for Action<M, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Deliver(envelope) => write_envelope(f, envelope),
            Action::Timeout(id, timer) => write!(f, "{} timeout {timer:?}", usize::from(*id)),
            Action::Choose(id, key, random) => {
                write!(f, "{} chooses {key} {random:?}", usize::from(*id))
            }
            Action::Flush(id) => write!(f, "{} writes to disk", usize::from(*id)),
            Action::Crash(id) => write!(f, "{} crashes and restarts", usize::from(*id)),
            Action::Fused(steps) => {
                for (i, step) in steps.iter().enumerate() {
                    write!(f, "{}{step:?}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

impl<M, T, R> Action<M, T, R> {
    /// Returns the actor that takes the step.
    #[must_use]
    pub fn actor(&self) -> Id {
        match self {
            Action::Deliver(envelope) => envelope.dst,
            Action::Timeout(id, _)
            | Action::Choose(id, _, _)
            | Action::Flush(id)
            | Action::Crash(id) => *id,
            // A fused step has at least one, or it would change nothing.
            Action::Fused(steps) => steps.first().map_or(Id::from(0), Action::actor),
        }
    }
}

impl<S: System> WorldState<S> {
    /// Writes a line per actor and per open choice.
    fn write_actors(&self, f: &mut impl Write) -> fmt::Result {
        for (index, local) in self.locals.iter().enumerate() {
            write!(f, "{index:>2}  {:?}", local.value)?;
            let timers = self.timers.iter().filter(|timer| timer.id == local.id);
            for (i, timer) in timers.enumerate() {
                write!(
                    f,
                    "{}{:?}",
                    if i == 0 { " · timer " } else { ", " },
                    timer.value
                )?;
            }
            if let Some(at) = &self.unsaved[index] {
                write!(f, " · not yet on disk: {:?}", at.value.storage)?;
                for envelope in &at.value.held {
                    f.write_str(", held back: ")?;
                    write_envelope(f, envelope)?;
                }
            }
            f.write_char('\n')?;
        }
        for open in &self.choices {
            let (key, options) = &open.value;
            writeln!(
                f,
                "{:>2}  may choose {key}: {options:?}",
                usize::from(open.id)
            )?;
        }
        if self.crashes > 0 {
            writeln!(f, "crashes so far: {}", self.crashes)?;
        }
        Ok(())
    }

    /// Writes a line per message.
    fn write_network(&self, f: &mut impl Write) -> fmt::Result {
        f.write_str("network:")?;
        for envelope in &self.network {
            f.write_str("\n    ")?;
            write_envelope(f, envelope)?;
        }
        Ok(())
    }
}

impl<S: System> fmt::Debug for WorldState<S> {
    /// A line per actor, what the observer has not forgotten, then the network, a line per message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_actors(f)?;
        writeln!(f, "remembered: {:?}", *self.history)?;
        self.write_network(f)
    }
}

/// Text that is safe inside XML and HTML.
pub struct Escaped<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Filter<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl Write for Filter<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for c in text.chars() {
                    match c {
                        '<' => self.0.write_str("&lt;")?,
                        '>' => self.0.write_str("&gt;")?,
                        '&' => self.0.write_str("&amp;")?,
                        '"' => self.0.write_str("&quot;")?,
                        '\'' => self.0.write_str("&#39;")?,
                        c => self.0.write_char(c)?,
                    }
                }
                Ok(())
            }
        }
        write!(Filter(f), "{}", self.0)
    }
}

/// A subject that a step changes, and what there is to say of it: each time a verb and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// An actor, the observer, or the network.
    pub subject: String,
    /// The verbs, such as `was` and `is`, with their texts.
    pub says: Vec<(&'static str, String)>,
}

impl<S: System> World<S> {
    /// Describes a step: what is violated after it, what it changes, and the state after it. `None`
    /// if it changes nothing.
    pub(super) fn describe_step(
        &self,
        last: &WorldState<S>,
        action: ActionOf<S>,
    ) -> Option<String> {
        let step = format!("{action:?}");
        let next = self.next_state(last, action)?;
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_step(&mut text, &step, last, &next);
        Some(text)
    }

    fn write_step(
        &self,
        text: &mut String,
        step: &str,
        last: &WorldState<S>,
        next: &WorldState<S>,
    ) -> fmt::Result {
        for property in self.violated(next) {
            writeln!(text, "✗ violated: {property}")?;
        }
        writeln!(text, "{step}")?;
        for Change { subject, says } in self.changes(last, next) {
            writeln!(text, "\n{subject}")?;
            for (verb, said) in says {
                writeln!(text, "  {verb:<7}  {said}")?;
            }
        }
        writeln!(text)?;
        next.write_actors(text)?;
        writeln!(text, "{}", self.system().summary(next))?;
        next.write_network(text)
    }

    /// Returns the properties that must always hold, and do not in a state.
    pub(super) fn violated(&self, state: &WorldState<S>) -> Vec<&'static str> {
        let always = self.properties().into_iter();
        let always = always.filter(|it| it.expectation == Expectation::Always);
        let violated = always.filter(|it| !(it.condition)(self, state));
        violated.map(|it| it.name).collect()
    }

    /// Returns the difference between two states: the actors that change, the messages that are
    /// sent, and what the observer says.
    pub(super) fn changes(&self, last: &WorldState<S>, next: &WorldState<S>) -> Vec<Change> {
        let (mut changes, system) = (Vec::new(), self.system());
        for (index, (before, after)) in last.locals.iter().zip(&next.locals).enumerate() {
            let mut says = Vec::new();
            if before != after {
                says.push(("was", format!("{:?}", before.value)));
                says.push(("is", format!("{:?}", after.value)));
            }
            let (before, after) = (&last.storages[index], &next.storages[index]);
            if let Some(at) = after.as_ref().filter(|_| before != after) {
                says.push(("on disk", format!("{:?}", at.value)));
            }
            let (before, after) = (&last.unsaved[index], &next.unsaved[index]);
            if let Some(at) = after.as_ref().filter(|_| before != after) {
                says.push(("to save", format!("{:?}", at.value.storage)));
                says.extend(at.value.held.iter().map(|it| ("holds", told(it))));
            }
            let subject = system.label(index.into());
            changes.extend((!says.is_empty()).then_some(Change { subject, says }));
        }
        let is_new = |envelope: &&_| !last.network.contains(envelope);
        let sent = next.network.iter().filter(is_new);
        let sent: Vec<_> = sent.map(|it| ("sent", told(it))).collect();
        let (before, after) = (system.summary(last), system.summary(next));
        let summary = match before == after {
            true => Vec::new(),
            false => vec![("was", before), ("is", after)],
        };
        for (subject, says) in [("network", sent), ("observer", summary)] {
            let subject = subject.to_owned();
            changes.extend((!says.is_empty()).then_some(Change { subject, says }));
        }
        changes
    }
}

/// The text of a message with its sender and receiver.
fn told<M: fmt::Debug>(envelope: &Envelope<M>) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_envelope(&mut text, envelope);
    text
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn text_cannot_break_out_of_a_picture() {
        let shown = Escaped("<b onclick='x'>\"&\"</b> ∅").to_string();
        let safe = "&lt;b onclick=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/b&gt; ∅";
        assert_eq!(shown, safe);
    }
}
