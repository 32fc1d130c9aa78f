//! What remains of the server that dockbridge's own image was prepared on: nothing of its own, and
//! no secret.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::Site;
use crate::rig::{pass_over, run};

/// The builder's own data: its disk contains it during the preparation, but the snapshot must not.
struct Traces {
    /// Text that no file may contain.
    texts: Vec<String>,
}

impl Traces {
    /// Of the running build.
    async fn of_builder(site: &Site) -> Self {
        let key =
            site.stage.api.ssh_keys().list(&hetzner::Query::default()).await.unwrap().remove(0);
        let state: Value =
            serde_json::from_slice(&std::fs::read(site.path("cloud/cloud.json")).unwrap()).unwrap();
        let user_data = find(&state, "user_data")
            .and_then(Value::as_str)
            .expect("the cloud keeps the user-data");
        let config: Value =
            serde_json::from_str(user_data.strip_prefix("#cloud-config\n").unwrap()).unwrap();
        let private = config["ssh_keys"]["ed25519_private"].as_str().unwrap();
        // The first line is the same for all keys.
        let private =
            private.lines().filter(|line| !line.starts_with("-----")).skip(1).map(str::to_owned);
        let public = [
            key.public_key.split(' ').nth(1).unwrap(),
            config["ssh_keys"]["ed25519_public"].as_str().unwrap().split(' ').nth(1).unwrap(),
        ];
        let name = key.name.clone();
        let token = site.stage.cloud.token().to_owned();
        Self { texts: private.chain(public.map(str::to_owned)).chain([name, token]).collect() }
    }

    /// Files of a disk that contain one of these texts, from its root.
    async fn in_files(&self, disk: &Path) -> BTreeSet<PathBuf> {
        let mut grep = tokio::process::Command::new("grep");
        grep.args(["-rlaFs", "--devices=skip", "-f", "-"]).arg(disk);
        let ran = run(grep, &self.texts.join("\n")).await;
        ran.stdout
            .lines()
            .map(|line| Path::new("/").join(Path::new(line).strip_prefix(disk).unwrap()))
            .collect()
    }
}

/// Existing files that identify a machine or its history.
fn of_its_own(disk: &Path) -> BTreeSet<&'static str> {
    let size = |path: &str| std::fs::metadata(disk.join(path)).map_or(0, |found| found.len());
    let names = |path: &str| -> Vec<String> {
        let entries = std::fs::read_dir(disk.join(path)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let found = [
        ("an authorized key", size("root/.ssh/authorized_keys") > 0),
        (
            "a host key",
            names("etc/ssh")
                .iter()
                .any(|name| name.starts_with("ssh_host_") && size(&format!("etc/ssh/{name}")) > 0),
        ),
        ("a machine id", size("etc/machine-id") > 0),
        ("cloud-init's notes", names("var/lib/cloud").iter().any(|name| name != "seed")),
        (
            "a log",
            names("var/log").iter().any(|name| {
                disk.join("var/log").join(name).is_file() && size(&format!("var/log/{name}")) > 0
            }),
        ),
        ("a journal", !names("var/log/journal").is_empty()),
        ("data of docker", !names("var/lib/docker").is_empty()),
        ("data of containerd", !names("var/lib/containerd").is_empty()),
        ("a random seed", size("var/lib/systemd/random-seed") > 0),
        ("a history", names("root").iter().any(|name| name.ends_with("_history"))),
        ("a volume's id", disk.join("etc/dockbridge").exists()),
    ];
    found.into_iter().filter_map(|(what, there)| there.then_some(what)).collect()
}

fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields
            .get(key)
            .filter(|found| !found.is_null())
            .or_else(|| fields.values().find_map(|value| find(value, key))),
        Value::Array(values) => values.iter().find_map(|value| find(value, key)),
        _ => None,
    }
}

#[tokio::test]
async fn the_snapshot_of_our_own_image_holds_nothing_of_the_server_that_it_was_prepared_on() {
    let Some(site) = Site::new().await else { return pass_over() };
    let mut build = site.begin_of("docker", &[]);
    build.reaches("prepare").await;
    // The same search on the same disk before it is stripped, as proof that it can find something.
    let server = site.stage.api.servers().list(&hetzner::Query::default()).await.unwrap().remove(0);
    let disk = site.path(&format!("cloud/servers/{}/upper", server.id));
    let traces = Traces::of_builder(&site).await;
    let held = traces.in_files(&disk).await;
    for file in ["/root/.ssh/authorized_keys", "/etc/ssh/ssh_host_ed25519_key", "/etc/hostname"] {
        assert!(held.contains(Path::new(file)), "{file} is not among {held:?}");
    }
    assert!(held.iter().any(|file| file.starts_with("/var/lib/cloud")), "{held:?}");
    // Docker starts during the preparation.
    let mut own = BTreeSet::new();
    let expected = [
        "an authorized key",
        "a host key",
        "a machine id",
        "cloud-init's notes",
        "a log",
        "data of docker",
        "data of containerd",
    ];
    site.stage
        .eventually("the looks find what is there", Duration::from_secs(20), async || {
            own.extend(of_its_own(&disk));
            expected.iter().all(|what| own.contains(what))
        })
        .await;

    let id = build.built().await["id"].as_u64().unwrap();
    let snapshot = site.path(&format!("cloud/images/{id}/upper"));
    assert!(
        snapshot.join("usr/local/lib/dockbridge/furnished").exists(),
        "it is the snapshot's disk"
    );
    assert_eq!(traces.in_files(&snapshot).await, BTreeSet::new());
    assert_eq!(of_its_own(&snapshot), BTreeSet::new());
    assert_eq!(site.left().await, Vec::<String>::new());
    site.stage.close().await;
}
