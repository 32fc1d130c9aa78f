//! The command line: arguments, output, exit codes. One file per command; the crates below do the
//! work.

#![forbid(unsafe_code)]

mod agents;
mod cloud_access;
mod commands;
mod credentials;
mod docker_plugin;
mod examples;
mod failure;
mod hints;
mod join;
mod json;
mod live_line;
mod log;
mod output;
mod paths;
mod rereading;
mod resolved;
mod settings;
mod shutdown;
mod ssh_config;
mod token_hints;
mod unknown_command;
mod wrapping;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use api::Code;
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser};

use crate::commands::Command;
use crate::docker_plugin::Called;
use crate::failure::Failure;
use crate::resolved::GlobalArgs;

/// Docker on a Hetzner Cloud server that exists only while you use it
#[derive(Debug, Parser)]
#[command(name = "dockbridge", version, max_term_width = 100, disable_version_flag = true)]
#[command(after_help = examples::of(examples::ALL))]
struct Arguments {
    #[command(flatten)]
    global: GlobalArgs,
    /// Print version
    #[arg(id = "version", short = 'V', short_alias = 'v', long, action = ArgAction::Version)]
    _version: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match read() {
        Ok(arguments) => run(arguments),
        Err(exit_code) => exit_code,
    }
}

/// The arguments of this process, or its exit code if there is nothing to run.
fn read() -> Result<Arguments, ExitCode> {
    let (program, arguments) = match docker_plugin::called(std::env::args_os().collect()) {
        Called::Command { program, arguments } => (program, arguments),
        Called::Metadata(answer) => {
            output::say_as_is(answer);
            return Err(ExitCode::SUCCESS);
        }
        Called::Completion { words } => {
            output::say_as_is(&docker_plugin::completions(Arguments::command(), &words));
            return Err(ExitCode::SUCCESS);
        }
        Called::EngineOption { option } => {
            let message = format!("docker's option {option} chooses no profile of dockbridge");
            let failure = Failure::of_code(Code::SettingsInvalid, message)
                .hint("leave it out, or write `docker dockbridge --profile NAME`")
                .code(2);
            return Err(report(&failure, false));
        }
    };
    let mut command = Arguments::command();
    if let Some(program) = program {
        command = command.bin_name(program);
    }
    let parsed = command
        .try_get_matches_from_mut(&arguments)
        .and_then(|mut matches| Arguments::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| match unknown_command::pointed_out(&error, &arguments) {
        Some(failure) => {
            note_profile(&arguments);
            report(&failure, false)
        }
        None => {
            let _ = error.print();
            u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    })
}

/// Records the profile that was typed with a command that does not exist: the hint names it.
fn note_profile(arguments: &[OsString]) {
    let partly = Arguments::command().ignore_errors(true).try_get_matches_from(arguments);
    let Ok(matches) = partly else { return };
    let profile = matches.get_one::<String>("profile").map_or("default", String::as_str);
    let path = |name| matches.get_one::<PathBuf>(name).map(PathBuf::as_path);
    output::typed_with(profile, path("config"), path("socket"));
}

fn run(arguments: Arguments) -> ExitCode {
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
            Failure::of_code(
                Code::OutputNotWritten,
                format!("cannot write standard output: {error}"),
            )
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure, wants_json),
    }
}

/// Prints the failure on standard error, and returns its exit code.
fn report(failure: &Failure, wants_json: bool) -> ExitCode {
    if wants_json {
        output::complain_as_is(&failure.json());
    } else {
        output::complain(&failure.to_string());
        failure.explanation().iter().for_each(|line| output::whisper(line));
    }
    failure.exit_code()
}
