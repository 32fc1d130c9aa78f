//! `dockbridge init`: token, owner id, login key, docker context.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::Stdio;

use hetzner::Query;
use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::{Failure, Outcome, with_causes};
use crate::output::say;
use crate::paths::{unwritable, write_private};
use crate::resolved::{GlobalArgs, Resolved};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read the API token from standard input
    #[arg(long)]
    token_stdin: bool,
    /// Ask nothing: take the token from the environment or the settings
    #[arg(long, conflicts_with = "token_stdin")]
    yes: bool,
    /// Do not make a docker context
    #[arg(long)]
    no_context: bool,
}

/// Runs it.
pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load(global)?;
    let typed = if arguments.yes { None } else { read_token(&arguments)? };
    let token = match &typed {
        Some(token) => token.clone(),
        None => resolved.token()?,
    };
    let client = resolved.client(token.clone())?;
    match client.locations().list(&Query::default()).await {
        Ok(locations) => say(&format!("The token is valid; the cloud has {} locations.", locations.len())),
        Err(error) if error.is_unauthorized() => {
            return Err(Failure::new("the cloud refuses this token").hint("make one with Read & Write in the Hetzner Cloud console"));
        }
        Err(error) => return Err(Failure::new(format!("the token could not be checked: {}", with_causes(&error)))),
    }
    if let Some(token) = typed {
        let path = resolved.paths.token();
        write_private(&path, token.expose_secret().as_bytes()).map_err(|error| unwritable(&path, &error))?;
        say(&format!("The token is kept in {}, readable by you alone.", path.display()));
    }
    say(&format!("Owner id: {} (it marks what is yours in the cloud project).", resolved.owner()?));
    resolved.login_key()?;
    if !arguments.no_context {
        make_context(&resolved);
    }
    say("Next: `dockbridge start`");
    Ok(())
}

fn read_token(arguments: &Args) -> Outcome<Option<SecretString>> {
    let stdin = std::io::stdin();
    if !arguments.token_stdin {
        if !stdin.is_terminal() {
            return Ok(None);
        }
        say("Paste an API token with Read & Write (Hetzner Cloud console, Security, API tokens), or press Enter to use the environment's:");
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    let token = line.trim();
    match token.is_empty() {
        true if arguments.token_stdin => Err(Failure::new("there is no token on standard input")),
        true => Ok(None),
        false => Ok(Some(SecretString::from(token.to_owned()))),
    }
}

/// A docker context is a convenience: that there is no docker client is said, and is no failure.
fn make_context(resolved: &Resolved) {
    let name = match resolved.profile.to_string() {
        profile if profile == "default" => "dockbridge".to_owned(),
        profile => format!("dockbridge-{profile}"),
    };
    let host = format!("host=unix://{}", resolved.socket.display());
    let docker = |verb: &str| {
        std::process::Command::new("docker")
            .args(["context", verb, &name, "--docker", &host])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
    };
    match docker("create") {
        Ok(status) if status.success() || docker("update").is_ok_and(|status| status.success()) => {
            say(&format!("Docker context {name:?} leads here: `docker context use {name}` makes it the default."));
        }
        Ok(_) | Err(_) => say(&format!("Point docker here with: export DOCKER_HOST=unix://{}", resolved.socket.display())),
    }
}
