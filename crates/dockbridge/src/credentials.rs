//! Who this computer is to a cloud project, and what lets it in: owner id, API token, API address
//! and login key. A command that looks finds what there is; only one that makes something makes
//! them.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use machine::{Owner, Profile};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::{Failure, Outcome, with_causes};
use crate::paths::{unwritable, write_private};
use crate::resolved::Resolved;
use crate::settings::token::{Source, Token};
use crate::settings::{Origin, api_address};

/// The token that this process uses: what is said when the cloud refuses it depends on its source.
static USED: OnceLock<Used> = OnceLock::new();

struct Used {
    source: Source,
    /// Kept by `init`, and not used because the source wins.
    passed_over: Option<PathBuf>,
}

/// What to do about a token that the cloud refuses, by where it comes from.
pub fn refused_token_hints(generic: &str) -> Vec<String> {
    let Some(Used { source, passed_over }) = USED.get() else { return vec![generic.to_owned()] };
    let instead = match source {
        Source::Variable(name) => format!("unset {name}, or set it to a valid token"),
        Source::Setting => "take it out of the settings, or write a valid one".to_owned(),
        Source::Command => "change the command, or leave the setting out".to_owned(),
        Source::Kept(_) | Source::Argument | Source::Input => return vec![generic.to_owned()],
    };
    match passed_over {
        Some(kept) => {
            vec![format!(
                "the token comes from {source}, which wins over the one that `init` keeps \
                in {}: {instead}",
                kept.display()
            )]
        }
        None => vec![
            generic.to_owned(),
            format!(
                "the token comes from {source}, which wins over \
            one that `init` keeps: {instead}"
            ),
        ],
    }
}

impl Resolved {
    /// The owner's id, made if there is none yet.
    pub fn owner(&self) -> Outcome<Owner> {
        if let Some(owner) = self.known_owner()? {
            return Ok(owner);
        }
        let owner = Owner::random();
        self.keep_owner(&owner)?;
        Ok(owner)
    }

    /// The owner's id; `None` while nothing was ever made by this user.
    pub fn known_owner(&self) -> Outcome<Option<Owner>> {
        let path = self.paths.owner();
        match fs::read_to_string(&path) {
            Ok(text) => Owner::parse(&text).map(Some).map_err(|error| {
                Failure::new(format!("{}: {error}", path.display()))
                    .hint("put the id back that `init` printed")
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new(format!("{} cannot be read: {error}", path.display()))),
        }
    }

    /// Writes the owner's id down.
    pub fn keep_owner(&self, owner: &Owner) -> Outcome {
        let path = self.paths.owner();
        write_private(&path, format!("{owner}\n").as_bytes())
            .map_err(|error| unwritable(&path, &error))
    }

    /// The API token: settings and environment, a command, or the file that `init` wrote.
    pub fn token(&self) -> Outcome<SecretString> {
        let kept = self.kept_token()?;
        let (token, passed_over) = match (self.set_token()?, kept) {
            (Some(set), kept) => (set, kept),
            (None, Some(kept)) => (kept, None),
            (None, None) => {
                return Err(Failure::new("there is no Hetzner API token")
                    .hint(
                        "make one with Read & Write in the Hetzner Cloud console, then run \
                         `dockbridge init` or set HCLOUD_TOKEN",
                    )
                    .hint("`dockbridge try` needs no account"));
            }
        };
        let passed_over = passed_over.and_then(|token| match token.source {
            Source::Kept(path) => Some(path),
            _ => None,
        });
        let secret = sendable(&token)?;
        let _ = USED.set(Used { source: token.source, passed_over });
        Ok(secret)
    }

    /// A token that settings or environment name.
    fn set_token(&self) -> Outcome<Option<Token>> {
        let hetzner = &self.settings.hetzner;
        if let Some(token) = &hetzner.api_token {
            return Ok(Some(token.clone()));
        }
        hetzner.token_command.as_deref().map(run_token_command).transpose()
    }

    /// The token that `init` keeps for this profile, or the default profile's where it has none.
    fn kept_token(&self) -> Outcome<Option<Token>> {
        let path = self.paths.token(&self.keeper());
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Token::new(&text, Source::Kept(path)))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new(format!("{} cannot be read: {error}", path.display()))),
        }
    }

    /// What wins over the token that `init` keeps, if anything does: the next command would not use
    /// that one.
    pub fn wins_over_kept(&self) -> Option<Source> {
        let hetzner = &self.settings.hetzner;
        match (&hetzner.api_token, &hetzner.token_command) {
            (Some(token), _) => Some(token.source.clone()),
            (None, Some(_)) => Some(Source::Command),
            (None, None) => None,
        }
    }

    /// The profile whose kept token this one uses.
    fn keeper(&self) -> Profile {
        match self.paths.token(&self.profile).exists() {
            true => self.profile.clone(),
            false => Profile::default(),
        }
    }

    /// Where `init` keeps the token that is used, if it keeps one.
    pub fn kept_token_file(&self) -> Option<PathBuf> {
        Some(self.paths.token(&self.keeper())).filter(|path| path.exists())
    }

    /// The API address. A kept token goes to the address that it was checked with, unless the
    /// environment or the profile's own settings say otherwise.
    pub fn endpoint(&self) -> String {
        let set = self.settings.hetzner.endpoint.as_ref();
        if let Some(endpoint) = set.filter(|endpoint| endpoint.origin != Origin::File) {
            return endpoint.url.clone();
        }
        let kept = match self.wins_over_kept() {
            None => fs::read_to_string(self.paths.endpoint(&self.keeper())).ok(),
            Some(_) => None,
        };
        kept.map(|text| text.trim().to_owned())
            .filter(|text| api_address(text).is_ok())
            .unwrap_or_else(|| self.endpoint_of_file())
    }

    /// The API address for a new token: the one that is set, or the one that the last token had.
    pub fn endpoint_for_new_token(&self) -> String {
        match &self.settings.hetzner.endpoint {
            Some(endpoint) => endpoint.url.clone(),
            None => self.endpoint(),
        }
    }

    /// An address in the settings that is not used, since the kept token was checked with another.
    pub fn endpoint_not_used(&self) -> Option<String> {
        let set = self.settings.hetzner.endpoint.as_ref()?;
        (set.url != self.endpoint()).then(|| {
            format!(
                "`hetzner.endpoint`: {} is not used: the token that `init` keeps for profile {} \
                    was \
                 checked with {}; `dockbridge init` again changes both",
                set.url,
                self.profile,
                self.endpoint()
            )
        })
    }

    /// The API address without environment and profile.
    fn endpoint_of_file(&self) -> String {
        let set = self.settings.hetzner.endpoint.as_ref();
        set.filter(|endpoint| endpoint.origin == Origin::File)
            .map_or_else(|| hetzner::DEFAULT_ENDPOINT.to_owned(), |endpoint| endpoint.url.clone())
    }

    /// Keeps a token for this profile, and with it the address that it was checked with.
    pub fn keep_token(&self, token: &SecretString, endpoint: &str) -> Outcome<PathBuf> {
        let (path, address) = (self.paths.token(&self.profile), self.paths.endpoint(&self.profile));
        // Without it, the token would go where the settings lead: it never goes there by mistake.
        write_private(&address, format!("{endpoint}\n").as_bytes())
            .map_err(|error| unwritable(&address, &error))?;
        write_private(&path, token.expose_secret().as_bytes())
            .map_err(|error| unwritable(&path, &error))?;
        Ok(path)
    }

    /// The login key, made if there is none yet.
    pub fn login_key(&self) -> Outcome<Arc<PrivateKey>> {
        match self.known_login_key()? {
            Some(key) => Ok(key),
            None => {
                let (key, text) = new_key()?;
                let own = self.paths.private_key();
                write_private(&own, text.as_bytes()).map_err(|error| unwritable(&own, &error))?;
                Ok(key)
            }
        }
    }

    /// The login key; `None` if none was made yet.
    pub fn known_login_key(&self) -> Outcome<Option<Arc<PrivateKey>>> {
        let own = self.paths.private_key();
        let path = self.settings.ssh.private_key_path.as_ref().unwrap_or(&own);
        let unusable = |what: &str, error: &dyn std::error::Error| {
            Failure::new(format!("the private key {} cannot be {what}: {error}", path.display()))
                .hint("change `ssh.private_key_path`, or leave it out for a key of our own")
        };
        match fs::read_to_string(path) {
            Ok(text) => PrivateKey::from_openssh(&text)
                .map(|key| Some(Arc::new(key)))
                .map_err(|error| unusable("used", &error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && *path == own => Ok(None),
            Err(error) => Err(unusable("read", &error)),
        }
    }

    /// A login key for a command that takes a machine down without logging in, or fails to:
    /// whatever is wrong with the real one does not keep a server alive.
    pub fn login_key_or_another(&self) -> Outcome<Arc<PrivateKey>> {
        match self.known_login_key() {
            Ok(Some(key)) => Ok(key),
            Ok(None) | Err(_) => new_key().map(|(key, _)| key),
        }
    }
}

/// The secret, or what is wrong with it.
pub fn sendable(token: &Token) -> Outcome<SecretString> {
    token.sendable().map_err(|error| {
        let failure = Failure::new(error.to_string());
        match token.source {
            Source::Kept(_) | Source::Input => failure.hint(
                "copy it once more from the Hetzner \
                Cloud console, then run `dockbridge init`",
            ),
            _ => failure.hint("copy it once more from the Hetzner Cloud console"),
        }
    })
}

fn new_key() -> Outcome<(Arc<PrivateKey>, String)> {
    let unmade = |error: &dyn std::error::Error| {
        Failure::new(format!("an SSH key cannot be made: {}", with_causes(error)))
    };
    let key = machine::generate_key("dockbridge").map_err(|error| unmade(&error))?;
    let text = key.to_openssh(LineEnding::LF).map_err(|error| unmade(&error))?.to_string();
    Ok((Arc::new(key), text))
}

fn run_token_command(command: &str) -> Outcome<Token> {
    use std::process::{Command, Stdio};
    let output = Command::new("sh").args(["-c", command]).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || text.trim().is_empty() {
        return Err(Failure::new(
            "the command of `hetzner.token_command` printed no \
            token",
        )
        .hint("run it by hand to see why"));
    }
    Ok(Token::new(&text, Source::Command))
}
