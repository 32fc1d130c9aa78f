//! Completions are accepted by the shells that they are for, and know every command.

use std::path::Path;

use crate::rig::{Desk, run};

#[tokio::test]
async fn each_shell_accepts_its_completions() {
    let desk = Desk::new().await;
    // Host programs: bash zsh fish
    for (shell, file) in [("bash", "c.bash"), ("zsh", "c.zsh"), ("fish", "c.fish")] {
        let ran = desk.dockbridge(&["completions", shell]).await;
        let commands = ["start", "status", "uninstall", "local-cloud", "older-than", "nspawn"];
        ran.succeeded().said(&commands);
        std::fs::write(desk.path(file), &ran.stdout).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        if !std::env::split_paths(&path).any(|directory| directory.join(shell).exists()) {
            testkit::passed_over_in_part!("no {shell}");
            continue;
        }
        let mut check = desk.command(Path::new(shell));
        check.arg("-n").arg(desk.path(file));
        run(check, "").await.succeeded();
    }
}

#[tokio::test]
async fn bash_completes_commands_and_values() {
    let desk = Desk::new().await;
    let text = desk.dockbridge(&["completions", "bash"]).await.succeeded().stdout.clone();
    let completed = async |words: &str| {
        let list: Vec<&str> = words.split(' ').collect();
        let [.., before, last] = &list[..] else { panic!("two words at least: {words}") };
        let script = format!(
            "{text}\nCOMP_WORDS=({words})\nCOMP_CWORD={}\n_dockbridge dockbridge {last} {before}\n\
             echo \"${{COMPREPLY[@]}}\"",
            list.len() - 1
        );
        std::fs::write(desk.path("complete.sh"), script).unwrap();
        let mut command = desk.command("bash");
        command.arg(desk.path("complete.sh"));
        run(command, "").await.succeeded().stdout.trim().to_owned()
    };
    assert_eq!(completed("dockbridge uni").await, "uninstall");
    assert_eq!(completed("dockbridge completions f").await, "fish");
    assert_eq!(completed("dockbridge volume res").await, "resize");
}

#[tokio::test]
async fn shell_of_the_user_is_the_default() {
    let mut desk = Desk::new().await;
    for (shell, first) in [("/bin/bash", "_dockbridge() {"), ("/usr/bin/zsh", "#compdef ")] {
        let ran = desk.set("SHELL", shell).dockbridge(&["completions"]).await;
        assert!(ran.succeeded().stdout.starts_with(first), "{ran}");
    }
    let expected = ["neither bash nor zsh nor fish", "Hint: `dockbridge completions bash`"];
    desk.set("SHELL", "dash").dockbridge(&["completions"]).await.failed(2, &expected);
    desk.unset("SHELL").dockbridge(&["completions"]).await.failed(2, &expected);
}

#[tokio::test]
async fn other_shells_are_refused() {
    let desk = Desk::new().await;
    desk.dockbridge(&["completions", "tcsh"])
        .await
        .failed(2, &["invalid value 'tcsh'", "bash, zsh, fish"]);
}
