//! Builds the image of dockbridge's own machines: a server runs the cloud's docker image, gets the
//! agent and the files that all machines share, and loses everything that identifies it. What
//! differs between machines is still in the user-data; see `machine::BaseFiles`.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use hetzner::{Client, Image, ImageStatus, Server, ServerStatus};
use machine::{BaseFiles, HostKey, LIBRARY_DIRECTORY, MACHINE_IMAGE};
use russh::keys::PrivateKey;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tunnel::{HostKeys, Tunnel};

use crate::build_server::NewDisk;
use crate::builder::{Builder, MOST_CONNECTIONS};
use crate::error::ImageError;
use crate::event::Phase;
use crate::labels::{ENGINE, Name};
use crate::login::{self, LoginTarget, SERVER};
use crate::operation::Operation;
use crate::order::{MachineImage, Order};

/// Runs on the server, and prints one line for each stage.
const SCRIPT: &str = include_str!("machine_image/prepare.sh");
/// The longest line that it prints, in bytes.
const LONGEST_LINE: u64 = 4 * 1024;

/// The content of the image, known before anything is created.
pub(crate) struct MachineBuild {
    base: Image,
    agent: Vec<u8>,
    base_files: BaseFiles,
}

impl MachineBuild {
    /// Reads the agent, and asks the cloud for the image to start from. Creates nothing.
    pub(crate) async fn prepare(
        client: &Client,
        order: &Order,
        wanted: &MachineImage,
    ) -> Result<Self, ImageError> {
        let agent = login::agent(&order.agents, &order.architecture).await?;
        let found = client.images().of_architecture(&wanted.base, order.architecture.clone()).await;
        let found = found.map_err(ImageError::cloud(Operation::ListImages))?;
        let none = || ImageError::NoBaseImage {
            name: wanted.base.clone(),
            architecture: order.architecture.to_string(),
        };
        let base = found.filter(|image| image.status == ImageStatus::Available).ok_or_else(none)?;
        Ok(Self { base, agent, base_files: BaseFiles::new(wanted.boot_lease_seconds) })
    }

    /// Identifies the content: the cloud's image, the agent, the base files and the script.
    pub(crate) fn source(&self) -> String {
        format!("image {}, content {}", self.base.id, self.digest())
    }

    /// The dockbridge version, followed by a short hash of what was installed.
    pub(crate) fn version(&self) -> Result<Name, ImageError> {
        let version = format!("{}-{}", env!("CARGO_PKG_VERSION"), &self.digest()[..12]);
        Name::parse(&version).map_err(|error| ImageError::Prepare { message: error.to_string() })
    }

    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.agent[..], self.base_files.script().as_bytes(), SCRIPT.as_bytes()] {
            hash.update(Sha256::digest(part));
        }
        HEXLOWER.encode(&hash.finalize())
    }

    pub(crate) async fn to_snapshot(&self, builder: &Builder<'_>) -> Result<Image, ImageError> {
        let key = machine::generate_key("dockbridge image build").map_err(ImageError::Key)?;
        let key = Arc::new(key);
        let host_key = HostKey::generate().map_err(ImageError::Key)?;
        let user_data = machine::builder_user_data(&host_key, key.public_key())?;
        let needed = builder.prerequisites(&key).await?;
        let server = match builder.earlier_server(&needed).await? {
            Some(earlier) => self.rebuild(builder, earlier, &user_data).await?,
            None => {
                let disk = NewDisk { image: self.base.id, disk: 0, user_data: Some(user_data) };
                builder.create(&needed, &disk).await?
            }
        };
        builder.phase(Phase::Boot, Some(format!("server {}", server.id)));
        let engine = self.install(builder, &server, &host_key, &key).await?;
        builder.power_off(server.id).await?;
        let mut labels = builder.recipe.labels(&builder.order.owner);
        labels.insert(MACHINE_IMAGE.to_owned(), self.digest()[..16].to_owned());
        labels.extend(
            Name::parse(&engine).ok().map(|engine| (ENGINE.to_owned(), engine.to_string())),
        );
        builder.snapshot(server.id, &labels).await
    }

    /// Overwrites the server of an earlier build: how far that build came is not known, and its key
    /// is lost.
    async fn rebuild(
        &self,
        builder: &Builder<'_>,
        server: Server,
        user_data: &str,
    ) -> Result<Server, ImageError> {
        let servers = builder.client.servers();
        let rebuilt = servers.rebuild(server.id, self.base.id, user_data).await;
        builder.settled(Operation::RebuildServer, rebuilt).await?;
        let read = servers.get(server.id).await;
        let read = read.map_err(ImageError::cloud(Operation::ReadServer))?;
        let server = read.ok_or_else(|| ImageError::ServerGone {
            what: format!("server {} does not exist any more", server.id),
        })?;
        if server.status == ServerStatus::Off {
            builder.settled(Operation::StartServer, servers.power_on(server.id).await).await?;
        }
        Ok(server)
    }

    /// Installs everything on the server. Returns the version of its engine.
    async fn install(
        &self,
        builder: &Builder<'_>,
        server: &Server,
        host_key: &HostKey,
        key: &Arc<PrivateKey>,
    ) -> Result<String, ImageError> {
        let host_keys = HostKeys::Pinned(vec![host_key.fingerprint()].into());
        let limit = builder.order.answer_timeout;
        let target = LoginTarget { what: SERVER, host_keys, key, limit };
        let mut broken = 0;
        loop {
            let tunnel = builder.until(login::connect(builder.client, server, &target)).await?;
            let mut stripped = false;
            let installed = builder.until(self.run(&tunnel, builder, &mut stripped)).await;
            tunnel.close().await;
            match installed {
                // After the strip no login is possible.
                Err(ImageError::Lost { last, .. }) if !stripped => {
                    broken += 1;
                    if broken == MOST_CONNECTIONS {
                        return Err(ImageError::Lost { what: SERVER, times: broken, last });
                    }
                    builder.note(format!(
                        "the connection to the server broke: {last}; starting again from the \
                        beginning"
                    ));
                }
                outcome => return outcome,
            }
        }
    }

    /// Sets `stripped` once the script removes the keys of the login.
    async fn run(
        &self,
        tunnel: &Tunnel,
        builder: &Builder<'_>,
        stripped: &mut bool,
    ) -> Result<String, ImageError> {
        builder.phase(Phase::Prepare, None);
        let agent = format!("{LIBRARY_DIRECTORY}/{}", tunnel::installed_agent(&self.agent));
        let sum = HEXLOWER.encode(&Sha256::digest(&self.agent));
        let put = format!(
            "set -e; umask 022; mkdir -p {LIBRARY_DIRECTORY}; cat >{agent}.new; \
            echo '{sum}  {agent}.new' | sha256sum --check --status; \
            chmod 755 {agent}.new; mv -f {agent}.new {agent}"
        );
        exec(tunnel, "install the agent", &put, &self.agent).await?;
        let files = self.base_files.script();
        exec(tunnel, "write the base files", "exec sh -s", files.as_bytes()).await?;

        let mut process =
            tunnel.start("exec sh -s").await.map_err(|error| lost(machine::with_causes(&error)))?;
        let mut input = process.take_input();
        let feeding = async {
            // A script that ends early reports why by itself.
            let _ = input.write_all(SCRIPT.as_bytes()).await;
            let _ = input.shutdown().await;
            std::future::pending::<()>().await;
        };
        let mut lines = BufReader::new(process).take(LONGEST_LINE);
        let reading = read_stages(&mut lines, builder, stripped);
        let done = tokio::select! {
            done = reading => done,
            () = feeding => None,
        };
        if let Some(engine) = done {
            return Ok(engine);
        }
        if let Some(reason) = tunnel.is_dead() {
            return Err(lost(reason));
        }
        let end = lines.into_inner().into_inner().ended().await;
        match end.status {
            None => {
                let without_status = || "the script ended without a status".to_owned();
                Err(lost(tunnel.is_dead().unwrap_or_else(without_status)))
            }
            Some(status) => Err(ImageError::Prepare {
                message: format!("{} (status {status})", last_line(&end.stderr)),
            }),
        }
    }
}

type Lines = tokio::io::Take<BufReader<tunnel::Process>>;

/// Reports what the script prints. Returns the engine's version if the script reached its end.
async fn read_stages(
    lines: &mut Lines,
    builder: &Builder<'_>,
    stripped: &mut bool,
) -> Option<String> {
    let mut line = String::new();
    while lines.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        match line.trim_end().split_once(' ') {
            Some(("stage", "strip")) => {
                *stripped = true;
                builder.phase(Phase::Strip, None);
            }
            Some(("note", message)) => builder.note(message.to_owned()),
            Some(("done", engine)) => return Some(engine.to_owned()),
            _ => tracing::debug!(line, "output of the script"),
        }
        line.clear();
        lines.set_limit(LONGEST_LINE);
    }
    None
}

/// Runs a command on the server; `what` is a verb and its object.
async fn exec(tunnel: &Tunnel, what: &str, command: &str, input: &[u8]) -> Result<(), ImageError> {
    let output =
        tunnel.exec(command, input).await.map_err(|error| lost(machine::with_causes(&error)))?;
    match output.status {
        Some(0) => Ok(()),
        None => Err(lost(format!("the command to {what} ended without a status"))),
        Some(status) => {
            let printed = String::from_utf8_lossy(&output.stderr).into_owned();
            let last = last_line(&printed);
            Err(ImageError::Prepare {
                message: format!("it could not {what}: {last} (status {status})"),
            })
        }
    }
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("without a message").trim().to_owned()
}

fn lost(last: String) -> ImageError {
    ImageError::Lost { what: SERVER, times: 1, last }
}
