//! One file per command.

mod audit;
mod bills;
mod config;
mod context;
mod cost;
mod image;
mod init;
mod local_cloud;
mod pin;
mod ports;
mod server;
mod start;
mod status;
mod stop;
mod sweep;
mod try_it;
mod volume;
mod wake;
mod why;

use clap::Subcommand;

use crate::failure::Outcome;
use crate::resolved::GlobalArgs;

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up: token, owner id, login key, docker context
    Init(init::Args),
    /// Serve the Docker socket; the first docker command creates the machine
    Start(start::Args),
    /// Show machine, tunnel, ports, cost, and what happens next
    Status(status::Args),
    /// Tell what keeps the machine, how it would end, and what comes next
    Why(why::Args),
    /// Keep the machine whether it is used or not
    Pin(pin::Args),
    /// Take the pin off
    Unpin,
    /// What a month costs, by the cloud's own prices
    Cost(cost::Args),
    /// Every call that changed the cloud: when, who, why, what came of it
    Audit(audit::Args),
    /// End the daemon; the machine goes on until its lease ends
    Stop(stop::Args),
    /// Create or connect the machine now
    Wake,
    /// Show where containers answer on this computer and what passed; add or remove forwards
    Ports(ports::Args),
    /// The machine behind this profile
    #[command(subcommand)]
    Server(server::Command),
    /// The volume with docker's data
    #[command(subcommand)]
    Volume(volume::Command),
    /// Build any operating system's image into a snapshot; list, delete and prune those
    #[command(subcommand)]
    Image(image::Command),
    /// List what of ours is left over in the cloud project, and remove it
    Sweep(sweep::Args),
    /// See the whole story on a local cloud, without an account
    Try(try_it::Args),
    /// Run a Hetzner Cloud on this host
    LocalCloud(local_cloud::Args),
    /// Show and check the settings
    #[command(subcommand)]
    Config(config::Command),
}

/// Runs one command.
pub async fn run(command: Command, global: &GlobalArgs) -> Outcome {
    match command {
        Command::Init(arguments) => init::run(arguments, global).await,
        Command::Start(arguments) => start::run(arguments, global).await,
        Command::Status(arguments) => status::run(arguments, global).await,
        Command::Why(arguments) => why::run(arguments, global).await,
        Command::Pin(arguments) => pin::run(arguments, global).await,
        Command::Unpin => pin::unpin(global).await,
        Command::Cost(arguments) => cost::run(arguments, global).await,
        Command::Audit(arguments) => audit::run(arguments, global),
        Command::Stop(arguments) => stop::run(arguments, global).await,
        Command::Wake => wake::run(global).await,
        Command::Ports(arguments) => ports::run(arguments, global).await,
        Command::Server(command) => server::run(command, global).await,
        Command::Volume(command) => volume::run(command, global).await,
        Command::Image(command) => image::run(command, global).await,
        Command::Sweep(arguments) => sweep::run(arguments, global).await,
        Command::Try(arguments) => try_it::run(arguments).await,
        Command::LocalCloud(arguments) => local_cloud::run(arguments).await,
        Command::Config(command) => config::run(command, global),
    }
}
