//! Waits for actions.

use std::time::Duration;

use dockbridge_hetzner::{Action, Code, CreatedServer, Error};
use serde_json::{Value, json};

use crate::bodies::{action, server};
use crate::scripted::{Cloud, reply};

fn actions(all: &[Value]) -> Vec<Action> {
    all.iter().map(|action| serde_json::from_value(action.clone()).unwrap()).collect()
}

fn running(ids: impl IntoIterator<Item = u64>) -> Vec<Action> {
    ids.into_iter().flat_map(|id| actions(&[action(id, "start_server", "running")])).collect()
}

fn listed(ids: impl IntoIterator<Item = u64>, status: &str) -> Value {
    json!({"actions": ids.into_iter().map(|id| action(id, "start_server",
        status)).collect::<Vec<_>>()})
}

fn ids(ids: impl IntoIterator<Item = u64>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| format!("id={id}")).collect();
    format!("GET /actions?{}", ids.join("&"))
}

#[tokio::test]
async fn many_actions_are_polled_in_few_requests() {
    let cloud = Cloud::with([
        reply(200, listed(1..=25, "success")),
        // In the order of the API, not of the request.
        reply(200, listed((26..=30).rev(), "running")),
        reply(200, listed(26..=30, "success")),
    ])
    .await;
    cloud.client().wait(running(1..=30)).await.unwrap();
    assert_eq!(cloud.lines(), [ids(1..=25), ids(26..=30), ids(26..=30)]);
}

#[tokio::test]
async fn ended_actions_are_not_polled() {
    let cloud = Cloud::with([]).await;
    cloud.client().wait(actions(&[action(1, "create_volume", "success")])).await.unwrap();
    cloud.client().wait(Vec::new()).await.unwrap();
    assert!(cloud.asked().is_empty());
}

#[tokio::test]
async fn actions_that_follow_a_creation_are_awaited_too() {
    let created: CreatedServer = serde_json::from_value(json!({
        "server": server(42, "a", json!({})),
        "action": action(1, "create_server", "running"),
        "next_actions": [action(2, "start_server", "running"), action(3, "attach_volume",
        "running")],
        "root_password": null
    }))
    .unwrap();
    let cloud = Cloud::with([
        reply(
            200,
            json!({"actions": [
                action(1, "create_server", "success"), action(2, "start_server", "running"),
                    action(3, "attach_volume", "running")
            ]}),
        ),
        reply(
            200,
            json!({"actions": [action(2, "start_server", "success"), action(3,
            "attach_volume", "error")]}),
        ),
    ])
    .await;
    let error = cloud.client().wait(created.actions()).await.unwrap_err();
    let Error::Action { id: 3, command, code: Code::ActionFailed, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(command, "attach_volume");
    assert_eq!(error.to_string(), "action attach_volume (3) failed: Action failed (action_failed)");
    assert_eq!(cloud.lines(), [ids(1..=3), ids(2..=3)]);
}

#[tokio::test]
async fn first_failure_in_order_is_returned() {
    let cloud = Cloud::with([reply(
        200,
        json!({"actions": [action(9, "start_server", "error"), action(4,
            "create_server", "error")]}),
    )])
    .await;
    let begun =
        actions(&[action(4, "create_server", "running"), action(9, "start_server", "running")]);
    let error = cloud.client().wait(begun).await.unwrap_err();
    assert!(matches!(error, Error::Action { id: 4, .. }), "{error:?}");
}

#[tokio::test]
async fn failed_action_is_an_error_without_a_request() {
    let cloud = Cloud::with([]).await;
    let error =
        cloud.client().wait(actions(&[action(1, "create_volume", "error")])).await.unwrap_err();
    assert!(matches!(error, Error::Action { id: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn action_that_the_cloud_forgot_is_an_error() {
    let cloud = Cloud::with([reply(200, listed([1], "running"))]).await;
    let error = cloud.client().wait(running([1, 2])).await.unwrap_err();
    assert!(matches!(&error, Error::ActionUnknown { ids } if *ids == [2]), "{error:?}");
}

#[tokio::test]
async fn unknown_status_is_not_an_end() {
    let cloud =
        Cloud::with([reply(200, listed([1], "paused")), reply(200, listed([1], "success"))]).await;
    cloud.client().wait(running([1])).await.unwrap();
    assert_eq!(cloud.asked().len(), 2);
}

#[tokio::test]
async fn timeout_names_the_actions_that_still_run() {
    let cloud = Cloud::with([reply(
        200,
        json!({"actions": [action(1, "a", "success"), action(2, "b", "running")]}),
    )])
    .await;
    let error =
        cloud.client().wait_at_most(running([1, 2]), Duration::from_millis(1)).await.unwrap_err();
    assert!(matches!(&error, Error::TimedOut { ids, .. } if *ids == [2]), "{error:?}");
}
