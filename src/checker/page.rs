//! A run as a page of its own: one file of HTML, which needs no server and nothing else.
//!
//! The page has the run as a picture and as a list of steps, each with what it changes and what is
//! violated after it. Buttons, a slider and the arrow keys lead from step to step, and `#12` opens
//! step 12. Without a script it is the list.
//!
//! # A page of your own run
//!
//! A lamp that burns out when it is switched on twice:
//!
//! ```
//! use stateright::Property;
//! use stateright::actor::{Actor, Envelope, Id, Out};
//! use std::borrow::Cow;
//! use synod::checker::page::RunPage;
//! use synod::checker::search::{self, Limits, Outcome};
//! use synod::checker::{Options, System, World, WorldState};
//!
//! struct Lamp;
//!
//! impl Actor for Lamp {
//!     type Msg = &'static str;
//!     type State = u8; // how often it was switched on
//!     type Timer = ();
//!     type Random = ();
//!     type Storage = ();
//!
//!     fn on_start(&self, _: Id, _saved: &Option<()>, _: &mut Out<Self>) -> u8 {
//!         0
//!     }
//!
//!     fn on_msg(
//!         &self, _: Id, state: &mut Cow<u8>, _: Id, _: &'static str, _: &mut Out<Self>,
//!     ) {
//!         *state.to_mut() = state.saturating_add(1);
//!     }
//! }
//!
//! struct Room([Lamp; 1]);
//!
//! impl System for Room {
//!     type Actor = Lamp;
//!     type History = ();
//!
//!     fn actors(&self) -> &[Lamp] {
//!         &self.0
//!     }
//!
//!     fn outside(&self) -> Vec<Envelope<&'static str>> {
//!         vec![Envelope { src: Id::from(1), dst: Id::from(0), msg: "On" }]
//!     }
//!
//!     fn properties(&self) -> Vec<Property<World<Self>>> {
//!         let is_intact = |_: &World<Self>, state: &WorldState<Self>| {
//!             state.states().all(|count| *count < 2)
//!         };
//!         vec![Property::always("Intact: the lamp burns.", is_intact)]
//!     }
//! }
//!
//! let world = || World::new(Room([Lamp]), Options::default());
//! let report = search::run(world, Limits::default(), |_| {})?;
//! let Outcome::Violated(trace) = &report.findings[0].outcome else {
//!     panic!("a message may arrive twice");
//! };
//! let mut page = RunPage::new(&world().unfolded(), &trace.explorer_path).expect("a run");
//! assert_eq!(page.steps.len(), 3); // the start, and twice the same message
//! assert_eq!(page.steps[2].changes[0].says, [("was", "1".into()), ("is", "2".into())]);
//! assert_eq!(page.steps[2].violated, [("Intact: the lamp burns.", 2)]);
//! page.title = "A lamp".to_owned();
//! assert!(page.render().contains("<strong>Intact</strong>"));
//! # Ok::<(), search::Error>(())
//! ```

use super::picture::Run;
use super::show::{Change, Escaped};
use super::state::{Action, ActionOf};
use super::system::System;
use super::world::World;
use stateright::Model;
use std::collections::BTreeSet;
use std::fmt::{self, Write};

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// The marks of the picture, each with its meaning.
const MARKS: [(&str, &str); 5] = [
    (
        "arrow",
        "a message, from when it was sent to when it arrives",
    ),
    ("hourglass", "a timer fires"),
    ("diamond", "a random choice"),
    ("square", "a save reaches the disk"),
    ("cross", "a crash and a restart"),
];

/// A run, and the words about it.
#[derive(Clone, Debug, Default)]
pub struct RunPage {
    /// The title.
    pub title: String,
    /// Facts about the run, each after its name: the configuration, for example.
    pub facts: Vec<(String, String)>,
    /// The start, and each step.
    pub steps: Vec<PageStep>,
    /// The results of checks of the run, and whether each is as expected.
    pub checks: Vec<(bool, String)>,
    /// The conclusion; paragraphs are apart by an empty line.
    pub moral: String,
    /// The signs that texts of steps and states use, with their meanings.
    pub signs: Vec<(String, String)>,
    /// The pages beside this one, with their addresses.
    pub links: Vec<(String, String)>,
    /// The actors' names.
    actors: Vec<String>,
    picture: String,
}

/// A step, or the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageStep {
    /// The step, as text.
    pub text: String,
    /// The word for steps of its kind: of a message its first.
    pub kind: String,
    /// The actors that take part, by id: the one that takes the step, and the sender.
    pub actors: Vec<usize>,
    /// The difference that it makes.
    pub changes: Vec<Change>,
    /// The properties violated then or before, each with the number of the first such step.
    pub violated: Vec<(&'static str, usize)>,
    /// The heading of the part that begins here.
    pub part: Option<String>,
    /// Remarks; the first is also about the steps before that have none.
    pub notes: Vec<String>,
}

impl PageStep {
    fn new<S: System>(action: &ActionOf<S>) -> Self {
        let mut actors = vec![usize::from(action.actor())];
        let kind = match action {
            Action::Deliver(envelope) => {
                actors.push(envelope.src.into());
                let message = format!("{:?}", envelope.msg);
                let is_end = |c: char| !c.is_alphanumeric() && c != '_';
                let mut words = message.split(is_end).filter(|word| !word.is_empty());
                words.next().unwrap_or("message").to_owned()
            }
            Action::Timeout(..) => "timeout".to_owned(),
            Action::Choose(..) => "choice".to_owned(),
            Action::Flush(_) => "disk write".to_owned(),
            Action::Crash(_) | Action::Fused(_) => "crash".to_owned(),
        };
        Self {
            text: format!("{action:?}"),
            kind,
            actors,
            ..Self::default()
        }
    }
}

impl RunPage {
    /// Returns the page of the run that the Explorer addresses as `explorer_path`, in a `world`
    /// that is [unfolded](World::unfolded); `None` if there is no such run.
    #[must_use]
    pub fn new<S: System>(world: &World<S>, explorer_path: &str) -> Option<Self> {
        let run = walk(world, explorer_path)?;
        let mut violated: Vec<(&'static str, usize)> = Vec::new();
        let mut steps = Vec::new();
        for (number, (state, _)) in run.iter().enumerate() {
            for name in world.violated(state) {
                if violated.iter().all(|(known, _)| *known != name) {
                    violated.push((name, number));
                }
            }
            let taken = number
                .checked_sub(1)
                .and_then(|at| Some((&run[at].0, run[at].1.as_ref()?)));
            let mut step = match taken {
                Some((_, action)) => PageStep::new::<S>(action),
                None => PageStep {
                    text: "the start".to_owned(),
                    ..PageStep::default()
                },
            };
            step.changes = match taken {
                Some((last, _)) => world.changes(last, state),
                None => world.begins(state),
            };
            step.violated.clone_from(&violated);
            steps.push(step);
        }
        let broken = violated.first().map_or(usize::MAX, |(_, step)| *step);
        Some(Self {
            actors: world.names(),
            picture: world.draw_for_page(&run, broken),
            steps,
            ..Self::default()
        })
    }

    /// Returns the page as HTML.
    #[must_use]
    pub fn render(&self) -> String {
        let mut body = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut body);
        document(&self.title, &body)
    }

    fn write(&self, html: &mut String) -> fmt::Result {
        html.push_str("<header>");
        write_links(html, &self.links)?;
        write!(html, "<h1>{}</h1>", Escaped(&self.title))?;
        write_terms(html, "facts", &self.facts)?;
        html.push_str("</header><main class='run'>");
        self.write_controls(html)?;
        html.push_str(
            "<section class='steps' aria-label='Steps' aria-live='polite'><ol start='0'>",
        );
        let mut part = None;
        for (number, step) in self.steps.iter().enumerate() {
            part = step.part.as_ref().or(part);
            self.write_step(html, number, step, part)?;
        }
        let picture = &self.picture;
        write!(
            html,
            "</ol></section><section class='lanes' aria-label='Picture' tabindex='0'>{picture}\
             </section></main><footer><h2>Notation</h2>"
        )?;
        let marks = MARKS.map(|(mark, meaning)| (mark.to_owned(), meaning.to_owned()));
        write_terms(html, "signs", marks.iter().chain(&self.signs))?;
        write!(
            html,
            "<p>Made by synod {}. ← and → go from step to step, Home and End to the start and the \
             end.</p></footer>",
            env!("CARGO_PKG_VERSION")
        )
    }

    /// Writes the buttons, which need the script.
    fn write_controls(&self, html: &mut String) -> fmt::Result {
        let last = self.steps.len().saturating_sub(1);
        html.push_str("<div class='controls' role='group' aria-label='Go to a step'>");
        for (to, sign, words) in [
            ("first", "«", "The start"),
            ("previous", "‹", "The step before"),
            ("next", "›", "The next step"),
            ("last", "»", "The last step"),
        ] {
            write!(
                html,
                "<button data-to='{to}' aria-label='{words}'>{sign}</button>"
            )?;
        }
        write!(
            html,
            "<input type='range' min='0' max='{last}' value='0' aria-label='Step'>\
             <output>0 of {last}</output><select id='actor' aria-label='Actor'>\
             <option value=''>all actors</option>"
        )?;
        for (id, name) in self.actors.iter().enumerate() {
            write!(html, "<option value='{id}'>{}</option>", Escaped(name))?;
        }
        html.push_str("</select><select id='kind' aria-label='Kind of step'>");
        html.push_str("<option value=''>all kinds</option>");
        let steps = self.steps.iter().skip(1);
        let kinds: BTreeSet<&str> = steps.map(|step| &*step.kind).collect();
        for kind in kinds {
            write!(html, "<option>{}</option>", Escaped(kind))?;
        }
        html.push_str("</select><button id='all' aria-pressed='false'>all steps</button></div>");
        Ok(())
    }

    fn write_step(
        &self,
        html: &mut String,
        number: usize,
        step: &PageStep,
        part: Option<&String>,
    ) -> fmt::Result {
        let (kind, text) = (Escaped(&step.kind), Escaped(&step.text));
        let actors: Vec<String> = step.actors.iter().map(usize::to_string).collect();
        let actors = actors.join(" ");
        write!(
            html,
            "<li id='{number}' data-kind='{kind}' data-actors='{actors}'>"
        )?;
        if let Some(part) = part {
            let class = if step.part.is_some() {
                "part"
            } else {
                "part again"
            };
            write!(html, "<p class='{class}'>{}</p>", Escaped(part))?;
        }
        write!(
            html,
            "<h2><a href='#{number}'>{number}</a> <code>{text}</code></h2>"
        )?;
        write_violated(html, number, &step.violated)?;
        for Change { subject, says } in &step.changes {
            write!(html, "<dl><dt>{}</dt>", Escaped(subject))?;
            for (verb, said) in says {
                let said = Escaped(said);
                write!(html, "<dd><i>{verb}</i> <code>{said}</code></dd>")?;
            }
            html.push_str("</dl>");
        }
        if step.notes.is_empty() {
            let ahead = self.steps[number..].iter();
            let note = ahead.flat_map(|step| &step.notes).next();
            write_prose(html, "note again", note.map_or("", |note| note))?;
        }
        for note in &step.notes {
            write_prose(html, "note", note)?;
        }
        if number + 1 == self.steps.len() {
            self.write_end(html)?;
        }
        html.push_str("</li>");
        Ok(())
    }

    fn write_end(&self, html: &mut String) -> fmt::Result {
        for (is_met, check) in &self.checks {
            let (class, sign) = if *is_met {
                ("met", "✓")
            } else {
                ("violated", "✗")
            };
            write!(html, "<p class='{class}'>{sign} {}</p>", Escaped(check))?;
        }
        write_prose(html, "moral", &self.moral)
    }
}

/// Writes what is violated after a step.
fn write_violated(
    html: &mut String,
    number: usize,
    violated: &[(&'static str, usize)],
) -> fmt::Result {
    for (property, since) in violated {
        let (name, sentence) = property.split_once(": ").unwrap_or((property, ""));
        let (name, sentence) = (Escaped(name), Escaped(sentence));
        let since = match *since == number {
            true => String::new(),
            false => format!(" since step {since}"),
        };
        write!(
            html,
            "<p class='violated'>✗ <strong>{name}</strong> is violated{since}: {sentence}</p>"
        )?;
    }
    Ok(())
}

/// Walks to the end of a path of places in lists of steps.
fn walk<S: System>(world: &World<S>, explorer_path: &str) -> Option<Run<S>> {
    let mut places = explorer_path.split('/').map(str::parse);
    let first: usize = places.next()?.ok()?;
    let mut state = world.init_states().into_iter().nth(first)?;
    let mut run = Vec::new();
    for place in places {
        let mut actions = Vec::new();
        world.actions(&state, &mut actions);
        let action = actions.into_iter().nth(place.ok()?)?;
        let next = world.next_state(&state, action.clone())?;
        run.push((std::mem::replace(&mut state, next), Some(action)));
    }
    run.push((state, None));
    Some(run)
}

impl<S: System> World<S> {
    /// Returns the states in which the actors begin, and the messages that are there.
    fn begins(&self, state: &super::WorldState<S>) -> Vec<Change> {
        let locals = state.locals.iter();
        let mut begins: Vec<Change> = locals
            .map(|local| Change {
                subject: self.system().label(local.id),
                says: vec![("is", format!("{:?}", local.value))],
            })
            .collect();
        let mut empty = state.clone();
        empty.network.clear();
        begins.extend(self.changes(&empty, state));
        begins
    }
}

/// Returns a page with this title and this body, which is HTML.
#[must_use]
pub fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>\n\
         <meta name='viewport' content='width=device-width, initial-scale=1'>\n\
         <title>{}</title>\n<style>\n{STYLE}</style></head>\n<body>{body}\n\
         <script>\n{SCRIPT}</script></body></html>\n",
        Escaped(title)
    )
}

/// Writes links to other pages: each a text and an address.
///
/// # Errors
/// If the output fails.
pub fn write_links(html: &mut String, links: &[(String, String)]) -> fmt::Result {
    if links.is_empty() {
        return Ok(());
    }
    html.push_str("<nav aria-label='Pages'>");
    for (text, address) in links {
        write!(
            html,
            "<a href='{}'>{}</a> ",
            Escaped(address),
            Escaped(text)
        )?;
    }
    html.push_str("</nav>");
    Ok(())
}

/// Writes terms, each with its description.
///
/// # Errors
/// If the output fails.
pub fn write_terms<'a>(
    html: &mut String,
    class: &str,
    terms: impl IntoIterator<Item = &'a (String, String)>,
) -> fmt::Result {
    write!(html, "<dl class='{class}'>")?;
    for (term, description) in terms {
        write!(
            html,
            "<dt>{}</dt><dd>{}</dd>",
            Escaped(term),
            Escaped(description)
        )?;
    }
    html.push_str("</dl>");
    Ok(())
}

/// Writes paragraphs, which are apart by an empty line; `` ` `` encloses code, `*` stress.
///
/// # Errors
/// If the output fails.
pub fn write_prose(html: &mut String, class: &str, text: &str) -> fmt::Result {
    for paragraph in text.split("\n\n").filter(|it| !it.trim().is_empty()) {
        write!(html, "<p class='{class}'>")?;
        for (place, part) in paragraph.trim().split('`').enumerate() {
            if place % 2 == 1 {
                write!(html, "<code>{}</code>", Escaped(part))?;
                continue;
            }
            for (place, part) in part.split('*').enumerate() {
                let (part, is_stressed) = (Escaped(part), place % 2 == 1);
                match is_stressed {
                    true => write!(html, "<em>{part}</em>")?,
                    false => write!(html, "{part}")?,
                }
            }
        }
        html.push_str("</p>");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{PageStep, RunPage, STYLE};
    use crate::checker::Change;
    use crate::checker::picture::EXPLORER_STYLE;

    #[test]
    fn no_text_breaks_out_of_a_page() {
        let bad = || "</code></script><script>'\"&".to_owned();
        let step = PageStep {
            text: bad(),
            kind: bad(),
            changes: vec![Change {
                subject: bad(),
                says: vec![("is", bad())],
            }],
            violated: vec![("</script><script>: </script><script>", 0)],
            part: Some(bad()),
            notes: vec![format!("{0} *{0}* `{0}`", bad())],
            ..PageStep::default()
        };
        let page = RunPage {
            title: bad(),
            facts: vec![(bad(), bad())],
            steps: vec![step.clone(), step],
            checks: vec![(false, bad())],
            moral: bad(),
            signs: vec![(bad(), bad())],
            links: vec![(bad(), bad())],
            actors: vec![bad()],
            picture: String::new(),
        };
        let html = page.render();
        assert_eq!(
            html.matches("<script>").count(),
            1,
            "the script of the page alone"
        );
        let safe = html.matches("&lt;/script&gt;&lt;script&gt;").count();
        let attributes =
            html.matches("='&lt;/code&gt;&lt;/script&gt;&lt;script&gt;&#39;&quot;&amp;'");
        assert!(safe > 20 && attributes.count() == 3, "{safe}: {html}");
    }

    #[test]
    fn remarks_are_also_about_the_steps_before() {
        let step = |text: &str, part: Option<&str>, notes: &[&str]| PageStep {
            text: text.to_owned(),
            part: part.map(str::to_owned),
            notes: notes.iter().map(|it| (*it).to_owned()).collect(),
            ..PageStep::default()
        };
        let steps = [
            step("start", None, &["Once."]),
            step("one", Some("Part"), &[]),
            step("two", None, &["Both *must*.", "`x` changes nothing."]),
        ];
        let page = RunPage {
            steps: steps.into(),
            ..RunPage::default()
        };
        let html = page.render();
        for (part, count) in [
            ("<p class='part'>Part</p>", 1),
            ("<p class='part again'>Part</p>", 1),
            ("<p class='note'>Once.</p>", 1),
            ("<p class='note'>Both <em>must</em>.</p>", 1),
            ("<p class='note again'>Both <em>must</em>.</p>", 1),
            ("<p class='note'><code>x</code> changes nothing.</p>", 1),
        ] {
            assert_eq!(html.matches(part).count(), count, "{part}: {html}");
        }
    }

    /// The brightness of a colour as WCAG 2 defines it.
    fn luminance(colour: &str) -> f64 {
        let digits: Vec<char> = colour.chars().collect();
        let parts = digits
            .chunks(digits.len() / 3)
            .zip([0.2126, 0.7152, 0.0722]);
        let of = |(part, weight): (&[char], f64)| {
            let part: String = part.iter().collect::<String>().repeat(3 - part.len());
            let value = f64::from(u8::from_str_radix(&part, 16).expect("hexadecimal")) / 255.;
            let is_dark = value <= 0.04045;
            weight
                * if is_dark {
                    value / 12.92
                } else {
                    ((value + 0.055) / 1.055).powf(2.4)
                }
        };
        parts.map(of).sum()
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        one.max(other) / one.min(other)
    }

    #[test]
    fn texts_and_lines_stand_out_by_day_and_by_night() {
        assert!((contrast("fff", "000000") - 21.).abs() < 0.01);
        let themes: Vec<&str> = STYLE.split(":root {").skip(1).collect();
        assert_eq!(themes.len(), 2);
        for theme in themes {
            let colour = |name: &str| {
                let (_, rest) = theme.split_once(&format!("--{name}: #")).expect(name);
                rest.split(';').next().expect("it ends").to_owned()
            };
            let check = |front: &str, back: &str, least: f64| {
                let is = contrast(&colour(front), &colour(back));
                assert!(is >= least, "{front} on {back}: {is}");
            };
            for back in ["back", "panel", "now"] {
                for front in ["text", "dim", "accent", "good", "bad"] {
                    check(front, back, 4.5);
                }
                check("line", back, 3.);
            }
            check("bad", "bad-back", 4.5);
        }
    }

    #[test]
    fn the_picture_stands_out_on_the_page_of_the_explorer() {
        for (part, least) in [
            ("lane { stroke", 3.),
            ("arrow { stroke", 3.),
            ("mark { fill", 3.),
            ("name { fill", 4.5),
            ("text { fill", 4.5),
            ("label { fill", 4.5),
        ] {
            let (_, rest) = EXPLORER_STYLE
                .split_once(&format!("{part}: #"))
                .expect(part);
            assert!(contrast(&rest[..6], "142b46") >= least, "{part}");
        }
    }
}
