//! A user who names a host of their own gets no server: by argument, by setting or by variable.

use crate::rig::Desk;

#[tokio::test]
async fn a_host_means_ssh_wherever_it_is_written() {
    let mut desk = Desk::new().await;
    let host = "me@127.0.0.1:1";
    let wrong = "me@host:99999";
    desk.dockbridge(&["start", "--host", wrong])
        .await
        .failed(1, &["Error: \"me@host:99999\" is not a host"]);
    for provider in ["", "machine: {provider: ssh}\n"] {
        desk.settings(&format!("{provider}ssh: {{host: '{wrong}'}}\n"));
        desk.dockbridge(&["start"]).await.failed(1, &["Error: \"me@host:99999\" is not a host"]);
    }
    desk.settings("");
    desk.set("DOCKBRIDGE_SSH_HOST", wrong);
    desk.dockbridge(&["start"]).await.failed(1, &["is not a host"]);
    desk.unset("DOCKBRIDGE_SSH_HOST");
    desk.settings(&format!("profiles: {{m: {{ssh: {{host: '{wrong}'}}}}}}\n"));
    desk.dockbridge(&["--profile", "m", "start"]).await.failed(1, &["is not a host"]);

    // The cloud is not asked about a host of the user's own.
    desk.settings(&format!("ssh: {{host: '{host}'}}\n"));
    let expected = format!("Error: the machine of profile default is {host}, a host of your own");
    for command in [&["server", "list"][..], &["server", "destroy"], &["volume", "list"]] {
        desk.dockbridge(command).await.failed(1, &[&expected]);
    }
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn arguments_and_settings_that_contradict_each_other_are_refused() {
    let desk = Desk::new().await;
    let cases: &[(&str, &[&str], i32, &str)] = &[
        ("", &["--provider", "hetzner", "--host", "me@x"], 2, "--host names a host of your own"),
        ("", &["--provider", "ssh"], 2, "provider ssh needs a host: --host <HOST>"),
        ("machine: {provider: ssh}\n", &[], 2, "provider ssh needs a host"),
        ("", &["--identity", "/x"], 2, "--identity needs a host of your own"),
        ("", &["--remote-socket", "/x"], 2, "--remote-socket needs a host of your own"),
        ("", &["--provider", "hetzner", "--identity", "/x"], 2, "need a host of your own"),
        ("", &["--ssh-config", "/x"], 2, "--ssh-config needs a host of your own"),
        ("", &["--provider", "hetzner", "--ssh-config", "/x"], 2, "need a host of your own"),
        ("machine: {provider: hetzner}\nssh: {host: me@x}\n", &[], 1, "does not use this host"),
    ];
    for (settings, arguments, code, expected) in cases {
        desk.settings(settings);
        for detach in [&["start"][..], &["start", "--detach"]] {
            desk.dockbridge(&[detach, *arguments].concat()).await.failed(*code, &[expected]);
        }
    }
    assert!(!desk.socket().exists(), "nothing is served");
    desk.nothing_was_created().await;
}
