//! The running containers, as the engine lists them. This query is no activity: no client made it.

use std::time::Duration;

use engine::{Client, ContainerSummary};
use lifecycle::{Container, Counts};
use machine::with_causes;
use tokio::time::timeout;
use tunnel::{Class, Destination, Tunnel};

/// The running containers; `None` if the engine does not answer in time.
pub(crate) async fn running(tunnel: &Tunnel, limit: Duration) -> Option<Vec<Container>> {
    let engine = Client::new(|| tunnel.open(Destination::Docker, Class::Interactive));
    match timeout(limit, engine.containers()).await {
        Ok(Ok(listed)) => Some(listed.iter().map(container).collect()),
        Ok(Err(error)) => {
            let error = with_causes(&error);
            tracing::debug!(%error, "the engine did not list its containers");
            None
        }
        Err(_) => None,
    }
}

fn container(listed: &ContainerSummary) -> Container {
    Container {
        name: listed.name().map_or_else(|| listed.id.chars().take(12).collect(), str::to_owned),
        counts: Counts::by_labels(|label| listed.label(label)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_has_its_own_name_and_counts_by_its_labels() {
        let read = |text: &str| container(&serde_json::from_str(text).unwrap());
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
