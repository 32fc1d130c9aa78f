//! The audit log over a machine's life: it contains each server that was created and deleted, with
//! actor and reason, and no secret.

use serde_json::Value;

use super::only_server;
use crate::rig::{Stage, pass_over};

async fn entries(stage: &Stage) -> Vec<Value> {
    let printed = stage.dockbridge(&["audit", "--json"]).await;
    printed.succeeded().stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Actor and reason of the only call of this method to this path.
fn of(entries: &[Value], method: &str, path: &str) -> (String, String) {
    let found: Vec<&Value> =
        entries.iter().filter(|entry| entry["method"] == method && entry["path"] == path).collect();
    assert_eq!(found.len(), 1, "{method} {path}: {entries:#?}");
    let text = |field: &str| found[0][field].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("result"), "accepted", "{}", found[0]);
    (text("actor"), text("reason"))
}

#[tokio::test]
async fn what_changed_the_cloud_is_in_the_audit_log_with_who_and_why() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let words = stage.dockbridge(&["audit"]).await;
    assert!(
        words.succeeded().stdout.contains("No call of this profile has changed the cloud."),
        "{words}"
    );
    let idle = [
        ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "2s"),
        ("DOCKBRIDGE_ACTIVITY_CONNECTION_TIMEOUT", "2s"),
        ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "1s"),
    ];
    let daemon = stage.start(&idle).await;
    stage.docker(&["ps"]).await.succeeded();
    let first = only_server(&stage).await;
    let gone = async || stage.counts().await.0 == 0;
    stage.eventually("it goes for idleness", std::time::Duration::from_secs(60), gone).await;
    daemon.stop().await;
    let daemon = stage.start(&[]).await;
    stage.docker(&["ps"]).await.succeeded();
    let second = only_server(&stage).await;
    stage.dockbridge(&["server", "destroy"]).await.succeeded();
    let status = daemon.client().status().await.unwrap();
    let end = status.last_end.expect("the end is in the status");
    assert_eq!(
        (end.server, end.actor, end.because.as_str()),
        (Some(second), machine::Actor::User, "it was asked for")
    );
    daemon.stop().await;

    let entries = entries(&stage).await;
    let created: Vec<Option<u64>> = entries
        .iter()
        .filter(|entry| entry["method"] == "POST" && entry["path"] == "/servers")
        .map(|entry| entry["id"].as_u64())
        .collect();
    assert_eq!(created, [Some(first), Some(second)], "each server that was made");
    let (actor, reason) = of(&entries, "DELETE", &format!("/servers/{first}"));
    assert!(actor == "policy" && reason.starts_with("nothing has"), "{actor}: {reason}");
    let (actor, reason) = of(&entries, "DELETE", &format!("/servers/{second}"));
    assert_eq!((actor.as_str(), reason.as_str()), ("user", "it was asked for"));
    let written =
        std::fs::read_to_string(stage.directory.path().join("home/state/default/audit.jsonl"));
    let written = written.unwrap_or_else(|_| entries.iter().map(Value::to_string).collect());
    for secret in ["PRIVATE KEY", "#cloud-config", stage.cloud.token()] {
        assert!(!written.contains(secret), "{secret:?} is in the log");
    }
    let words = stage.dockbridge(&["audit"]).await;
    assert!(
        words.succeeded().stdout.contains(&format!(
            "DELETE /servers/{second} ({second})  accepted  by an order of the user: it was asked \
             for"
        )),
        "{words}"
    );
    stage.close().await;
}
