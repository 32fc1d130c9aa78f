//! `--help` of the commands for resources in the cloud.

use super::help;

#[test]
fn server() {
    insta::assert_snapshot!(help(&["server"]), @"");
}

#[test]
fn server_create() {
    insta::assert_snapshot!(help(&["server", "create"]), @"");
}

#[test]
fn server_destroy() {
    insta::assert_snapshot!(help(&["server", "destroy"]), @"");
}

#[test]
fn server_status() {
    insta::assert_snapshot!(help(&["server", "status"]), @"");
}

#[test]
fn server_list() {
    insta::assert_snapshot!(help(&["server", "list"]), @"");
}

#[test]
fn server_ssh() {
    insta::assert_snapshot!(help(&["server", "ssh"]), @"");
}

#[test]
fn volume() {
    insta::assert_snapshot!(help(&["volume"]), @"");
}

#[test]
fn volume_list() {
    insta::assert_snapshot!(help(&["volume", "list"]), @"");
}

#[test]
fn volume_resize() {
    insta::assert_snapshot!(help(&["volume", "resize"]), @"");
}

#[test]
fn volume_delete() {
    insta::assert_snapshot!(help(&["volume", "delete"]), @"");
}

#[test]
fn sweep() {
    insta::assert_snapshot!(help(&["sweep"]), @"");
}
