//! Orphans of builds: servers, firewalls and keys that a killed build has not removed.

use std::path::Path;
use std::time::Duration;

use hetzner::{Client, Query, ServerStatus};
use machine::{Books, Orphan, OrphanKind, Owner};
use tokio::time::{Instant, sleep};

use crate::error::ImageError;
use crate::firewall;
use crate::labels::{self, BUILD, HOST};
use crate::lifetime::{LONGEST_BUILD, age, since};
use crate::lock::{self, Lock};
use crate::operation::Operation;
use crate::prices::prices;

/// A deletion takes seconds.
const LONGEST_DELETE: Duration = Duration::from_secs(5 * 60);
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// A snapshot that is being made keeps its server and itself locked.
const LONGEST_LOCK: Duration = Duration::from_secs(10 * 60);

/// Everything that builds have created, as the cloud lists it.
struct Created {
    servers: Vec<hetzner::Server>,
    firewalls: Vec<hetzner::Firewall>,
    keys: Vec<hetzner::SshKey>,
}

impl Created {
    async fn list(client: &Client, owner: &Owner, selector: &str) -> Result<Self, ImageError> {
        let (query, failed) = (Query::labels(selector), ImageError::cloud);
        let (mut servers, mut firewalls, mut keys) = tokio::try_join!(
            async { client.servers().list(&query).await.map_err(failed(Operation::ListServers)) },
            async {
                client.firewalls().list(&query).await.map_err(failed(Operation::ListFirewalls))
            },
            async { client.ssh_keys().list(&query).await.map_err(failed(Operation::ListSshKeys)) },
        )?;
        servers.retain(|server| labels::is_own_builder(owner, &server.labels));
        firewalls.retain(|firewall| labels::is_own_builder(owner, &firewall.labels));
        keys.retain(|key| labels::is_own_builder(owner, &key.labels));
        Ok(Self { servers, firewalls, keys })
    }
}

/// The orphans of this owner's builds. A build of this computer is dead if nothing holds its lock;
/// a build of another computer, if it is too old.
pub async fn orphans(
    client: &Client,
    owner: &Owner,
    locks: &Path,
) -> Result<Vec<Orphan>, ImageError> {
    let selector = labels::builder_selector(owner);
    let Created { servers, firewalls, keys } = Created::list(client, owner, &selector).await?;
    let mut orphans = Vec::new();
    for server in servers {
        if is_dead(&server.labels, age(&server), locks)? {
            orphans.push(Orphan {
                kind: OrphanKind::Server,
                id: server.id,
                name: server.name,
                because: "an image was built on it, and the build is over".to_owned(),
            });
        }
    }
    for firewall in firewalls {
        if is_dead(&firewall.labels, since(firewall.created), locks)? {
            orphans.push(Orphan {
                kind: OrphanKind::Firewall,
                id: firewall.id,
                name: firewall.name,
                because: "it protected the server of an image build, and the build is over"
                    .to_owned(),
            });
        }
    }
    for key in keys {
        if is_dead(&key.labels, since(key.created), locks)? {
            orphans.push(Orphan {
                kind: OrphanKind::SshKey,
                id: key.id,
                name: key.name,
                because: "an image build logged in with it, and the build is over".to_owned(),
            });
        }
    }
    Ok(orphans)
}

fn is_dead(labels: &hetzner::Labels, age: Duration, locks: &Path) -> Result<bool, ImageError> {
    if labels.get(HOST) != Some(&lock::host()) {
        return Ok(age > LONGEST_BUILD);
    }
    match labels.get(BUILD).filter(|key| key.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        Some(key) => Ok(Lock::try_take(locks, key)?.is_some()),
        None => Ok(age > LONGEST_BUILD),
    }
}

/// Deletes an orphan of a build.
pub async fn remove_orphan(
    client: &Client,
    owner: &Owner,
    books: &Books,
    orphan: &Orphan,
) -> Result<(), ImageError> {
    match orphan.kind {
        OrphanKind::Server => delete_server(client, owner, books, orphan.id).await,
        OrphanKind::Firewall => firewall::delete(client, orphan.id).await,
        OrphanKind::SshKey => delete_key(client, orphan.id).await,
        // A build creates none: its server's address is deleted with the server.
        OrphanKind::PrimaryIp => Ok(()),
    }
}

/// Deletes everything of builds that a selector matches: servers first, since they are billed.
/// Calls `begins` if there is anything.
pub(crate) async fn remove_all(
    client: &Client,
    owner: &Owner,
    books: &Books,
    selector: &str,
    begins: impl FnOnce(),
) -> Result<(), ImageError> {
    let Created { servers, firewalls, keys } = Created::list(client, owner, selector).await?;
    if !(servers.is_empty() && firewalls.is_empty() && keys.is_empty()) {
        begins();
    }
    for server in servers {
        delete_server(client, owner, books, server.id).await?;
    }
    for firewall in firewalls {
        firewall::delete(client, firewall.id).await?;
    }
    for key in keys {
        delete_key(client, key.id).await?;
    }
    Ok(())
}

async fn delete_key(client: &Client, id: u64) -> Result<(), ImageError> {
    client.ssh_keys().delete(id).await.map_err(ImageError::cloud(Operation::DeleteSshKey))
}

/// Deletes a server and waits until it is gone. Reads its labels once more: an id is a number, and
/// a deletion cannot be undone.
async fn delete_server(
    client: &Client,
    owner: &Owner,
    books: &Books,
    id: u64,
) -> Result<(), ImageError> {
    let servers = client.servers();
    let begun = Instant::now();
    let mut last = None;
    loop {
        let read = servers.get(id).await.map_err(ImageError::cloud(Operation::ReadServer))?;
        let Some(server) = read else {
            if let Some(server) = last {
                books.server_gone(&server, prices(client).await.as_ref());
            }
            return Ok(());
        };
        if !labels::is_own_builder(owner, &server.labels) {
            tracing::error!(id, "not deleted: its labels are not those of this owner's builds");
            return Ok(());
        }
        // The build that created it may have been killed before it reported it.
        if last.is_none() {
            books.server(&server, None);
        }
        if server.status != ServerStatus::Deleting {
            let failed = || ImageError::cloud(Operation::DeleteServer);
            match servers.delete(id).await {
                Ok(action) => client.wait(action.into_iter().collect()).await.map_err(failed())?,
                Err(error) if error.is_locked() && begun.elapsed() < LONGEST_LOCK => {}
                Err(error) => return Err(failed()(error)),
            }
        } else if begun.elapsed() > LONGEST_DELETE {
            return Err(ImageError::ServerGone {
                what: format!("the deletion of server {id} does not end"),
            });
        }
        last = Some(server);
        sleep(POLL_INTERVAL).await;
    }
}

/// Deletes an incomplete snapshot. While the cloud still makes it, it is locked.
pub(crate) async fn delete_image(client: &Client, id: u64) -> Result<(), ImageError> {
    let begun = Instant::now();
    loop {
        match client.images().delete(id).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_locked() && begun.elapsed() < LONGEST_LOCK => {
                sleep(POLL_INTERVAL).await
            }
            Err(error) => {
                return Err(ImageError::cloud(Operation::DeleteUnfinishedSnapshot)(error));
            }
        }
    }
}
