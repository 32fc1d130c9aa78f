//! What `init` lets the user choose: location and size of the volume. Each has a default, and only
//! what differs from what holds is written into the settings file.

use std::io::BufRead as _;

use api::Code;

use super::project::Project;
use crate::commands::config::change::SettingsFile;
use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::resolved::Resolved;
use crate::settings::Settings;

/// What the user chose; `None` keeps what holds.
#[derive(Debug, Default)]
pub struct Choices {
    pub location: Option<String>,
    /// GB.
    pub volume_size: Option<u64>,
}

impl Choices {
    /// Refuses a location that the cloud does not have.
    pub fn check(&self, locations: &[&str]) -> Outcome {
        match &self.location {
            Some(location) if !locations.contains(&location.as_str()) => Err(Failure::bare(
                Code::LocationUnknown,
                format!("the cloud has no location {location:?}"),
            )
            .hint(format!("it has {}", locations.join(", ")))),
            _ => Ok(()),
        }
    }

    /// The settings as they will be.
    pub fn apply(&self, settings: &mut Settings) {
        let hetzner = &mut settings.hetzner;
        if let Some(location) = &self.location {
            hetzner.locations = preferred(location, &hetzner.locations);
        }
        hetzner.volume_size = self.volume_size.unwrap_or(hetzner.volume_size);
    }

    /// Asks for what was not chosen by an option. Where a volume exists, nothing is left to choose.
    pub fn ask(&mut self, project: &Project, resolved: &Resolved) -> Outcome {
        if project.volume_location().is_some() {
            return Ok(());
        }
        let hetzner = &resolved.settings.hetzner;
        let first = hetzner.locations.first().map_or("", String::as_str);
        if self.location.is_none() {
            let known = project.locations();
            let question = format!("Location of volume and machines ({})", known.join(", "));
            self.location = ask(&question, first, |typed| match known.contains(&typed) {
                true => Ok(typed.to_owned()),
                false => Err(Refused::Location(typed.to_owned())),
            })?;
        }
        if self.volume_size.is_none() {
            let size = hetzner.volume_size.to_string();
            self.volume_size =
                ask("Size of the volume in GB; it can grow later", &size, gigabytes)?;
        }
        Ok(())
    }

    /// Writes what differs from what holds. Returns whether anything did.
    pub fn keep(&self, resolved: &Resolved) -> Outcome<bool> {
        let hetzner = &resolved.settings.hetzner;
        let location = self.location.as_ref().filter(|it| hetzner.locations.first() != Some(it));
        let size = self.volume_size.filter(|size| *size != hetzner.volume_size);
        if location.is_none() && size.is_none() {
            return Ok(false);
        }
        let mut file = SettingsFile::read(resolved)?;
        if let Some(location) = location {
            let all = preferred(location, &hetzner.locations).join(", ");
            file.set(("hetzner", "locations"), &all)?;
        }
        if let Some(size) = size {
            file.set(("hetzner", "volume_size"), &size.to_string())?;
        }
        say(&format!("Wrote your choice into {}.", resolved.settings_file.display()));
        Ok(true)
    }
}

/// A location before the others, which stay as what is tried next.
fn preferred(location: &str, all: &[String]) -> Vec<String> {
    let others = all.iter().filter(|other| *other != location).cloned();
    std::iter::once(location.to_owned()).chain(others).collect()
}

/// An answer that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("The cloud has no location {0:?}.")]
    Location(String),
    #[error("No volume has {0} GB: choose 10 to 10240.")]
    Size(u64),
    #[error("Write a size in GB as 40.")]
    NoSize,
}

/// A size in GB, as the argument of an option and as an answer.
pub fn gigabytes(text: &str) -> Result<u64, Refused> {
    match text.trim().parse() {
        Ok(size @ 10..=10_240) => Ok(size),
        Ok(size) => Err(Refused::Size(size)),
        Err(_) => Err(Refused::NoSize),
    }
}

/// Asks until the answer is valid; `None` for the default.
fn ask<T>(
    question: &str,
    default: &str,
    read: impl Fn(&str) -> Result<T, Refused>,
) -> Outcome<Option<T>> {
    loop {
        say(&format!("{question} [{default}]:"));
        let mut line = String::new();
        let length = std::io::stdin().lock().read_line(&mut line)?;
        let typed = line.trim();
        if length == 0 || typed.is_empty() || typed == default {
            return Ok(None);
        }
        match read(typed) {
            Ok(value) => return Ok(Some(value)),
            Err(refused) => say(&refused.to_string()),
        }
    }
}
