//! `synod kv`: one operation on a replicated store.

use super::output::Output;
use super::{Error, Exit};
use crate::console::store::{CLIENTS, ClusterFile, ReadArg};
use clap::{Args, Subcommand};
use rand::Rng;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use synod::backoff::Backoff;
use synod::kv::{Command, Reply, Text};
use synod::multi::{Client, How, Outcome, Process, Task};
use synod::runtime::{NodeConfig, spawn_watched};

pub(super) const EXAMPLES: &str = "\
Examples:
  synod kv put colour red --config store/cluster.toml
  synod kv get colour --read lease --config store/cluster.toml
  synod kv cas colour green --expected red --config store/cluster.toml

Exit status: 0 done; 1 there is no such key to get or delete, or cas found something else than was
expected; 2 wrong usage or failed input or output; 3 no answer in time, or the session expired: then
it is not known whether a write took effect.";

#[derive(Debug, Args)]
pub(super) struct KvArgs {
    /// The file that describes the cluster.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "cluster.toml"
    )]
    pub(super) config: PathBuf,
    /// Print one JSON object per line.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Give up, with exit status 3, after so many seconds.
    #[arg(long, global = true, value_name = "S", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) timeout_s: u64,
    /// What to ask for.
    #[command(subcommand)]
    pub(super) command: KvCommand,
}

/// What a store can be asked. Keys have up to 256 bytes, values up to 1,024.
#[derive(Debug, Subcommand)]
pub(super) enum KvCommand {
    /// Print what a key holds.
    Get {
        /// The key.
        key: String,
        /// How it is made sure that no write is missed.
        #[arg(long, value_enum, default_value_t = ReadArg::Index)]
        read: ReadArg,
    },
    /// Have a key hold a value.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Have a key hold nothing.
    Delete {
        /// The key.
        key: String,
    },
    /// Have a key hold a value, if it holds what is expected.
    #[command(group = clap::ArgGroup::new("condition").required(true))]
    Cas {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What the key must hold.
        #[arg(long, value_name = "VALUE", group = "condition")]
        expected: Option<String>,
        /// The key must hold nothing.
        #[arg(long, group = "condition")]
        absent: bool,
    },
}

impl KvCommand {
    /// Its name on the command line.
    pub(super) fn name(&self) -> &'static str {
        match self {
            KvCommand::Get { .. } => "get",
            KvCommand::Put { .. } => "put",
            KvCommand::Delete { .. } => "delete",
            KvCommand::Cas { .. } => "cas",
        }
    }

    /// The key that it is about.
    pub(super) fn key(&self) -> &str {
        match self {
            KvCommand::Get { key, .. }
            | KvCommand::Put { key, .. }
            | KvCommand::Delete { key }
            | KvCommand::Cas { key, .. } => key,
        }
    }
}

pub(super) fn run(args: &KvArgs, output: &mut Output) -> Result<Exit, Error> {
    let task = task(&args.command)?;
    let file = ClusterFile::read(&args.config)?;
    let told = ask(&file, task, Duration::from_secs(args.timeout_s))?;
    let answer = Answer::of(&args.command, told);
    if args.json {
        output.line(answer.json(&args.command))?;
    } else if answer.exit == Exit::Success {
        output.line(&answer.text)?;
    } else {
        output.note(&answer.text);
    }
    Ok(answer.exit)
}

fn task(command: &KvCommand) -> Result<Task<Command>, Error> {
    let command = match command {
        KvCommand::Get { key, read } => {
            let command = Command::get(key).map_err(Error::other)?;
            return Ok(match read {
                ReadArg::Log => Task::Do(command),
                ReadArg::Index => Task::Read(command, How::Index),
                ReadArg::Lease => Task::Read(command, How::Lease),
            });
        }
        KvCommand::Put { key, value } => Command::put(key, value),
        KvCommand::Delete { key } => Command::delete(key),
        KvCommand::Cas {
            key,
            value,
            expected,
            absent: _,
        } => Command::cas(key, expected.as_deref(), value),
    };
    command.map(Task::Do).map_err(Error::other)
}

/// Does something, as a client that is there for nothing else. `None` if that took too long.
fn ask(
    file: &ClusterFile,
    task: Task<Command>,
    timeout: Duration,
) -> Result<Option<Outcome<Reply>>, Error> {
    let any: SocketAddr = match file.addresses().all(|address| address.is_ipv4()) {
        true => (Ipv4Addr::UNSPECIFIED, 0).into(),
        false => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)
        .map_err(|error| Error::Other(format!("cannot open a UDP socket: {error}")))?;
    // No other client is likely to have the same id among four thousand million.
    let id = rand::rng().random_range(CLIENTS);
    let mut config = NodeConfig::new(id.into(), socket);
    file.configure(&mut config)?;
    config.seed = rand::random();
    let client = Client {
        tasks: vec![task],
        session: None,
        leaders: file.cluster()?.proposers,
        is_loyal: false,
        backoff: Backoff::default(),
    };
    let (sender, told) = channel();
    let watch = move |_: stateright::actor::Id, state: &synod::multi::ProcessState<_>| {
        let outcome = state.client().and_then(|client| client.replies.first());
        // Nobody listens any more to what comes twice.
        let _ = outcome.map(|outcome| sender.send(outcome.clone()));
    };
    let process: Process<synod::kv::Store> = Process::Client(client);
    let handle = spawn_watched(process, config, watch, |_| {}).map_err(Error::other)?;
    let deadline = Instant::now() + timeout;
    let outcome = told.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    handle.stop();
    handle.join().map_err(Error::other)?;
    match outcome {
        Ok(outcome) => Ok(Some(outcome)),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
    }
}

/// What a user is told.
#[derive(Debug)]
struct Answer {
    exit: Exit,
    text: String,
    /// In one word, for programs.
    verdict: &'static str,
    /// What the key held before; what it holds, if nothing was changed.
    value: Option<Text>,
}

impl Answer {
    fn of(command: &KvCommand, told: Option<Outcome<Reply>>) -> Self {
        let (exit, verdict, text, value) = match told {
            Some(Outcome::Done(reply)) => return Self::of_reply(command, reply),
            Some(Outcome::Expired | Outcome::Opened { .. }) => {
                let text = "the session has expired, for too many others were opened: whether the \
                            command took effect is not known; read before you try again";
                (Exit::Bounded, "expired", text.to_owned(), None)
            }
            None => {
                let unknown = match command {
                    KvCommand::Get { .. } => "",
                    _ => ": whether the command took effect, or will, is not known",
                };
                let text = format!("no answer in time{unknown}. Does a majority of the nodes run?");
                (Exit::Bounded, "timeout", text, None)
            }
        };
        Answer {
            exit,
            text,
            verdict,
            value,
        }
    }

    fn of_reply(command: &KvCommand, reply: Reply) -> Self {
        let is_read = matches!(command, KvCommand::Get { .. });
        let needs = is_read || matches!(command, KvCommand::Delete { .. });
        let (exit, verdict, text, value) = match reply {
            Reply::Was(None) if needs => {
                let text = format!("there is no key {:?}", command.key());
                (Exit::Violated, "absent", text, None)
            }
            Reply::Was(Some(value)) if is_read => {
                (Exit::Success, "done", value.to_string(), Some(value))
            }
            Reply::Was(value) => {
                let text = Reply::Was(value.clone()).to_string();
                (Exit::Success, "done", text, value)
            }
            Reply::Unchanged(value) => {
                let text = Reply::Unchanged(value.clone()).to_string();
                (Exit::Violated, "unchanged", text, value)
            }
            Reply::Refused(error) => (Exit::Failure, "refused", error.to_string(), None),
        };
        Answer {
            exit,
            text,
            verdict,
            value,
        }
    }

    fn json(&self, command: &KvCommand) -> serde_json::Value {
        serde_json::json!({
            "type": "result",
            "command": command.name(),
            "key": command.key(),
            "verdict": self.verdict,
            "value": self.value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_claimed() {
        let (key, value) = ("k".to_owned(), "v".to_owned());
        let put = KvCommand::Put { key, value };
        let expired = Answer::of(&put, Some(Outcome::Expired));
        assert_eq!((expired.exit, expired.verdict), (Exit::Bounded, "expired"));
        assert!(expired.text.contains("not known"), "{}", expired.text);
        let late = Answer::of(&put, None);
        assert_eq!((late.exit, late.verdict), (Exit::Bounded, "timeout"));
        assert!(late.text.contains("not known"), "{}", late.text);
    }
}
