//! The only place that knows every service: which of them run in this process,
//! how they reach one another, and the command line.

pub mod cli;
pub mod compose;
pub mod config;
pub mod edges;
pub mod role;
pub mod session;

mod admin_token;
mod catalogue;
mod commands;
mod methods;
mod replay;
mod retail;
mod statistics;
mod telemetry;

use std::process::ExitCode;

use cli::Cli;

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Says what went wrong, with all its causes, on one line each.
fn fail(error: &anyhow::Error) -> ExitCode {
    use std::io::Write as _;

    let mut out = std::io::stderr().lock();
    let mut causes = error.chain();
    if let Some(first) = causes.next() {
        // Nothing is left to tell if standard error is gone.
        let _ = writeln!(out, "error: {first}");
    }
    for cause in causes {
        let _ = writeln!(out, "  because: {cause}");
    }
    ExitCode::FAILURE
}
