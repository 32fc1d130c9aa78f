//! Labels the public addresses of servers. They are created and deleted with a server; the labels
//! identify an address that stays behind anyway as dockbridge's.

use hetzner::Query;

use super::project::Cloud;
use crate::error::MachineError;
use crate::operation::Operation;

impl Cloud {
    /// Labels the addresses that were created with a server.
    pub(super) async fn label_addresses(&self, server: u64) -> Result<(), MachineError> {
        let addresses = self.client.primary_ips();
        let found = addresses
            .list(&Query::default())
            .await
            .map_err(MachineError::cloud(Operation::ListPrimaryIps))?;
        for address in found.into_iter().filter(|address| address.assignee_id == Some(server)) {
            if self.options.identity.owns(&address.labels) {
                continue;
            }
            let mut labels = address.labels;
            labels.extend(self.options.identity.labels("address"));
            addresses
                .update(address.id, None, Some(&labels))
                .await
                .map_err(MachineError::cloud(Operation::LabelPrimaryIp))?;
        }
        Ok(())
    }
}
