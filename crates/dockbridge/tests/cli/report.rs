//! `report`: the bundle has what a reader needs, and no secret of this computer.

use std::io::Read as _;
use std::path::Path;

use crate::rig::{Desk, TOKEN, mode};

const ALL_FILES: [&str; 6] =
    ["audit.jsonl", "daemon.log", "doctor.json", "settings.yaml", "status.json", "version.json"];

/// Names and texts of the files in a bundle, without its directory.
fn unpacked(path: &Path) -> Vec<(String, String)> {
    let packed = std::fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let files = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (name, text)
    });
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

#[tokio::test]
async fn planted_secrets_are_nowhere_in_a_bundle() {
    let mut desk = Desk::new().await;
    let proxy = "pr0xy-passw0rd";
    let (saved, printed) = ("saved-0123456789", "printed-0123456789");
    desk.settings(&format!("hetzner: {{token_command: \"printf {printed}\"}}\n"));
    std::fs::write(desk.path("home/config/token"), saved).unwrap();
    let state = desk.path("home/state/default");
    std::fs::create_dir_all(&state).unwrap();
    let log = format!(
        "INFO up at 203.0.113.7\nWARN GET http://user:{proxy}@proxy/ {saved}\n{TOKEN} \
         ran printf {printed}\nAuthorization: Bearer unknown-0123456789\n"
    );
    std::fs::write(state.join("daemon.log"), &log).unwrap();
    std::fs::write(state.join("audit.jsonl"), format!("{{\"api_token\":\"{saved}\"}}\n")).unwrap();
    desk.set("HTTPS_PROXY", &format!("http://user:{proxy}@127.0.0.1:1"));
    let path = desk.path("bundle.tar.gz");
    let ran = desk.dockbridge(&["report", "-o", path.to_str().unwrap()]).await;
    ran.succeeded().said(&[path.to_str().unwrap(), "doctor.json", "read it before you send it"]);
    assert_eq!(mode(&path), 0o600);
    let files = unpacked(&path);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ALL_FILES);
    for (name, text) in &files {
        for secret in [TOKEN, saved, printed, proxy, "unknown-0123456789"] {
            assert!(!text.contains(secret), "{secret} in {name}: {text}");
        }
    }
    let of = |name: &str| &files.iter().find(|(found, _)| found == name).unwrap().1;
    assert!(of("daemon.log").contains("INFO up at 203.0.113.7"));
    assert!(of("settings.yaml").contains("idle_timeout: 5m"));
    assert!(of("status.json").contains("daemon_not_running"));
    let doctor: serde_json::Value = serde_json::from_str(of("doctor.json")).unwrap();
    testkit::assert_follows("doctor", &doctor);
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn bundle_of_a_running_daemon_has_its_status() {
    let desk = Desk::new().await;
    let daemon = desk.start().await;
    let path = desk.path("bundle.tar.gz");
    desk.dockbridge(&["report", "-o", path.to_str().unwrap()]).await.succeeded();
    let files = unpacked(&path);
    let of = |name: &str| {
        let text = &files.iter().find(|(found, _)| found == name).unwrap().1;
        serde_json::from_str::<serde_json::Value>(text).unwrap()
    };
    testkit::assert_follows("status", &of("status.json"));
    testkit::assert_follows("why", &of("why.json"));
    assert_eq!(of("status.json")["process"], daemon.child.id().unwrap());
    daemon.stop().await;
}

#[tokio::test]
async fn bundle_that_cannot_be_written_is_an_error() {
    let desk = Desk::new().await;
    let path = desk.path("no/such/directory/bundle.tar.gz");
    desk.dockbridge(&["report", "-o", path.to_str().unwrap()]).await.failed(1, &["cannot write "]);
}
