//! One file per command.

mod audit;
mod bills;
mod completions;
mod config;
mod context;
mod cost;
mod image;
mod init;
mod key;
#[cfg(all(feature = "local-cloud", target_os = "linux"))]
mod local_cloud;
mod pin;
mod ports;
#[cfg(all(test, feature = "local-cloud", target_os = "linux"))]
mod reference;
mod server;
mod service;
mod start;
mod status;
mod stop;
mod sweep;
#[cfg(all(feature = "local-cloud", target_os = "linux"))]
mod try_it;
mod uninstall;
mod version;
mod volume;
mod wake;
mod why;

use clap::Subcommand;

use crate::failure::Outcome;
use crate::resolved::GlobalArgs;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up token, owner id, login key and docker context
    Init(init::Args),
    /// Serve the Docker socket; the first docker command creates the machine
    Start(start::Args),
    /// Show machine, tunnel, ports, cost, and what happens next
    Status(status::Args),
    /// Explain what keeps the machine, what will end it, and what happens next
    Why(why::Args),
    /// Keep the machine, whether it is used or not
    Pin(pin::Args),
    /// Remove the pin
    Unpin,
    /// Show what a month costs, at the cloud's own prices
    Cost(cost::Args),
    /// List every call that changed the cloud: when, who, why, with what result
    Audit(audit::Args),
    /// Stop the daemon; the machine runs on until its lease ends
    Stop(stop::Args),
    /// Install, remove or show the service that runs the daemon
    #[command(subcommand)]
    Service(service::Command),
    /// Create the machine now, or connect to it
    Wake,
    /// Show published ports and their traffic; add or remove forwards
    Ports(ports::Args),
    /// Show, create, destroy or log in to this profile's machine
    #[command(subcommand)]
    Server(server::Command),
    /// Show, grow or delete the volume with docker's data
    #[command(subcommand)]
    Volume(volume::Command),
    /// Build disk images of any operating system into snapshots; list and delete them
    #[command(subcommand)]
    Image(image::Command),
    /// List orphans in the cloud project, and remove them
    Sweep(sweep::Args),
    /// Run the whole story on a local cloud, without an account
    #[cfg(all(feature = "local-cloud", target_os = "linux"))]
    Try(try_it::Args),
    /// Run a Hetzner Cloud API on this host
    #[cfg(all(feature = "local-cloud", target_os = "linux"))]
    LocalCloud(local_cloud::Args),
    /// Show, change and check the settings
    #[command(subcommand)]
    Config(config::Command),
    /// Replace this computer's login key
    #[command(subcommand)]
    Key(key::Command),
    /// Show the versions of dockbridge, its agents, and what runs
    Version(version::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Remove dockbridge from this computer; what costs money in the cloud stays, and is listed
    Uninstall(uninstall::Args),
}

impl Command {
    /// Whether the output is for programs, and with it an error.
    pub fn wants_json(&self) -> bool {
        match self {
            Command::Status(arguments) => arguments.json,
            Command::Why(arguments) => arguments.json,
            Command::Cost(arguments) => arguments.json,
            Command::Audit(arguments) => arguments.json,
            Command::Ports(arguments) => arguments.json,
            Command::Sweep(arguments) => arguments.json,
            Command::Version(arguments) => arguments.json,
            Command::Server(server::Command::Status { json } | server::Command::List { json }) => {
                *json
            }
            Command::Service(service::Command::Status { json }) => *json,
            Command::Volume(volume::Command::List { json }) => *json,
            Command::Image(image::Command::List { json, .. }) => *json,
            _ => false,
        }
    }
}

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
        Command::Service(command) => service::run(command, global).await,
        Command::Wake => wake::run(global).await,
        Command::Ports(arguments) => ports::run(arguments, global).await,
        Command::Server(command) => server::run(command, global).await,
        Command::Volume(command) => volume::run(command, global).await,
        Command::Image(command) => image::run(command, global).await,
        Command::Sweep(arguments) => sweep::run(arguments, global).await,
        #[cfg(all(feature = "local-cloud", target_os = "linux"))]
        Command::Try(arguments) => try_it::run(arguments).await,
        #[cfg(all(feature = "local-cloud", target_os = "linux"))]
        Command::LocalCloud(arguments) => local_cloud::run(arguments).await,
        Command::Config(command) => config::run(command, global).await,
        Command::Key(command) => key::run(command, global).await,
        Command::Version(arguments) => version::run(arguments, global).await,
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Uninstall(arguments) => uninstall::run(arguments, global).await,
    }
}
