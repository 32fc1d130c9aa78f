//! Real machines on this host: Debian with systemd, cloud-init, sshd and dockerd in systemd-nspawn,
//! volumes as loop devices, firewalls in nftables.
//!
//! Everything disappears by itself when this process dies, even by `kill -9`: machines are bound
//! to it and take their mounts and links with them, loop devices go with their last user. What
//! stays is a bridge, an nft table, empty control groups and the format of emulated programs;
//! [`clean`] removes those, and so does the next local cloud that claims the same slot.
//!
//! A server's disk is a directory below an overlay. A rescue system sees an empty block device
//! instead. From then on the server's disk is what the rescue system wrote to it, for snapshots
//! and for the next boot: a Linux file system is mounted and booted, anything else runs without
//! answering, as without a boot loader.
//!
//! As at Hetzner, and unlike a usual container: nothing below `/run` may execute, `ssh.socket`
//! starts sshd, the address is leased by DHCP, the metadata service answers over IPv4 and IPv6,
//! and entries of `/etc/fstab` are mounted when their volume appears.
//!
//! Unlike at Hetzner: a machine shares this host's kernel (no modules of its own, `/proc/meminfo`
//! and the processors are the host's), its memory and processors are not limited, it is no
//! security boundary (its root can do much to this host), and it reaches the internet only if this
//! host forwards packets. It has no udevd; the link by id of a volume is made from outside. A udev
//! rule would fail: the kernel reports each loop device of this host to every machine, under its
//! own name `loopN`, so the rule would link all volumes in all machines, most of them to missing
//! nodes.

mod apt;
pub mod base;
mod cgroup;
mod claim;
mod cleanup;
mod debian;
mod derived;
mod device;
mod dhcp;
mod disk;
mod effects;
mod emulation;
mod firewall;
mod greeter;
mod initramfs;
mod machine;
mod machines;
mod metadata;
mod network;
mod power;
pub mod programs;
mod raw_disk;
mod rescue;
mod seed;
mod server;
mod sshd;
mod state_directory;
mod tool;
mod usage;
mod volume;

pub use self::cleanup::{CleanReport, clean};
pub use self::emulation::check_arm64;
pub use self::machines::Nspawn;
pub use self::programs::check_host;
