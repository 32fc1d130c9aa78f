//! Which numbers a machine's engine chooses for published ports. The ports of all machines meet on the user's computer, so that each machine has a window of its own.
//!
//! A window is claimed by a file in a directory that all profiles of a user share. What is lost there costs no more than two machines with one window.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::identity::Identity;

/// An engine on the user's computer counts upwards from 32768, and reaches this after a thousand ports.
const FIRST: u16 = 34_000;
/// Ports that one machine publishes at once under numbers of the engine's choice.
const SIZE: u16 = 1_000;
/// All windows end below 60999, the end of the kernel's default range (ip-sysctl).
const COUNT: u16 = 26;

/// A directory with one file for each window that is taken, which names its profile.
#[derive(Debug, Clone)]
pub struct PortWindows {
    directory: PathBuf,
}

impl PortWindows {
    /// Nothing is made before the first claim.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The window of this profile, the same each time. Without a directory to write to, and when all are taken, it may be another profile's, too.
    pub(crate) fn claim(&self, identity: &Identity) -> RangeInclusive<u16> {
        let first = preferred(identity);
        let number = claimed(&self.directory, first, &identity.profile.to_string()).unwrap_or_else(|error| {
            tracing::warn!(directory = %self.directory.display(), %error, "no window of ports can be claimed for the machine");
            None
        });
        range(number.unwrap_or(first))
    }
}

fn range(number: u16) -> RangeInclusive<u16> {
    let from = FIRST + number * SIZE;
    from..=from + (SIZE - 1)
}

/// Where the search begins: users and homes that do not know of each other are unlikely to begin alike.
fn preferred(identity: &Identity) -> u16 {
    let digest = Sha256::digest(format!("{} {}", identity.owner, identity.profile));
    u16::from_be_bytes([digest[0], digest[1]]) % COUNT
}

/// `None` when all windows are other profiles'.
fn claimed(directory: &Path, first: u16, profile: &str) -> io::Result<Option<u16>> {
    fs::create_dir_all(directory)?;
    let is_own = |number: &u16| fs::read_to_string(directory.join(number.to_string())).is_ok_and(|owner| owner == profile);
    if let Some(number) = (0..COUNT).find(is_own) {
        return Ok(Some(number));
    }
    // With its content at once, or two profiles could take a window that is half claimed.
    let claim = directory.join(format!(".{profile}.{}", std::process::id()));
    fs::write(&claim, profile)?;
    let linked = link_first(&claim, directory, first);
    fs::remove_file(&claim)?;
    linked
}

fn link_first(claim: &Path, directory: &Path, first: u16) -> io::Result<Option<u16>> {
    for number in (first..COUNT).chain(0..first) {
        match fs::hard_link(claim, directory.join(number.to_string())) {
            Ok(()) => return Ok(Some(number)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::identity::{Owner, Profile};

    fn identity(owner: &Owner, profile: &str) -> Identity {
        Identity { profile: Profile::parse(profile).unwrap(), owner: owner.clone() }
    }

    #[test]
    fn windows_lie_in_the_kernels_range_and_apart() {
        let ports: BTreeSet<u16> = (0..COUNT).flat_map(range).collect();
        assert_eq!(ports.len(), usize::from(SIZE) * usize::from(COUNT));
        assert!(ports.first() > Some(&32_768) && ports.last() < Some(&60_999));
    }

    #[test]
    fn profiles_that_claim_at_once_have_windows_of_their_own_and_keep_them() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::random();
        let claim = |number: u16| PortWindows::new(folder.path().join("windows")).claim(&identity(&owner, &format!("p{number}")));
        let claims = || -> Vec<_> {
            std::thread::scope(|scope| {
                let claims: Vec<_> = (0..COUNT).map(|number| scope.spawn(move || claim(number))).collect();
                claims.into_iter().map(|claim| claim.join().unwrap()).collect()
            })
        };
        let first = claims();
        let apart: BTreeSet<u16> = first.iter().map(|window| *window.start()).collect();
        assert_eq!(apart.len(), usize::from(COUNT));
        assert_eq!(claims(), first);
        // One more shares.
        assert!(apart.contains(claim(COUNT).start()));
    }

    #[test]
    fn a_machine_is_made_although_no_window_can_be_claimed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let me = identity(&Owner::random(), "default");
        assert_eq!(PortWindows::new(file).claim(&me), range(preferred(&me)));
    }
}
