//! This computer's identity in a cloud project and its secrets: owner id, API token, API address
//! and login key. A command that only looks uses what exists; only a command that creates
//! something creates them.

mod keyring;

use std::fs;
use std::sync::Arc;

use api::Code;
use machine::{Owner, Profile};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use secrecy::{ExposeSecret as _, SecretString};

use self::keyring::MARK;
pub use self::keyring::is_in_keyring;
use crate::failure::{Failure, Outcome, with_causes};
use crate::paths::{unwritable, write_private};
use crate::resolved::Resolved;
use crate::settings::token::{Source, Token};
use crate::settings::{Origin, api_address};
use crate::token_hints;

impl Resolved {
    /// The owner id, created if there is none yet.
    pub fn owner(&self) -> Outcome<Owner> {
        if let Some(owner) = self.known_owner()? {
            return Ok(owner);
        }
        let owner = Owner::random();
        self.keep_owner(&owner)?;
        Ok(owner)
    }

    /// The owner id; `None` while this user has never created anything.
    pub fn known_owner(&self) -> Outcome<Option<Owner>> {
        let path = self.paths.owner();
        match fs::read_to_string(&path) {
            Ok(text) => Owner::parse(&text).map(Some).map_err(|error| {
                Failure::of_code(Code::OwnerInvalid, format!("{}: {error}", path.display()))
                    .hint("write the id that `init` printed into the file")
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::of_code(
                Code::FileNotRead,
                format!("cannot read {}: {error}", path.display()),
            )),
        }
    }

    /// Saves the owner id.
    pub fn keep_owner(&self, owner: &Owner) -> Outcome {
        let path = self.paths.owner();
        write_private(&path, format!("{owner}\n").as_bytes())
            .map_err(|error| unwritable(&path, &error))
    }

    /// The API token: from settings and environment, a command, or where `init` saved it, in the
    /// keyring or a file.
    pub fn token(&self) -> Outcome<SecretString> {
        let (token, overridden) = match self.set_token()? {
            Some(set) => (Some(set), self.kept_source()),
            None => (self.kept_token()?, None),
        };
        let (token, overridden) = match (token, overridden) {
            (Some(set), kept) => (set, kept),
            (None, _) => {
                let failure =
                    Failure::of_code(Code::TokenMissing, "no Hetzner API token is configured")
                        .hint(
                            "create one with Read & Write in the Hetzner Cloud console, then run \
                     `dockbridge init` or set HCLOUD_TOKEN",
                        );
                let has_try = cfg!(all(feature = "local-cloud", target_os = "linux"));
                return Err(match has_try {
                    true => failure.hint("`dockbridge try` needs no account"),
                    false => failure,
                });
            }
        };
        let secret = sendable(&token)?;
        token_hints::remember(token.source, overridden);
        Ok(secret)
    }

    /// A token named by settings or environment.
    fn set_token(&self) -> Outcome<Option<Token>> {
        let hetzner = &self.settings.hetzner;
        if let Some(token) = &hetzner.api_token {
            return Ok(Some(token.clone()));
        }
        hetzner.token_command.as_deref().map(run_token_command).transpose()
    }

    /// The token that `init` saved for this profile, else the one of the default profile.
    fn kept_token(&self) -> Outcome<Option<Token>> {
        let path = self.paths.token(&self.keeper());
        match fs::read_to_string(&path) {
            Ok(text) if is_in_keyring(&text) => self.token_in_keyring(&self.keeper()).map(Some),
            Ok(text) => Ok(Some(Token::new(&text, Source::Kept(path)))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::of_code(
                Code::FileNotRead,
                format!("cannot read {}: {error}", path.display()),
            )),
        }
    }

    /// What overrides the token that `init` saves, if anything does.
    pub fn overrides_kept(&self) -> Option<Source> {
        let hetzner = &self.settings.hetzner;
        match (&hetzner.api_token, &hetzner.token_command) {
            (Some(token), _) => Some(token.source.clone()),
            (None, Some(_)) => Some(Source::Command),
            (None, None) => None,
        }
    }

    /// The profile whose saved token this one uses.
    fn keeper(&self) -> Profile {
        match self.paths.token(&self.profile).exists() {
            true => self.profile.clone(),
            false => Profile::default(),
        }
    }

    /// Where `init` saved the token of this profile or of the default one, if it saved one.
    pub fn kept_source(&self) -> Option<Source> {
        let path = self.paths.token(&self.keeper());
        match self.keyring_profile() {
            Some(_) => Some(Source::Keyring),
            None => path.exists().then_some(Source::Kept(path)),
        }
    }

    /// The profile under which the keyring has the saved token, if it has it.
    fn keyring_profile(&self) -> Option<Profile> {
        let keeper = self.keeper();
        let content = fs::read_to_string(self.paths.token(&keeper)).ok()?;
        is_in_keyring(&content).then_some(keeper)
    }

    /// The API address. A saved token is only sent to the address that it was checked with, unless
    /// the environment or the profile's own settings name another.
    pub fn endpoint(&self) -> String {
        let set = self.settings.hetzner.endpoint.as_ref();
        if let Some(endpoint) = set.filter(|endpoint| endpoint.origin != Origin::File) {
            return endpoint.url.clone();
        }
        let kept = match self.overrides_kept() {
            None => fs::read_to_string(self.paths.endpoint(&self.keeper())).ok(),
            Some(_) => None,
        };
        kept.map(|text| text.trim().to_owned())
            .filter(|text| api_address(text).is_ok())
            .unwrap_or_else(|| self.endpoint_of_file())
    }

    /// The API address for a new token: the configured one, or the one of the last token.
    pub fn endpoint_for_new_token(&self) -> String {
        match &self.settings.hetzner.endpoint {
            Some(endpoint) => endpoint.url.clone(),
            None => self.endpoint(),
        }
    }

    /// Warns of an address in the settings that is not used, because the saved token was checked
    /// with another one.
    pub fn endpoint_not_used(&self) -> Option<String> {
        let set = self.settings.hetzner.endpoint.as_ref()?;
        (set.url != self.endpoint()).then(|| {
            format!(
                "`hetzner.endpoint`: {} is not used: the token that `init` saved for profile {} \
                 was checked with {}; run `dockbridge init` again to change both",
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

    /// Saves a token for this profile, with the address that it was checked with. Returns where.
    pub fn keep_token(
        &self,
        token: &SecretString,
        endpoint: &str,
        use_keyring: bool,
    ) -> Outcome<Source> {
        let (path, address) = (self.paths.token(&self.profile), self.paths.endpoint(&self.profile));
        // Written first: without it the token would be sent to the settings' address.
        write_private(&address, format!("{endpoint}\n").as_bytes())
            .map_err(|error| unwritable(&address, &error))?;
        let was_in_keyring = self.is_own_token_in_keyring();
        let goes_there = use_keyring && self.store_in_keyring(token);
        let content = if goes_there { MARK } else { token.expose_secret() };
        write_private(&path, content.as_bytes()).map_err(|error| unwritable(&path, &error))?;
        match goes_there {
            true => Ok(Source::Keyring),
            false => {
                if was_in_keyring {
                    self.delete_in_keyring();
                }
                Ok(Source::Kept(path))
            }
        }
    }

    /// The login key, created if there is none yet.
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

    /// The login key; `None` if none was created yet.
    pub fn known_login_key(&self) -> Outcome<Option<Arc<PrivateKey>>> {
        let own = self.paths.private_key();
        let path = self.settings.ssh.private_key_path.as_ref().unwrap_or(&own);
        let unusable = |what: &str, error: &dyn std::error::Error| {
            Failure::of_code(
                Code::KeyUnusable,
                format!("cannot {what} the private key {}: {error}", path.display()),
            )
            .hint("change `ssh.private_key_path`, or remove it to use dockbridge's own key")
        };
        match fs::read_to_string(path) {
            Ok(text) => PrivateKey::from_openssh(&text)
                .map(|key| Some(Arc::new(key)))
                .map_err(|error| unusable("use", &error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && *path == own => Ok(None),
            Err(error) => Err(unusable("read", &error)),
        }
    }

    /// A login key for a command that takes a machine down. Such a command need not log in: an
    /// unusable login key must not keep a server alive.
    pub fn login_key_or_another(&self) -> Outcome<Arc<PrivateKey>> {
        match self.known_login_key() {
            Ok(Some(key)) => Ok(key),
            Ok(None) | Err(_) => new_key().map(|(key, _)| key),
        }
    }
}

/// The secret, or the reason why it cannot be sent.
pub fn sendable(token: &Token) -> Outcome<SecretString> {
    token.sendable().map_err(|error| {
        let failure = Failure::of_code(Code::TokenMalformed, error.to_string());
        match token.source {
            Source::Kept(_) | Source::Keyring | Source::Input => failure
                .hint("copy it again from the Hetzner Cloud console, then run `dockbridge init`"),
            _ => failure.hint("copy it again from the Hetzner Cloud console"),
        }
    })
}

pub fn new_key() -> Outcome<(Arc<PrivateKey>, String)> {
    let unmade = |error: &dyn std::error::Error| {
        Failure::of_code(
            Code::KeyNotMade,
            format!("cannot create an SSH key: {}", with_causes(error)),
        )
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
        return Err(Failure::of_code(
            Code::TokenMissing,
            "the command of `hetzner.token_command` printed no token",
        )
        .hint("run it in a shell to see why"));
    }
    Ok(Token::new(&text, Source::Command))
}
