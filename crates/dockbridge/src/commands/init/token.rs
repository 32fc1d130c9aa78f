//! The token of `init`: read without showing it, and checked without creating anything.

use std::io::{BufRead as _, IsTerminal as _};

use api::Code;
use hetzner::{Client, Location, Query};
use secrecy::SecretString;

use crate::cloud_access::may_write;
use crate::credentials::sendable;
use crate::failure::{Failure, Outcome, with_causes};
use crate::output::say;
use crate::resolved::Resolved;
use crate::settings::token::{Source, Token};
use crate::token_hints::refused_token_hints;

const CONSOLE: &str = "create one with Read & Write in the Hetzner Cloud console";

/// A token from a pipe.
pub fn from_stdin() -> Outcome<SecretString> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    match line.trim().is_empty() {
        true => Err(Failure::of_code(Code::TokenMissing, "standard input contains no token")),
        false => sendable(&Token::new(&line, Source::Input)),
    }
}

/// A token from the terminal, which does not show it; `None` to keep the present one.
pub fn from_terminal(resolved: &Resolved) -> Outcome<Option<SecretString>> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let present = resolved.overrides_kept().or_else(|| resolved.kept_source());
    say("dockbridge needs an API token with Read & Write. The Hetzner Cloud console makes");
    say("one: project, Security, API tokens. Your input is hidden.");
    if let Some(present) = present {
        say(&format!("Enter alone keeps the one from {present}."));
    }
    let line = rpassword::prompt_password("API token: ")?;
    match line.trim().is_empty() {
        true => Ok(None),
        false => sendable(&Token::new(&line, Source::Input)).map(Some),
    }
}

/// Checks that the token can read and write, without creating anything. Returns the locations.
pub async fn check(client: &Client, is_typed: bool) -> Outcome<Vec<Location>> {
    let hints = || match is_typed {
        true => vec![CONSOLE.to_owned()],
        false => refused_token_hints(CONSOLE),
    };
    let with_hints = |failure: Failure| hints().into_iter().fold(failure, Failure::hint);
    let locations = match client.locations().list(&Query::default()).await {
        Ok(locations) => locations,
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
