//! The image factory of Talos Linux. It turns a schematic into an id; the id, a version and an
//! architecture form the address of an image. The API is documented in the factory's README (`POST
//! /schematics`, `GET /versions`, `GET /image/<schematic>/<version>/hcloud-<arch>.raw.xz`).

use std::fmt;
use std::time::Duration;

use hetzner::Architecture;
use serde::Deserialize;
use url::Url;

/// The official instance.
pub const DEFAULT_FACTORY: &str = "https://factory.talos.dev";
/// The id of the schematic without customization, from the same README.
const PLAIN_SCHEMATIC: &str = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
/// The factory answers both requests at once. Only the image itself may have to be made first.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A version such as `v1.12.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

/// Not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version of Talos: write it as v1.12.0")]
pub struct InvalidVersion(String);

impl Version {
    /// Checks the form only; [`Factory::check`] asks the factory.
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion(text.to_owned());
        let (numbers, suffix) = text
            .strip_prefix('v')
            .map(|rest| rest.split_once('-').unwrap_or((rest, "a")))
            .ok_or_else(invalid)?;
        let numbers: Vec<&str> = numbers.split('.').collect();
        let is_number = |text: &&str| {
            !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let is_suffix = !suffix.is_empty()
            && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
            && suffix.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if numbers.len() == 3 && numbers.iter().all(is_number) && is_suffix && text.len() <= 63 {
            Ok(Self(text.to_owned()))
        } else {
            Err(invalid())
        }
    }

    /// The version, as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Parses the id of a schematic: 64 hex digits.
pub fn schematic_id(text: &str) -> Option<String> {
    let is_id = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| text.to_ascii_lowercase())
}

/// An image factory.
#[derive(Debug, Clone)]
pub struct Factory {
    base: Url,
    http: reqwest::Client,
}

/// A failed request to the factory.
#[derive(Debug, thiserror::Error)]
pub enum FactoryError {
    /// The factory does not answer.
    #[error("the image factory {factory} cannot be reached")]
    Unreachable {
        /// Its address.
        factory: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The factory refused.
    #[error("the image factory {factory} refused to {request} ({status}): {message}")]
    Refused {
        /// Its address.
        factory: String,
        /// The request.
        request: FactoryRequest,
        /// HTTP status.
        status: u16,
        /// The factory's message.
        message: String,
    },
    /// The answer is not as the API documents it.
    #[error("the answer of the image factory {factory} is not understood: {message}")]
    Answer {
        /// Its address.
        factory: String,
        /// The mistake in it.
        message: String,
    },
    /// The factory makes no images of this version.
    #[error("the image factory has no Talos {version}; the newest are {}", newest.join(", "))]
    UnknownVersion {
        /// The requested version.
        version: String,
        /// The newest versions.
        newest: Vec<String>,
    },
    /// The factory makes no images of this architecture.
    #[error("Talos has no images for {0}")]
    Architecture(Architecture),
}

/// A request to the factory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactoryRequest {
    /// Store a schematic.
    StoreSchematic,
    /// List the versions.
    ListVersions,
}

impl fmt::Display for FactoryRequest {
    /// A verb and its object, which follow "refused to".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FactoryRequest::StoreSchematic => "store the schematic",
            FactoryRequest::ListVersions => "list its versions",
        })
    }
}

impl Factory {
    /// Sends nothing yet.
    pub fn new(base: Url) -> Result<Self, FactoryError> {
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build();
        let http =
            http.map_err(|source| FactoryError::Unreachable { factory: base.to_string(), source })?;
        Ok(Self { base, http })
    }

    /// The id of the schematic without customization.
    pub fn plain_schematic() -> String {
        PLAIN_SCHEMATIC.to_owned()
    }

    /// Stores a schematic (YAML) and returns its id. The same content has the same id.
    pub async fn store(&self, schematic: String) -> Result<String, FactoryError> {
        #[derive(Deserialize)]
        struct Stored {
            id: String,
        }
        let request = self
            .http
            .post(self.at("schematics"))
            .header("Content-Type", "application/yaml")
            .body(schematic);
        let stored: Stored = self.ask(FactoryRequest::StoreSchematic, request).await?;
        schematic_id(&stored.id)
            .ok_or_else(|| self.answer(format!("{:?} is no schematic id", stored.id)))
    }

    /// Refuses a version that the factory does not have.
    pub async fn check(&self, version: &Version) -> Result<(), FactoryError> {
        let versions: Vec<String> =
            self.ask(FactoryRequest::ListVersions, self.http.get(self.at("versions"))).await?;
        if versions.iter().any(|known| known == version.as_str()) {
            return Ok(());
        }
        let newest =
            versions.iter().rev().filter(|known| !known.contains('-')).take(3).cloned().collect();
        Err(FactoryError::UnknownVersion { version: version.as_str().to_owned(), newest })
    }

    /// The address of the disk image for Hetzner Cloud.
    pub fn image(
        &self,
        schematic: &str,
        version: &Version,
        architecture: &Architecture,
    ) -> Result<Url, FactoryError> {
        let arch = match architecture {
            Architecture::X86 => "amd64",
            Architecture::Arm => "arm64",
            Architecture::Other(_) => return Err(FactoryError::Architecture(architecture.clone())),
        };
        Ok(self.at(&format!("image/{schematic}/{}/hcloud-{arch}.raw.xz", version.as_str())))
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        request: FactoryRequest,
        call: reqwest::RequestBuilder,
    ) -> Result<T, FactoryError> {
        let unreachable = |source: reqwest::Error| FactoryError::Unreachable {
            factory: self.base.to_string(),
            source: source.without_url(),
        };
        let reply = call.send().await.map_err(unreachable)?;
        let status = reply.status();
        let body = reply.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            let message = String::from_utf8_lossy(&body).trim().chars().take(300).collect();
            return Err(FactoryError::Refused {
                factory: self.base.to_string(),
                request,
                status: status.as_u16(),
                message,
            });
        }
        serde_json::from_slice(&body).map_err(|error| self.answer(error.to_string()))
    }

    fn answer(&self, message: String) -> FactoryError {
        FactoryError::Answer { factory: self.base.to_string(), message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers_after_a_v() {
        for good in ["v1.12.0", "v1.0.10", "v1.13.0-alpha.1"] {
            assert!(Version::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1.12.0",
            "v1.12",
            "v1.12.x",
            "v1.12.0-",
            "v1.12.0-a b",
            "v1..0",
            "latest",
            "v1.12.0/../x",
            "v1.12.0-.",
        ] {
            assert!(Version::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn image_address_is_that_of_the_image_factory_readme() {
        let version = Version::parse("v1.12.0").unwrap();
        let at = |base: &str| {
            Factory::new(base.parse().unwrap())
                .unwrap()
                .image(PLAIN_SCHEMATIC, &version, &Architecture::Arm)
                .unwrap()
        };
        assert_eq!(
            at(DEFAULT_FACTORY).as_str(),
            format!(
                "https://factory.talos.dev/image/{PLAIN_SCHEMATIC}/v1.12.0/hcloud-arm64.raw.xz"
            )
        );
        assert_eq!(
            at("http://host:1/sub/").as_str(),
            format!("http://host:1/sub/image/{PLAIN_SCHEMATIC}/v1.12.0/hcloud-arm64.raw.xz")
        );
    }

    #[test]
    fn schematic_id_has_64_hex_digits() {
        assert_eq!(schematic_id(PLAIN_SCHEMATIC).as_deref(), Some(PLAIN_SCHEMATIC));
        assert_eq!(schematic_id("schematic.yaml"), None);
    }
}
