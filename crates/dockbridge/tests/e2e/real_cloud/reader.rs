//! The other client: `curl`, with nothing of ours. It reads, and deletes by id what carries the
//! tests' own labels.

use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::OWNER;
use crate::rig::run_within;

const LONGEST_REQUEST: Duration = Duration::from_secs(60);

/// A project as its API tells it.
pub struct Reader<'a> {
    pub endpoint: &'a str,
    pub token: &'a str,
}

impl Reader<'_> {
    /// All of a kind, page by page.
    pub async fn list(&self, kind: &str, query: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut page = Value::from(1);
        while !page.is_null() {
            let text =
                self.curl("GET", &format!("{kind}?per_page=50&page={page}{query}"), true).await;
            let mut told: Value = serde_json::from_str(&text).unwrap();
            all.append(told[kind].as_array_mut().unwrap());
            page = told["meta"]["pagination"]["next_page"].take();
        }
        all
    }

    /// What carries the tests' labels. Others' are dropped, whatever the selector let through.
    pub async fn ours(&self, kind: &str) -> Vec<Value> {
        let of_snapshots = if kind == "images" { "&type=snapshot" } else { "" };
        let selector = format!(
            "&label_selector=managed-by%3Ddockbridge%2Cdockbridge-owner%3D{OWNER}{of_snapshots}"
        );
        let mut found = self.list(kind, &selector).await;
        found.retain(is_ours);
        found
    }

    /// Asks for the deletion of `kind/id`. One that is locked, in use or gone is looked at again by
    /// who calls.
    pub async fn delete(&self, one: &str) {
        self.curl("DELETE", one, false).await;
    }

    async fn curl(&self, method: &str, path: &str, must: bool) -> String {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--fail-with-body", "--retry", "5", "-X", method, "-H", "@-"])
            .arg(format!("{}/{path}", self.endpoint));
        // Arguments are seen by every process.
        let ran = run_within(
            LONGEST_REQUEST,
            command,
            &format!("Authorization: Bearer {}\n", self.token),
        )
        .await;
        if must {
            ran.succeeded();
        }
        ran.stdout
    }
}

/// Made by these tests, in this run or another.
pub fn is_ours(one: &Value) -> bool {
    one["labels"]["managed-by"] == "dockbridge" && one["labels"]["dockbridge-owner"] == OWNER
}

pub fn id(one: &Value) -> u64 {
    one["id"].as_u64().unwrap()
}
