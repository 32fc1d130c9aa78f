//! The unit files, read by systemd. Part of the program's own tests: they have a file here because
//! they call programs of the host.

use std::process::Command;

use super::*;

fn recipe(profile: &str, directory: &str) -> Recipe {
    let socket = format!("{directory}/docker.sock");
    Recipe {
        profile: profile.to_owned(),
        program: "/bin/sh".to_owned(),
        arguments: ["start", "--profile", profile, "--socket", &socket].map(str::to_owned).to_vec(),
        environment: vec![("DOCKBRIDGE_HOME".to_owned(), directory.to_owned())],
        control: format!("{socket}.control"),
        socket,
        tcp: ["127.0.0.1:2375", "[::1]:2375"].map(|address| address.parse().unwrap()).to_vec(),
        log: format!("{directory}/daemon.log"),
    }
}

/// What systemd says about the units, as those of a user's manager.
fn verified(files: &[UnitFile]) -> Option<(bool, String)> {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<_> = files
        .iter()
        .map(|file| {
            let path = directory.path().join(&file.name);
            std::fs::write(&path, &file.text).unwrap();
            path
        })
        .collect();
    let verify = Command::new("systemd-analyze")
        .args(["verify", "--user", "--man=no"])
        .args(&paths)
        .env("XDG_RUNTIME_DIR", directory.path())
        .env("SYSTEMD_UNIT_PATH", format!("{}:", directory.path().display()))
        .output();
    let Ok(output) = verify else {
        testkit::passed_over!("no systemd-analyze");
        return None;
    };
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(text).unwrap()))
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    for (profile, directory) in
        [("default", "/run/user/1000/dockbridge"), ("a-b", "/tmp/a b%n\"c\\d$HOME")]
    {
        let files = files(&recipe(profile, directory));
        let Some((is_good, said)) = verified(&files) else { return };
        assert!(is_good && said.is_empty(), "{said}\n{files:#?}");
    }
    let mut broken = files(&recipe("default", "/run/user/1000/dockbridge"));
    broken[0].text = broken[0].text.replace("Restart=on-failure", "Restart=sometimes");
    let Some((_, said)) = verified(&broken) else { return };
    assert!(said.contains("sometimes"), "it looks at the units: {said}");
}

#[test]
fn units_without_a_port_have_no_socket_for_it() {
    let without = Recipe { tcp: Vec::new(), ..recipe("default", "/run") };
    let names: Vec<_> = files(&without).into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["dockbridge.service", "dockbridge.socket", "dockbridge.control.socket"]);
    let names: Vec<_> = files(&recipe("w", "/run")).into_iter().map(|file| file.name).collect();
    assert_eq!(names[0], "dockbridge-w.service");
    assert_eq!(names[3], "dockbridge-w.tcp.socket");
}

#[test]
fn unit_of_a_socket_is_recognized_by_its_path() {
    let files = files(&recipe("default", "/run/a%b"));
    let paths = |index: usize| listening_paths(&files[index].text).collect::<Vec<_>>();
    assert_eq!(paths(1), ["/run/a%b/docker.sock"]);
    assert_eq!(paths(2), ["/run/a%b/docker.sock.control"]);
}

#[test]
fn words_keep_what_systemd_would_change() {
    assert_eq!(quoted("/a b/100%\\\"$x"), "\"/a b/100%%\\\\\\\"$x\"");
}

#[test]
fn service_restarts_after_a_crash_and_not_after_its_own_report() {
    let text = &files(&recipe("default", "/run/dockbridge"))[0].text;
    insta::assert_snapshot!(text, @r#"
    # Written by `dockbridge service install`, which replaces it.
    [Unit]
    Description=Docker on a server that exists only while it is used (default)
    Documentation=https://github.com/dockbridge/dockbridge
    StartLimitIntervalSec=60
    StartLimitBurst=20

    [Service]
    Type=notify
    NotifyAccess=main
    ExecStart=:"/bin/sh" "start" "--profile" "default" "--socket" "/run/dockbridge/docker.sock"
    ExecReload=/bin/kill -HUP $MAINPID
    Environment="DOCKBRIDGE_SERVICE=%n"
    Environment="DOCKBRIDGE_HOME=/run/dockbridge"
    Sockets=dockbridge.socket dockbridge.control.socket dockbridge.tcp.socket
    Restart=on-failure
    RestartSec=1
    RestartPreventExitStatus=1 2
    WatchdogSec=120
    TimeoutAbortSec=10
    TimeoutStopSec=60
    KillMode=mixed
    UMask=0077
    LimitCORE=0
    "#);
}
