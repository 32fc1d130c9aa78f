//! The command line: arguments, output, exit codes. One file per command; the crates below do the
//! work.

#![forbid(unsafe_code)]

mod agents;
mod cloud_access;
mod commands;
mod credentials;
mod failure;
mod hints;
mod join;
mod json;
mod live_line;
mod log;
mod output;
mod paths;
mod resolved;
mod settings;
mod shutdown;
mod ssh_config;
mod token_hints;

use std::process::ExitCode;

use api::Code;
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
    // The daemon moves bytes on one thread: with more threads a request is handed over four times
    // in each direction, and bytes cost a third more CPU. Blocking calls run on threads of their
    // own. A local cloud serves machines at the same time.
    let mut builder = match arguments.command {
        Command::Start(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("Error: cannot start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let wants_json = arguments.command.wants_json();
    let outcome = runtime.block_on(commands::run(arguments.command, &arguments.global));
    // A pending read of the terminal must not delay the exit.
    runtime.shutdown_background();
    // An output that was cut short must not look complete.
    let outcome = outcome.and_then(|()| {
        output::written().map_err(|error| {
            failure::Failure::of_code(
                Code::OutputNotWritten,
                format!("cannot write standard output: {error}"),
            )
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match wants_json {
                true => output::complain_as_is(&failure.json()),
                false => output::complain(&failure.to_string()),
            }
            failure.exit_code()
        }
    }
}
