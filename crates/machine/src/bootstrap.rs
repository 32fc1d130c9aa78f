//! The user-data of a new machine: `#cloud-config` as JSON (which is YAML), with our files written by one shell script so that they stand
//! before docker starts. It carries one secret, a host key that is replaced right after the first connection.

use std::fmt::Write as _;

use russh::keys::ssh_key::LineEnding;
use serde_json::json;

use crate::host_key::HostKey;

/// Where the agent and its files live on a machine. Gone at every boot, as is the agent.
pub const RUN_DIRECTORY: &str = "/run/dockbridge";
/// The script that grows the file system of the volume.
pub const GROW_SCRIPT: &str = "/usr/local/lib/dockbridge/grow.sh";
/// The script that replaces the host key.
pub const HOST_KEY_SCRIPT: &str = "/usr/local/lib/dockbridge/host-key.sh";
/// Limit of the cloud, in bytes.
pub const MAX_USER_DATA: usize = 32 * 1024;

/// Ends every file in the script; no file of ours contains it.
const END_OF_FILE: &str = "END_OF_DOCKBRIDGE_FILE";

struct File {
    path: &'static str,
    mode: &'static str,
    content: &'static str,
}

const FILES: &[File] = &[
    File { path: "/usr/local/lib/dockbridge/volume.sh", mode: "755", content: include_str!("bootstrap/volume.sh") },
    File { path: "/usr/local/lib/dockbridge/dead-man.sh", mode: "755", content: include_str!("bootstrap/dead-man.sh") },
    File { path: GROW_SCRIPT, mode: "755", content: include_str!("bootstrap/grow.sh") },
    File { path: HOST_KEY_SCRIPT, mode: "755", content: include_str!("bootstrap/host-key.sh") },
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
        path: "/etc/systemd/system/docker.socket.d/dockbridge.conf",
        mode: "644",
        content: include_str!("bootstrap/requires-volume.conf"),
    },
    File {
        path: "/etc/systemd/system/containerd.service.d/dockbridge.conf",
        mode: "644",
        content: include_str!("bootstrap/requires-volume.conf"),
    },
    File { path: "/etc/ssh/sshd_config.d/dockbridge.conf", mode: "644", content: include_str!("bootstrap/sshd.conf") },
];

/// What differs from machine to machine.
#[derive(Debug)]
pub struct Bootstrap<'a> {
    /// The volume with docker's data.
    pub volume: u64,
    /// Presented until it is replaced.
    pub host_key: &'a HostKey,
    /// How long after boot a client has to have found the machine, in seconds.
    pub boot_lease_seconds: u64,
}

/// The host key could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// Encoding failed.
    #[error("the host key for a new machine cannot be encoded")]
    Key(#[from] russh::keys::ssh_key::Error),
    /// Over the cloud's limit.
    #[error("the user-data of a new machine has {0} bytes, more than the {MAX_USER_DATA} that the cloud takes")]
    TooLong(usize),
}

impl Bootstrap<'_> {
    /// The user-data.
    pub fn user_data(&self) -> Result<String, BootstrapError> {
        let config = json!({
            "disable_root": false,
            "ssh_pwauth": false,
            "ssh_deletekeys": true,
            "ssh_genkeytypes": [],
            "ssh_keys": {
                "ed25519_private": self.host_key.private.to_openssh(LineEnding::LF)?.as_str(),
                "ed25519_public": self.host_key.private.public_key().to_openssh()?,
            },
            "package_update": false,
            "package_upgrade": false,
            "bootcmd": [["sh", "-c", self.script()]],
        });
        let text = format!("#cloud-config\n{config}\n");
        if text.len() > MAX_USER_DATA {
            return Err(BootstrapError::TooLong(text.len()));
        }
        Ok(text)
    }

    fn script(&self) -> String {
        let mut script =
            format!("set -e\nmkdir -p {RUN_DIRECTORY} /etc/dockbridge\nprintf '%s\\n' {} >/etc/dockbridge/volume-id\n", self.volume);
        for File { path, mode, content } in FILES {
            let directory = path.rsplit_once('/').map_or("/", |(directory, _)| directory);
            let content = content.replace("@BOOT_LEASE@", &self.boot_lease_seconds.to_string());
            // Writing to a String cannot fail.
            let _ = write!(script, "mkdir -p {directory}\ncat >{path} <<'{END_OF_FILE}'\n{content}{END_OF_FILE}\nchmod {mode} {path}\n");
        }
        script.push_str(include_str!("bootstrap/boot.sh"));
        script
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user_data() -> String {
        let host_key = HostKey::generate().unwrap();
        Bootstrap { volume: 4711, host_key: &host_key, boot_lease_seconds: 900 }.user_data().unwrap()
    }

    #[test]
    fn the_user_data_is_a_cloud_config_within_the_limit_and_names_the_volume() {
        let text = user_data();
        let (head, body) = text.split_once('\n').unwrap();
        assert_eq!(head, "#cloud-config");
        let config: serde_json::Value = serde_json::from_str(body).unwrap();
        let script = config["bootcmd"][0][2].as_str().unwrap();
        assert!(script.contains("printf '%s\\n' 4711 >/etc/dockbridge/volume-id"));
        assert!(script.contains("first_seconds=900\n"));
        assert!(!script.contains("@BOOT_LEASE@"));
    }

    #[test]
    fn every_file_ends_with_a_newline_and_none_contains_the_end_mark() {
        for file in FILES {
            assert!(file.content.ends_with('\n'), "{}", file.path);
            assert!(!file.content.contains(END_OF_FILE), "{}", file.path);
        }
    }

    #[test]
    fn the_scripts_are_valid_posix_sh() {
        for text in
            FILES.iter().filter(|file| file.path.ends_with(".sh")).map(|file| file.content).chain([include_str!("bootstrap/boot.sh")])
        {
            let mut child = std::process::Command::new("sh").arg("-n").stdin(std::process::Stdio::piped()).spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success(), "{text}");
        }
    }
}
