//! `dockbridge-agent`: parses arguments and runs the library.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use dockbridge_agent::paths::Paths;
use dockbridge_agent::{image, resident, session};
use thiserror::Error;

const USAGE: &str = "usage: dockbridge-agent session [--resident] [--debug] [--docker-socket PATH]
       dockbridge-agent resident [--docker-socket PATH]
       dockbridge-agent write-image
       dockbridge-agent version
";

/// The parsed command line.
struct Arguments {
    /// With `session`: start the resident agent if it does not run.
    resident: bool,
    /// With `session`: log each stream.
    debug: bool,
    paths: Paths,
}

/// What the command line lacks, or has too much.
#[derive(Debug, Error)]
enum ArgumentError {
    #[error("{0} needs a value")]
    NoValue(String),
    #[error("unknown argument {0}")]
    Unknown(String),
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let parsed = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return fail(&format!("{error}\n{USAGE}")),
    };
    if command == "write-image" {
        return match image::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("dockbridge-agent write-image: {error}\n")),
        };
    }
    // One thread: a session's speed is bounded by its pipe.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("dockbridge-agent: {error}\n")),
    };
    let outcome = match command.as_str() {
        "session" => runtime.block_on(session::run(parsed.resident, parsed.debug, parsed.paths)),
        "resident" => runtime.block_on(resident::run(parsed.paths)),
        "version" => writeln!(
            std::io::stdout(),
            "dockbridge-agent {} protocol {}",
            env!("CARGO_PKG_VERSION"),
            agent_proto::PROTOCOL
        ),
        _ => return fail(USAGE),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("dockbridge-agent {command}: {error}\n")),
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, ArgumentError> {
    let (mut resident, mut debug) = (false, false);
    let mut root = PathBuf::from("/");
    let mut socket = None;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| ArgumentError::NoValue(argument.clone()));
        match argument.as_str() {
            "--resident" => resident = true,
            "--debug" => debug = true,
            "--docker-socket" => socket = Some(PathBuf::from(value()?)),
            // For tests: all files of the machine are below this directory.
            "--test-root" => root = PathBuf::from(value()?),
            other => return Err(ArgumentError::Unknown(other.to_owned())),
        }
    }
    let mut paths = Paths::under(&root);
    if let Some(socket) = socket {
        paths.docker_socket = socket;
    }
    Ok(Arguments { resident, debug, paths })
}

fn fail(message: &str) -> ExitCode {
    // Without standard error the message is lost.
    let _ = std::io::stderr().write_all(message.as_bytes());
    ExitCode::FAILURE
}
