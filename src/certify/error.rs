//! The reasons for which files cannot be judged.

use crate::quorum::{AcceptorSet, QuorumError};

/// An error that leaves no verdict: the files are not the traces of one run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There are no files.
    #[error("no traces")]
    NoTraces,
    /// Two files are of different clusters.
    #[error("{0} and {1} are of different clusters")]
    DifferentClusters(String, String),
    /// Two files are of the same process.
    #[error("{} and {} are both of process {process}", files[0], files[1])]
    SameProcess {
        /// The names of the files.
        files: [String; 2],
        /// The process.
        process: usize,
    },
    /// The file of a node is missing.
    #[error("node {node} of {nodes} has no trace here: all nodes of a run are judged together")]
    MissingNode {
        /// The node.
        node: usize,
        /// The number of nodes.
        nodes: u32,
    },
    /// The nodes have no quorums.
    #[error(transparent)]
    Quorums(#[from] QuorumError),
    /// A line of a file cannot be part of a trace.
    #[error("{file}, line {line}: {problem}")]
    Line {
        /// The name of the file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The problem.
        problem: Problem,
    },
}

/// A problem of one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file has no lines.
    #[error("nothing was recorded")]
    Empty,
    /// The first line does not name the run.
    #[error(
        "a trace begins with a line {{\"run\":..}} that names its run; `synod cluster --trace` \
         writes one"
    )]
    NoRun,
    /// The line is not what JSON should be here.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The run has too few or too many nodes.
    #[error(
        "a cluster that can be certified has from 2 to {} nodes, not {_0}",
        AcceptorSet::CAPACITY
    )]
    NodeCount(u32),
    /// The steps that follow are of another cluster.
    #[error("from here on it is of another cluster")]
    OtherCluster,
    /// The step is of another process than those before.
    #[error("a step of {process} among those of {owner}")]
    OtherProcess {
        /// The process that took the step.
        process: usize,
        /// The process that took the steps before.
        owner: usize,
    },
    /// The saved changes that a node starts from do not fit together.
    #[error("what it starts with does not fit together")]
    StartMisfit,
    /// A change does not fit what the node had saved before.
    #[error("it saves {0}, which does not fit what it had saved")]
    SaveMisfit(String),
}
