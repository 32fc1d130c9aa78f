//! What is said of published ports where the engine's own words do not help: a port that the
//! machine itself uses, and a container in the machine's own network, whose ports do not appear on
//! this computer.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use ports::Asked;
use serde_json::Value;

use crate::error::Failure;
use crate::rules::body_paths::fields;
use crate::rules::disk_space::{is_short, warned};
use crate::wire::body::ReplyBody;
use crate::wire::framing::MAX_HEAD;

/// A container that is to be created in the machine's own network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InHostNetwork {
    /// Host port and container port that it names nevertheless.
    named: Option<(String, String)>,
}

impl InHostNetwork {
    /// From the body of a creation.
    pub(crate) fn of(body: &mut Value) -> Option<Self> {
        let mut configs = fields(body, "HostConfig");
        let config = configs.next()?;
        let is_host = fields(config, "NetworkMode").any(|mode| mode == "host");
        let published = fields(config, "PortBindings").find_map(|ports| {
            let (inside, bindings) = ports.as_object()?.iter().next()?;
            let inside = inside.split('/').next()?.to_owned();
            let host_port = bindings
                .pointer("/0/HostPort")
                .and_then(Value::as_str)
                .filter(|port| port.parse::<u16>().is_ok());
            Some((host_port.unwrap_or(&inside).to_owned(), inside))
        });
        drop(configs);
        is_host.then_some(())?;
        let exposed = || {
            let exposed = fields(body, "ExposedPorts")
                .find_map(|ports| ports.as_object()?.keys().next().cloned())?;
            let port = exposed.split('/').next()?.to_owned();
            Some((port.clone(), port))
        };
        Some(Self { named: published.or_else(exposed) })
    }

    fn warning(&self, container: &str) -> String {
        let (here, inside) =
            self.named.as_ref().map_or(("PORT", "PORT"), |(here, inside)| (here, inside));
        format!(
            "The container uses the machine's own network: what it listens on does not appear on \
                this computer. Forward a port of it with `dockbridge ports add \
                {here}:{container}:{inside}`"
        )
    }
}

/// The engine's answer to a creation, with a warning among the engine's own.
pub(crate) async fn created(
    network: &InHostNetwork,
    name: Option<&str>,
    response: Response<ReplyBody>,
) -> Result<Response<ReplyBody>, Failure> {
    if response.status() != StatusCode::CREATED || !is_short(response.headers()) {
        return Ok(response);
    }
    changed(response, |body| {
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let id = answer["Id"].as_str().unwrap_or_default();
        let container = name.unwrap_or_else(|| id.get(..12).unwrap_or(id));
        warned(body, &network.warning(container))
    })
    .await
}

/// The engine's refusal of a start, with what can be done where the machine's own addresses are the
/// reason.
pub(crate) async fn refused(
    asked: &Asked,
    response: Response<ReplyBody>,
) -> Result<Response<ReplyBody>, Failure> {
    if !is_short(response.headers()) {
        return Ok(response);
    }
    changed(response, |body| explained(&body, asked).unwrap_or(body)).await
}

fn explained(body: &Bytes, asked: &Asked) -> Option<Bytes> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    let message = answer.get_mut("message")?;
    let words = message.as_str()?;
    let advice = asked.advice(words)?;
    *message = format!("{}. {advice}", words.trim_end_matches('.')).into();
    serde_json::to_vec(&answer).ok().map(Bytes::from)
}

async fn changed(
    response: Response<ReplyBody>,
    change: impl FnOnce(Bytes) -> Bytes,
) -> Result<Response<ReplyBody>, Failure> {
    let (mut parts, body) = response.into_parts();
    let body =
        Limited::new(body, MAX_HEAD).collect().await.map_err(Failure::Unreadable)?.to_bytes();
    let body = change(body);
    parts.headers.insert(CONTENT_LENGTH, body.len().into());
    Ok(Response::from_parts(parts, ReplyBody::whole(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(body: &str) -> Option<String> {
        InHostNetwork::of(&mut serde_json::from_str(body).unwrap())
            .map(|network| network.warning("web"))
    }

    #[test]
    fn a_container_in_the_machines_network_is_told_how_its_ports_are_reached() {
        let told = |body: &str| warning(body).unwrap();
        assert!(
            told(r#"{"HostConfig":{"NetworkMode":"host"}}"#)
                .ends_with("`dockbridge ports add PORT:web:PORT`")
        );
        assert!(
            told(r#"{"hostconfig":{"networkmode":"host"},"ExposedPorts":{"80/tcp":{}}}"#)
                .ends_with("ports add 80:web:80`")
        );
        let published = r#"{"HostConfig":{"NetworkMode":"host","PortBindings":{"80/tcp":[{"HostPort":"8080"}]}}}"#;
        assert!(told(published).ends_with("ports add 8080:web:80`"));
        let unnamed =
            r#"{"HostConfig":{"NetworkMode":"host","PortBindings":{"80/tcp":[{"HostPort":""}]}}}"#;
        assert!(told(unnamed).ends_with("ports add 80:web:80`"));
        for other in [
            r#"{"HostConfig":{"NetworkMode":"bridge"}}"#,
            r#"{"HostConfig":{}}"#,
            r#"{"HostConfig":null}"#,
            "[]",
        ] {
            assert_eq!(warning(other), None, "{other}");
        }
    }
}
