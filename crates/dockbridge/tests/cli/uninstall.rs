//! `uninstall` removes what dockbridge made on this computer and nothing else, and lists what stays
//! in the cloud.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::rig::{Desk, has_docker, run};

/// Everything below a directory.
fn listing(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        found.insert(path.display().to_string());
        if path.is_dir() {
            found.extend(listing(&path));
        }
    }
    found
}

#[tokio::test]
async fn daemons_state_and_at_last_settings_go_and_the_home_is_as_before() {
    let desk = Desk::new().await;
    let home = desk.path("home");
    fs::create_dir(&home).unwrap();
    let before = listing(&home);
    desk.dockbridge(&["init", "--yes"]).await.succeeded();
    desk.dockbridge(&["start", "--detach"]).await.succeeded();
    desk.dockbridge(&["--profile", "work", "start", "--detach"]).await.succeeded();

    let refused = ["no terminal to ask for confirmation on", "Hint: add --yes to uninstall"];
    desk.dockbridge(&["uninstall"]).await.failed(1, &refused);
    desk.dockbridge(&["status"]).await.succeeded();

    let ran = desk.dockbridge(&["uninstall", "--yes"]).await;
    ran.succeeded().said(&[
        "(profiles: default, work)",
        "Nothing of dockbridge's costs money in the cloud.",
        "Stopping the daemon of profile default.\nStopped the daemon.",
        "Stopping the daemon of profile work.\nStopped the daemon.",
        "Removed. `dockbridge uninstall --purge` removes the settings, too.",
        "The program stays at ",
    ]);
    for profile in ["default", "work"] {
        desk.dockbridge(&["--profile", profile, "status"]).await.failed(3, &[]);
    }
    for kept in ["config/owner", "config/ssh_ed25519"] {
        assert!(home.join(kept).exists(), "{kept}: {ran}");
    }
    assert!(!home.join("run").exists(), "{:?}", listing(&home));
    if has_docker() {
        let mut contexts = desk.command("docker");
        contexts.args(["context", "ls", "--format", "{{.Name}}"]);
        let contexts = run(contexts, "").await.succeeded().stdout.clone();
        assert!(!contexts.contains("dockbridge"), "{contexts}");
        ran.said(&["Removed the docker context \"dockbridge\"."]);
    }

    desk.dockbridge(&["uninstall", "--purge", "--yes"]).await.succeeded().said(&["\nRemoved.\n"]);
    assert_eq!(listing(&home), before);
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn directories_of_the_account_go_if_dockbridge_alone_used_them() {
    let mut desk = Desk::new().await;
    let (account, runtime) = (desk.path("user"), desk.path("runtime"));
    fs::create_dir(&account).unwrap();
    fs::create_dir(&runtime).unwrap();
    desk.unset("DOCKBRIDGE_HOME").unset("DOCKER_CONFIG");
    desk.set("XDG_RUNTIME_DIR", runtime.to_str().unwrap());
    for others in ["", ".config/other", ".local/share/other", ".docker/other"] {
        if !others.is_empty() {
            fs::create_dir_all(account.join(others)).unwrap();
        }
        let before = listing(&account);
        desk.dockbridge(&["init", "--yes", "--no-context"]).await.succeeded();
        desk.dockbridge(&["plugin", "install"]).await.succeeded();
        desk.dockbridge(&["start", "--detach"]).await.succeeded();
        for made in [".config/dockbridge/owner", ".local/state/dockbridge", ".docker/cli-plugins"] {
            assert!(account.join(made).exists(), "{made}: {:?}", listing(&account));
        }
        desk.dockbridge(&["uninstall", "--purge", "--yes"]).await.succeeded();
        assert_eq!(listing(&account), before, "with {others:?}");
        assert!(listing(&runtime).is_empty(), "{:?}", listing(&runtime));
    }
}

#[tokio::test]
async fn what_costs_money_stays_and_is_listed_with_the_commands_that_end_it() {
    let desk = Desk::new().await;
    let (identity, other) = (desk.identity("default"), desk.identity("other"));
    let volume = desk.make_volume(&identity.name(), identity.labels("data")).await;
    let theirs = desk.make_volume(&other.name(), other.labels("data")).await;
    let server =
        desk.make_server(&identity.name(), identity.labels("machine"), vec![volume.id], true).await;
    let before = desk.inventory().await;
    let ran = desk.dockbridge(&["uninstall", "--purge", "--yes"]).await;
    ran.succeeded().said(&[
        "This stays in the cloud and costs money (net):\n",
        &format!("  server {} of profile default ({}, cx23 in fsn1): 0.0", server.name, server.id),
        &format!("  volume {} of profile default ({}, 10 GB in fsn1): ", volume.name, volume.id),
        "EUR a month",
        &format!("  `dockbridge server destroy` deletes server {}\n", server.name),
        &format!("  `dockbridge --profile other volume delete {}` deletes it", theirs.name),
        "What is listed above still costs money: delete it in the cloud console.",
    ]);
    assert_eq!(desk.inventory().await, before);
    assert!(!desk.path("home/config/owner").exists());
}

#[tokio::test]
async fn without_a_token_costs_are_unknown() {
    let mut desk = Desk::new().await;
    desk.identity("default");
    desk.unset("HCLOUD_TOKEN");
    let expected = ["There is no token to look for what costs money: the cloud console shows it."];
    desk.dockbridge(&["uninstall", "--yes"]).await.succeeded().said(&expected);
}

#[tokio::test]
async fn files_of_others_stay_and_are_named() {
    let desk = Desk::new().await;
    desk.dockbridge(&["init", "--yes", "--no-context"]).await.succeeded();
    let others = ["config/mine", "state/notes/text", "run/other.txt", "config/profiles/p/x"];
    for file in others {
        let path = desk.path("home").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "precious").unwrap();
    }
    let ran = desk.dockbridge(&["uninstall", "--purge", "--yes"]).await;
    for (file, named) in
        others.into_iter().zip(["config/mine", "state/notes", "run/other.txt", "profiles/p/x"])
    {
        assert!(desk.path("home").join(file).exists(), "{file}: {ran}");
        ran.succeeded().said(&[&format!("{named} stays: dockbridge did not make it.")]);
    }
    assert!(!desk.path("home/config/owner").exists());
}

#[tokio::test]
async fn program_that_install_sh_installed_is_removed_with_its_files() {
    let desk = Desk::new().await;
    let prefix = desk.path("prefix");
    for directory in ["bin", "share/dockbridge", "share/man"] {
        fs::create_dir_all(prefix.join(directory)).unwrap();
    }
    let program = prefix.join("bin/dockbridge");
    fs::copy(env!("CARGO_BIN_EXE_dockbridge"), &program).unwrap();
    let list = "bin/dockbridge\nshare/man/page\nshare/dockbridge/installed\nshare/man\n\
        share/dockbridge\nshare\nbin\n";
    fs::write(prefix.join("share/dockbridge/installed"), list).unwrap();
    for file in ["share/man/page", "bin/other"] {
        fs::write(prefix.join(file), "").unwrap();
    }
    let mut command = desk.command(&program);
    command.args(["uninstall", "--yes"]);
    let ran = run(command, "").await;
    ran.succeeded().said(&["the program and 6 other files in", "Removed."]);
    let left = [prefix.join("bin"), prefix.join("bin/other")];
    assert_eq!(listing(&prefix), left.map(|path| path.display().to_string()).into());
}
