//! Arguments of `dockbridge image build`.

use std::path::PathBuf;

use clap::ValueEnum;
use image::{Architecture, Name, Version};
use url::Url;

use crate::commands::image::project::Project;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Any disk image: raw or qcow2, uncompressed, xz, zstd, gz or bz2, from a URL or a file
    #[command(disable_version_flag = true)]
    Raw(Raw),
    /// Talos Linux, from its image factory
    #[command(disable_version_flag = true)]
    Talos(Talos),
    /// The image that dockbridge's own machines boot from: the cloud's docker image with the agent
    /// installed. `hetzner.image: auto` uses it where it boots no slower
    Docker(Docker),
}

/// Arguments of `image build docker`.
#[derive(Debug, clap::Args)]
pub struct Docker {
    #[command(flatten)]
    pub common: Common,
}

/// Arguments that all builds share.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Name of the image; a label of the snapshot
    #[arg(long, value_parser = name)]
    pub name: Option<Name>,
    /// Architecture
    #[arg(long, value_enum, default_value_t = Arch::Amd64)]
    pub arch: Arch,
    /// Server types to build on, in order of preference, instead of the one with the smallest disk
    /// and the lowest price
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub server_type: Vec<String>,
    #[command(flatten)]
    pub project: Project,
    /// Print events as JSON lines
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `image build raw`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["url", "file"])))]
pub struct Raw {
    /// URL of the image; the build server downloads it
    #[arg(long, value_parser = web_address)]
    pub url: Option<Url>,
    /// File on this computer, uploaded over SSH
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// SHA-256 of the source as downloaded, compressed or not
    #[arg(long, value_name = "HEX", value_parser = sha256, conflicts_with = "sha512")]
    pub sha256: Option<String>,
    /// SHA-512 of the source as downloaded
    #[arg(long, value_name = "HEX", value_parser = sha512)]
    pub sha512: Option<String>,
    /// Compression of the source; `auto` detects it from the first bytes
    #[arg(long, value_enum, default_value_t = CompressionArg::Auto)]
    pub compression: CompressionArg,
    /// Format of the decompressed image; `auto` detects it
    #[arg(long, value_enum, default_value_t = FormatArg::Auto)]
    pub format: FormatArg,
    /// Operating system, for the snapshot's label `os`; defaults to the name
    #[arg(long, value_parser = name)]
    pub os: Option<Name>,
    /// Its version, for the label `version`
    #[arg(long = "version", value_name = "VERSION", value_parser = name)]
    pub image_version: Option<Name>,
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `image build talos`.
#[derive(Debug, clap::Args)]
pub struct Talos {
    /// Version, e.g. v1.12.0
    #[arg(long = "version", value_name = "VERSION", value_parser = version)]
    pub image_version: Option<Version>,
    /// Schematic: its id, or a YAML file to upload to the factory
    #[arg(long, value_name = "FILE|ID")]
    pub schematic: Option<String>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    Amd64,
    Arm64,
    Both,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CompressionArg {
    Auto,
    None,
    Xz,
    Zstd,
    Gz,
    Bz2,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FormatArg {
    Auto,
    Raw,
    Qcow2,
}

impl Arch {
    pub fn all(self) -> &'static [Architecture] {
        match self {
            Arch::Amd64 => &[Architecture::X86],
            Arch::Arm64 => &[Architecture::Arm],
            Arch::Both => &[Architecture::X86, Architecture::Arm],
        }
    }
}

fn name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|error| error.to_string())
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).map_err(|error| error.to_string())
}

fn sha256(text: &str) -> Result<String, String> {
    checksum(text, 64)
}

fn sha512(text: &str) -> Result<String, String> {
    checksum(text, 128)
}

fn web_address(text: &str) -> Result<Url, String> {
    match text.parse::<Url>() {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err(format!(
            "{text:?} is not a web address: it must begin with http:// or https://; use --file for \
             a file on this computer"
        )),
    }
}

fn checksum(text: &str, digits: usize) -> Result<String, String> {
    let hex = text.trim().to_ascii_lowercase();
    if hex.len() == digits && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(hex)
    } else {
        Err(format!("it must have {digits} hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_hex_digits_of_the_right_number() {
        assert_eq!(checksum(&"AB".repeat(32), 64).unwrap(), "ab".repeat(32));
        assert!(checksum(&"ab".repeat(32), 128).is_err());
        assert!(checksum(&"xy".repeat(32), 64).is_err());
    }

    #[test]
    fn a_path_is_no_web_address() {
        assert!(web_address("https://example.com/x.xz").is_ok());
        assert!(web_address("/tmp/x.xz").unwrap_err().contains("--file"));
        assert!(web_address("ftp://example.com/x.xz").is_err());
    }
}
