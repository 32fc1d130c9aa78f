//! A volume that is larger than before, at boot and while everything runs; and the containers that
//! ran when a machine was cut off.

use std::fs::{self, File};

use crate::rig::{GIB, Rig, SCRIPT};

const GROW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bootstrap/grow.sh");

/// The kernel requires CAP_SYS_RESOURCE, number 24 (capability.h).
fn may_grow_what_is_mounted() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let has = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(has.trim(), 16).unwrap() & (1 << 24) != 0
}

/// Makes the disk larger, as the cloud does.
fn grow(rig: &Rig, size: u64) {
    File::options().write(true).open(rig.image()).unwrap().set_len(size).unwrap();
    rig.tool("losetup", &["--set-capacity"]);
}

#[test]
fn file_system_of_a_larger_volume_grows_at_the_next_boot() {
    let Some(rig) = Rig::new(GIB) else { return };
    rig.boots("echo precious >lib/docker/data");
    grow(&rig, 3 * GIB);
    assert_eq!(rig.boots("cat lib/docker/data"), "precious\n");
    assert_eq!(rig.superblock("Block count"), (3 * GIB / 4096).to_string());
}

#[test]
fn file_system_that_does_not_grow_is_mounted_anyway() {
    let Some(rig) = Rig::new(GIB) else { return };
    rig.boots("echo precious >lib/docker/data");
    grow(&rig, 2 * GIB);
    let path = rig.stand_in("resize2fs", "echo 'no such luck' >&2; exit 1");
    let output = rig.machine("cat lib/docker/data").env("PATH", path).output().unwrap();
    assert_eq!(
        (output.status.success(), String::from_utf8_lossy(&output.stdout).as_ref()),
        (true, "precious\n")
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the file system of volume 4711 was not grown: no such luck"), "{said}");
}

#[test]
fn file_system_grows_while_it_is_written_to() {
    let Some(rig) = Rig::new(GIB) else { return };
    if !may_grow_what_is_mounted() {
        testkit::passed_over!(
            "this host's root has no CAP_SYS_RESOURCE, without which no mounted file system grows"
        );
        return;
    }
    let then = format!(
        "(while [ ! -e stop ]; do echo line >>lib/docker/log; done) & truncate -s 3G disk.img; \
            losetup --set-capacity {device}\n\
         sh {GROW} 3 || echo it ended with $?; touch stop; wait; stat -f -c '%b %S' mnt; sort -u \
            lib/docker/log",
        device = rig.device.display(),
    );
    let output = rig.boots(&then);
    let (size, log) = output.split_once('\n').unwrap();
    let size: u64 = size.split(' ').map(|number| number.parse::<u64>().unwrap()).product();
    assert!(size > 5 * GIB / 2, "{output}");
    assert_eq!(log, "line\n");
    // It has that size already.
    rig.boots(&format!("sh {GROW} 3"));
}

#[test]
fn disk_that_does_not_become_larger_is_reported() {
    let Some(rig) = Rig::new(GIB) else { return };
    let output = rig.boots(&format!("sh {GROW} 2 2>&1 || echo it ended with $?"));
    assert_eq!(output, format!("after 2 s the disk still has {GIB} bytes\nit ended with 1\n"));
}

#[test]
fn containers_that_ran_when_the_last_machine_was_cut_off_are_listed() {
    let Some(rig) = Rig::new(GIB) else { return };
    let container = |id: &str, running: bool| {
        let state = format!("{{\"Running\":{running},\"Paused\":false}}");
        let config = format!("{{\"StreamConfig\":{{}},\"State\":{state},\"Name\":\"/x\"}}");
        let directory = format!("lib/docker/containers/{id}");
        format!("mkdir -p {directory}; echo '{config}' >{directory}/config.v2.json\n")
    };
    rig.boots("");
    assert_eq!(fs::read_to_string(rig.path("run/ran")).unwrap(), "");
    rig.boots(&(container("aaa", true) + &container("bbb", false) + &container("ccc", true)));
    // A second run in the same boot lists none: they run, and were not cut off.
    rig.boots(&format!("cp run/ran before; rm run/ran; sh {SCRIPT}; test ! -e run/ran"));
    assert_eq!(fs::read_to_string(rig.path("before")).unwrap(), "aaa\nccc\n");
}
