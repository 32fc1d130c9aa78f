//! Devices that appear after the attachment of their volume has succeeded.

use super::*;
use crate::work::Late;

#[tokio::test(start_paused = true)]
async fn a_late_device_appears_after_the_action_has_succeeded() {
    let (engine, recorder) = engine();
    let late = Some(Late { by: Duration::from_secs(5), wrong_disk: false });
    let attach = chain(
        &engine,
        vec![Work::Attach { volume: VOLUME, server: SERVER, late, automount: false }],
    );
    engine.clone().run(attach).await;
    assert_eq!(engine.world().projects["p"].volumes[&VOLUME].server, Some(SERVER));
    assert_eq!(recorder.done(), Vec::<String>::new());
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(recorder.done(), ["attach 20"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_device_never_appears_on_a_server_that_lost_the_volume() {
    let (engine, recorder) = engine();
    let late = Some(Late { by: Duration::from_secs(5), wrong_disk: false });
    let works = vec![
        Work::Attach { volume: VOLUME, server: SERVER, late, automount: false },
        Work::Detach(VOLUME),
    ];
    engine.clone().run(chain(&engine, works)).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(recorder.done(), ["detach 20"]);
}

#[tokio::test(start_paused = true)]
async fn another_disk_stands_under_the_name_until_the_device_comes() {
    let (engine, recorder) = engine();
    let late = Some(Late { by: Duration::from_secs(5), wrong_disk: true });
    engine
        .clone()
        .run(chain(
            &engine,
            vec![Work::Attach { volume: VOLUME, server: SERVER, late, automount: false }],
        ))
        .await;
    assert_eq!(recorder.done(), ["show wrong disk 20"]);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(recorder.done(), ["show wrong disk 20", "attach 20"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_device_appears_sooner_if_that_is_ordered() {
    let (engine, recorder) = engine();
    let late = Some(Late { by: Duration::from_secs(3600), wrong_disk: false });
    let attach = Work::Attach { volume: VOLUME, server: SERVER, late, automount: false };
    assert_eq!(engine.show_late_devices(), 0, "none is late yet");
    engine.clone().run(chain(&engine, vec![attach])).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(recorder.done(), Vec::<String>::new());
    assert_eq!(engine.show_late_devices(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((recorder.done(), engine.show_late_devices()), (vec!["attach 20".to_owned()], 0));
}
