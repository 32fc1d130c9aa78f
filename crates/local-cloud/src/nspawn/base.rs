//! The base system of every server's disk: Debian with docker, root login by key and cloud-init,
//! like the `docker-ce` app image. Built once per recipe and kept in a cache directory; machines
//! only read it. The packages come from this host's own mirror (`DOCKBRIDGE_BASE_MIRROR` names
//! another). `debian` builds the first one, `derived` variants with another engine. Knows nothing
//! of servers.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::tool::During;
use super::{debian, derived};
use crate::hypervisor::Failure;
use crate::options::ContainerEngine;

/// Directory of the base systems: `DOCKBRIDGE_BASE_CACHE`, or one below `/var/cache`.
pub fn cache() -> PathBuf {
    std::env::var_os("DOCKBRIDGE_BASE_CACHE")
        .map_or_else(|| PathBuf::from("/var/cache/dockbridge/base"), PathBuf::from)
}

/// Whether the base system exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its path, existing or not.
    pub root: PathBuf,
    /// Whether it exists already. Building it takes about a minute and a Debian mirror.
    pub ready: bool,
}

/// Looks, without building anything.
pub fn status(cache: &Path) -> Status {
    status_of(cache, ContainerEngine::default())
}

/// Looks for the base system with this engine, without building anything.
pub fn status_of(cache: &Path, engine: ContainerEngine) -> Status {
    let name = derived::Recipe::of(engine)
        .map_or_else(debian::name, |recipe| recipe.name(&debian::name()));
    let root = cache.join(name);
    let ready = root.is_dir();
    Status { root, ready }
}

/// Builds the base system if it does not exist, and returns its root. Concurrent callers build it
/// once. `progress` gets one line per step.
pub async fn ensure(
    cache: &Path,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<PathBuf, Failure> {
    ensure_of(cache, ContainerEngine::default(), progress).await
}

/// [`ensure`] for the base system with this engine.
pub async fn ensure_of(
    cache: &Path,
    engine: ContainerEngine,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<PathBuf, Failure> {
    let wanted = status_of(cache, engine);
    if wanted.ready {
        return Ok(wanted.root);
    }
    std::fs::create_dir_all(cache).during(format!("make {}", cache.display()))?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(cache.join("lock"));
    let lock = lock.during("open the lock of the base system")?;
    let lock = tokio::task::spawn_blocking(move || {
        flock(&lock, FlockOperation::LockExclusive).map(|()| lock)
    })
    .await
    .during("wait for another build of the base system")?
    .during("wait for another build of the base system")?;
    let first = status(cache);
    if !first.ready {
        place(&first.root, async |building| debian::make(building, cache, &lock, progress).await)
            .await?;
    }
    if let Some(recipe) = derived::Recipe::of(engine)
        && !status_of(cache, engine).ready
    {
        place(&wanted.root, async |building| {
            recipe.make(building, &first.root, &lock, progress).await
        })
        .await?;
    }
    Ok(wanted.root)
}

/// Builds a root next to its final path, and moves it there when it is complete.
async fn place(
    root: &Path,
    make: impl AsyncFnOnce(&Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    let building = root.with_file_name(format!(".making-{name}"));
    remove_tree(&building).during("remove an incomplete base system")?;
    if let Err(failure) = make(&building).await {
        let _ = remove_tree(&building);
        return Err(failure);
    }
    std::fs::rename(&building, root).during("move the base system to its path")
}

fn remove_tree(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
