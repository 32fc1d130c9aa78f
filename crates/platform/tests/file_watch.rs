//! A file that is written, replaced and removed, and a link to it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use dockbridge_platform::file_watch::FileWatch;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(20);

/// What is done to the file, and that the watch reports it.
async fn reported(watch: &mut FileWatch, what: &str, change: impl FnOnce()) {
    change();
    let reported = timeout(LONG, watch.changed()).await;
    reported.unwrap_or_else(|_| panic!("not reported: {what}")).unwrap();
}

fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

#[tokio::test]
async fn writing_replacing_and_removing_a_file_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    let mut watch = FileWatch::of(&file).unwrap();
    reported(&mut watch, "creation", || fs::write(&file, "a").unwrap()).await;
    reported(&mut watch, "writing", || fs::write(&file, "b").unwrap()).await;
    reported(&mut watch, "replacement", || replace(&file, "c")).await;
    reported(&mut watch, "removal", || fs::remove_file(&file).unwrap()).await;
}

#[tokio::test]
async fn file_behind_a_link_is_watched_and_the_link_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (link, target) = (directory.path().join("config.yaml"), directory.path().join("dotfiles"));
    fs::create_dir(&target).unwrap();
    let target = target.join("mine.yaml");
    fs::write(&target, "a").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let mut watch = FileWatch::of(&link).unwrap();
    reported(&mut watch, "writing through the link", || fs::write(&link, "b").unwrap()).await;
    reported(&mut watch, "replacement behind the link", || replace(&target, "c")).await;
    reported(&mut watch, "removal of the link", || fs::remove_file(&link).unwrap()).await;
}
