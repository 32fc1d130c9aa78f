//! `dockbridge image` on a local cloud with real machines: rescue systems, block devices, a web
//! server as the source.

mod boots;
mod both;
mod failures;
mod kills;
mod machines;
mod stripped;
mod whole;

use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hetzner::{Image, ImageType, Query};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::rig::{LONGEST_COMMAND, Ran, Stage, run, run_within};
use crate::web::Web;

const MIB: usize = 1 << 20;
/// bzip2 takes minutes for 2 GiB on one core.
const LONGEST_PACKING: Duration = Duration::from_secs(15 * 60);

/// Size of the images in bytes; `DOCKBRIDGE_TEST_IMAGE_MIB=2048` for the full size.
fn image_bytes() -> usize {
    std::env::var("DOCKBRIDGE_TEST_IMAGE_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(128)
        * MIB
}

/// A stage with an image, and a web server that the machines reach.
struct Site {
    stage: Stage,
    web: Web,
}

impl Site {
    async fn new() -> Option<Self> {
        let mut stage = Stage::new().await?;
        let endpoint = stage.cloud.machine_endpoint().unwrap();
        let bridge: IpAddr =
            endpoint.trim_start_matches("http://").split(':').next().unwrap().parse().unwrap();
        stage.environment.push(("DOCKBRIDGE_IMAGE_RESCUE_TIMEOUT".to_owned(), "60s".to_owned()));
        stage.environment.push(("DOCKBRIDGE_IMAGE_STALL_TIMEOUT".to_owned(), "2s".to_owned()));
        Some(Self { stage, web: Web::start(bridge) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.stage.directory.path().join(name)
    }

    /// An image of alternating noise and zeros.
    fn make_image(&self, bytes: usize) -> PathBuf {
        let path = self.path("image.raw");
        let mut file = std::fs::File::create(&path).unwrap();
        let mut state = 7_u64;
        for number in 0..bytes.div_ceil(4 * MIB) {
            let mut piece = vec![0; (4 * MIB).min(bytes - number * 4 * MIB)];
            if number % 2 == 0 {
                for word in piece.chunks_exact_mut(8) {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    word.copy_from_slice(&(state ^ state >> 29).to_le_bytes());
                }
            }
            file.write_all(&piece).unwrap();
        }
        path
    }

    /// The image in another format, named by a file suffix.
    async fn packed(&self, image: &Path, suffix: &str) -> PathBuf {
        let path = image.with_extension(format!("raw.{suffix}"));
        let (from, to) = (image.display(), path.display());
        let line = match suffix {
            "raw" => return image.to_owned(),
            "xz" => format!("xz -0 -T0 -c {from} >{to}"),
            // Host programs: xz zstd gzip bzip2 qemu-img
            "zst" => format!("zstd -q -1 -T0 -c {from} >{to}"),
            "gz" => format!("gzip -1 -c {from} >{to}"),
            "bz2" => format!("bzip2 -1 -c {from} >{to}"),
            "qcow2" => format!("qemu-img convert -f raw -O qcow2 -c {from} {to}"),
            other => panic!("{other}"),
        };
        let mut command = Command::new("sh");
        command.args(["-c", &line]);
        run_within(LONGEST_PACKING, command, "").await.succeeded();
        path
    }

    async fn build(&self, arguments: &[&str]) -> Ran {
        self.stage.dockbridge(&[&["image", "build", "raw"], arguments].concat()).await
    }

    /// A running build that prints JSON lines.
    fn begin(&self, arguments: &[&str]) -> Building {
        self.begin_of("raw", arguments)
    }

    fn begin_of(&self, kind: &str, arguments: &[&str]) -> Building {
        let mut command = self.stage.command(env!("CARGO_BIN_EXE_dockbridge"));
        command.args(["image", "build", kind, "--json"]).args(arguments).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Building { child, lines }
    }

    async fn snapshots(&self) -> Vec<Image> {
        let query = Query { image_type: vec![ImageType::Snapshot], ..Query::default() };
        self.stage.api.images().list(&query).await.unwrap()
    }

    /// Temporary resources of a build: servers, firewalls and keys.
    async fn left(&self) -> Vec<String> {
        let all = Query::default();
        let servers = self.stage.api.servers().list(&all).await.unwrap();
        let firewalls = self.stage.api.firewalls().list(&all).await.unwrap();
        let keys = self.stage.api.ssh_keys().list(&all).await.unwrap();
        let servers = servers.into_iter().map(|server| format!("server {}", server.name));
        let firewalls = firewalls.into_iter().map(|firewall| format!("firewall {}", firewall.name));
        servers
            .chain(firewalls)
            .chain(keys.into_iter().map(|key| format!("key {}", key.name)))
            .collect()
    }

    /// The bytes of a snapshot in the local cloud's directory.
    fn snapshot_file(&self, id: u64) -> PathBuf {
        self.path(&format!("cloud/images/{id}/disk.img"))
    }
}

/// A running build.
struct Building {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Building {
    /// The next event; `None` when it has ended.
    async fn event(&mut self) -> Option<Value> {
        let line = timeout(LONGEST_COMMAND, self.lines.next_line())
            .await
            .expect("the build goes on")
            .unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    /// Waits for a phase; panics with all events so far if the build ends before.
    async fn reaches(&mut self, phase: &str) {
        let mut output = Vec::new();
        while let Some(event) = self.event().await {
            if event["event"] == "phase" && event["phase"] == phase {
                return;
            }
            output.push(event.to_string());
        }
        panic!("the build ended before {phase}: {output:#?}");
    }

    /// Its last event, once it has succeeded.
    async fn built(mut self) -> Value {
        let mut last = Value::Null;
        while let Some(event) = self.event().await {
            last = event;
        }
        assert!(self.child.wait().await.unwrap().success() && last["event"] == "built", "{last}");
        last
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id().unwrap()).unwrap()
    }
}

/// Whether a file begins with another one and has only zeros after it, without reading holes.
async fn holds(disk: &Path, image: &Path) -> bool {
    let bytes = std::fs::metadata(image).unwrap().len();
    let mut same = Command::new("cmp");
    same.args(["--bytes", &bytes.to_string()]).arg(disk).arg(image);
    let behind = format!(
        "dd if={} bs=1M skip={} status=none | head -c 100M | tr -d '\\0' | head -c 1",
        disk.display(),
        bytes.div_ceil(MIB as u64)
    );
    let mut rest = Command::new("sh");
    rest.args(["-c", &behind]);
    run(same, "").await.status.success() && run(rest, "").await.stdout.is_empty()
}
