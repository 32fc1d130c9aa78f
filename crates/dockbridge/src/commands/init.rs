//! `dockbridge init`: token, owner id, login key, docker context.

use std::io::{BufRead as _, IsTerminal as _};

use api::Code;
use hetzner::{Client, Query};
use machine::Owner;
use secrecy::SecretString;

use super::context;
use crate::cloud_access::{client_at, may_write};
use crate::credentials::sendable;
use crate::failure::{Failure, Outcome, with_causes};
use crate::join::Invitation;
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::token::{Source, Token};
use crate::token_hints::refused_token_hints;

const CONSOLE: &str = "create one with Read & Write in the Hetzner Cloud console";

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read the API token from standard input
    #[arg(long)]
    token_stdin: bool,
    /// Never prompt: take the token from the environment or the settings
    #[arg(long, short = 'y', conflicts_with = "token_stdin")]
    yes: bool,
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

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load(global)?;
    let typed = if arguments.yes { None } else { read_token(&arguments)? };
    let token = typed.clone().map_or_else(|| resolved.token(), Ok)?;
    if let Some(Invitation { owner, .. }) = &arguments.join {
        is_free_for(&resolved, owner)?;
    }
    let endpoint = match &typed {
        Some(_) if arguments.join.is_some() && resolved.settings.hetzner.endpoint.is_none() => {
            let there = arguments.join.as_ref().and_then(|join| join.endpoint.clone());
            there.unwrap_or_else(|| hetzner::DEFAULT_ENDPOINT.to_owned())
        }
        Some(_) => resolved.endpoint_for_new_token(),
        None => resolved.endpoint(),
    };
    if let Some(there) = arguments.join.as_ref().and_then(|join| join.endpoint.as_ref())
        && *there != endpoint
    {
        return Err(Failure::of_code(
            Code::OwnerTaken,
            format!(
                "the other computer's machines are at {there}, but this computer uses {endpoint}"
            ),
        )
        .hint(format!("set HCLOUD_ENDPOINT={there}, or pass the token with `--token-stdin`")));
    }
    let client = client_at(&endpoint, token)?;
    let locations = check(&client, typed.is_some()).await?;
    say(&format!("The token is valid. The cloud has {locations} locations."));
    if let Some(token) = typed {
        let path = resolved.keep_token(&token, &endpoint)?;
        say(&format!("Saved the token in {}, readable by you alone.", path.display()));
        if let Some(source) = resolved.overrides_kept() {
            say(&format!("Note: {source} is set and overrides the saved token."));
        }
    }
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
    } else {
        let invitation = Invitation::new(owner, &endpoint);
        say(&format!("To join from another computer: `dockbridge init --join {invitation}`"));
    }
    if !arguments.no_context {
        context::make(&resolved, arguments.context.as_deref());
    }
    say("Next: `dockbridge start`");
    Ok(())
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

/// Checks that the token can read and write, without creating anything. Returns the number of
/// locations.
async fn check(client: &Client, is_typed: bool) -> Outcome<usize> {
    let hints = || match is_typed {
        true => vec![CONSOLE.to_owned()],
        false => refused_token_hints(CONSOLE),
    };
    let with_hints = |failure: Failure| hints().into_iter().fold(failure, Failure::hint);
    let locations = match client.locations().list(&Query::default()).await {
        Ok(locations) => locations.len(),
        Err(error) if error.is_unauthorized() => {
            return Err(with_hints(Failure::bare(
                Code::TokenInvalid,
                "the cloud rejected this token",
            )));
        }
        Err(error) => return Err(unchecked(&error)),
    };
    match may_write(client).await {
        Ok(false) => Err(with_hints(Failure::bare(
            Code::TokenReadOnly,
            "this token can only read, but dockbridge creates and deletes machines",
        ))),
        Err(error) => Err(unchecked(&error)),
        Ok(true) => Ok(locations),
    }
}

fn unchecked(error: &hetzner::Error) -> Failure {
    Failure::bare(
        machine::cloud_code(error),
        format!("cannot check the token: {}", with_causes(error)),
    )
}

fn read_token(arguments: &Args) -> Outcome<Option<SecretString>> {
    let stdin = std::io::stdin();
    if !arguments.token_stdin {
        if !stdin.is_terminal() {
            return Ok(None);
        }
        say("Paste an API token with Read & Write (Hetzner Cloud console, Security, API tokens), \
         or press Enter to use the environment's:");
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    match line.trim().is_empty() {
        true if arguments.token_stdin => {
            Err(Failure::of_code(Code::TokenMissing, "standard input contains no token"))
        }
        true => Ok(None),
        false => sendable(&Token::new(&line, Source::Input)).map(Some),
    }
}
