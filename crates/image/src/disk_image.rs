//! Builds disk images: the rescue system of a server that is otherwise off writes the image to the
//! disk and reads it back.

use std::sync::Arc;

use agent_proto::image::{Compression, Format, Written};
use hetzner::{Image, ImageStatus, ImageType, Query, Server};
use russh::keys::PrivateKey;
use tokio::time::Instant;
use tunnel::HostKeys;

use crate::build_server::NewDisk;
use crate::builder::{Builder, MOST_CONNECTIONS};
use crate::error::ImageError;
use crate::event::{Event, Meter, Phase, Report};
use crate::login::{self, LoginTarget, RESCUE};
use crate::operation::Operation;
use crate::order::{DiskImage, Order};
use crate::sniff;
use crate::source::{self, Identified, Source};
use crate::writer;

/// A checked source, and the program that writes it.
pub(crate) struct DiskBuild<'a> {
    disk: &'a DiskImage,
    source: Identified,
    writer: Vec<u8>,
}

impl<'a> DiskBuild<'a> {
    /// Checks the source. Creates nothing.
    pub(crate) async fn prepare(
        order: &Order,
        disk: &'a DiskImage,
        report: &Report<'_>,
    ) -> Result<Self, ImageError> {
        let meter = Meter::new(Phase::Hash);
        let begun = Instant::now();
        if matches!(disk.source, Source::File(_)) {
            report(Event::Phase { phase: Phase::Hash, detail: None });
        }
        sniff::check(disk).await?;
        let identified = source::identify(&disk.source, disk.checksum.as_ref(), |read, total| {
            report(meter.progress(read, Some(total), begun.elapsed()));
        });
        let source = identified.await?;
        let writer = login::agent(&order.agents, &order.architecture).await?;
        Ok(Self { disk, source, writer })
    }

    /// Identifies the source.
    pub(crate) fn source(&self) -> String {
        self.source.text.clone()
    }

    pub(crate) async fn to_snapshot(
        &self,
        builder: &Builder<'_>,
    ) -> Result<(Image, Written), ImageError> {
        let key = machine::generate_key("dockbridge image build").map_err(ImageError::Key)?;
        let key = Arc::new(key);
        let needed = builder.prerequisites(&key).await?;
        let server = match builder.earlier_server(&needed).await? {
            Some(earlier) => earlier,
            None => {
                let disk = NewDisk {
                    image: self.system_image(builder).await?,
                    disk: self.least_disk(),
                    user_data: None,
                };
                builder.create(&needed, &disk).await?
            }
        };
        self.boot_rescue(builder, &server, needed.key).await?;
        let written = self.write(builder, &server, &key).await?;
        builder.power_off(server.id).await?;
        let labels = builder.recipe.disk_labels(
            &builder.order.owner,
            &written.source_sha256,
            &written.image_sha256,
        );
        let image = builder.snapshot(server.id, &labels).await?;
        Ok((image, written))
    }

    /// GB that the disk needs at least; 0 if the size of a compressed source is not known yet.
    fn least_disk(&self) -> u64 {
        let is_raw = self.disk.compression == Compression::None && self.disk.format == Format::Raw;
        self.source.length.filter(|_| is_raw).map_or(0, |length| length.div_ceil(1_000_000_000))
    }

    /// The image that the server is created from, before it is overwritten.
    async fn system_image(&self, builder: &Builder<'_>) -> Result<u64, ImageError> {
        let architecture = &builder.order.architecture;
        let query = Query {
            architecture: Some(architecture.clone()),
            image_type: vec![ImageType::System],
            ..Query::default()
        };
        let images = builder.client.images().list(&query).await;
        let mut images = images.map_err(ImageError::cloud(Operation::ListImages))?;
        images.retain(|image| {
            image.status == ImageStatus::Available && image.architecture == *architecture
        });
        images.sort_by_key(|image| (!image.rapid_deploy, image.os_flavor != "debian"));
        let none = || ImageError::NoSystemImage { architecture: architecture.to_string() };
        images.first().map(|image| image.id).ok_or_else(none)
    }

    async fn boot_rescue(
        &self,
        builder: &Builder<'_>,
        server: &Server,
        key: u64,
    ) -> Result<(), ImageError> {
        builder.phase(Phase::Rescue, Some(format!("server {}", server.id)));
        let servers = builder.client.servers();
        builder.power_off(server.id).await?;
        let enabled = servers.enable_rescue(server.id, &[key]).await;
        builder.settled(Operation::EnableRescue, enabled).await?;
        builder.settled(Operation::StartServer, servers.power_on(server.id).await).await
    }

    async fn write(
        &self,
        builder: &Builder<'_>,
        server: &Server,
        key: &Arc<PrivateKey>,
    ) -> Result<Written, ImageError> {
        let target = LoginTarget {
            what: RESCUE,
            host_keys: HostKeys::FirstSeen(tunnel::Pins::default()),
            key,
            limit: builder.order.answer_timeout,
        };
        let mut broken = 0;
        loop {
            let tunnel = builder.until(login::connect(builder.client, server, &target)).await?;
            let writing =
                writer::write(&tunnel, &self.writer, self.disk, &self.source, builder.report);
            let written = builder.until(writing).await;
            tunnel.close().await;
            match written {
                Err(ImageError::Lost { last, .. }) => {
                    broken += 1;
                    if broken == MOST_CONNECTIONS {
                        return Err(ImageError::Lost { what: RESCUE, times: broken, last });
                    }
                    builder.note(format!(
                        "the connection to the rescue system broke: {last}; starting again from \
                        the beginning"
                    ));
                    builder.phase(Phase::Rescue, Some("connecting again".to_owned()));
                }
                outcome => return outcome,
            }
        }
    }
}
