//! The first base system: its packages, its settings, and how it is built.

use std::fs::File;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::apt::{explain_keys, host_apt_options, mirror};
use super::tool::{During, command, finish, run};
use crate::hypervisor::Failure;

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
        "[Unit]\nDescription=Volumes of /etc/fstab\nDefaultDependencies=no\n\
         After=systemd-remount-fs.service local-fs-pre.target\n\
         Conflicts=umount.target\nBefore=umount.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\n\
         ExecStart=/bin/sh /usr/local/sbin/mount-fstab-volumes\n\n\
         [Install]\nWantedBy=local-fs.target\n",
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

/// Hash of the recipe: another recipe makes another base system, and existing disks keep the old
/// one.
pub(super) fn name() -> String {
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

pub(super) async fn make(
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
