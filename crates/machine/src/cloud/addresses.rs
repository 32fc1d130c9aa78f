//! The public addresses of our servers. They come with a server and go with it; labelled, one that
//! stays all the same is known as ours.

use hetzner::Query;

use super::{Cloud, cloud};
use crate::error::MachineError;

impl Cloud {
    /// Labels what came with a server.
    pub(super) async fn label_addresses(&self, server: u64) -> Result<(), MachineError> {
        let addresses = self.client.primary_ips();
        let found =
            addresses.list(&Query::default()).await.map_err(cloud("list the primary IPs"))?;
        for address in found.into_iter().filter(|address| address.assignee_id == Some(server)) {
            if self.options.identity.owns(&address.labels) {
                continue;
            }
            let mut labels = address.labels;
            labels.extend(self.options.identity.labels("address"));
            addresses
                .update(address.id, None, Some(&labels))
                .await
                .map_err(cloud("label the primary IP"))?;
        }
        Ok(())
    }
}
