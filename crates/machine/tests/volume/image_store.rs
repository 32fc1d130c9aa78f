//! Which image store the engine opens: the one that holds something, whichever engine version
//! started the volume. The directories are those that engines 26, 28 and 29 leave.

use std::fs;

use crate::rig::{GIB, Rig};

/// What containerd creates as soon as it runs, whichever store the engine uses.
const CONTAINERD: &str =
    "mkdir -p lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots\n";

/// An engine with its own store that has run and stored nothing.
const OVERLAY2: &str =
    "mkdir -p lib/docker/image/overlay2/imagedb/content/sha256 lib/docker/image/overlay2/layerdb\n";

/// An image in the engine's own store.
const OWN_IMAGE: &str = "echo {} >lib/docker/image/overlay2/imagedb/content/sha256/4f19781f\n";

/// A container whose image was removed by force.
const OWN_CONTAINER: &str = "mkdir -p lib/docker/image/overlay2/layerdb/mounts/43f4e88a\n";

/// An image in containerd's store.
const CONTAINERDS_IMAGE: &str = concat!(
    "mkdir -p lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/4/fs\n",
    "mkdir -p lib/containerd/io.containerd.content.v1.content/blobs/sha256\n",
    "echo {} >lib/containerd/io.containerd.content.v1.content/blobs/sha256/21e11ae0\n",
);

const FEATURE: &str = "{\"features\":{\"containerd-snapshotter\":true}}\n";

/// A volume with this content.
fn left(parts: &[&str]) -> Option<Rig> {
    let rig = Rig::new(GIB)?;
    rig.boots(&parts.concat());
    let _ = fs::remove_dir_all(rig.path("docker"));
    Some(rig)
}

/// The engine's settings after the next boot, if any, and what the machine prints about hidden
/// images.
fn settings_after_boot(rig: &Rig) -> (Option<String>, String) {
    let output = rig.machine("").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let hidden = said
        .lines()
        .find_map(|line| line.strip_prefix("dockbridge: "))
        .unwrap_or_default()
        .to_owned();
    let state = if hidden.is_empty() { "ready".to_owned() } else { format!("ready: {hidden}") };
    assert_eq!(rig.state(), state, "the state and the log agree");
    (fs::read_to_string(rig.path("docker/daemon.json")).ok(), hidden)
}

fn give_settings(rig: &Rig, settings: &str) {
    fs::create_dir_all(rig.path("docker")).unwrap();
    fs::write(rig.path("docker/daemon.json"), settings).unwrap();
}

#[test]
fn volume_with_images_in_containerds_store_is_opened_with_it() {
    let begun_by_29 = [CONTAINERD, CONTAINERDS_IMAGE].concat();
    // An older engine has run on it once, and left its own empty store.
    for parts in [[&begun_by_29, ""], [&begun_by_29, OVERLAY2]] {
        let Some(rig) = left(&parts) else { return };
        assert_eq!(settings_after_boot(&rig), (Some(FEATURE.to_owned()), String::new()));
        assert_eq!(
            settings_after_boot(&rig),
            (Some(FEATURE.to_owned()), String::new()),
            "at the next boot of the machine"
        );
    }
}

#[test]
fn volume_that_is_empty_or_has_images_in_the_engines_own_store_gets_no_settings() {
    for parts in [
        &[][..],
        &[CONTAINERD],
        &[CONTAINERD, OVERLAY2],
        &[CONTAINERD, OVERLAY2, OWN_IMAGE],
        &[CONTAINERD, OVERLAY2, OWN_CONTAINER],
    ] {
        let Some(rig) = left(parts) else { return };
        assert_eq!(settings_after_boot(&rig), (None, String::new()), "{parts:?}");
        // A snapshot of a machine with another volume has such settings.
        give_settings(&rig, FEATURE);
        assert_eq!(settings_after_boot(&rig), (None, String::new()), "{parts:?}");
    }
}

#[test]
fn settings_of_the_users_own_image_stay_and_hidden_images_are_reported() {
    let (mirrors, on) = (
        "{\"registry-mirrors\": []}\n",
        "{\n  \"features\": {\n    \"containerd-snapshotter\": true\n  }\n}\n",
    );
    let containerds = "images and containers in containerd's image store are hidden: ";
    let own = "images and containers in docker's own image store (overlay2) are hidden: ";
    let cases: [(&[&str], &str, &str); 6] = [
        (&[CONTAINERD, CONTAINERDS_IMAGE], mirrors, containerds),
        (&[CONTAINERD, CONTAINERDS_IMAGE], on, ""),
        (&[CONTAINERD, OVERLAY2, OWN_IMAGE], mirrors, ""),
        (&[CONTAINERD, OVERLAY2, OWN_IMAGE], on, own),
        (&[CONTAINERD], mirrors, ""),
        (&[CONTAINERD], on, ""),
    ];
    for (parts, given, hidden) in cases {
        let Some(rig) = left(parts) else { return };
        give_settings(&rig, given);
        let (settings, said) = settings_after_boot(&rig);
        assert_eq!(settings.as_deref(), Some(given));
        assert!(
            said.starts_with(hidden) && said.is_empty() == hidden.is_empty(),
            "{parts:?} {given}: {said}"
        );
        assert!(
            hidden.is_empty() || said.contains(rig.path("docker/daemon.json").to_str().unwrap()),
            "{said}"
        );
    }
}

#[test]
fn engines_own_store_wins_over_containerds_and_the_other_is_reported() {
    let Some(rig) = left(&[CONTAINERD, CONTAINERDS_IMAGE, OVERLAY2, OWN_IMAGE]) else { return };
    let (settings, said) = settings_after_boot(&rig);
    assert_eq!(settings, None);
    assert!(
        said.starts_with("images and containers in containerd's image store are hidden: "),
        "{said}"
    );
}
