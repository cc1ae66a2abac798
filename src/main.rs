//! The `synod` command: check the protocols, explore them, run them.

mod bench;
mod cli;
mod console;
#[path = "../models/mod.rs"]
mod models;

fn main() -> std::process::ExitCode {
    cli::main()
}
