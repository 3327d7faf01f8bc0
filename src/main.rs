//! The `keyward` program: arguments → run → exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    keyward::cli::run()
}
