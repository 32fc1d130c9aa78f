//! Builds that succeed.

use std::time::Duration;

use hetzner::{NewServer, Query};
use serde_json::Value;
use tokio::process::Command;

use super::{Site, holds, image_bytes};
use crate::rig::{pass_over, run};
use crate::web::Manner;

/// What the issue of memory is about: whatever the size of an image, no part of a build keeps it in memory.
const MOST_MEMORY_KIB: u64 = 64 * 1024;

#[tokio::test]
async fn an_image_arrives_byte_for_byte_in_each_form_and_is_a_labelled_snapshot() {
    let Some(site) = Site::new().await else { return pass_over() };
    let image = site.make_image(image_bytes());
    let forms: &[(&str, &[bool])] = if image_bytes() > 1 << 30 {
        &[
            ("raw", &[true, false]),
            ("xz", &[true, false]),
            ("zst", &[true, false]),
            ("gz", &[true, false]),
            ("bz2", &[true, false]),
            ("qcow2", &[true, false]),
        ]
    } else {
        // Each form, and each way; the writer's own tests have all pairs.
        &[("raw", &[true]), ("xz", &[false]), ("zst", &[true]), ("gz", &[false]), ("bz2", &[true]), ("qcow2", &[false])]
    };
    for (suffix, ways) in forms {
        let source = site.packed(&image, suffix).await;
        let sum = sha256(&source).await;
        for from_web in *ways {
            let name = format!("{suffix}-{}", if *from_web { "url" } else { "file" });
            let url = site.web.serve(&name, &source, Manner::Good);
            let file = source.display().to_string();
            let from: [&str; 2] = if *from_web { ["--url", &url] } else { ["--file", &file] };
            let arguments = [&from[..], &["--name", &name, "--os", "noise", "--version", "1.0", "--sha256", &sum]].concat();
            let mut build = site.begin(&arguments);
            let (mut last, mut most) = (Value::Null, 0);
            while let Some(event) = build.event().await {
                most = most.max(peak_of(build.pid())).max(peak_of_writer());
                last = event;
            }
            let status = build.child.wait().await.unwrap();
            assert!(status.success() && last["event"] == "built", "{name}: {last}");
            assert!(most > 0 && most < MOST_MEMORY_KIB, "{name}: {most} KiB");
            let id = last["id"].as_u64().unwrap();
            assert!(holds(&site.snapshot_file(id), &image).await, "{name}: the snapshot is not the image");
            assert_eq!(site.left().await, Vec::<String>::new(), "{name}");
            let snapshots = site.snapshots().await;
            let snapshot = snapshots.iter().find(|snapshot| snapshot.id == id).unwrap();
            let label = |key: &str| snapshot.labels.get(key).map(String::as_str);
            assert_eq!((label("os"), label("version"), label("arch")), (Some("noise"), Some("1.0"), Some("x86")));
            assert_eq!(label("source-sha256").map(str::len), Some(52));
            assert_eq!(snapshot.description, format!("{name}: noise 1.0 for x86"));
            eprintln!("{name}: {most} KiB at most in one process; {last}");
            if image_bytes() > 1 << 30 {
                site.stage.api.images().delete(id).await.unwrap();
            }
        }
    }

    if image_bytes() <= 1 << 30 {
        equal_builds_list_prune_and_other_clients(&site).await;
    }
    site.stage.close().await;
}

/// On the snapshots of the test above: machines are dear.
async fn equal_builds_list_prune_and_other_clients(site: &Site) {
    let source = site.path("image.raw");
    let url = site.web.serve("elsewhere", &source, Manner::Good);
    let sum = sha256(&source).await;
    let again = site.build(&["--url", &url, "--name", "raw-url", "--os", "noise", "--version", "1.0", "--sha256", &sum]).await;
    assert!(again.succeeded().stdout.contains("was there already") && again.took < Duration::from_secs(10), "{again}");
    assert_eq!(site.snapshots().await.len(), 6);

    let listed: Value = serde_json::from_str(&site.stage.dockbridge(&["image", "list", "--json"]).await.succeeded().stdout).unwrap();
    let listed = listed.as_array().unwrap();
    assert!(listed.len() == 6 && listed.iter().all(|image| image["price_monthly"].as_f64().unwrap() > 0.0), "{listed:?}");
    let ids: Vec<u64> = listed.iter().map(|image| image["id"].as_u64().unwrap()).collect();
    others_see(site, ids[0], listed[0]["name"].as_str().unwrap()).await;

    // A server from it is there and runs; noise has no boot loader.
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

    let young = site.stage.dockbridge(&["image", "prune", "--keep", "0", "--older-than", "30d"]).await;
    assert!(young.succeeded().stdout.contains("No image is old enough"), "{young}");
    site.stage.dockbridge(&["image", "prune", "--keep", "1", "--older-than", "0s"]).await.succeeded();
    assert_eq!(site.snapshots().await.len(), 6, "each is the newest of its name");
    site.stage.dockbridge(&["image", "prune", "--keep", "0", "--older-than", "0s", "--dry-run"]).await.succeeded();
    site.stage.dockbridge(&["image", "delete", "raw-url"]).await.succeeded();
    assert_eq!(site.snapshots().await.len(), 5);
    site.stage.dockbridge(&["image", "prune", "--keep", "0", "--older-than", "0s"]).await.succeeded();
    assert_eq!(site.snapshots().await.len(), 0);
}

/// Clients that other people wrote see the snapshot with its labels and make a server from it.
async fn others_see(site: &Site, id: u64, name: &str) {
    let (endpoint, token) = (site.stage.cloud.endpoint(), site.stage.cloud.token().to_owned());
    let with = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).env("HCLOUD_ENDPOINT", &endpoint).env("HCLOUD_TOKEN", &token).env("HOME", site.stage.folder.path());
        command
    };
    if Command::new("hcloud").arg("version").output().await.is_ok() {
        let selector = format!("dockbridge-image={name},os=noise");
        let list = run(with("hcloud", &["image", "list", "-l", &selector, "-o", "noheader", "-o", "columns=id"]), "").await;
        assert_eq!(list.succeeded().stdout.trim(), id.to_string());
        let image = id.to_string();
        let create = [
            "server",
            "create",
            "--name",
            "by-cli",
            "--type",
            "cx23",
            "--location",
            "fsn1",
            "--image",
            &image,
            "--start-after-create=false",
        ];
        run(with("hcloud", &create), "").await.succeeded();
        run(with("hcloud", &["server", "delete", "by-cli"]), "").await.succeeded();
    } else {
        eprintln!("passed over: no `hcloud` in PATH");
    }
    let python = std::env::var("DOCKBRIDGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if Command::new(&python).args(["-c", "import hcloud"]).output().await.is_ok_and(|output| output.status.success()) {
        let script = format!(
            "import os\nfrom hcloud import Client\nfrom hcloud.server_types import ServerType\nfrom hcloud.locations import Location\n\
             c = Client(token=os.environ['HCLOUD_TOKEN'], api_endpoint=os.environ['HCLOUD_ENDPOINT'], poll_interval=0.1)\n\
             [image] = c.images.get_all(label_selector='dockbridge-image={name}')\n\
             assert image.id == {id} and image.labels['os'] == 'noise' and image.labels['managed-by'] == 'dockbridge', image.labels\n\
             made = c.servers.create('by-python', ServerType('cx23'), image, location=Location('fsn1'), start_after_create=False)\n\
             made.action.wait_until_finished()\nmade.server.delete().wait_until_finished()\n"
        );
        run(with(&python, &["-c", &script]), "").await.succeeded();
    } else {
        eprintln!("passed over: no Python that can import hcloud");
    }
    let all = Query::default();
    site.stage
        .eventually("their servers are gone", Duration::from_secs(30), async || {
            site.stage.api.servers().list(&all).await.unwrap().is_empty()
        })
        .await;
}

#[tokio::test]
async fn talos_comes_from_its_factory() {
    let Some(mut site) = Site::new().await else { return pass_over() };
    let image = site.make_image(8 << 20);
    let packed = site.packed(&image, "xz").await;
    let id = "c".repeat(64);
    let reply: &'static str = Box::leak(format!("{{\"id\":\"{id}\"}}").into_boxed_str());
    site.web.serve("schematics", &packed, Manner::Says(reply));
    let base = site.web.serve("versions", &packed, Manner::Says("[\"v1.11.3\",\"v1.12.0\",\"v1.13.0-alpha.0\"]"));
    site.web.serve(&format!("image/{id}/v1.12.0/hcloud-amd64.raw.xz"), &packed, Manner::Good);
    site.stage.environment.push(("DOCKBRIDGE_IMAGE_FACTORY".to_owned(), base.trim_end_matches("/versions").to_owned()));
    let schematic = site.path("schematic.yaml");
    std::fs::write(&schematic, "customization:\n  extraKernelArgs: [vga=791]\n").unwrap();
    let talos = async |arguments: &[&str]| site.stage.dockbridge(&[&["image", "build", "talos"], arguments].concat()).await;

    talos(&[]).await.failed_with("the version of Talos is missing");
    talos(&["--version", "1.12"]).await.failed_with("is no version of Talos");
    talos(&["--version", "v1.12.9"]).await.failed_with("the newest are v1.12.0, v1.11.3");
    talos(&["--version", "v1.12.0", "--schematic", "no-such-file"]).await.failed_with("no-such-file cannot be read");
    assert_eq!(site.left().await, Vec::<String>::new());

    // No agent for the other architecture is here: that half fails and says so, this half is built beside it.
    let both = talos(&["--version", "v1.12.0", "--schematic", schematic.to_str().unwrap(), "--arch", "both"]).await;
    both.failed_with("holds no dockbridge-agent for aarch64");
    assert!(both.stdout.contains("talos v1.12.0 for x86"), "{both}");
    let snapshots = site.snapshots().await;
    let [snapshot] = snapshots.as_slice() else { panic!("{snapshots:?}") };
    let label = |key: &str| snapshot.labels.get(key).map(String::as_str);
    assert_eq!((label("os"), label("version"), label("schematic")), (Some("talos"), Some("v1.12.0"), Some(&id[..63])));
    assert!(holds(&site.snapshot_file(snapshot.id), &image).await);
    let posted = site.web.requests().into_iter().filter(|request| request.starts_with("POST /schematics")).collect::<Vec<_>>();
    assert!(posted.len() == 1 && posted[0].contains("extraKernelArgs"), "{posted:?}");
    assert_eq!(site.left().await, Vec::<String>::new());
    site.stage.close().await;
}

async fn sha256(file: &std::path::Path) -> String {
    let mut command = Command::new("sha256sum");
    command.arg(file);
    run(command, "").await.succeeded().stdout.split(' ').next().unwrap().to_owned()
}

/// What a process had in memory at most, in KiB.
fn peak_of(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// The most that any process of the writing in a rescue system had: the writer, curl, the decompressor. They are processes of this host.
fn peak_of_writer() -> u64 {
    let mut most = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if std::fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name.trim() == "dockbridge-writ") {
            let children = std::fs::read_dir(process.path().join("task")).into_iter().flatten().flatten();
            let children = children.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
            let all: Vec<i32> =
                children.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
            most = most.max(all.into_iter().chain([pid]).map(peak_of).max().unwrap_or(0));
        }
    }
    most
}
