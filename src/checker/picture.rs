//! The picture of a run: a line per actor, an arrow per message from where it was sent to where it
//! arrives, and a mark for each step that an actor takes by itself.

use super::show::Escaped;
use super::state::{Action, ActionOf, WorldState};
use super::system::System;
use super::world::World;
use stateright::actor::Id;
use std::fmt::{self, Write};

/// A run: each state, and the step taken from it.
pub(super) type Run<S> = Vec<(WorldState<S>, Option<ActionOf<S>>)>;

/// The least number of pixels between two actors' lines.
const LANE_MIN: usize = 56;
/// The pixels that a character takes, and those between two texts.
const CHARACTER: usize = 7;
const GAP: usize = 8;
/// The number of pixels for the actors' names.
const NAMES: usize = 36;
/// The number of pixels between two lines of text.
const LINE: usize = 15;
/// The number of pixels from one step to the next on a page.
const ROW: usize = LINE + GAP + 4;
/// The number of pixels for the numbers of steps on a page.
const NUMBERS: usize = 28;
/// The number of characters in a line of text, and the pixels for them.
const COLUMNS: usize = 56;
const TEXT: usize = COLUMNS * 15 / 2;

/// The colours on the Explorer's page, which is dark: 4.5 to 1 for text, 3 to 1 for lines.
pub(super) const EXPLORER_STYLE: &str = "<style>\
    svg .lane { stroke: #8ba3ba } svg .name { fill: #e7ecef } svg .text { fill: #f2e27a } \
    svg .arrow { stroke: #a9c4dc; stroke-width: 1.5 } svg .mark { fill: #a9c4dc } \
    svg .label { fill: #ffffff; stroke: #142b46; stroke-width: 3; paint-order: stroke }</style>";

/// Breaks a text into lines of at most `columns` characters, unless a word alone has more.
fn lines(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let has_room = |line: &&mut String| line.chars().count() + word.chars().count() < columns;
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
    let mut rows = vec![LINE, 3 * LINE];
    for lines in heights {
        rows.push(rows[rows.len() - 1] + lines * LINE + GAP + 4);
    }
    rows
}

/// A step, ready to draw.
struct Drawn {
    /// The step, as text.
    step: String,
    /// The actor that takes it.
    actor: Id,
    /// The sender of the message, and the number of steps before it was sent.
    sent: Option<(Id, usize)>,
    /// The corners of the mark around the step's place; an arrow's head points to the right.
    mark: &'static str,
    /// The text of the actor's state afterwards; empty on a page, which tells it elsewhere.
    state: Vec<String>,
}

impl Drawn {
    fn new<S: System>(path: &Run<S>, number: usize, action: &ActionOf<S>) -> Self {
        let sent = |envelope| {
            path.iter()
                .position(|(state, _)| state.network.contains(envelope))
        };
        let mark = match action {
            Action::Deliver(_) => "0 0 -11 -4 -11 4",
            Action::Timeout(..) => "-6 -6 6 -6 -6 6 6 6",
            Action::Choose(..) => "0 -7 7 0 0 7 -7 0",
            Action::Flush(_) => "-6 -6 6 -6 6 6 -6 6",
            Action::Crash(_) | Action::Fused(_) => {
                "-7 -5 -5 -7 0 -2 5 -7 7 -5 2 0 7 5 5 7 0 2 -5 7 -7 5 -2 0"
            }
        };
        let sent = match action {
            Action::Deliver(it) => Some((it.src, sent(it).unwrap_or(number))),
            _ => None,
        };
        Self {
            step: format!("{action:?}"),
            actor: action.actor(),
            sent,
            mark,
            state: Vec::new(),
        }
    }

    /// The words on the arrow, or beside the mark: those of the step without its actors.
    fn label(&self) -> &str {
        let parts = self.step.split_once(' ');
        parts.map_or(&self.step, |(_, label)| label)
    }

    /// The pixels that the label takes beside the actor's line.
    fn room(&self) -> usize {
        self.label().chars().count() * CHARACTER + 2 * GAP
    }
}

/// A picture in the making.
struct Picture {
    /// The actors' names: a number and a role, each on a line of its own.
    names: Vec<String>,
    steps: Vec<Drawn>,
    /// The heights of the start and of each step, and the end.
    rows: Vec<usize>,
    /// The pixels to the left of the lines, between two of them, and up to the last label's end.
    left: usize,
    lane: usize,
    width: usize,
}

impl Picture {
    fn new(names: Vec<String>, steps: Vec<Drawn>, left: usize) -> Self {
        let parts = names.iter().flat_map(|name| name.splitn(2, ' '));
        let longest = parts.map(|part| part.chars().count()).max();
        let lane = LANE_MIN.max(longest.unwrap_or_default() * CHARACTER + GAP);
        let mut picture = Self {
            rows: rows(steps.iter().map(|step| 1 + step.state.len())),
            width: left + names.len() * lane,
            names,
            steps,
            left,
            lane,
        };
        // A label that has room on neither side of its line makes the picture wider.
        let steps = picture.steps.iter();
        let wide = steps.filter(|step| step.room() > picture.x(step.actor));
        let ends = wide.map(|step| picture.x(step.actor) + step.room());
        picture.width = ends.fold(picture.width, usize::max);
        picture
    }

    fn x(&self, id: Id) -> usize {
        self.left + self.lane / 2 + usize::from(id) * self.lane
    }

    fn end(&self) -> usize {
        self.rows[self.rows.len() - 1]
    }

    /// Draws the actors' names, below `top`.
    fn names(&self, svg: &mut String, top: usize) -> fmt::Result {
        for (id, name) in self.names.iter().enumerate() {
            // The number above the role, so that neighbours do not touch.
            for (line, part) in name.splitn(2, ' ').enumerate() {
                let (x, y) = (self.x(id.into()), top + (line + 1) * LINE - 2);
                text(svg, "name' text-anchor='middle", x, y, part)?;
            }
        }
        Ok(())
    }

    /// Draws the actors' lines, below `top`.
    fn lanes(&self, svg: &mut String, top: usize) -> fmt::Result {
        let end = top + self.end() - LINE;
        for x in (0..self.names.len()).map(|id| self.x(id.into())) {
            write!(svg, "<path class='lane' d='M{x} {top}V{end}'/>")?;
        }
        Ok(())
    }

    /// Draws an arrow for a message that arrives, a mark for a step that an actor takes by itself.
    fn step(&self, svg: &mut String, top: usize, number: usize) -> fmt::Result {
        let step = &self.steps[number - 1];
        let (x, y) = (self.x(step.actor), top + self.rows[number]);
        let mut turn = 0.;
        if let Some((from, sent)) = step.sent {
            let (from, sent) = (self.x(from), top + self.rows[sent]);
            let (right, down) = (x as f64 - from as f64, y as f64 - sent as f64);
            turn = down.atan2(right).to_degrees();
            write!(svg, "<path class='arrow' d='M{from} {sent}L{x} {y}'/>")?;
        }
        write!(
            svg,
            "<polygon class='mark' points='{}' transform='translate({x} {y}) rotate({turn:.0})'/>",
            step.mark
        )
    }

    /// Writes the words of a step beside its arrow's head, or its mark.
    fn label(&self, svg: &mut String, top: usize, number: usize) -> fmt::Result {
        let step = &self.steps[number - 1];
        let (x, y, words) = (
            self.x(step.actor),
            top + self.rows[number] + 11,
            step.label(),
        );
        // An arrow comes from above: its label is below it, on its own side if there is room.
        let is_right = step.sent.is_none_or(|(from, _)| self.x(from) >= x);
        let has_room = match is_right {
            true => x + step.room() <= self.width,
            false => step.room() <= x,
        };
        match is_right == has_room {
            true => text(svg, "label", x + GAP, y, words),
            false => text(svg, "label' text-anchor='end", x - GAP, y, words),
        }
    }
}

/// Writes text of a class.
fn text(svg: &mut String, class: &str, x: usize, y: usize, text: &str) -> fmt::Result {
    let text = Escaped(text);
    write!(svg, "<text class='{class}' x='{x}' y='{y}'>{text}</text>")
}

/// Begins a picture that is shown up to `most` pixels wide.
fn begin(
    svg: &mut String,
    (width, height): (usize, usize),
    most: usize,
    words: &str,
) -> fmt::Result {
    let words = Escaped(words);
    write!(
        svg,
        "<svg width='100%' viewBox='0 0 {width} {height}' \
         style='max-width: {most}px' font-size='12' role='img' aria-label='{words}'>"
    )
}

impl<S: System> World<S> {
    /// Returns the names of the lines: of each actor, and of each id that speaks from outside.
    pub(super) fn names(&self) -> Vec<String> {
        let outside = self.system().outside();
        let outside = outside.iter().map(|envelope| usize::from(envelope.src) + 1);
        let lanes = outside.fold(self.system().actors().len(), usize::max);
        (0..lanes)
            .map(|id| self.system().label(id.into()))
            .collect()
    }

    /// Draws a run for the Explorer: above it the world's title, beside each step the actor's state
    /// after it.
    pub(super) fn draw(&self, path: &Run<S>) -> String {
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_svg(&mut svg, path);
        svg
    }

    fn write_svg(&self, svg: &mut String, path: &Run<S>) -> fmt::Result {
        let mut steps = drawn(path);
        for (step, (after, _)) in steps.iter_mut().zip(path.iter().skip(1)) {
            let state = &after.locals[usize::from(step.actor)].value;
            step.state = lines(&format!("{state:?}"), COLUMNS);
        }
        let picture = Picture::new(self.names(), steps, 0);
        let width = picture.width + TEXT;
        let title = lines(&self.title, width / CHARACTER);
        let above = (title.len() + 1) * LINE;
        let top = above + NAMES;
        begin(svg, (width, top + picture.end()), width, &self.title)?;
        svg.push_str(EXPLORER_STYLE);
        for (line, part) in title.iter().enumerate() {
            text(svg, "text", 0, (line + 1) * LINE, part)?;
        }
        picture.names(svg, above)?;
        picture.lanes(svg, top)?;
        let numbers = 1..=picture.steps.len();
        numbers
            .clone()
            .try_for_each(|number| picture.step(svg, top, number))?;
        for number in numbers {
            let step = &picture.steps[number - 1];
            let (x, y) = (picture.width, top + picture.rows[number] + 4);
            picture.label(svg, top, number)?;
            text(svg, "text", x, y, &format!("{number}. {}", step.step))?;
            for (line, part) in (1..).zip(&step.state) {
                text(svg, "name", x + LINE, y + line * LINE, part)?;
            }
        }
        svg.write_str("</svg>")
    }

    /// Draws a run for a page: the actors' names, and the run, which scrolls below them. From step
    /// `broken` on, a property is violated.
    pub(super) fn draw_for_page(&self, path: &Run<S>, broken: usize) -> String {
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_page(&mut svg, path, broken);
        svg
    }

    fn write_page(&self, svg: &mut String, path: &Run<S>, broken: usize) -> fmt::Result {
        let picture = Picture::new(self.names(), drawn(path), NUMBERS);
        let (width, end) = (picture.width, picture.end());
        let most = width * 5 / 4;
        begin(svg, (width, NAMES), most, "The actors")?;
        picture.names(svg, 0)?;
        svg.push_str("</svg>");
        begin(
            svg,
            (width, end),
            most,
            "The run, of which the list of steps says the same",
        )?;
        let row = |number: usize| {
            let class = if number >= broken {
                "row broken"
            } else {
                "row"
            };
            format!("class='{class}' data-step='{number}'")
        };
        // What is told of a later step must not hide what is told of an earlier one.
        let numbers = 1..=picture.steps.len();
        for number in numbers.clone() {
            let (row, y) = (row(number), picture.rows[number] - ROW / 2 + 2);
            write!(svg, "<rect {row} width='{width}' height='{ROW}' y='{y}'/>")?;
        }
        picture.lanes(svg, 0)?;
        for number in numbers.clone() {
            write!(svg, "<g {}>", row(number))?;
            picture.step(svg, 0, number)?;
            svg.push_str("</g>");
        }
        for number in numbers {
            let y = picture.rows[number] + 4;
            write!(svg, "<g {}>", row(number))?;
            text(
                svg,
                "number' text-anchor='end",
                NUMBERS - GAP,
                y,
                &number.to_string(),
            )?;
            picture.label(svg, 0, number)?;
            svg.push_str("</g>");
        }
        svg.write_str("</svg>")
    }
}

fn drawn<S: System>(path: &Run<S>) -> Vec<Drawn> {
    let steps = path.iter().filter_map(|(_, action)| action.as_ref());
    let steps = (1..).zip(steps);
    steps
        .map(|(number, action)| Drawn::new(path, number, action))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, LINE, lines, rows};

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
        let lines = lines(&text, COLUMNS);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS));
        assert!(lines.len() > 5 && lines.join(" ") == text.trim());
    }
}
