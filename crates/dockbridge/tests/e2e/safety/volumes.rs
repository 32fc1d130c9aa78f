//! A volume with any content is never formatted: the machine is refused and deleted, and not a
//! byte has changed.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hetzner::{NewVolume, Query, Volume};
use machine::{Identity, Owner, Profile};
use rustix::fs::SeekFrom;

use crate::rig::{Stage, pass_over};

const GIB: u64 = 1 << 30;
const SIZE: u64 = 10 * GIB;

#[tokio::test]
async fn a_volume_with_a_foreign_file_system_is_refused_and_left_as_it_is() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let foreign = "a file system of type ext4 that dockbridge did not make";
    is_refused(&stage, "labeled", foreign, |image| {
        tool("mkfs.ext4", &["-q", "-F", "-L", "theirs"], image)
    })
    .await;
    is_refused(&stage, "unlabeled", foreign, |image| tool("mkfs.ext4", &["-q", "-F"], image)).await;
    is_refused(&stage, "xfs", "a file system of type xfs", |image| {
        tool("mkfs.xfs", &["-q"], image)
    })
    .await;
    stage.close().await;
}

#[tokio::test]
async fn a_volume_with_a_partition_table_is_refused_and_left_as_it_is() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    for (label, found) in
        [("gpt", "a partition table of type gpt"), ("dos", "a partition table of type dos")]
    {
        is_refused(&stage, label, found, |image| {
            tool(
                "sh",
                &["-c", &format!("printf 'label: {label}\\n,1G\\n' | sfdisk -q \"$0\"")],
                image,
            )
        })
        .await;
    }
    stage.close().await;
}

#[tokio::test]
async fn a_volume_with_bytes_of_no_known_kind_is_refused_and_left_as_it_is() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    for (profile, place) in [("start", 0), ("middle", 4 * GIB), ("end", SIZE - 4096)] {
        is_refused(&stage, profile, "data of an unknown kind", |image| {
            File::options().write(true).open(image).unwrap().write_all_at(&noise(), place).unwrap();
        })
        .await;
    }
    stage.close().await;
}

/// A profile whose volume was filled before its first machine.
async fn is_refused(stage: &Stage, profile: &str, found: &str, fill: impl FnOnce(&Path)) {
    let volume = volume_of(stage, profile).await;
    let image = stage.directory.path().join(format!("cloud/volumes/{}.img", volume.id));
    assert_eq!(image.metadata().unwrap().len(), SIZE);
    fill(&image);
    let before = content(&image);
    assert!(!before.is_empty(), "the test wrote nothing");

    let socket = stage.directory.path().join(format!("{profile}.sock"));
    let daemon = stage.start_at(&socket, &[("DOCKBRIDGE_PROFILE", profile)]).await;
    let ran = stage.docker_at(&socket, &["ps"], "").await;
    assert_eq!(ran.status.code(), Some(1), "{ran}");
    for expected in [
        "Error response from daemon: docker does not start on dockbridge-",
        &format!("volume {} carries ", volume.id),
        found,
        "it was not formatted. Use another volume, or delete this one if nobody needs it",
    ] {
        assert!(ran.stderr.contains(expected), "{profile}: {expected:?} is missing: {ran}");
    }
    let servers = stage.api.servers().list(&Query::default()).await.unwrap();
    assert!(
        servers.is_empty(),
        "{profile}: a server bills on: {:?}",
        servers.iter().map(|server| &server.name).collect::<Vec<_>>()
    );
    assert_eq!(stage.api.volumes().get(volume.id).await.unwrap().unwrap().server, None);
    assert!(content(&image) == before, "{profile}: the volume's bytes changed");

    // A second command does not create a server for the same answer.
    let again = stage.docker_at(&socket, &["ps"], "").await;
    again.failed_with(found);
    assert!(
        again.took < Duration::from_secs(2),
        "{profile}: another server was tried at once: {again}"
    );
    daemon.stop().await;
}

/// The volume that this user's profile will find.
async fn volume_of(stage: &Stage, profile: &str) -> Volume {
    let owner = stage.directory.path().join("home/config/owner");
    if !owner.exists() {
        // As `init` creates it; no command that only looks does.
        DirBuilder::new().recursive(true).mode(0o700).create(owner.parent().unwrap()).unwrap();
        std::fs::write(&owner, format!("{}\n", Owner::random())).unwrap();
    }
    let owner = Owner::parse(&std::fs::read_to_string(owner).unwrap()).unwrap();
    let identity = Identity { profile: Profile::parse(profile).unwrap(), owner };
    let size = u32::try_from(SIZE / GIB).unwrap();
    let new = NewVolume {
        name: identity.name(),
        size,
        location: "fsn1".to_owned(),
        format: None,
        labels: identity.labels("data"),
    };
    let created = stage.api.volumes().create(&new).await.unwrap();
    stage.api.wait(created.actions()).await.unwrap();
    created.volume
}

fn tool(program: &str, arguments: &[&str], image: &Path) {
    let output = Command::new(program).args(arguments).arg(image).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn noise() -> Vec<u8> {
    (1..=4096_u32)
        .map(|number| u8::try_from(number.wrapping_mul(2_654_435_761) >> 24).unwrap())
        .collect()
}

/// All non-zero blocks, by position. Holes are not read.
fn content(image: &PathBuf) -> BTreeMap<u64, Vec<u8>> {
    const BLOCK: usize = 4096;
    const STEP: u64 = 4096;
    let file = File::open(image).unwrap();
    let mut blocks = BTreeMap::new();
    let mut at = 0;
    while let Ok(begin) = rustix::fs::seek(&file, SeekFrom::Data(at)) {
        at = rustix::fs::seek(&file, SeekFrom::Hole(begin)).unwrap();
        for place in (begin / STEP * STEP..at).step_by(BLOCK) {
            let mut block = vec![0; BLOCK];
            let read = file.read_at(&mut block, place).unwrap();
            block.truncate(read);
            if block != [0; BLOCK][..read] {
                blocks.insert(place, block);
            }
        }
    }
    blocks
}
