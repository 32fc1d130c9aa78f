//! Effects of the options.

use dockbridge_local_cloud::{Cloud, Limits, Options, Stock};
use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{READ_ONLY, Rig, TOKEN, options};

async fn rig_with(change: impl FnOnce(Options) -> Options) -> Rig {
    let directory = tempfile::tempdir().unwrap();
    Rig::around(Cloud::start(change(options(&directory))).await.unwrap(), directory)
}

fn order(name: &str) -> Value {
    json!({"name": name, "server_type": "cx23", "image": "docker-ce", "location": "fsn1"})
}

#[tokio::test]
async fn the_captured_stock_shows_cheap_types_as_unavailable_and_sells_them() {
    for (stock, shown) in [(Stock::Captured, false), (Stock::Full, true)] {
        let rig = rig_with(|options| Options { stock, ..options }).await;
        for name in ["cx23", "cax11"] {
            let found = rig.get(&format!("/server_types?name={name}")).await.body["server_types"]
                [0]
            .clone();
            let places = found["locations"].as_array().unwrap();
            assert_eq!(places.len(), 3);
            assert!(places.iter().all(|place| place["available"] == shown), "{stock:?}: {found:#}");
        }
        let found = rig.get("/server_types?name=cpx22").await;
        assert_eq!(found.body["server_types"][0]["locations"][0]["available"], true);
        rig.post("/servers", order("s")).await.expect(201);
    }
}

#[tokio::test]
async fn a_project_has_no_more_servers_than_its_limit() {
    let rig = rig_with(|options| Options {
        limits: Limits { servers: Some(1), ..options.limits },
        ..options
    })
    .await;
    let server = rig.server("s").await;
    let refused = rig.post("/servers", order("t")).await;
    assert_eq!(refused.refused(403, "resource_limit_exceeded").message(), "server limit exceeded");
    assert_eq!(refused.body["error"]["details"], json!({"limits": [{"name": "server_limit"}]}));
    refused.header("ratelimit-remaining");
    rig.done(rig.delete(&format!("/servers/{server}")).await).await;
    rig.post("/servers", order("t")).await.expect(201);
    let raised = rig.control(Method::PUT, "/limits", json!({"servers": null})).await;
    assert_eq!(raised.expect(200).body, json!({"requests_per_hour": 3600, "servers": null}));
    rig.post("/servers", order("u")).await.expect(201);
}

#[tokio::test]
async fn the_budget_of_requests_is_configurable() {
    let rig = rig_with(|options| Options {
        limits: Limits { requests_per_hour: 2, ..options.limits },
        ..options
    })
    .await;
    for left in ["1", "0"] {
        let answer = rig.get("/servers").await;
        assert_eq!(
            (answer.expect(200).header("ratelimit-limit"), answer.header("ratelimit-remaining")),
            ("2", left)
        );
    }
    let spent = rig.get("/servers").await;
    assert_eq!(
        spent.refused(429, "rate_limit_exceeded").message(),
        "limit of 2 requests per hour reached"
    );
    rig.control(Method::PUT, "/limits", json!({"requests_per_hour": 7_200_000})).await.expect(200);
    rig.until("/servers", |body| body["servers"].is_array()).await;
    rig.control(Method::PUT, "/limits", json!({"volumes": 1})).await.expect(422);
}

#[tokio::test]
async fn removed_properties_come_back_for_older_clients() {
    let rig = rig_with(|options| Options { removed_properties: true, ..options }).await;
    let server = rig.server_with("s", json!({"location": null, "datacenter": "nbg1-dc3"})).await;
    let shown = rig.get(&format!("/servers/{server}")).await.body["server"].clone();
    assert_eq!(
        (&shown["datacenter"]["name"], &shown["location"]["name"]),
        (&json!("nbg1-dc3"), &json!("nbg1"))
    );
    assert_eq!(
        (&shown["server_type"]["deprecated"], &shown["image"]["deprecated"]),
        (&json!(false), &Value::Null)
    );
    assert!(shown["image"].as_object().unwrap().contains_key("deprecated"), "{shown:#}");
    assert_eq!(
        rig.get("/primary_ips").await.body["primary_ips"][0]["datacenter"]["name"],
        "nbg1-dc3"
    );
}

#[tokio::test]
async fn without_a_write_token_one_is_created() {
    let rig = rig_with(|mut options| {
        options.tokens.retain(|token| token.secret == READ_ONLY);
        options
    })
    .await;
    let made = rig.cloud.token().to_owned();
    assert!(made != READ_ONLY && made != TOKEN, "{made}");
    rig.send(rig.request(Method::GET, "/servers").bearer_auth(READ_ONLY)).await.expect(200);
    rig.send(rig.request(Method::POST, "/servers").bearer_auth(&made).json(&order("s")))
        .await
        .expect(201);
}
