//! The text that takes an owner to a second computer: the owner id, and the API address where it
//! is not the public one. It contains no token; `init` takes the token separately.

use std::fmt;
use std::str::FromStr;

use machine::Owner;

use crate::settings::api_address;

/// An owner to join from another computer. Written as `OWNER-CHECK` or `OWNER-CHECK@ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Owner of the machines.
    pub owner: Owner,
    /// API address; `None` for the public one.
    pub endpoint: Option<String>,
}

/// A text that `init --join` cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a text from `dockbridge init`: {why}")]
pub struct NoInvitation {
    given: String,
    why: String,
}

impl Invitation {
    /// Invites to this owner's machines at this address.
    pub fn new(owner: Owner, endpoint: &str) -> Self {
        let is_public = endpoint.trim_end_matches('/') == hetzner::DEFAULT_ENDPOINT;
        Self { owner, endpoint: (!is_public).then(|| endpoint.to_owned()) }
    }
}

/// Four check letters that a typing error changes: with a wrong owner id there would seem to be no
/// machine. FNV-1a, mixed as in SplitMix64, because the last bytes would change few bits.
fn check(owner: &Owner, endpoint: Option<&str>) -> String {
    let text = format!("{owner}@{}", endpoint.unwrap_or_default());
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let letter = |at: u32| {
        char::from(b"abcdefghjkmnpqrstuvwxyz023456789"[(hash >> (60 - 5 * at) & 31) as usize])
    };
    (1..5).map(letter).collect()
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.endpoint.as_deref();
        write!(f, "{}-{}", self.owner, check(&self.owner, endpoint))?;
        endpoint.map_or(Ok(()), |endpoint| write!(f, "@{endpoint}"))
    }
}

impl FromStr for Invitation {
    type Err = NoInvitation;

    fn from_str(text: &str) -> Result<Self, NoInvitation> {
        let text = text.trim();
        let wrong = |why: &str| NoInvitation { given: text.to_owned(), why: why.to_owned() };
        let (who, endpoint) = match text.split_once('@') {
            Some((who, endpoint)) => (who, Some(endpoint.to_owned())),
            None => (text, None),
        };
        let (owner, given) = who.split_once('-').ok_or_else(|| {
            wrong("copy the whole text that `dockbridge init` printed on the other computer")
        })?;
        let owner = Owner::parse(owner).map_err(|error| wrong(&error.to_string()))?;
        if let Some(Err(why)) = endpoint.as_deref().map(api_address) {
            return Err(wrong(&why));
        }
        if check(&owner, endpoint.as_deref()) != given {
            return Err(wrong("its check letters do not match, so it contains a typing error"));
        }
        Ok(Self { owner, endpoint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_a_typing_error_is_seen() {
        for endpoint in [hetzner::DEFAULT_ENDPOINT, "http://127.0.0.1:8080/v1"] {
            let invitation = Invitation::new(Owner::random(), endpoint);
            let text = invitation.to_string();
            assert_eq!(format!(" {text}\n").parse(), Ok(invitation.clone()));
            for at in 0..text.len() {
                let mut changed = text.clone().into_bytes();
                changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
                let changed = String::from_utf8(changed).unwrap();
                assert!(changed.parse::<Invitation>().is_err(), "{changed}");
            }
        }
        let short = Invitation::new(Owner::random(), hetzner::DEFAULT_ENDPOINT);
        assert_eq!(short.to_string().len(), 17);
        for text in ["", "x", "abcdefghjkmn"] {
            assert!(text.parse::<Invitation>().is_err(), "{text:?}");
        }
    }
}
