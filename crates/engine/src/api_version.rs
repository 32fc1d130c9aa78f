//! Versions of the Engine API, and their place in paths.

use std::fmt;

/// `1.41`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(pub u32, pub u32);

impl ApiVersion {
    /// `None` if the text is no version.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// `/v1.41/info` is the version 1.41 and `/info`.
pub fn strip_version(path: &str) -> (Option<ApiVersion>, &str) {
    let Some(rest) = path.strip_prefix("/v") else { return (None, path) };
    let end = rest.find('/').unwrap_or(rest.len());
    let (version, rest) = rest.split_at(end);
    match ApiVersion::parse(version) {
        Some(version) => (Some(version), if rest.is_empty() { "/" } else { rest }),
        None => (None, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_before_a_path_is_recognized() {
        let version = Some(ApiVersion(1, 41));
        assert_eq!(strip_version("/v1.41/info"), (version, "/info"));
        assert_eq!(strip_version("/v1.41"), (version, "/"));
        for path in ["/volumes", "/v1/info", "/v1.x/info", "/info", "v1.41/info", ""] {
            assert_eq!(strip_version(path), (None, path));
        }
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(ApiVersion(1, 9) < ApiVersion(1, 24));
        assert_eq!(ApiVersion::parse("1.24").map(|one| one.to_string()).as_deref(), Some("1.24"));
    }
}
