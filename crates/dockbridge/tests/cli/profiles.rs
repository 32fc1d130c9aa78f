//! Profiles and homes do not change each other: each has its own token, endpoint and docker
//! context.

use local_cloud::{Access, Cloud, Options, Token};

use crate::rig::{Desk, TOKEN, has_docker, mode};

const OTHER: &str = "other-0123456789abcdef0123456789abcdef0123456789abcdef0123456789";

/// A file in the configuration directory.
fn kept(desk: &Desk, name: &str) -> String {
    std::fs::read_to_string(desk.path("home/config").join(name)).unwrap()
}

/// Another cloud, with a token of its own.
async fn other_cloud(desk: &Desk) -> Cloud {
    Cloud::start(Options {
        tokens: vec![Token::new(OTHER, "default", Access::ReadWrite)],
        ..Options::new(desk.path("other-cloud"))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_profile_s_token_goes_to_its_own_cloud_and_leaves_the_other_profiles_alone() {
    let mut desk = Desk::new().await;
    let other = other_cloud(&desk).await;
    desk.unset("HCLOUD_TOKEN");
    let first = desk.cloud.endpoint();
    desk.dockbridge_with_input(&["init", "--token-stdin", "--no-context"], TOKEN).await.succeeded();
    let before = (
        kept(&desk, "token"),
        kept(&desk, "owner"),
        kept(&desk, "ssh_ed25519"),
        kept(&desk, "endpoint"),
    );
    desk.set("HCLOUD_ENDPOINT", &other.endpoint());
    let init = ["--profile", "m", "init", "--token-stdin", "--no-context"];
    desk.dockbridge_with_input(&init, OTHER).await.succeeded();
    assert_eq!(
        (
            kept(&desk, "token"),
            kept(&desk, "owner"),
            kept(&desk, "ssh_ed25519"),
            kept(&desk, "endpoint")
        ),
        before
    );
    assert_eq!(
        (kept(&desk, "profiles/m/token"), kept(&desk, "token")),
        (OTHER.to_owned(), TOKEN.to_owned())
    );
    assert_eq!(mode(&desk.path("home/config/profiles/m/token")), 0o600);

    // From now on the environment does not say where a token belongs.
    desk.unset("HCLOUD_ENDPOINT");
    let shown = |expected: String| format!("endpoint: {expected}");
    for (profile, endpoint) in [("default", first), ("m", other.endpoint())] {
        let list = desk.dockbridge(&["--profile", profile, "server", "list"]).await;
        list.succeeded().said(&["No server exists."]);
        let config = desk.dockbridge(&["--profile", profile, "config", "show"]).await;
        config.succeeded().said(&[&shown(endpoint), "# api_token: saved by init, not shown"]);
    }
    // The same again for one profile: the other stays unchanged.
    let again = ["--profile", "m", "init", "--token-stdin", "--no-context"];
    desk.dockbridge_with_input(&again, OTHER).await.succeeded();
    assert_eq!(kept(&desk, "profiles/m/endpoint").trim(), other.endpoint());
    assert_eq!(kept(&desk, "token"), TOKEN);
}

#[tokio::test]
async fn a_profile_without_a_token_of_its_own_uses_the_default_one_s_with_its_endpoint() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    desk.dockbridge_with_input(&["init", "--token-stdin", "--no-context"], TOKEN).await.succeeded();
    desk.unset("HCLOUD_ENDPOINT");
    let list = ["--profile", "m", "server", "list"];
    desk.dockbridge(&list).await.succeeded().said(&["No server exists."]);
}

#[tokio::test]
async fn an_endpoint_that_the_token_was_not_checked_with_is_not_used_and_said() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    desk.dockbridge_with_input(&["init", "--token-stdin", "--no-context"], TOKEN).await.succeeded();
    let endpoint = desk.cloud.endpoint();
    desk.unset("HCLOUD_ENDPOINT").settings("hetzner: {endpoint: 'http://127.0.0.1:1/v1'}\n");
    let ran = desk.dockbridge(&["init", "--yes", "--no-context"]).await;
    ran.succeeded();
    let expected = format!("checked with {endpoint}; run `dockbridge init` again to change both");
    assert!(ran.stderr.contains(&expected), "{ran}");
}

#[tokio::test]
async fn a_docker_context_of_another_home_is_left_alone() {
    if !has_docker() {
        return testkit::passed_over!("no docker client");
    }
    let mut desk = Desk::new().await;
    let [first, second] = ["home", "second"]
        .map(|of| format!("unix://{}", desk.path(of).join("run/default/docker.sock").display()));
    desk.dockbridge(&["init", "--yes"]).await.succeeded().said(&["docker context use dockbridge"]);
    let second_home = desk.path("second").display().to_string();
    desk.set("DOCKBRIDGE_HOME", &second_home);
    let ran = desk.dockbridge(&["init", "--yes"]).await;
    let expected = format!(
        "Docker context \"dockbridge\" points to {first}, which is not this profile's socket; it \
         stays"
    );
    ran.succeeded()
        .said(&[&expected, "`dockbridge init --yes --context dockbridge-2` creates another"]);
    ran.said(&[&format!("export DOCKER_HOST={second}")]);
    desk.dockbridge(&["init", "--yes", "--context", "dockbridge-2"]).await.succeeded();
    for (name, host) in [("dockbridge", &first), ("dockbridge-2", &second)] {
        let format = ["context", "inspect", name, "--format", "{{.Endpoints.docker.Host}}"];
        let ran = desk.docker(&format).await.unwrap();
        assert_eq!(ran.succeeded().stdout.trim(), host, "{name}");
    }
    // This home's own context follows its socket.
    let moved = desk.path("moved.sock");
    let init = ["--socket", moved.to_str().unwrap(), "init", "--yes", "--context", "dockbridge-2"];
    desk.dockbridge(&init).await.succeeded().said(&["points to this profile"]);
    let format = ["context", "inspect", "dockbridge-2", "--format", "{{.Endpoints.docker.Host}}"];
    let ran = desk.docker(&format).await.unwrap();
    assert_eq!(ran.stdout.trim(), format!("unix://{}", moved.display()));
}
