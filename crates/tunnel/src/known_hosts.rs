//! Reads keys from OpenSSH's `known_hosts` format, as described in sshd(8): plain and hashed names,
//! patterns, negation, ports, `@revoked`, in any order and of any kind. As in OpenSSH, a host at
//! another port than 22 that is not listed with its port is looked up without it.
//!
//! Nothing is ever written. Of keys that cannot be checked only the kind is used.

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, PublicKey};
use sha1::Sha1;
use thiserror::Error;

/// The keys that one file lists for one host.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys {
    trusted: Vec<PublicKey>,
    revoked: Vec<PublicKey>,
    /// The file lists a certificate authority for this host.
    has_authority: bool,
}

/// Why a key is not the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NotKnown {
    #[error("it is marked as revoked among the known hosts")]
    Revoked,
    #[error("the host is not among the known hosts")]
    NoKey,
    #[error("another key is known for this host")]
    OtherKey,
}

/// Kinds of host key that can be checked, best first. RSA is excluded, together with the crate that
/// it needs.
pub(crate) const CHECKED: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP521 },
];

impl KnownKeys {
    pub(crate) fn of(host: &str, port: u16, file: &str) -> Self {
        let host = host.to_lowercase();
        if port == 22 {
            return Self::named(&host, file);
        }
        let with_port = Self::named(&format!("[{host}]:{port}"), file);
        if with_port.trusted.is_empty() {
            let mut without = Self::named(&host, file);
            without.revoked.extend(with_port.revoked);
            return without;
        }
        with_port
    }

    /// Looks up the name exactly as the file spells it.
    pub(crate) fn named(name: &str, file: &str) -> Self {
        let name = name.to_lowercase();
        let mut known = Self::default();
        let lines =
            file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for entry in lines.filter_map(|line| single_spaced(line).parse::<Entry>().ok()) {
            if !matches(entry.host_patterns(), &name) {
                continue;
            }
            match entry.marker() {
                None => known.trusted.push(entry.public_key().clone()),
                Some(Marker::Revoked) => known.revoked.push(entry.public_key().clone()),
                Some(Marker::CertAuthority) => known.has_authority = true,
            }
        }
        known
    }

    /// Whether this key is the host's.
    pub(crate) fn judge(&self, presented: &PublicKey) -> Result<(), NotKnown> {
        let among =
            |keys: &[PublicKey]| keys.iter().any(|key| key.key_data() == presented.key_data());
        match () {
            () if among(&self.revoked) => Err(NotKnown::Revoked),
            () if among(&self.trusted) => Ok(()),
            () if self.trusted.is_empty() => Err(NotKnown::NoKey),
            () => Err(NotKnown::OtherKey),
        }
    }

    /// The kinds of key to request from the host: the known ones that can be checked, best first.
    /// Without a known key all kinds are requested, so that the refusal can name the key.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let is_known =
            |algorithm: &&Algorithm| self.trusted.iter().any(|key| key.algorithm() == **algorithm);
        let known: Vec<Algorithm> = CHECKED.iter().filter(is_known).cloned().collect();
        if self.trusted.is_empty() { CHECKED.to_vec() } else { known }
    }

    /// The known kinds, if none of them can be checked.
    pub(crate) fn only_unchecked(&self) -> Option<String> {
        let mut kinds: Vec<String> =
            self.trusted.iter().map(|key| key.algorithm().to_string()).collect();
        if self.trusted.is_empty() && self.has_authority {
            kinds.push("certificate authority".to_owned());
        }
        kinds.sort();
        kinds.dedup();
        let none_is_checked = self.trusted.iter().all(|key| !CHECKED.contains(&key.algorithm()));
        (none_is_checked && !kinds.is_empty()).then(|| kinds.join(" and "))
    }

    /// Merges the keys of two files.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.trusted.extend(other.trusted);
        self.revoked.extend(other.revoked);
        self.has_authority |= other.has_authority;
        self
    }
}

/// The parser accepts single spaces only; real files also have tabs.
fn single_spaced(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
            .is_ok_and(|mac| mac.chain_update(name).verify_slice(hash).is_ok()),
        HostPatterns::Patterns(patterns) => {
            let hit = |pattern: &str| wildcard(pattern.to_lowercase().as_bytes(), name.as_bytes());
            let refused = patterns.iter().any(|pattern| pattern.strip_prefix('!').is_some_and(hit));
            !refused && patterns.iter().any(|pattern| !pattern.starts_with('!') && hit(pattern))
        }
    }
}

/// `*` for any run of characters, `?` for one.
fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ssh-ed25519 \
        AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const B: &str = "ssh-ed25519 \
        AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn judge(file: &str, host: &str, port: u16) -> Result<(), NotKnown> {
        KnownKeys::of(host, port, file).judge(&PublicKey::from_openssh(A).unwrap())
    }

    #[test]
    fn a_listed_key_is_trusted_for_its_host_and_port_only() {
        let file = format!("# machines\nother {B}\nhost,10.0.0.1 {A} comment\n[host]:2222\t{B}\n");
        assert_eq!(judge(&file, "host", 22), Ok(()));
        assert_eq!(judge(&file, "HOST", 22), Ok(()));
        assert_eq!(judge(&file, "10.0.0.1", 22), Ok(()));
        assert_eq!(judge(&file, "host", 2222), Err(NotKnown::OtherKey));
        assert_eq!(judge(&file, "other", 22), Err(NotKnown::OtherKey));
        assert_eq!(judge(&file, "stranger", 22), Err(NotKnown::NoKey));
    }

    #[test]
    fn a_second_key_of_the_same_kind_does_not_replace_the_first() {
        assert_eq!(judge(&format!("host {B}\nhost {A}\n"), "host", 22), Ok(()));
    }

    #[test]
    fn hashed_names_are_found() {
        let mut mac = Hmac::<Sha1>::new_from_slice(b"01234567890123456789").unwrap();
        mac.update(b"[host]:2222");
        let encode = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
        let file = format!(
            "|1|{}|{} {A}\n",
            encode(b"01234567890123456789"),
            encode(&mac.finalize().into_bytes())
        );
        assert_eq!(judge(&file, "host", 2222), Ok(()));
        assert!(judge(&file, "host", 22).is_err());
    }

    const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC3vWwp9hJUFgxGO4l+n1DIn3PNcnR81euX1rWI\
                       HyGsyL655xF7Dsbf5hvjHWZAyDWLPOkV1EuDyHolh4N0r+3fLIdhqkcPJ8oleoZJr8MIc/PF\
                       qzWfgTvkr2dEHLU4HOZ5S822EtVXD5H0QGSsPzvIMmeacmtcki31xtVHAQmYsQ==";

    #[test]
    fn checkable_kinds_are_requested_whatever_precedes_them() {
        let rsa = RSA.parse::<PublicKey>();
        let rsa = rsa.map(|_| RSA).unwrap_or_else(|error| panic!("{error}"));
        let known = |file: &str| KnownKeys::of("host", 22, file);
        let both = known(&format!("host {rsa}\nhost {A}\n"));
        assert_eq!((both.algorithms(), both.only_unchecked()), (vec![Algorithm::Ed25519], None));
        let only = known(&format!("host {rsa}\n"));
        assert_eq!(
            (only.algorithms(), only.only_unchecked().as_deref()),
            (vec![], Some("ssh-rsa"))
        );
        let none = known("");
        assert_eq!((none.algorithms(), none.only_unchecked()), (CHECKED.to_vec(), None));
        let authority = known(&format!("@cert-authority * {A}\n"));
        assert_eq!(authority.only_unchecked().as_deref(), Some("certificate authority"));
    }

    #[test]
    fn a_host_is_looked_up_without_its_port_only_if_not_listed_with_it() {
        assert_eq!(judge(&format!("host {A}\n"), "host", 2222), Ok(()));
        assert!(judge(&format!("host {A}\n[host]:2222 {B}\n"), "host", 2222).is_err());
        assert!(judge(&format!("host {A}\n@revoked [host]:2222 {A}\n"), "host", 2222).is_err());
    }

    #[test]
    fn a_revoked_key_is_refused_even_if_it_is_listed() {
        assert!(judge(&format!("host {A}\n@revoked * {A}\n"), "host", 22).is_err());
    }

    #[test]
    fn patterns_and_negated_patterns_are_applied() {
        let file = format!("*.example.org,!bad.example.org {A}\n");
        assert_eq!(judge(&file, "good.example.org", 22), Ok(()));
        assert!(
            judge(&file, "bad.example.org", 22).is_err()
                && judge(&file, "example.org", 22).is_err()
        );
        assert!(wildcard(b"a?c*", b"abcd") && wildcard(b"*", b"") && !wildcard(b"a?c", b"ac"));
    }

    #[test]
    fn an_invalid_line_does_not_hide_the_others() {
        let file = format!("host sk-unknown@example.org AAAA\nhost\nhost {A}\n");
        assert_eq!(judge(&file, "host", 22), Ok(()));
    }
}
