//! What builds made on their way and did not remove, because they were killed.

use std::path::Path;
use std::time::Duration;

use hetzner::{Client, Query, ServerStatus};
use machine::{Books, Owner};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::error::{ImageError, cloud};
use crate::labels::{self, BUILD, HOST};
use crate::lock::{self, Lock};
use crate::steps::{self, LONGEST_BUILD, age};
use crate::wall;

/// A deletion takes seconds.
const LONGEST_DELETE: Duration = Duration::from_secs(5 * 60);
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// A snapshot that is being made keeps its server and itself locked.
const LONGEST_LOCK: Duration = Duration::from_secs(10 * 60);

/// Something left over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOver {
    /// `server`, `firewall` or `ssh_key`.
    pub kind: &'static str,
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Why nobody needs it, in words for a person.
    pub because: String,
}

/// What builds of this owner left: those of this computer that do not live, by their locks, and
/// those of others that are too old to.
pub async fn left_over(
    client: &Client,
    owner: &Owner,
    locks: &Path,
) -> Result<Vec<LeftOver>, ImageError> {
    let ours = Query::labels(labels::builder_selector(owner));
    let servers = client.servers().list(&ours).await.map_err(cloud("list the servers"))?;
    let firewalls = client.firewalls().list(&ours).await.map_err(cloud("list the firewalls"))?;
    let keys = client.ssh_keys().list(&ours).await.map_err(cloud("list the SSH keys"))?;
    let mut left = Vec::new();
    for server in servers.iter().filter(|server| labels::is_our_builder(owner, &server.labels)) {
        if is_dead(&server.labels, age(server), locks)? {
            let because = "an image was built on it, and the build is over".to_owned();
            left.push(LeftOver {
                kind: "server",
                id: server.id,
                name: server.name.clone(),
                because,
            });
        }
    }
    for firewall in
        firewalls.iter().filter(|firewall| labels::is_our_builder(owner, &firewall.labels))
    {
        if is_dead(&firewall.labels, since(firewall.created), locks)? {
            let because =
                "it stood before a server on which an image was built, and the build is over"
                    .to_owned();
            left.push(LeftOver {
                kind: "firewall",
                id: firewall.id,
                name: firewall.name.clone(),
                because,
            });
        }
    }
    for key in keys.iter().filter(|key| labels::is_our_builder(owner, &key.labels)) {
        if is_dead(&key.labels, since(key.created), locks)? {
            let because = "it let a build into its server, and the build is over".to_owned();
            left.push(LeftOver { kind: "ssh_key", id: key.id, name: key.name.clone(), because });
        }
    }
    Ok(left)
}

fn since(moment: jiff::Timestamp) -> Duration {
    Duration::try_from(jiff::Timestamp::now().duration_since(moment)).unwrap_or_default()
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

/// Removes one.
pub async fn remove_left_over(
    client: &Client,
    owner: &Owner,
    books: &Books,
    left: &LeftOver,
) -> Result<(), ImageError> {
    match left.kind {
        "server" => delete_server(client, owner, books, left.id).await,
        "firewall" => wall::delete(client, left.id).await,
        _ => client.ssh_keys().delete(left.id).await.map_err(cloud("delete the SSH key")),
    }
}

/// Removes all that a selector picks: servers first, for they bill. `begins` hears that there is
/// something.
pub(crate) async fn remove_all(
    client: &Client,
    owner: &Owner,
    books: &Books,
    selector: &str,
    begins: impl FnOnce(),
) -> Result<(), ImageError> {
    let query = Query::labels(selector);
    let (mut servers, mut firewalls, mut keys) = tokio::try_join!(
        async { client.servers().list(&query).await.map_err(cloud("list the servers")) },
        async { client.firewalls().list(&query).await.map_err(cloud("list the firewalls")) },
        async { client.ssh_keys().list(&query).await.map_err(cloud("list the SSH keys")) },
    )?;
    servers.retain(|server| labels::is_our_builder(owner, &server.labels));
    firewalls.retain(|firewall| labels::is_our_builder(owner, &firewall.labels));
    keys.retain(|key| labels::is_our_builder(owner, &key.labels));
    if !(servers.is_empty() && firewalls.is_empty() && keys.is_empty()) {
        begins();
    }
    for server in servers {
        delete_server(client, owner, books, server.id).await?;
    }
    for firewall in firewalls {
        wall::delete(client, firewall.id).await?;
    }
    for key in keys {
        client.ssh_keys().delete(key.id).await.map_err(cloud("delete the SSH key"))?;
    }
    Ok(())
}

/// Deletes a server and waits until it is gone. Its labels are read once more: ids are numbers, and
/// this cannot be taken back.
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
        let Some(server) = servers.get(id).await.map_err(cloud("look at the server"))? else {
            if let Some(server) = last {
                books.server_gone(&server, steps::prices(client).await.as_ref());
            }
            return Ok(());
        };
        if !labels::is_our_builder(owner, &server.labels) {
            tracing::error!(id, "not deleted: its labels are not ours");
            return Ok(());
        }
        // The build that made it may have been killed before it could report it.
        if last.is_none() {
            books.server(&server, None);
        }
        if server.status != ServerStatus::Deleting {
            match servers.delete(id).await {
                Ok(action) => client
                    .wait(action.into_iter().collect())
                    .await
                    .map_err(cloud("delete the server"))?,
                Err(error) if error.is_locked() && begun.elapsed() < LONGEST_LOCK => {}
                Err(error) => return Err(cloud("delete the server")(error)),
            }
        } else if begun.elapsed() > LONGEST_DELETE {
            return Err(ImageError::ServerGone {
                what: format!("the deletion of server {id} does not end"),
            });
        }
        last = Some(server);
        sleep(LOOK_AGAIN).await;
    }
}

/// Deletes a snapshot that is of no use; one that is still being made is locked until that has
/// ended.
pub(crate) async fn delete_image(client: &Client, id: u64) -> Result<(), ImageError> {
    let begun = Instant::now();
    loop {
        match client.images().delete(id).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_locked() && begun.elapsed() < LONGEST_LOCK => {
                sleep(LOOK_AGAIN).await
            }
            Err(error) => return Err(cloud("delete the unfinished snapshot")(error)),
        }
    }
}
