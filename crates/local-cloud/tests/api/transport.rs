//! Rules for every route.

use reqwest::Method;
use serde_json::json;

use crate::rig::{OTHER, READ_ONLY, Rig, TOKEN};

#[tokio::test]
async fn an_unknown_route_is_refused_before_the_token_is_checked() {
    let rig = Rig::start().await;
    let reply = rig.request(Method::GET, "/nothing").send().await.unwrap();
    assert_eq!(reply.status(), 404);
    assert_eq!(reply.headers()["content-type"], "application/json; charset=UTF-8");
    let text = reply.text().await.unwrap();
    assert!(
        text.starts_with(
            "{\n  \"error\": {\n    \"message\": \"api route not found\",\n    \
     \"code\": \"not_found\""
        ),
        "{text}"
    );
}

#[tokio::test]
async fn tokens_are_required_and_checked() {
    let rig = Rig::start().await;
    let none = rig.send(rig.request(Method::GET, "/servers")).await;
    assert_eq!(none.refused(401, "unauthorized").message(), "token is required");
    let wrong = rig.send(rig.request(Method::GET, "/servers").bearer_auth("wrong")).await;
    assert_eq!(
        wrong.refused(401, "unauthorized").message(),
        "the token you have provided is invalid"
    );
    rig.send(rig.request(Method::PATCH, "/servers")).await.refused(401, "unauthorized");
    rig.send(rig.request(Method::PATCH, "/servers").bearer_auth(TOKEN))
        .await
        .refused(405, "method_not_allowed");
}

#[tokio::test]
async fn a_read_only_token_reads_but_does_not_write() {
    let rig = Rig::start().await;
    rig.send(rig.request(Method::GET, "/servers").bearer_auth(READ_ONLY)).await.expect(200);
    let order = json!({"name": "s", "server_type": "cx23", "image": "debian-12"});
    rig.send(rig.request(Method::POST, "/servers").bearer_auth(READ_ONLY).json(&order))
        .await
        .refused(401, "token_readonly");
    assert!(rig.get("/servers").await.names("servers").is_empty());
}

#[tokio::test]
async fn projects_do_not_see_each_other() {
    let rig = Rig::start().await;
    let server = rig.server("mine").await;
    let path = format!("/servers/{server}");
    let other = |method, path: &str| rig.request(method, path).bearer_auth(OTHER);
    rig.send(other(Method::GET, &path)).await.refused(404, "not_found");
    rig.send(other(Method::DELETE, &path)).await.refused(404, "not_found");
    assert!(rig.send(other(Method::GET, "/servers")).await.names("servers").is_empty());
    let same_name = json!({"name": "mine", "server_type": "cx23", "image": "debian-12"});
    rig.send(other(Method::POST, "/servers").json(&same_name)).await.expect(201);
}

#[tokio::test]
async fn every_answer_has_the_budget_and_a_correlation_id() {
    let rig = Rig::start().await;
    let first = rig.get("/servers").await;
    let second = rig.get("/servers").await;
    let number = |name: &str| second.header(name).parse::<u64>().unwrap();
    assert_eq!(number("ratelimit-limit"), 3600);
    assert!(first.header("ratelimit-remaining").parse::<u64>().unwrap() <= 3599);
    assert!(number("ratelimit-remaining") <= 3599 && number("ratelimit-reset") > 1_700_000_000);
    assert_eq!(second.header("x-correlation-id").len(), 16);
    assert_ne!(first.header("x-correlation-id"), second.header("x-correlation-id"));
    assert_eq!(second.header("content-type"), "application/json");
}

#[tokio::test]
async fn bodies_with_invalid_json_or_fields_are_refused() {
    let rig = Rig::start().await;
    for body in ["{", "[]", "'", "\"text\""] {
        rig.send(rig.request(Method::POST, "/servers").bearer_auth(TOKEN).body(body))
            .await
            .refused(400, "json_error");
    }
    let wrong = rig
        .post(
            "/servers",
            json!({
                "name": 5,
                "server_type": "cx23",
                "image": "debian-12",
                "color": "red",
                "labels": {"a/b/c": ""},
            }),
        )
        .await;
    assert_eq!(wrong.refused(422, "invalid_input").fields(), ["color", "labels", "name"]);
    assert_eq!(wrong.message(), "invalid input in field(s) 'color', 'labels', 'name'");
    let missing = rig.post("/servers", json!({})).await;
    assert_eq!(missing.refused(422, "invalid_input").fields(), ["image", "name", "server_type"]);
    rig.post("/volumes", json!({"name": "v", "size": 10, "location": "fsn1", "speed": 1}))
        .await
        .refused(422, "invalid_input");
}

#[tokio::test]
async fn lists_have_pages_and_links() {
    let rig = Rig::start().await;
    for n in 0..3 {
        rig.volume(&format!("v{n}")).await;
    }
    let page = rig.get("/volumes?per_page=2&sort=name:desc").await;
    assert_eq!(page.names("volumes"), ["v2", "v1"]);
    let expected = json!({
        "page": 1,
        "per_page": 2,
        "previous_page": null,
        "next_page": 2,
        "last_page": 2,
        "total_entries": 3,
    });
    assert_eq!(page.body["meta"]["pagination"], expected);
    let next = page.header("link").split(';').next().unwrap().trim_matches(['<', '>']).to_owned();
    let second = rig.send(rig.http.get(next).bearer_auth(TOKEN)).await;
    assert_eq!(second.names("volumes"), ["v0"]);
    let beyond = rig.get("/volumes?page=7&per_page=2").await;
    assert_eq!(
        (beyond.names("volumes").len(), &beyond.body["meta"]["pagination"]["previous_page"]),
        (0, &json!(6))
    );
}

#[tokio::test]
async fn the_catalogue_is_found_by_name() {
    let rig = Rig::start().await;
    let found = rig.get("/server_types?name=cx23").await;
    assert_eq!(found.names("server_types"), ["cx23"]);
    assert_eq!(found.body["server_types"][0].get("deprecated"), None, "removed in November 2026");
    assert_eq!(rig.get("/locations?name=hel1").await.names("locations"), ["hel1"]);
    let prices =
        rig.get("/pricing").await.body["pricing"]["server_types"].as_array().unwrap().len();
    assert_eq!(prices, rig.get("/server_types?per_page=50").await.names("server_types").len());
}
