//! The things that several commands share: printing, exit codes, and the file of a cluster.

pub mod output;
pub(crate) mod store;
pub(crate) mod temporary;

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The exit status of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was visited and holds, or the request was carried out.
    Success = 0,
    /// A counterexample was found, or an expected example was not.
    Violated = 1,
    /// The arguments are wrong, or input or output failed.
    Failure = 2,
    /// The command stopped at a bound.
    Bounded = 3,
}

impl Exit {
    /// The exit status of a command that found all as it should be, or did not.
    #[must_use]
    pub fn of(is_fine: bool) -> Self {
        match is_fine {
            true => Exit::Success,
            false => Exit::Violated,
        }
    }
}

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard output failed, perhaps because its reader is gone.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
    /// The arguments are wrong, or contradict each other.
    #[error("{0}")]
    Usage(String),
    /// A file or directory cannot be used.
    #[error("cannot {action} {}: {error}", path.display())]
    Path {
        /// The verb for what failed.
        action: String,
        /// The file or directory.
        path: PathBuf,
        /// The reason, in its own words.
        error: String,
    },
    /// The command itself failed.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// Any error, in its own words.
    pub fn failed(error: impl Display) -> Self {
        Error::Failed(error.to_string())
    }

    /// Wrong arguments, in words for the user.
    pub fn usage(error: impl Display) -> Self {
        Error::Usage(error.to_string())
    }

    /// An error that names the file or directory with which it happened: `cannot <action> <path>`.
    pub fn path(action: &str, path: &Path, error: impl Display) -> Self {
        Error::Path {
            action: action.to_owned(),
            path: path.to_owned(),
            error: error.to_string(),
        }
    }

    /// The exit status of a command that fails like this.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            // Whoever closes the pipe, as `head` does, has read enough.
            Error::Output(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Success,
            Error::Output(_) | Error::Usage(_) | Error::Path { .. } | Error::Failed(_) => {
                Exit::Failure
            }
        }
    }
}
