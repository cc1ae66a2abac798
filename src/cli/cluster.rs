//! `synod cluster`.

use super::model::protocols;
use crate::console::output::Output;
use crate::console::{Error, Exit};
use clap::Args;
use synod::models::cluster;
use synod::models::protocol::AnyProtocol;

/// Examples for the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  synod cluster basic
  synod cluster basic --nodes 5 --faults loss=0.2,dup=0.2,reorder=0.2
  synod cluster multi --dir store           a replicated store, whose leader is killed

Exit status: 0 all agree, and what clients were told is linearizable; 1 something contradicts
something else; 2 wrong usage or failed input or output; 3 the time was up before the end.";

#[derive(Args)]
pub(super) struct ClusterCommand {
    /// The protocol to run.
    #[arg(default_value = "basic", value_parser = protocols())]
    protocol: &'static dyn AnyProtocol,
    #[command(flatten)]
    cluster: cluster::ClusterArgs,
}

pub(super) fn run(args: &ClusterCommand, output: &mut Output) -> Result<Exit, Error> {
    args.protocol.cluster(&args.cluster, output)
}
