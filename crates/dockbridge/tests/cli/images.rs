//! `dockbridge image` without machines: strict settings and arguments, and existing snapshots.

use hetzner::{ImageType, Labels, NewFirewall, NewServer, Query};

use crate::rig::{Desk, READ_ONLY};
use crate::web::{Manner, Web};

/// Creates a snapshot in the project, with labels.
async fn make_snapshot(desk: &Desk, name: &str, labels: &Labels) -> u64 {
    let new = NewServer {
        name: name.to_owned(),
        server_type: "cx23".to_owned(),
        image: "debian-13".to_owned(),
        location: Some("fsn1".to_owned()),
        start_after_create: false,
        ..NewServer::default()
    };
    let server = desk.api.servers().create(&new).await.unwrap();
    desk.api.wait(server.actions()).await.unwrap();
    let image = desk.api.servers().create_image(server.server.id, name, labels).await.unwrap();
    desk.api.wait(vec![image.action]).await.unwrap();
    let gone = desk.api.servers().delete(server.server.id).await.unwrap();
    desk.api.wait(gone.into_iter().collect()).await.unwrap();
    image.image.id
}

fn labels(owner: &str, role: &str, name: &str) -> Labels {
    [
        ("managed-by", "dockbridge"),
        ("dockbridge-owner", owner),
        ("dockbridge-role", role),
        ("dockbridge-image", name),
        ("dockbridge-build", "0123456789abcdef"),
        ("os", "noise"),
        ("arch", "x86"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

async fn snapshots(desk: &Desk) -> Vec<u64> {
    let query = Query { image_type: vec![ImageType::Snapshot], ..Query::default() };
    desk.api.images().list(&query).await.unwrap().into_iter().map(|image| image.id).collect()
}

#[tokio::test]
async fn missing_and_invalid_arguments_are_reported_before_anything_is_created() {
    let mut desk = Desk::new().await;
    let raw = |more: &[&'static str]| [&["image", "build", "raw"], more].concat();
    let short = "abc";
    for (arguments, expected) in [
        (raw(&[]), &["--url <URL>", "--file <FILE>"][..]),
        (raw(&["--url", "https://a/x", "--file", "x"]), &["cannot be used with"]),
        (raw(&["--url", "/tmp/x"]), &["is not a web address", "--file"]),
        (raw(&["--url", "https://a/x", "--name", "a b"]), &["is no name for an image"]),
        (raw(&["--url", "https://a/x", "--sha256", short]), &["it must have 64 hex digits"]),
        (raw(&["--url", "https://a/x", "--compression", "rar"]), &["invalid value 'rar'", "zstd"]),
        (vec!["image", "build", "docker", "--arch", "mips"], &["invalid value 'mips'", "arm64"]),
        (raw(&["--url", "https://a/x", "--arch", "both"]), &["one image is for one architecture"]),
        (
            vec!["image", "build", "talos", "--version", "1.12.0"],
            &["is no version of Talos: write it as v1.12.0"],
        ),
        (vec!["image", "prune", "--keep", "3"], &["--older-than <AGE>"]),
        (
            vec!["image", "prune", "--keep", "3", "--older-than", "soon"],
            &["write it as 90s, 5m or 1h 30m, or 30d"],
        ),
    ] {
        desk.dockbridge(&arguments).await.failed(2, expected);
    }
    desk.dockbridge(&raw(&["--url", "https://a/x"]))
        .await
        .failed(1, &["Error: the image has no name", "Hint: set one with `--name`"]);
    desk.dockbridge(&["image", "build", "talos"])
        .await
        .failed(1, &["Error: no version of Talos is given", "`image.talos_version`"]);
    desk.dockbridge(&raw(&["--file", "/no/such", "--name", "n"]))
        .await
        .failed(4, &["Error: /no/such cannot be read"]);
    desk.dockbridge(&raw(&["--url", "https://a/x", "--name", "n"]))
        .await
        .failed(1, &["holds no dockbridge-agent for", "DOCKBRIDGE_AGENT_DIR"]);
    desk.dockbridge(&["image", "build", "docker"])
        .await
        .failed(1, &["holds no dockbridge-agent for", "DOCKBRIDGE_AGENT_DIR"]);

    for (settings, expected) in [
        ("image: {talos_version: '1.12'}\n", "\"1.12\" is no version of Talos"),
        ("image: {name: 'a b'}\n", "is no name for an image"),
        ("image: {factory: 'nowhere'}\n", "\"nowhere\" is not an address"),
        ("image: {talos_verson: v1.12.0}\n", "did you mean `talos_version`?"),
        ("image: {stall_timeout: 5}\n", "line 1"),
    ] {
        desk.settings(settings);
        desk.dockbridge(&["image", "list"]).await.failed(1, &["config.yaml: ", expected]);
    }
    desk.settings("");
    desk.unset("HCLOUD_TOKEN");
    desk.dockbridge(&["image", "list"])
        .await
        .failed(1, &["Error: no Hetzner API token is configured"]);
    desk.dockbridge(&["image", "list", "--token", "-"])
        .await
        .failed(1, &["Error: standard input contains no token"]);
    desk.dockbridge(&["image", "list", "--token", "wrong"])
        .await
        .failed(1, &["the API token is not valid"]);
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn snapshots_of_others_are_neither_shown_nor_deleted() {
    let mut desk = Desk::new().await;
    let owner = desk.identity("default").owner.to_string();
    desk.unset("HCLOUD_TOKEN");
    let token = crate::rig::TOKEN;
    let list = ["image", "list", "--token", "-"];
    desk.dockbridge_with_input(&list, token).await.succeeded().said(&["This owner has no images."]);
    let own = make_snapshot(&desk, "own", &labels(&owner, "image", "a")).await;
    let old = make_snapshot(&desk, "old", &labels(&owner, "image", "a")).await;
    let theirs = make_snapshot(&desk, "theirs", &labels("abcdefghjkmn", "image", "a")).await;
    let plain = make_snapshot(&desk, "plain", &Labels::new()).await;

    let shown = desk
        .dockbridge_with_input(&[&list[..], &["--json"]].concat(), token)
        .await
        .succeeded()
        .json();
    assert_eq!(shown.as_array().unwrap().len(), 2, "{shown}");
    assert!(shown[0]["price_monthly"].as_f64().is_some_and(|price| price > 0.0), "{shown}");
    desk.dockbridge_with_input(&list, token).await.succeeded().said(&[
        "a (",
        "noise for x86",
        "2 images",
        "EUR net a month",
    ]);

    desk.set("HCLOUD_TOKEN", token);
    for other in [theirs, plain] {
        desk.dockbridge(&["image", "delete", &other.to_string()])
            .await
            .failed(1, &["no image of dockbridge is called", "`dockbridge image list`"]);
    }
    desk.dockbridge(&["image", "delete", "a"])
        .await
        .failed(1, &["several images are called \"a\"", "use one of these ids"]);
    let prune = |more: &[&'static str]| {
        [&["image", "prune", "--keep", "1", "--older-than", "0s"], more].concat()
    };
    desk.dockbridge(&prune(&["--dry-run"])).await.succeeded().said(&["would be deleted"]);
    assert_eq!(snapshots(&desk).await.len(), 4);
    let one_second = std::time::Duration::from_secs(1);
    // The API's times are whole seconds, so a snapshot of the same second is not older than 0 s.
    while desk.dockbridge(&prune(&[])).await.succeeded().stdout.contains("No image is old enough") {
        tokio::time::sleep(one_second / 10).await;
    }
    let mut left = snapshots(&desk).await;
    left.sort_unstable();
    let newest = own.max(old);
    assert_eq!(left, {
        let mut all = [newest, theirs, plain];
        all.sort_unstable();
        all
    });
    desk.dockbridge(&["image", "delete", &newest.to_string()])
        .await
        .succeeded()
        .said(&["Deleted image"]);
    desk.set("HCLOUD_TOKEN", READ_ONLY);
    desk.dockbridge(&["image", "list"]).await.succeeded();
}

/// Nothing answers on this cloud's machines; the test only checks which image they are created
/// from.
#[tokio::test]
async fn machines_are_made_from_snapshots_of_our_own_only_and_from_the_newest() {
    let desk = Desk::new().await;
    let owner = desk.identity("default").owner.to_string();
    let for_machines = |mut labels: Labels| {
        labels.insert("dockbridge-machine-image".to_owned(), "0123456789abcdef".to_owned());
        labels
    };
    make_snapshot(&desk, "theirs", &for_machines(labels("abcdefghjkmn", "image", "docker"))).await;
    make_snapshot(&desk, "called-so", &labels(&owner, "image", "docker")).await;
    make_snapshot(&desk, "of-a-builder", &for_machines(labels(&owner, "image-builder", "docker")))
        .await;
    desk.settings("hetzner: {image: auto}\n");
    assert_eq!(image_of_a_new_machine(&desk).await.name.as_deref(), Some("docker-ce"));

    let id = make_snapshot(&desk, "older", &for_machines(labels(&owner, "image", "docker"))).await;
    let newest =
        make_snapshot(&desk, "own", &for_machines(labels(&owner, "image", "docker"))).await;
    assert_eq!(image_of_a_new_machine(&desk).await.id, newest);
    desk.settings(&format!("hetzner: {{image: {id}}}\n"));
    assert_eq!(image_of_a_new_machine(&desk).await.id, id);
    desk.settings("");
    assert_eq!(
        image_of_a_new_machine(&desk).await.name.as_deref(),
        Some("docker-ce"),
        "the default"
    );
    desk.settings("hetzner: {image: 123456789}\n");
    let daemon = desk.start().await;
    desk.dockbridge(&["wake"])
        .await
        .failed(1, &["there is no image \"123456789\" for cx23", "change `hetzner.image`"]);
    daemon.stop().await;
}

/// Starts a wake, and cancels it as soon as a machine exists.
async fn image_of_a_new_machine(desk: &Desk) -> hetzner::Image {
    let daemon = desk.start().await;
    let mut wake = desk.command(env!("CARGO_BIN_EXE_dockbridge"));
    let waking = wake
        .arg("wake")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = tokio::time::Instant::now();
    let server = loop {
        if let Some(server) =
            desk.api.servers().list(&Query::default()).await.unwrap().into_iter().next()
        {
            break server;
        }
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(20),
            "no server is made: {}",
            daemon.output()
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    desk.dockbridge(&["server", "destroy"]).await.succeeded();
    drop(waking);
    daemon.stop().await;
    server.image.unwrap()
}

#[tokio::test]
async fn remains_of_a_killed_build_are_swept_and_not_taken_for_a_machine() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    desk.make_server(
        "builder",
        labels(&identity.owner.to_string(), "image-builder", "a"),
        Vec::new(),
        true,
    )
    .await;
    let labels = labels(&identity.owner.to_string(), "image-builder", "a");
    let firewall = NewFirewall { name: "wall".to_owned(), labels, ..NewFirewall::default() };
    desk.api.firewalls().create(&firewall).await.unwrap();
    // They belong to another computer and are young: it may need them.
    desk.dockbridge(&["sweep", "--yes"]).await.succeeded().said(&["No orphans found."]);
    assert_eq!(desk.inventory().await, ["server builder", "firewall wall"]);
}

/// Writes a stand-in for the agent; no machine runs it, and only its ELF header is read (e_machine
/// at 18: 62 for x86-64).
fn put_a_writer(desk: &Desk) {
    let mut elf = b"\x7fELF\x02\x01".to_vec();
    elf.resize(18, 0);
    elf.extend_from_slice(&[62, 0]);
    std::fs::write(desk.path("agents/dockbridge-agent-x86_64"), elf).unwrap();
}

#[tokio::test]
async fn a_build_that_fails_before_it_created_anything_reports_only_that() {
    let mut desk = Desk::new().await;
    put_a_writer(&desk);
    std::fs::write(desk.path("image.raw"), vec![7; 2 << 20]).unwrap();
    let file = desk.path("image.raw").display().to_string();
    let build = ["image", "build", "raw", "--name", "n", "--file", &file];
    let refused = desk.dockbridge(&[&build[..], &["--server-type", "huge,cax11"]].concat()).await;
    refused.failed(
        5,
        &["Error: none of huge, cax11 for x86 is sold in fsn1, nbg1, hel1", "`--server-type`"],
    );
    desk.nothing_was_created().await;
    desk.set("HCLOUD_TOKEN", "wrong");
    let refused = desk.dockbridge(&build).await;
    refused.failed(
        1,
        &["Error: the cloud could not list the images: ", "Hint: the API token is not valid"],
    );
    assert!(
        !refused.stderr.contains("in addition") && !refused.stderr.contains("removing"),
        "nothing was made: {refused}"
    );
}

/// A file that is no disk image is refused before anything is created, whatever its name says;
/// `--format raw` accepts it.
#[tokio::test]
async fn a_file_that_is_no_disk_image_is_refused_before_a_server_is_created() {
    let desk = Desk::new().await;
    let web = Web::start(std::net::IpAddr::from([127, 0, 0, 1]));
    let mut vmdk = b"KDMV\x01\0\0\0".to_vec();
    vmdk.resize(2 << 20, 7);
    let page = b"<!DOCTYPE html><html><title>404</title>".to_vec();
    let json = b"{\"error\": \"no such version\"}".to_vec();
    for (name, content, expected) in [
        ("disk.raw", &vmdk, "is a VMDK disk of VMware, and no disk image"),
        ("download", &page, "is a web page, and no disk image"),
        (
            "metal-amd64.raw.xz",
            &json,
            "is called .xz and is not compressed by xz: it is a JSON answer",
        ),
        ("tiny.img", &vec![0; 512], "has 512 bytes, and no disk image is so small"),
    ] {
        let path = desk.path(name);
        std::fs::write(&path, content).unwrap();
        let url = web.serve(name, &path, Manner::Good);
        for source in [["--file", path.to_str().unwrap()], ["--url", &url]] {
            let arguments = ["image", "build", "raw", "--name", "x", source[0], source[1]];
            desk.dockbridge(&arguments).await.failed(4, &[expected, "--format raw"]);
        }
        desk.nothing_was_created().await;
    }
    // With `--format raw` the next error is the missing agent.
    let path = desk.path("disk.raw");
    let arguments = [
        "image",
        "build",
        "raw",
        "--name",
        "x",
        "--format",
        "raw",
        "--file",
        path.to_str().unwrap(),
    ];
    let forced = desk.dockbridge(&arguments).await;
    assert!(!forced.status.success() && forced.stderr.contains("dockbridge-agent"), "{forced}");
}
