//! The firewall of a server on which an image is built. It admits TCP 22 only, as that of machines.
//! It is created before the server and deleted after it, so no rescue system is ever without one.

use std::time::Duration;

use hetzner::{Client, FirewallTarget, Labels, NewFirewall, Server};
use machine::Owner;
use tokio::time::{Instant, sleep};

use crate::error::ImageError;
use crate::labels;
use crate::operation::Operation;

/// A deleted server keeps its firewall in use for a moment.
const LONGEST_USE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The firewall of this name: the one of an earlier build of the same image, or a new one.
pub(crate) async fn find_or_create(
    client: &Client,
    owner: &Owner,
    name: &str,
    labels: &Labels,
) -> Result<u64, ImageError> {
    let firewalls = client.firewalls();
    let found = firewalls.by_name(name).await;
    let found = found.map_err(ImageError::cloud(Operation::FindFirewall))?;
    if let Some(earlier) = found
        && labels::is_own_builder(owner, &earlier.labels)
    {
        // Its rules may have been changed since.
        let failed = || ImageError::cloud(Operation::SetFirewallRules);
        let actions = firewalls.set_rules(earlier.id, &machine::only_ssh()).await;
        client.wait(actions.map_err(failed())?).await.map_err(failed())?;
        return Ok(earlier.id);
    }
    let new = NewFirewall {
        name: name.to_owned(),
        rules: machine::only_ssh(),
        labels: labels.clone(),
        apply_to: Vec::new(),
    };
    let created = firewalls.create(&new).await;
    Ok(created.map_err(ImageError::cloud(Operation::CreateFirewall))?.firewall.id)
}

/// Applies the firewall to a server that is taken over, if it is missing there.
pub(crate) async fn ensure_applied(
    client: &Client,
    firewall: u64,
    server: &Server,
) -> Result<(), ImageError> {
    if server.public_net.firewalls.iter().any(|applied| applied.id == firewall) {
        return Ok(());
    }
    let failed = || ImageError::cloud(Operation::ApplyFirewall);
    let actions = client.firewalls().apply(firewall, &[FirewallTarget::server(server.id)]).await;
    client.wait(actions.map_err(failed())?).await.map_err(failed())
}

/// Deletes a firewall, once no server uses it.
pub(crate) async fn delete(client: &Client, id: u64) -> Result<(), ImageError> {
    let begun = Instant::now();
    loop {
        match client.firewalls().delete(id).await {
            Ok(()) => return Ok(()),
            Err(error)
                if (error.is_in_use() || error.is_locked()) && begun.elapsed() < LONGEST_USE =>
            {
                sleep(POLL_INTERVAL).await
            }
            Err(error) => return Err(ImageError::cloud(Operation::DeleteFirewall)(error)),
        }
    }
}
