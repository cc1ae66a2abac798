//! A trace of every step of a node in a file, so that a run can be replayed and judged.
//!
//! Each line is a JSON object, for one step:
//!
//! ```json
//! {"node":0,"us":1532,"event":{"message":[3,{"Propose":"x"}]},"clock":[],"saves":[..],"sends":..}
//! ```
//!
//! `us` counts from the start of the process. `event` is a `start` with the changes that lead to
//! the last save, a `message` with its sender, a `timeout` or a `choice`. `clock` has the readings
//! of [`now_us`](super::clock::now_us), `saves` the changes of the durable state (`null` without a
//! save), and `sends` the messages with their destinations. Messages and changes are written by
//! their `Serialize`. A line of another kind may come first, to describe the run:
//! [`Recorder::about`].

use super::clock;
use super::error::Error;
use super::observer::{Event, EventOf, StepObserver};
use crate::delta::Delta;
use serde::{Deserialize, Serialize};
use stateright::actor::{Actor, Command, Id, Out};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A step as it is read back, with messages `M`, timers `T`, random choices `R` and changes `C`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recorded<M, T, R, C> {
    /// The node that took the step.
    pub node: usize,
    /// The time in microseconds since the process started.
    pub us: u64,
    /// The event that the step handled.
    pub event: RecordedEvent<M, T, R, C>,
    /// The readings of the clock in microseconds, in order.
    pub clock: Vec<u64>,
    /// The changes of the durable state, if the step saved.
    pub saves: Option<Vec<C>>,
    /// The messages with their destinations.
    pub sends: Vec<(usize, M)>,
}

/// The event of a step as it is read back. The changes of a start lead to the last save.
pub type RecordedEvent<M, T, R, C> = Event<Vec<C>, M, T, R>;

/// A recorder of a node's steps. A step is in the file before its messages leave, so that a killed
/// node has sent nothing that is not recorded. The last line may be torn. The file survives the end
/// of the process, but not that of the machine.
///
/// `S` is the storage of the node. Each node needs its own recorder.
#[derive(Debug)]
pub struct Recorder<S> {
    path: PathBuf,
    file: File,
    /// The last save.
    saved: Option<S>,
    /// Steps that are not durable yet.
    pending: Vec<u8>,
    failure: Option<Error>,
}

impl<S> Recorder<S> {
    /// Opens a file to append to, and creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if the file cannot be opened. The node stops if the file cannot be written
    /// later, or if a step cannot be recorded ([`Error::Unrecordable`]).
    pub fn append_to(path: &Path) -> Result<Self, Error> {
        let file = File::options().append(true).create(true).open(path);
        Ok(Recorder {
            path: path.to_owned(),
            file: file.map_err(Error::file(path, "open"))?,
            saved: None,
            pending: Vec::new(),
            failure: None,
        })
    }

    /// Writes a line `{"run":..}` before the next steps.
    #[must_use]
    pub fn about(mut self, run: &impl Serialize) -> Self {
        self.pending.extend(b"{\"run\":");
        self.write(run);
        self.pending.extend(b"}\n");
        self
    }

    fn write(&mut self, value: &impl Serialize) {
        if let Err(source) = serde_json::to_writer(&mut self.pending, value) {
            let path = self.path.clone();
            let failure = Error::Unrecordable { path, source };
            self.failure.get_or_insert(failure);
        }
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

impl<A, S> StepObserver<A> for Recorder<S>
where
    A: Actor<Msg: Serialize, Timer: Serialize, Random: Serialize, Storage = S>,
    S: Delta + Clone,
{
    fn before(&mut self, node: Id, now: Duration, event: EventOf<'_, A>) {
        let (node, us) = (usize::from(node), now.as_micros());
        let start = format!("{{\"node\":{node},\"us\":{us},\"event\":");
        self.pending.extend(start.as_bytes());
        if let Event::Start(saved) = event {
            self.saved.clone_from(saved);
        }
        self.write(&match event {
            Event::Start(saved) => {
                let changes = saved.as_ref().map(|saved| saved.changes(None));
                Event::Start(changes.unwrap_or_default())
            }
            Event::Message(from, message) => Event::Message(from, message),
            Event::Timeout(timer) => Event::Timeout(timer),
            Event::Choice(random) => Event::Choice(random),
        });
        clock::note();
    }

    fn after(&mut self, _: Id, _: &A::State, commands: &Out<A>) {
        let clock = clock::noted();
        let mut saves = None;
        let mut sends = Vec::new();
        for command in commands.iter() {
            match command {
                Command::Save(state) => saves = Some(state),
                Command::Send(to, message) => sends.push((usize::from(*to), message)),
                Command::SetTimer(..) | Command::CancelTimer(_) | Command::ChooseRandom(..) => (),
            }
        }
        let changes = saves.map(|state| state.changes(self.saved.as_ref()));
        if let Some(state) = saves {
            self.saved = Some(state.clone());
        }
        self.pending.extend(b",\"clock\":");
        self.write(&clock);
        self.pending.extend(b",\"saves\":");
        self.write(&changes);
        self.pending.extend(b",\"sends\":");
        self.write(&sends);
        self.pending.extend(b"}\n");
    }

    fn durable(&mut self, _: Id, _: &A::State) -> Result<(), Error> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.write_out().map_err(Error::file(&self.path, "write"))
    }
}
