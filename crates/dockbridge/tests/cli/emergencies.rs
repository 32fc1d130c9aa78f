//! Commands that stop or show something work whatever else is broken: settings, a full disk, no
//! daemon.

use std::process::{Command, Stdio};

use crate::rig::{Desk, signal};

/// Settings that no daemon starts with.
const BROKEN: &[&str] = &[
    "activity:\n  idle_timout: 5m\n",
    "activity: {idle_timeout: 0s}\nkeepalive: {interval: 1h}\n",
    "hetzner: [\n",
    "- a list\n",
    "machine: {provider: hetzner}\nssh: {host: me@x}\n",
];

#[tokio::test]
async fn the_brakes_work_with_broken_settings() {
    for broken in BROKEN {
        let desk = Desk::new().await;
        let daemon = desk.start().await;
        desk.settings(broken);
        desk.dockbridge(&["start"]).await.failed(1, &["Error: "]);
        let status = desk.dockbridge(&["status"]).await;
        status.succeeded().said(&["Profile   default"]);
        assert!(status.stderr.starts_with("Warning: "), "{status}");
        assert!(desk.dockbridge(&["status", "--json"]).await.succeeded().json().is_object());
        for command in [&["why"][..], &["unpin"], &["cost"], &["sweep"], &["server", "list"]] {
            desk.dockbridge(command).await.succeeded();
        }
        desk.dockbridge(&["stop"]).await.succeeded().said(&["Stopped the daemon."]);
        drop(daemon);

        // Without a daemon, the command asks the cloud.
        let identity = desk.identity("default");
        desk.make_server(&identity.name(), identity.labels("machine"), Vec::new(), true).await;
        desk.dockbridge(&["status"]).await.failed(3, &["a machine exists all the same"]);
        let destroyed = desk.dockbridge(&["server", "destroy"]).await;
        destroyed.succeeded().said(&["Deleted the server"]);
        desk.nothing_was_created().await;
    }
}

#[tokio::test]
async fn a_machine_can_be_destroyed_though_its_login_key_is_unusable() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    std::fs::write(desk.path("home/config/ssh_ed25519"), "not a key").unwrap();
    desk.make_server(&identity.name(), identity.labels("machine"), Vec::new(), true).await;
    desk.dockbridge(&["server", "destroy"]).await.succeeded().said(&["Deleted the server"]);
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn a_machine_is_destroyed_without_a_daemon_whichever_brake_is_pulled() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    for brake in [&["stop", "--destroy"][..], &["server", "destroy"], &["sweep", "--yes"]] {
        // It has no volume, so it is an orphan for `sweep` as well.
        desk.make_server(&identity.name(), identity.labels("machine"), Vec::new(), true).await;
        desk.dockbridge(brake).await.succeeded();
        desk.nothing_was_created().await;
    }
}

#[tokio::test]
async fn docker_s_errors_name_commands_for_their_profile() {
    let mut desk = Desk::new().await;
    if !crate::rig::has_docker() {
        return testkit::passed_over!("no docker client");
    }
    // A daemon starts with it, and learns that it can only read when it creates something.
    desk.set("HCLOUD_TOKEN", crate::rig::READ_ONLY).set("DOCKBRIDGE_PROFILE", "m");
    let socket = desk.socket();
    let mut command = desk.command(env!("CARGO_BIN_EXE_dockbridge"));
    let log = std::fs::File::create(desk.path("m.log")).unwrap();
    let arguments = ["start", "--socket", socket.to_str().unwrap()];
    let _daemon =
        command.args(arguments).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let begun = tokio::time::Instant::now();
    while !socket.exists() {
        let said = std::fs::read_to_string(desk.path("m.log")).unwrap();
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "no socket: {said}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let ran = desk.docker(&["ps"]).await.unwrap();
    ran.failed(1, &["Error response from daemon: ", "run `dockbridge --profile m init`"]);
}

#[tokio::test]
async fn the_end_of_the_terminal_ends_the_daemon_in_order() {
    let desk = Desk::new().await;
    let mut daemon = desk.start().await;
    signal(&daemon.child, rustix::process::Signal::HUP);
    let limit = std::time::Duration::from_secs(20);
    let ended = tokio::time::timeout(limit, daemon.child.wait()).await.expect("it ends").unwrap();
    assert!(ended.success(), "{ended}: {}", daemon.output());
    for name in ["docker.sock", "docker.sock.control"] {
        let path = desk.path("home/run/default").join(name);
        assert!(!path.exists(), "{} was left behind", path.display());
    }
}

#[tokio::test]
async fn output_that_cannot_be_written_is_a_failure() {
    let desk = Desk::new().await;
    let daemon = desk.start().await;
    for arguments in
        [&["status"][..], &["status", "--json"], &["config", "show"], &["cost", "--json"]]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = desk.command(env!("CARGO_BIN_EXE_dockbridge"));
        // `output` would replace the full device.
        command.args(arguments).stdout(full).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().await.unwrap();
        let expected = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {expected}");
        assert!(
            expected.contains("cannot write standard output: No space left on device"),
            "{expected}"
        );
    }
    daemon.stop().await;
}

/// A file system of a few blocks, unmounted when dropped.
struct FullDisk(std::path::PathBuf);

impl FullDisk {
    /// `None` if it cannot be mounted; the test then passes over.
    fn at(path: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&path).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(path)),
            other => {
                testkit::passed_over!("no file system can be mounted here: {other:?}");
                None
            }
        }
    }

    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_named_at_the_start_and_keeps_no_machine_alive() {
    let desk = Desk::new().await;
    desk.dockbridge(&["init", "--yes", "--no-context"]).await.succeeded();
    let Some(disk) = FullDisk::at(desk.path("home/state")) else { return };
    disk.fill();
    let expected = ["state/default", "cannot write", "Hint: the disk is full: free some space"];
    desk.dockbridge(&["start", "--detach"]).await.failed(1, &expected);
    let identity = desk.identity("default");
    desk.make_server(&identity.name(), identity.labels("machine"), Vec::new(), true).await;
    desk.dockbridge(&["status"]).await.failed(3, &["a machine exists all the same"]);
    desk.dockbridge(&["sweep"]).await.succeeded();
    desk.dockbridge(&["server", "destroy"]).await.succeeded().said(&["Deleted the server"]);
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn hints_are_commands_that_mean_the_profile_that_was_typed() {
    let mut desk = Desk::new().await;
    let expected = ["Hint: start it with `dockbridge --profile m start`"];
    desk.dockbridge(&["--profile", "m", "status"]).await.failed(3, &expected);
    let config = desk.path("my settings.yaml");
    std::fs::write(&config, "").unwrap();
    let config = config.to_str().unwrap();
    let expected = format!("Hint: start it with `dockbridge --config '{config}' start`");
    desk.dockbridge(&["--config", config, "stop"]).await.failed(3, &[&expected]);
    desk.set("DOCKBRIDGE_PROFILE", "m");
    let expected = ["Hint: start it with `dockbridge start`"];
    desk.dockbridge(&["status"]).await.failed(3, &expected);
    desk.unset("DOCKBRIDGE_PROFILE");
    let ran = desk.dockbridge(&["--profile", "m", "init", "--yes", "--no-context"]).await;
    ran.succeeded().said(&["Next: `dockbridge --profile m start`"]);
}

#[tokio::test]
async fn a_socket_path_that_is_too_long_is_reported_with_its_length() {
    let desk = Desk::new().await;
    let base = desk.path("").as_os_str().len();
    for length in [100, 107, 108, 200] {
        let path = desk.path(&"s".repeat(length - base));
        let expected = [
            &format!("has {length} bytes, and 99 are the most: the system allows 107")[..],
            "Hint: choose a shorter path with `--socket PATH` or `docker.socket_path`",
        ];
        desk.dockbridge(&["start", "--socket", path.to_str().unwrap()]).await.failed(1, &expected);
    }
    desk.nothing_was_created().await;
}
