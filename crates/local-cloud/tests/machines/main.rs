//! Real machines, driven through the line that the API drives them by.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this is test code, also outside of \
    the test functions"
)]

mod fstab;
mod rescue;
mod rig;
mod usage;

use std::time::Duration;

use dockbridge_local_cloud::Sshd;
use dockbridge_local_cloud::hypervisor::{Format, Hypervisor, ImageSource, InboundRule};
use dockbridge_local_cloud::nspawn::{Nspawn, clean};
use rig::{Rig, left_on_host, passed_over, until};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

const LINK: &str = "/dev/disk/by-id/scsi-0HC_Volume_";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_boots_lets_root_in_by_key_and_runs_its_user_data() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    let user_data = "#cloud-config\nwrite_files: \
        [{path: /root/told, content: by user-data}]\nruncmd: [touch /root/ran]\n";
    let machine = rig.create(1, Some(user_data)).await;
    let began = Instant::now();
    rig.cloud.start(1).await.unwrap();
    println!("start took {:?}", began.elapsed());
    machine.answers().await;
    println!("from start to ssh {:?}", began.elapsed());
    assert_eq!(machine.run("hostname").await, "box-1");
    machine.run_until("test -e /root/ran").await;
    assert_eq!(machine.run("cat /root/told").await, "by user-data");
    assert_eq!(machine.run("cloud-init status --wait").await, "status: done");
    assert_eq!(machine.run("systemctl is-system-running --wait").await, "running");
    assert_eq!(machine.run("systemctl is-active ssh.socket").await, "active");
    let run = machine.run("findmnt --noheadings --output OPTIONS --mountpoint /run").await;
    assert!(
        ["noexec", "nosuid", "nodev"].iter().all(|option| run.split(',').any(|has| has == *option)),
        "{run}"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_starts_at_boot_where_that_was_asked_for() {
    if passed_over() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::start_with(directory.path(), Sshd::Service).await;
    let machine = rig.boot(1).await;
    assert_eq!(machine.run("systemctl is-system-running --wait").await, "running");
    assert_eq!(
        machine
            .run(
                "systemctl is-active ssh.socket ssh.service; \
        true"
            )
            .await,
        "inactive\nactive"
    );
    machine.run("systemctl reload ssh").await;
    machine.answers().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_service_tells_each_server_of_itself() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    let quiet = rig.boot(7).await;
    let told = rig.create(8, Some("#cloud-config\n# for eight\n")).await;
    rig.cloud.start(8).await.unwrap();
    told.answers().await;

    let get = |path: &str| {
        format!(
            "curl -sS -m 5 -w ' %{{http_code}}' \
        http://169.254.169.254/hetzner/v1/{path}"
        )
    };
    assert_eq!(quiet.run(&get("metadata/hostname")).await, "box-7 200");
    assert_eq!(quiet.run(&get("metadata/instance-id")).await, "7 200");
    assert_eq!(quiet.run(&get("metadata/public-ipv4")).await, format!("{} 200", quiet.address));
    assert_eq!(quiet.run(&get("metadata/region")).await, "eu-central 200");
    assert_eq!(
        quiet.run(&get("metadata/no-such-key")).await.split_whitespace().last(),
        Some("404")
    );
    assert_eq!(quiet.run(&get("userdata")).await, "204");
    // Where a machine asks by IPv6, its hardware address says which one it is.
    let get_v6 = |path: &str| {
        format!(
            "curl -sS -m 5 -g \
        'http://[fe80::a9fe:a9fe%host0]/hetzner/v1/{path}'"
        )
    };
    assert_eq!(quiet.run(&get_v6("metadata/hostname")).await, "box-7");
    assert_eq!(told.run(&get_v6("userdata")).await, "#cloud-config\n# for eight");
    assert_eq!(told.run(&get("userdata")).await, "#cloud-config\n# for eight\n 200");
    let whole = told.run(&get("metadata")).await;
    assert!(
        whole.contains(
            "instance-id: \
        8\n"
        ) && whole.contains(
            "hostname: \
            \"box-8\"\n"
        ) && whole.contains("ssh-ed25519"),
        "{whole}"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_appears_late_by_link_and_serial_and_outlives_its_server() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    rig.cloud.create_volume(4711, 10, Some(Format::Ext4)).await.unwrap();
    let first = rig.boot(1).await;
    assert!(!first.ssh(&format!("test -e {LINK}4711")).await.status.success());

    let began = Instant::now();
    rig.cloud.attach(4711, 1).await.unwrap();
    println!("attach took {:?}", began.elapsed());
    assert_eq!(first.run(&format!("readlink -f {LINK}4711")).await, "/dev/sdb");
    let serial = "tail -c +5 /sys/dev/block/$(lsblk -dno MAJ:MIN /dev/sdb | tr -d ' \
        ')/device/vpd_pg80";
    assert_eq!(first.run(serial).await, "4711");
    let header = "head -c 4 /sys/dev/block/$(lsblk -dno MAJ:MIN /dev/sdb | tr -d ' \
        ')/device/vpd_pg80 | od -An -tx1";
    assert_eq!(first.run(header).await, "00 80 00 04");
    assert_eq!(first.run("blkid -o value -s TYPE /dev/sdb").await, "ext4");
    assert_eq!(first.run("blockdev --getsize64 /dev/sdb").await, (10_u64 << 30).to_string());
    first.run("mount /dev/sdb /mnt && echo kept > /mnt/file").await;

    rig.cloud.resize_volume(4711, 12).await.unwrap();
    assert_eq!(first.run("blockdev --getsize64 /dev/sdb").await, (12_u64 << 30).to_string());
    // Not while it is mounted: that needs a right (CAP_SYS_RESOURCE) that a host in a sandbox may
    // not have.
    first
        .run(
            "umount /mnt && e2fsck -fp /dev/sdb && resize2fs /dev/sdb && mount /dev/sdb \
        /mnt",
        )
        .await;
    assert_eq!(first.run("df --output=size -BG /mnt | tail -1").await, "12G");
    first.run("sync").await;

    rig.cloud.delete(1).await.unwrap();
    let second = rig.create(2, None).await;
    assert_eq!(second.address, first.address, "addresses are used again");
    rig.cloud.attach(4711, 2).await.unwrap();
    rig.cloud.start(2).await.unwrap();
    second.answers().await;
    assert_eq!(second.run(&format!("mount {LINK}4711 /mnt && cat /mnt/file")).await, "kept");

    // While something has a file open on it.
    second.run("nohup sh -c 'exec 9>/mnt/open; sleep 1000' > /dev/null 2>&1 & sync").await;
    let began = Instant::now();
    timeout(Duration::from_secs(5), rig.cloud.detach(4711))
        .await
        .expect(
            "detaching does not \
        hang",
        )
        .unwrap();
    println!("detach took {:?}", began.elapsed());
    assert_eq!(
        second
            .run(
                "ls /dev/sd* /dev/disk/by-id 2>/dev/null; findmnt -n /mnt; \
        true"
            )
            .await,
        "/dev/disk/by-id:"
    );
    rig.cloud.delete_volume(4711).await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_come_blank_or_with_the_file_system_asked_for() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    for (id, format) in [(1, None), (2, Some(Format::Ext4)), (3, Some(Format::Xfs))] {
        rig.cloud.create_volume(id, 10, format).await.unwrap();
        rig.cloud.create_volume(id, 10, format).await.expect("asking twice is no mistake");
    }
    let machine = rig.boot(1).await;
    for id in 1..=3 {
        rig.cloud.attach(id, 1).await.unwrap();
        rig.cloud.attach(id, 1).await.expect("asking twice is no mistake");
    }
    let kind = |id: u64| format!("blkid -p -o value -s TYPE {LINK}{id}; true");
    assert_eq!(machine.run(&kind(1)).await, "");
    assert_eq!(machine.run(&kind(2)).await, "ext4");
    assert_eq!(machine.run(&kind(3)).await, "xfs");
    machine
        .run(&format!(
            "mkfs.ext4 -q {LINK}1 && mount {LINK}1 /mnt && touch /mnt/x && umount \
        /mnt"
        ))
        .await;
    machine.run(&format!("mount {LINK}3 /mnt && touch /mnt/x && umount /mnt")).await;

    // The same nodes after a reboot, and a failed attach changes nothing.
    assert!(rig.cloud.attach(99, 1).await.is_err());
    machine.ssh("reboot").await;
    until("the machine is down", async || !machine.ssh("true").await.status.success()).await;
    machine.answers().await;
    assert_eq!(machine.run(&format!("readlink -f {LINK}3")).await, "/dev/sdd");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_survives_power_off_and_a_power_cut_loses_only_what_was_not_synced() {
    if passed_over() {
        return;
    }
    let mut rig = Rig::start().await;
    rig.cloud.create_volume(5, 10, Some(Format::Ext4)).await.unwrap();
    let machine = rig.boot(1).await;
    rig.cloud.attach(5, 1).await.unwrap();
    let host_key = machine.run("cat /etc/ssh/ssh_host_ed25519_key.pub; cat /etc/machine-id").await;
    machine
        .run(&format!(
            "mount {LINK}5 /mnt && echo yes > /mnt/synced && sync && echo no > \
        /mnt/unsynced"
        ))
        .await;
    let began = Instant::now();
    rig.cloud.power_off(1).await.unwrap();
    println!("power off took {:?}", began.elapsed());
    rig.cloud.power_off(1).await.expect("asking twice is no mistake");

    rig.cloud.start(1).await.unwrap();
    machine.answers().await;
    assert_eq!(
        machine
            .run(
                "cat /etc/ssh/ssh_host_ed25519_key.pub; cat \
        /etc/machine-id"
            )
            .await,
        host_key
    );
    assert_eq!(
        machine
            .run(&format!(
                "mount {LINK}5 /mnt && cat /mnt/synced; ls \
        /mnt"
            ))
            .await,
        "yes\nlost+found\nsynced"
    );
    assert!(rig.events.try_recv().is_err(), "a plug pulled on purpose is no event");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_stops_by_itself_is_told_and_one_that_reboots_comes_back() {
    if passed_over() {
        return;
    }
    let mut rig = Rig::start().await;
    let machine = rig.boot(1).await;
    let boot = machine.run("cat /proc/sys/kernel/random/boot_id").await;
    machine.ssh("reboot").await;
    until("it is another boot", async || {
        let now = machine.ssh("cat /proc/sys/kernel/random/boot_id").await;
        now.status.success() && String::from_utf8_lossy(&now.stdout).trim() != boot
    })
    .await;
    assert!(rig.events.try_recv().is_err(), "a reboot is no stop");

    machine.ssh("poweroff").await;
    rig.stopped(1).await;

    rig.cloud.start(1).await.unwrap();
    machine.answers().await;
    let began = Instant::now();
    rig.cloud.shutdown(1).await.unwrap();
    rig.stopped(1).await;
    println!("shutdown took {:?}", began.elapsed());

    // Killed from outside.
    rig.cloud.start(1).await.unwrap();
    machine.answers().await;
    rig.kill(1);
    rig.stopped(1).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_firewall_drops_what_no_rule_admits_from_the_host_and_from_neighbours() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    let (guarded, neighbour) = tokio::join!(rig.boot(1), rig.boot(2));
    let strangers = "! grep -rsxq 0 --include=cgroup.procs /sys/fs/cgroup";
    guarded.run(strangers).await;
    neighbour.run(strangers).await;
    let serve = "systemd-run -q --collect python3 -m http.server 8080";
    guarded.run(serve).await;
    neighbour.run(serve).await;
    let fetch = |address| format!("curl -sS -o /dev/null -m 3 http://{address}:8080/");
    guarded.run_until(&fetch(neighbour.address)).await;
    neighbour.run_until(&fetch(guarded.address)).await;

    let admit = |port| InboundRule {
        protocol: "tcp".to_owned(),
        ports: Some((port, port)),
        sources: vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
    };
    rig.cloud.set_firewall(1, Some(vec![admit(22)])).await.unwrap();
    let connect = async |port: u16| {
        timeout(Duration::from_millis(700), TcpStream::connect((guarded.address, port))).await
    };
    assert!(connect(8080).await.is_err(), "dropped, so no answer at all");
    assert_eq!(guarded.run("echo in").await, "in");
    assert!(
        !neighbour.ssh(&fetch(guarded.address)).await.status.success(),
        "neighbours are \
        outside, too"
    );
    guarded.run(&fetch(neighbour.address)).await;

    rig.cloud.set_firewall(1, Some(vec![admit(22), admit(8080)])).await.unwrap();
    connect(8080).await.expect("admitted").unwrap();
    rig.cloud.set_firewall(1, Some(Vec::new())).await.unwrap();
    assert!(connect(22).await.is_err(), "without a rule nothing is admitted");
    let nonsense = InboundRule {
        protocol: "tcp".to_owned(),
        ports: None,
        sources: vec![
            "0.0.0.0/0 \
        accept"
                .to_owned(),
        ],
    };
    assert!(rig.cloud.set_firewall(1, Some(vec![nonsense])).await.is_err());
    assert!(connect(22).await.is_err(), "a refused change changes nothing");
    rig.cloud.set_firewall(1, None).await.unwrap();
    connect(22).await.expect("without a firewall all is admitted").unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_carries_the_disk_to_a_new_server() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    let machine = rig.boot(104_729_001).await;
    machine.run("echo carried > /root/file && rm /etc/cloud/cloud.cfg.d/README").await;
    let began = Instant::now();
    let size = rig.cloud.snapshot(104_729_001, 900).await.unwrap();
    println!("snapshot of {size} bytes took {:?}", began.elapsed());
    assert!(size > 100 << 20, "{size} bytes are less than a system");
    rig.cloud.delete(104_729_001).await.unwrap();

    let copy = rig.create_from(2, ImageSource::Snapshot(900), None).await;
    rig.cloud.start(2).await.unwrap();
    copy.answers().await;
    assert_eq!(
        copy.run(
            "cat /root/file; hostname; ls /etc/cloud/cloud.cfg.d/README 2>/dev/null; \
        true"
        )
        .await,
        "carried\nbox-2"
    );
    rig.cloud.delete_snapshot(900).await.unwrap();
    assert!(rig.cloud.delete(2).await.is_ok());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_works_with_its_data_on_a_volume() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    rig.cloud.create_volume(6, 10, Some(Format::Ext4)).await.unwrap();
    let machine = rig.create(1, None).await;
    rig.cloud.attach(6, 1).await.unwrap();
    rig.cloud.start(1).await.unwrap();
    machine.answers().await;
    machine.run("systemctl stop docker docker.socket containerd").await;
    let mount = format!(
        "mkdir -p /mnt/v && mount {LINK}6 /mnt/v && mkdir -p /mnt/v/docker && \
        mount --bind /mnt/v/docker /var/lib/docker"
    );
    machine.run(&mount).await;
    machine.run("systemctl start containerd docker").await;
    assert_eq!(machine.run("docker info -f '{{.Driver}} {{.CgroupVersion}}'").await, "overlay2 2");
    // There may be no registry to pull from: the image is made of what the machine runs on.
    let import = "set -e; d=$(mktemp -d); for f in /bin/echo /bin/cat; do for l in $f $(ldd $f | \
        grep -o '/[^ ]*'); do \
                  mkdir -p $d$(dirname $l); cp $l $d$l; done; done; tar -C $d -c . | docker import \
        - tiny";
    machine.run(import).await;
    let began = Instant::now();
    assert_eq!(machine.run("docker run --rm tiny /bin/echo hello").await, "hello");
    println!("docker run took {:?}", began.elapsed());

    // Taken away under a running docker, and given to another machine after its last sync.
    machine.run("sync").await;
    timeout(Duration::from_secs(10), rig.cloud.detach(6))
        .await
        .expect(
            "detaching does not \
        hang",
        )
        .unwrap();
    let second = rig.boot(2).await;
    rig.cloud.attach(6, 2).await.unwrap();
    second.run("systemctl stop docker docker.socket").await;
    second.run(&mount).await;
    second.run("systemctl start docker").await;
    assert_eq!(second.run("docker run --rm tiny /bin/echo again").await, "again");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_local_clouds_stand_side_by_side() {
    if passed_over() {
        return;
    }
    let (first, second) = tokio::join!(Rig::start(), Rig::start());
    assert_ne!(first.place(), second.place());
    let (one, two) = tokio::join!(first.boot(1), second.boot(1));
    assert_ne!(one.address, two.address);
    let hostname = "curl -sS -m 5 http://169.254.169.254/hetzner/v1/metadata/public-ipv4";
    assert_eq!(one.run(hostname).await, one.address.to_string());
    assert_eq!(two.run(hostname).await, two.address.to_string());

    assert!(clean().await.is_ok());
    first.end().await;
    assert_eq!(
        two.run("echo alive").await,
        "alive",
        "neither a cleaning nor the other's end \
        touches it"
    );
    second.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_used_by_one_local_cloud_at_a_time_and_found_again_by_the_next() {
    if passed_over() {
        return;
    }
    let mut rig = Rig::start().await;
    let machine = rig.boot(3).await;
    rig.cloud.create_volume(9, 10, Some(Format::Ext4)).await.unwrap();
    rig.cloud.attach(9, 3).await.unwrap();
    machine
        .run(&format!(
            "mount {LINK}9 /mnt && echo kept > /mnt/file && echo kept > \
        /root/file"
        ))
        .await;
    let refused = Nspawn::start(&rig.state(), 0, Sshd::Socket).await.unwrap_err();
    assert!(refused.to_string().contains("another local cloud uses it"), "{refused}");

    rig.again().await;
    rig.cloud.start(3).await.unwrap();
    let machine = rig.machine(3);
    machine.answers().await;
    let told = machine.run(&format!("cat /root/file; mount {LINK}9 /mnt && cat /mnt/file")).await;
    assert_eq!(told, "kept\nkept", "the end of a local cloud is no power cut");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_killed_local_cloud_after_cleaning() {
    if passed_over() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut victim = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_local_cloud_to_be_killed", "--ignored", "--nocapture"])
        .env("VICTIM_FOLDER", directory.path())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ready = directory.path().join("ready");
    until("the victim is up", async || ready.exists()).await;
    let place = std::fs::read_to_string(&ready).unwrap().parse().unwrap();
    let state = directory.path().join("state").canonicalize().unwrap();
    let before = left_on_host(place, &state);
    for kind in ["loop", "link", "table", "control group", "process", "mount"] {
        assert!(before.iter().any(|line| line.starts_with(kind)), "no {kind} in {before:?}");
    }

    victim.kill().await.unwrap();
    let began = Instant::now();
    until("machines and loop devices go by themselves", async || {
        left_on_host(place, &state).iter().all(|line| {
            ["link: ", "table: ", "control group: "].iter().any(|kind| line.starts_with(kind))
        })
    })
    .await;
    println!("all but link, table and control group gone {:?} after kill -9", began.elapsed());
    let report = clean().await.unwrap();
    println!("cleaned: {report}");
    // Unless a local cloud of another test took the place, and cleaned it, in between.
    until("the place is empty or taken", async || {
        let left = left_on_host(place, &state);
        left.is_empty() || report.links.is_empty()
    })
    .await;
}

/// Run by the test above, in a process of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "only to be killed"]
async fn a_local_cloud_to_be_killed() {
    let Some(directory) = std::env::var_os("VICTIM_FOLDER").map(std::path::PathBuf::from) else {
        return;
    };
    let rig = Rig::start_in(&directory).await;
    rig.cloud.create_volume(1, 10, Some(Format::Ext4)).await.unwrap();
    let machine = rig.boot(1).await;
    rig.cloud.attach(1, 1).await.unwrap();
    machine.run(&format!("mount {LINK}1 /mnt")).await;
    std::fs::write(directory.join("ready.new"), rig.place().to_string()).unwrap();
    std::fs::rename(directory.join("ready.new"), directory.join("ready")).unwrap();
    std::future::pending::<()>().await;
}
