//! Servers: boot, metadata, power, firewall, docker.

use std::time::Duration;

use dockbridge_local_cloud::Sshd;
use dockbridge_local_cloud::hypervisor::{Format, Hypervisor, InboundRule};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::rig::{LINK, Rig, passed_over, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_boots_admits_root_by_key_and_runs_its_user_data() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    let user_data = "#cloud-config\nwrite_files: [{path: /root/written, content: by \
     user-data}]\nruncmd: [touch /root/ran]\n";
    let machine = rig.create(1, Some(user_data)).await;
    let began = Instant::now();
    rig.cloud.start(1).await.unwrap();
    println!("start took {:?}", began.elapsed());
    machine.answers().await;
    println!("from start to ssh {:?}", began.elapsed());
    assert_eq!(machine.run("hostname").await, "box-1");
    machine.run_until("test -e /root/ran").await;
    assert_eq!(machine.run("cat /root/written").await, "by user-data");
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
async fn sshd_starts_at_boot_with_that_option() {
    if passed_over() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::start_with(directory.path(), Sshd::Service).await;
    let machine = rig.boot(1).await;
    assert_eq!(machine.run("systemctl is-system-running --wait").await, "running");
    assert_eq!(
        machine.run("systemctl is-active ssh.socket ssh.service; true").await,
        "inactive\nactive"
    );
    machine.run("systemctl reload ssh").await;
    machine.answers().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_service_describes_each_server() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    let quiet = rig.boot(7).await;
    let eight = rig.create(8, Some("#cloud-config\n# for eight\n")).await;
    rig.cloud.start(8).await.unwrap();
    eight.answers().await;

    let get = |path: &str| {
        format!("curl -sS -m 5 -w ' %{{http_code}}' http://169.254.169.254/hetzner/v1/{path}")
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
    // Over IPv6, the hardware address identifies the machine.
    let get_v6 =
        |path: &str| format!("curl -sS -m 5 -g 'http://[fe80::a9fe:a9fe%host0]/hetzner/v1/{path}'");
    assert_eq!(quiet.run(&get_v6("metadata/hostname")).await, "box-7");
    assert_eq!(eight.run(&get_v6("userdata")).await, "#cloud-config\n# for eight");
    assert_eq!(eight.run(&get("userdata")).await, "#cloud-config\n# for eight\n 200");
    let whole = eight.run(&get("metadata")).await;
    assert!(
        whole.contains("instance-id: 8\n")
            && whole.contains("hostname: \"box-8\"\n")
            && whole.contains("ssh-ed25519"),
        "{whole}"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_stops_by_itself_is_reported_and_a_reboot_is_not() {
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
async fn the_firewall_drops_packets_that_no_rule_admits_from_host_and_neighbors() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    let (guarded, neighbor) = tokio::join!(rig.boot(1), rig.boot(2));
    let strangers = "! grep -rsxq 0 --include=cgroup.procs /sys/fs/cgroup";
    guarded.run(strangers).await;
    neighbor.run(strangers).await;
    let serve = "systemd-run -q --collect python3 -m http.server 8080";
    guarded.run(serve).await;
    neighbor.run(serve).await;
    let fetch = |address| format!("curl -sS -o /dev/null -m 3 http://{address}:8080/");
    guarded.run_until(&fetch(neighbor.address)).await;
    neighbor.run_until(&fetch(guarded.address)).await;

    let admit = |port| InboundRule {
        protocol: "tcp".to_owned(),
        ports: Some((port, port)),
        sources: vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
    };
    rig.cloud.set_firewall(1, Some(vec![admit(22)])).await.unwrap();
    let connect = async |port: u16| {
        timeout(Duration::from_millis(700), TcpStream::connect((guarded.address, port))).await
    };
    assert!(connect(8080).await.is_err(), "dropped, so there is no answer");
    assert_eq!(guarded.run("echo in").await, "in");
    assert!(
        !neighbor.ssh(&fetch(guarded.address)).await.status.success(),
        "neighbors are outside, too"
    );
    guarded.run(&fetch(neighbor.address)).await;

    rig.cloud.set_firewall(1, Some(vec![admit(22), admit(8080)])).await.unwrap();
    connect(8080).await.expect("admitted").unwrap();
    rig.cloud.set_firewall(1, Some(Vec::new())).await.unwrap();
    assert!(connect(22).await.is_err(), "without a rule nothing is admitted");
    let nonsense = InboundRule {
        protocol: "tcp".to_owned(),
        ports: None,
        sources: vec!["0.0.0.0/0 accept".to_owned()],
    };
    assert!(rig.cloud.set_firewall(1, Some(vec![nonsense])).await.is_err());
    assert!(connect(22).await.is_err(), "a refused change changes nothing");
    rig.cloud.set_firewall(1, None).await.unwrap();
    connect(22).await.expect("without a firewall all is admitted").unwrap();
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
        "mkdir -p /mnt/v && mount {LINK}6 /mnt/v && mkdir -p /mnt/v/docker && mount --bind \
         /mnt/v/docker /var/lib/docker"
    );
    machine.run(&mount).await;
    machine.run("systemctl start containerd docker").await;
    assert_eq!(machine.run("docker info -f '{{.Driver}} {{.CgroupVersion}}'").await, "overlay2 2");
    // No registry may be reachable: the image is built from the machine's own files.
    let import = "set -e; d=$(mktemp -d); for f in /bin/echo /bin/cat; do for l in $f $(ldd $f | \
     grep -o '/[^ ]*'); do mkdir -p $d$(dirname $l); cp $l $d$l; done; done; tar -C $d -c . | \
     docker import - tiny";
    machine.run(import).await;
    let began = Instant::now();
    assert_eq!(machine.run("docker run --rm tiny /bin/echo hello").await, "hello");
    println!("docker run took {:?}", began.elapsed());

    // Detached from a running docker, and attached to another machine after its last sync.
    machine.run("sync").await;
    timeout(Duration::from_secs(10), rig.cloud.detach(6))
        .await
        .expect("detaching does not hang")
        .unwrap();
    let second = rig.boot(2).await;
    rig.cloud.attach(6, 2).await.unwrap();
    second.run("systemctl stop docker docker.socket").await;
    second.run(&mount).await;
    second.run("systemctl start docker").await;
    assert_eq!(second.run("docker run --rm tiny /bin/echo again").await, "again");
    rig.end().await;
}
