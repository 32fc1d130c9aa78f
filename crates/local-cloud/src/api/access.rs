//! Tokens: which project a request reaches and what it may do there. Only digests are kept.

use sha2::{Digest, Sha256};

use super::error::ApiError;
use crate::options::{Access, Token};

pub(super) struct Tokens(Vec<([u8; 32], Caller)>);

/// The caller.
pub(super) struct Caller {
    pub(super) project: String,
    pub(super) access: Access,
}

impl Tokens {
    pub(super) fn new(tokens: &[Token]) -> Tokens {
        let known = |token: &Token| {
            (digest(&token.secret), Caller { project: token.project.clone(), access: token.access })
        };
        Tokens(tokens.iter().map(known).collect())
    }

    pub(super) fn check(&self, authorization: Option<&str>) -> Result<&Caller, ApiError> {
        let shown = authorization
            .filter(|h| !h.trim().is_empty())
            .ok_or_else(|| ApiError::unauthorized("token is required"))?;
        let (scheme, secret) = shown.split_once(' ').unwrap_or((shown, ""));
        let digest = digest(secret.trim());
        let found = self
            .0
            .iter()
            .find(|(known, _)| *known == digest)
            .filter(|_| scheme.eq_ignore_ascii_case("bearer"));
        found
            .map(|(_, caller)| caller)
            .ok_or_else(|| ApiError::unauthorized("the token you have provided is invalid"))
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_bearer_token_opens_its_project() {
        let tokens = Tokens::new(&[
            Token::new("one", "p1", Access::ReadWrite),
            Token::new("two", "p2", Access::ReadOnly),
        ]);
        assert_eq!(tokens.check(Some("Bearer two")).map(|c| c.project.as_str()), Ok("p2"));
        for (header, message) in [
            (None, "token is required"),
            (Some(""), "token is required"),
            (Some("Bearer three"), "the token you have provided is invalid"),
            (Some("Basic one"), "the token you have provided is invalid"),
            (Some("one"), "the token you have provided is invalid"),
        ] {
            assert_eq!(
                tokens.check(header).err().map(|e| e.message),
                Some(message.to_owned()),
                "{header:?}"
            );
        }
    }
}
