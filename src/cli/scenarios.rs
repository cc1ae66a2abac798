//! `synod scenarios`: runs to learn from, told step by step.

use super::model::{ADDRESS, introduce, link};
use super::page;
use crate::console::output::{Output, bold, dim, mark, wrap};
use crate::console::{Error, Exit};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use synod::checker::Taken;
use synod::checker::page::{PageStep, RunPage};
use synod::models::protocol::{self, Model};
use synod::models::scenarios::{self, Check, Run, Scenario, Step};

/// Examples for the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  synod scenarios                          what there is, in the order in which to read it
  synod scenarios duel                     how two proposers keep each other from deciding
  synod scenarios duel --html duel.html    the same, as a page for a browser
  synod scenarios --all --html site        all of them, and a run of each mutant, as a course
  synod scenarios --file mine.toml         one of your own: copy one from models/scenarios/

Exit status: 0 it ends as it should; 1 it ends otherwise; 2 wrong usage, a step that is not
possible, or failed input or output.";

#[derive(Debug, Args)]
pub(super) struct ScenariosArgs {
    /// The scenario; a list of them if not given.
    #[arg(value_parser = PossibleValuesParser::new(names()), hide_possible_values = true)]
    name: Option<String>,
    /// A scenario of your own, in a file like those in models/scenarios/.
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    file: Option<PathBuf>,
    /// Write the run to PATH: a page for a browser. With --all a folder.
    #[arg(long, value_name = "PATH", conflicts_with = "json")]
    html: Option<PathBuf>,
    /// All scenarios as pages, and the shortest counterexample of each mutant: a course. The
    /// searches take two minutes on two processors.
    #[arg(long, requires = "html", conflicts_with_all = ["name", "file"])]
    all: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

impl ScenariosArgs {
    /// The folder for the pages of all.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.html.as_deref().filter(|_| self.all)
    }
}

/// The names of the scenarios.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    scenarios::ALL.iter().map(|(name, _)| *name)
}

/// Columns that prose takes.
const COLUMNS: usize = 96;

/// The flags that keep all messages that were ever sent.
const ALL_MESSAGES: &str = "--drop-stale off --forget off";

/// A scenario, and its model.
pub(super) struct Staged {
    pub(super) scenario: Scenario,
    pub(super) model: Box<dyn Model>,
    /// The model in words.
    world: String,
    /// The arguments of `synod scenarios` that play it.
    asks: String,
    /// What asks for it in the Explorer.
    command: String,
}

impl Staged {
    /// The scenario of this name.
    pub(super) fn named(name: &str) -> Result<Self, Error> {
        let text = scenarios::named(name);
        let text = text.ok_or_else(|| Error::Failed(format!("there is no scenario {name}")))?;
        let mut staged =
            Self::parse(text).map_err(|error| Error::Failed(format!("{name}: {error}")))?;
        staged.command = format!("{} --scenario {name}", staged.model.protocol().name());
        staged.asks = name.to_owned();
        Ok(staged)
    }

    /// The scenario in a file.
    fn read(path: &Path) -> Result<Self, Error> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::Failed(format!("--file {}: {error}", path.display()))
        };
        let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
        let mut staged = Self::parse(&text).map_err(|error| failed(&error))?;
        staged.asks = format!("--file {}", path.display());
        Ok(staged)
    }

    /// All messages are kept, so that those which come too late can be shown to change nothing.
    fn parse(text: &str) -> Result<Self, String> {
        let scenario = scenarios::parse(text).map_err(|error| error.to_string())?;
        let parse = |words: &str| protocol::parse(words).map_err(|error| format!("check: {error}"));
        let plain = parse(&scenario.check)?;
        let model = parse(&format!("{} {ALL_MESSAGES}", scenario.check))?;
        Ok(Self {
            world: plain.title(),
            asks: String::new(),
            command: model.command(),
            model,
            scenario,
        })
    }

    /// Plays it.
    pub(super) fn play(&self) -> Result<Run, Error> {
        self.model.play(&self.scenario).map_err(Error::failed)
    }

    /// The page of its run.
    pub(super) fn page(&self, run: &Run) -> Result<RunPage, Error> {
        let scenario = &self.scenario;
        let page = self.model.page(&run.explorer_path);
        let mut page = page.map_err(Error::failed)?;
        page.title.clone_from(&scenario.title);
        page.facts = page::terms([
            ("configuration", &self.world),
            ("command", &format!("synod scenarios {}", self.asks)),
            ("Explorer", &format!("synod explore {}", self.command)),
        ]);
        page.facts.splice(..0, page::broken(self.model.as_ref()));
        tell(scenario, run, &mut page.steps);
        page.checks = run.checks.iter().map(told).collect();
        page.moral.clone_from(&scenario.end.moral);
        page.signs = page::signs();
        Ok(page)
    }
}

pub(super) fn run(args: &ScenariosArgs, output: &mut Output) -> Result<Exit, Error> {
    let staged = match (&args.name, &args.file) {
        (Some(name), _) => Staged::named(name)?,
        (None, Some(path)) => Staged::read(path)?,
        (None, None) if args.html.is_some() => {
            return Err(Error::usage("--html takes a scenario, or --all"));
        }
        (None, None) => return list(args.json, output),
    };
    let run = staged.play()?;
    if let Some(path) = &args.html {
        page::write(path, &staged.page(&run)?.render())?;
        output.line(format_args!("the run as a page: {}", path.display()))?;
    } else if args.json {
        print_json(&staged, &run, output)?;
    } else {
        print(&staged, &run, output)?;
    }
    Ok(Exit::of(run.checks.iter().all(Check::is_met)))
}

fn list(as_json: bool, output: &mut Output) -> Result<Exit, Error> {
    let mut last = "";
    for (name, _) in scenarios::ALL {
        let Staged {
            scenario, model, ..
        } = Staged::named(name)?;
        if as_json {
            output.line(json!({
                "type": "scenario",
                "name": name,
                "model": model.protocol().name(),
                "title": scenario.title,
                "teaches": scenario.teaches,
            }))?;
            continue;
        }
        if model.protocol().title() != last {
            let separator = if last.is_empty() { "" } else { "\n" };
            last = model.protocol().title();
            output.line(format_args!("{separator}{}\n", bold(last)))?;
        }
        let name = format!("{name:<16}");
        output.line(format_args!("  {}{}", bold(name), scenario.teaches))?;
    }
    if !as_json {
        output.line("\nIn the order in which to read them. synod scenarios NAME plays one.")?;
    }
    Ok(Exit::Success)
}

fn print(staged: &Staged, run: &Run, output: &mut Output) -> Result<(), Error> {
    let scenario = &staged.scenario;
    output.line(bold(&scenario.title))?;
    print_aside(&staged.world, 0, output)?;
    introduce(staged.model.as_ref(), output)?;
    output.line("")?;
    print_prose(&scenario.story, 0, output)?;
    let mut number = 0;
    for (step, taken) in scenario.steps.iter().zip(&run.taken) {
        number = print_step(step, taken, number, output)?;
    }
    output.line(format_args!("\n{}\n", bold("In the end")))?;
    for check in &run.checks {
        print_check(check, output)?;
    }
    output.line("")?;
    print_prose(&scenario.end.moral, 0, output)?;
    output.line(format_args!(
        "\nSee it in the browser: synod explore {}\nand open {}",
        staged.command,
        link(ADDRESS, &run.explorer_path)
    ))
}

/// Puts the prose of a scenario beside its steps.
fn tell(scenario: &Scenario, run: &Run, steps: &mut [PageStep]) {
    let mut number = 0;
    if let Some(start) = steps.first_mut() {
        start.notes.push(scenario.story.clone());
    }
    for (step, taken) in scenario.steps.iter().zip(&run.taken) {
        if let Some(first) = steps.get_mut(number + 1).filter(|_| step.part.is_some()) {
            first.part.clone_from(&step.part);
        }
        number += taken.len();
        let Some(last) = steps.get_mut(number) else {
            return;
        };
        let rule = step.rule.as_ref().map(|rule| format!(" [{rule}]"));
        last.notes
            .push(step.why.trim().to_owned() + &rule.unwrap_or_default());
        let idle = step.idle.iter();
        last.notes
            .extend(idle.map(|name| format!("`{name}` changes nothing.")));
    }
}

fn told(check: &Check) -> (bool, String) {
    let expected = check.expected.as_ref();
    let expected = expected.map(|it| format!("; expected: {it}"));
    (
        check.is_met(),
        check.is.clone() + &expected.unwrap_or_default(),
    )
}

fn print_aside(text: &str, indent: usize, output: &mut Output) -> Result<(), Error> {
    let mut lines = wrap(text, indent, COLUMNS).into_iter();
    lines.try_for_each(|line| output.line(dim(line)))
}

fn print_prose(text: &str, indent: usize, output: &mut Output) -> Result<(), Error> {
    let mut lines = wrap(text, indent, COLUMNS).into_iter();
    lines.try_for_each(|line| output.line(line))
}

/// Prints a step after `number` others, and says how many there are then.
fn print_step(
    step: &Step,
    taken: &[Taken],
    mut number: usize,
    output: &mut Output,
) -> Result<usize, Error> {
    if let Some(part) = &step.part {
        output.line(format_args!("\n{}", bold(part)))?;
    }
    output.line("")?;
    for (name, taken) in step.take.iter().zip(taken) {
        number += 1;
        output.line(format_args!("{number:>3}. {}", bold(name)))?;
        let is_same = taken.before == taken.after;
        let after = if is_same { "as before" } else { &taken.after };
        print_aside(&format!("{}: {after}", taken.actor), 7, output)?;
        for (message, to) in &taken.sent {
            let to: Vec<String> = to.iter().map(|id| usize::from(*id).to_string()).collect();
            print_aside(&format!("sends {message} to {}", to.join(", ")), 7, output)?;
        }
    }
    for name in &step.idle {
        output.line(format_args!("  –  {}, which changes nothing", bold(name)))?;
    }
    let rule = step.rule.as_ref().map(|rule| format!(" [{rule}]"));
    let why = step.why.trim().to_owned() + &rule.unwrap_or_default();
    print_prose(&why, 5, output)?;
    Ok(number)
}

fn print_check(check: &Check, output: &mut Output) -> Result<(), Error> {
    let (sign, is) = (mark(check.is_met()), wrap(&check.is, 4, COLUMNS).join("\n"));
    output.line(format_args!("  {sign} {}", is.trim_start()))?;
    match &check.expected {
        Some(expected) => print_prose(&format!("expected: {expected}"), 4, output),
        None => Ok(()),
    }
}

fn print_json(staged: &Staged, run: &Run, output: &mut Output) -> Result<(), Error> {
    let scenario = &staged.scenario;
    for (step, taken) in scenario.steps.iter().zip(&run.taken) {
        let taken = step.take.iter().zip(taken).map(|(name, taken)| {
            let to = |to: &[_]| to.iter().map(|id| usize::from(*id)).collect::<Vec<_>>();
            let sent = taken
                .sent
                .iter()
                .map(|(message, ids)| json!([message, to(ids)]));
            json!({ "action": name, "actor": taken.actor, "before": taken.before,
                "after": taken.after, "sent": sent.collect::<Vec<_>>() })
        });
        output.line(json!({ "type": "step", "part": step.part,
            "taken": taken.collect::<Vec<_>>(), "idle": step.idle, "why": step.why.trim(),
            "rule": step.rule }))?;
    }
    let checks = run.checks.iter();
    let checks = checks.map(|it| json!({ "is": it.is, "expected": it.expected }));
    output.line(json!({ "type": "result", "title": scenario.title,
        "model": staged.model.protocol().name(), "flags": staged.model.flags(),
        "as_expected": run.checks.iter().all(Check::is_met),
        "checks": checks.collect::<Vec<_>>(), "moral": scenario.end.moral.trim(),
        "explorer": link(ADDRESS, &run.explorer_path) }))
}
