//! What keeps a wake in a stage: a request to the cloud that gets no answer, a server whose TCP 22
//! is out of reach, a volume whose device does not come.

use std::time::Duration;

use serde_json::json;

use crate::ends::network::Network;
use crate::rig::Stage;

/// Longer than any wait of the daemon: nothing ends by itself.
const NEVER: Duration = Duration::from_secs(3_600);
/// Ceiling until the cloud has attached the volume.
const CEILING: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
pub enum Hold {
    Nothing,
    /// Requests to the cloud, by method and path.
    Requests(&'static [(&'static str, &'static str)]),
    /// TCP 22 of the stage's machines.
    Ssh,
    /// The volume of the next server.
    Volume,
}

/// A hold that has begun.
pub struct Held<'a> {
    hold: Hold,
    stage: &'a Stage,
    network: &'a Network,
}

impl Hold {
    /// Holds back the wakes of daemons in this network.
    pub async fn begin<'a>(self, stage: &'a Stage, network: &'a Network) -> Held<'a> {
        let fault = async |fault: serde_json::Value| {
            stage.control().post("faults", &fault.to_string()).await;
        };
        match self {
            Hold::Nothing => {}
            Hold::Requests(requests) => {
                for (method, path) in requests {
                    let matching = json!({"method": method, "path": path});
                    fault(json!({
                        "kind": "unavailable_503",
                        "delay_ms": NEVER.as_millis(),
                        "times": 1_000,
                        "match": matching,
                    }))
                    .await;
                }
            }
            Hold::Ssh => network.block_machines(stage).await,
            Hold::Volume => {
                fault(json!({
                    "kind": "slow_attach",
                    "delay_ms": NEVER.as_millis(),
                    "match": {"path": "/v1/servers"},
                }))
                .await;
            }
        }
        Held { hold: self, stage, network }
    }
}

impl Held<'_> {
    pub async fn end(self) {
        let Self { hold, stage, network } = self;
        match hold {
            Hold::Requests(_) => drop(stage.control().delete("faults").await),
            Hold::Volume => {
                let comes = async || stage.control().post("late_devices", "").await["devices"] == 1;
                stage.eventually("the volume is attached", CEILING, comes).await;
            }
            Hold::Ssh => network.open().await,
            Hold::Nothing => {}
        }
    }
}
