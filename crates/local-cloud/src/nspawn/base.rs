//! The base system of every server's disk: Debian with docker, root login by key and cloud-init,
//! like the `docker-ce` app image. Built once per recipe and kept in a cache directory; machines
//! only read it. The packages come from this host's own mirror (`DOCKBRIDGE_BASE_MIRROR` names
//! another). `derived` builds variants with another engine from it. Knows nothing of servers.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::derived;
use super::tool::{During, command, failure, finish, run};
use crate::hypervisor::Failure;
use crate::options::ContainerEngine;

pub(super) const SUITE: &str = "trixie";

const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "udev",
    "openssh-server",
    "cloud-init",
    "docker.io",
    "docker-cli",
    "containerd",
    "iptables",
    "iproute2",
    "ca-certificates",
    "kmod",
    "e2fsprogs",
    "netbase",
    "curl",
    "jq",
    "procps",
    "locales",
    // Also installed on Hetzner's.
    "needrestart",
    "unattended-upgrades",
    // For the rescue system.
    "bzip2",
    "xz-utils",
    "zstd",
];

/// Files written into the root after the packages.
const FILES: &[(&str, &str)] = &[
    // Empty, not "uninitialized": each machine gets its own id, but systemd skips its first-boot
    // presets, which would re-enable what is disabled here.
    ("etc/machine-id", ""),
    ("etc/hostname", "debian\n"),
    ("etc/fstab", ""),
    (
        "etc/cloud/cloud.cfg.d/90_server.cfg",
        "datasource_list: [NoCloud, None]\ndisable_root: false\nusers: []\nssh_genkeytypes: \
         [ed25519, ecdsa]\nssh_quiet_keygen: true\n",
    ),
    // A test opens many connections at once; the default throttle would refuse some of them at
    // random.
    (
        "etc/ssh/sshd_config.d/10-server.conf",
        "UseDNS no\nPermitRootLogin prohibit-password\nMaxStartups 100:30:200\n",
    ),
    // Duplicate address detection on the link-local address would keep the network "not online"
    // for 1.5 s, and the link has no other host.
    (
        "etc/sysctl.d/90-server.conf",
        "net.ipv6.conf.host0.accept_dad=0\nnet.ipv6.conf.host0.dad_transmits=0\n",
    ),
    (
        "etc/systemd/system/fstab-volumes.service",
        "[Unit]\nDescription=Volumes of \
         /etc/fstab\nDefaultDependencies=no\nAfter=systemd-remount-fs.service local-fs-pre.target\n\
         Conflicts=umount.target\nBefore=umount.target\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
         ExecStart=/bin/sh \
         /usr/local/sbin/mount-fstab-volumes\n\n[Install]\nWantedBy=local-fs.target\n",
    ),
    ("usr/local/sbin/mount-fstab-volumes", include_str!("base/mount-fstab-volumes.sh")),
    // The machine's console is a file on the host.
    ("etc/systemd/system.conf.d/10-server.conf", "[Manager]\nDefaultTimeoutStopSec=15s\n"),
];

const ENABLED: &[&str] = &[
    "systemd-networkd.service",
    "docker.service",
    "containerd.service",
    "ssh.socket",
    "fstab-volumes.service",
];

/// Enabled by its package; here a socket starts sshd.
const DISABLED: &[&str] = &["ssh.service"];

/// Useless in a container, and it would lengthen the boot.
const MASKED: &[&str] = &[
    "console-getty.service",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "ldconfig.service",
    "man-db.timer",
    "modprobe@.service",
    "sshd-keygen.service",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-modules-load.service",
    "systemd-network-generator.service",
    "systemd-pcrphase.service",
    "systemd-udev-load-credentials.service",
    "systemd-udevd.service",
    "systemd-update-done.service",
];

/// Directory of the base systems: `DOCKBRIDGE_BASE_CACHE`, or one below `/var/cache`.
pub fn cache() -> PathBuf {
    std::env::var_os("DOCKBRIDGE_BASE_CACHE")
        .map_or_else(|| PathBuf::from("/var/cache/dockbridge/base"), PathBuf::from)
}

/// Whether the base system exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its path, existing or not.
    pub root: PathBuf,
    /// Whether it exists already. Building it takes about a minute and a Debian mirror.
    pub ready: bool,
}

/// Looks, without building anything.
pub fn status(cache: &Path) -> Status {
    status_of(cache, ContainerEngine::default())
}

/// Looks for the base system with this engine, without building anything.
pub fn status_of(cache: &Path, engine: ContainerEngine) -> Status {
    let name = derived::Recipe::of(engine).map_or_else(name, |recipe| recipe.name(&name()));
    let root = cache.join(name);
    let ready = root.is_dir();
    Status { root, ready }
}

/// Builds the base system if it does not exist, and returns its root. Concurrent callers build it
/// once. `progress` gets one line per step.
pub async fn ensure(
    cache: &Path,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<PathBuf, Failure> {
    ensure_of(cache, ContainerEngine::default(), progress).await
}

/// [`ensure`] for the base system with this engine.
pub async fn ensure_of(
    cache: &Path,
    engine: ContainerEngine,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<PathBuf, Failure> {
    let wanted = status_of(cache, engine);
    if wanted.ready {
        return Ok(wanted.root);
    }
    std::fs::create_dir_all(cache).during(format!("make {}", cache.display()))?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(cache.join("lock"));
    let lock = lock.during("open the lock of the base system")?;
    let lock = tokio::task::spawn_blocking(move || {
        flock(&lock, FlockOperation::LockExclusive).map(|()| lock)
    })
    .await
    .during("wait for another build of the base system")?
    .during("wait for another build of the base system")?;
    let first = status(cache);
    if !first.ready {
        place(&first.root, async |building| make(building, cache, &lock, progress).await).await?;
    }
    if let Some(recipe) = derived::Recipe::of(engine)
        && !status_of(cache, engine).ready
    {
        place(&wanted.root, async |building| {
            recipe.make(building, &first.root, &lock, progress).await
        })
        .await?;
    }
    Ok(wanted.root)
}

/// Builds a root next to its final path, and moves it there when it is complete.
async fn place(
    root: &Path,
    make: impl AsyncFnOnce(&Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    let building = root.with_file_name(format!(".making-{name}"));
    remove_tree(&building).during("remove an incomplete base system")?;
    if let Err(failure) = make(&building).await {
        let _ = remove_tree(&building);
        return Err(failure);
    }
    std::fs::rename(&building, root).during("move the base system to its path")
}

/// Hash of the recipe: another recipe makes another base system, and existing disks keep the old
/// one.
fn name() -> String {
    let mut hash = Sha256::new();
    for part in
        [std::env::consts::ARCH].iter().chain(PACKAGES).chain(ENABLED).chain(DISABLED).chain(MASKED)
    {
        hash.update(part);
        hash.update([0]);
    }
    for (path, text) in FILES {
        hash.update(path);
        hash.update([0]);
        hash.update(text);
        hash.update([0]);
    }
    let digest = data_encoding::HEXLOWER.encode(&hash.finalize());
    format!("{SUITE}-{}", &digest[..12])
}

async fn make(
    root: &Path,
    cache: &Path,
    lock: &File,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), Failure> {
    let mirror = mirror()?;
    let options = cache.join("apt.conf");
    std::fs::write(&options, host_apt_options().await?).during("write apt options")?;
    progress(&format!("base system: {} packages of Debian {SUITE} from {mirror}", PACKAGES.len()));
    // mmdebstrap holds the lock as its standard input (an empty file): if this process is killed,
    // the next build waits until mmdebstrap has exited, too.
    let made = command("mmdebstrap")
        .arg("--quiet")
        .arg("--variant=minbase")
        .arg(format!("--aptopt={}", options.display()))
        .arg(format!("--include={}", PACKAGES.join(",")))
        .arg(SUITE)
        .arg(root)
        .arg(mirror)
        .stdin(lock.try_clone().during("share the lock of the base system")?)
        .output()
        .await;
    finish("make the base system", "mmdebstrap", made).map_err(explain_keys)?;
    progress("base system: settings");
    settle(root).await
}

/// The host's keyring may be older than the suite. mmdebstrap then reports NO_PUBKEY, which does
/// not say what to do.
fn explain_keys(failure: Failure) -> Failure {
    if failure.cause.contains("NO_PUBKEY") {
        let cause = format!(
            "{}; update the keys with: apt-get install --only-upgrade debian-archive-keyring",
            failure.cause
        );
        return Failure { cause, ..failure };
    }
    failure
}

async fn settle(root: &Path) -> Result<(), Failure> {
    // The host's proxy must not be part of the image.
    let _ = std::fs::remove_file(root.join("etc/apt/apt.conf.d/99mmdebstrap"));
    for (path, text) in FILES {
        let path = root.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).during("write the settings of the base system")?;
        }
        std::fs::write(&path, text).during("write the settings of the base system")?;
    }
    for entry in std::fs::read_dir(root.join("etc/ssh")).during("look for host keys")?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            std::fs::remove_file(entry.path()).during("remove a host key")?;
        }
    }
    let systemctl = |verb: &str, units: &[&str]| {
        let mut args =
            vec!["--quiet".to_owned(), format!("--root={}", root.display()), verb.to_owned()];
        args.extend(units.iter().map(|unit| (*unit).to_owned()));
        args
    };
    run("choose the services of the base system", "systemctl", &systemctl("mask", MASKED)).await?;
    run("choose the services of the base system", "systemctl", &systemctl("disable", DISABLED))
        .await?;
    run("choose the services of the base system", "systemctl", &systemctl("enable", ENABLED))
        .await?;
    stamp(root)
}

/// Newer than /usr, so that the first boot does not rebuild caches.
pub(super) fn stamp(root: &Path) -> Result<(), Failure> {
    for stamp in ["etc/.updated", "var/.updated"] {
        std::fs::write(root.join(stamp), "").during("write the settings of the base system")?;
    }
    Ok(())
}

/// The mirror that the host itself uses.
pub(super) fn mirror() -> Result<String, Failure> {
    if let Ok(mirror) = std::env::var("DOCKBRIDGE_BASE_MIRROR") {
        return Ok(mirror);
    }
    let codename = std::fs::read_to_string("/etc/os-release")
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            line.strip_prefix("VERSION_CODENAME=").map(|name| name.trim_matches('"').to_owned())
        })
        .unwrap_or_else(|| "stable".to_owned());
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let mut more: Vec<PathBuf> = std::fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    more.sort();
    files.extend(more);
    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .find_map(|text| mirror_in(&text, &codename))
        .ok_or_else(|| {
            failure(
                "find a Debian mirror",
                "the apt sources of this host contain none; set DOCKBRIDGE_BASE_MIRROR to a mirror's address",
            )
        })
}

/// The address in an apt source file, in either of its two formats, for a suite's main packages
/// (no updates, no other projects).
fn mirror_in(text: &str, codename: &str) -> Option<String> {
    let suits = |suite: &str| suite == codename || suite == "stable";
    let web = |uri: &&str| uri.starts_with("http://") || uri.starts_with("https://");
    for line in text.lines().filter_map(|line| line.strip_prefix("deb ")) {
        let plain = match (line.find('['), line.find(']')) {
            (Some(open), Some(close)) if open < close => &line[close + 1..],
            _ => line,
        };
        let words: Vec<&str> = plain.split_whitespace().collect();
        if let [uri, suite, components @ ..] = words.as_slice()
            && web(uri)
            && suits(suite)
            && components.contains(&"main")
        {
            return Some((*uri).to_owned());
        }
    }
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            let line =
                paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().split_whitespace().collect::<Vec<_>>()
        };
        if field("Suites").iter().any(|suite| suits(suite))
            && field("Components").contains(&"main")
            && let Some(uri) = field("URIs").into_iter().find(|uri| web(uri))
        {
            return Some(uri.to_owned());
        }
    }
    None
}

/// The host's apt settings for proxies, certificates and clocks, for the apt that fills the new
/// root.
pub(super) async fn host_apt_options() -> Result<String, Failure> {
    let all = run("read the host's apt settings", "apt-config", &["dump", "Acquire"]).await?;
    let wanted = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ["proxy", "cainfo", "verify-peer", "check-valid-until", "check-date", "retries"]
            .iter()
            .any(|key| line.contains(key))
    };
    Ok(all.lines().filter(wanted).map(|line| format!("{line}\n")).collect())
}

pub(super) fn remove_tree(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_read_from_both_forms_of_apt_sources() {
        let one_line = "# comment\ndeb [signed-by=/k.gpg arch=amd64] https://mirror.example/debian \
         bookworm main contrib\n";
        assert_eq!(
            mirror_in(one_line, "bookworm").as_deref(),
            Some("https://mirror.example/debian")
        );
        let fields = "Types: deb\nURIs: http://security.example\nSuites: \
         bookworm-security\nComponents: main\n\nTypes: deb\nURIs: \
         http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n";
        assert_eq!(mirror_in(fields, "bookworm").as_deref(), Some("http://mirror.example/debian"));
    }

    #[test]
    fn sources_of_other_projects_are_no_mirror() {
        assert_eq!(
            mirror_in("deb https://packages.example/apt tool-bookworm main\n", "bookworm"),
            None
        );
        assert_eq!(
            mirror_in("deb http://mirror.example/debian bookworm contrib\n", "bookworm"),
            None
        );
        assert_eq!(mirror_in("deb cdrom:[x]/ bookworm main\n", "bookworm"), None);
    }
}
