//! The signature of a release: `scripts/lib/sign` makes it, install.sh verifies it.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::run;
use tokio::process::Command;

use crate::rig::{Computer, host_program};
use crate::server::Manner;

const PROGRAM: &str = "#!/bin/sh\necho dockbridge 0.1.0\n";

/// A new key pair, and the file that allows it to sign.
async fn signer(computer: &Computer, name: &str) -> (PathBuf, PathBuf) {
    let key = computer.path(name);
    let mut generate = Command::new("ssh-keygen");
    generate.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&key);
    run(generate, "").await.succeeded();
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let allowed = computer.path(&format!("{name}-signers"));
    fs::write(&allowed, format!("dockbridge namespaces=\"dockbridge-release\" {public}")).unwrap();
    (key, allowed)
}

async fn sign(computer: &Computer, key: Option<&Path>) -> testkit::Ran {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/lib/sign");
    let mut command = Command::new(script);
    command.arg(computer.path("served")).env_remove("DOCKBRIDGE_SIGNING_KEY");
    command.envs(key.map(|key| ("DOCKBRIDGE_SIGNING_KEY", key)));
    run(command, "").await
}

/// install.sh of a user who trusts these signers.
async fn install(computer: &Computer, signers: &Path) -> testkit::Ran {
    let mut command = computer.command(&crate::rig::install_script(), &[]);
    command.env("DOCKBRIDGE_SIGNERS", signers);
    run(command, "").await
}

#[tokio::test]
async fn signature_of_a_trusted_signer_is_verified_before_anything_is_installed() {
    let computer = Computer::new(Manner::Whole);
    computer.offer(PROGRAM, &[]).await;
    let (key, signers) = signer(&computer, "own").await;
    let (_, strangers) = signer(&computer, "stranger").await;
    sign(&computer, None).await.succeeded().said(&["is not signed: DOCKBRIDGE_SIGNING_KEY names"]);
    install(&computer, &signers).await.failed(1, &["Error: ssh-keygen is not installed"]);
    computer.link("ssh-keygen", &host_program("ssh-keygen"));
    install(&computer, &signers).await.failed(1, &["cannot fetch", "/SHA256SUMS.sig"]);
    install(&computer, &computer.path("absent")).await.failed(1, &["cannot read the signers"]);

    sign(&computer, Some(&key)).await.succeeded();
    let refused = ["has signed SHA256SUMS at http://", "nothing is installed"];
    install(&computer, &strangers).await.failed(1, &refused);
    let sums = computer.path("served/SHA256SUMS");
    let right = fs::read_to_string(&sums).unwrap();
    fs::write(&sums, format!("{right}{}  another\n", "0".repeat(64))).unwrap();
    install(&computer, &signers).await.failed(1, &refused);
    computer.has_nothing();

    fs::write(&sums, right).unwrap();
    install(&computer, &signers).await.succeeded().said(&["Installed dockbridge 0.1.0"]);
    // A release without a key has no signature of an earlier one.
    sign(&computer, None).await.succeeded();
    assert!(!computer.path("served/SHA256SUMS.sig").exists());
}
