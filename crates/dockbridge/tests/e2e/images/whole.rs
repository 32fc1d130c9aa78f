//! Builds that succeed.

use std::time::Duration;

use hetzner::NewServer;
use serde_json::Value;
use tokio::process::Command;

use super::both::Factory;
use super::{Site, holds, image_bytes};
use crate::rig::{agent_directory, pass_over, run};
use crate::web::Manner;

/// In KiB, whatever the size of an image: no part of a build keeps it in memory.
const MOST_MEMORY: u64 = 64 * 1024;
/// Raw or compressed; from a URL, from a file, or both in turn.
type Form = (&'static str, &'static [bool]);
/// Each format, and each source; the writer's own tests cover all pairs.
const FORMS: [Form; 6] = [
    ("raw", &[true]),
    ("xz", &[false]),
    ("zst", &[true]),
    ("gz", &[false]),
    ("bz2", &[true]),
    ("qcow2", &[false]),
];

/// The formats to build: all, or those that `DOCKBRIDGE_TEST_IMAGE_FORMS=xz,gz` names, because
/// packing big images takes time. A big image comes from both sources in each format.
fn forms() -> Vec<Form> {
    let named = std::env::var("DOCKBRIDGE_TEST_IMAGE_FORMS").ok();
    let is_named =
        |form: &str| named.as_deref().is_none_or(|named| named.split(',').any(|name| name == form));
    let forms = FORMS.into_iter().filter(|(form, _)| is_named(form));
    forms
        .map(|(form, sources)| {
            (form, if image_bytes() > 1 << 30 { &[true, false] } else { sources })
        })
        .collect()
}

#[tokio::test]
async fn an_image_arrives_byte_for_byte_in_each_form_and_is_a_labeled_snapshot() {
    let Some(site) = Site::new().await else { return pass_over() };
    let image = site.make_image(image_bytes());
    let forms = forms();
    for (suffix, sources) in &forms {
        let source = site.packed(&image, suffix).await;
        let sum = sha256(&source).await;
        for from_web in *sources {
            let name = format!("{suffix}-{}", if *from_web { "url" } else { "file" });
            let url = site.web.serve(&name, &source, Manner::Good);
            let file = source.display().to_string();
            let from: [&str; 2] = if *from_web { ["--url", &url] } else { ["--file", &file] };
            let arguments = [
                &from[..],
                &["--name", &name, "--os", "noise", "--version", "1.0", "--sha256", &sum],
            ]
            .concat();
            let mut build = site.begin(&arguments);
            let pid = build.pid();
            let (mut last, mut client, mut writing) = (Value::Null, 0, 0);
            while let Some(event) = build.event().await {
                client = client.max(peak_of(pid));
                writing = writing.max(peak_of_writing());
                last = event;
            }
            let output = build.child.wait_with_output().await.unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && last["event"] == "built", "{name}: {last}: {said}");
            for (who, peak) in
                [("the client", client), ("writer, curl and decompressor together", writing)]
            {
                assert!(peak > 0 && peak < MOST_MEMORY, "{name}: {who} had {peak} KiB in memory");
            }
            let id = last["id"].as_u64().unwrap();
            assert!(
                holds(&site.snapshot_file(id), &image).await,
                "{name}: the snapshot is not the image"
            );
            assert_eq!(site.left().await, Vec::<String>::new(), "{name}");
            let snapshots = site.snapshots().await;
            let snapshot = snapshots.iter().find(|snapshot| snapshot.id == id).unwrap();
            let label = |key: &str| snapshot.labels.get(key).map(String::as_str);
            assert_eq!(
                (label("os"), label("version"), label("arch")),
                (Some("noise"), Some("1.0"), Some("x86"))
            );
            assert_eq!(label("source-sha256").map(str::len), Some(52));
            assert_eq!(snapshot.description, format!("{name}: noise 1.0 for x86"));
            eprintln!(
                "{name}: at most {client} KiB in the client, {writing} KiB in all that writes; \
                 {last}"
            );
            if forms.len() < FORMS.len() || image_bytes() > 1 << 30 {
                site.stage.api.images().delete(id).await.unwrap();
            }
        }
    }

    if forms.len() == FORMS.len() && image_bytes() <= 1 << 30 {
        equal_builds_list_and_prune(&site).await;
    }
    site.stage.close().await;
}

/// Uses the snapshots of the test above, because machines are expensive.
async fn equal_builds_list_and_prune(site: &Site) {
    let source = site.path("image.raw");
    let url = site.web.serve("elsewhere", &source, Manner::Good);
    let sum = sha256(&source).await;
    let again = site
        .build(&[
            "--url",
            &url,
            "--name",
            "raw-url",
            "--os",
            "noise",
            "--version",
            "1.0",
            "--sha256",
            &sum,
        ])
        .await;
    assert!(
        again.succeeded().stdout.contains("existed already")
            && again.took < Duration::from_secs(10),
        "{again}"
    );
    assert_eq!(site.snapshots().await.len(), 6);

    let listed: Value = serde_json::from_str(
        &site.stage.dockbridge(&["image", "list", "--json"]).await.succeeded().stdout,
    )
    .unwrap();
    let listed = listed.as_array().unwrap();
    assert!(
        listed.len() == 6
            && listed.iter().all(|image| image["price_monthly"].as_f64().unwrap() > 0.0),
        "{listed:?}"
    );
    let ids: Vec<u64> = listed.iter().map(|image| image["id"].as_u64().unwrap()).collect();

    // A server from it exists and runs; noise has no boot loader.
    let new = NewServer {
        name: "from-image".to_owned(),
        server_type: "cx23".to_owned(),
        image: ids[0].to_string(),
        location: Some("fsn1".to_owned()),
        ..NewServer::default()
    };
    let created = site.stage.api.servers().create(&new).await.unwrap();
    site.stage.api.wait(created.actions()).await.unwrap();
    let server = site.stage.api.servers().get(created.server.id).await.unwrap().unwrap();
    assert_eq!(server.status, hetzner::ServerStatus::Running);
    site.stage.api.servers().delete(server.id).await.unwrap();

    let young =
        site.stage.dockbridge(&["image", "prune", "--keep", "0", "--older-than", "30d"]).await;
    assert!(young.succeeded().stdout.contains("No image is old enough"), "{young}");
    site.stage
        .dockbridge(&["image", "prune", "--keep", "1", "--older-than", "0s"])
        .await
        .succeeded();
    assert_eq!(site.snapshots().await.len(), 6, "each is the newest of its name");
    site.stage
        .dockbridge(&["image", "prune", "--keep", "0", "--older-than", "0s", "--dry-run"])
        .await
        .succeeded();
    site.stage.dockbridge(&["image", "delete", "raw-url"]).await.succeeded();
    assert_eq!(site.snapshots().await.len(), 5);
    site.stage
        .dockbridge(&["image", "prune", "--keep", "0", "--older-than", "0s"])
        .await
        .succeeded();
    assert_eq!(site.snapshots().await.len(), 0);
}

#[tokio::test]
async fn talos_comes_from_its_factory() {
    let Some(mut site) = Site::new().await else { return pass_over() };
    let image = site.make_image(8 << 20);
    let packed = site.packed(&image, "xz").await;
    let factory = Factory::on(&site.web, &packed);
    site.web.serve(&factory.path("amd64"), &packed, Manner::Good);
    site.stage.environment.push(("DOCKBRIDGE_IMAGE_FACTORY".to_owned(), factory.address.clone()));
    // Only this architecture has an agent.
    let (agents, own) =
        (site.path("agents"), format!("dockbridge-agent-{}", std::env::consts::ARCH));
    std::fs::create_dir(&agents).unwrap();
    std::fs::copy(agent_directory().join(&own), agents.join(&own)).unwrap();
    site.stage.environment.push(("DOCKBRIDGE_AGENT_DIR".to_owned(), agents.display().to_string()));
    let schematic = site.path("schematic.yaml");
    std::fs::write(&schematic, "customization:\n  extraKernelArgs: [vga=791]\n").unwrap();
    let talos = async |arguments: &[&str]| {
        site.stage.dockbridge(&[&["image", "build", "talos"], arguments].concat()).await
    };

    talos(&[]).await.failed_with("no version of Talos is given");
    talos(&["--version", "1.12"]).await.failed_with("is no version of Talos");
    talos(&["--version", "v1.12.9"]).await.failed_with("the newest are v1.12.0, v1.11.3");
    talos(&["--version", "v1.12.0", "--schematic", "no-such-file"])
        .await
        .failed_with("cannot read the schematic no-such-file");
    assert_eq!(site.left().await, Vec::<String>::new());

    // The half without an agent fails with a message, and this half is built next to it.
    let both = talos(&[
        "--version",
        "v1.12.0",
        "--schematic",
        schematic.to_str().unwrap(),
        "--arch",
        "both",
    ])
    .await;
    both.failed_with("Error: for arm: ").failed_with("holds no dockbridge-agent for aarch64");
    assert!(both.stdout.contains("talos v1.12.0 for x86"), "{both}");
    let snapshots = site.snapshots().await;
    let [snapshot] = snapshots.as_slice() else { panic!("{snapshots:?}") };
    let label = |key: &str| snapshot.labels.get(key).map(String::as_str);
    assert_eq!(
        (label("os"), label("version"), label("schematic")),
        (Some("talos"), Some("v1.12.0"), Some(&factory.schematic[..63]))
    );
    assert!(holds(&site.snapshot_file(snapshot.id), &image).await);
    let posted = site
        .web
        .requests()
        .into_iter()
        .filter(|request| request.starts_with("POST /schematics"))
        .collect::<Vec<_>>();
    assert!(posted.len() == 1 && posted[0].contains("extraKernelArgs"), "{posted:?}");
    assert_eq!(site.left().await, Vec::<String>::new());
    site.stage.close().await;
}

async fn sha256(file: &std::path::Path) -> String {
    let mut command = Command::new("sha256sum");
    command.arg(file);
    run(command, "").await.succeeded().stdout.split(' ').next().unwrap().to_owned()
}

/// Peak memory of a process, in KiB.
fn peak_of(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Peak memory of all writing processes of a rescue system together: the writer, curl, the
/// decompressor. They are processes of this host.
fn peak_of_writing() -> u64 {
    let mut most = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if std::fs::read_to_string(process.path().join("comm"))
            .is_ok_and(|name| name.trim() == "dockbridge-writ")
        {
            let children =
                std::fs::read_dir(process.path().join("task")).into_iter().flatten().flatten();
            let children = children
                .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
            let all: Vec<i32> = children
                .flat_map(|list| {
                    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
                })
                .collect();
            most = most.max(all.into_iter().chain([pid]).map(peak_of).sum());
        }
    }
    most
}
