//! The arguments of `synod certify`.

use clap::Args;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Examples:
  synod cluster multi --faults loss=0.1,dup=0.1,reorder=0.1 --trace run && synod certify run
  synod certify run --checker proofs/build/checker      ask the proven checker as well
  synod certify run --events run.trace                  write the events that it reads

Exit status: 0 certified; 1 rejected, with file, line, rule and recorded data; 2 the files are not
the traces of one run.";

#[derive(Debug, Args)]
pub(in super::super) struct CertifyArgs {
    /// The traces of a run: one file of each node, any number of files of clients; or their
    /// directory. The requests of clients without a file are taken on trust.
    #[arg(required = true, value_name = "TRACE")]
    pub(in super::super) traces: Vec<PathBuf>,
    /// Also ask this program: the checker that is extracted from the proof, which
    /// `make -C proofs checker` builds.
    #[arg(long, value_name = "PROGRAM")]
    pub(in super::super) checker: Option<PathBuf>,
    /// Write the events of the nodes, in the language of that checker, to this file.
    #[arg(long, value_name = "FILE")]
    pub(in super::super) events: Option<PathBuf>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(in super::super) json: bool,
}
