//! What a real machine has and a container has not by itself: a `/run` from which nothing runs, an
//! sshd that its socket starts, a volume that comes late, a cloud-init that judges what it was
//! given.

mod cloud_init;
mod host_key;
mod late_volume;
mod lease;
mod runtime;

use std::time::Duration;

use hetzner::Query;

use crate::rig::Stage;

/// A boot takes seconds; on a busy host many.
const BOOT: Duration = Duration::from_secs(90);
/// Labels of the server.
const HOST_KEY: &str = "dockbridge-host-key";
const NEXT_HOST_KEY: &str = "dockbridge-next-host-key";

/// Wakes the machine and waits for its second host key: while it is replaced, a login of that
/// moment may break off, or see the key that it does not expect.
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
