//! The firewall before a server on which an image is built: TCP 22 and nothing else, as before
//! machines. It is made before the server is and goes after it, so that no rescue system is ever
//! without one.

use std::time::Duration;

use hetzner::{Client, FirewallTarget, Labels, NewFirewall, Server};
use machine::Owner;
use tokio::time::{Instant, sleep};

use crate::error::{ImageError, cloud};
use crate::labels;

/// A server that was deleted keeps its firewall in use for a moment.
const LONGEST_USE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The firewall of this name: what an earlier build of the same image left, or a new one.
pub(crate) async fn stand(
    client: &Client,
    owner: &Owner,
    name: &str,
    labels: &Labels,
) -> Result<u64, ImageError> {
    let firewalls = client.firewalls();
    if let Some(left) = firewalls.by_name(name).await.map_err(cloud("look for a firewall"))?
        && labels::is_our_builder(owner, &left.labels)
    {
        // Somebody may have changed it meanwhile.
        let actions = firewalls
            .set_rules(left.id, &machine::only_ssh())
            .await
            .map_err(cloud("set the firewall's rules"))?;
        client.wait(actions).await.map_err(cloud("set the firewall's rules"))?;
        return Ok(left.id);
    }
    let new = NewFirewall {
        name: name.to_owned(),
        rules: machine::only_ssh(),
        labels: labels.clone(),
        apply_to: Vec::new(),
    };
    Ok(firewalls.create(&new).await.map_err(cloud("create the firewall"))?.firewall.id)
}

/// Puts it before a server that is taken over and has it not.
pub(crate) async fn ensure_before(
    client: &Client,
    firewall: u64,
    server: &Server,
) -> Result<(), ImageError> {
    if server.public_net.firewalls.iter().any(|applied| applied.id == firewall) {
        return Ok(());
    }
    let actions = client
        .firewalls()
        .apply(firewall, &[FirewallTarget::server(server.id)])
        .await
        .map_err(cloud("apply the firewall"))?;
    client.wait(actions).await.map_err(cloud("apply the firewall"))
}

/// Deletes one that no server needs any more.
pub(crate) async fn delete(client: &Client, id: u64) -> Result<(), ImageError> {
    let begun = Instant::now();
    loop {
        match client.firewalls().delete(id).await {
            Ok(()) => return Ok(()),
            Err(error)
                if (error.is_in_use() || error.is_locked()) && begun.elapsed() < LONGEST_USE =>
            {
                sleep(LOOK_AGAIN).await
            }
            Err(error) => return Err(cloud("delete the firewall")(error)),
        }
    }
}
