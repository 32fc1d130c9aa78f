//! Two computers of one owner, each with a home and a login key of its own, and one machine.

mod machine;

use std::path::PathBuf;

use crate::rig::{Daemon, Ran, Stage, run};

/// One of the computers.
pub struct Computer<'a> {
    stage: &'a Stage,
    home: PathBuf,
}

impl<'a> Computer<'a> {
    /// The stage's computer, and one that joins its owner.
    pub async fn pair(stage: &'a Stage) -> [Self; 2] {
        let [first, second] =
            ["home", "second"].map(|name| Self { stage, home: stage.directory.path().join(name) });
        let output = first.dockbridge(&["init", "--yes", "--no-context"]).await;
        let text = output.succeeded().stdout.split_once("--join ").expect("a text to join").1;
        let text = text.split('`').next().unwrap().to_owned();
        second.dockbridge(&["init", "--yes", "--no-context", "--join", &text]).await.succeeded();
        let read = |computer: &Self, name: &str| {
            std::fs::read_to_string(computer.home.join("config").join(name)).unwrap()
        };
        assert_eq!(read(&first, "owner"), read(&second, "owner"));
        assert_ne!(read(&first, "ssh_ed25519"), read(&second, "ssh_ed25519"));
        [first, second]
    }

    pub fn socket(&self) -> PathBuf {
        self.home.join("run/default/docker.sock")
    }

    pub async fn start(&self, settings: &[(&str, &str)]) -> Daemon {
        let home = self.home.display().to_string();
        let own = [("DOCKBRIDGE_HOME", home.as_str())];
        self.stage.start_at(&self.socket(), &[&own[..], settings].concat()).await
    }

    pub async fn dockbridge(&self, arguments: &[&str]) -> Ran {
        let mut command = self.stage.command(env!("CARGO_BIN_EXE_dockbridge"));
        command.env("DOCKBRIDGE_HOME", &self.home).args(arguments);
        run(command, "").await
    }

    pub async fn docker(&self, arguments: &[&str]) -> Ran {
        self.stage.docker_at(&self.socket(), arguments, "").await
    }
}
