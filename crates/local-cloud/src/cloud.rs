//! A running local cloud: locks its directory, resumes the saved state, listens, saves changes,
//! and leaves nothing running when it closes.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::Api;
use crate::api::listener::{self, CannotListen, Listeners};
use crate::catalogue::Catalogue;
use crate::hypervisor::{Failure, Hypervisor};
use crate::none::Nothing;
use crate::nspawn::Nspawn;
use crate::options::{Access, Machines, Options, Token};
use crate::state::store;
use crate::work::engine::Engine;
use crate::work::pace::Durations;

/// Changes within this time are saved together.
const SAVE_AFTER: Duration = Duration::from_millis(50);

/// How long requests and effects may take to finish when the cloud closes.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Project of the token that is created when none is given.
const DEFAULT_PROJECT: &str = "default";

/// A running local cloud. Dropping it stops it too, but without waiting for the machines.
pub struct Cloud {
    engine: Arc<Engine>,
    address: SocketAddr,
    bridge: Option<IpAddr>,
    token: String,
    directory: PathBuf,
    lock: Option<File>,
}

/// Why a local cloud did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another local cloud uses the directory.
    #[error("another local cloud uses {directory}")]
    InUse {
        /// The state directory.
        directory: PathBuf,
    },
    /// Listening on the address failed.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The state directory is unusable.
    #[error("cannot use the state directory {directory}")]
    State {
        /// The state directory.
        directory: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// This host cannot run machines.
    #[error("cannot run machines on this host")]
    Machines(#[source] Failure),
    /// The built-in catalogue cannot be parsed.
    #[error("the built-in catalogue is damaged")]
    Catalogue(#[source] serde_json::Error),
}

impl From<CannotListen> for StartError {
    fn from(CannotListen { address, source }: CannotListen) -> Self {
        Self::Listen { address, source }
    }
}

impl Cloud {
    /// Starts a local cloud. It answers once this returns.
    pub async fn start(options: Options) -> Result<Cloud, StartError> {
        let directory = options.state;
        let state = |source| StartError::State { directory: directory.clone(), source };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&directory).map_err(state)?;
        let lock = store::claim(&directory)
            .map_err(state)?
            .ok_or_else(|| StartError::InUse { directory: directory.clone() })?;
        let tokens = tokens(options.tokens, &directory).map_err(state)?;
        let catalogue = Catalogue::built_in()
            .map_err(StartError::Catalogue)?
            .shown_as(options.stock, options.removed_properties);
        // Far from small numbers and from the catalogue's, so that no test can rely on either.
        let mut world =
            store::load(&directory, rand::random_range(1_000_000..50_000_000)).map_err(state)?;
        store::after_a_break(&mut world, Timestamp::now());

        let mut listeners = Listeners::bind(options.listen).await?;
        let (hypervisor, bridge): (Arc<dyn Hypervisor>, Option<IpAddr>) = match options.machines {
            Machines::None => (Arc::new(Nothing::default()), None),
            Machines::Nspawn => {
                let nspawn = Box::pin(Nspawn::start(&directory, options.sshd))
                    .await
                    .map_err(StartError::Machines)?;
                nspawn.set_engine(options.engine).await.map_err(StartError::Machines)?;
                if options.emulate_arm64 {
                    nspawn.emulate_arm64().await.map_err(StartError::Machines)?;
                }
                let gateway = nspawn.gateway();
                listeners = listeners.also_on(gateway.into()).await?;
                (Arc::new(nspawn), Some(gateway.into()))
            }
        };
        let durations =
            Durations::new(options.pace, options.pace_seed.unwrap_or_else(rand::random));
        tracing::info!(seed = durations.seed(), pace = ?options.pace, "seed of the durations of \
         actions");
        let engine = Arc::new(Engine::new(world, catalogue, hypervisor, durations));
        let cloud = Cloud {
            engine: engine.clone(),
            address: listeners.address,
            bridge,
            token: tokens
                .iter()
                .find(|t| t.access == Access::ReadWrite)
                .or(tokens.first())
                .map(|t| t.secret.clone())
                .unwrap_or_default(),
            directory,
            lock: Some(lock),
        };
        engine.spawn_listener();
        engine.spawn_sampler();
        engine.resume().await;

        let api = Arc::new(Api::new(engine.clone(), &tokens, options.limits));
        if let Some(on_bridge) = listeners.on_bridge {
            engine.tasks.spawn(listener::serve(on_bridge, api.clone(), bridge));
        }
        engine.tasks.spawn(listener::serve(listeners.main, api, bridge));
        engine.tasks.spawn(save_changes(engine.clone(), cloud.directory.clone()));
        Ok(cloud)
    }

    /// The API's base address, for `HCLOUD_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        format!("http://{}/v1", SocketAddr::new(ip, self.address.port()))
    }

    /// The same API on the machines' bridge, reachable from this host and from the machines.
    pub fn machine_endpoint(&self) -> Option<String> {
        self.bridge
            .map(|bridge| format!("http://{}/v1", SocketAddr::new(bridge, self.address.port())))
    }

    /// The first token with write access.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Stops all machines, saves the state and waits until nothing runs any more. Disks and
    /// volumes stay in the state directory.
    pub async fn close(mut self) {
        self.engine.stop.cancel();
        self.engine.tasks.close();
        if tokio::time::timeout(CLOSE_WITHIN, self.engine.tasks.wait()).await.is_err() {
            tracing::warn!("some requests did not finish in time");
        }
        if let Err(failure) = self.engine.hypervisor.close().await {
            tracing::warn!(
                what = failure.what,
                cause = failure.cause,
                "the machines did not stop cleanly"
            );
        }
        save(&self.engine, &self.directory).await;
        self.lock.take();
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.engine.stop.cancel();
        self.engine.tasks.close();
        let (Some(lock), Ok(runtime)) = (self.lock.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let engine = self.engine.clone();
        // The owner did not wait; the runtime does it as soon as it can.
        runtime.spawn(async move {
            if let Err(failure) = engine.hypervisor.close().await {
                tracing::warn!(
                    what = failure.what,
                    cause = failure.cause,
                    "the machines did not stop cleanly"
                );
            }
            drop(lock);
        });
    }
}

/// The given tokens. If none of them may write, the one in the directory as well, which is created
/// if it is missing.
fn tokens(mut given: Vec<Token>, directory: &Path) -> io::Result<Vec<Token>> {
    if given.iter().any(|token| token.access == Access::ReadWrite) {
        return Ok(given);
    }
    let path = directory.join("token");
    let secret = match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {
            // 64 letters and digits, like Hetzner's.
            let secret: String =
                (0..4).map(|_| format!("{:016x}", rand::random::<u64>())).collect();
            store::write_private(&path, secret.as_bytes())?;
            secret
        }
    };
    given.push(Token::new(secret, DEFAULT_PROJECT, Access::ReadWrite));
    Ok(given)
}

async fn save_changes(engine: Arc<Engine>, directory: PathBuf) {
    loop {
        tokio::select! {
            () = engine.stop.cancelled() => return,
            () = engine.changed.notified() => {}
        }
        tokio::time::sleep(SAVE_AFTER).await;
        save(&engine, &directory).await;
    }
}

async fn save(engine: &Engine, directory: &Path) {
    let bytes = serde_json::to_vec(&*engine.world());
    let directory = directory.to_owned();
    let saved = tokio::task::spawn_blocking(move || {
        store::save(&directory, &bytes.map_err(io::Error::other)?)
    })
    .await;
    match saved.map_err(io::Error::other) {
        Ok(Ok(())) => {}
        Ok(Err(error)) | Err(error) => tracing::warn!(%error, "cannot save the state"),
    }
}
