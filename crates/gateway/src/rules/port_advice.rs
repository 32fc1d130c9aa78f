//! Advice about published ports where the engine's own words do not help: a port that the machine
//! itself uses, and a container in the machine's network (`--network host`), whose ports do not
//! appear on this computer.

use bytes::Bytes;
use http::{Response, StatusCode};
use ports::Asked;
use serde_json::Value;

use super::body_paths::fields;
use super::rewrite::{rewrite, with_warning};
use crate::error::Error;
use crate::wire::limits::is_short;
use crate::wire::response_body::ResponseBody;

/// A container that is to be created in the machine's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostNetwork {
    /// Host port and container port that it publishes or exposes, without effect.
    named: Option<(String, String)>,
}

impl HostNetwork {
    /// From the body of a creation.
    pub(crate) fn of(body: &Value) -> Option<Self> {
        let config = fields(body, "HostConfig").next()?;
        if !fields(config, "NetworkMode").any(|mode| mode == "host") {
            return None;
        }
        let published = fields(config, "PortBindings").find_map(|ports| {
            let (inside, bindings) = ports.as_object()?.iter().next()?;
            let inside = inside.split('/').next()?.to_owned();
            let host_port = bindings
                .pointer("/0/HostPort")
                .and_then(Value::as_str)
                .filter(|port| port.parse::<u16>().is_ok());
            Some((host_port.unwrap_or(&inside).to_owned(), inside))
        });
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

/// Adds the warning to the response to a creation.
pub(crate) async fn warn(
    network: &HostNetwork,
    name: Option<&str>,
    response: Response<ResponseBody>,
) -> Result<Response<ResponseBody>, Error> {
    if response.status() != StatusCode::CREATED || !is_short(response.headers()) {
        return Ok(response);
    }
    rewrite(response, |body| {
        let created: Value = serde_json::from_slice(&body).unwrap_or_default();
        let id = created["Id"].as_str().unwrap_or_default();
        let container = name.unwrap_or_else(|| id.get(..12).unwrap_or(id));
        with_warning(body, &network.warning(container))
    })
    .await
}

/// Adds advice to the engine's refusal of a start if an address of the machine is the reason.
pub(crate) async fn advise(
    asked: &Asked,
    response: Response<ResponseBody>,
) -> Result<Response<ResponseBody>, Error> {
    if !is_short(response.headers()) {
        return Ok(response);
    }
    rewrite(response, |body| with_advice(&body, asked).unwrap_or(body)).await
}

fn with_advice(body: &Bytes, asked: &Asked) -> Option<Bytes> {
    let mut error: Value = serde_json::from_slice(body).ok()?;
    let message = error.get_mut("message")?;
    let words = message.as_str()?;
    let advice = asked.advice(words)?;
    *message = format!("{}. {advice}", words.trim_end_matches('.')).into();
    serde_json::to_vec(&error).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(body: &str) -> Option<String> {
        HostNetwork::of(&serde_json::from_str(body).unwrap()).map(|network| network.warning("web"))
    }

    #[test]
    fn container_in_the_hosts_network_gets_the_command_that_forwards_its_ports() {
        let advice = |body: &str| warning(body).unwrap();
        assert!(
            advice(r#"{"HostConfig":{"NetworkMode":"host"}}"#)
                .ends_with("`dockbridge ports add PORT:web:PORT`")
        );
        assert!(
            advice(r#"{"hostconfig":{"networkmode":"host"},"ExposedPorts":{"80/tcp":{}}}"#)
                .ends_with("ports add 80:web:80`")
        );
        let published = concat!(
            r#"{"HostConfig":{"NetworkMode":"host","#,
            r#""PortBindings":{"80/tcp":[{"HostPort":"8080"}]}}}"#
        );
        assert!(advice(published).ends_with("ports add 8080:web:80`"));
        let unnamed =
            r#"{"HostConfig":{"NetworkMode":"host","PortBindings":{"80/tcp":[{"HostPort":""}]}}}"#;
        assert!(advice(unnamed).ends_with("ports add 80:web:80`"));
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
