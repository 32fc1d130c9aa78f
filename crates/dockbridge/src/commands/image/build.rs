//! `dockbridge image build`: turns arguments and settings into build orders, and reports the
//! results.

mod arguments;
mod side_by_side;

use api::Code;
use image::{
    Architecture, Checksum, Compression, Content, DiskImage, Factory, Format, MachineImage, Name,
    Order, Source, schematic_id,
};

use super::project::Opened;
use crate::agents::agents;
use crate::failure::{Failure, Outcome};
use crate::resolved::{BOOT_LEASE_SECONDS, GlobalArgs};
pub use arguments::Command;
use arguments::{Arch, Common, CompressionArg, Docker, FormatArg, Raw, Talos};
use side_by_side::run_all;

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
        return Err(Failure::of_code(Code::SettingsInvalid, "one image is for one architecture")
            .hint("build each architecture with its own `--arch` and source")
            .code(2));
    }
    let opened = common.project.open_to_build(global)?;
    let name =
        common.name.clone().or_else(|| opened.resolved.settings.image.name.clone()).ok_or_else(
            || {
                Failure::of_code(Code::SettingsInvalid, "the image has no name")
                    .hint("set one with `--name`, or with `image.name` in the settings")
            },
        )?;
    let source = match (url, file) {
        (Some(url), _) => Source::Url(url),
        (None, Some(file)) => Source::File(file),
        (None, None) => {
            return Err(Failure::of_code(Code::SettingsInvalid, "no source is given")
                .hint("add `--url URL` or `--file FILE`")
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
    run_all(&opened, orders, common.json).await
}

async fn talos(arguments: Talos, global: &GlobalArgs) -> Outcome {
    let Talos { image_version, schematic, common } = arguments;
    let opened = common.project.open_to_build(global)?;
    let settings = &opened.resolved.settings.image;
    let version = image_version.or_else(|| settings.talos_version.clone()).ok_or_else(|| {
        Failure::of_code(Code::SettingsInvalid, "no version of Talos is given")
            .hint("set it with `--version v1.12.0`, or with `image.talos_version` in the settings")
    })?;
    let fallback = || {
        Name::parse("talos")
            .map_err(|error| Failure::of_code(Code::SettingsInvalid, error.to_string()))
    };
    let name = common.name.clone().or_else(|| settings.name.clone()).map_or_else(fallback, Ok)?;
    let label = Name::parse(version.as_str())
        .map_err(|error| Failure::of_code(Code::SettingsInvalid, error.to_string()))?;
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
            os: Name::parse("talos")
                .map_err(|error| Failure::of_code(Code::SettingsInvalid, error.to_string()))?,
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
    run_all(&opened, orders, common.json).await
}

async fn docker(arguments: Docker, global: &GlobalArgs) -> Outcome {
    let Docker { common } = arguments;
    let opened = common.project.open_to_build(global)?;
    let settings = &opened.resolved.settings;
    let os = || {
        Name::parse("docker")
            .map_err(|error| Failure::of_code(Code::SettingsInvalid, error.to_string()))
    };
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
    run_all(&opened, orders, common.json).await
}

fn read_schematic(path: &str) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::of_code(Code::FileNotRead, format!("cannot read the schematic {path}: {error}"))
            .hint("write a YAML file, or an id of 64 hex digits")
    })
}

/// A source whose compression and format are detected.
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

/// Builds the order from the settings.
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
        agents: agents(),
        locks: opened.resolved.paths.image_locks(),
        books: opened.resolved.books(),
    }
}
