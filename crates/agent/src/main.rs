//! The program on the machine.
//!
//! `session` speaks the protocol on its standard input and output, as whoever logged in; `resident`
//! runs once on a machine of ours, as root, and holds what must outlive every session: the lease
//! and what happens when it ends. Neither knows SSH or who is on the other side. `write-image` is
//! for rescue systems: it puts the image of a machine on a disk.

#![forbid(unsafe_code)]

mod aside;
mod commands;
mod datagrams;
mod docker;
mod ending;
mod framed;
mod gathering;
mod image;
mod lease;
mod paths;
mod pump;
mod release;
mod report;
mod resident;
mod resumption;
mod session;
#[cfg(test)]
mod stand_ins;
mod stdio;
mod streams;
mod summon;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use paths::Paths;

const USAGE: &str = "usage: dockbridge-agent session [--resident] [--docker-socket PATH]\n       \
                     dockbridge-agent resident [--docker-socket PATH]\n       dockbridge-agent \
    write-image\n       dockbridge-agent version\n";

/// What was asked for on the command line.
struct Arguments {
    /// With `session`: start the resident agent where it does not run.
    resident: bool,
    paths: Paths,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let parsed = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(message) => return fail(&format!("{message}\n{USAGE}")),
    };
    if command == "write-image" {
        return match image::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("dockbridge-agent write-image: {error}\n")),
        };
    }
    // One thread: a session is bounded by the pipe that it runs in.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("dockbridge-agent: {error}\n")),
    };
    let outcome = match command.as_str() {
        "session" => runtime.block_on(session::run(parsed.resident, parsed.paths)),
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

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut resident = false;
    let mut root = PathBuf::from("/");
    let mut socket = None;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--resident" => resident = true,
            "--docker-socket" => socket = Some(PathBuf::from(value()?)),
            // For tests: all files of the machine are looked for below this folder.
            "--test-root" => root = PathBuf::from(value()?),
            other => return Err(format!("unknown argument {other}")),
        }
    }
    let mut paths = Paths::under(&root);
    if let Some(socket) = socket {
        paths.docker_socket = socket;
    }
    Ok(Arguments { resident, paths })
}

/// Into the journal of the unit, if there is one.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "dockbridge-agent: {message}");
}

fn fail(message: &str) -> ExitCode {
    // There is nobody to tell when standard error is gone.
    let _ = std::io::stderr().write_all(message.as_bytes());
    ExitCode::FAILURE
}
