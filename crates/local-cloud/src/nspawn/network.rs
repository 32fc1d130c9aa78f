//! The link between this host and its machines: one bridge per local cloud, with the gateway's
//! address and the metadata service's. The bridge isolates the machines from each other; the host
//! routes their traffic, where the firewall filters it (not every kernel tracks connections on a
//! bridge).

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use super::claim::Slot;
use super::tool::{During, failure, run};
use crate::hypervisor::Failure;

/// Address of the metadata service in every machine.
pub(super) const METADATA: &str = "169.254.169.254";
/// The same for IPv6, which cloud-init asks first since 26.1.
pub(super) const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe);

/// A machine's connection to the bridge.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// The host's end.
    pub(super) name: String,
    /// Hardware address of the machine's end.
    pub(super) mac: [u8; 6],
}

/// Makes the bridge.
pub(super) async fn make(slot: Slot) -> Result<(), Failure> {
    let (bridge, gateway) = (slot.bridge(), format!("{}/24", slot.gateway()));
    let metadata = format!("{METADATA}/32");
    let what = "make the machines' network";
    run(what, "ip", &["link", "add", &bridge, "address", &mac_of(slot), "type", "bridge"]).await?;
    for address in [&gateway, &metadata] {
        run(what, "ip", &["address", "add", address, "dev", &bridge]).await?;
    }
    // Only for packets from the machines; the host itself does not become a router.
    std::fs::write(format!("/proc/sys/net/ipv4/conf/{bridge}/forwarding"), "1").during(what)?;
    run(what, "ip", &["link", "set", &bridge, "up"]).await?;
    if let Some(switch) = ipv6_switch(slot) {
        std::fs::write(switch, "0").during(what)?;
        run(what, "ip", &["address", "add", &format!("{METADATA_V6}/64"), "dev", &bridge, "nodad"])
            .await?;
    }
    Ok(())
}

/// Hardware address of the bridge. A bridge without one of its own takes the lowest of its ports'
/// and changes it as machines come and go: for half a minute neighbors then send to one that is no
/// more.
fn mac_of(slot: Slot) -> String {
    let [a, b, c, d] = slot.gateway().octets();
    // Locally administered.
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// The file that switches IPv6 on the bridge, if the kernel has IPv6.
fn ipv6_switch(slot: Slot) -> Option<PathBuf> {
    let switch = PathBuf::from(format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", slot.bridge()));
    switch.exists().then_some(switch)
}

/// The interface number for link-local addresses on the bridge; `None` if the kernel has no IPv6.
pub(super) fn scope(slot: Slot) -> Option<u32> {
    ipv6_switch(slot)?;
    let index =
        std::fs::read_to_string(format!("/sys/class/net/{}/ifindex", slot.bridge())).ok()?;
    index.trim().parse().ok()
}

/// Removes the bridge, and links of dead machines that the kernel has not removed yet.
pub(super) async fn remove(slot: Slot) -> Result<(), Failure> {
    for link in links() {
        if link.starts_with(&format!("vb-{}", slot.machine_prefix())) {
            unlink(&link).await;
        }
    }
    if !exists(slot) {
        return Ok(());
    }
    run("remove the machines' network", "ip", &["link", "delete", &slot.bridge()]).await.map(drop)
}

/// Whether the bridge exists.
pub(super) fn exists(slot: Slot) -> bool {
    Path::new("/sys/class/net").join(slot.bridge()).exists()
}

/// Slots whose bridge exists.
pub(super) fn slots() -> Vec<Slot> {
    links().iter().filter_map(|link| Slot::of(link, "dbcloud")).collect()
}

/// Keeps a machine from talking to its neighbors without the host.
pub(super) async fn isolate(init: i32) -> Result<Link, Failure> {
    let what = "connect the machine";
    // The machine's own sysfs: its end of the pair names the other end by index.
    let own = |file: &str| {
        std::fs::read_to_string(format!("/proc/{init}/root/sys/class/net/host0/{file}"))
            .during(what)
    };
    let peer = own("iflink")?;
    let mac = own("address")?;
    let mac = parse_mac(mac.trim())
        .ok_or_else(|| failure(what, format!("not a hardware address: {mac}")))?;
    let index = |link: &str| {
        std::fs::read_to_string(format!("/sys/class/net/{link}/ifindex")).unwrap_or_default()
    };
    let name = links()
        .into_iter()
        .find(|link| index(link) == peer)
        .ok_or_else(|| failure(what, "its link is not on this host"))?;
    run(what, "bridge", &["link", "set", "dev", &name, "isolated", "on"]).await?;
    Ok(Link { name, mac })
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Vec<u8> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>().ok()?;
    bytes.try_into().ok()
}

/// The link-local address that a machine gives itself (RFC 4291, appendix A).
pub(super) fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let id = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from((0xfe80_u128 << 112) | u128::from(id))
}

/// Removes a machine's link. The kernel does so after the last process, but with a delay, and a
/// machine of the same name may be about to start.
pub(super) async fn unlink(link: &str) {
    // It fails if the kernel was first.
    let _ = run("remove the machine's link", "ip", &["link", "delete", link]).await;
}

fn links() -> Vec<String> {
    let links = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    links.filter_map(|link| link.file_name().into_string().ok()).collect()
}

/// Whether this host forwards other machines' packets, so that local machines reach what the host
/// reaches.
pub(super) fn host_routes() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_address_is_made_of_the_hardware_address() {
        let mac = parse_mac("52:54:00:12:34:56").unwrap();
        assert_eq!(link_local(mac).to_string(), "fe80::5054:ff:fe12:3456");
        assert_eq!(parse_mac("52:54:00:12:34"), None);
        assert_eq!(parse_mac("52:54:00:12:34:zz"), None);
    }
}
