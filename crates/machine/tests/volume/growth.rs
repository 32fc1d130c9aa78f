//! A volume that is larger than before, at boot and while everything runs; and what ran on it when
//! its machine was cut off.

use super::*;

const GROW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bootstrap/grow.sh");

/// The kernel asks for CAP_SYS_RESOURCE, number 24 (capability.h).
fn may_grow_what_is_mounted() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let has = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(has.trim(), 16).unwrap() & (1 << 24) != 0
}

/// Makes the disk larger, as the cloud does it.
fn grow(rig: &Rig, size: u64) {
    File::options().write(true).open(rig.image()).unwrap().set_len(size).unwrap();
    rig.tool("losetup", &["--set-capacity"]);
}

#[test]
fn a_volume_that_was_made_larger_is_grown_at_the_next_boot() {
    let Some(rig) = Rig::new(GIB) else { return };
    rig.boots("echo precious >lib/docker/data");
    grow(&rig, 3 * GIB);
    assert_eq!(rig.boots("cat lib/docker/data"), "precious\n");
    assert_eq!(rig.superblock("Block count"), (3 * GIB / 4096).to_string());
}

#[test]
fn a_file_system_that_does_not_grow_keeps_nobody_from_the_data() {
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
fn a_volume_grows_while_it_is_written_to() {
    let Some(rig) = Rig::new(GIB) else { return };
    if !may_grow_what_is_mounted() {
        testkit::passed_over!(
            "this host's root has no CAP_SYS_RESOURCE, without which no mounted \
            file system grows"
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
    let told = rig.boots(&then);
    let (size, log) = told.split_once('\n').unwrap();
    let size: u64 = size.split(' ').map(|number| number.parse::<u64>().unwrap()).product();
    assert!(size > 5 * GIB / 2, "{told}");
    assert_eq!(log, "line\n");
    // As large as wanted already: nothing to do.
    rig.boots(&format!("sh {GROW} 3"));
}

#[test]
fn a_disk_that_does_not_become_larger_is_told() {
    let Some(rig) = Rig::new(GIB) else { return };
    let told = rig.boots(&format!("sh {GROW} 2 2>&1 || echo it ended with $?"));
    assert_eq!(told, format!("after 2 s the disk still has {GIB} bytes\nit ended with 1\n"));
}

#[test]
fn what_ran_when_the_last_machine_was_cut_off_is_written_down() {
    let Some(rig) = Rig::new(GIB) else { return };
    let book = |id: &str, running: bool| {
        format!(
            "mkdir -p lib/docker/containers/{id}; echo \
                '{{\"StreamConfig\":{{}},\"State\":{{\"Running\":{running},\"Paused\":false}},\"Name\":\"/x\"}}' >lib/docker/containers/{id}/config.v2.json\n"
        )
    };
    rig.boots("");
    assert_eq!(fs::read_to_string(rig.path("run/ran")).unwrap(), "");
    rig.boots(&(book("aaa", true) + &book("bbb", false) + &book("ccc", true)));
    // In the same boot they run, and nobody has cut them off.
    rig.boots(&format!("cp run/ran before; rm run/ran; sh {SCRIPT}; test ! -e run/ran"));
    assert_eq!(fs::read_to_string(rig.path("before")).unwrap(), "aaa\nccc\n");
}
