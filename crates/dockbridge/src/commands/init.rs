//! `dockbridge init`: token, what the project would cost, owner id, login key, docker context. A
//! second run shows what holds and changes only what the user asks for.

mod choices;
mod project;
mod token;

use std::io::IsTerminal as _;
use std::time::Duration;

use api::Code;
use hetzner::{Client, Location};
use machine::Owner;
use secrecy::SecretString;
use tokio::time::timeout;

use self::choices::{Choices, gigabytes};
use self::project::Project;
use super::config::effect::{say_if_restart_is_needed, say_what_daemon_uses};
use super::context;
use crate::cloud_access::client_at;
use crate::failure::{Failure, Outcome, with_causes};
use crate::join::Invitation;
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::token::Source;

/// Prices and stock are shown if the cloud answers within this time.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read the API token from standard input, and ask nothing
    #[arg(long)]
    token_stdin: bool,
    /// Ask nothing: take the token from the environment or the settings
    #[arg(long, short = 'y', conflicts_with = "token_stdin")]
    yes: bool,
    /// Location that is tried first, instead of asking
    #[arg(long, value_name = "NAME")]
    location: Option<String>,
    /// Size of a new volume in GB, instead of asking
    #[arg(long, value_name = "GB", value_parser = gigabytes)]
    volume_size: Option<u64>,
    /// Save the token in a file that only you can read, also where a keyring answers
    #[arg(long)]
    no_keyring: bool,
    /// Do not create a docker context
    #[arg(long)]
    no_context: bool,
    /// Join the owner of another computer: the text that `init` printed there. Both computers then
    /// use the same machines
    #[arg(long, value_name = "TEXT")]
    join: Option<Invitation>,
    /// Name of the docker context, instead of dockbridge or dockbridge-PROFILE
    #[arg(long, value_name = "NAME", conflicts_with = "no_context")]
    context: Option<String>,
}

impl Args {
    /// Whether the user can be asked.
    fn asks(&self) -> bool {
        !self.yes && !self.token_stdin && std::io::stdin().is_terminal()
    }
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load(global)?;
    let typed = match (arguments.token_stdin, arguments.asks()) {
        (true, _) => Some(token::from_stdin()?),
        (false, true) => token::from_terminal(&resolved)?,
        (false, false) => None,
    };
    let token = typed.clone().map_or_else(|| resolved.token(), Ok)?;
    // The present one moves from the keyring to the file.
    let moves = arguments.no_keyring
        && resolved.overrides_kept().is_none()
        && resolved.kept_source() == Some(Source::Keyring);
    let is_typed = typed.is_some();
    let new = typed.or_else(|| moves.then(|| token.clone()));
    if let Some(Invitation { owner, .. }) = &arguments.join {
        is_free_for(&resolved, owner)?;
    }
    let endpoint = endpoint(&arguments, &resolved, is_typed)?;
    let client = client_at(&endpoint, token)?;
    let locations = token::check(&client, is_typed).await?;
    say(&format!("The token is valid. The cloud has {} locations.", locations.len()));
    let choices = choices(&arguments, &resolved, &client, locations).await?;
    // Nothing is written before all questions are answered.
    let has_new_settings = choices.keep(&resolved)?;
    if let Some(token) = &new {
        keep_token(&resolved, token, &endpoint, arguments.no_keyring)?;
    }
    let owner = identify(&arguments, &resolved).await?;
    if arguments.join.is_none() {
        let invitation = Invitation::new(owner, &endpoint);
        say(&format!("To join from another computer: `dockbridge init --join {invitation}`"));
    }
    let context = match arguments.no_context {
        true => None,
        false => context::make(&resolved, arguments.context.as_deref()),
    };
    match is_typed {
        true => drop(say_if_restart_is_needed(&resolved).await),
        false if has_new_settings => drop(say_what_daemon_uses(&resolved).await),
        false => {}
    }
    say("Next: `dockbridge start`, or `dockbridge service install` for each login.");
    let client = match context {
        Some(name) => format!("docker --context {name}"),
        None => format!("docker --host unix://{}", resolved.socket.display()),
    };
    say(&format!("Then: `{client} run --rm hello-world`"));
    Ok(())
}

/// Where the token is checked, and sent to from now on.
fn endpoint(arguments: &Args, resolved: &Resolved, is_typed: bool) -> Outcome<String> {
    let there = arguments.join.as_ref().and_then(|join| join.endpoint.as_ref());
    let endpoint = match is_typed {
        true if arguments.join.is_some() && resolved.settings.hetzner.endpoint.is_none() => {
            there.cloned().unwrap_or_else(|| hetzner::DEFAULT_ENDPOINT.to_owned())
        }
        true => resolved.endpoint_for_new_token(),
        false => resolved.endpoint(),
    };
    match there {
        Some(there) if *there != endpoint => Err(Failure::of_code(
            Code::OwnerTaken,
            format!(
                "the other computer's machines are at {there}, but this computer uses {endpoint}"
            ),
        )
        .hint(format!("set HCLOUD_ENDPOINT={there}, or pass the token with `--token-stdin`"))),
        _ => Ok(endpoint),
    }
}

/// Shows the project, and asks what is left to choose.
async fn choices(
    arguments: &Args,
    resolved: &Resolved,
    client: &Client,
    locations: Vec<Location>,
) -> Outcome<Choices> {
    let mut choices =
        Choices { location: arguments.location.clone(), volume_size: arguments.volume_size };
    let names: Vec<&str> = locations.iter().map(|location| location.name.as_str()).collect();
    choices.check(&names)?;
    // A host of the user's own has neither prices nor a volume.
    if resolved.own_host().is_some() {
        return Ok(choices);
    }
    let owner = match &arguments.join {
        Some(Invitation { owner, .. }) => Some(owner.clone()),
        None => resolved.known_owner()?,
    };
    let mut shown = resolved.clone();
    choices.apply(&mut shown.settings);
    match timeout(LONGEST_LOOK, Project::look(client, locations, resolved, owner)).await {
        Ok(Ok(project)) => {
            project.lines(&shown).iter().for_each(|line| say(line));
            if arguments.asks() {
                choices.ask(&project, resolved)?;
            }
        }
        // Prices are no condition: the token works.
        Ok(Err(error)) => {
            say(&format!("Note: cannot read prices and stock now: {}.", with_causes(&error)));
        }
        Err(_) => say("Note: cannot read prices and stock now: the cloud takes too long."),
    }
    Ok(choices)
}

fn keep_token(
    resolved: &Resolved,
    token: &SecretString,
    endpoint: &str,
    no_keyring: bool,
) -> Outcome {
    let use_keyring = resolved.settings.hetzner.keyring && !no_keyring;
    match resolved.keep_token(token, endpoint, use_keyring)? {
        Source::Keyring => say("Saved the token in the keyring of your session."),
        source => say(&format!("Saved the token in {source}, readable by you alone.")),
    }
    if let Some(source) = resolved.overrides_kept() {
        say(&format!("Note: {source} is set and overrides the saved token."));
    }
    Ok(())
}

/// Owner id and login key, made or joined.
async fn identify(arguments: &Args, resolved: &Resolved) -> Outcome<Owner> {
    if let Some(Invitation { owner, .. }) = &arguments.join {
        resolved.keep_owner(owner)?;
    }
    let owner = resolved.owner()?;
    say(&format!(
        "Owner id: {owner} (a label on everything that dockbridge creates in the cloud project)."
    ));
    resolved.login_key()?;
    if arguments.join.is_some() {
        resolved.cloud()?.register_login_key().await?;
        say(
            "This computer's login key is in the project. A machine that another computer is using \
             admits it within 75 s.",
        );
    }
    Ok(owner)
}

/// Checks that this computer can join an owner. Joining overwrites its own owner id, so that
/// dockbridge would no longer find what that id owns in a project.
fn is_free_for(resolved: &Resolved, joined: &Owner) -> Outcome {
    match resolved.known_owner()? {
        Some(own) if own != *joined => Err(Failure::of_code(
            Code::OwnerTaken,
            format!(
                "this computer has its own owner id {own}, and its machines and volumes carry it"
            ),
        )
        .hint("`dockbridge sweep` and `dockbridge volume list` list them")
        .hint(format!(
            "once you need nothing of it, remove {} and join again",
            resolved.paths.owner().display()
        ))),
        _ => Ok(()),
    }
}
