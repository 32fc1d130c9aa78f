//! The container engine of new servers, changed by a control request.

use reqwest::Method;
use serde_json::json;

use crate::rig::Rig;

#[tokio::test]
async fn the_engine_of_new_servers_is_changed_while_the_cloud_runs() {
    let rig = Rig::start().await;
    for engine in ["28", "podman", "rootless", "26"] {
        rig.control(Method::POST, "/engine", json!({"engine": engine})).await.expect(200);
    }
    rig.control(Method::POST, "/engine", json!({"engine": "27"})).await.expect(422);
    rig.control(Method::POST, "/engine", json!({})).await.expect(422);
}
