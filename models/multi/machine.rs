//! The machine that the model replicates, and what it should look like to clients.

use serde::{Deserialize, Serialize};
use stateright::semantics::SequentialSpec;
use std::fmt;
use synod::machine::Machine;

/// A register that remembers all that was ever written to it, so that a command which takes effect
/// twice shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Register {
    /// What was written, in order.
    pub written: Vec<char>,
}

/// What can be asked of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Command {
    /// Write this.
    Write(char),
    /// Say what was written last.
    Read,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Write(value) => write!(f, "{value}"),
            Command::Read => f.write_str("?"),
        }
    }
}

/// What was there before a write, or is there; shown as `=x`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reply(pub Option<char>);

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "={}", self.0.unwrap_or('∅'))
    }
}

impl Machine for Register {
    type Command = Command;
    type Reply = Reply;

    fn apply(&mut self, command: &Command) -> Reply {
        let before = self.written.last().copied();
        if let Command::Write(value) = command {
            self.written.push(*value);
        }
        Reply(before)
    }

    fn read(&self, command: &Command) -> Option<Reply> {
        match command {
            Command::Write(_) => None,
            Command::Read => Some(Reply(self.written.last().copied())),
        }
    }
}

/// What clients should see: one register, nowhere else. Shares no code with the machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OneRegister(pub Option<char>);

impl SequentialSpec for OneRegister {
    type Op = Command;
    type Ret = Reply;

    fn invoke(&mut self, command: &Command) -> Reply {
        match command {
            Command::Read => Reply(self.0),
            Command::Write(value) => Reply(self.0.replace(*value)),
        }
    }
}
