//! The `trellis` command.

use std::process::ExitCode;

use clap::Parser as _;
use trellis_trellis::cli::Cli;

// Half the resident memory of the system allocator under load, and faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trellis_trellis::run(Cli::parse())
}
