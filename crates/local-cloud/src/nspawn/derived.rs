//! Base systems with another container engine: a copy of the first base system with packages added
//! or replaced by apt, some of them from Debian unstable. Copying and installing takes a quarter
//! of the time of a whole build.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::apt::{host_apt_options, mirror};
use super::debian::{SUITE, stamp};
use super::tool::{During, command, failure, finish, run};
use crate::hypervisor::Failure;
use crate::options::ContainerEngine;

/// The suite that `PACKAGE/sid` names.
const UNSTABLE: &str = "sid";

/// Differences from the first base system.
#[derive(Debug)]
pub(super) struct Recipe {
    /// Prefix of the directory's name.
    name: &'static str,
    /// In apt's notation; `PACKAGE/sid` takes the package from Debian unstable.
    packages: &'static [&'static str],
    /// A package and the required prefix of its version: unstable moves on, but tests name an
    /// engine.
    expected: Option<(&'static str, &'static str)>,
    enabled: &'static [&'static str],
    masked: &'static [&'static str],
    /// Runs inside, after everything else.
    script: &'static str,
}

const DOCKER_28: Recipe = Recipe {
    name: "docker-28",
    packages: &["docker.io/sid", "docker-cli/sid", "containerd/sid", "runc/sid"],
    expected: Some(("docker.io", "28.")),
    enabled: &[],
    masked: &[],
    script: "",
};

/// Disables docker where another engine is the host's.
const NO_DOCKER: &[&str] = &["docker.service", "docker.socket", "containerd.service"];

const PODMAN: Recipe = Recipe {
    name: "podman",
    packages: &["podman", "aardvark-dns", "nftables"],
    expected: None,
    enabled: &["podman.socket"],
    masked: NO_DOCKER,
    script: "",
};

const ROOTLESS: Recipe = Recipe {
    name: "rootless",
    packages: &["rootlesskit", "slirp4netns", "uidmap", "dbus-user-session"],
    expected: None,
    enabled: &[],
    masked: NO_DOCKER,
    script: "useradd --create-home --shell /bin/bash u",
};

impl Recipe {
    /// `None` for the engine of the first base system.
    pub(super) fn of(engine: ContainerEngine) -> Option<&'static Recipe> {
        match engine {
            ContainerEngine::Docker26 => None,
            ContainerEngine::Docker28 => Some(&DOCKER_28),
            ContainerEngine::Podman => Some(&PODMAN),
            ContainerEngine::Rootless => Some(&ROOTLESS),
        }
    }

    /// Hash of the recipe, with the name of the system that it is derived from.
    pub(super) fn name(&self, first: &str) -> String {
        let mut hash = Sha256::new();
        for part in [first, self.script, INSTALL]
            .iter()
            .chain(self.packages)
            .chain(self.enabled)
            .chain(self.masked)
        {
            hash.update(part);
            hash.update([0]);
        }
        let digest = data_encoding::HEXLOWER.encode(&hash.finalize());
        format!("{}-{}", self.name, &digest[..12])
    }

    /// Builds it at `root`. `lock` keeps others from building it, even after this process was
    /// killed.
    pub(super) async fn make(
        &self,
        root: &Path,
        first: &Path,
        lock: &File,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(), Failure> {
        let what = format!("make the base system {}", self.name);
        progress(&format!("base system {}: a copy with {}", self.name, self.packages.join(", ")));
        run(&what, "cp", &[Path::new("-a"), Path::new("--reflink=auto"), first, root]).await?;
        self.install(&what, root, lock).await?;
        if let Some((package, version)) = self.expected {
            let args = [
                "--root",
                &root.display().to_string(),
                "--show",
                "--showformat=${Version}",
                package,
            ];
            let found = run(&what, "dpkg-query", &args).await?;
            if !found.starts_with(version) {
                let cause =
                    format!("Debian {UNSTABLE} has {package} {found}, but {version}x is needed");
                return Err(failure(what, cause));
            }
        }
        let systemctl = |verb: &str, units: &[&str]| {
            let mut args =
                vec!["--quiet".to_owned(), format!("--root={}", root.display()), verb.to_owned()];
            args.extend(units.iter().map(|unit| (*unit).to_owned()));
            args
        };
        for (verb, units) in [("mask", self.masked), ("enable", self.enabled)] {
            if !units.is_empty() {
                run(&what, "systemctl", &systemctl(verb, units)).await?;
            }
        }
        stamp(root)
    }

    async fn install(&self, what: &str, root: &Path, lock: &File) -> Result<(), Failure> {
        let settings = root.join("tmp/apt");
        std::fs::create_dir(&settings).during(what)?;
        let write = |name: &str, text: &str| std::fs::write(settings.join(name), text).during(what);
        let (mirror, keys) =
            (mirror()?, root.join("usr/share/keyrings/debian-archive-keyring.gpg"));
        let source =
            |suite: &str| format!("deb [signed-by={}] {mirror} {suite} main\n", keys.display());
        write("sources", &format!("{}{}", source(SUITE), source(UNSTABLE)))?;
        write(
            "preferences",
            &format!("Package: *\nPin: release n={UNSTABLE}\nPin-Priority: 100\n"),
        )?;
        write(
            "conf",
            &format!("{}{}", host_apt_options().await?, own_apt_options(root, &settings)),
        )?;
        // Debian's policy for a chroot: no package starts its services.
        let policy = root.join("usr/sbin/policy-rc.d");
        std::fs::write(&policy, "#!/bin/sh\nexit 101\n").during(what)?;
        std::fs::set_permissions(&policy, Permissions::from_mode(0o755)).during(what)?;
        // Holds the lock as its standard input (an empty file), like the first base system's
        // build.
        let installed = command("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-ec", INSTALL, "sh"])
            .arg(root)
            .arg(self.script)
            .args(self.packages)
            .env("APT_CONFIG", settings.join("conf"))
            .env("TMPDIR", root.join("tmp"))
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(lock.try_clone().during(what)?)
            .output()
            .await;
        finish(what, "apt-get", installed)?;
        std::fs::remove_file(&policy).during(what)?;
        std::fs::remove_dir_all(&settings).during(what)
    }
}

/// Arguments: the root, a script to run inside at the end, packages. The mount goes with the
/// namespace.
const INSTALL: &str = r#"
root=$1 script=$2
shift 2
mount -t proc proc "$root/proc"
apt-get -q update
apt-get -q -y install "$@"
apt-get clean
rm -rf "$root/var/lib/apt/lists" "$root/var/cache/apt"/*.bin
[ -z "$script" ] || chroot "$root" sh -ec "$script"
"#;

/// This host's apt and dpkg work on the root; the packages' scripts run inside it.
fn own_apt_options(root: &Path, settings: &Path) -> String {
    let (root, settings) = (root.display(), settings.display());
    format!(
        "Dir \"{root}\";\nDir::Bin::dpkg \"/usr/bin/dpkg\";\nDPkg::Chroot-Directory \
         \"{root}\";\nDPkg::Use-Pty \"false\";\n\
         Dir::Etc::SourceList \"{settings}/sources\";\nDir::Etc::SourceParts \"/dev/null\";\n\
         Dir::Etc::Preferences \"{settings}/preferences\";\nDir::Etc::PreferencesParts \
         \"/dev/null\";\n\
         Dir::Etc::Main \"/dev/null\";\nDir::Etc::Parts \"/dev/null\";\n\
         APT::Sandbox::User \"root\";\nAPT::Install-Recommends \"false\";\nAcquire::Languages \
         \"none\";\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_system_changes_its_name_with_the_first_one_and_with_its_recipe() {
        let name = DOCKER_28.name("trixie-1");
        assert_eq!(name, DOCKER_28.name("trixie-1"));
        assert_ne!(name, DOCKER_28.name("trixie-2"));
        let other = Recipe { packages: &["docker.io/sid"], ..DOCKER_28 };
        assert_ne!(name, other.name("trixie-1"));
    }
}
