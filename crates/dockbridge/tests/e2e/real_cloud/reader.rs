//! The other client: `curl`, independent of dockbridge. It reads, and deletes by id resources with
//! the tests' own labels.

use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::OWNER;
use crate::rig::run_within;

const LONGEST_REQUEST: Duration = Duration::from_secs(60);

/// A project as its API reports it.
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
            let mut output: Value = serde_json::from_str(&text).unwrap();
            all.append(output[kind].as_array_mut().unwrap());
            page = output["meta"]["pagination"]["next_page"].take();
        }
        all
    }

    /// Resources with the tests' labels. Others are dropped, whatever the selector lets through.
    pub async fn own(&self, kind: &str) -> Vec<Value> {
        let of_snapshots = if kind == "images" { "&type=snapshot" } else { "" };
        let selector = format!(
            "&label_selector=managed-by%3Ddockbridge%2Cdockbridge-owner%3D{OWNER}{of_snapshots}"
        );
        let mut found = self.list(kind, &selector).await;
        found.retain(is_own);
        found
    }

    /// Requests the deletion of `kind/id`. The caller retries one that is locked, in use or gone.
    pub async fn delete(&self, one: &str) {
        self.curl("DELETE", one, false).await;
    }

    async fn curl(&self, method: &str, path: &str, must: bool) -> String {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--fail-with-body", "--retry", "5", "-X", method, "-H", "@-"])
            .arg(format!("{}/{path}", self.endpoint));
        // Every process can see arguments.
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

/// Created by these tests, in this run or another.
pub fn is_own(one: &Value) -> bool {
    one["labels"]["managed-by"] == "dockbridge" && one["labels"]["dockbridge-owner"] == OWNER
}

pub fn id(one: &Value) -> u64 {
    one["id"].as_u64().unwrap()
}
