//! Detaching, in a process that this test starts from its own binary.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::process::Command;

use dockbridge_platform::detach;

const CHILD: &str = "DOCKBRIDGE_TEST_DETACHED_CHILD";

#[test]
fn a_detached_child_leads_a_session_of_its_own() {
    if std::env::var_os(CHILD).is_some() {
        detach::in_child();
        let session = rustix::process::getsid(None).unwrap();
        assert_eq!(session, rustix::process::getpid());
        return;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_detached_child_leads_a_session_of_its_own"]).env(CHILD, "1");
    detach::prepare(&mut command);
    assert!(command.status().unwrap().success());
}
