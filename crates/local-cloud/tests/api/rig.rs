//! A cloud without machines on a free port, and functions to talk to it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use dockbridge_local_cloud::{Access, Cloud, Options, Token};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::openapi::spec;

pub const TOKEN: &str = "token-that-may-write";
pub const READ_ONLY: &str = "token-that-may-look";
pub const OTHER: &str = "token-of-another-project";

/// Ceiling; a cloud without machines is always faster.
const CEILING: Duration = Duration::from_secs(10);

pub struct Rig {
    pub cloud: Cloud,
    pub directory: TempDir,
    pub http: reqwest::Client,
    judged: Mutex<BTreeSet<String>>,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    what: String,
}

pub fn options(directory: &TempDir) -> Options {
    let token = |secret, project, access| Token::new(secret, project, access);
    Options {
        tokens: vec![
            token(TOKEN, "one", Access::ReadWrite),
            token(READ_ONLY, "one", Access::ReadOnly),
            token(OTHER, "two", Access::ReadWrite),
        ],
        ..Options::new(directory.path())
    }
}

impl Rig {
    pub async fn start() -> Rig {
        Rig::on(tempfile::tempdir().unwrap()).await
    }

    pub async fn on(directory: TempDir) -> Rig {
        let cloud = Cloud::start(options(&directory)).await.unwrap();
        Rig::around(cloud, directory)
    }

    pub fn around(cloud: Cloud, directory: TempDir) -> Rig {
        Rig { cloud, directory, http: reqwest::Client::new(), judged: Mutex::default() }
    }

    /// Closes the cloud and starts another on the same directory.
    pub async fn restart(self) -> Rig {
        self.cloud.close().await;
        Rig::on(self.directory).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.cloud.endpoint())
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path)).timeout(CEILING)
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let reply = self.http.execute(request).await.unwrap();
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let bytes = reply.bytes().await.unwrap();
        let body =
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        if let Some(pattern) = spec().and_then(|spec| spec.judge(&method, &path, status, &body))
            && status < 300
        {
            self.judged.lock().unwrap().insert(format!("{method} {pattern}"));
        }
        Answer { status, headers, body, what: format!("{method} {path}") }
    }

    /// Routes whose answers the OpenAPI file has validated.
    pub fn judged(&self) -> BTreeSet<String> {
        self.judged.lock().unwrap().clone()
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path).bearer_auth(TOKEN);
        self.send(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Waits until all actions of an answer have succeeded.
    pub async fn done(&self, answer: Answer) -> Answer {
        for id in answer.actions() {
            let action = self.ended(id).await;
            assert_eq!(action["status"], "success", "{}: {action}", answer.what);
        }
        answer
    }

    /// Waits until an action has ended, successfully or not.
    pub async fn ended(&self, id: u64) -> Value {
        let has_ended = |body: &Value| body["action"]["status"] != "running";
        self.until(&format!("/actions/{id}"), has_ended).await["action"].clone()
    }

    /// Waits until no action is running.
    pub async fn idle(&self) {
        self.until("/servers?per_page=50", |body| {
            body["servers"].as_array().unwrap().iter().all(|s| s["locked"] == false)
        })
        .await;
    }

    /// Polls until the answer is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let asking = async {
            loop {
                last = self.get(path).await.body;
                if wanted(&last) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(CEILING, asking).await.is_err() {
            panic!("{path} does not change as wanted; the last answer was {last:#}");
        }
        last
    }

    /// Sends a control request.
    pub async fn control(&self, method: Method, path: &str, body: Value) -> Answer {
        let url = format!("{}/_local{path}", self.cloud.endpoint().trim_end_matches("/v1"));
        self.send(self.http.request(method, url).json(&body).timeout(CEILING)).await
    }

    pub async fn order_fault(&self, fault: Value) {
        self.control(Method::POST, "/faults", fault).await.expect(201);
    }

    /// A running server, and its id.
    pub async fn server(&self, name: &str) -> u64 {
        self.server_with(name, json!({})).await
    }

    pub async fn server_with(&self, name: &str, more: Value) -> u64 {
        let mut order = json!({
            "name": name,
            "server_type": "cx23",
            "image": "ubuntu-24.04",
            "location": "fsn1",
        });
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.done(self.post("/servers", order).await).await.id("server")
    }

    /// A free volume in fsn1, and its id.
    pub async fn volume(&self, name: &str) -> u64 {
        self.done(
            self.post("/volumes", json!({"name": name, "size": 10, "location": "fsn1"})).await,
        )
        .await
        .id("volume")
    }
}

impl Answer {
    pub fn expect(&self, status: u16) -> &Answer {
        assert_eq!(self.status, status, "{}: {:#}", self.what, self.body);
        self
    }

    pub fn refused(&self, status: u16, code: &str) -> &Answer {
        self.expect(status);
        assert_eq!(self.body["error"]["code"], code, "{}: {:#}", self.what, self.body);
        self
    }

    /// Which fields were refused.
    pub fn fields(&self) -> Vec<String> {
        let fields = self.body["error"]["details"]["fields"]
            .as_array()
            .unwrap_or_else(|| panic!("{}: {:#}", self.what, self.body));
        fields.iter().map(|f| f["name"].as_str().unwrap().to_owned()).collect()
    }

    pub fn message(&self) -> &str {
        self.body["error"]["message"]
            .as_str()
            .unwrap_or_else(|| panic!("{}: {:#}", self.what, self.body))
    }

    /// The id of the object of this name in a successful answer.
    pub fn id(&self, name: &str) -> u64 {
        self.body[name]["id"].as_u64().unwrap_or_else(|| panic!("{}: {:#}", self.what, self.body))
    }

    /// The names in a list.
    pub fn names(&self, plural: &str) -> Vec<String> {
        let list = self.body[plural]
            .as_array()
            .unwrap_or_else(|| panic!("{}: {:#}", self.what, self.body));
        list.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }

    pub fn actions(&self) -> Vec<u64> {
        let mut actions = vec![&self.body["action"]];
        actions.extend(
            ["next_actions", "actions"]
                .iter()
                .filter_map(|list| self.body[list].as_array())
                .flatten(),
        );
        actions.into_iter().filter_map(|a| a["id"].as_u64()).collect()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("{} has no {name}", self.what))
            .to_str()
            .unwrap()
    }
}
