//! The `synod` command: check the protocols, explore them, run them.

fn main() -> std::process::ExitCode {
    synod::cli::main()
}
