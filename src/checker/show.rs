//! The text and the pictures of states, steps and runs, for the terminal and for the Explorer.

use super::state::{Action, ActionOf, WorldState};
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

/// The least number of pixels between two actors' lines.
const LANE_MIN: usize = 64;
/// The pixels that a character of an actor's name takes, and those between two names.
const CHARACTER: usize = 7;
const GAP: usize = 12;
/// The number of pixels above the first step.
const TOP: usize = 46;
/// The number of pixels between two lines of text.
const LINE: usize = 15;
/// The number of characters in a line of text, and the pixels for them.
const COLUMNS: usize = 56;
const TEXT: usize = COLUMNS * 15 / 2;

/// Breaks a text into lines of at most [`COLUMNS`] characters, unless a word alone has more.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let has_room = |line: &&mut String| line.chars().count() + word.chars().count() < COLUMNS;
        match lines.last_mut().filter(has_room) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Returns the heights of the start and of each step, given the lines of text that each step takes,
/// and the height at which the last text ends.
fn rows(heights: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut rows = vec![TOP, TOP + 2 * LINE];
    for lines in heights {
        rows.push(rows[rows.len() - 1] + (2 * lines + 1) * LINE / 2);
    }
    rows
}

impl<S: System> World<S> {
    /// Describes a step: the actors that change, and the messages that are sent. `None` if it
    /// changes nothing.
    pub(super) fn describe_step(
        &self,
        last: &WorldState<S>,
        action: ActionOf<S>,
    ) -> Option<String> {
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

    /// Draws a sequence diagram: a line per actor, an arrow per message from where it was sent to
    /// where it arrives, and beside each step its text and the actor's state after it.
    pub(super) fn draw(&self, path: &[(WorldState<S>, Option<ActionOf<S>>)]) -> String {
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_svg(&mut svg, path);
        svg
    }

    /// Returns the number of lines to draw: one per actor, and one per id that speaks from outside.
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
        path: &[(WorldState<S>, Option<ActionOf<S>>)],
    ) -> fmt::Result {
        let states = path.iter().skip(1).map(|(state, _)| state);
        let steps = path.iter().filter_map(|(_, action)| action.as_ref());
        let steps: Vec<_> = steps.zip(states).collect();
        let told = steps.iter().map(|(action, after)| {
            let state = &after.locals[usize::from(action.actor())].value;
            lines(&format!("{state:?}"))
        });
        let told: Vec<Vec<String>> = told.collect();
        let rows = rows(told.iter().map(|state| 1 + state.len()));
        let end = rows[rows.len() - 1] - LINE;
        self.write_svg_frame(svg, end)?;
        for (index, ((action, _), state)) in steps.iter().zip(&told).enumerate() {
            self.write_svg_step(svg, path, &rows, index + 1, action)?;
            self.write_svg_text(svg, rows[index + 1], index + 1, action, state)?;
        }
        svg.write_str("</svg>")
    }

    /// Returns the number of pixels between two actors' lines: enough for their names.
    fn lane_width(&self) -> usize {
        let ids = (0..self.lanes()).map(Id::from);
        let labels = ids.map(|id| self.system().label(id));
        let parts = labels.map(|label| label.splitn(2, ' ').map(str::len).max());
        let longest = parts.flatten().max().unwrap_or_default();
        LANE_MIN.max(longest * CHARACTER + GAP)
    }

    fn lane(&self, id: Id) -> usize {
        let width = self.lane_width();
        width / 2 + usize::from(id) * width
    }

    /// Draws the lines of the actors, down to `end`, and their names.
    fn write_svg_frame(&self, svg: &mut String, end: usize) -> fmt::Result {
        let lanes = self.lanes();
        let (width, height) = (lanes * self.lane_width() + TEXT, end + LINE);
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
            let x = self.lane(id);
            write!(
                svg,
                "<line class='svg-actor-timeline' x1='{x}' y1='{TOP}' x2='{x}' y2='{end}'/>"
            )?;
            // The number above the role, so that neighbours do not touch.
            let label = self.system().label(id);
            for (line, part) in label.splitn(2, ' ').enumerate() {
                let (part, y) = (Escaped(part), TOP - 2 * LINE + 4 + line * LINE);
                write!(
                    svg,
                    "<text class='svg-actor-label' x='{x}' y='{y}' text-anchor='middle'>\
                     {part}</text>"
                )?;
            }
        }
        Ok(())
    }

    /// Draws an arrow for a message that arrives, a dot for a step that an actor takes by itself.
    fn write_svg_step(
        &self,
        svg: &mut String,
        path: &[(WorldState<S>, Option<ActionOf<S>>)],
        rows: &[usize],
        step: usize,
        action: &ActionOf<S>,
    ) -> fmt::Result {
        let (x, y) = (self.lane(action.actor()), rows[step]);
        let Action::Deliver(envelope) = action else {
            return write!(
                svg,
                "<circle class='svg-event-shape' cx='{x}' cy='{y}' r='6'/>"
            );
        };
        let sent = path
            .iter()
            .position(|(state, _)| state.network.contains(envelope));
        let (from, sent) = (self.lane(envelope.src), rows[sent.unwrap_or(step)]);
        write!(
            svg,
            "<line class='svg-event-line' x1='{from}' y1='{sent}' x2='{x}' y2='{y}' \
             marker-end='url(#arrow)'/>"
        )
    }

    /// Writes the step and the actor's state after it, to the right of the lines.
    fn write_svg_text(
        &self,
        svg: &mut String,
        y: usize,
        step: usize,
        action: &ActionOf<S>,
        state: &[String],
    ) -> fmt::Result {
        let x = self.lanes() * self.lane_width();
        let caption = format!("{step}. {action:?}");
        let caption = Escaped(caption);
        write!(
            svg,
            "<text class='svg-event-label' x='{x}' y='{}'>{caption}</text>",
            y + 4
        )?;
        for (line, part) in state.iter().enumerate() {
            let (x, y) = (x + LINE, y + 4 + (line + 1) * LINE);
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
    use super::{COLUMNS, Escaped, LINE, lines, rows};

    #[test]
    fn text_cannot_break_out_of_a_picture() {
        let shown = Escaped("<b onclick='x'>\"&\"</b> ∅").to_string();
        let safe = "&lt;b onclick=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/b&gt; ∅";
        assert_eq!(shown, safe);
    }
    #[test]
    fn a_step_begins_below_what_is_told_of_the_one_before() {
        let heights = [2, 5, 1];
        let rows = rows(heights);
        assert_eq!(rows.len(), heights.len() + 2);
        for (step, lines) in heights.iter().enumerate() {
            assert!(rows[step + 1] + lines * LINE < rows[step + 2]);
        }
    }

    #[test]
    fn a_long_state_takes_several_lines_and_loses_no_word() {
        let text = "promised 1.0 voted ∅ · ".repeat(20);
        let lines = lines(&text);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS));
        assert!(lines.len() > 5 && lines.join(" ") == text.trim());
    }
}
