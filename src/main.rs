//! The `synod` command: check the protocols, explore them, run them.

mod cli;
#[path = "../models/mod.rs"]
mod models;

fn main() -> std::process::ExitCode {
    cli::main()
}
