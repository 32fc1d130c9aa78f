//! A wake where the cloud does not do what it was asked, or not at once: what is created, and its
//! cost in requests and money.

mod books;
mod host_key;
mod progress;
mod requests;
mod starts;
mod stock;

use serde_json::Value;

use crate::rig::Stage;

/// The ids of all servers that the project was ever billed for, according to the cloud.
async fn billed(stage: &Stage) -> Vec<u64> {
    let bill = stage.control().get("bill").await;
    let servers = bill
        .as_object()
        .and_then(|projects| projects.values().next())
        .map(|project| project["servers"].clone());
    let servers = servers.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    servers.iter().map(|server| server["id"].as_u64().unwrap()).collect()
}

/// Location and type of the only server.
async fn only_server(stage: &Stage) -> (String, String) {
    let mut servers = stage.api.servers().list(&hetzner::Query::default()).await.unwrap();
    assert_eq!(servers.len(), 1, "{servers:?}");
    let server = servers.remove(0);
    (server.server_type.name, server.location.name)
}
