//! Builds that cannot succeed: each ends with a clear error, no snapshot, and nothing left behind.

use std::time::Duration;

use hetzner::{Query, Server, ServerStatus};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Site;
use crate::rig::{LONGEST_COMMAND, Ran, agent_directory, pass_over, run};
use crate::web::Manner;

const BAD_SOURCE: i32 = 4;
const NO_STOCK: i32 = 5;
const INTERRUPTED: i32 = 130;

impl Site {
    async fn nothing_is_left(&self, what: &str) {
        assert_eq!(self.left().await, Vec::<String>::new(), "{what}");
        assert_eq!(self.snapshots().await.len(), 0, "{what}");
    }

    async fn fails(&self, what: &str, arguments: &[&str], code: i32, words: &str) -> Ran {
        let ran = self.build(&[&["--name", "doomed"], arguments].concat()).await;
        assert_eq!(ran.status.code(), Some(code), "{what}: {ran}");
        assert!(ran.stderr.contains(words), "{what}: {words:?} is missing: {ran}");
        self.nothing_is_left(what).await;
        ran
    }
}

#[tokio::test]
async fn a_bad_source_is_reported_and_nothing_is_left() {
    let Some(site) = Site::new().await else { return pass_over() };
    let image = site.make_image(16 << 20);
    let file = image.display().to_string();
    let zeros = "0".repeat(64);
    // Before anything is created.
    let ran = site
        .fails(
            "a file with a wrong checksum",
            &["--file", &file, "--sha256", &zeros],
            BAD_SOURCE,
            "has the checksum",
        )
        .await;
    assert!(!ran.stderr.contains("creating the server"), "{ran}");
    site.fails(
        "no such file",
        &["--file", "/no/such/file"],
        BAD_SOURCE,
        "/no/such/file cannot be read",
    )
    .await;

    let packed = site.packed(&image, "zst").await;
    let at = |name: &str, manner: Manner| site.web.serve(name, &packed, manner);
    let url = at("good", Manner::Good);
    site.fails("a wrong checksum", &["--url", &url, "--sha256", &zeros], BAD_SOURCE, &zeros).await;
    site.fails(
        "a missing file",
        &["--url", &at("missing", Manner::Status(404))],
        BAD_SOURCE,
        "404",
    )
    .await;
    let cut = at("cut", Manner::CutWithoutRanges(1 << 20));
    site.fails("a truncated download", &["--url", &cut], BAD_SOURCE, "cannot be resumed").await;
    let stalls = at("stalls", Manner::StalledAt(1 << 20));
    site.fails("a source that stalls", &["--url", &stalls], BAD_SOURCE, "sent nothing for 2 s")
        .await;
    let mut bytes = std::fs::read(&packed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(site.path("damaged.zst"), bytes).unwrap();
    let damaged = site.path("damaged.zst").display().to_string();
    site.fails("a corrupt archive", &["--file", &damaged], BAD_SOURCE, "cannot be decompressed")
        .await;
    let huge = site.path("huge.qcow2");
    let made = tokio::process::Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2"])
        .arg(&huge)
        .arg("1T")
        .output()
        .await;
    if made.is_ok_and(|made| made.status.success()) {
        site.fails(
            "a disk that is too small",
            &["--file", huge.to_str().unwrap()],
            BAD_SOURCE,
            "the disk 40000000000",
        )
        .await;
    } else {
        testkit::passed_over_in_part!("no qemu-img");
    }
    site.stage.close().await;
}

#[tokio::test]
async fn a_failing_cloud_is_reported_and_nothing_is_left() {
    let Some(mut site) = Site::new().await else { return pass_over() };
    let image = site.make_image(64 << 20);
    let url = site.web.serve("image", &image, Manner::Good);
    site.stage.control().post("faults", r#"{"kind": "stock_out", "times": 1000}"#).await;
    site.fails("no stock", &["--url", &url], NO_STOCK, "is in stock").await;
    let mut command = tokio::process::Command::new("curl");
    let faults = format!("{}/_local/faults", site.stage.cloud.endpoint().trim_end_matches("/v1"));
    command.args(["-sS", "-X", "DELETE", &faults]);
    crate::rig::run(command, "").await.succeeded();

    site.stage
        .control()
        .post(
            "faults",
            r#"{"kind": "action_error", "match": {"path": "/v1/servers/*/actions/create_image"}}"#,
        )
        .await;
    site.fails(
        "a snapshot that fails",
        &["--url", &url],
        1,
        "the cloud could not make the snapshot",
    )
    .await;

    let slow = site.web.serve("slow", &image, Manner::Slow(8 << 20));
    for power_cut in [true, false] {
        let mut build = site.begin(&["--url", &slow, "--name", "doomed"]);
        build.reaches("write").await;
        let server = site.stage.api.servers().list(&Query::default()).await.unwrap().remove(0);
        if power_cut {
            site.stage.control().post(&format!("servers/{}/power_cut", server.id), "").await;
        } else {
            let action = site.stage.api.servers().delete(server.id).await.unwrap();
            site.stage.api.wait(action.into_iter().collect()).await.unwrap();
        }
        let output = timeout(LONGEST_COMMAND, build.child.wait_with_output())
            .await
            .expect("it ends")
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("the server went away"), "{said}");
        site.nothing_is_left("a server that is gone in mid-write").await;
    }

    // Ctrl-C, in the middle.
    let mut build = site.begin(&["--url", &slow, "--name", "doomed"]);
    build.reaches("write").await;
    kill_process(Pid::from_raw(build.pid()).unwrap(), Signal::INT).unwrap();
    let output =
        timeout(LONGEST_COMMAND, build.child.wait_with_output()).await.expect("it ends").unwrap();
    assert_eq!(
        output.status.code(),
        Some(INTERRUPTED),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    site.nothing_is_left("Ctrl-C").await;

    // A rescue system that is unreachable: the firewall is closed, and no packet reaches the
    // server.
    site.stage.environment.push(("DOCKBRIDGE_IMAGE_RESCUE_TIMEOUT".to_owned(), "6s".to_owned()));
    let mut build = site.begin(&["--url", &url, "--name", "doomed"]);
    build.reaches("create").await;
    let firewall = site.stage.api.firewalls().list(&Query::default()).await.unwrap().remove(0);
    let closed = site.stage.api.firewalls().set_rules(firewall.id, &[]).await.unwrap();
    site.stage.api.wait(closed).await.unwrap();
    let output =
        timeout(LONGEST_COMMAND, build.child.wait_with_output()).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && said.contains("did not answer within 6 s"),
        "{said}"
    );
    site.nothing_is_left("a rescue system that never comes up").await;
    site.stage.close().await;
}

#[tokio::test]
async fn a_build_of_our_own_image_that_cannot_end_leaves_nothing() {
    let Some(site) = Site::new().await else { return pass_over() };
    let build = async |more: &[&str]| {
        site.stage.dockbridge(&[&["image", "build", "docker"], more].concat()).await
    };
    let other = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };
    let agents = site.path("own-agent");
    std::fs::create_dir(&agents).unwrap();
    let agent = format!("dockbridge-agent-{}", std::env::consts::ARCH);
    std::fs::copy(agent_directory().join(&agent), agents.join(&agent)).unwrap();
    let mut command = site.stage.command(env!("CARGO_BIN_EXE_dockbridge"));
    command.args(["image", "build", "docker", "--arch", other]);
    command.env("DOCKBRIDGE_AGENT_DIR", &agents);
    run(command, "").await.failed_with("holds no dockbridge-agent for");
    site.nothing_is_left("no agent for that architecture").await;

    for (kind, path) in
        [("action_error", "/v1/servers"), ("action_error", "/v1/servers/*/actions/create_image")]
    {
        site.stage
            .control()
            .post("faults", &format!(r#"{{"kind": "{kind}", "match": {{"path": "{path}"}}}}"#))
            .await;
        let ran = build(&[]).await;
        assert_eq!(ran.status.code(), Some(1), "{ran}");
        site.nothing_is_left(path).await;
    }
    site.stage.control().post("faults", r#"{"kind": "stock_out", "times": 1000}"#).await;
    assert_eq!(build(&[]).await.status.code(), Some(NO_STOCK));
    site.nothing_is_left("no stock").await;
    site.stage.control().delete("faults").await;

    for phase in ["boot", "prepare", "strip"] {
        let mut begun = site.begin_of("docker", &[]);
        begun.reaches(phase).await;
        kill_process(Pid::from_raw(begun.pid()).unwrap(), Signal::INT).unwrap();
        let output = timeout(LONGEST_COMMAND, begun.child.wait_with_output())
            .await
            .expect("it ends")
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(INTERRUPTED),
            "{phase}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        site.nothing_is_left(phase).await;
    }

    let mut begun = site.begin_of("docker", &[]);
    begun.reaches("prepare").await;
    let server = site.stage.api.servers().list(&Query::default()).await.unwrap().remove(0);
    site.stage.control().post(&format!("servers/{}/power_cut", server.id), "").await;
    let output =
        timeout(LONGEST_COMMAND, begun.child.wait_with_output()).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("the server went away"), "{said}");
    site.nothing_is_left("a server that is gone while it is prepared").await;
    site.stage.close().await;
}

/// `sweep` lists the remains of a killed build, but not those of a running one.
#[tokio::test]
async fn a_build_that_lives_is_left_alone_and_one_that_was_killed_is_swept() {
    let Some(site) = Site::new().await else { return pass_over() };
    let image = site.make_image(16 << 20);
    let slow = site.web.serve("slow", &image, Manner::Slow(1 << 20));
    let mut build = site.begin(&["--url", &slow, "--name", "doomed"]);
    build.reaches("write").await;
    let again = site.build(&["--url", &slow, "--name", "doomed"]).await;
    again.failed_with("is being built already");
    let nothing = site.stage.dockbridge(&["sweep", "--yes"]).await;
    assert!(nothing.succeeded().stdout.contains("No orphans found"), "{nothing}");
    let servers = site.stage.api.servers().list(&Query::default()).await.unwrap();
    assert_eq!(servers[0].status, ServerStatus::Running);
    only_ssh_is_let_in(&site, &servers[0]).await;

    build.child.kill().await.unwrap();
    let listed = site.stage.dockbridge(&["sweep"]).await;
    assert!(listed.succeeded().stdout.contains("the build is over"), "{listed}");
    assert_eq!(site.left().await.len(), 3, "listing removes nothing");
    site.stage.dockbridge(&["sweep", "--yes"]).await.succeeded();
    site.stage
        .eventually("nothing is left", Duration::from_secs(30), async || {
            site.left().await.is_empty()
        })
        .await;
    site.stage.close().await;
}

/// A rescue system has few listeners, so a port without one shows whether the firewall filters it:
/// if not, it would refuse the connection.
async fn only_ssh_is_let_in(site: &Site, server: &Server) {
    let [firewall] = server.public_net.firewalls.as_slice() else {
        panic!("one firewall: {:?}", server.public_net)
    };
    let rules = site.stage.api.firewalls().get(firewall.id).await.unwrap().unwrap().rules;
    assert!(rules.len() == 1 && rules[0].port.as_deref() == Some("22"), "{rules:?}");
    let address = server.public_net.ipv4.as_ref().unwrap().ip;
    let connect = async |port: u16| {
        timeout(Duration::from_millis(700), TcpStream::connect((address, port))).await
    };
    connect(22).await.expect("SSH answers").unwrap();
    assert!(connect(2).await.is_err(), "what is dropped has no answer, not even a refusal");
}
