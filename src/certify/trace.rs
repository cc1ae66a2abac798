//! Reads traces.

use super::error::{Error, Problem};
use super::run::Run;
use crate::delta::Delta;
use crate::runtime::Recorded;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use stateright::actor::Actor;

/// A step of an actor as it is read back.
pub(super) type StepOf<A> = Recorded<
    <A as Actor>::Msg,
    <A as Actor>::Timer,
    <A as Actor>::Random,
    <<A as Actor>::Storage as Delta>::Change,
>;

/// A file that is to be judged.
#[derive(Clone, Debug)]
pub struct File {
    /// The name, as messages give it.
    pub name: String,
    /// The contents.
    pub bytes: Vec<u8>,
}

/// A trace: the contents of a file.
pub(super) struct Trace<A: Actor<Storage: Delta>> {
    pub(super) name: String,
    /// The process that took the steps; `None` if there are no steps.
    pub(super) node: Option<usize>,
    /// The steps, each with its line, counted from 1.
    pub(super) steps: Vec<(usize, StepOf<A>)>,
    /// The last line, if a process that was killed left it unfinished.
    pub(super) torn: Option<usize>,
}

/// A line about the run of the steps that follow.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    run: Run,
}

/// The beginning of such a line.
const ABOUT: &[u8] = b"{\"run\":";

impl File {
    pub(super) fn error(&self, line: usize, problem: impl Into<Problem>) -> Error {
        let (file, problem) = (self.name.clone(), problem.into());
        Error::Line {
            file,
            line,
            problem,
        }
    }

    /// Returns the lines that are not empty, counted from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let lines = self.bytes.split(|byte| *byte == b'\n');
        (1..).zip(lines).filter(|(_, line)| !line.is_empty())
    }

    fn about(&self, line: usize, text: &[u8]) -> Result<Run, Error> {
        let about: Result<About, _> = serde_json::from_slice(text);
        let about = about.map_err(|error| self.error(line, error))?;
        Ok(about.run)
    }

    /// Returns the run, as the first line names it.
    ///
    /// # Errors
    /// If the first line does not name a run.
    pub fn run(&self) -> Result<Run, Error> {
        match self.lines().next() {
            Some((line, text)) if text.starts_with(ABOUT) => self.about(line, text),
            Some((line, _)) => Err(self.error(line, Problem::NoRun)),
            None => Err(self.error(1, Problem::Empty)),
        }
    }

    /// Reads all steps, which must be of one process and of this run.
    pub(super) fn read<A>(&self, run: &Run) -> Result<Trace<A>, Error>
    where
        A: Actor<Storage: Delta>,
        StepOf<A>: DeserializeOwned,
    {
        let mut trace = Trace {
            name: self.name.clone(),
            node: None,
            steps: Vec::new(),
            torn: None,
        };
        let last = self.lines().map(|(line, _)| line).last();
        for (line, text) in self.lines() {
            let is_torn = Some(line) == last && self.bytes.last() != Some(&b'\n');
            let step: Result<StepOf<A>, _> = match text.starts_with(ABOUT) {
                true if is_torn => break,
                true if self.about(line, text)? == *run => continue,
                true => return Err(self.error(line, Problem::OtherCluster)),
                false => serde_json::from_slice(text),
            };
            match step {
                Ok(step) => {
                    let (process, owner) = (step.node, *trace.node.get_or_insert(step.node));
                    if process != owner {
                        return Err(self.error(line, Problem::OtherProcess { process, owner }));
                    }
                    trace.steps.push((line, step));
                }
                Err(_) if is_torn => trace.torn = Some(line),
                Err(error) => return Err(self.error(line, error)),
            }
        }
        Ok(trace)
    }
}
