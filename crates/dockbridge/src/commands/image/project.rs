//! The cloud project that an image command uses.

use std::convert::Infallible;
use std::io::Read as _;

use api::Code;
use hetzner::Client;
use machine::Owner;
use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::{Failure, Outcome};
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::token::{Source, Token};

/// Selects the cloud project.
#[derive(Debug, Clone, clap::Args)]
pub struct Project {
    /// API token; `-` reads it from standard input. Prefer that or HCLOUD_TOKEN: every process can
    /// see arguments
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    token: Option<SecretString>,
}

/// An open connection to a project.
pub struct Opened {
    pub resolved: Resolved,
    pub client: Client,
    pub owner: Owner,
}

impl Project {
    pub fn open(&self, global: &GlobalArgs) -> Outcome<Opened> {
        let mut resolved = Resolved::load(global)?;
        if let Some(token) = &self.token {
            resolved.settings.hetzner.api_token =
                Some(Token::new(given(token)?.expose_secret(), Source::Argument));
        }
        let client = resolved.client(resolved.token()?)?;
        let owner = resolved.owner_or_temporary()?;
        Ok(Opened { resolved, client, owner })
    }

    /// Like `open`, but creates the owner id if there is none yet.
    pub fn open_to_build(&self, global: &GlobalArgs) -> Outcome<Opened> {
        let opened = self.open(global)?;
        Ok(Opened { owner: opened.resolved.owner()?, ..opened })
    }
}

fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text.trim()))
}

fn given(token: &SecretString) -> Outcome<SecretString> {
    if token.expose_secret() != "-" {
        return Ok(token.clone());
    }
    let mut text = String::new();
    std::io::stdin().lock().take(4096).read_to_string(&mut text)?;
    match text.trim() {
        "" => Err(Failure::of_code(Code::TokenMissing, "standard input contains no token")),
        token => Ok(SecretString::from(token.to_owned())),
    }
}
