//! The things that several commands share: printing, exit codes, and the file of a cluster.

pub mod output;
pub(crate) mod store;

use std::fmt::Display;
use std::path::Path;

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

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard output failed, perhaps because its reader is gone.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
    /// Any other reason, in words for the user.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Any error, in its own words.
    pub fn other(error: impl Display) -> Self {
        Error::Other(error.to_string())
    }

    /// An error that names the file or directory with which it happened: `cannot <action> <path>`.
    pub fn path(action: &str, path: &Path, error: impl Display) -> Self {
        Error::Other(format!("cannot {action} {}: {error}", path.display()))
    }
}
