//! The running containers, as the engine lists them. This query is no activity: no client made it.

use std::time::Duration;

use http::Request;
use http::header::HOST;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use lifecycle::Container;
use serde::Deserialize;
use tokio::time::timeout;
use tunnel::{Class, Destination, Tunnel};

/// A container with this label keeps the machine while it runs.
const KEEP: &str = "dockbridge.keep";
/// 10,000 containers are about 10 MB.
const MAX_ANSWER: usize = 64 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    labels: Option<std::collections::BTreeMap<String, String>>,
}

/// The running containers; `None` if the engine does not answer in time.
pub(crate) async fn running(tunnel: &Tunnel, limit: Duration) -> Option<Vec<Container>> {
    match timeout(limit, list(tunnel)).await {
        Ok(Ok(listed)) => Some(listed.into_iter().map(container).collect()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the engine did not list its containers");
            None
        }
        Err(_) => None,
    }
}

async fn list(tunnel: &Tunnel) -> Result<Vec<Listed>, Box<dyn std::error::Error + Send + Sync>> {
    let stream = tunnel.open(Destination::Docker, Class::Interactive).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let asked = async {
        let request =
            Request::get("/containers/json").header(HOST, "docker").body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("it answered {status}").into());
        }
        Ok(serde_json::from_slice(&body)?)
    };
    // If the connection ends first, the request has the error, or the answer came with the last
    // bytes.
    let driven = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        asked = asked => asked,
        never = driven => never,
    }
}

fn container(listed: Listed) -> Container {
    // Legacy links (`--link`) add names with a second slash; the container's own has one.
    let own = listed
        .names
        .iter()
        .map(|name| name.trim_start_matches('/'))
        .find(|name| !name.contains('/'));
    let keeps =
        listed.labels.is_some_and(|labels| labels.get(KEEP).is_some_and(|value| !is_false(value)));
    Container {
        name: own.map_or_else(|| listed.id.chars().take(12).collect(), str::to_owned),
        keeps,
    }
}

fn is_false(value: &str) -> bool {
    ["false", "no", "0", "off"].iter().any(|word| value.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_label_counts_unless_it_is_false() {
        let read = |text: &str| container(serde_json::from_str(text).unwrap());
        let named =
            r#"{"Id":"4f5a","Names":["/other/alias","/web"],"Labels":{"dockbridge.keep":""}}"#;
        assert_eq!(read(named), Container { name: "web".to_owned(), keeps: true });
        let not = r#"{"Id":"0123456789abcdef","Names":[],"Labels":{"dockbridge.keep":" False "}}"#;
        assert_eq!(read(not), Container { name: "0123456789ab".to_owned(), keeps: false });
        assert!(!read(r#"{"Id":"4f5a","Names":["/web"],"Labels":null}"#).keeps);
    }
}
