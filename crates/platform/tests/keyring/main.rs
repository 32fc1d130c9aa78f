//! The keyring of a session: GNOME Keyring on a private bus, read by another program as well, and
//! buses without one. Skipped where the programs are missing.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test reports by panicking, and prints why it is skipped"
)]

#[expect(dead_code, reason = "the logind on it is for other tests")]
#[path = "../session/rig.rs"]
mod bus;
mod rig;

use dockbridge_platform::keyring::{Keyring, KeyringError};
use zbus::connection;

use crate::bus::Bus;
use crate::rig::GnomeKeyring;

const MINE: &[(&str, &str)] = &[("profile", "lab"), ("directory", "/home/me/one")];
const OTHER: &[(&str, &str)] = &[("profile", "lab"), ("directory", "/home/me/other")];

#[tokio::test]
async fn secret_is_replaced_read_by_another_program_and_removed() {
    let Some(gnome) = GnomeKeyring::unlocked().await else { return };
    let keyring = Keyring::at(gnome.address());
    assert_eq!(keyring.read(MINE).unwrap(), None);
    keyring.store("Other", OTHER, b"other").unwrap();
    keyring.store("Mine", MINE, b"old").unwrap();
    keyring.store("Mine", MINE, b"new").unwrap();
    assert_eq!(gnome.lookup(MINE).await.as_deref(), Some("new"));
    assert_eq!(keyring.read(MINE).unwrap().as_deref(), Some(&b"new"[..]));
    assert!(keyring.remove(MINE).unwrap());
    assert!(!keyring.remove(MINE).unwrap(), "it was there twice");
    assert_eq!(gnome.lookup(MINE).await, None);
    assert_eq!(gnome.lookup(OTHER).await.as_deref(), Some("other"));
}

#[tokio::test]
async fn locked_keyring_is_an_error_and_no_dialog() {
    let Some(gnome) = GnomeKeyring::unlocked().await else { return };
    let keyring = Keyring::at(gnome.address());
    keyring.store("Mine", MINE, b"secret").unwrap();
    gnome.lock().await;
    assert!(matches!(keyring.read(MINE), Err(KeyringError::Locked)));
    assert!(matches!(keyring.store("Mine", MINE, b"x"), Err(KeyringError::Locked)));
    assert!(matches!(keyring.remove(MINE), Err(KeyringError::Locked)));
}

#[tokio::test]
async fn session_without_a_bus_has_no_keyring() {
    let error = Keyring::at("unix:path=/nonexistent/bus").read(MINE).unwrap_err();
    assert!(error.is_absent(), "{error:?}");
}

#[tokio::test]
async fn service_that_does_not_answer_is_not_waited_for() {
    let Some(bus) = Bus::start().await else { return };
    let stuck = connection::Builder::address(bus.address()).build().await.unwrap();
    stuck.request_name("org.freedesktop.secrets").await.unwrap();
    let error = Keyring::at(bus.address()).read(MINE).unwrap_err();
    assert!(matches!(error, KeyringError::Silent(_)), "{error:?}");
    assert!(!error.is_absent());
}
