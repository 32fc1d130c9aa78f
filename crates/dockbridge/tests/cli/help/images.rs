//! `--help` of `image`.

use super::help;

#[test]
fn image() {
    insta::assert_snapshot!(help(&["image"]), @"");
}

#[test]
fn image_build() {
    insta::assert_snapshot!(help(&["image", "build"]), @"");
}

#[test]
fn image_build_raw() {
    insta::assert_snapshot!(help(&["image", "build", "raw"]), @"");
}

#[test]
fn image_build_talos() {
    insta::assert_snapshot!(help(&["image", "build", "talos"]), @"");
}

#[test]
fn image_build_docker() {
    insta::assert_snapshot!(help(&["image", "build", "docker"]), @"");
}

#[test]
fn image_list() {
    insta::assert_snapshot!(help(&["image", "list"]), @"");
}

#[test]
fn image_delete() {
    insta::assert_snapshot!(help(&["image", "delete"]), @"");
}

#[test]
fn image_prune() {
    insta::assert_snapshot!(help(&["image", "prune"]), @"");
}
