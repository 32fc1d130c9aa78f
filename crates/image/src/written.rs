//! Disk images: the rescue system of a server that is off otherwise writes the image to the disk,
//! which is read back and kept.

use std::sync::Arc;

use agent_proto::image::{Compression, Format, Written};
use hetzner::{Image, ImageStatus, ImageType, Query, Server};
use russh::keys::PrivateKey;
use tokio::time::Instant;
use tunnel::HostKeys;

use crate::build::{DiskImage, Order};
use crate::error::{ImageError, cloud};
use crate::event::{Event, Meter, Phase, Report};
use crate::head;
use crate::login::{self, Door};
use crate::source::{self, Identified, Source};
use crate::steps::{Blank, Build, MOST_PATHS};
use crate::write;

/// In words for a person.
pub(crate) const RESCUE: &str = "the rescue system";

/// A source that was looked at, and the program that writes it.
pub(crate) struct Writing<'a> {
    disk: &'a DiskImage,
    source: Identified,
    writer: Vec<u8>,
}

impl<'a> Writing<'a> {
    /// Looks at the source. Nothing is made.
    pub(crate) async fn begin(
        order: &Order,
        disk: &'a DiskImage,
        report: &Report<'_>,
    ) -> Result<Self, ImageError> {
        let meter = Meter::new(Phase::Hash);
        let begun = Instant::now();
        if matches!(disk.source, Source::File(_)) {
            report(Event::Phase { phase: Phase::Hash, detail: None });
        }
        head::look(disk).await?;
        let looked = source::identify(&disk.source, disk.checksum.as_ref(), |read, total| {
            report(meter.progress(read, Some(total), begun.elapsed()));
        });
        let source = looked.await?;
        let writer = login::agent(&order.agents, &order.architecture).await?;
        Ok(Self { disk, source, writer })
    }

    /// What tells it from others.
    pub(crate) fn source(&self) -> String {
        self.source.text.clone()
    }

    pub(crate) async fn to_snapshot(
        &self,
        build: &Build<'_>,
    ) -> Result<(Image, Written), ImageError> {
        let key =
            Arc::new(machine::generate_key("dockbridge image build").map_err(ImageError::Key)?);
        let footing = build.footing(&key).await?;
        let server = match build.left_server(&footing).await? {
            Some(left) => left,
            None => {
                let blank = Blank {
                    image: self.system_image(build).await?,
                    disk: self.least_disk(),
                    user_data: None,
                };
                build.create(&footing, &blank).await?
            }
        };
        self.boot_rescue(build, &server, footing.key).await?;
        let written = self.write(build, &server, &key).await?;
        build.power_off(server.id).await?;
        let labels = build.recipe.disk_labels(
            &build.order.owner,
            &written.source_sha256,
            &written.image_sha256,
        );
        let image = build.snapshot(server.id, &labels).await?;
        Ok((image, written))
    }

    /// GB that the disk has at least. What is compressed tells only when it is there.
    fn least_disk(&self) -> u64 {
        let is_raw = self.disk.compression == Compression::None && self.disk.format == Format::Raw;
        self.source.length.filter(|_| is_raw).map_or(0, |length| length.div_ceil(1_000_000_000))
    }

    /// What the server is made from; all of it is overwritten.
    async fn system_image(&self, build: &Build<'_>) -> Result<u64, ImageError> {
        let query = Query {
            architecture: Some(build.order.architecture.clone()),
            image_type: vec![ImageType::System],
            ..Query::default()
        };
        let mut images =
            build.client.images().list(&query).await.map_err(cloud("list the images"))?;
        images.retain(|image| {
            image.status == ImageStatus::Available && image.architecture == build.order.architecture
        });
        images.sort_by_key(|image| (!image.rapid_deploy, image.os_flavor != "debian"));
        let none =
            || ImageError::NoSystemImage { architecture: build.order.architecture.to_string() };
        images.first().map(|image| image.id).ok_or_else(none)
    }

    async fn boot_rescue(
        &self,
        build: &Build<'_>,
        server: &Server,
        key: u64,
    ) -> Result<(), ImageError> {
        build.phase(Phase::Rescue, Some(format!("server {}", server.id)));
        let servers = build.client.servers();
        build.power_off(server.id).await?;
        build
            .settled("enable the rescue system", servers.enable_rescue(server.id, &[key]).await)
            .await?;
        build.settled("start the server", servers.power_on(server.id).await).await
    }

    async fn write(
        &self,
        build: &Build<'_>,
        server: &Server,
        key: &Arc<PrivateKey>,
    ) -> Result<Written, ImageError> {
        let door = Door {
            what: RESCUE,
            host_keys: HostKeys::FirstSeen(tunnel::Pins::default()),
            key,
            limit: build.order.answer_timeout,
        };
        let mut broken = 0;
        loop {
            let connected = build.until(login::connect(build.client, server, &door)).await?;
            let written = build
                .until(write::write(
                    &connected,
                    &self.writer,
                    self.disk,
                    &self.source,
                    build.report,
                ))
                .await;
            connected.close().await;
            match written {
                Err(ImageError::Lost { last, .. }) => {
                    broken += 1;
                    if broken == MOST_PATHS {
                        return Err(ImageError::Lost { what: RESCUE, times: broken, last });
                    }
                    build.note(format!(
                        "the connection to the rescue system broke: {last}; once more from \
                            the beginning"
                    ));
                    build.phase(Phase::Rescue, Some("connecting again".to_owned()));
                }
                outcome => return outcome,
            }
        }
    }
}
