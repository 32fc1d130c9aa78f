//! Both architectures at once: two servers side by side, and a failure of one does not affect the
//! other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hetzner::{Architecture, Query};
use tokio::time::{Instant, sleep};

use super::{Site, holds};
use crate::rig::{LONGEST_COMMAND, pass_over, run};
use crate::web::{Manner, Web};

/// A stand-in for Talos' factory that knows one version.
pub struct Factory {
    pub address: String,
    pub schematic: String,
}

impl Factory {
    pub const VERSION: &str = "v1.12.0";

    /// Answers like the factory; the caller serves the images.
    pub fn on(web: &Web, any_file: &Path) -> Self {
        let schematic = "c".repeat(64);
        let reply: &'static str = Box::leak(format!("{{\"id\":\"{schematic}\"}}").into_boxed_str());
        web.serve("schematics", any_file, Manner::Says(reply));
        let versions = web.serve(
            "versions",
            any_file,
            Manner::Says("[\"v1.11.3\",\"v1.12.0\",\"v1.13.0-alpha.0\"]"),
        );
        Self { address: versions.trim_end_matches("/versions").to_owned(), schematic }
    }

    pub fn path(&self, arch: &str) -> String {
        format!("image/{}/{}/hcloud-{arch}.raw.xz", self.schematic, Self::VERSION)
    }
}

/// The agents of this host, and next to them a stand-in for the other architecture: only an ELF
/// header (e_machine 183), because nothing here runs it.
fn agents_for_both(site: &Site) -> PathBuf {
    let directory = site.path("agents");
    std::fs::create_dir(&directory).unwrap();
    let (_, own) =
        site.stage.environment.iter().find(|(name, _)| name == "DOCKBRIDGE_AGENT_DIR").unwrap();
    for file in std::fs::read_dir(own).unwrap().flatten() {
        std::fs::copy(file.path(), directory.join(file.file_name())).unwrap();
    }
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend_from_slice(&[2, 0, 183, 0]);
    elf.resize(64, 0);
    std::fs::write(directory.join("dockbridge-agent-aarch64"), elf).unwrap();
    directory
}

/// Machines of the local cloud have this host's architecture, whatever their type says, so the
/// other build proceeds up to its writer and fails there.
#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn two_architectures_are_built_side_by_side_and_one_that_fails_does_not_spoil_the_other() {
    let Some(mut site) = Site::new().await else { return pass_over() };
    let image = site.make_image(16 << 20);
    let packed = site.packed(&image, "xz").await;
    let factory = Factory::on(&site.web, &packed);
    for arch in ["amd64", "arm64"] {
        site.web.serve(&factory.path(arch), &packed, Manner::Good);
    }
    let agents = agents_for_both(&site).display().to_string();
    site.stage.environment.push(("DOCKBRIDGE_IMAGE_FACTORY".to_owned(), factory.address.clone()));
    site.stage.environment.push(("DOCKBRIDGE_AGENT_DIR".to_owned(), agents));

    let mut command = site.stage.command(env!("CARGO_BIN_EXE_dockbridge"));
    command.args([
        "image",
        "build",
        "talos",
        "--version",
        Factory::VERSION,
        "--schematic",
        &factory.schematic,
        "--arch",
        "both",
    ]);
    let build = tokio::spawn(async move { run(command, "").await });
    let both = both_at_once(&site, || build.is_finished()).await;
    let ran = build.await.unwrap();
    assert!(both, "never two servers at a time, one of each architecture: {ran}");

    assert_eq!(ran.status.code(), Some(1), "{ran}");
    ran.failed_with("Error: for arm: the writer cannot be run in the rescue system: ");
    assert!(ran.stdout.contains("talos v1.12.0 for x86"), "{ran}");
    assert!(!ran.stderr.contains("once more"), "what cannot be run is not tried again: {ran}");
    let snapshots = site.snapshots().await;
    let [snapshot] = snapshots.as_slice() else { panic!("{snapshots:?}") };
    assert_eq!(
        (snapshot.labels["arch"].as_str(), &snapshot.architecture),
        ("x86", &Architecture::X86)
    );
    assert!(holds(&site.snapshot_file(snapshot.id), &image).await);
    assert_eq!(site.left().await, Vec::<String>::new());
    site.stage.close().await;
}

/// Whether there was a moment with a server for each architecture, both labeled as builders.
async fn both_at_once(site: &Site, over: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    let builders = Query::labels("dockbridge-role=image-builder");
    while !over() && begun.elapsed() < LONGEST_COMMAND {
        let servers = site.stage.api.servers().list(&builders).await.unwrap();
        let has = |architecture| {
            servers.iter().any(|server| server.server_type.architecture == architecture)
        };
        if has(Architecture::X86) && has(Architecture::Arm) {
            return true;
        }
        sleep(Duration::from_millis(100)).await;
    }
    false
}
