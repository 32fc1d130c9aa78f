//! How fast an image is written to a disk: the agent's writer beside `curl | zstd -d | dd` by hand,
//! in turn, in one rescue system, from one web server, on one disk. Both end when the disk has been
//! synced. The time that the writer needs to read the disk back is reported apart, and so is the
//! rate by hand with zeros skipped, as the writer skips them.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use agent_proto::image::{Compression, Format, ImageSource, WriteEvent, WriteOrder, WritePhase};
use anyhow::{Context as _, Result, bail, ensure};
use local_cloud::Sshd;
use local_cloud::hypervisor::{Hypervisor as _, ImageSource as From, NewServer, Rescue};
use local_cloud::nspawn::Nspawn;

use crate::clock;
use crate::output::say;

/// The least that is accepted, as a part of the rate by hand.
const GOAL: f64 = 0.9;
/// The rescue system boots in a few seconds.
const BOOT_LIMIT: Duration = Duration::from_secs(90);
const MIB: usize = 1 << 20;

/// Arguments of `image`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Size of the image, of which every other 4 MiB are zeros
    #[arg(long, default_value_t = 2048)]
    mib: usize,
    /// How often each route is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// One route to the disk.
#[derive(Debug, Clone, Copy)]
enum Route {
    Hand,
    /// By hand, without writing zeros.
    SparseHand,
    Agent,
}

/// Seconds until the disk was synced, and those of reading it back.
struct Times {
    written: f64,
    verified: f64,
}

pub fn run(arguments: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let directory = tempfile::Builder::new().prefix("dockbridge-bench-").tempdir_in("/var/tmp")?;
    let image = make_image(directory.path(), arguments.mib)?;
    let rescue = runtime.block_on(RescueSystem::start(directory.path()))?;
    let outcome = measure(&rescue, &image, arguments);
    runtime.block_on(rescue.end());
    outcome
}

fn measure(rescue: &RescueSystem, image: &Path, arguments: &Args) -> Result<()> {
    rescue.wait()?;
    let url = serve(rescue.gateway, image)?;
    rescue.run("cat >/root/writer && chmod 700 /root/writer", Some(&writer()?))?;
    let (mut by_hand, mut sparse, mut by_agent, mut verified) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut routes = [Route::Hand, Route::SparseHand, Route::Agent];
    for round in 0..arguments.rounds {
        // The order changes: later ones may find a warmer host.
        if round > 0 {
            routes.rotate_left(1);
        }
        for route in routes {
            match route {
                Route::Hand => by_hand.push(hand_written(rescue, &url, "fsync")?),
                Route::SparseHand => sparse.push(hand_written(rescue, &url, "sparse,fsync")?),
                Route::Agent => {
                    let Times { written, verified: read } = writer_written(rescue, &url)?;
                    by_agent.push(written);
                    verified.push(read);
                }
            }
        }
    }
    let rate = |seconds: &mut Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        arguments.mib as f64 * MIB as f64 / 1e6 / seconds[seconds.len() / 2]
    };
    let (hand, sparse, own, read) =
        (rate(&mut by_hand), rate(&mut sparse), rate(&mut by_agent), rate(&mut verified));
    let ratio = own / hand;
    say(&format!(
        "image of {} MiB, half of it zeros, zstd, medians of {} rounds in turn",
        arguments.mib, arguments.rounds
    ));
    say(&format!("curl | zstd -d | dd conv=fsync        {hand:>7.0} MB/s"));
    say(&format!("curl | zstd -d | dd conv=sparse,fsync {sparse:>7.0} MB/s"));
    say(&format!(
        "write-image, until synced             {own:>7.0} MB/s   {ratio:.2} × by hand (goal ≥ \
            {GOAL}), {:.2} × without zeros",
        own / sparse
    ));
    say(&format!("write-image, reading back             {read:>7.0} MB/s"));
    ensure!(ratio >= GOAL, "the goal is missed");
    Ok(())
}

fn hand_written(rescue: &RescueSystem, url: &str, conversion: &str) -> Result<f64> {
    let line = format!(
        "blkdiscard -f /dev/sda; sync; a=$(date +%s.%N); curl -sf {url} | zstd -dc | dd \
            of=/dev/sda bs=1M conv={conversion} status=none; b=$(date +%s.%N); echo $a $b"
    );
    let printed = rescue.run(&line, None)?;
    let mut moments = printed.split_whitespace().map(str::parse::<f64>);
    match (moments.next(), moments.next()) {
        (Some(Ok(begun)), Some(Ok(ended))) => Ok(ended - begun),
        _ => bail!("no times: {printed}"),
    }
}

fn writer_written(rescue: &RescueSystem, url: &str) -> Result<Times> {
    let order = WriteOrder {
        device: "/dev/sda".to_owned(),
        source: ImageSource::Url { url: url.to_owned(), stall_seconds: 60, attempts: 5 },
        compression: Compression::Auto,
        format: Format::Auto,
        checksum: None,
    };
    let mut ssh = rescue
        .ssh("/root/writer write-image")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = ssh.stdin.take().context("no input")?;
    input.write_all(format!("{}\n", serde_json::to_string(&order)?).as_bytes())?;
    let (mut begun, mut synced) = (clock::now(), None);
    for line in BufReader::new(ssh.stdout.take().context("no output")?).lines() {
        match serde_json::from_str(&line?)? {
            WriteEvent::Phase(WritePhase::Write) => begun = clock::now(),
            WriteEvent::Phase(WritePhase::Verify) => synced = Some(begun.elapsed()),
            WriteEvent::Done(_) => {
                let written = synced.context("nothing was read back")?;
                ssh.wait()?;
                return Ok(Times {
                    written: written.as_secs_f64(),
                    verified: (begun.elapsed() - written).as_secs_f64(),
                });
            }
            WriteEvent::Failed { message, .. } => bail!(message),
            _ => {}
        }
    }
    bail!("the writer ended without a result")
}

fn writer() -> Result<PathBuf> {
    let directory = std::env::var_os("DOCKBRIDGE_AGENT_DIR")
        .context("DOCKBRIDGE_AGENT_DIR is not set: run scripts/bench image")?;
    Ok(Path::new(&directory).join(format!("dockbridge-agent-{}", std::env::consts::ARCH)))
}

fn make_image(directory: &Path, mib: usize) -> Result<PathBuf> {
    let (raw, packed) = (directory.join("image.raw"), directory.join("image.raw.zst"));
    let (mut random, mut file) = (File::open("/dev/urandom")?, File::create(&raw)?);
    let zeros = vec![0; 4 * MIB];
    // A quarter of noise and three of repetition in what is no zero: about what a disk image
    // compresses to.
    let mut piece = vec![0; 4 * MIB];
    for number in 0..mib / 4 {
        if number % 2 == 0 {
            random.read_exact(&mut piece[..MIB])?;
            let (noise, rest) = piece.split_at_mut(MIB);
            rest.chunks_mut(256)
                .zip(noise.chunks(256).cycle())
                .for_each(|(to, from)| to.copy_from_slice(from));
            file.write_all(&piece)?;
        } else {
            file.write_all(&zeros)?;
        }
    }
    let packing =
        Command::new("zstd").args(["-q", "-3", "-T0"]).arg(&raw).arg("-o").arg(&packed).status()?;
    ensure!(packing.success(), "zstd ended with {packing}");
    std::fs::remove_file(raw)?;
    Ok(packed)
}

/// Serves one file to every client.
fn serve(on: Ipv4Addr, file: &Path) -> Result<String> {
    let listener = TcpListener::bind((on, 0))?;
    let address = listener.local_addr()?;
    let file = file.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let file = file.clone();
            std::thread::spawn(move || -> io::Result<()> {
                let mut stream = stream;
                let mut reader = BufReader::new(stream.try_clone()?);
                let mut line = String::new();
                while reader.read_line(&mut line)? > 2 {
                    line.clear();
                }
                let mut file = File::open(file)?;
                let length = file.metadata()?.len();
                stream.write_all(
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                    )
                    .as_bytes(),
                )?;
                io::copy(&mut file, &mut stream).map(drop)
            });
        }
    });
    Ok(format!("http://{address}/image"))
}

struct RescueSystem {
    cloud: Nspawn,
    address: Ipv4Addr,
    gateway: Ipv4Addr,
    key: PathBuf,
}

impl RescueSystem {
    async fn start(directory: &Path) -> Result<Self> {
        let key = directory.join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status()?;
        ensure!(made.success(), "ssh-keygen ended with {made}");
        let public = std::fs::read_to_string(key.with_extension("pub"))?.trim().to_owned();
        let cloud = Nspawn::start(&directory.join("cloud"), Sshd::Service).await?;
        let (address, gateway) = (cloud.reserve_address(1)?, cloud.gateway());
        let server = NewServer {
            id: 1,
            name: "bench".to_owned(),
            image: From::Base,
            user_data: None,
            ssh_keys: vec![public.clone()],
            availability_zone: "fsn1-dc14".to_owned(),
            region: "eu-central".to_owned(),
            disk: 40,
            architecture: "x86".to_owned(),
        };
        cloud.create(server).await?;
        let rescue = Rescue {
            ssh_keys: vec![public],
            until: jiff::Timestamp::now() + Duration::from_secs(3600),
        };
        cloud.set_rescue(1, Some(rescue)).await?;
        cloud.start(1).await?;
        Ok(Self { cloud, address, gateway, key })
    }

    fn wait(&self) -> Result<()> {
        let begun = clock::now();
        while let Err(error) = self.run("test -b /dev/sda", None) {
            if begun.elapsed() > BOOT_LIMIT {
                return Err(error.context("the rescue system does not answer"));
            }
            clock::pause(Duration::from_millis(100));
        }
        Ok(())
    }

    fn ssh(&self, command: &str) -> Command {
        let settings = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=2",
            "IdentitiesOnly=yes",
        ];
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "/dev/null", "-i"])
            .arg(&self.key)
            .args(settings.iter().flat_map(|setting| ["-o", setting]));
        ssh.arg(format!("root@{}", self.address)).arg(command);
        ssh
    }

    fn run(&self, command: &str, input: Option<&Path>) -> Result<String> {
        let input = match input {
            Some(file) => Stdio::from(File::open(file)?),
            None => Stdio::null(),
        };
        let output = self.ssh(command).stdin(input).output()?;
        ensure!(
            output.status.success(),
            "{command}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn end(self) {
        // The next local cloud in its place removes what does not end.
        let _ = self.cloud.close().await;
    }
}
