//! `butt-dial`, the program.

use std::process::ExitCode;

/// Messages cause many small allocations: mimalloc needs half the time of the system's allocator, and returns memory. It also serves
/// SQLite (`override`). It uses small pages (`no_thp`): of huge ones, a process at rest fills two thirds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    butt_dial::cli::main()
}
