//! The running containers, as the engine lists them. This query is no activity: no client made it.

use std::time::Duration;

use http::Request;
use http::header::HOST;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use lifecycle::{Container, Counts};
use serde::Deserialize;
use tokio::time::timeout;
use tunnel::{Class, Destination, Tunnel};

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
    let labels = listed.labels.unwrap_or_default();
    Container {
        name: own.map_or_else(|| listed.id.chars().take(12).collect(), str::to_owned),
        counts: Counts::by_labels(|label| labels.get(label).map(String::as_str)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_has_its_own_name_and_counts_by_its_labels() {
        let read = |text: &str| container(serde_json::from_str(text).unwrap());
        let named =
            r#"{"Id":"4f5a","Names":["/other/alias","/web"],"Labels":{"dockbridge.keep":""}}"#;
        assert_eq!(read(named), Container { name: "web".to_owned(), counts: Counts::Always });
        let not = r#"{"Id":"0123456789abcdef","Names":[],"Labels":{"dockbridge.keep":" False "}}"#;
        let unnamed = Container { name: "0123456789ab".to_owned(), counts: Counts::AsSet };
        assert_eq!(read(not), unnamed);
        let unlabeled = read(r#"{"Id":"4f5a","Names":["/web"],"Labels":null}"#);
        assert_eq!(unlabeled.counts, Counts::AsSet);
    }
}
