//! The processes of a benchmark, as the one that starts them sees them.
//!
//! A process reads its job from standard input, as a line of JSON, and then requests; it answers on
//! standard output. It ends when its standard input does.

use super::args::{Conditions, System};
use super::load::Work;
use crate::console::Error;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// The time within which a process must answer.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// The settings that the nodes and clients of a cluster share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setting {
    pub(super) system: System,
    /// The nodes of the floor handle datagrams together and share them.
    pub(super) packs: bool,
    pub(super) cluster: u64,
    pub(super) conditions: Conditions,
    /// The only processor to run on, or `None` for any.
    pub(super) processor: Option<usize>,
    /// The directory in which nodes save, or `None` if they forget what they save.
    pub(super) directory: Option<PathBuf>,
    /// The file of a running cluster.
    pub(super) file: Option<PathBuf>,
}

/// The role of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Role {
    /// The nodes with these indices.
    Nodes(std::ops::Range<usize>),
    /// A number of clients. Their messages share datagrams if `packed`.
    Clients {
        packed: bool,
        count: usize,
        work: Work,
    },
    /// An outsider without the key.
    Flood,
}

/// A request to a process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Begin to work with nodes at these addresses; answered once the work has begun.
    Begin(Vec<SocketAddr>),
    /// Count from now on; not answered.
    Mark,
    /// Answer with what was counted since the mark.
    Report,
}

/// A process, which is killed when it is dropped.
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<Result<Value, String>>,
    name: &'static str,
    /// The addresses of its sockets.
    pub(super) addresses: Vec<SocketAddr>,
}

impl Process {
    pub(super) fn start(setting: &Setting, role: &Role) -> Result<Self, Error> {
        let name = match role {
            Role::Nodes(_) => "a node",
            Role::Clients { .. } => "the clients",
            Role::Flood => "the flood",
        };
        let fail = |error| Error::Failed(format!("cannot start {name} as a process: {error}"));
        let mut command = Command::new(std::env::current_exe().map_err(fail)?);
        command.arg("bench-process");
        if let (Role::Nodes(_), Some(directory)) = (role, &setting.directory) {
            // `stateright::actor::spawn` saves in the working directory.
            command.current_dir(directory);
        }
        if setting.system == System::Stateright {
            // The message of a panic in `spawn` would only repeat the error.
            command.stderr(Stdio::null());
        }
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().map_err(fail)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Failed(format!("{name} has no pipes")));
        };
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let answer = line.ok().and_then(|line| serde_json::from_str(&line).ok());
                if answer.is_none_or(|answer| sender.send(answer).is_err()) {
                    return;
                }
            }
        });
        let mut process = Process {
            child,
            stdin,
            answers,
            name,
            addresses: Vec::new(),
        };
        process.send(&(setting, role))?;
        process.addresses = process.read()?;
        Ok(process)
    }

    /// Sends a request without an answer.
    pub(super) fn send(&mut self, what: &impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_string(what).map_err(Error::failed)?;
        let written = writeln!(self.stdin, "{line}");
        written.map_err(|error| Error::Failed(format!("{} is gone: {error}", self.name)))
    }

    fn read<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let seconds = ANSWERS_WITHIN.as_secs();
        let why = match self.answers.recv_timeout(ANSWERS_WITHIN) {
            Ok(Ok(value)) => match serde_json::from_value(value) {
                Ok(answer) => return Ok(answer),
                Err(error) => format!("gave a wrong answer: {error}"),
            },
            Ok(Err(why)) => format!("failed: {why}"),
            Err(RecvTimeoutError::Timeout) => format!("did not answer for {seconds} s"),
            Err(RecvTimeoutError::Disconnected) => "ended too early".to_owned(),
        };
        Err(Error::Failed(format!("{} {why}", self.name)))
    }

    /// Sends a request and waits for the answer.
    pub(super) fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Error> {
        self.send(request)?;
        self.read()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
