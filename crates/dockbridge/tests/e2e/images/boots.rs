//! An operating system's image becomes a snapshot; third-party clients see it with its labels and
//! create servers from it, which boot.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hetzner::Query;
use tokio::process::Command;

use super::{LONGEST_PACKING, Site};
use crate::rig::{Ran, pass_over, run, run_within};
use crate::web::Manner;

/// A mark that is written into the built system, and read on the servers created from it.
const MARK: &str = "built here";
/// Bytes of the image: the base system's and some room.
const IMAGE_BYTES: u64 = 2_000_000_000;

#[tokio::test]
async fn a_built_system_is_seen_with_its_labels_and_boots_for_clients_of_others() {
    let Some(site) = Site::new().await else { return pass_over() };
    let image = system_image(&site).await;
    let packed = site.packed(&image, "zst").await;
    let url = site.web.serve("system", &packed, Manner::Good);
    site.build(&["--url", &url, "--name", "own", "--os", "debian", "--version", "13"])
        .await
        .succeeded();
    let snapshots = site.snapshots().await;
    let [snapshot] = snapshots.as_slice() else { panic!("{snapshots:?}") };
    let key = site.path("key");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key);
    run(keygen, "").await.succeeded();

    for (client, address) in [
        ("hcloud", by_cli(&site, snapshot.id, &key).await),
        ("Python", by_python(&site, snapshot.id, &key).await),
    ] {
        let Some(address) = address else { continue };
        let output = async || {
            login(
                &key,
                &address,
                "cat /etc/mark; hostname; findmnt -no FSTYPE /; systemctl is-active docker",
            )
            .await
        };
        site.stage
            .eventually("the server boots what was built", Duration::from_secs(60), async || {
                output().await.status.success()
            })
            .await;
        assert_eq!(
            output().await.stdout,
            format!("{MARK}\nby-{}\next4\nactive\n", client.to_lowercase()),
            "{client}"
        );
    }
    let all = Query::default();
    for server in site.stage.api.servers().list(&all).await.unwrap() {
        site.stage.api.servers().delete(server.id).await.unwrap();
    }
    site.stage.close().await;
}

/// The local cloud's base system on a disk of its own, without a partition table.
async fn system_image(site: &Site) -> PathBuf {
    let base = local_cloud::nspawn::base::status(&local_cloud::nspawn::base::cache());
    assert!(base.ready, "the local cloud made it when it began");
    let (image, mark) = (site.path("image.raw"), site.path("mark"));
    std::fs::write(&mark, format!("{MARK}\n")).unwrap();
    std::fs::File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
    let (image_text, root, mark) = (image.display(), base.root.display(), mark.display());
    let line = format!(
        "mkfs.ext4 -q -F -d {root} {image_text} && debugfs -w -R 'write {mark} /etc/mark' \
         {image_text}"
    );
    let mut command = Command::new("sh");
    command.args(["-c", &line]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    run_within(LONGEST_PACKING, command, "").await.succeeded();
    image
}

/// The address of a server that Debian's `hcloud-cli` creates.
async fn by_cli(site: &Site, image: u64, key: &Path) -> Option<String> {
    if Command::new("hcloud").arg("version").stdout(Stdio::null()).status().await.is_err() {
        testkit::passed_over!("no `hcloud` in PATH");
        return None;
    }
    let hcloud = async |line: &str| run(foreign(site, "hcloud", line.split(' ')), "").await;
    let seen = hcloud(
        "image list -l dockbridge-image=own,os=debian,version=13,arch=x86 -o noheader -o \
         columns=id",
    )
    .await;
    assert_eq!(seen.succeeded().stdout.trim(), image.to_string());
    hcloud(&format!(
        "ssh-key create --name cli --public-key-from-file {}",
        key.with_extension("pub").display()
    ))
    .await
    .succeeded();
    hcloud(&format!(
        "server create --name by-hcloud --type cx23 --location fsn1 --image {image} --ssh-key cli"
    ))
    .await
    .succeeded();
    let address = hcloud("server ip by-hcloud").await;
    Some(address.succeeded().stdout.trim().to_owned())
}

/// The address of a server that the official Python client creates.
async fn by_python(site: &Site, image: u64, key: &Path) -> Option<String> {
    let python = std::env::var("DOCKBRIDGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if Command::new(&python)
        .args(["-c", "import hcloud"])
        .output()
        .await
        .is_ok_and(|output| !output.status.success())
    {
        testkit::passed_over!("no Python that can import hcloud");
        return None;
    }
    let key = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let script = format!(
        "import os\nfrom hcloud import Client\nfrom hcloud.server_types import ServerType\nfrom \
         hcloud.locations import Location\n\
         c = Client(token=os.environ['HCLOUD_TOKEN'], api_endpoint=os.environ['HCLOUD_ENDPOINT'], \
         poll_interval=0.1)\n\
         [image] = c.images.get_all(label_selector='dockbridge-image=own')\n\
         assert image.id == {image} and image.type == 'snapshot' and image.architecture == 'x86', \
         image.id\n\
         wanted = {{'managed-by': 'dockbridge', 'os': 'debian', 'version': '13', 'arch': 'x86'}}\n\
         assert wanted.items() <= image.labels.items(), image.labels\n\
         keys = c.ssh_keys.get_all() or [c.ssh_keys.create('python', '{}')]\n\
         made = c.servers.create('by-python', ServerType('cx23'), image, \
         location=Location('fsn1'), ssh_keys=keys)\n\
         for action in [made.action, *made.next_actions]: action.wait_until_finished()\n\
         print(made.server.public_net.ipv4.ip)\n",
        key.trim()
    );
    let made = run(foreign(site, &python, ["-c", script.as_str()]), "").await;
    Some(made.succeeded().stdout.trim().to_owned())
}

/// A third-party program with the usual configuration of hcloud tools.
fn foreign<'a>(
    site: &Site,
    program: &str,
    arguments: impl IntoIterator<Item = &'a str>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("HOME", site.stage.directory.path());
    command
        .env("HCLOUD_ENDPOINT", site.stage.cloud.endpoint())
        .env("HCLOUD_TOKEN", site.stage.cloud.token());
    command
}

async fn login(key: &Path, address: &str, line: &str) -> Ran {
    let settings = [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=2",
        "IdentitiesOnly=yes",
    ];
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "/dev/null", "-i"])
        .arg(key)
        .args(settings.iter().flat_map(|setting| ["-o", setting]));
    ssh.arg(format!("root@{address}")).arg(line);
    run(ssh, "").await
}
