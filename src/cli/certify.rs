//! `synod certify`: the verdicts on a recorded run.

use crate::console::output::{Output, bad, bold, dim, good, grouped, many, mark, warn};
use crate::console::{Error, Exit};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use synod::certify::{Contents, File, Rejection, Report, certify};

/// Examples for the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  synod cluster multi --faults loss=0.1,dup=0.1,reorder=0.1 --trace run && synod certify run
  synod certify run --checker proofs/build/checker      ask the proven checker as well
  synod certify run --events run.trace                  write the events that it reads

Exit status: 0 certified; 1 rejected, with file, line, rule and recorded data; 2 the files are not
the traces of one run.";

#[derive(Debug, Args)]
pub(super) struct CertifyArgs {
    /// The traces of a run: one file of each node, any number of files of clients; or their
    /// directory. The requests of clients without a file are taken on trust.
    #[arg(required = true, value_name = "TRACE")]
    traces: Vec<PathBuf>,
    /// Also ask this program: the checker that is extracted from the proof, which
    /// `make -C proofs checker` builds.
    #[arg(long, value_name = "PROGRAM")]
    checker: Option<PathBuf>,
    /// Write the events of the nodes, in the language of that checker, to this file.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// A judge and its verdict.
struct Verdict {
    judge: &'static str,
    /// The text if the judge rejects nothing.
    certifies: String,
    rejection: Option<Rejection>,
}

pub(super) fn run(args: &CertifyArgs, output: &mut Output) -> Result<Exit, Error> {
    let started = Instant::now();
    let mut files = Vec::new();
    for path in &args.traces {
        read(path, &mut files)?;
    }
    let report = certify(&files).map_err(Error::failed)?;
    if let Some(path) = &args.events {
        std::fs::write(path, report.events_as_text())
            .map_err(|error| Error::path("write", path, error))?;
    }
    let mut verdicts = ours(&report);
    if let Some(checker) = &args.checker {
        verdicts.push(Verdict {
            judge: "checker",
            certifies: "the checker that is extracted from the proof accepts them".to_owned(),
            rejection: ask(checker, &report)?,
        });
    }
    let judgement = Judgement {
        report,
        verdicts,
        seconds: started.elapsed().as_secs_f64(),
    };
    if args.json {
        judgement.print_json(output)?;
    } else {
        judgement.print(output)?;
    }
    Ok(Exit::of(judgement.is_certified()))
}

/// Reads a trace, or all traces in a directory.
fn read(path: &Path, files: &mut Vec<File>) -> Result<(), Error> {
    let name = path.display().to_string();
    let fail = |error| Error::path("read", path, error);
    if !path.is_dir() {
        let bytes = std::fs::read(path).map_err(fail)?;
        files.push(File { name, bytes });
        return Ok(());
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fail)? {
        paths.push(entry.map_err(fail)?.path());
    }
    if paths.is_empty() {
        return Err(Error::Failed(format!(
            "there is no trace in {name}; `synod cluster --trace {name}` records a run"
        )));
    }
    paths.sort_unstable();
    paths.iter().try_for_each(|path| read(path, files))
}

fn ours(report: &Report) -> Vec<Verdict> {
    let of_nodes = report.contents.iter().filter(|it| !it.is_client);
    let steps: usize = of_nodes.map(|it| it.steps).sum();
    let (steps, events) = (
        many(steps as u64, "step"),
        many(report.events.len() as u64, "event"),
    );
    let sent = "every received message was sent before".to_owned();
    let steps = format!("{steps} of nodes, taken by the actors again");
    let events = format!("{events} of a run of the proved protocol");
    let verdicts = [
        ("causality", sent, &report.causality),
        ("model", steps, &report.model),
        ("protocol", events, &report.protocol),
    ];
    let verdicts = verdicts.map(|(judge, certifies, rejection)| Verdict {
        judge,
        certifies,
        rejection: rejection.clone(),
    });
    verdicts.into()
}

/// Asks the program to judge the run, and returns the rejection with its place.
fn ask(checker: &Path, report: &Report) -> Result<Option<Rejection>, Error> {
    let fail = |what: String| Error::Failed(format!("{}: {what}", checker.display()));
    let file = tempfile::NamedTempFile::new().map_err(Error::failed)?;
    std::fs::write(file.path(), report.events_as_text()).map_err(Error::failed)?;
    let asked = Command::new(checker).arg(file.path()).output();
    let answer = asked.map_err(|error| fail(error.to_string()))?;
    let said = String::from_utf8_lossy(&answer.stdout);
    let misunderstood = || {
        let error = String::from_utf8_lossy(&answer.stderr);
        fail(format!(
            "the output is no verdict: {}{}",
            said.trim(),
            error.trim()
        ))
    };
    match answer.status.code() {
        Some(0) => Ok(None),
        Some(1) => {
            let (_, rest) = said
                .split_once("rejected at line ")
                .ok_or_else(misunderstood)?;
            let line = rest.split(':').next().and_then(|line| line.parse().ok());
            let rejection = line.and_then(|line| report.rejection_at(line));
            rejection.map(Some).ok_or_else(misunderstood)
        }
        _ => Err(misunderstood()),
    }
}

/// The results of the command.
struct Judgement {
    report: Report,
    verdicts: Vec<Verdict>,
    seconds: f64,
}

impl Judgement {
    fn is_certified(&self) -> bool {
        self.verdicts
            .iter()
            .all(|verdict| verdict.rejection.is_none())
    }

    fn verdict(&self) -> &'static str {
        match self.is_certified() {
            true => "certified",
            false => "rejected",
        }
    }

    fn print(&self, output: &mut Output) -> Result<(), Error> {
        let report = &self.report;
        let width = report.contents.iter().map(|it| it.file.len()).max();
        let width = width.unwrap_or_default();
        for contents in &report.contents {
            let (file, what) = (&contents.file, describe(contents));
            output.line(format_args!("{file:<width$}  {what}"))?;
        }
        if report.untraced > 0 {
            let untraced = grouped(report.untraced);
            let trusted =
                format!("{untraced} messages of clients without a trace are taken on trust");
            output.line(warn(trusted))?;
        }
        for verdict in &self.verdicts {
            let judge = bold(format!("{:<10}", verdict.judge));
            let sign = mark(verdict.rejection.is_none());
            match &verdict.rejection {
                None => output.line(format_args!("{judge} {sign} {}", verdict.certifies))?,
                Some(it) => {
                    let (file, line) = (&it.file, it.line);
                    output.line(format_args!("{judge} {sign} {file}, line {line}"))?;
                    output.line(format_args!("           rule      {}", it.reason))?;
                    output.line(format_args!("           recorded  {}", it.recorded))?;
                    explain(report, it, output)?;
                }
            }
        }
        let time = dim(format!("in {:.2} s", self.seconds));
        let verdict = match self.is_certified() {
            true => good(self.verdict()),
            false => bad(self.verdict()),
        };
        output.line(format_args!("{verdict} {time}"))
    }

    fn print_json(&self, output: &mut Output) -> Result<(), Error> {
        let report = &self.report;
        for contents in &report.contents {
            let mut line = json!(contents);
            line["type"] = "trace".into();
            output.line(line)?;
        }
        for verdict in &self.verdicts {
            output.line(json!({
                "type": "verdict",
                "judge": verdict.judge,
                "certified": verdict.rejection.is_none(),
                "rejection": verdict.rejection,
            }))?;
        }
        output.line(json!({
            "type": "result",
            "verdict": self.verdict(),
            "events": report.events.len(),
            "untraced": report.untraced,
            "seconds": self.seconds,
        }))
    }
}

/// Prints the value that a number in a rejected event stands for.
fn explain(report: &Report, rejection: &Rejection, output: &mut Output) -> Result<(), Error> {
    let words: Vec<&str> = rejection.recorded.split(' ').collect();
    let value = match words.as_slice() {
        ["requested", value] => value,
        ["proposed", _, _, value, _] | ["learned", _, _, value] => value,
        ["voted", _, _, _, value] => value,
        _ => return Ok(()),
    };
    let number = value.parse().ok();
    match number.and_then(|number: usize| report.values.get(number)) {
        Some(value) => output.line(dim(format_args!(
            "           where {} is {value}",
            words.join(" ")
        ))),
        None => Ok(()),
    }
}

fn describe(contents: &Contents) -> String {
    let who = match contents.node {
        None => "nobody".to_owned(),
        Some(id) if contents.is_client => format!("client {id}"),
        Some(id) => format!("node {id}"),
    };
    let torn = contents
        .torn
        .map(|line| format!("; line {line}, the last, is torn, as by a kill, and is not counted"));
    format!(
        "{who}, {}{}",
        many(contents.steps as u64, "step"),
        torn.unwrap_or_default()
    )
}
