//! How states, steps and runs are shown: in the terminal, and in the Explorer.

use super::state::{Action, WorldState};
use super::system::System;
use super::world::World;
use stateright::Model;
use stateright::actor::{Envelope, Id};
use std::fmt::{self, Write};

/// `1→2 Promise 3.1 ∅`.
fn write_envelope<M: fmt::Debug>(f: &mut impl Write, envelope: &Envelope<M>) -> fmt::Result {
    let (src, dst) = (usize::from(envelope.src), usize::from(envelope.dst));
    write!(f, "{src}→{dst} {:?}", envelope.msg)
}

impl<S: System> fmt::Debug for Action<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Deliver(envelope) => write_envelope(f, envelope),
            Action::Timeout(id, timer) => write!(f, "{} timeout {timer:?}", usize::from(*id)),
            Action::Choose(id, key, random) => {
                write!(f, "{} chooses {key} {random:?}", usize::from(*id))
            }
            Action::Flush(id) => write!(f, "{} writes to disk", usize::from(*id)),
            Action::Crash(id) => write!(f, "{} crashes and restarts", usize::from(*id)),
            Action::Burst(steps) => {
                for (i, step) in steps.iter().enumerate() {
                    write!(f, "{}{step:?}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

impl<S: System> Action<S> {
    /// The actor that takes the step.
    #[must_use]
    pub fn actor(&self) -> Id {
        match self {
            Action::Deliver(envelope) => envelope.dst,
            Action::Timeout(id, _)
            | Action::Choose(id, _, _)
            | Action::Flush(id)
            | Action::Crash(id) => *id,
            // A burst has a step, or it would change nothing.
            Action::Burst(steps) => steps.first().map_or(Id::from(0), Action::actor),
        }
    }
}

impl<S: System> fmt::Debug for WorldState<S> {
    /// One line per actor, then the network, one line per message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            f.write_str("\n")?;
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
        writeln!(f, "recorded: {:?}", *self.history)?;
        f.write_str("network:")?;
        for envelope in &self.network {
            f.write_str("\n    ")?;
            write_envelope(f, envelope)?;
        }
        Ok(())
    }
}

/// Text that is safe inside XML and HTML.
struct Escaped<T>(T);

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

/// The number of pixels between two actors' lines.
const LANE: usize = 80;
/// The number of pixels between two steps.
const ROW: usize = 36;
/// The number of pixels above the first step.
const TOP: usize = 46;
/// The number of pixels for the remarks to the right of the actors' lines.
const REMARKS: usize = 390;

fn lane(id: Id) -> usize {
    LANE / 2 + usize::from(id) * LANE
}

fn row(step: usize) -> usize {
    TOP + step * ROW
}

impl<S: System> World<S> {
    /// What a step does: who changes and how, what is sent. `None` if it changes nothing.
    pub(super) fn describe_step(&self, last: &WorldState<S>, action: Action<S>) -> Option<String> {
        let mut text = format!("{action:?}\n");
        let next = self.next_state(last, action)?;
        // Writing to a string cannot fail.
        let _ = self.write_changes(&mut text, last, &next);
        let _ = write!(text, "\n{next:?}");
        Some(text)
    }

    fn write_changes(
        &self,
        text: &mut String,
        last: &WorldState<S>,
        next: &WorldState<S>,
    ) -> fmt::Result {
        for (before, after) in last.locals.iter().zip(&next.locals) {
            if before != after {
                writeln!(text, "\n{}", self.system().label(after.id))?;
                writeln!(text, "  was  {:?}", before.value)?;
                writeln!(text, "  is   {:?}", after.value)?;
            }
        }
        for (index, (before, after)) in last.storages.iter().zip(&next.storages).enumerate() {
            if let Some(at) = after.as_ref().filter(|_| before != after) {
                let label = self.system().label(Id::from(index));
                writeln!(text, "\n{label} has on disk\n       {:?}", at.value)?;
            }
        }
        let is_new = |envelope: &&_| !last.network.contains(envelope);
        for (i, envelope) in next.network.iter().filter(is_new).enumerate() {
            text.push_str(if i == 0 { "\nsent\n       " } else { "       " });
            write_envelope(text, envelope)?;
            text.push('\n');
        }
        Ok(())
    }

    /// A sequence diagram: a line per actor, an arrow per message from where it was sent to
    /// where it arrives, and beside each step the actor's state after it.
    pub(super) fn draw(&self, path: &[(WorldState<S>, Option<Action<S>>)]) -> String {
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_svg(&mut svg, path);
        svg
    }

    /// How many lines to draw: one per actor, and one per id that speaks from outside.
    fn lanes(&self) -> usize {
        let outside = self.system().outside();
        let last = outside
            .iter()
            .map(|envelope| usize::from(envelope.src) + 1)
            .max();
        self.system().actors().len().max(last.unwrap_or(0))
    }

    fn write_svg(
        &self,
        svg: &mut String,
        path: &[(WorldState<S>, Option<Action<S>>)],
    ) -> fmt::Result {
        let lanes = self.lanes();
        let (width, height) = (lanes * LANE + REMARKS, row(path.len()));
        write!(
            svg,
            "<svg xmlns='http://www.w3.org/2000/svg' width='100%' \
             viewBox='0 0 {width} {height}' style='max-width: {width}px' \
             font-size='12' role='img'>\
             <defs><marker id='arrow' class='svg-event-shape' markerWidth='12' markerHeight='10' \
             refX='12' refY='5' orient='auto' markerUnits='userSpaceOnUse'>\
             <polygon points='0 0, 12 5, 0 10'/></marker></defs>"
        )?;
        for id in (0..lanes).map(Id::from) {
            let (x, end) = (lane(id), height - ROW / 2);
            let label = Escaped(self.system().label(id));
            write!(
                svg,
                "<line class='svg-actor-timeline' x1='{x}' y1='{TOP}' x2='{x}' y2='{end}'/>\
                 <text class='svg-actor-label' x='{x}' y='{}' text-anchor='middle'>{label}</text>",
                TOP - 16
            )?;
        }
        for (index, (_, action)) in path.iter().enumerate() {
            let after = path.get(index + 1).map(|(state, _)| state);
            if let (Some(action), Some(after)) = (action, after) {
                self.write_svg_step(svg, path, index + 1, action, after)?;
            }
        }
        svg.write_str("</svg>")
    }

    fn write_svg_step(
        &self,
        svg: &mut String,
        path: &[(WorldState<S>, Option<Action<S>>)],
        step: usize,
        action: &Action<S>,
        after: &WorldState<S>,
    ) -> fmt::Result {
        let (x, y) = (lane(action.actor()), row(step));
        let mut caption = format!("{action:?}");
        if let Action::Deliver(envelope) = action {
            let sent = path
                .iter()
                .position(|(state, _)| state.network.contains(envelope));
            let (from, sent) = (lane(envelope.src), row(sent.unwrap_or(step)));
            write!(
                svg,
                "<line class='svg-event-line' x1='{from}' y1='{sent}' x2='{x}' y2='{y}' \
                 marker-end='url(#arrow)'/>"
            )?;
            caption = format!("{:?}", envelope.msg);
        } else {
            write!(
                svg,
                "<circle class='svg-event-shape' cx='{x}' cy='{y}' r='6'/>"
            )?;
        }
        write!(
            svg,
            "<text class='svg-event-label' x='{}' y='{}'>{}</text>",
            x + 8,
            y - 4,
            Escaped(caption),
        )?;
        let state = &after.locals[usize::from(action.actor())].value;
        let remark = format!("{step}. {}: {state:?}", usize::from(action.actor()));
        // A state of several parts takes a line for each.
        for (line, part) in remark.split(" · ").enumerate() {
            let (x, y) = (self.lanes() * LANE, y + line * 13);
            let part = Escaped(part);
            write!(
                svg,
                "<text class='svg-actor-label' x='{x}' y='{y}'>{part}</text>"
            )?;
        }
        Ok(())
    }
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
