//! The names and labels of everything that dockbridge creates in a cloud project. They find it
//! again, and exclude everything of others.

use std::collections::BTreeMap;
use std::fmt;

use rand::Rng as _;
use tunnel::Fingerprint;

/// Label of everything that any dockbridge creates.
pub const MANAGED_BY: &str = "managed-by";
/// Value of the label [`MANAGED_BY`].
pub const DOCKBRIDGE: &str = "dockbridge";
/// Label with the profile's name.
pub const PROFILE: &str = "dockbridge-profile";
/// Label with the owner's id.
pub const OWNER: &str = "dockbridge-owner";
/// Label with the purpose of a resource.
pub const ROLE: &str = "dockbridge-role";
/// Role of what an image is built with. It lives as long as the build, and belongs to no profile.
pub const IMAGE_BUILDER: &str = "image-builder";
/// Role of a finished snapshot.
pub const IMAGE: &str = "image";
/// Label of a snapshot that machines can be made from: a short hash of what dockbridge installed in
/// it. Other images of this owner lack the label, whatever their names are.
pub const MACHINE_IMAGE: &str = "dockbridge-machine-image";
/// Role of a key that a computer logs in with.
pub const LOGIN: &str = "login";
/// Prefix of a server's labels for the login keys that it admits, one label each.
const LOGIN_LABEL: &str = "dockbridge-login-";
/// Characters of a fingerprint that distinguish the computers of one owner: 50 bits.
const SHORT_FINGERPRINT: usize = 10;
/// Label of a server: the fingerprint of its SSH host key.
pub const HOST_KEY: &str = "dockbridge-host-key";
/// Label of a server whose host key is being replaced: the fingerprint of the next one.
pub const NEXT_HOST_KEY: &str = "dockbridge-next-host-key";

/// Label of a server that has served: a client has replaced its first host key.
pub const SETTLED: &str = "dockbridge-settled";

/// A random id made by `init`. Twelve letters of base 32: 60 bits, short enough for host names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

/// Lower-case letters and digits, without those that look alike.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
const OWNER_LENGTH: usize = 12;

impl Owner {
    /// A new one.
    pub fn random() -> Self {
        let mut rng = rand::rng();
        Self(
            (0..OWNER_LENGTH)
                .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
                .collect(),
        )
    }

    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        if text.len() == OWNER_LENGTH && text.bytes().all(|byte| ALPHABET.contains(&byte)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "owner id",
                given: text.to_owned(),
                rule: "twelve lower-case letters and digits",
            })
        }
    }
}

impl Owner {
    /// Whether these labels belong to this owner, in any profile.
    pub fn owns(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |key: &str, value: &str| labels.get(key).is_some_and(|found| found == value);
        has(MANAGED_BY, DOCKBRIDGE) && has(OWNER, &self.0)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A profile's name. It becomes part of host names, so it follows their rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Profile(String);

impl Profile {
    /// Checks a name.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let good = !text.is_empty()
            && text.len() <= 24
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "profile name",
                given: text.to_owned(),
                rule: "1 to 24 lower-case letters, digits and hyphens, without a hyphen at either \
                    end",
            })
        }
    }
}

impl Default for Profile {
    /// The profile of a user who names none.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{given:?} is no {what}: it has to be {rule}")]
pub struct InvalidName {
    what: &'static str,
    given: String,
    rule: &'static str,
}

/// Profile and owner: what stays while machines come and go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The profile.
    pub profile: Profile,
    /// The owner.
    pub owner: Owner,
}

impl Identity {
    /// The one name of this identity's server, volume, key and firewall. Names are unique for each
    /// kind in a cloud project: of two daemons that race to create the same thing, one loses and
    /// adopts.
    pub fn name(&self) -> String {
        format!("dockbridge-{}-{}", self.profile, self.owner)
    }

    /// Labels of a resource with this role.
    pub fn labels(&self, role: &str) -> BTreeMap<String, String> {
        [
            (MANAGED_BY, DOCKBRIDGE.to_owned()),
            (PROFILE, self.profile.to_string()),
            (OWNER, self.owner.to_string()),
            (ROLE, role.to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }

    /// A label selector for everything of this identity.
    pub fn selector(&self) -> String {
        format!("{},{PROFILE}={}", owner_selector(&self.owner), self.profile)
    }

    /// Whether these labels belong to this identity. The cloud evaluates selectors, so dockbridge
    /// checks here again before it changes anything.
    pub fn owns(&self, labels: &BTreeMap<String, String>) -> bool {
        self.owner.owns(labels)
            && labels.get(PROFILE).is_some_and(|found| *found == self.profile.to_string())
    }
}

/// The label of a server that admits this login key.
pub fn login_label(login: &Fingerprint) -> (String, String) {
    let whole = login.to_label();
    (format!("{LOGIN_LABEL}{}", &whole[..SHORT_FINGERPRINT]), whole)
}

/// Whether a server with these labels admits a login key. A server without any such label is from
/// an older version, and may admit it.
pub fn admits(labels: &BTreeMap<String, String>, login: &Fingerprint) -> bool {
    let (label, whole) = login_label(login);
    let names_none = !labels.keys().any(|label| label.starts_with(LOGIN_LABEL));
    names_none || labels.get(&label) == Some(&whole)
}

/// The name of a computer's login key in the project.
pub fn login_key_name(owner: &Owner, login: &Fingerprint) -> String {
    format!("dockbridge-{owner}-{}", &login.to_label()[..SHORT_FINGERPRINT])
}

/// Whether a resource with these labels is what an image is built with.
pub(crate) fn builds_image(labels: &BTreeMap<String, String>) -> bool {
    labels.get(ROLE).is_some_and(|role| role == IMAGE_BUILDER)
}

/// A label selector for everything of this owner, in all profiles.
pub fn owner_selector(owner: &Owner) -> String {
    format!("{MANAGED_BY}={DOCKBRIDGE},{OWNER}={owner}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_host_names_and_label_values() {
        let identity =
            Identity { profile: Profile::parse(&"p".repeat(24)).unwrap(), owner: Owner::random() };
        assert!(identity.name().len() <= 63, "{}", identity.name());
        assert!(identity.labels("data").values().all(|value| value.len() <= 63));
    }

    #[test]
    fn server_admits_the_login_keys_in_its_labels() {
        let [first, second] =
            [(); 2].map(|()| crate::host_key::HostKey::generate().unwrap().fingerprint());
        let mut labels = BTreeMap::from([(ROLE.to_owned(), "machine".to_owned())]);
        assert!(admits(&labels, &first), "a server of an older version");
        labels.extend([login_label(&first)]);
        assert!(admits(&labels, &first) && !admits(&labels, &second));
        labels.extend([login_label(&second)]);
        assert!(admits(&labels, &first) && admits(&labels, &second));
        assert!(labels.iter().all(|(key, value)| key.len() <= 63 && value.len() <= 63));
        let owner = Owner::random();
        assert_ne!(login_key_name(&owner, &first), login_key_name(&owner, &second));
    }

    #[test]
    fn owner_survives_serialization() {
        let owner = Owner::random();
        assert_eq!(Owner::parse(&format!("{owner}\n")).unwrap(), owner);
        assert!(Owner::parse("0123").is_err());
    }

    #[test]
    fn profile_names_that_are_no_host_names_are_refused() {
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "ä", &"x".repeat(25)] {
            assert!(Profile::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn resource_of_another_owner_is_not_owned() {
        let own = Identity { profile: Profile::parse("default").unwrap(), owner: Owner::random() };
        let theirs = Identity { owner: Owner::random(), ..own.clone() };
        assert!(own.owns(&own.labels("server")));
        assert!(!own.owns(&theirs.labels("server")));
    }
}
