//! `synod kv`: sends one command to a replicated store.

use crate::console::output::Output;
use crate::console::store::{CLIENTS, ClusterFile, ReadArg};
use crate::console::{Error, Exit};
use crate::models::multi::history::command;
use clap::{Args, Subcommand};
use rand::Rng;
use stateright::actor::Id;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;
use synod::backoff::Backoff;
use synod::kv::{Command, Reply, Store, Text};
use synod::multi::{Client, Outcome, Process, ProcessState, Task};
use synod::runtime::{NodeConfig, spawn_observed};

pub(super) const EXAMPLES: &str = "\
Examples:
  synod kv put colour red --config store/cluster.toml
  synod kv get colour --read lease --config store/cluster.toml
  synod kv cas colour green --expected red --config store/cluster.toml

Exit status: 0 done; 1 there is no key to get or delete, or cas found another value than expected;
2 wrong usage, or input or output failed; 3 no answer in time, or the session expired: then it is
not known whether a write took effect.";

#[derive(Debug, Args)]
pub(super) struct KvArgs {
    /// The file that describes the cluster.
    #[arg(long, global = true)]
    #[arg(value_name = "FILE", default_value = "cluster.toml")]
    config: PathBuf,
    /// Print one JSON object per line.
    #[arg(long, global = true)]
    json: bool,
    /// Give up, with exit status 3, after this many seconds.
    #[arg(long, global = true, value_name = "S", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout_s: u64,
    /// The command to send.
    #[command(subcommand)]
    command: KvCommand,
}

/// A command for a store. Keys have up to 256 bytes, values up to 1,024.
#[derive(Debug, Subcommand)]
enum KvCommand {
    /// Print the value of a key.
    Get {
        /// The key.
        key: String,
        /// The way in which the read makes sure that it misses no write.
        #[arg(long, value_enum, default_value_t = ReadArg::Index)]
        read: ReadArg,
    },
    /// Set the value of a key.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Remove a key.
    Delete {
        /// The key.
        key: String,
    },
    /// Set the value of a key if the present one is as expected (compare-and-swap).
    #[command(group = clap::ArgGroup::new("condition").required(true))]
    Cas {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// The key must have this value.
        #[arg(long, value_name = "VALUE", group = "condition")]
        expected: Option<String>,
        /// The key must not exist.
        #[arg(long, group = "condition")]
        absent: bool,
    },
}

pub(super) fn run(args: &KvArgs, output: &mut Output) -> Result<Exit, Error> {
    let (name, task) = task(&args.command)?;
    let file = ClusterFile::read(&args.config)?;
    let outcome = ask(&file, task.clone(), Duration::from_secs(args.timeout_s))?;
    let command = command(&task);
    let answer = Answer::of(command, outcome);
    if args.json {
        output.line(serde_json::json!({
            "type": "result",
            "command": name,
            "key": command.key(),
            "verdict": answer.verdict,
            "value": answer.value,
        }))?;
    } else if answer.exit == Exit::Success {
        output.line(&answer.text)?;
    } else {
        output.note(&answer.text);
    }
    Ok(answer.exit)
}

/// The name of a command, and the task of a client that sends it.
fn task(command: &KvCommand) -> Result<(&'static str, Task<Command>), Error> {
    let mut mode = None;
    let (name, command) = match command {
        KvCommand::Get { key, read } => {
            mode = read.mode();
            ("get", Command::get(key))
        }
        KvCommand::Put { key, value } => ("put", Command::put(key, value)),
        KvCommand::Delete { key } => ("delete", Command::delete(key)),
        KvCommand::Cas {
            key,
            value,
            expected,
            absent: _,
        } => ("cas", Command::cas(key, expected.as_deref(), value)),
    };
    let command = command.map_err(Error::failed)?;
    let task = match mode {
        Some(mode) => Task::Read(command, mode),
        None => Task::Do(command),
    };
    Ok((name, task))
}

/// Carries out a task as a new client. The outcome is `None` if that takes too long.
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
        .map_err(|error| Error::Failed(format!("cannot open a UDP socket: {error}")))?;
    // Two clients hardly ever draw the same id: there are four thousand million.
    let id = rand::rng().random_range(CLIENTS);
    let mut config = NodeConfig::new(id.into(), socket);
    file.configure(&mut config)?;
    config.seed = rand::random();
    let process: Process<Store> = Process::Client(Client {
        tasks: vec![task],
        session: None,
        leaders: file.cluster()?.proposers,
        is_loyal: false,
        backoff: Backoff::default(),
    });
    let (sender, outcomes) = channel();
    let watch = move |_: Id, state: &ProcessState<Store>| {
        let outcome = state.client().and_then(|client| client.replies.first());
        // The receiver is gone after the first one.
        let _ = outcome.map(|outcome| sender.send(outcome.clone()));
    };
    let handle = spawn_observed(process, config, watch, |_| {}).map_err(Error::failed)?;
    let outcome = outcomes.recv_timeout(timeout);
    handle.stop();
    handle.join().map_err(Error::failed)?;
    Ok(outcome.ok())
}

/// An answer to the user.
#[derive(Debug)]
struct Answer {
    exit: Exit,
    /// One word for programs.
    verdict: &'static str,
    text: String,
    /// The value of the key before the command, or its present one if nothing was changed.
    value: Option<Text>,
}

impl Answer {
    fn of(command: &Command, outcome: Option<Outcome<Reply>>) -> Self {
        let is_read = matches!(command, Command::Get { .. });
        let needs_key = is_read || matches!(command, Command::Delete { .. });
        let (exit, verdict, text, value) = match outcome {
            Some(Outcome::Done(Reply::Was(None))) if needs_key => {
                let text = format!("there is no key {:?}", command.key());
                (Exit::Violated, "absent", text, None)
            }
            Some(Outcome::Done(Reply::Was(Some(value)))) if is_read => {
                (Exit::Success, "done", value.to_string(), Some(value))
            }
            Some(Outcome::Done(reply)) => {
                let text = reply.to_string();
                match reply {
                    Reply::Was(value) => (Exit::Success, "done", text, value),
                    Reply::Unchanged(value) => (Exit::Violated, "unchanged", text, value),
                    Reply::Refused(_) => (Exit::Failure, "refused", text, None),
                }
            }
            Some(Outcome::Expired | Outcome::Opened { .. }) => {
                let text = "the session has expired because too many others were opened, so it is \
                            not known whether the command took effect; read before you try again";
                (Exit::Bounded, "expired", text.to_owned(), None)
            }
            None => {
                let unknown = match is_read {
                    true => "",
                    false => ", so it is not known whether the command took or will take effect",
                };
                let text = format!("no answer in time{unknown}. Does a majority of the nodes run?");
                (Exit::Bounded, "timeout", text, None)
            }
        };
        Answer {
            exit,
            verdict,
            text,
            value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_claimed() {
        let put = Command::put("k", "v").expect("short");
        let expired = Answer::of(&put, Some(Outcome::Expired));
        assert_eq!((expired.exit, expired.verdict), (Exit::Bounded, "expired"));
        assert!(expired.text.contains("not known"), "{}", expired.text);
        let late = Answer::of(&put, None);
        assert_eq!((late.exit, late.verdict), (Exit::Bounded, "timeout"));
        assert!(late.text.contains("not known"), "{}", late.text);
    }
}
