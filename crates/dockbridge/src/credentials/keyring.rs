//! The API token in the keyring of the user's session. The file in which a token would be saved
//! names the keyring then, so that a command knows where the token is without asking the keyring.

use api::Code;
use machine::Profile;
use platform::keyring::{Keyring, KeyringError};
use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::{Failure, Outcome, with_causes};
use crate::output::complain;
use crate::resolved::Resolved;
use crate::settings::token::{Source, Token};

/// What stands in the token's file in place of a token. No token has a blank.
pub const MARK: &str = "in the keyring\n";
/// What to do where a keyring is of no use.
const FILE_INSTEAD: &str = "`dockbridge init --no-keyring` saves the token in a file that only \
    you can read";

/// Whether this content of a token's file says that the token is in the keyring.
pub fn is_in_keyring(content: &str) -> bool {
    content.trim() == MARK.trim()
}

impl Resolved {
    /// Stores the token of this profile. `false` where no keyring can take it: the file is used.
    pub(super) fn store_in_keyring(&self, token: &SecretString) -> bool {
        let label = format!("dockbridge: API token of profile {}", self.profile);
        let stored = self.with_attributes(&self.profile, |attributes| {
            Keyring::default().store(&label, attributes, token.expose_secret().as_bytes())
        });
        match stored {
            Ok(()) => true,
            Err(error) => {
                if !error.is_absent() {
                    complain(&format!(
                        "Note: the token is saved in a file instead: {}.",
                        with_causes(&error)
                    ));
                }
                false
            }
        }
    }

    /// The token that `init` stored for a profile.
    pub(super) fn token_in_keyring(&self, profile: &Profile) -> Outcome<Token> {
        self.token_in(&Keyring::default(), profile)
    }

    fn token_in(&self, keyring: &Keyring, profile: &Profile) -> Outcome<Token> {
        let read = self.with_attributes(profile, |attributes| keyring.read(attributes));
        match read.map_err(|error| unreadable(&error))? {
            Some(secret) => {
                let text = String::from_utf8_lossy(&secret).into_owned();
                Ok(Token::new(&text, Source::Keyring))
            }
            None => Err(Failure::of_code(
                Code::TokenMissing,
                format!("the keyring has no API token of profile {profile}"),
            )
            .hint("run `dockbridge init` to save it again")),
        }
    }

    /// Checks that a service of the user can read the token: it has the bus of the user's service
    /// manager, and without a login the keyring is locked.
    pub fn check_token_of_service(&self, lingers: bool) -> Outcome {
        let Some(profile) = self.keyring_profile() else { return Ok(()) };
        if lingers {
            return Err(Failure::bare(
                Code::KeyringLocked,
                "the API token is in the keyring, which is locked without a login, and the service \
                 would run from boot on",
            )
            .hint(FILE_INSTEAD)
            .hint("`loginctl disable-linger` lets services run while you are logged in"));
        }
        #[cfg(target_os = "linux")]
        {
            let directory = std::env::var("XDG_RUNTIME_DIR")
                .unwrap_or_else(|_| format!("/run/user/{}", rustix::process::geteuid().as_raw()));
            let keyring = Keyring::at(format!("unix:path={directory}/bus"));
            self.token_in(&keyring, &profile)
                .map_err(|failure| failure.of("the service could not read the API token"))?;
        }
        Ok(())
    }

    /// Removes the token of this profile from the keyring, if it is there.
    pub fn remove_from_keyring(&self) {
        if self.is_own_token_in_keyring() {
            self.delete_in_keyring();
        }
    }

    pub(super) fn is_own_token_in_keyring(&self) -> bool {
        let content = std::fs::read_to_string(self.paths.token(&self.profile));
        content.is_ok_and(|content| is_in_keyring(&content))
    }

    /// A keyring that does not answer keeps it.
    pub(super) fn delete_in_keyring(&self) {
        let removed =
            self.with_attributes(&self.profile, |attributes| Keyring::default().remove(attributes));
        if let Err(error) = removed {
            complain(&format!(
                "Note: the API token of profile {} stays in the keyring: {}.",
                self.profile,
                with_causes(&error)
            ));
        }
    }

    /// Several installations of one user have one keyring, so the directory is an attribute.
    fn with_attributes<T>(&self, profile: &Profile, ask: impl FnOnce(&[(&str, &str)]) -> T) -> T {
        let (directory, profile) = (self.paths.config().display().to_string(), profile.to_string());
        ask(&[
            ("xdg:schema", "io.github.dockbridge.Token"),
            ("profile", &profile),
            ("directory", &directory),
        ])
    }
}

fn unreadable(error: &KeyringError) -> Failure {
    let message = format!("cannot read the API token: {}", with_causes(error));
    match error {
        KeyringError::Locked => Failure::of_code(Code::KeyringLocked, message)
            .hint("log in to your desktop, or unlock the keyring in its settings")
            .hint(FILE_INSTEAD),
        _ => Failure::of_code(Code::KeyringUnavailable, message).hint(FILE_INSTEAD),
    }
}
