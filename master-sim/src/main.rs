//! Entry point: reads the command line and hands over.

use std::process::ExitCode;

fn main() -> ExitCode {
    master_sim::cli::main()
}
