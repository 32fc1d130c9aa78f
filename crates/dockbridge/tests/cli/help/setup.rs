//! `--help` of the commands for setup and trials.

use super::help;

#[test]
fn init() {
    insta::assert_snapshot!(help(&["init"]), @"");
}

#[test]
fn config() {
    insta::assert_snapshot!(help(&["config"]), @"");
}

#[test]
fn config_show() {
    insta::assert_snapshot!(help(&["config", "show"]), @"");
}

#[test]
fn config_validate() {
    insta::assert_snapshot!(help(&["config", "validate"]), @"");
}

#[test]
fn config_path() {
    insta::assert_snapshot!(help(&["config", "path"]), @"");
}

#[test]
fn r#try() {
    insta::assert_snapshot!(help(&["try"]), @"");
}

#[test]
fn local_cloud() {
    insta::assert_snapshot!(help(&["local-cloud"]), @"");
}
