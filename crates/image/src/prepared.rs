//! The image that our own machines can be made from: a server runs the cloud's docker image, gets
//! the agent and what all machines have, loses what is its own, and is kept. What differs from
//! machine to machine still comes by user-data; see `machine::BaseFiles`.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use hetzner::{Client, Image, ImageStatus, Server, ServerStatus};
use machine::{BaseFiles, HostKey, LIBRARY_DIRECTORY, MACHINE_IMAGE};
use russh::keys::PrivateKey;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tunnel::{HostKeys, Tunnel};

use crate::build::{MachineImage, Order};
use crate::error::{ImageError, cloud};
use crate::event::Phase;
use crate::labels::{ENGINE, Name};
use crate::login::{self, Door};
use crate::steps::{Blank, Build, MOST_PATHS};

/// In words for a person.
const SERVER: &str = "the server";
/// Runs on the server, and tells each stage in a line of its own.
const SCRIPT: &str = include_str!("prepared/prepare.sh");
/// The longest line that it tells, in bytes.
const LONGEST_LINE: u64 = 4 * 1024;

/// What goes into the image, known before anything is made.
pub(crate) struct Preparation {
    base: Image,
    agent: Vec<u8>,
    furnishing: BaseFiles,
}

impl Preparation {
    /// Reads the agent and asks the cloud for the image to begin with.
    pub(crate) async fn begin(
        client: &Client,
        order: &Order,
        wanted: &MachineImage,
    ) -> Result<Self, ImageError> {
        let agent = login::agent(&order.agents, &order.architecture).await?;
        let found = client
            .images()
            .of_architecture(&wanted.base, order.architecture.clone())
            .await
            .map_err(cloud("list the images"))?;
        let none = || ImageError::NoBaseImage {
            name: wanted.base.clone(),
            architecture: order.architecture.to_string(),
        };
        let base = found.filter(|image| image.status == ImageStatus::Available).ok_or_else(none)?;
        Ok(Self { base, agent, furnishing: BaseFiles::new(wanted.boot_lease_seconds) })
    }

    /// What tells it from others: a newer image of the cloud's, agent, furnishing or script is
    /// another one.
    pub(crate) fn source(&self) -> String {
        format!("image {}, content {}", self.base.id, self.digest())
    }

    /// This program's, with what it puts there in short.
    pub(crate) fn version(&self) -> Result<Name, ImageError> {
        let version = format!("{}-{}", env!("CARGO_PKG_VERSION"), &self.digest()[..12]);
        Name::parse(&version).map_err(|error| ImageError::Prepare { message: error.to_string() })
    }

    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.agent[..], self.furnishing.script().as_bytes(), SCRIPT.as_bytes()] {
            hash.update(Sha256::digest(part));
        }
        HEXLOWER.encode(&hash.finalize())
    }

    pub(crate) async fn to_snapshot(&self, build: &Build<'_>) -> Result<Image, ImageError> {
        let key =
            Arc::new(machine::generate_key("dockbridge image build").map_err(ImageError::Key)?);
        let host_key = HostKey::generate().map_err(ImageError::Key)?;
        let user_data = machine::builder_user_data(&host_key, key.public_key())?;
        let footing = build.footing(&key).await?;
        let server = match build.left_server(&footing).await? {
            Some(left) => self.begin_anew(build, left, &user_data).await?,
            None => {
                build
                    .create(
                        &footing,
                        &Blank { image: self.base.id, disk: 0, user_data: Some(user_data) },
                    )
                    .await?
            }
        };
        build.phase(Phase::Boot, Some(format!("server {}", server.id)));
        let engine = self.prepare(build, &server, &host_key, &key).await?;
        build.power_off(server.id).await?;
        let mut labels = build.recipe.labels(&build.order.owner);
        labels.insert(MACHINE_IMAGE.to_owned(), self.digest()[..16].to_owned());
        labels.extend(
            Name::parse(&engine).ok().map(|engine| (ENGINE.to_owned(), engine.to_string())),
        );
        build.snapshot(server.id, &labels).await
    }

    /// What an earlier build did to a server, and how far it came, is not known; and its key is
    /// lost.
    async fn begin_anew(
        &self,
        build: &Build<'_>,
        server: Server,
        user_data: &str,
    ) -> Result<Server, ImageError> {
        let servers = build.client.servers();
        build
            .settled(
                "build the server anew",
                servers.rebuild(server.id, self.base.id, user_data).await,
            )
            .await?;
        let gone = || ImageError::ServerGone {
            what: format!("server {} does not exist any more", server.id),
        };
        let server =
            servers.get(server.id).await.map_err(cloud("look at the server"))?.ok_or_else(gone)?;
        if server.status == ServerStatus::Off {
            build.settled("start the server", servers.power_on(server.id).await).await?;
        }
        Ok(server)
    }

    /// The engine's version.
    async fn prepare(
        &self,
        build: &Build<'_>,
        server: &Server,
        host_key: &HostKey,
        key: &Arc<PrivateKey>,
    ) -> Result<String, ImageError> {
        let host_keys = HostKeys::Pinned(vec![host_key.fingerprint()].into());
        let door = Door { what: SERVER, host_keys, key, limit: build.order.answer_timeout };
        let mut broken = 0;
        loop {
            let tunnel = build.until(login::connect(build.client, server, &door)).await?;
            let mut stripped = false;
            let prepared = build.until(self.on(&tunnel, build, &mut stripped)).await;
            tunnel.close().await;
            match prepared {
                // Behind that nobody gets in any more.
                Err(ImageError::Lost { last, .. }) if !stripped => {
                    broken += 1;
                    if broken == MOST_PATHS {
                        return Err(ImageError::Lost { what: SERVER, times: broken, last });
                    }
                    build.note(format!(
                        "the connection to the server broke: {last}; once more from the \
                            beginning"
                    ));
                }
                outcome => return outcome,
            }
        }
    }

    async fn on(
        &self,
        tunnel: &Tunnel,
        build: &Build<'_>,
        stripped: &mut bool,
    ) -> Result<String, ImageError> {
        build.phase(Phase::Prepare, None);
        let agent = format!("{LIBRARY_DIRECTORY}/{}", tunnel::installed_agent(&self.agent));
        let sum = HEXLOWER.encode(&Sha256::digest(&self.agent));
        let put = format!(
            "set -e; umask 022; mkdir -p {LIBRARY_DIRECTORY}; cat >{agent}.new; echo '{sum}  \
                {agent}.new' | sha256sum --check --status; chmod 755 {agent}.new; mv -f \
                {agent}.new {agent}"
        );
        run(tunnel, "put the agent there", &put, &self.agent).await?;
        run(
            tunnel,
            "write the files that all machines have",
            "exec sh -s",
            self.furnishing.script().as_bytes(),
        )
        .await?;

        let mut process =
            tunnel.start("exec sh -s").await.map_err(|error| lost(machine::with_causes(&error)))?;
        let mut input = process.take_input();
        let feeding = async {
            // A script that ends early tells why by itself.
            let _ = input.write_all(SCRIPT.as_bytes()).await;
            let _ = input.shutdown().await;
            std::future::pending::<()>().await;
        };
        let mut lines = BufReader::new(process).take(LONGEST_LINE);
        let hearing = hear(&mut lines, build, stripped);
        let heard = tokio::select! {
            heard = hearing => heard,
            () = feeding => None,
        };
        if let Some(engine) = heard {
            return Ok(engine);
        }
        if let Some(reason) = tunnel.is_dead() {
            return Err(lost(reason));
        }
        let end = lines.into_inner().into_inner().ended().await;
        match end.status {
            None => Err(lost(
                tunnel.is_dead().unwrap_or_else(|| "the script ended without a status".to_owned()),
            )),
            Some(status) => Err(ImageError::Prepare {
                message: format!("{} (status {status})", last_line(&end.stderr)),
            }),
        }
    }
}

type Lines = tokio::io::Take<BufReader<tunnel::Process>>;

/// Hands on what is told, until the end: the engine's version, if it came to that.
async fn hear(lines: &mut Lines, build: &Build<'_>, stripped: &mut bool) -> Option<String> {
    let mut line = String::new();
    while lines.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        match line.trim_end().split_once(' ') {
            Some(("stage", "strip")) => {
                *stripped = true;
                build.phase(Phase::Strip, None);
            }
            Some(("note", message)) => build.note(message.to_owned()),
            Some(("done", engine)) => return Some(engine.to_owned()),
            _ => tracing::debug!(line, "the script says"),
        }
        line.clear();
        lines.set_limit(LONGEST_LINE);
    }
    None
}

async fn run(tunnel: &Tunnel, what: &str, command: &str, input: &[u8]) -> Result<(), ImageError> {
    let output =
        tunnel.exec(command, input).await.map_err(|error| lost(machine::with_causes(&error)))?;
    match output.status {
        Some(0) => Ok(()),
        None => Err(lost(format!("it could not be told to {what}"))),
        Some(status) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(ImageError::Prepare {
                message: format!("it could not {what}: {} (status {status})", last_line(&said)),
            })
        }
    }
}

fn last_line(text: &str) -> String {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing")
        .trim()
        .to_owned()
}

fn lost(last: String) -> ImageError {
    ImageError::Lost { what: SERVER, times: 1, last }
}
