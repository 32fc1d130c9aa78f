//! One file per command.

mod audit;
mod bills;
mod completions;
mod config;
mod context;
mod cost;
mod doctor;
mod explain;
mod image;
mod init;
mod key;
#[cfg(all(feature = "local-cloud", target_os = "linux"))]
mod local_cloud;
mod logs;
mod pin;
mod plugin;
mod ports;
#[cfg(all(test, feature = "local-cloud", target_os = "linux"))]
mod reference;
mod report;
#[cfg(test)]
mod sample;
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

use clap::{Arg, Args as _, Subcommand};

use crate::examples;
use crate::failure::Outcome;
use crate::resolved::GlobalArgs;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up token, owner id, login key and docker context
    #[command(after_help = examples::of(examples::INIT))]
    Init(init::Args),
    /// Serve the Docker socket; the first docker command creates the machine
    #[command(after_help = examples::of(examples::START))]
    Start(start::Args),
    /// Show machine, tunnel, ports, cost, and what happens next
    #[command(after_help = examples::of(examples::STATUS))]
    Status(status::Args),
    /// Explain what keeps the machine, what will end it, and what happens next
    #[command(after_help = examples::of(examples::WHY))]
    Why(why::Args),
    /// Keep the machine, whether it is used or not
    #[command(after_help = examples::of(examples::PIN))]
    Pin(pin::Args),
    /// Remove the pin
    #[command(after_help = examples::of(examples::PIN))]
    Unpin,
    /// Show what a month costs, at the cloud's own prices
    #[command(after_help = examples::of(examples::COST))]
    Cost(cost::Args),
    /// Check what dockbridge needs, here and in the cloud, and repair what is safe
    #[command(after_help = examples::of(examples::DOCTOR))]
    Doctor(doctor::Args),
    /// Write a bundle for a bug report, without secrets
    #[command(after_help = examples::of(examples::REPORT))]
    Report(report::Args),
    /// List every call that changed the cloud: when, who, why, with what result
    #[command(after_help = examples::of(examples::AUDIT))]
    Audit(audit::Args),
    /// Show the log of the daemon, of the machine, or of the calls that changed the cloud
    #[command(after_help = examples::of(examples::LOGS))]
    Logs(logs::Args),
    /// Stop the daemon; the machine runs on until its lease ends
    #[command(after_help = examples::of(examples::STOP))]
    Stop(stop::Args),
    /// Install, remove or show the service that runs the daemon
    #[command(after_help = examples::of(examples::SERVICE))]
    #[command(subcommand)]
    Service(service::Command),
    /// Create the machine now, or connect to it
    #[command(after_help = examples::of(examples::WAKE), alias = "up")]
    Wake,
    /// Show published ports and their traffic; add or remove forwards
    #[command(after_help = examples::of(examples::PORTS))]
    Ports(ports::Args),
    /// Show, create, destroy or log in to this profile's machine
    #[command(after_help = examples::of(examples::SERVER))]
    #[command(subcommand)]
    Server(server::Command),
    /// Show, grow or delete the volume with docker's data
    #[command(after_help = examples::of(examples::VOLUME))]
    #[command(subcommand)]
    Volume(volume::Command),
    /// Build disk images of any operating system into snapshots; list and delete them
    #[command(after_help = examples::of(examples::IMAGE), args = hidden(&["socket"]))]
    #[command(subcommand)]
    Image(image::Command),
    /// List orphans in the cloud project, and remove them
    #[command(after_help = examples::of(examples::SWEEP))]
    Sweep(sweep::Args),
    /// Run the whole story on a local cloud, without an account
    #[command(after_help = examples::of(examples::TRY), args = hidden(ALL))]
    #[cfg(all(feature = "local-cloud", target_os = "linux"))]
    Try(try_it::Args),
    /// Run a Hetzner Cloud API on this host
    #[command(after_help = examples::of(examples::LOCAL_CLOUD), args = hidden(ALL))]
    #[cfg(all(feature = "local-cloud", target_os = "linux"))]
    LocalCloud(local_cloud::Args),
    /// Show, change and check the settings
    #[command(after_help = examples::of(examples::CONFIG))]
    #[command(subcommand)]
    Config(config::Command),
    /// Replace this computer's login key
    #[command(after_help = examples::of(examples::KEY))]
    #[command(subcommand)]
    Key(key::Command),
    /// Show the versions of dockbridge, its agents, and what runs
    #[command(after_help = examples::of(examples::VERSION))]
    Version(version::Args),
    /// Print completions for a shell
    #[command(after_help = examples::of(examples::COMPLETIONS), args = hidden(ALL))]
    Completions(completions::Args),
    /// Explain the code of an error or a warning: cause, cure, whether to try again
    #[command(after_help = examples::of(examples::EXPLAIN), args = hidden(ALL))]
    Explain(explain::Args),
    /// Make this program a plugin of the docker client: `docker dockbridge`
    #[command(subcommand)]
    #[command(after_help = examples::of(examples::PLUGIN), args = hidden(ALL))]
    Plugin(plugin::Command),
    /// Remove dockbridge from this computer; what costs money in the cloud stays, and is listed
    #[command(after_help = examples::of(examples::UNINSTALL))]
    Uninstall(uninstall::Args),
    /// `server destroy`, as users of other tools type it
    #[command(hide = true)]
    Destroy,
    /// `server ssh`, as users of other tools type it
    #[command(hide = true)]
    Ssh {
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

/// The options of all commands.
const ALL: &[&str] = &["profile", "config", "socket"];

/// Options of all commands that mean nothing to one of them: accepted, and not in its help.
fn hidden(options: &[&str]) -> Vec<Arg> {
    let all = GlobalArgs::augment_args(clap::Command::new(""));
    let chosen = all.get_arguments().filter(|it| options.contains(&it.get_id().as_str()));
    chosen.cloned().map(|argument| argument.hide(true)).collect()
}

impl Command {
    /// Whether the output is for programs, and with it an error.
    pub fn wants_json(&self) -> bool {
        match self {
            Command::Status(arguments) => arguments.json,
            Command::Why(arguments) => arguments.json,
            Command::Cost(arguments) => arguments.json,
            Command::Audit(arguments) => arguments.json,
            Command::Doctor(arguments) => arguments.json,
            Command::Explain(arguments) => arguments.json,
            Command::Logs(arguments) => arguments.json,
            Command::Ports(arguments) => arguments.wants_json(),
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
        Command::Doctor(arguments) => doctor::run(arguments, global).await,
        Command::Report(arguments) => report::run(arguments, global).await,
        Command::Audit(arguments) => audit::run(arguments, global),
        Command::Logs(arguments) => logs::run(arguments, global).await,
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
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Plugin(command) => plugin::run(command),
        Command::Uninstall(arguments) => uninstall::run(arguments, global).await,
        Command::Destroy => server::run(server::Command::Destroy, global).await,
        Command::Ssh { command } => server::run(server::Command::Ssh { command }, global).await,
    }
}
