//! The files for other package managers, filled from templates.

use std::fs;
use std::path::Path;

use testkit::run;
use tokio::process::Command;

/// SHA-256 of `x`.
const SUM: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

async fn filled(archives: &[&str]) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    for archive in archives {
        fs::write(directory.path().join(archive), "x").unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/lib/manifests");
    let mut command = Command::new(script);
    command.arg(directory.path()).arg("1.2.3");
    let said = run(command, "").await.succeeded().stdout.clone();
    (directory, said)
}

#[tokio::test]
async fn templates_are_filled_where_their_archives_exist() {
    let linux = ["dockbridge-x86_64-linux.tar.gz", "dockbridge-aarch64-linux.tar.gz"];
    let (directory, said) = filled(&linux).await;
    let formula = fs::read_to_string(directory.path().join("dockbridge.rb")).unwrap();
    assert!(!formula.contains('@') && formula.contains("version \"1.2.3\""), "{formula}");
    assert_eq!(formula.matches(SUM).count(), 2, "{formula}");
    let url = "releases/download/v1.2.3/dockbridge-aarch64-linux.tar.gz";
    assert!(formula.contains(url), "{formula}");
    assert!(said.contains("there is no dockbridge-x86_64-windows.zip"), "{said}");
    assert!(!directory.path().join("dockbridge.json").exists());

    let (directory, said) = filled(&["dockbridge-x86_64-windows.zip"]).await;
    assert!(said.contains("dockbridge.rb is not written: there is no dockbridge-"), "{said}");
    let text = fs::read_to_string(directory.path().join("dockbridge.json")).unwrap();
    let scoop: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(scoop["version"], "1.2.3");
    assert_eq!(scoop["architecture"]["64bit"]["hash"], SUM);
    let winget =
        fs::read_to_string(directory.path().join("dockbridge.dockbridge.installer.yaml")).unwrap();
    assert!(winget.contains(SUM) && !winget.contains('@'), "{winget}");
    assert!(directory.path().join("dockbridge.dockbridge.yaml").exists());
}
