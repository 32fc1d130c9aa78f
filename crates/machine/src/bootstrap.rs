//! The user-data of a new machine: `#cloud-config` as JSON (which is YAML). One shell script in it
//! writes dockbridge's files before docker starts. It carries one secret, a host key that is
//! replaced right after the first connection.
//!
//! The files that all machines share ([`BaseFiles`]) may be in dockbridge's own image already. A
//! mark file in the image holds their digest, and the script writes the files only if that digest
//! differs. What differs between machines is always in the user-data.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use data_encoding::HEXLOWER;
use russh::keys::PublicKey;
use russh::keys::ssh_key::LineEnding;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::host_key::HostKey;

/// Directory of the agent and its files on a machine: a file system of its own in memory, because
/// `/run` may be mounted with noexec. Empty after every boot.
pub const RUN_DIRECTORY: &str = "/run/dockbridge";
/// Directory of dockbridge's scripts on a machine. In dockbridge's own image it also holds the
/// agent.
pub const LIBRARY_DIRECTORY: &str = "/usr/local/lib/dockbridge";
/// Mark file in dockbridge's own image: the digest of the base files there.
const MARK: &str = "/usr/local/lib/dockbridge/furnished";
/// The script that grows the file system of the volume.
pub const GROW_SCRIPT: &str = "/usr/local/lib/dockbridge/grow.sh";
/// The script that replaces the host key.
pub const HOST_KEY_SCRIPT: &str = "/usr/local/lib/dockbridge/host-key.sh";
/// The cloud's limit, in bytes.
pub const MAX_USER_DATA: usize = 32 * 1024;

/// Ends every file in the script; none of the files contains it.
const END_OF_FILE: &str = "END_OF_DOCKBRIDGE_FILE";

struct File {
    path: &'static str,
    mode: &'static str,
    content: &'static str,
}

const FILES: &[File] = &[
    File {
        path: "/usr/local/lib/dockbridge/volume.sh",
        mode: "755",
        content: include_str!("bootstrap/volume.sh"),
    },
    File {
        path: "/usr/local/lib/dockbridge/dead-man.sh",
        mode: "755",
        content: include_str!("bootstrap/dead-man.sh"),
    },
    File { path: GROW_SCRIPT, mode: "755", content: include_str!("bootstrap/grow.sh") },
    File {
        path: "/usr/local/lib/dockbridge/port-range.sh",
        mode: "755",
        content: include_str!("bootstrap/port-range.sh"),
    },
    File { path: HOST_KEY_SCRIPT, mode: "755", content: include_str!("bootstrap/host-key.sh") },
    File {
        path: "/etc/systemd/system/run-dockbridge.mount",
        mode: "644",
        content: include_str!("bootstrap/run-dockbridge.mount"),
    },
    File {
        path: "/etc/systemd/system/dockbridge-volume.service",
        mode: "644",
        content: include_str!("bootstrap/dockbridge-volume.service"),
    },
    File {
        path: "/etc/systemd/system/dockbridge-dead-man.service",
        mode: "644",
        content: include_str!("bootstrap/dockbridge-dead-man.service"),
    },
    File {
        path: "/etc/systemd/system/docker.service.d/dockbridge.conf",
        mode: "644",
        content: include_str!("bootstrap/requires-volume.conf"),
    },
    File {
        path: "/etc/systemd/system/docker.service.d/dockbridge-ports.conf",
        mode: "644",
        content: include_str!("bootstrap/port-range.conf"),
    },
    File {
        path: "/etc/systemd/system/docker.socket.d/dockbridge.conf",
        mode: "644",
        content: include_str!("bootstrap/docker-socket.conf"),
    },
    File {
        path: "/etc/systemd/system/containerd.service.d/dockbridge.conf",
        mode: "644",
        content: include_str!("bootstrap/requires-volume.conf"),
    },
    File {
        path: "/etc/ssh/sshd_config.d/dockbridge.conf",
        mode: "644",
        content: include_str!("bootstrap/sshd.conf"),
    },
];

/// What differs from machine to machine.
#[derive(Debug)]
pub struct Bootstrap<'a> {
    /// Id of the volume with docker's data.
    pub volume: u64,
    /// The first host key.
    pub host_key: &'a HostKey,
    /// How long after its boot the machine waits for the first client, in seconds.
    pub boot_lease_seconds: u64,
    /// Port numbers that docker chooses for published ports.
    pub port_window: RangeInclusive<u16>,
}

/// Why no user-data could be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The host key could not be encoded.
    #[error("the host key for a new machine cannot be encoded")]
    Key(#[from] russh::keys::ssh_key::Error),
    /// It exceeds the cloud's limit.
    #[error(
        "the user-data of a new machine has {0} bytes, more than the {MAX_USER_DATA} that the \
            cloud takes"
    )]
    TooLong(usize),
}

/// The files that all machines share: scripts, units, settings of sshd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseFiles {
    files: String,
    digest: String,
}

impl BaseFiles {
    /// The files, with the time that a machine waits for its first client, in seconds.
    pub fn new(boot_lease_seconds: u64) -> Self {
        let mut files = String::new();
        for File { path, mode, content } in FILES {
            let directory = path.rsplit_once('/').map_or("/", |(directory, _)| directory);
            let content = content.replace("@BOOT_LEASE@", &boot_lease_seconds.to_string());
            // Writing to a String cannot fail.
            let _ = write!(
                files,
                "mkdir -p {directory}\ncat >{path} \
                <<'{END_OF_FILE}'\n{content}{END_OF_FILE}\nchmod {mode} {path}\n"
            );
        }
        let digest = HEXLOWER.encode(&Sha256::digest(&files));
        Self { files, digest }
    }

    /// SHA-256 of the files, in hex digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// A shell script that writes the files, and then the mark, into an image.
    pub fn script(&self) -> String {
        format!("set -e\n{}printf '%s\\n' {} >{MARK}\n", self.files, self.digest)
    }

    /// A shell script that writes the files unless the mark has their digest. Only an image has the
    /// mark, so a machine that was cut off while it wrote the files writes them again.
    fn script_unless_marked(&self) -> String {
        let Self { files, digest } = self;
        format!(
            "written=\nif [ \"$(cat {MARK} 2>/dev/null)\" != {digest} ]; then\nwritten=yes\nrm \
            -f {MARK}\n{files}fi\n"
        )
    }
}

impl Bootstrap<'_> {
    /// The user-data, as the API takes it.
    pub fn user_data(&self) -> Result<String, BootstrapError> {
        let mut config = login(self.host_key)?;
        config["bootcmd"] = json!([["sh", "-c", self.script()]]);
        within_the_limit(&config)
    }

    fn script(&self) -> String {
        let (volume, first, last) = (self.volume, self.port_window.start(), self.port_window.end());
        let mut script = format!(
            "set -e\nmkdir -p /etc/dockbridge\nprintf '%s\\n' {volume} >/etc/dockbridge/volume-id\n\
             printf '%s\\n' '{first} {last}' >/etc/dockbridge/port-window\n"
        );
        script.push_str(&BaseFiles::new(self.boot_lease_seconds).script_unless_marked());
        script.push_str(include_str!("bootstrap/boot.sh"));
        script
    }
}

/// The user-data of a server on which a machine image is prepared: a host key that is known before
/// the first connection, and the login key. The login key is here as well because a server that is
/// rebuilt keeps the keys that it was created with.
pub fn builder_user_data(
    host_key: &HostKey,
    login_key: &PublicKey,
) -> Result<String, BootstrapError> {
    let mut config = login(host_key)?;
    config["ssh_authorized_keys"] = json!([login_key.to_openssh()?]);
    within_the_limit(&config)
}

/// Root logs in by key only, and sshd presents the given host key.
fn login(host_key: &HostKey) -> Result<Value, BootstrapError> {
    Ok(json!({
        "disable_root": false,
        "ssh_pwauth": false,
        "ssh_deletekeys": true,
        "ssh_keys": {
            "ed25519_private": host_key.private.to_openssh(LineEnding::LF)?.as_str(),
            "ed25519_public": host_key.private.public_key().to_openssh()?,
        },
        "package_update": false,
        "package_upgrade": false,
    }))
}

fn within_the_limit(config: &Value) -> Result<String, BootstrapError> {
    let text = format!("#cloud-config\n{config}\n");
    if text.len() > MAX_USER_DATA {
        return Err(BootstrapError::TooLong(text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user_data() -> String {
        let host_key = HostKey::generate().unwrap();
        Bootstrap {
            volume: 4711,
            host_key: &host_key,
            boot_lease_seconds: 900,
            port_window: 62_500..=62_998,
        }
        .user_data()
        .unwrap()
    }

    #[test]
    fn user_data_is_a_cloud_config_within_the_limit_and_names_the_volume() {
        let text = user_data();
        let (head, body) = text.split_once('\n').unwrap();
        assert_eq!(head, "#cloud-config");
        let config: serde_json::Value = serde_json::from_str(body).unwrap();
        let script = config["bootcmd"][0][2].as_str().unwrap();
        assert!(script.contains("printf '%s\\n' 4711 >/etc/dockbridge/volume-id"));
        assert!(script.contains("printf '%s\\n' '62500 62998' >/etc/dockbridge/port-window"));
        assert!(script.contains("first_seconds=900\n"));
        assert!(!script.contains("@BOOT_LEASE@"));
    }

    #[test]
    fn image_with_other_base_files_is_not_taken_for_a_current_one() {
        let files = BaseFiles::new(900);
        assert_ne!(files.digest(), BaseFiles::new(901).digest());
        let asked = format!("!= {} ]", files.digest());
        assert!(
            files.script_unless_marked().contains(&asked)
                && files.script().ends_with(&format!("{} >{MARK}\n", files.digest()))
        );
    }

    /// Runs the scripts below a directory instead of `/`.
    #[test]
    fn files_are_written_unless_the_mark_has_their_digest() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display().to_string();
        let run = |script: String| {
            let script = ["/usr/local", "/etc/systemd", "/etc/ssh"]
                .iter()
                .fold(script, |text, path| text.replace(path, &format!("{root}{path}")));
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("{script}\necho \"written=$written\"")])
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let files = BaseFiles::new(900);
        assert_eq!(run(files.script_unless_marked()), "written=yes\n");
        let dead_man = directory.path().join("usr/local/lib/dockbridge/dead-man.sh");
        assert!(std::fs::read_to_string(&dead_man).unwrap().contains("first_seconds=900\n"));
        assert_eq!(
            run(files.script_unless_marked()),
            "written=yes\n",
            "only an image has the mark"
        );
        run(files.script());
        std::fs::remove_file(&dead_man).unwrap();
        assert_eq!(run(files.script_unless_marked()), "written=\n");
        assert!(!dead_man.exists());
        assert_eq!(run(BaseFiles::new(600).script_unless_marked()), "written=yes\n");
        assert!(std::fs::read_to_string(&dead_man).unwrap().contains("first_seconds=600\n"));
    }

    #[test]
    fn builder_admits_the_given_key_and_runs_no_script() {
        let (host_key, login) =
            (HostKey::generate().unwrap(), crate::host_key::generate_key("x").unwrap());
        let text = builder_user_data(&host_key, login.public_key()).unwrap();
        let config: Value =
            serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap();
        assert_eq!(config["ssh_authorized_keys"][0], login.public_key().to_openssh().unwrap());
        assert_eq!(
            config["ssh_keys"]["ed25519_public"],
            host_key.private.public_key().to_openssh().unwrap()
        );
        assert!(config.get("bootcmd").is_none());
    }

    #[test]
    fn every_file_ends_with_a_newline_and_none_contains_the_end_marker() {
        for file in FILES {
            assert!(file.content.ends_with('\n'), "{}", file.path);
            assert!(!file.content.contains(END_OF_FILE), "{}", file.path);
        }
    }

    #[test]
    fn dockerd_starts_with_the_window_and_other_programs_have_the_whole_range() {
        let directory = tempfile::tempdir().unwrap();
        let (script, range) =
            (directory.path().join("port-range.sh"), directory.path().join("range"));
        std::fs::write(&script, include_str!("bootstrap/port-range.sh")).unwrap();
        let range_after = |moment: &str| {
            let mut command = std::process::Command::new("sh");
            command
                .arg(&script)
                .arg(moment)
                .env("DOCKBRIDGE_ETC", directory.path())
                .env("DOCKBRIDGE_PORT_RANGE", &range);
            assert!(command.status().unwrap().success(), "{moment}");
            std::fs::read_to_string(&range).unwrap_or_default()
        };
        assert_eq!(range_after("window"), "", "without a window the range stays");
        std::fs::write(directory.path().join("port-window"), "35000 35999\n").unwrap();
        assert_eq!(range_after("window"), "35000 35999\n");
        assert_eq!(range_after("whole"), "32768 60999\n");
    }

    #[test]
    fn scripts_are_valid_posix_sh() {
        for text in FILES
            .iter()
            .filter(|file| file.path.ends_with(".sh"))
            .map(|file| file.content)
            .chain([include_str!("bootstrap/boot.sh")])
        {
            let mut child = std::process::Command::new("sh")
                .arg("-n")
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success(), "{text}");
        }
    }
}
