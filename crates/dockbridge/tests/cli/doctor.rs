//! `doctor` in surroundings that are broken in one respect each, over a local cloud.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use hetzner::Labels;
use serde_json::{Value, json};

use crate::clock::{faketime, set_clock};
use crate::no_api::answering;
use crate::rig::{Desk, READ_ONLY, has_docker, mode};

/// A desk with an agent for each architecture of the ladder.
async fn desk() -> Desk {
    let desk = Desk::new().await;
    for arch in ["x86_64", "aarch64"] {
        std::fs::write(desk.path("agents").join(format!("dockbridge-agent-{arch}")), "").unwrap();
    }
    desk
}

/// All checks, by their codes.
struct Findings(Value);

impl Findings {
    /// Its output follows the schema, as the desk checks.
    async fn of(desk: &Desk, arguments: &[&str]) -> Self {
        let ran = desk.dockbridge(&[&["doctor", "--json"], arguments].concat()).await;
        let document = ran.json();
        let is_broken = document["broken"] != json!(0);
        assert_eq!(ran.status.code(), Some(i32::from(is_broken)), "{ran}");
        Self(document)
    }

    fn of_check(&self, code: &str) -> &Value {
        let checks = self.0["checks"].as_array().unwrap();
        checks.iter().find(|check| check["code"] == code).unwrap()
    }

    fn state(&self, code: &str) -> &str {
        self.of_check(code)["state"].as_str().unwrap()
    }

    #[track_caller]
    fn is(&self, code: &str, state: &str, part: &str) -> &Self {
        let check = self.of_check(code);
        let message = check["message"].as_str().unwrap();
        assert!(check["state"] == state && message.contains(part), "{check:#}");
        if matches!(state, "broken" | "hint") {
            assert!(check["cause"].is_string() && check["cure"][0].is_string(), "{check:#}");
        }
        self
    }
}

/// The lines of a check in the text of `doctor`, without blanks at their ends.
async fn shown(desk: &Desk, title: &str) -> String {
    let text = desk.dockbridge(&["doctor"]).await.stdout;
    assert!(text.lines().all(|line| line.chars().count() <= 80 || line.contains('/')), "{text}");
    let mut lines = text.lines().skip_while(|line| !line.get(8..).unwrap_or("").starts_with(title));
    let first = lines.next().unwrap_or_else(|| panic!("no {title} in {text}"));
    let rest = lines.take_while(|line| line.starts_with("        "));
    [first].into_iter().chain(rest).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn fresh_computer_with_a_token_has_nothing_broken() {
    let desk = desk().await;
    let findings = Findings::of(&desk, &[]).await;
    for code in ["settings", "files", "name_lookup", "https", "api", "token_writes", "clock"] {
        assert_eq!(findings.state(code), "ok", "{:#}", findings.of_check(code));
    }
    findings
        .is("token", "ok", "from HCLOUD_TOKEN")
        .is("ssh_port", "not_run", "no machine exists")
        .is("server_types", "ok", "is in stock")
        .is("rate_limit", "ok", "requests are left")
        .is("orphans", "ok", "none")
        .is("volumes", "ok", "none without a machine")
        .is("socket", "hint", "no daemon runs")
        .is("agent", "ok", "x86_64 in ")
        .is("versions", "ok", "no daemon runs")
        .is("volume_fill", "not_run", "no daemon runs");
    if has_docker() {
        findings.is("docker_client", "ok", "Engine API up to").is(
            "docker_context",
            "hint",
            "no context points to",
        );
    } else {
        testkit::passed_over_in_part!("no docker client");
    }
    desk.nothing_was_created().await;
    assert!(!desk.path("home").exists());
}

#[tokio::test]
async fn daemon_is_named_and_wakes_no_machine() {
    let desk = desk().await;
    let daemon = desk.start().await;
    let process = format!("process {} serves it", daemon.child.id().unwrap());
    Findings::of(&desk, &[])
        .await
        .is("socket", "ok", &process)
        .is("versions", "ok", "as the daemon")
        .is("files", "ok", "private")
        .is("volume_fill", "not_run", "no machine runs");
    daemon.stop().await;
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn invalid_settings_are_broken() {
    let desk = desk().await;
    desk.settings("activity:\n  idle_timout: 5m\n");
    Findings::of(&desk, &[]).await.is("settings", "broken", "did you mean `idle_timeout`?").is(
        "api",
        "ok",
        "accepts the token",
    );
}

#[tokio::test]
async fn missing_token_is_broken_and_what_needs_one_is_not_run() {
    let mut desk = desk().await;
    desk.unset("HCLOUD_TOKEN");
    let findings = Findings::of(&desk, &[]).await;
    findings
        .is("token", "broken", "no Hetzner API token is configured")
        .is("token_writes", "not_run", "because Token failed")
        .is("https", "ok", "answers at port");
    assert_eq!(findings.of_check("orphans")["not_run_because"], "token");
    insta::assert_snapshot!(shown(&desk, "Token").await, @"
    broken  Token           no Hetzner API token is configured
                            Cause: No token was saved, its command fails, or a copy
                                   has foreign characters.
                            Cure:  Create one with Read & Write in the Hetzner Cloud
                                   console, then run `dockbridge init` or set
                                   HCLOUD_TOKEN.
                            Cure:  `dockbridge try` needs no account.
    ");
}

#[tokio::test]
async fn token_that_is_rejected_is_broken_with_its_source() {
    let mut desk = desk().await;
    desk.set("HCLOUD_TOKEN", "old");
    Findings::of(&desk, &[])
        .await
        .is("api", "broken", "rejects the token from HCLOUD_TOKEN")
        .is("token_writes", "not_run", "because API failed")
        .is("clock", "ok", "as the API's");
}

#[tokio::test]
async fn token_that_can_only_read_is_broken() {
    let mut desk = desk().await;
    desk.set("HCLOUD_TOKEN", READ_ONLY);
    Findings::of(&desk, &[]).await.is("api", "ok", "").is("token_writes", "broken", "only read");
    insta::assert_snapshot!(shown(&desk, "Write access").await, @"
    broken  Write access    the token can only read, but dockbridge creates and
                            deletes machines
                            Cause: The token was created with Read only.
                            Cure:  Create a token with Read & Write in the Hetzner
                                   Cloud console and run `dockbridge init`.
    ");
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn name_that_cannot_be_looked_up_is_broken() {
    let mut desk = desk().await;
    desk.set("HCLOUD_ENDPOINT", "https://no-such-name.invalid/v1");
    Findings::of(&desk, &[])
        .await
        .is("name_lookup", "broken", "no-such-name.invalid cannot be looked up")
        .is("ssh_port", "not_run", "because Name lookup failed");
}

#[tokio::test]
async fn port_that_nothing_listens_at_is_broken() {
    let mut desk = desk().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    desk.set("HCLOUD_ENDPOINT", &format!("http://{address}/v1"));
    Findings::of(&desk, &[]).await.is("https", "broken", "127.0.0.1 refuses connections").is(
        "api",
        "not_run",
        "because HTTPS failed",
    );
}

#[tokio::test]
async fn web_page_in_place_of_the_api_is_broken() {
    let mut desk = desk().await;
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 61\r\nConnection: close\r\n\r\n<!DOCTYPE \
     html><html><title>Hotel</title>Log in first.</html>";
    desk.set("HCLOUD_ENDPOINT", &answering(page));
    Findings::of(&desk, &[]).await.is("api", "broken", "a web page titled \"Hotel\"");
}

#[tokio::test]
async fn clock_that_is_far_off_is_broken() {
    let Some(library) = faketime() else { return };
    let mut desk = desk().await;
    set_clock(&mut desk, &library, "+400d");
    Findings::of(&desk, &[]).await.is("clock", "broken", "400 days ahead of the cloud's");
}

/// Greets every connection with these bytes; returns its address.
fn greeting(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A client that disconnects is no error.
            let _ = stream.write_all(bytes);
        }
    });
    address
}

#[tokio::test]
async fn blocked_port_22_is_broken_and_an_ssh_server_that_answers_is_fine() {
    let mut desk = desk().await;
    // Both accept connections; only one is an SSH server.
    let (portal, server) = (greeting(b"HTTP/1.1 302 Found\r\n"), greeting(b"SSH-2.0-x\r\n"));
    desk.set("DOCKBRIDGE_SSH_PORT_CHECK", &portal);
    Findings::of(&desk, &[]).await.is("ssh_port", "broken", &format!("{portal} does not answer"));
    desk.set("DOCKBRIDGE_SSH_PORT_CHECK", &server);
    Findings::of(&desk, &[]).await.is("ssh_port", "ok", &format!("open: {server} answers"));
}

#[tokio::test]
async fn open_file_modes_are_broken_and_are_repaired() {
    let desk = desk().await;
    desk.settings("");
    let token = desk.path("home/config/token");
    std::fs::write(&token, "x").unwrap();
    let set = |path: &str, mode| {
        std::fs::set_permissions(desk.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set("home/config", 0o755);
    set("home/config/token", 0o644);
    Findings::of(&desk, &[]).await.is("files", "broken", "token (mode 0644)");
    let fixed = Findings::of(&desk, &["--fix"]).await;
    fixed.is("files", "ok", "private");
    let repairs: Vec<_> = fixed.0["repairs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|repair| repair["code"] == "files")
        .map(|repair| repair["done"].as_bool().unwrap())
        .collect();
    assert_eq!(repairs, [true, true], "{:#}", fixed.0["repairs"]);
    assert_eq!((mode(&token), mode(&desk.path("home/config"))), (0o600, 0o700));
}

#[tokio::test]
async fn stale_socket_is_broken_and_is_removed_and_a_foreign_one_stays() {
    let desk = desk().await;
    let socket = desk.socket();
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    drop(UnixListener::bind(&socket).unwrap());
    Findings::of(&desk, &[]).await.is("socket", "broken", "no process listens at");
    Findings::of(&desk, &["--fix"]).await.is("socket", "hint", "no daemon runs");
    assert!(!socket.exists());

    let foreign = UnixListener::bind(&socket).unwrap();
    Findings::of(&desk, &["--fix"]).await.is("socket", "broken", "another program listens at");
    assert!(socket.exists());
    drop(foreign);
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "precious").unwrap();
    Findings::of(&desk, &["--fix"]).await.is("socket", "broken", "exists and is no socket");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
}

#[tokio::test]
async fn missing_docker_command_is_broken() {
    let mut desk = desk().await;
    desk.set("PATH", "/nonexistent");
    Findings::of(&desk, &[]).await.is("docker_client", "broken", "docker does not run").is(
        "docker_context",
        "not_run",
        "because Docker client failed",
    );
    insta::assert_snapshot!(shown(&desk, "Docker client").await, @"
    broken  Docker client   docker does not run: No such file or directory (os error
                            2)
                            Cause: Docker's command line is not installed, or is not
                                   in the search path.
                            Cure:  Install the package docker-ce-cli or docker-cli;
                                   the engine is not needed.
    ");
}

#[tokio::test]
async fn docker_context_is_created_by_fix_and_docker_host_that_overrides_it_is_broken() {
    if !has_docker() {
        testkit::passed_over!("no docker client");
        return;
    }
    let mut desk = desk().await;
    let fixed = Findings::of(&desk, &["--fix"]).await;
    fixed.is("docker_context", "hint", "docker commands use default, and not dockbridge");
    let mut docker = desk.command("docker");
    docker.args(["context", "use", "dockbridge"]);
    crate::rig::run(docker, "").await.succeeded();
    Findings::of(&desk, &[]).await.is("docker_context", "ok", "dockbridge, the current one");
    desk.set("DOCKER_HOST", "tcp://192.0.2.7:2375");
    Findings::of(&desk, &[]).await.is(
        "docker_context",
        "broken",
        "docker commands use tcp://192.0.2.7:2375, by DOCKER_HOST, although dockbridge is chosen",
    );
}

#[tokio::test]
async fn missing_agents_and_misspelled_server_types_are_broken() {
    let mut desk = Desk::new().await;
    desk.set("DOCKBRIDGE_HETZNER_SERVER_TYPES", "cx99");
    Findings::of(&desk, &[]).await.is("agent", "broken", "there is no agent for x86_64 in ").is(
        "server_types",
        "broken",
        "there is no server type \"cx99\"",
    );
}

#[tokio::test]
async fn damaged_owner_id_is_broken() {
    let desk = desk().await;
    desk.settings("");
    std::fs::write(desk.path("home/config/owner"), "no id").unwrap();
    Findings::of(&desk, &[]).await.is("files", "broken", "home/config/owner: ");
}

#[tokio::test]
async fn orphans_and_forgotten_volumes_are_hints_with_their_price() {
    let desk = desk().await;
    let identity = desk.identity("default");
    let volume = desk.make_volume(&identity.name(), identity.labels("data")).await;
    let one = format!("volume {} ({}, 10 GB in fsn1, not attached)", volume.name, volume.id);
    Findings::of(&desk, &[]).await.is("volumes", "ok", &one).is("orphans", "ok", "none");
    let other = desk.make_volume("other", identity.labels("data")).await;
    desk.make_server(&identity.name(), identity.labels("machine"), Vec::new(), false).await;
    desk.make_server("strange", Labels::new(), Vec::new(), false).await;
    let findings = Findings::of(&desk, &[]).await;
    findings.is("volumes", "hint", "EUR a month").is("orphans", "hint", &identity.name());
    let cures = findings.of_check("volumes")["cure"].to_string();
    assert!(cures.contains(&format!("volume delete {}`", other.name)), "{cures}");
    let message = findings.of_check("orphans")["message"].to_string();
    assert!(!message.contains("strange"), "{message}");
}

#[tokio::test]
async fn hosts_of_the_user_need_no_token() {
    let mut desk = desk().await;
    desk.unset("HCLOUD_TOKEN").set("DOCKBRIDGE_SSH_HOST", "root@192.0.2.7");
    let findings = Findings::of(&desk, &[]).await;
    for code in ["token", "api", "orphans", "server_types"] {
        findings.is(code, "not_run", "root@192.0.2.7, a host of your own");
    }
}
