//! Notices on a real message bus, with a desktop that listens on it.

use dockbridge_platform::desktop::{Desktop, DesktopError, Note};

use crate::listener::{Listener, Received};
use crate::rig::{Bus, LONGEST};

fn note(summary: &str) -> Note {
    Note { summary: summary.to_owned(), body: "its text".to_owned() }
}

fn received(summary: &str, replaced: u32) -> Received {
    Received {
        application: "dockbridge".to_owned(),
        replaced,
        summary: summary.to_owned(),
        body: "its text".to_owned(),
    }
}

#[tokio::test]
async fn a_notice_is_shown_and_the_next_one_takes_its_place() {
    let Some(bus) = Bus::start().await else { return };
    let (desktop, mut listener) = (Desktop::at(bus.address()), Listener::at(bus.address()).await);
    let first = note("first");
    let (shown, got) = tokio::join!(desktop.show(&first, None), listener.next(LONGEST));
    assert_eq!(got, received("first", 0));
    let second = note("second");
    let shown = Some(shown.unwrap());
    let (shown, got) = tokio::join!(desktop.show(&second, shown), listener.next(LONGEST));
    assert_eq!(got, received("second", 1));
    shown.unwrap();
}

#[tokio::test]
async fn without_a_bus_or_a_desktop_on_it_a_notice_fails() {
    let nowhere = Desktop::at("unix:path=/nonexistent/bus").show(&note("lost"), None).await;
    assert!(matches!(nowhere, Err(DesktopError::Bus(_))), "{nowhere:?}");
    let Some(bus) = Bus::start().await else { return };
    let nobody = Desktop::at(bus.address()).show(&note("lost"), None).await;
    assert!(matches!(nobody, Err(DesktopError::Bus(_))), "{nobody:?}");
}
