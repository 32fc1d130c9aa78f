//! Uploads the agent to a host and starts it: one command, which requests the binary only if the
//! host lacks it.
//!
//! The host may print anything before; only dockbridge's own lines count. Several clients may do
//! this at once: each writes a file of its own and renames it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::agent_banner::{Banner, take_banner};
use crate::agent_log;
use crate::agents::{Agents, EmbeddedAgent};
use crate::channel::ChannelIo;
use crate::connection::{ChannelError, Connection};
use crate::options::AgentPlan;

/// How long a host may take to answer the command, and the agent to start.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the upload may take: 3 MB on an uplink of 1 Mbit/s.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How much a login shell may print first, in bytes.
const MAX_NOISE: usize = 64 * 1024;

/// Arguments: directory, Docker socket, flags of the session, directory of the image or nothing,
/// then `arch:hash:size` for each binary. It must not contain a single quote. A binary that came
/// with the image is used only if it equals the one that would be uploaded.
const SCRIPT: &str = r#"umask 077
d=$1; socket=$2; flags=$3; installed=$4; shift 4
case $d in "~/"*) d=$HOME/${d#??};; esac
arch=$(uname -m); system=$(uname -s); rest=
for b; do case $system:$b in Linux:"$arch":*) rest=${b#*:};; esac; done
fail() { echo "dockbridge-agent unsuitable $1"; exit 1; }
[ -n "$rest" ] || fail "no agent for $system on $arch"
sum=${rest%%:*}; size=${rest#*:}
n=agent-$(printf %.16s "$sum")
f=$d/$n
if ! [ -x "$f" ] && [ -n "$installed" ] && [ -x "$installed/$n" ]; then
case $(sha256sum < "$installed/$n") in "$sum"*) f=$installed/$n;; esac
fi
if ! [ -x "$f" ]; then
mkdir -p "$d" && t=$(mktemp "$d/.agent.XXXXXX") || fail "$d cannot be written"
trap "rm -f \"$t\"" EXIT HUP TERM
echo "dockbridge-agent wanted $arch"
head -c "$size" > "$t"
[ "$(wc -c < "$t")" -eq "$size" ] || fail "it arrived incomplete in $d"
if command -v sha256sum > /dev/null; then
case $(sha256sum < "$t") in "$sum"*) ;; *) fail "it arrived damaged in $d";; esac
fi
chmod 700 "$t" && mv -f "$t" "$f" || fail "$f cannot be written"
trap - EXIT HUP TERM
fi
exec "$f" session $flags --docker-socket "$socket""#;

/// The agent for one architecture.
pub(crate) struct Binary {
    arch: &'static str,
    digest: String,
    bytes: Bytes,
}

/// The file name of an agent that is installed in an image, derived from the binary.
pub fn installed_agent(binary: &[u8]) -> String {
    format!("agent-{}", &HEXLOWER.encode(&Sha256::digest(binary))[..16])
}

/// Why no agent runs.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error("none is planned")]
    NotPlanned,
    #[error("the agent's directory {} cannot be read", directory.display())]
    Directory { directory: PathBuf, source: io::Error },
    #[error("{} contains no dockbridge-agent", directory.display())]
    NoBinary { directory: PathBuf },
    #[error("the host runs no commands")]
    NoCommands(#[source] ChannelError),
    #[error(transparent)]
    Ended(ChannelError),
    #[error(transparent)]
    Session(#[from] russh::Error),
    #[error("the host's shell prints too much before it starts a command")]
    Noise,
    #[error("the host needs an agent for `{arch}`, which was not offered")]
    NotOffered { arch: String },
    #[error("the host requested the agent twice")]
    RequestedTwice,
    /// The host's message.
    #[error("{0}")]
    Unsuitable(String),
    #[error("the agent could not be uploaded")]
    Upload(#[source] io::Error),
    #[error("the agent could not be uploaded within {} s", UPLOAD_TIMEOUT.as_secs())]
    UploadTimedOut,
    #[error("the agent did not start within {} s", START_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the agent did not start{}: {stderr}", shown(*status))]
    Failed { status: Option<u32>, stderr: String },
}

fn shown(status: Option<u32>) -> String {
    status.map(|status| format!(" (status {status})")).unwrap_or_default()
}

/// Reads all agents. In a directory the name only finds them; the architecture is read from the
/// file.
pub(crate) async fn binaries(agents: &Agents) -> Result<Vec<Binary>, StartError> {
    let directory = match agents {
        Agents::Directory(directory) => directory,
        Agents::Embedded(agents) => return Ok(agents.iter().filter_map(unpacked).collect()),
    };
    let unreadable =
        |source: io::Error| StartError::Directory { directory: directory.clone(), source };
    let mut entries = tokio::fs::read_dir(directory).await.map_err(unreadable)?;
    let mut found: Vec<Binary> = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(unreadable)? {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some(suffix) = name.strip_prefix("dockbridge-agent") else { continue };
        if !suffix.is_empty() && !suffix.starts_with('-') {
            continue;
        }
        let Ok(bytes) = tokio::fs::read(entry.path()).await else { continue };
        let Some(arch) = arch(&bytes) else { continue };
        if suffix.strip_prefix('-').is_none_or(|named| named == arch)
            && found.iter().all(|binary| binary.arch != arch)
        {
            found.push(Binary {
                arch,
                digest: HEXLOWER.encode(&Sha256::digest(&bytes)),
                bytes: bytes.into(),
            });
        }
    }
    match found.is_empty() {
        true => Err(StartError::NoBinary { directory: directory.clone() }),
        false => Ok(found),
    }
}

/// An agent of this program; `None` if it is damaged, which is as if it were missing.
fn unpacked(agent: &EmbeddedAgent) -> Option<Binary> {
    let bytes = agent.unpack().ok()?;
    let digest = HEXLOWER.encode(&Sha256::digest(&bytes));
    Some(Binary { arch: agent.arch, digest, bytes: bytes.into() })
}

/// The output of `uname -m` on machines for which an ELF file is built.
fn arch(elf: &[u8]) -> Option<&'static str> {
    // e_ident: magic, 64 bit, little endian; e_machine at 18 (ELF specification, "ELF header").
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    match elf.get(18..20)? {
        [62, 0] => Some("x86_64"),
        [183, 0] => Some("aarch64"),
        _ => None,
    }
}

/// Starts the agent, and uploads it first if it is missing. Its channel then carries yamux.
pub(crate) async fn start(
    connection: &Arc<Connection>,
    plan: &AgentPlan,
    socket: &str,
    binaries: &[Binary],
) -> Result<ChannelIo, StartError> {
    let mut channel = connection.session().await.map_err(|error| match error {
        refused @ ChannelError::Refused(_) => StartError::NoCommands(refused),
        dead @ ChannelError::Dead(_) => StartError::Ended(dead),
    })?;
    channel.exec(&command(plan, socket, binaries)).await?;
    let mut dialog = Dialog { channel: &mut channel, output: BytesMut::new() };
    let mut first = dialog.banner().await?;
    if let Banner::Wanted(arch) = &first {
        let Some(binary) = binaries.iter().find(|binary| binary.arch == arch) else {
            return Err(StartError::NotOffered { arch: arch.clone() });
        };
        dialog.upload(&binary.bytes).await?;
        first = dialog.banner().await?;
    }
    match first {
        Banner::Ready => {
            let rest = dialog.output.freeze();
            channel.push_back(rest);
            channel.log_stderr();
            Ok(channel)
        }
        Banner::Unsuitable(reason) => Err(StartError::Unsuitable(reason)),
        Banner::Wanted(_) => Err(StartError::RequestedTwice),
    }
}

fn command(plan: &AgentPlan, socket: &str, binaries: &[Binary]) -> String {
    let resident = if plan.resident { "--resident" } else { "" };
    let debug = if agent_log::wants_debug() { "--debug" } else { "" };
    let installed = quoted(plan.installed.as_deref().unwrap_or_default());
    let (directory, socket) = (quoted(&plan.directory), quoted(socket));
    let arguments = format!("{directory} {socket} '{resident} {debug}' {installed}");
    let mut command = format!("exec sh -c '{SCRIPT}' dockbridge {arguments}");
    for Binary { arch, digest, bytes } in binaries {
        command.push_str(&format!(" {arch}:{digest}:{}", bytes.len()));
    }
    command
}

/// One word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The script's output and input before the agent's protocol begins.
struct Dialog<'a> {
    channel: &'a mut ChannelIo,
    output: BytesMut,
}

impl Dialog<'_> {
    async fn banner(&mut self) -> Result<Banner, StartError> {
        let found = tokio::time::timeout(START_TIMEOUT, async {
            loop {
                if let Some(banner) = take_banner(&mut self.output) {
                    return Ok(banner);
                }
                if self.output.len() > MAX_NOISE {
                    return Err(StartError::Noise);
                }
                if !matches!(self.channel.read_buf(&mut self.output).await, Ok(1..)) {
                    return Err(self.failure().await);
                }
            }
        });
        found.await.unwrap_or(Err(StartError::TimedOut))
    }

    async fn upload(&mut self, bytes: &[u8]) -> Result<(), StartError> {
        match tokio::time::timeout(UPLOAD_TIMEOUT, self.channel.write_all(bytes)).await {
            Ok(uploaded) => uploaded.map_err(StartError::Upload),
            Err(_) => Err(StartError::UploadTimedOut),
        }
    }

    async fn failure(&mut self) -> StartError {
        while self.channel.next().await.is_some() {}
        let stderr = self.channel.stderr();
        let last = stderr.lines().last().unwrap_or("no message");
        StartError::Failed { status: self.channel.exit_status(), stderr: last.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_can_be_single_quoted() {
        assert!(!SCRIPT.contains('\''));
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn a_failed_start_is_shown_with_its_status_and_causes() {
        let failed = |status| StartError::Failed { status, stderr: "no room".to_owned() };
        let shown = |error: StartError| agent_proto::with_causes(&error);
        assert_eq!(shown(failed(Some(126))), "the agent did not start (status 126): no room");
        assert_eq!(shown(failed(None)), "the agent did not start: no room");
        let refused = ChannelError::Refused("AdministrativelyProhibited".to_owned());
        assert_eq!(
            shown(StartError::NoCommands(refused)),
            "the host runs no commands: AdministrativelyProhibited"
        );
        let ended = ChannelError::Dead("no answer for 6 s".to_owned());
        assert_eq!(shown(StartError::Ended(ended)), "no answer for 6 s");
        let upload = StartError::Upload(io::ErrorKind::BrokenPipe.into());
        assert_eq!(shown(upload), "the agent could not be uploaded: broken pipe");
    }
}
