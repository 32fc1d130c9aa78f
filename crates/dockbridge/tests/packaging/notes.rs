//! The notes of a release: CHANGELOG.md's part about the version, and the commits since the release
//! before.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use testkit::{Ran, run};
use tokio::process::Command;

const CHANGELOG: &str = "# Changelog\n\n## [0.2.0]\n\n- Newer.\n\n## [0.1.0]\n\n- Older.\n";

/// Runs `git` in a directory, whatever the settings of this host.
async fn git(checkout: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=ada", "-c", "user.email=ada@example.com"])
        .args(["-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"])
        .args(arguments)
        .current_dir(checkout);
    run(command, "").await.succeeded();
}

async fn commit(checkout: &Path, subject: &str) {
    git(checkout, &["commit", "--quiet", "--allow-empty", "--message", subject]).await;
}

async fn notes(checkout: &Path, version: &str) -> Ran {
    let mut command = Command::new(checkout.join("scripts/lib/notes"));
    command.arg(version);
    run(command, "").await
}

#[tokio::test]
async fn notes_have_the_changes_for_users_and_the_commits_since_the_release_before() {
    let directory = tempfile::tempdir().unwrap();
    let checkout = directory.path().join("checkout");
    fs::create_dir_all(checkout.join("scripts/lib")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/lib/notes");
    let copy = checkout.join("scripts/lib/notes");
    fs::write(&copy, fs::read(script).unwrap()).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(checkout.join("CHANGELOG.md"), CHANGELOG).unwrap();
    git(&checkout, &["init", "--quiet", "--initial-branch", "main"]).await;
    commit(&checkout, "Add the first").await;

    let first = notes(&checkout, "0.1.0").await;
    first.succeeded().said(&["\n- Older.\n", "<summary>Commits: 1</summary>", " Add the first\n"]);
    git(&checkout, &["tag", "--annotate", "--message", "0.1.0", "v0.1.0"]).await;
    // The tag of the version itself is not the release before.
    assert_eq!(notes(&checkout, "0.1.0").await.stdout, first.stdout);

    commit(&checkout, "Add the second").await;
    let second = notes(&checkout, "0.2.0").await;
    second.succeeded().said(&["\n- Newer.\n", "since v0.1.0: 1</summary>", " Add the second\n"]);
    for other in ["Older", "Add the first"] {
        assert!(!second.stdout.contains(other), "{second}");
    }
    notes(&checkout, "0.3.0").await.failed(1, &["CHANGELOG.md has no part about 0.3.0."]);

    let source = format!("file://{}", checkout.display());
    git(directory.path(), &["clone", "--quiet", "--depth", "1", &source, "shallow"]).await;
    let shallow = directory.path().join("shallow");
    fs::create_dir_all(shallow.join("scripts/lib")).unwrap();
    fs::copy(&copy, shallow.join("scripts/lib/notes")).unwrap();
    fs::write(shallow.join("CHANGELOG.md"), CHANGELOG).unwrap();
    notes(&shallow, "0.2.0").await.failed(1, &["git fetch --unshallow --tags"]);
}
