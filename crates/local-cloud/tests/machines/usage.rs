//! Kernel figures of a machine's usage.

use dockbridge_local_cloud::hypervisor::{Hypervisor, Usage};

use crate::rig::{Rig, passed_over, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_machine_uses_grows_with_its_work_and_is_unknown_when_it_is_off() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    let machine = rig.boot(1).await;
    let used = || rig.cloud.usage(1).expect("it runs");
    let before = used();
    assert!(before.cpu.as_millis() > 0 && before.received > 0 && before.sent > 0, "{before:?}");
    // The loop has no fixed time: a busy host gives it little of a processor.
    machine
        .run(
            "dd if=/dev/zero of=/root/zeros bs=1M count=32 conv=fsync; \
             setsid timeout 60 sh -c 'while :; do :; done' >/dev/null 2>&1 </dev/null &",
        )
        .await;
    until("half a second of its processor is counted", async || {
        (used().cpu - before.cpu).as_millis() >= 500
    })
    .await;
    let has = |wanted: &str, holds: fn(&Usage, &Usage) -> bool| {
        let after = used();
        assert!(holds(&before, &after), "{wanted}: {before:?} {after:?}");
    };
    has("bytes to its disk", |before, after| after.disk_written - before.disk_written >= 32 << 20);
    has("bytes of its network", |before, after| {
        after.received > before.received && after.sent > before.sent
    });
    has("packets", |before, after| {
        after.packets_received > before.packets_received && after.packets_sent > before.packets_sent
    });
    rig.cloud.power_off(1).await.unwrap();
    until("its usage is unknown", async || rig.cloud.usage(1).is_none()).await;
    rig.end().await;
}
