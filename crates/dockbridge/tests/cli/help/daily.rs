//! `--help` of the commands for every day.

use super::help;

#[test]
fn dockbridge() {
    insta::assert_snapshot!(help(&[]), @"");
}

#[test]
fn start() {
    insta::assert_snapshot!(help(&["start"]), @"");
}

#[test]
fn status() {
    insta::assert_snapshot!(help(&["status"]), @"");
}

#[test]
fn why() {
    insta::assert_snapshot!(help(&["why"]), @"");
}

#[test]
fn pin() {
    insta::assert_snapshot!(help(&["pin"]), @"");
}

#[test]
fn unpin() {
    insta::assert_snapshot!(help(&["unpin"]), @"");
}

#[test]
fn cost() {
    insta::assert_snapshot!(help(&["cost"]), @"");
}

#[test]
fn audit() {
    insta::assert_snapshot!(help(&["audit"]), @"");
}

#[test]
fn stop() {
    insta::assert_snapshot!(help(&["stop"]), @"");
}

#[test]
fn wake() {
    insta::assert_snapshot!(help(&["wake"]), @"");
}

#[test]
fn ports() {
    insta::assert_snapshot!(help(&["ports"]), @"");
}

#[test]
fn ports_add() {
    insta::assert_snapshot!(help(&["ports", "add"]), @"");
}

#[test]
fn ports_remove() {
    insta::assert_snapshot!(help(&["ports", "remove"]), @"");
}
