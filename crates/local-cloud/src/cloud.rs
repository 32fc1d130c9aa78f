//! A running local cloud: takes its folder, wakes what was saved there, listens, saves what
//! changes, and leaves nothing running when it closes.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;

use crate::api::{Api, listener};
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

/// How long requests and effects may take to end when the cloud closes.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// The project of the token that is made when none is given.
const DEFAULT_PROJECT: &str = "default";

/// A running local cloud. Dropping it ends it too, but without waiting for the machines.
pub struct Cloud {
    engine: Arc<Engine>,
    address: SocketAddr,
    bridge: Option<IpAddr>,
    token: String,
    folder: PathBuf,
    lock: Option<File>,
}

/// Why a local cloud did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another local cloud works in the folder.
    #[error("another local cloud uses {folder}")]
    InUse {
        /// The state folder.
        folder: PathBuf,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The state folder cannot be used.
    #[error("cannot use the state folder {folder}")]
    State {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The machines cannot be had on this host.
    #[error("cannot run machines on this host")]
    Machines(#[source] Failure),
    /// The catalogue that is built in does not decode.
    #[error("the built-in catalogue is damaged")]
    Catalogue(#[source] serde_json::Error),
}

impl Cloud {
    /// Starts a local cloud. It answers when this returns.
    pub async fn start(options: Options) -> Result<Cloud, StartError> {
        let folder = options.state;
        let state = |source| StartError::State { folder: folder.clone(), source };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&folder).map_err(state)?;
        let lock = store::claim(&folder)
            .map_err(state)?
            .ok_or_else(|| StartError::InUse { folder: folder.clone() })?;
        let tokens = tokens(options.tokens, &folder).map_err(state)?;
        let catalogue = Catalogue::built_in()
            .map_err(StartError::Catalogue)?
            .shown_as(options.stock, options.removed_properties);
        // Far from small numbers and from the catalogue's, so that no test comes to rely on either.
        let mut world =
            store::load(&folder, rand::random_range(1_000_000..50_000_000)).map_err(state)?;
        store::after_a_break(&mut world, Timestamp::now());

        let listen = |source| StartError::Listen { address: options.listen, source };
        let main = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = main.local_addr().map_err(listen)?;
        let (hypervisor, bridge): (Arc<dyn Hypervisor>, Option<IpAddr>) = match options.machines {
            Machines::None => (Arc::new(Nothing::default()), None),
            Machines::Nspawn => {
                let nspawn = Box::pin(Nspawn::start(&folder, address.port(), options.sshd))
                    .await
                    .map_err(StartError::Machines)?;
                nspawn.set_engine(options.engine).await.map_err(StartError::Machines)?;
                let gateway = nspawn.gateway();
                (Arc::new(nspawn), Some(gateway.into()))
            }
        };
        let durations =
            Durations::new(options.pace, options.pace_seed.unwrap_or_else(rand::random));
        tracing::info!(seed = durations.seed(), pace = ?options.pace, "actions take their time");
        let engine = Arc::new(Engine::new(world, catalogue, hypervisor, durations));
        let cloud = Cloud {
            engine: engine.clone(),
            address,
            bridge,
            token: tokens
                .iter()
                .find(|t| t.access == Access::ReadWrite)
                .or(tokens.first())
                .map(|t| t.secret.clone())
                .unwrap_or_default(),
            folder,
            lock: Some(lock),
        };
        engine.spawn_listener();
        engine.spawn_sampler();
        engine.resume().await;

        let api = Arc::new(Api::new(engine.clone(), &tokens, options.limits));
        // A listener on all addresses is reached over the bridge anyway.
        if let Some(bridge) = bridge.filter(|_| !address.ip().is_unspecified()) {
            let address = SocketAddr::new(bridge, address.port());
            let beside = TcpListener::bind(address)
                .await
                .map_err(|source| StartError::Listen { address, source })?;
            engine.tasks.spawn(listener::serve(beside, api.clone(), Some(bridge)));
        }
        engine.tasks.spawn(listener::serve(main, api, bridge));
        engine.tasks.spawn(save_changes(engine.clone(), cloud.folder.clone()));
        Ok(cloud)
    }

    /// The API's base address, as `HCLOUD_ENDPOINT` wants it.
    pub fn endpoint(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        format!("http://{}/v1", SocketAddr::new(ip, self.address.port()))
    }

    /// The same API on the machines' bridge: reached from this host and from the machines.
    pub fn machine_endpoint(&self) -> Option<String> {
        self.bridge
            .map(|bridge| format!("http://{}/v1", SocketAddr::new(bridge, self.address.port())))
    }

    /// A token that opens the cloud: the first one that may write.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Ends all machines, saves the state and waits until nothing runs any more. Disks and volumes
    /// stay in the state folder.
    pub async fn close(mut self) {
        self.engine.stop.cancel();
        self.engine.tasks.close();
        if tokio::time::timeout(CLOSE_WITHIN, self.engine.tasks.wait()).await.is_err() {
            tracing::warn!("some requests did not end in time");
        }
        if let Err(failure) = self.engine.hypervisor.close().await {
            tracing::warn!(
                what = failure.what,
                cause = failure.cause,
                "the machines did not end \
                cleanly"
            );
        }
        save(&self.engine, &self.folder).await;
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
        // The owner did not wait for the end; it comes as soon as the runtime gets to it.
        runtime.spawn(async move {
            if let Err(failure) = engine.hypervisor.close().await {
                tracing::warn!(
                    what = failure.what,
                    cause = failure.cause,
                    "the machines did not \
                    end cleanly"
                );
            }
            drop(lock);
        });
    }
}

/// Those that were given. If none of them may write, the one in the folder, too, which is made when
/// it is missing.
fn tokens(mut given: Vec<Token>, folder: &Path) -> io::Result<Vec<Token>> {
    if given.iter().any(|token| token.access == Access::ReadWrite) {
        return Ok(given);
    }
    let path = folder.join("token");
    let secret = match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {
            // As long as the original's, 64 letters and digits.
            let secret: String =
                (0..4).map(|_| format!("{:016x}", rand::random::<u64>())).collect();
            store::write_private(&path, secret.as_bytes())?;
            secret
        }
    };
    given.push(Token::new(secret, DEFAULT_PROJECT, Access::ReadWrite));
    Ok(given)
}

async fn save_changes(engine: Arc<Engine>, folder: PathBuf) {
    loop {
        tokio::select! {
            () = engine.stop.cancelled() => return,
            () = engine.changed.notified() => {}
        }
        tokio::time::sleep(SAVE_AFTER).await;
        save(&engine, &folder).await;
    }
}

async fn save(engine: &Engine, folder: &Path) {
    let bytes = serde_json::to_vec(&*engine.world());
    let folder = folder.to_owned();
    let saved = tokio::task::spawn_blocking(move || {
        store::save(&folder, &bytes.map_err(io::Error::other)?)
    })
    .await;
    match saved.map_err(io::Error::other) {
        Ok(Ok(())) => {}
        Ok(Err(error)) | Err(error) => tracing::warn!(%error, "the state was not saved"),
    }
}
