//! The port numbers that a machine's engine chooses for published ports. All machines publish on
//! the user's computer, so each machine has a window of its own.
//!
//! A file in the home's state directory claims a window while the home exists. A socket holds it
//! against other homes while the daemon runs. The worst case of a lost claim is two machines with
//! the same window.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::identity::Identity;

/// Above the numbers that kernels choose for connections (32768 to 60999 by default, ip-sysctl),
/// which an engine on the user's computer uses, too: any program's connection would block a
/// listener on the same number.
const FIRST: u16 = 62_000;
/// Ports that one machine can publish at once under numbers of the engine's choice, and one more
/// for the socket that holds the window.
const SIZE: u16 = 500;
/// All windows that fit below 65536.
const COUNT: u16 = 7;

/// A directory with one file for each claimed window. The file contains the profile's name.
#[derive(Debug, Clone)]
pub struct PortWindows {
    directory: PathBuf,
    /// The window that this process holds, with the socket on the port after it.
    held: Arc<Mutex<Option<(u16, UdpSocket)>>>,
}

impl PortWindows {
    /// Creates nothing before the first claim.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, held: Arc::default() }
    }

    /// The window of this profile: the same each time, unless another home has taken it meanwhile.
    /// If the directory is not writable, or all windows are taken, two profiles may share one.
    pub(crate) fn claim(&self, identity: &Identity) -> RangeInclusive<u16> {
        let first = preferred(identity);
        let number = self.claimed(first, &identity.profile.to_string()).unwrap_or_else(|error| {
            let directory = self.directory.display();
            tracing::warn!(%directory, %error, "no window of ports can be claimed for the machine");
            None
        });
        range(number.unwrap_or(first))
    }

    /// `None` if others have claimed all windows.
    fn claimed(&self, first: u16, profile: &str) -> io::Result<Option<u16>> {
        fs::create_dir_all(&self.directory)?;
        let file = |number: u16| self.directory.join(number.to_string());
        let is_own =
            |number: &u16| fs::read_to_string(file(*number)).is_ok_and(|owner| owner == profile);
        let own = (0..COUNT).find(is_own);
        if let Some(number) = own.filter(|number| self.hold(*number)) {
            return Ok(Some(number));
        }
        // The file must have its content from the start, or two profiles could claim one window.
        let claim = self.directory.join(format!(".{profile}.{}", std::process::id()));
        fs::write(&claim, profile)?;
        let linked = self.link_first(&claim, first);
        fs::remove_file(&claim)?;
        let linked = linked?;
        if let (Some(old), Some(_)) = (own, linked) {
            fs::remove_file(file(old))?;
        }
        Ok(linked.or(own))
    }

    fn link_first(&self, claim: &Path, first: u16) -> io::Result<Option<u16>> {
        for number in (first..COUNT).chain(0..first) {
            let file = self.directory.join(number.to_string());
            match fs::hard_link(claim, &file) {
                Ok(()) if self.hold(number) => return Ok(Some(number)),
                Ok(()) => fs::remove_file(file)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether this process holds the window now. Homes do not see each other's files.
    fn hold(&self, number: u16) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|(own, _)| *own == number) {
            return true;
        }
        match UdpSocket::bind((Ipv4Addr::LOCALHOST, range(number).end() + 1)) {
            Ok(socket) => {
                *held = Some((number, socket));
                true
            }
            Err(_) => false,
        }
    }
}

fn range(number: u16) -> RangeInclusive<u16> {
    let from = FIRST + number * SIZE;
    from..=from + (SIZE - 2)
}

/// Where the search starts. Users and homes that do not know of each other rarely start at the same
/// window.
fn preferred(identity: &Identity) -> u16 {
    let digest = Sha256::digest(format!("{} {}", identity.owner, identity.profile));
    u16::from_be_bytes([digest[0], digest[1]]) % COUNT
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
    fn windows_are_above_the_kernels_range_and_do_not_overlap() {
        let ports: BTreeSet<u16> = (0..COUNT).flat_map(range).collect();
        assert_eq!(ports.len(), usize::from(SIZE - 1) * usize::from(COUNT));
        assert!(ports.first() > Some(&60_999));
    }

    #[test]
    fn profiles_that_claim_at_once_get_different_windows_and_keep_them() {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner::random();
        // Other processes of this computer may hold some.
        let windows: Vec<PortWindows> =
            (0..3).map(|_| PortWindows::new(directory.path().join("windows"))).collect();
        let claims = || -> Vec<_> {
            std::thread::scope(|scope| {
                let claim = |(number, windows): (usize, &PortWindows)| {
                    windows.claim(&identity(&owner, &format!("p{number}")))
                };
                let claims: Vec<_> =
                    windows.iter().enumerate().map(|one| scope.spawn(move || claim(one))).collect();
                claims.into_iter().map(|claim| claim.join().unwrap()).collect()
            })
        };
        let first = claims();
        let apart: BTreeSet<u16> = first.iter().map(|window| *window.start()).collect();
        assert_eq!(apart.len(), windows.len());
        assert_eq!(claims(), first);
        let files = std::fs::read_dir(directory.path().join("windows")).unwrap().count();
        assert_eq!(files, windows.len(), "no other file remains");
    }

    #[test]
    fn window_that_another_home_holds_is_exchanged() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let me = identity(&Owner::random(), "default");
        let first = PortWindows::new(one.path().to_owned()).claim(&me);
        // The daemon of the first home has ended, and a second home with the same owner begins its
        // search at the same place.
        let second = PortWindows::new(two.path().to_owned());
        assert_eq!(second.claim(&me), first);
        let again = PortWindows::new(one.path().to_owned()).claim(&me);
        assert_ne!(again, first);
        assert_eq!(std::fs::read_dir(one.path()).unwrap().count(), 1, "one window for one profile");
        assert_eq!(second.claim(&me), first);
    }

    #[test]
    fn machine_gets_a_window_even_if_none_can_be_claimed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let me = identity(&Owner::random(), "default");
        assert_eq!(PortWindows::new(file).claim(&me), range(preferred(&me)));
    }
}
