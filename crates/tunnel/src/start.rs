//! Brings the agent to a host and starts it: one command, which asks for the binary only when the
//! host has not got it.
//!
//! The host may greet, warn and print what it likes before; only our own lines count. Several
//! clients may do this at once: each writes a file of its own and renames it into place.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::AgentPlan;
use crate::channel::ChannelIo;
use crate::connection::{ChannelError, Connection};
use crate::marker::{Marker, take_marker};

/// How long a host may take to answer the command, and the agent to come up.
const COMES_UP: Duration = Duration::from_secs(5);
/// How long the binary may travel: 3 MB on an uplink of 1 Mbit/s.
const TRAVELS: Duration = Duration::from_secs(30);
/// What a login shell may print before our first line, in bytes.
const MOST_NOISE: usize = 64 * 1024;

/// Arguments: folder, Docker socket, `--resident` or nothing, folder of the image or nothing, then
/// `arch:hash:size` for each binary. No single quote may stand in it. What came with the image is
/// taken only if it is what we would send.
const SCRIPT: &str = r#"umask 077
d=$1; socket=$2; resident=$3; installed=$4; shift 4
case $d in "~/"*) d=$HOME/${d#??};; esac
arch=$(uname -m); system=$(uname -s); rest=
for b; do case $system:$b in Linux:"$arch":*) rest=${b#*:};; esac; done
[ -n "$rest" ] || { echo "dockbridge-agent unsuitable no agent for $system on $arch"; exit 1; }
sum=${rest%%:*}; size=${rest#*:}
n=agent-$(printf %.16s "$sum")
f=$d/$n
if ! [ -x "$f" ] && [ -n "$installed" ] && [ -x "$installed/$n" ]; then
case $(sha256sum < "$installed/$n") in "$sum"*) f=$installed/$n;; esac
fi
if ! [ -x "$f" ]; then
mkdir -p "$d" && t=$(mktemp "$d/.agent.XXXXXX") || { echo "dockbridge-agent unsuitable $d cannot be written"; exit 1; }
trap "rm -f \"$t\"" EXIT HUP TERM
echo "dockbridge-agent wanted $arch"
head -c "$size" > "$t"
[ "$(wc -c < "$t")" -eq "$size" ] || { echo "dockbridge-agent unsuitable it arrived incomplete in $d"; exit 1; }
if command -v sha256sum > /dev/null; then
case $(sha256sum < "$t") in "$sum"*) ;; *) echo "dockbridge-agent unsuitable it arrived damaged in $d"; exit 1;; esac
fi
chmod 700 "$t" && mv -f "$t" "$f" || { echo "dockbridge-agent unsuitable $f cannot be written"; exit 1; }
trap - EXIT HUP TERM
fi
exec "$f" session $resident --docker-socket "$socket""#;

/// The agent for one kind of machine.
pub(crate) struct Binary {
    arch: &'static str,
    digest: String,
    bytes: Bytes,
}

/// The name under which an agent that comes with an image is looked for, from the binary.
pub fn installed_agent(binary: &[u8]) -> String {
    format!("agent-{}", &HEXLOWER.encode(&Sha256::digest(binary))[..16])
}

/// The agent's session: a channel that carries yamux from here on, or why there is none.
pub(crate) enum Started {
    Running(ChannelIo),
    Unsuitable(String),
}

/// All agents of a folder. The name only finds them; the kind of machine is read from the file.
pub(crate) async fn binaries(folder: &Path) -> Result<Vec<Binary>, String> {
    let unreadable = |error: io::Error| {
        format!(
            "the agent's folder {} cannot be read: \
        {error}",
            folder.display()
        )
    };
    let mut entries = tokio::fs::read_dir(folder).await.map_err(unreadable)?;
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
        true => Err(format!("{} holds no dockbridge-agent", folder.display())),
        false => Ok(found),
    }
}

/// What `uname -m` says on the machines that an ELF file is for.
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

/// Starts the agent, after sending it where it is missing.
pub(crate) async fn start(
    connection: &Arc<Connection>,
    plan: &AgentPlan,
    socket: &str,
    binaries: &[Binary],
) -> Result<Started, String> {
    let mut channel = connection.session().await.map_err(|error| match error {
        ChannelError::Refused(message) => format!("the host runs no commands: {message}"),
        ChannelError::Dead(reason) => reason,
    })?;
    channel.exec(&command(plan, socket, binaries)).await.map_err(|error| error.to_string())?;
    let mut talk = Talk { channel: &mut channel, heard: BytesMut::new() };
    let mut first = talk.marker().await?;
    if let Marker::Wanted(arch) = &first {
        let Some(binary) = binaries.iter().find(|binary| binary.arch == arch) else {
            return Err(format!("the host asked for an agent for `{arch}`, which was not offered"));
        };
        talk.send(&binary.bytes).await?;
        first = talk.marker().await?;
    }
    match first {
        Marker::Ready => {
            let rest = talk.heard.freeze();
            channel.push_back(rest);
            Ok(Started::Running(channel))
        }
        Marker::Unsuitable(reason) => Ok(Started::Unsuitable(reason)),
        Marker::Wanted(_) => Ok(Started::Unsuitable("the host asked for the agent twice".into())),
    }
}

fn command(plan: &AgentPlan, socket: &str, binaries: &[Binary]) -> String {
    let resident = if plan.resident { "--resident" } else { "" };
    let installed = quoted(plan.installed.as_deref().unwrap_or_default());
    let mut command = format!(
        "exec sh -c '{SCRIPT}' dockbridge {} {} '{resident}' \
        {installed}",
        quoted(&plan.directory),
        quoted(socket)
    );
    for Binary { arch, digest, bytes } in binaries {
        command.push_str(&format!(" {arch}:{digest}:{}", bytes.len()));
    }
    command
}

/// One word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

struct Talk<'a> {
    channel: &'a mut ChannelIo,
    heard: BytesMut,
}

impl Talk<'_> {
    async fn marker(&mut self) -> Result<Marker, String> {
        let found = tokio::time::timeout(COMES_UP, async {
            loop {
                if let Some(marker) = take_marker(&mut self.heard) {
                    return Ok(marker);
                }
                if self.heard.len() > MOST_NOISE {
                    return Err("the host's shell prints too much before it starts a \
                        command"
                        .to_owned());
                }
                if !matches!(self.channel.read_buf(&mut self.heard).await, Ok(1..)) {
                    return Err(self.last_words().await);
                }
            }
        });
        found.await.unwrap_or_else(|_| {
            Err(format!("the agent did not come up within {} s", COMES_UP.as_secs()))
        })
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        match tokio::time::timeout(TRAVELS, self.channel.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("the agent could not be sent: {error}")),
            Err(_) => Err(format!("the agent could not be sent within {} s", TRAVELS.as_secs())),
        }
    }

    async fn last_words(&mut self) -> String {
        while self.channel.next().await.is_some() {}
        let stderr = self.channel.stderr();
        let said = stderr.lines().last().unwrap_or("it said nothing");
        match self.channel.exit_status() {
            Some(status) => format!("the agent did not start (status {status}): {said}"),
            None => format!("the agent did not start: {said}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_stands_in_single_quotes() {
        assert!(!SCRIPT.contains('\''));
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
