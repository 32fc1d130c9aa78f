//! Ends of machines and their reasons: how an unreachable server is classified, and that an order
//! of the user stops whatever is in progress.

mod audit;
mod blocked;
pub(crate) mod network;
mod orders;
mod verdicts;

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

/// The only server of the project.
async fn only_server(stage: &Stage) -> u64 {
    let look = stage.look().await;
    let ids: Vec<u64> =
        look["server_ids"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert_eq!(ids.len(), 1, "one server: {look}");
    ids[0]
}
