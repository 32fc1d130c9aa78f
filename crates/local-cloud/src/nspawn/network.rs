//! The link between this host and its machines: one bridge per local cloud, with the gateway's address and the metadata service's. Machines cannot talk to
//! each other across the bridge; their traffic is routed by the host, where the firewall stands (the kernel tracks no connections on a bridge everywhere).

use std::path::Path;

use super::claim::Place;
use super::tool::{During, failure, run};
use crate::hypervisor::Failure;

/// Where the metadata service is, in every machine's view.
pub(super) const METADATA: &str = "169.254.169.254";

/// Makes the bridge.
pub(super) async fn make(place: Place) -> Result<(), Failure> {
    let (bridge, gateway) = (place.bridge(), format!("{}/24", place.gateway()));
    let metadata = format!("{METADATA}/32");
    let what = "make the machines' network";
    run(what, "ip", &["link", "add", &bridge, "type", "bridge"]).await?;
    for address in [&gateway, &metadata] {
        run(what, "ip", &["address", "add", address, "dev", &bridge]).await?;
    }
    // Only for packets that come from the machines; the host itself does not become a router.
    std::fs::write(format!("/proc/sys/net/ipv4/conf/{bridge}/forwarding"), "1").during(what)?;
    run(what, "ip", &["link", "set", &bridge, "up"]).await.map(drop)
}

/// Removes the bridge, and links of dead machines that the kernel has not come to yet.
pub(super) async fn remove(place: Place) -> Result<(), Failure> {
    for link in links() {
        if link.starts_with(&format!("vb-{}", place.machine_prefix())) {
            unlink(&link).await;
        }
    }
    if !exists(place) {
        return Ok(());
    }
    run("remove the machines' network", "ip", &["link", "delete", &place.bridge()]).await.map(drop)
}

/// The bridge is there.
pub(super) fn exists(place: Place) -> bool {
    Path::new("/sys/class/net").join(place.bridge()).exists()
}

/// Places whose bridge is there.
pub(super) fn places() -> Vec<Place> {
    links().iter().filter_map(|link| Place::of(link, "dbcloud")).collect()
}

/// Keeps a machine from talking to its neighbours behind the host's back; returns the host's end of its link.
pub(super) async fn isolate(init: i32) -> Result<String, Failure> {
    let what = "connect the machine";
    // The machine's own sysfs: its end of the pair names the other end by index.
    let peer = std::fs::read_to_string(format!("/proc/{init}/root/sys/class/net/host0/iflink")).during(what)?;
    let index = |link: &str| std::fs::read_to_string(format!("/sys/class/net/{link}/ifindex")).unwrap_or_default();
    let link = links().into_iter().find(|link| index(link) == peer).ok_or_else(|| failure(what, "its link is not on this host"))?;
    run(what, "bridge", &["link", "set", "dev", &link, "isolated", "on"]).await?;
    Ok(link)
}

/// Removes a machine's link. The kernel does so with the last process, but takes its time, and a machine of the same name may be about to start.
pub(super) async fn unlink(link: &str) {
    // It fails when the kernel was first.
    let _ = run("remove the machine's link", "ip", &["link", "delete", link]).await;
}

fn links() -> Vec<String> {
    let links = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    links.filter_map(|link| link.file_name().into_string().ok()).collect()
}

/// This host passes other machines' packets on, so that ours can reach what the host reaches.
pub(super) fn host_routes() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}
