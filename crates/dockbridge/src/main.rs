//! The command: arguments, output, exit codes. One file per command; what a command does is done by
//! the crates below.

#![forbid(unsafe_code)]

mod commands;
mod credentials;
mod failure;
mod join;
mod log;
mod output;
mod paths;
mod resolved;
mod settings;
mod signals;
mod ssh_config;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;
use crate::resolved::GlobalArgs;

/// Docker on a Hetzner Cloud server that exists only while you use it
#[derive(Debug, Parser)]
#[command(name = "dockbridge", version, max_term_width = 100, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let GlobalArgs { profile, config, socket } = &arguments.global;
    output::typed_with(profile, config.as_deref(), socket.as_deref());
    // The daemon moves bytes on one thread: between threads a request is handed over four times
    // each way, and bytes cost a third more of the processor. What blocks goes to threads of its
    // own. A local cloud has machines to serve at the same time.
    let mut builder = match arguments.command {
        Command::Start(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("Error: no threads can be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(commands::run(arguments.command, &arguments.global));
    // A read of the terminal that nobody waits for any more must not keep us.
    runtime.shutdown_background();
    // Whoever keeps the output in a file is not to take half of it for the whole.
    let outcome = outcome.and_then(|()| {
        output::written().map_err(|error| {
            failure::Failure::new(format!("standard output cannot be written: {error}"))
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            failure.exit_code()
        }
    }
}
