//! `synod config`: writes the file of a new cluster.

use crate::console::output::Output;
use crate::console::store::ClusterFile;
use crate::console::{Error, Exit};
use clap::Args;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Nodes, each on a machine of its own or all on this one.
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    nodes: u32,
    /// The directory of the new file `cluster.toml`, which has a new key. An existing file is kept.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The address of the first node; the others have the ports after it.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7000")]
    address: SocketAddr,
}

pub(super) fn run(args: &ConfigArgs, output: &mut Output) -> Result<Exit, Error> {
    let path = args.dir.join("cluster.toml");
    let fail = |error| Error::path("write", &path, error);
    let text = ClusterFile::example(args.nodes, args.address)?;
    std::fs::create_dir_all(&args.dir).map_err(fail)?;
    let mut options = std::fs::OpenOptions::new();
    // A file that is overwritten loses its key, which locks every member out.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let shown = path.display();
    let mut file = options.open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Failed(format!(
            "{shown} exists already and is kept; choose another --dir, or remove the file first"
        )),
        _ => fail(error),
    })?;
    file.write_all(text.as_bytes()).map_err(fail)?;
    output.line(format_args!(
        "{shown} is written. Start the nodes, each on its machine:"
    ))?;
    for id in 0..args.nodes {
        output.line(format_args!("  synod serve --config {shown} --node {id}"))?;
    }
    output.line("Then use the store from any machine that has the file:")?;
    output.line(format_args!("  synod kv put colour red --config {shown}"))?;
    Ok(Exit::Success)
}
