//! `dockbridge image build`: from arguments and settings to orders, and what comes of them.

use std::path::PathBuf;

use clap::ValueEnum;
use futures::future::join_all;
use image::{
    Architecture, Built, Checksum, Compression, Content, DiskImage, Event, Factory, Format,
    MachineImage, Name, Order, Source, Version, schematic_id,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::progress::{Progress, size};
use super::{Opened, Project};
use crate::failure::{Failure, Outcome};
use crate::output::{complain, say};
use crate::resolved::{BOOT_LEASE_SECONDS, GlobalArgs, agent_binaries};

/// What can be built.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Any disk image: raw or qcow2, plain or as xz, zstd, gz or bz2, from the web or a file
    #[command(disable_version_flag = true)]
    Raw(Raw),
    /// Talos Linux, from its image factory
    #[command(disable_version_flag = true)]
    Talos(Talos),
    /// What our own machines begin as: the cloud's docker image with our agent in it, ready to
    /// boot. `hetzner.image: auto` uses it where it is no slower
    Docker(Docker),
}

/// Arguments of `image build docker`.
#[derive(Debug, clap::Args)]
pub struct Docker {
    #[command(flatten)]
    common: Common,
}

/// What all builds have in common.
#[derive(Debug, clap::Args)]
struct Common {
    /// What the image is called; a label of the snapshot
    #[arg(long, value_parser = name)]
    name: Option<Name>,
    /// Architecture
    #[arg(long, value_enum, default_value_t = Arch::Amd64)]
    arch: Arch,
    /// Build on these server types only, in this order, instead of the one with the smallest disk
    /// and the lowest price
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    server_type: Vec<String>,
    #[command(flatten)]
    project: Project,
    /// What happens, as JSON lines
    #[arg(long)]
    json: bool,
}

/// Arguments of `image build raw`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["url", "file"])))]
pub struct Raw {
    /// Where the image is on the web; the server fetches it over its own line
    #[arg(long, value_parser = web_address)]
    url: Option<Url>,
    /// A file of this computer, which is sent by SSH
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// SHA-256 of the source as it comes, compressed or not
    #[arg(long, value_name = "HEX", value_parser = |text: &str| checksum(text, 64), conflicts_with = "sha512")]
    sha256: Option<String>,
    /// SHA-512 of the source as it comes
    #[arg(long, value_name = "HEX", value_parser = |text: &str| checksum(text, 128))]
    sha512: Option<String>,
    /// How the source is compressed; `auto` looks at its first bytes
    #[arg(long, value_enum, default_value_t = CompressionArg::Auto)]
    compression: CompressionArg,
    /// What it is then; `auto` looks at its first bytes
    #[arg(long, value_enum, default_value_t = FormatArg::Auto)]
    format: FormatArg,
    /// Operating system, for the snapshot's label `os`; the name, if it is not given
    #[arg(long, value_parser = name)]
    os: Option<Name>,
    /// Its version, for the label `version`
    #[arg(long = "version", value_name = "VERSION", value_parser = name)]
    image_version: Option<Name>,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `image build talos`.
#[derive(Debug, clap::Args)]
pub struct Talos {
    /// Version, such as v1.12.0
    #[arg(long = "version", value_name = "VERSION", value_parser = |text: &str| Version::parse(text).map_err(|error| error.to_string()))]
    image_version: Option<Version>,
    /// Schematic: its id, or a YAML file, which the factory is given
    #[arg(long, value_name = "FILE|ID")]
    schematic: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Arch {
    Amd64,
    Arm64,
    Both,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CompressionArg {
    Auto,
    None,
    Xz,
    Zstd,
    Gz,
    Bz2,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    Auto,
    Raw,
    Qcow2,
}

impl Arch {
    fn all(self) -> &'static [Architecture] {
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

fn web_address(text: &str) -> Result<Url, String> {
    match text.parse::<Url>() {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err(format!(
            "{text:?} is no web address: it begins with http:// or https://; a file \
            of this computer goes with --file"
        )),
    }
}

fn checksum(text: &str, digits: usize) -> Result<String, String> {
    let hex = text.trim().to_ascii_lowercase();
    if hex.len() == digits && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(hex)
    } else {
        Err(format!("it has {digits} hex digits"))
    }
}

/// Runs it.
pub async fn run(command: Command, global: &GlobalArgs) -> Outcome {
    match command {
        Command::Raw(arguments) => raw(arguments, global).await,
        Command::Talos(arguments) => talos(arguments, global).await,
        Command::Docker(arguments) => docker(arguments, global).await,
    }
}

async fn raw(arguments: Raw, global: &GlobalArgs) -> Outcome {
    let Raw { url, file, sha256, sha512, compression, format, os, image_version, common } =
        arguments;
    if common.arch == Arch::Both {
        return Err(Failure::new(
            "one image is for one \
            architecture",
        )
        .hint("build each with its own `--arch` and source")
        .code(2));
    }
    let opened = common.project.open_to_build(global)?;
    let name =
        common.name.clone().or_else(|| opened.resolved.settings.image.name.clone()).ok_or_else(
            || {
                Failure::new(
                    "the image has no \
            name",
                )
                .hint("give it one with `--name`, or with `image.name` in the settings")
            },
        )?;
    let source = match (url, file) {
        (Some(url), _) => Source::Url(url),
        (None, Some(file)) => Source::File(file),
        (None, None) => {
            return Err(Failure::new(
                "there is no \
            source",
            )
            .hint("`--url` or `--file`")
            .code(2));
        }
    };
    let checksum = sha256.map(Checksum::Sha256).or(sha512.map(Checksum::Sha512));
    let disk = DiskImage {
        checksum,
        compression: match compression {
            CompressionArg::Auto => Compression::Auto,
            CompressionArg::None => Compression::None,
            CompressionArg::Xz => Compression::Xz,
            CompressionArg::Zstd => Compression::Zstd,
            CompressionArg::Gz => Compression::Gzip,
            CompressionArg::Bz2 => Compression::Bzip2,
        },
        format: match format {
            FormatArg::Auto => Format::Auto,
            FormatArg::Raw => Format::Raw,
            FormatArg::Qcow2 => Format::Qcow2,
        },
        ..disk(&opened, source)
    };
    let orders = common.arch.all().iter().map(|architecture| Order {
        os: os.clone().unwrap_or_else(|| name.clone()),
        version: image_version.clone(),
        ..order(&opened, &common, name.clone(), architecture.clone(), Content::Disk(disk.clone()))
    });
    let orders = orders.collect();
    carry_out(&opened, orders, common.json).await
}

async fn talos(arguments: Talos, global: &GlobalArgs) -> Outcome {
    let Talos { image_version, schematic, common } = arguments;
    let opened = common.project.open_to_build(global)?;
    let settings = &opened.resolved.settings.image;
    let version = image_version.or_else(|| settings.talos_version.clone()).ok_or_else(|| {
        Failure::new("the version of Talos is missing")
            .hint("give it with `--version v1.12.0`, or with `image.talos_version` in the settings")
    })?;
    let fallback = || Name::parse("talos").map_err(|error| Failure::new(error.to_string()));
    let name = common.name.clone().or_else(|| settings.name.clone()).map_or_else(fallback, Ok)?;
    let label = Name::parse(version.as_str()).map_err(|error| Failure::new(error.to_string()))?;
    let factory = Factory::new(settings.factory.clone())?;
    factory.check(&version).await?;
    let schematic = match schematic.or_else(|| settings.schematic.clone()) {
        None => Factory::plain_schematic(),
        Some(given) => match schematic_id(&given) {
            Some(id) => id,
            None => factory.store(read_schematic(&given)?).await?,
        },
    };
    let mut orders = Vec::new();
    for architecture in common.arch.all() {
        let source = Source::Url(factory.image(&schematic, &version, architecture)?);
        orders.push(Order {
            os: Name::parse("talos").map_err(|error| Failure::new(error.to_string()))?,
            version: Some(label.clone()),
            schematic: Some(schematic.clone()),
            ..order(
                &opened,
                &common,
                name.clone(),
                architecture.clone(),
                Content::Disk(disk(&opened, source)),
            )
        });
    }
    carry_out(&opened, orders, common.json).await
}

async fn docker(arguments: Docker, global: &GlobalArgs) -> Outcome {
    let Docker { common } = arguments;
    let opened = common.project.open_to_build(global)?;
    let settings = &opened.resolved.settings;
    let os = || Name::parse("docker").map_err(|error| Failure::new(error.to_string()));
    let name = common.name.clone().or_else(|| settings.image.name.clone()).map_or_else(os, Ok)?;
    let image = MachineImage {
        base: settings.hetzner.image.name().to_owned(),
        boot_lease_seconds: BOOT_LEASE_SECONDS,
    };
    let mut orders = Vec::new();
    for architecture in common.arch.all() {
        orders.push(Order {
            os: os()?,
            ..order(
                &opened,
                &common,
                name.clone(),
                architecture.clone(),
                Content::Machine(image.clone()),
            )
        });
    }
    carry_out(&opened, orders, common.json).await
}

fn read_schematic(path: &str) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::new(format!(
            "the schematic {path} cannot be read: \
            {error}"
        ))
        .hint("a schematic is a YAML file, or an id of 64 hex digits")
    })
}

/// A source that tells by itself what it is.
fn disk(opened: &Opened, source: Source) -> DiskImage {
    let stall_timeout = opened.resolved.settings.image.stall_timeout;
    DiskImage {
        source,
        compression: Compression::Auto,
        format: Format::Auto,
        checksum: None,
        stall_timeout,
    }
}

/// What follows from the settings.
fn order(
    opened: &Opened,
    common: &Common,
    name: Name,
    architecture: Architecture,
    content: Content,
) -> Order {
    let settings = &opened.resolved.settings;
    let server_types = if common.server_type.is_empty() {
        &settings.image.server_types
    } else {
        &common.server_type
    };
    Order {
        owner: opened.owner.clone(),
        os: name.clone(),
        name,
        version: None,
        schematic: None,
        architecture,
        content,
        locations: settings.hetzner.locations.clone(),
        server_types: server_types.clone(),
        answer_timeout: settings.image.rescue_timeout,
        agents: agent_binaries(),
        locks: opened.resolved.paths.image_locks(),
        books: opened.resolved.books(),
    }
}

/// What came of a build, for a program.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum End<'a> {
    Built {
        id: u64,
        name: String,
        /// It was there already.
        existed: bool,
        #[serde(flatten)]
        written: Option<&'a image::Written>,
    },
    Failed {
        message: &'a str,
        hints: &'a [String],
    },
}

/// Builds all side by side; the first failure is the command's, the others are told.
async fn carry_out(opened: &Opened, orders: Vec<Order>, json: bool) -> Outcome {
    let cancel = crate::signals::end_of_process()?;
    let progress = Progress::new(json, orders.len() > 1);
    let outcomes =
        join_all(orders.iter().map(|order| one(opened, order, &progress, &cancel))).await;
    let mut failures = Vec::new();
    for (order, outcome) in orders.iter().zip(outcomes) {
        let architecture = order.architecture.to_string();
        match outcome {
            Ok(built) if json => {
                let end = End::Built {
                    id: built.image.id,
                    name: order.name.to_string(),
                    existed: built.existed,
                    written: built.written.as_ref(),
                };
                progress.line(&architecture, &end);
            }
            Ok(built) => say(&told(order, &built)),
            Err(failure) => {
                if json {
                    progress.line(
                        &architecture,
                        &End::Failed { message: failure.message(), hints: failure.hints() },
                    );
                }
                failures.push(if orders.len() > 1 {
                    failure.of(&format!("for {architecture}"))
                } else {
                    failure
                });
            }
        }
    }
    let mut failures = failures.into_iter();
    let first = failures.next();
    failures.for_each(|failure| complain(&failure.to_string()));
    first.map_or(Ok(()), Err)
}

async fn one(
    opened: &Opened,
    order: &Order,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Outcome<Built> {
    let architecture = order.architecture.to_string();
    let report = |event: Event| progress.show(&architecture, &event);
    Ok(Box::pin(image::build(&opened.client, order, &report, cancel)).await?)
}

fn told(order: &Order, built: &Built) -> String {
    let version = built.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let what = format!(
        "Image {} ({}): {}{version} for {}",
        order.name, built.image.id, order.os, order.architecture
    );
    match &built.written {
        None if built.existed => format!("{what}, was there already."),
        None => format!(
            "{what}. Machines are made from it with `hetzner.image: auto`, where it is \
            no slower."
        ),
        Some(written) => {
            let (image, source) = (size(written.image_bytes), size(written.source_bytes));
            format!(
                "{what}, {image} from {source}, read back and compared.\nSHA-256 of the image: {}",
                written.image_sha256
            )
        }
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
