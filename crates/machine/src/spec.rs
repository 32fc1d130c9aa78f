//! What the settings ask of a machine.

use std::fmt;

/// The cloud's image with docker in it.
const DOCKER_IMAGE: &str = "docker-ce";

/// The image that machines are made from, as a user sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSetting {
    /// Images of this name, one for each architecture.
    Named(String),
    /// One image, such as a snapshot.
    Id(u64),
    /// The cloud's image with docker in it, or one of dockbridge's own snapshots that boots no
    /// slower by measurement.
    Auto,
}

impl ImageSetting {
    /// The name of the image to use where no snapshot is used.
    pub fn name(&self) -> &str {
        match self {
            ImageSetting::Named(name) => name,
            ImageSetting::Id(_) | ImageSetting::Auto => DOCKER_IMAGE,
        }
    }
}

impl Default for ImageSetting {
    fn default() -> Self {
        ImageSetting::Named(DOCKER_IMAGE.to_owned())
    }
}

impl From<&str> for ImageSetting {
    fn from(text: &str) -> Self {
        match (text, text.parse()) {
            ("auto", _) => ImageSetting::Auto,
            (_, Ok(id)) => ImageSetting::Id(id),
            (name, Err(_)) => ImageSetting::Named(name.to_owned()),
        }
    }
}

impl fmt::Display for ImageSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageSetting::Named(name) => f.write_str(name),
            ImageSetting::Id(id) => write!(f, "{id}"),
            ImageSetting::Auto => f.write_str("auto"),
        }
    }
}

/// The machine that the settings ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Server types in order of preference.
    pub server_types: Vec<String>,
    /// Locations in order of preference. The location of an existing volume takes precedence.
    pub locations: Vec<String>,
    /// The image.
    pub image: ImageSetting,
    /// Size of a new volume, in GB.
    pub volume_size: u64,
    /// How long after its boot a machine waits for the first client, in seconds.
    pub boot_lease_seconds: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_is_set_by_name_or_id_or_chosen_by_measurement() {
        for (text, setting, name) in [
            ("docker-ce", ImageSetting::Named("docker-ce".into()), "docker-ce"),
            ("debian-13", ImageSetting::Named("debian-13".into()), "debian-13"),
            ("4711", ImageSetting::Id(4711), "docker-ce"),
            ("auto", ImageSetting::Auto, "docker-ce"),
        ] {
            assert_eq!(ImageSetting::from(text), setting);
            assert_eq!((setting.to_string().as_str(), setting.name()), (text, name));
        }
    }
}
