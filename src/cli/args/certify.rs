//! The arguments of `synod certify`.

use clap::Args;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Examples:
  synod cluster multi --faults loss=0.1,dup=0.1,reorder=0.1 --trace run && synod certify run
  synod certify run --checker proofs/build/checker      have the proven checker judge it as well
  synod certify run --events run.trace                  and look at what it reads

Exit status: 0 certified; 1 rejected: file, line, the rule, and what was recorded; 2 the files
cannot be read as the traces of one run.";

#[derive(Debug, Args)]
pub(in super::super) struct CertifyArgs {
    /// What each process of a run recorded: one file of every node, and of clients if they are
    /// there; or the directory that they are in. Without a client's file, what it asked for is
    /// taken on trust.
    #[arg(required = true, value_name = "TRACE")]
    pub(in super::super) traces: Vec<PathBuf>,
    /// Ask this program as well: the checker that is extracted from the proof, as
    /// `make -C proofs checker` builds it.
    #[arg(long, value_name = "PROGRAM")]
    pub(in super::super) checker: Option<PathBuf>,
    /// Write what the nodes did, in the language of that checker, to this file.
    #[arg(long, value_name = "FILE")]
    pub(in super::super) events: Option<PathBuf>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(in super::super) json: bool,
}
