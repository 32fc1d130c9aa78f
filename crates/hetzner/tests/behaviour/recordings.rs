//! Published recordings of the live API's answers: their fields and values, in today's shape.

use dockbridge_hetzner::{ActionStatus, Code, Labels, NewServer, ServerStatus};
use serde_json::{Value, json};

use crate::bodies::server;
use crate::scripted::{Answer, Cloud, reply};

fn new_server() -> NewServer {
    NewServer {
        name: "s".into(),
        server_type: "cx23".into(),
        image: "docker-ce".into(),
        ..NewServer::default()
    }
}

fn running(id: u64, command: &str, started: &str, resources: Value) -> Value {
    json!({"id": id, "command": command, "status": "running", "progress": 0, "started": started,
        "finished": null,
        "resources": resources, "error": null})
}

/// An error as the API writes it: on several lines, the message first.
fn written(status: u16, message: &str, code: &str, details: &str) -> Answer {
    let body = format!(
        "{{\n  \"error\": {{\n    \"message\": \"{message}\",\n    \"code\": \"{code}\",\n    \
        \"details\": {details}\n  }}\n}}\n"
    );
    reply(status, body).header("content-type", "application/json")
}

/// 2020-07-01: `locked` is false while the server is created, times have an offset, and the start
/// has a lower id than the creation.
#[tokio::test]
async fn server_that_was_just_created() {
    const STARTED: &str = "2020-07-01T09:24:39+00:00";
    let on_server = json!([{"id": 6_509_900, "type": "server"}]);
    let mut made = server(6_509_900, "s", json!({}));
    for (field, value) in [
        ("created", json!(STARTED)),
        ("status", json!("initializing")),
        ("locked", json!(false)),
        ("outgoing_traffic", json!(0)),
        ("ingoing_traffic", json!(0)),
        ("included_traffic", json!(21_990_232_555_520_u64)),
        ("volumes", json!([])),
    ] {
        made[field] = value;
    }
    made["image"]["image_size"] = json!(2.271_634_077_148_44);
    let cloud = Cloud::with([reply(
        201,
        json!({"server": made, "action": running(74_738_062, "create_server", STARTED,
            on_server.clone()),
            "next_actions": [running(74_738_060, "start_server", STARTED, on_server)],
            "root_password": "abcdefghij0123456789"}),
    )])
    .await;
    let created = cloud.client().servers().create(&new_server()).await.unwrap();
    assert_eq!(
        (&created.server.status, created.server.locked),
        (&ServerStatus::Initializing, false)
    );
    assert_eq!(created.server.created.to_string(), "2020-07-01T09:24:39Z");
    let ids: Vec<u64> = created.actions().iter().map(|action| action.id).collect();
    assert_eq!(ids, [74_738_062, 74_738_060], "the creation first, whatever the ids are");
    assert!(
        created
            .actions()
            .iter()
            .all(|action| action.status == ActionStatus::Running && action.error.is_none())
    );
}

/// 2018-03-02: without `next_actions`.
#[tokio::test]
async fn created_server_without_further_actions() {
    const STARTED: &str = "2018-03-02T08:44:07+00:00";
    let action =
        running(279_192, "create_server", STARTED, json!([{"id": 544_037, "type": "server"}]));
    let body = json!({"server": server(544_037, "test", json!({})), "action": action,
        "root_password": null});
    let created = Cloud::with([reply(201, body)])
        .await
        .client()
        .servers()
        .create(&new_server())
        .await
        .unwrap();
    assert_eq!((created.server.id, created.actions().len()), (544_037, 1));
}

/// 2023-01-27: an action on a kind of resource that the client does not know.
#[tokio::test]
async fn actions_that_follow_a_creation() {
    const STARTED: &str = "2023-01-27T12:51:55+00:00";
    let on_server = json!([{"id": 28_067_295, "type": "server"}]);
    let on_both =
        json!([{"id": 28_067_295, "type": "server"}, {"id": 2_450_993, "type": "network"}]);
    let next = [
        running(881_261_022, "start_server", STARTED, on_server.clone()),
        running(881_261_023, "attach_to_network", STARTED, on_both),
    ];
    let action = running(881_261_021, "create_server", STARTED, on_server);
    let body = json!({"server": server(28_067_295, "s", json!({})), "action": action,
        "next_actions": next, "root_password": null});
    let created = Cloud::with([reply(201, body)])
        .await
        .client()
        .servers()
        .create(&new_server())
        .await
        .unwrap();
    let commands: Vec<&str> =
        created.next_actions.iter().map(|action| action.command.as_str()).collect();
    assert_eq!(commands, ["start_server", "attach_to_network"]);
}

/// 2022-04-13 (412) and 2022-02-17 (403), with the headers of those answers; December 2025 to March
/// 2026 (412).
#[tokio::test]
async fn refusals_with_their_headers() {
    let with_headers = |answer: Answer, remaining: u32, reset: u64| {
        answer
            .header("ratelimit-limit", 3600)
            .header("ratelimit-remaining", remaining)
            .header("ratelimit-reset", reset)
            .header("x-correlation-id", "6c4be35cf2e8ed9d")
            .header("strict-transport-security", "max-age=15724800; includeSubDomains")
            .header("access-control-allow-origin", "*")
            .header("access-control-allow-credentials", "true")
    };
    let limits = concat!(
        "{\n      \"limits\": [\n        {\n          \"name\": \"server_limit\"\n",
        "        }\n      ]\n    }",
    );
    let no_stock = written(412, "error during placement", "resource_unavailable", "null");
    let limit = written(403, "server limit exceeded", "resource_limit_exceeded", limits);
    let length = |answer: &Answer| match answer {
        Answer::Reply { body, .. } => body.len(),
        _ => 0,
    };
    assert_eq!((length(&no_stock), length(&limit)), (118, 202), "the recorded lengths");
    for (answer, is_stock_out, code, left) in [
        (with_headers(no_stock, 3598, 1_649_831_460), true, Code::ResourceUnavailable, 3598),
        (with_headers(limit, 3576, 1_645_111_095), false, Code::ResourceLimitExceeded, 3576),
    ] {
        let cloud = Cloud::with([answer]).await;
        let error = cloud.client().servers().create(&new_server()).await.unwrap_err();
        assert_eq!((error.code(), error.is_stock_out()), (Some(&code), is_stock_out), "{error}");
        let refusal = error.api().unwrap();
        assert_eq!(refusal.request_id.as_deref(), Some("6c4be35cf2e8ed9d"));
        assert_eq!(refusal.rate_limit.unwrap().remaining, left);
        assert_eq!(cloud.lines(), ["POST /servers"], "it is not repeated");
    }
    let disabled =
        Cloud::with([written(412, "server location disabled", "resource_unavailable", "{}")]).await;
    let error = disabled.client().servers().create(&new_server()).await.unwrap_err();
    assert!(error.is_stock_out(), "another location may do: {error}");
}

/// Documented: a read-only token is refused with the status of an invalid one, and is valid.
#[tokio::test]
async fn read_only_token() {
    let refused =
        written(401, "token is only allowed to perform GET requests", "token_readonly", "null");
    let error = Cloud::with([refused])
        .await
        .client()
        .ssh_keys()
        .create("k", "ssh-ed25519 A", &Labels::new())
        .await
        .unwrap_err();
    assert!(error.is_read_only() && !error.is_unauthorized(), "{error}");
}

/// Documented: an endpoint that was removed.
#[tokio::test]
async fn removed_endpoint() {
    let details = concat!(
        r#"{"announcement": "https://docs.hetzner.cloud/changelog"#,
        r##"#2023-07-20-foo-endpoint-is-deprecated"}"##,
    );
    let removed = written(410, "API functionality was removed", "deprecated_api_endpoint", details);
    let error = Cloud::with([removed]).await.client().servers().reboot(1).await.unwrap_err();
    assert_eq!(error.code(), Some(&Code::DeprecatedApiEndpoint));
    assert!(!error.is_not_found());
}
