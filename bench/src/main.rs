//! dockbridge beside other routes to a remote engine, measured in one run. `scripts/bench` builds
//! this and runs it.

#![forbid(unsafe_code)]

mod against;
mod clock;
mod command;
mod compare;
mod contestant;
mod data;
mod engine;
mod goal;
mod http;
mod image;
mod link;
mod machine;
mod measure;
mod output;
mod peer;
mod process;
mod record;
mod route;
mod rows;
mod stage;
mod table;
mod tcp;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures dockbridge beside other routes to a remote engine
#[derive(Debug, Parser)]
#[command(name = "dockbridge-bench", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything: a machine, the links, all rows by all routes, the table
    Compare(compare::Args),
    /// The writing of machine images beside `curl | zstd -d | dd`, in a rescue system
    Image(image::Args),
    /// Rows on one link, against a machine that is there
    Measure(measure::Args),
    /// The table of results that `--json` stored
    Table {
        /// Lines of JSON
        file: PathBuf,
    },
    /// An engine that does nothing: takes uploads, gives downloads, writes lines
    Engine(engine::Args),
    /// dockbridge's gateway, tunnel and agent with two sockets, until the process is ended
    Contestant(contestant::Args),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Compare(arguments) => compare::run(arguments),
        Command::Image(arguments) => image::run(&arguments),
        Command::Measure(arguments) => measure::run(&arguments),
        Command::Table { file } => record::read(&file).map(|records| {
            output::say(&table::render(&records));
            output::say(&against::render(&records));
        }),
        Command::Engine(arguments) => engine::run(&arguments),
        Command::Contestant(arguments) => contestant::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
