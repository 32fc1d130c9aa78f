//! What a real machine has and a container lacks: a `/run` without execution, an sshd that its
//! socket starts, a volume that appears late, a cloud-init that validates its input.

mod cloud_init;
mod host_key;
mod late_volume;
mod lease;
mod runtime;
mod trace;

use std::time::Duration;

use hetzner::Query;

use crate::rig::Stage;

/// A boot takes seconds; on a busy host many.
const BOOT: Duration = Duration::from_secs(90);
/// Labels of the server.
const HOST_KEY: &str = "dockbridge-host-key";
const NEXT_HOST_KEY: &str = "dockbridge-next-host-key";

/// Wakes the machine and waits for its second host key: during the replacement a login may break
/// off, or see the unexpected key.
async fn settled(stage: &Stage) {
    stage.docker(&["version"]).await.succeeded();
    let replaced = async || {
        let labels = stage.api.servers().list(&Query::default()).await.unwrap().remove(0).labels;
        let marked = "test -e /etc/dockbridge/host-key-replaced && ! test -e \
         /etc/ssh/dockbridge_next_key";
        labels.contains_key(HOST_KEY)
            && !labels.contains_key(NEXT_HOST_KEY)
            && stage.on_machine(marked).await.status.success()
    };
    stage.eventually("the host key is replaced", BOOT, replaced).await;
}
