//! The `keyward` program: arguments → run → exit code.

use std::process::ExitCode;

/// A request makes some hundred small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keyward::cli::run()
}
