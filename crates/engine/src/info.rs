//! What an engine says about itself.

use serde::Deserialize;

use crate::api_version::ApiVersion;

/// The parts of `GET /info` that dockbridge uses.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Info {
    /// How many containers exist.
    #[serde(default)]
    pub containers: Option<u32>,
    /// How many containers run.
    #[serde(default)]
    pub containers_running: Option<u32>,
    #[serde(default)]
    security_options: Option<Vec<String>>,
}

impl Info {
    /// Whether the engine runs rootless, so that its containers' networks are in a network
    /// namespace of their own.
    pub fn is_rootless(&self) -> bool {
        let options = self.security_options.iter().flatten();
        // An option is a list itself: `name=seccomp,profile=builtin`.
        options.flat_map(|option| option.split(',')).any(|part| part == "name=rootless")
    }
}

/// The API versions in `GET /version`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    api_version: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<String>,
}

impl Version {
    /// Whether the engine answers requests of this version.
    pub fn offers(&self, version: ApiVersion) -> bool {
        let parse = |text: &Option<String>| text.as_deref().and_then(ApiVersion::parse);
        parse(&self.api_version).is_some_and(|highest| version <= highest)
            && parse(&self.min_api_version).is_some_and(|lowest| version >= lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rootless_engine_is_recognized_by_its_security_options() {
        let is_rootless = |options: &str| {
            let info = format!(r#"{{"SecurityOptions":{options}}}"#);
            serde_json::from_str::<Info>(&info).unwrap().is_rootless()
        };
        assert!(is_rootless(r#"["name=seccomp,profile=builtin","name=rootless"]"#));
        assert!(!is_rootless(r#"["name=seccomp,profile=name=rootless.json"]"#));
        assert!(!is_rootless("null"));
    }

    #[test]
    fn versions_between_the_lowest_and_the_highest_are_offered() {
        let version = r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12"}"#;
        let version: Version = serde_json::from_str(version).unwrap();
        assert!(version.offers(ApiVersion(1, 12)) && version.offers(ApiVersion(1, 41)));
        assert!(!version.offers(ApiVersion(1, 9)) && !version.offers(ApiVersion(1, 42)));
        let unknown: Version = serde_json::from_str("{}").unwrap();
        assert!(!unknown.offers(ApiVersion(1, 41)));
    }
}
