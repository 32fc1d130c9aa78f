//! One machine as processes on this host. Nothing of it outlives this process: `setpriv` binds it
//! to the thread that started it, `unshare` gives it a process namespace that the kernel empties
//! when its first process dies, and a mount namespace with its disk that ends with it. Knows
//! nothing of servers, volumes or firewalls.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::cgroup;
use super::disk::Disk;
use super::rescue::Layers;
use super::tool::{During, command, failure};
use crate::hypervisor::Failure;

/// Exit code of nspawn when the system inside wants to reboot and nspawn does not restart it
/// itself (`EXIT_FORCE_RESTART` of systemd).
pub(super) const REBOOT: i32 = 133;

/// An nspawn that has not started the system's init by then never will; measured: 0.1 s, and 1 s
/// on a busy host.
const INIT_LIMIT: Duration = Duration::from_secs(20);

/// Exit code of the launch script for a disk without a bootable system.
const NOTHING_TO_BOOT: i32 = 64;

/// Arguments: control groups, `--`, what to mount (`disk` or `rescue`: lower, upper and work;
/// `device`: its path and two empty words), root, then nspawn's. Runs in the machine's own mount
/// namespace, where nspawn also keeps its files. A rescue system creates its host key when it
/// boots.
const LAUNCH: &str = r#"
while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 1; shift; done
shift
mkdir -p /run/systemd/nspawn && mount -t tmpfs nspawn /run/systemd/nspawn || exit 1
kind=$1; root=$5
if [ "$kind" = device ]; then
  mount "$2" "$root" || exit 64
  [ -e "$root/usr/lib/systemd/systemd" ] || [ -e "$root/lib/systemd/systemd" ] || exit 64
else
  mount -t overlay -o "lowerdir=$2,upperdir=$3,workdir=$4" disk "$root" || exit 1
fi
if [ "$kind" = rescue ]; then
  chroot "$root" /usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key || exit 1
fi
shift 5
exec systemd-nspawn --directory="$root" "$@"
"#;

/// How to start a machine.
#[derive(Debug)]
pub(super) struct Boot {
    pub(super) name: String,
    pub(super) root: Root,
    pub(super) disk: Disk,
    pub(super) bridge: String,
    /// Whether the host's name servers are reachable from the machine.
    pub(super) resolver: bool,
}

/// Source of a machine's root.
#[derive(Debug)]
pub(super) enum Root {
    /// The server's own layer over a base.
    Disk { base: PathBuf },
    /// The rescue system's layer over a base.
    Rescue { base: PathBuf, layers: Layers },
    /// A file system on a device.
    Device(PathBuf),
}

/// Result of a start.
#[derive(Debug)]
pub(super) enum Booted {
    /// Its init runs.
    Runs(Machine, Child),
    /// Its disk has no bootable system.
    Nothing,
}

/// A running machine.
#[derive(Debug)]
pub(super) struct Machine {
    /// Process id of its init on this host; valid while it runs.
    pub(super) init: i32,
    nspawn: OwnedFd,
}

impl Machine {
    /// Asks the system inside to power off (nspawn passes it on as its `--kill-signal`).
    pub(super) fn press_power_button(&self) -> Result<(), Failure> {
        match pidfd_send_signal(&self.nspawn, Signal::TERM) {
            Err(error) if error != rustix::io::Errno::SRCH => {
                Err(failure("press the power button", error))
            }
            _ => Ok(()),
        }
    }

    /// Kills everything in it. Its child process ends when all of it is gone.
    pub(super) fn cut_power(&self) -> Result<(), Failure> {
        match pidfd_send_signal(&self.nspawn, Signal::KILL) {
            Err(error) if error != rustix::io::Errno::SRCH => Err(failure("cut the power", error)),
            _ => Ok(()),
        }
    }
}

/// Starts machines from one thread that lives as long as this value, because the kernel treats the
/// death of the starting *thread* as the death of the parent.
#[derive(Debug)]
pub(super) struct Starter {
    orders: mpsc::UnboundedSender<Order>,
}

type Order = (tokio::process::Command, oneshot::Sender<std::io::Result<Child>>);

impl Starter {
    pub(super) fn new() -> Result<Starter, Failure> {
        // Unbounded: an order is small, and each caller waits for its own.
        let (orders, mut received) = mpsc::unbounded_channel::<Order>();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name("machines".to_owned())
            .spawn(move || {
                let _guard = runtime.enter();
                while let Some((mut command, answer)) = received.blocking_recv() {
                    let _ = answer.send(command.spawn());
                }
            })
            .during("start the thread of the machines")?;
        Ok(Starter { orders })
    }

    /// Starts a machine; done when its init runs.
    pub(super) async fn boot(&self, boot: &Boot) -> Result<Booted, Failure> {
        let what = format!("start {}", boot.name);
        let console = File::create(boot.disk.console()).during(&what)?;
        let groups = cgroup::make(&boot.name)?;
        let (answer, child) = oneshot::channel();
        self.orders.send((launch(boot, &groups, console).during(&what)?, answer)).during(&what)?;
        let mut child = child.await.during(&what)?.during(&what)?;
        let deadline = Instant::now() + INIT_LIMIT;
        loop {
            if let Some(machine) = look(&child) {
                return Ok(Booted::Runs(machine, child));
            }
            if let Some(status) = child.try_wait().during(&what)? {
                if status.code() == Some(NOTHING_TO_BOOT) {
                    return Ok(Booted::Nothing);
                }
                return Err(failure(
                    what,
                    format!("ended with {status}: {}", last_words(&boot.disk.console())),
                ));
            }
            if Instant::now() > deadline {
                return Err(failure(
                    what,
                    format!("its init does not start: {}", last_words(&boot.disk.console())),
                ));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Root {
    fn arguments(&self, disk: &Disk) -> [OsString; 4] {
        match self {
            Root::Disk { base } => {
                ["disk".into(), base.into(), disk.upper().into(), disk.work().into()]
            }
            Root::Rescue { base, layers } => {
                ["rescue".into(), base.into(), (&layers.upper).into(), (&layers.work).into()]
            }
            Root::Device(path) => ["device".into(), path.into(), OsString::new(), OsString::new()],
        }
    }
}

fn launch(
    boot: &Boot,
    groups: &[PathBuf],
    console: File,
) -> std::io::Result<tokio::process::Command> {
    let disk = &boot.disk;
    let mut command = command("setpriv");
    command
        .args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child=SIGKILL",
            "--mount-proc",
        ])
        .args(["--", "/bin/sh", "-c", LAUNCH, "sh"])
        .args(groups)
        .arg("--")
        .args(boot.root.arguments(disk))
        .arg(disk.root())
        .args([
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--capability=all",
            "--kill-signal=SIGRTMIN+4",
            "--link-journal=no",
        ])
        .args(["--timezone=off", "--system-call-filter=@keyring bpf", "--console=read-only"])
        .arg(if boot.resolver { "--resolv-conf=copy-host" } else { "--resolv-conf=off" })
        .arg(format!("--machine={}", boot.name))
        .arg(format!("--network-bridge={}", boot.bridge))
        .arg(format!("--bind-ro={}:/var/lib/cloud/seed/nocloud", disk.seed().display()))
        // systemd 257 requires cgroup v2, whatever the host has.
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .stderr(Stdio::from(console.try_clone()?))
        .stdout(Stdio::from(console));
    Ok(command)
}

/// Finds nspawn and the machine's init below a child, once that init runs.
fn look(child: &Child) -> Option<Machine> {
    let unshare = i32::try_from(child.id()?).ok()?;
    let nspawn = children(unshare).into_iter().next()?;
    let init = children(nspawn).into_iter().find(|pid| runs_init(*pid))?;
    let nspawn = pidfd_open(Pid::from_raw(nspawn)?, PidfdFlags::empty()).ok()?;
    Some(Machine { init, nspawn })
}

fn children(pid: i32) -> Vec<i32> {
    let list =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Before that the process is nspawn itself, still working on the machine's mounts.
fn runs_init(pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("systemd/systemd"))
}

fn last_words(console: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(console).unwrap_or_default()).into_owned();
    let lines: Vec<&str> =
        text.lines().rev().filter(|line| !line.trim().is_empty()).take(5).collect();
    if lines.is_empty() {
        "it printed nothing".to_owned()
    } else {
        lines.into_iter().rev().collect::<Vec<_>>().join("; ")
    }
}
