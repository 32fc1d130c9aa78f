//! Single requests: paging, refusals, retries, the rate budget.

use std::time::Duration;

use dockbridge_hetzner::{Client, Code, Config, Error, Labels, Query};
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::bodies::{action, list, page, server, ssh_key};
use crate::scripted::{Answer, Cloud, TOKEN, client, fast, refusal, reply};

#[tokio::test]
async fn list_contains_all_pages() {
    let keys = |ids: std::ops::Range<u64>| {
        ids.map(|id| ssh_key(id, &format!("key-{id}"), json!({}))).collect()
    };
    let cloud = Cloud::with([
        reply(200, page("ssh_keys", keys(0..50), 1, Some(2))),
        reply(200, page("ssh_keys", keys(50..100), 2, Some(3))),
        reply(200, page("ssh_keys", keys(100..101), 3, None)),
    ])
    .await;
    let found = cloud
        .client()
        .ssh_keys()
        .list(&Query::labels("managed-by=dockbridge,role in (a,b)"))
        .await
        .unwrap();
    assert_eq!(found.iter().map(|key| key.id).collect::<Vec<_>>(), (0..101).collect::<Vec<_>>());
    let selector = "label_selector=managed-by%3Ddockbridge%2Crole+in+%28a%2Cb%29";
    let expected: Vec<String> =
        (1..=3).map(|page| format!("GET /ssh_keys?{selector}&page={page}&per_page=50")).collect();
    assert_eq!(cloud.lines(), expected);
}

#[tokio::test]
async fn incomplete_list_is_an_error() {
    for next in [1, 0] {
        let cloud = Cloud::with([reply(200, page("servers", vec![], 1, Some(next)))]).await;
        let error = cloud.client().servers().list(&Query::default()).await.unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{error:?}");
    }
    let cloud = Cloud::with([reply(200, json!({"meta": {}}))]).await;
    let error = cloud.client().servers().list(&Query::default()).await.unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error:?}");
}

#[tokio::test]
async fn requests_carry_token_and_user_agent() {
    let cloud = Cloud::with([reply(200, list("servers", vec![]))]).await;
    assert_eq!(cloud.client().servers().by_name("a b").await.unwrap(), None);
    let asked = &cloud.asked()[0];
    assert_eq!(asked.line, "GET /servers?name=a+b&page=1&per_page=50");
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(asked.header("user-agent"), Some(concat!("dockbridge/", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn missing_resource_is_none_and_deleting_it_succeeds() {
    let gone = || refusal(404, "not_found", "server with ID '42' not found");
    let cloud = Cloud::with([gone(), gone(), gone()]).await;
    let client = cloud.client();
    assert_eq!(client.servers().get(42).await.unwrap(), None);
    assert_eq!(client.servers().delete(42).await.unwrap(), None);
    client.volumes().delete(42).await.unwrap();
    assert_eq!(cloud.lines(), ["GET /servers/42", "DELETE /servers/42", "DELETE /volumes/42"]);
}

#[tokio::test]
async fn status_404_without_the_apis_error_body_is_an_error() {
    let cloud = Cloud::with([reply(404, "<html>not here</html>"), reply(404, "")]).await;
    let client = cloud.client();
    let error = client.servers().get(42).await.unwrap_err();
    assert!(matches!(error, Error::NotTheApi { .. }) && !error.is_not_found(), "{error}");
    client.volumes().delete(42).await.unwrap_err();
}

#[tokio::test]
async fn refusal_keeps_all_fields_of_the_reply() {
    let body = json!({"error": {
        "code": "invalid_input", "message": "invalid input in field 'size'",
        "details": {"fields": [{"name": "size", "messages": ["is too small"]}]}
    }});
    let cloud = Cloud::with([reply(422, body)
        .header("X-Correlation-ID", "0123456789abcdef")
        .budget(3600, 3412)])
    .await;
    let client = cloud.client();
    let error = client.volumes().resize(7, 9).await.unwrap_err();
    let refusal = error.api().unwrap();
    assert_eq!(refusal.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refusal.code, Code::InvalidInput);
    assert_eq!(refusal.details.as_ref().unwrap()["fields"][0]["name"], "size");
    assert_eq!(refusal.request_id.as_deref(), Some("0123456789abcdef"));
    assert_eq!(refusal.rate_limit.map(|limit| (limit.limit, limit.remaining)), Some((3600, 3412)));
    assert_eq!(refusal.rate_limit, client.rate_limit());
    assert_eq!(
        error.to_string(),
        "POST /volumes/7/actions/resize: invalid input in field 'size' (invalid_input)"
    );
    assert_eq!(cloud.asked()[0].body, json!({"size": 9}));
}

#[tokio::test]
async fn refusals_are_distinguished() {
    async fn error(status: u16, code: &str, message: &str) -> Error {
        Cloud::with([refusal(status, code, message)])
            .await
            .client()
            .servers()
            .reboot(1)
            .await
            .unwrap_err()
    }
    assert!(error(412, "resource_unavailable", "error during placement").await.is_stock_out());
    assert!(error(422, "placement_error", "").await.is_stock_out());
    assert!(
        error(422, "invalid_input", "unsupported location for server type").await.is_stock_out()
    );
    assert!(!error(422, "invalid_input", "invalid input in field 'name'").await.is_stock_out());
    assert!(
        error(401, "unauthorized", "the token you have provided is invalid")
            .await
            .is_unauthorized()
    );
    assert!(error(403, "token_readonly", "").await.is_read_only());
    assert!(
        error(403, "forbidden", "insufficient permissions for this request").await.is_read_only()
    );
    assert!(!error(403, "resource_limit_exceeded", "primary_ip_limit").await.is_read_only());
    assert!(!error(423, "protected", "").await.is_locked());
    assert!(error(409, "uniqueness_error", "").await.is_uniqueness());
    assert_eq!(error(418, "teapot", "").await.code(), Some(&Code::Other("teapot".into())));
    assert!(error(418, "teapot", "").await.to_string().ends_with("(teapot)"));
}

#[tokio::test]
async fn rate_limited_post_is_retried() {
    let cloud = Cloud::with([
        refusal(429, "rate_limit_exceeded", "limit of 3600 requests per hour reached")
            .budget(360_000, 0),
        refusal(409, "conflict", "conflict"),
        reply(201, json!({"action": action(1, "reboot_server", "running")})).budget(360_000, 3599),
    ])
    .await;
    let client = cloud.client();
    assert_eq!(client.servers().reboot(1).await.unwrap().command, "reboot_server");
    assert_eq!(cloud.lines(), ["POST /servers/1/actions/reboot"; 3]);
    assert_eq!(client.rate_limit().unwrap().remaining, 3599);
}

#[tokio::test]
async fn request_to_a_locked_resource_is_retried_a_limited_number_of_times() {
    let locked = || refusal(423, "locked", "cannot perform operation because server is locked");
    let cloud = Cloud::with([
        locked(),
        locked(),
        reply(200, json!({"action": action(1, "delete_server", "running")})),
    ])
    .await;
    assert_eq!(cloud.client().servers().delete(1).await.unwrap().unwrap().id, 1);
    assert_eq!(cloud.asked().len(), 3);

    let cloud = Cloud::with((0..4).map(|_| locked())).await;
    let error = cloud.client().servers().power_on(1).await.unwrap_err();
    assert!(error.is_locked(), "{error}");
    assert_eq!(cloud.asked().len(), 4);
}

#[tokio::test]
async fn read_is_retried_after_any_lost_reply() {
    for lost in [
        Answer::HangUp,
        Answer::Cut,
        reply(502, "<html>bad gateway</html>"),
        refusal(503, "unavailable", ""),
        reply(504, ""),
    ] {
        let cloud =
            Cloud::with([lost, reply(200, json!({"server": server(42, "a", json!({}))}))]).await;
        assert_eq!(cloud.client().servers().get(42).await.unwrap().unwrap().id, 42);
        assert_eq!(cloud.asked().len(), 2);
    }
}

#[tokio::test]
async fn retries_end() {
    let cloud = Cloud::with([Answer::HangUp, Answer::HangUp, Answer::HangUp]).await;
    let error = cloud.client().servers().get(42).await.unwrap_err();
    assert!(matches!(error, Error::Transport { sent: true, .. }), "{error:?}");
    assert_eq!(cloud.asked().len(), 3);
}

#[tokio::test]
async fn missing_reply_ends_with_a_timeout() {
    let cloud = Cloud::with([Answer::Silence, reply(200, list("servers", vec![]))]).await;
    let client =
        cloud.client().with(Config { request_timeout: Duration::from_millis(200), ..fast() });
    assert_eq!(client.servers().list(&Query::default()).await.unwrap(), []);
    assert_eq!(cloud.asked().len(), 2);
}

#[tokio::test]
async fn action_is_not_started_again_after_a_lost_reply() {
    for lost in [Answer::HangUp, Answer::Cut, reply(502, ""), refusal(504, "timeout", "")] {
        let cloud = Cloud::with([lost]).await;
        let error = cloud.client().volumes().attach(7, 42).await.unwrap_err();
        assert!(error.is_lost_reply(), "{error:?}");
        assert_eq!(cloud.asked()[0].body, json!({"server": 42, "automount": false}));
    }
}

#[tokio::test]
async fn unreachable_cloud_received_nothing() {
    // Bound, so that no other process gets the port, but not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = client(&format!("http://{}/v1", socket.local_addr().unwrap()))
        .servers()
        .power_on(1)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Transport { sent: false, .. }), "{error:?}");
    assert!(!error.is_lost_reply());
    assert!(!format!("{error:?}").contains(TOKEN));
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let cloud = Cloud::with([reply(307, "").header("Location", "/v1/elsewhere")]).await;
    let error = cloud.client().servers().get(1).await.unwrap_err();
    assert!(error.to_string().contains("it redirects to /v1/elsewhere (status 307)"), "{error}");
    assert_eq!(cloud.lines(), ["GET /servers/1"]);
}

#[tokio::test]
async fn last_requests_of_the_rate_budget_are_sent_as_it_refills() {
    // 36000 an hour are ten a second: with one left and two in reserve, two must refill first.
    let nearly_empty = || reply(200, list("servers", vec![])).budget(36_000, 1);
    let cloud = Cloud::with([nearly_empty(), nearly_empty()]).await;
    let client: Client = cloud.client();
    let other = client.clone();
    client.servers().list(&Query::default()).await.unwrap();
    other.servers().list(&Query::default()).await.unwrap();
    let asked = cloud.asked();
    let pause = asked[1].at - asked[0].at;
    assert!(pause >= Duration::from_millis(190), "the second request came after {pause:?}");
}

#[tokio::test]
async fn budget_of_actions_delays_no_other_requests() {
    // 20 an hour: with one common budget the next request would outlast the test.
    let cloud = Cloud::with([
        reply(200, json!({"actions": [action(1, "start_server", "success")]})).budget(20, 0),
        reply(200, list("servers", vec![])).budget(3600, 3000),
    ])
    .await;
    let client = cloud.client();
    client.actions(&[1]).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), client.servers().list(&Query::default()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(client.rate_limit().unwrap().remaining, 0);
    assert_eq!(cloud.asked().len(), 2);
}

#[tokio::test]
async fn labels_and_name_are_changed_alone_or_together() {
    let reason = || reply(200, json!({"server": server(42, "b", json!({}))}));
    let cloud = Cloud::with([reason(), reason()]).await;
    let labels = Labels::from([("role".into(), "machine".into())]);
    cloud.client().servers().update(42, None, Some(&labels)).await.unwrap();
    cloud.client().servers().update(42, Some("b"), None).await.unwrap();
    let asked = cloud.asked();
    assert_eq!(
        (asked[0].line.as_str(), &asked[0].body),
        ("PUT /servers/42", &json!({"labels": {"role": "machine"}}))
    );
    assert_eq!(asked[1].body, json!({"name": "b"}));
}

/// The error names the address and what answered instead, at once and without a retry.
#[tokio::test]
async fn host_that_is_not_the_api_is_named_with_its_address() {
    let page = "<!DOCTYPE html>\n<html><head><title>Hotel WiFi Login</title></head></html>";
    for (answer, reason) in [
        (reply(200, page), "a web page titled \"Hotel WiFi Login\" (status 200)"),
        (reply(403, page), "a web page titled \"Hotel WiFi Login\" (status 403)"),
        (
            reply(302, "").header("Location", "https://login.example/"),
            "it redirects to https://login.example/ (status 302)",
        ),
        (reply(200, "SSH-2.0-x"), "its reply is not JSON"),
    ] {
        let cloud = Cloud::with([answer]).await;
        let error = cloud.client().servers().list(&Query::default()).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::NotTheApi { .. }), "{text}");
        assert!(text.contains(reason) && text.contains("http://127.0.0.1:"), "{text}");
        assert_eq!(cloud.lines().len(), 1);
    }
}

/// The limit holds even if more retries were possible.
#[tokio::test]
async fn unanswered_call_ends_with_the_limit_of_silence() {
    let cloud = Cloud::with([Answer::Silence, Answer::Silence, Answer::Silence]).await;
    let config = Config { longest_silence: Duration::from_millis(400), retries: 50, ..fast() };
    let begun = Instant::now();
    let error = cloud.client().with(config).servers().list(&Query::default()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { sent: true, .. }), "{error}");
    assert!(error.to_string().contains("no usable reply came from http://127.0.0.1:"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(15), "fifty retries of 20 s each were allowed");
    assert_eq!(Config::default().longest_silence, Duration::from_secs(20));
}
