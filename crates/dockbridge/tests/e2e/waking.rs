//! The way to a machine where the cloud does not do what it was asked for, or not at once: what is
//! created, what it costs in requests and in money.

mod books;
mod host_key;
mod progress;
mod requests;
mod starts;
mod stock;

use serde_json::Value;

use crate::rig::Stage;

/// The ids of all servers that the project was ever billed for, by the cloud's own account.
async fn billed(stage: &Stage) -> Vec<u64> {
    let bill = stage.told_by_the_cloud("bill").await;
    let servers = bill
        .as_object()
        .and_then(|projects| projects.values().next())
        .map(|project| project["servers"].clone());
    let servers = servers.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    servers.iter().map(|server| server["id"].as_u64().unwrap()).collect()
}

/// Where the only server is, and of which type.
async fn only_server(stage: &Stage) -> (String, String) {
    let mut servers = stage.api.servers().list(&hetzner::Query::default()).await.unwrap();
    assert_eq!(servers.len(), 1, "{servers:?}");
    let server = servers.remove(0);
    (server.server_type.name, server.location.name)
}
