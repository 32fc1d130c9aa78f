//! Which numbers a machine's engine chooses for published ports. The ports of all machines meet on
//! the user's computer, so that each machine has a window of its own.
//!
//! A window is claimed by a file in the home's state directory, for as long as the home is there,
//! and held against other homes by a socket, for as long as the daemon runs. What is lost of that
//! costs no more than two machines with one window.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::identity::Identity;

/// Behind the numbers that kernels choose for connections (32768 to 60999 by default, ip-sysctl),
/// where an engine on the user's computer begins to count, too: a connection of any program would
/// keep a listener from the number.
const FIRST: u16 = 62_000;
/// Ports that one machine publishes at once under numbers of the engine's choice, and one for the
/// window's holder.
const SIZE: u16 = 500;
/// As many as there is room for.
const COUNT: u16 = 7;

/// A directory with one file for each window that is taken, which names its profile.
#[derive(Debug, Clone)]
pub struct PortWindows {
    directory: PathBuf,
    /// The window that this process holds, by a socket on the port behind it.
    held: Arc<Mutex<Option<(u16, UdpSocket)>>>,
}

impl PortWindows {
    /// Nothing is made before the first claim.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, held: Arc::default() }
    }

    /// The window of this profile: the same each time, unless another home has taken it meanwhile.
    /// Without a directory to write to, and when all are taken, it may be another profile's, too.
    pub(crate) fn claim(&self, identity: &Identity) -> RangeInclusive<u16> {
        let first = preferred(identity);
        let number = self.claimed(first, &identity.profile.to_string()).unwrap_or_else(|error| {
            tracing::warn!(directory = %self.directory.display(), %error, "no window of ports can be claimed for the machine");
            None
        });
        range(number.unwrap_or(first))
    }

    /// `None` when all windows are others'.
    fn claimed(&self, first: u16, profile: &str) -> io::Result<Option<u16>> {
        fs::create_dir_all(&self.directory)?;
        let file = |number: u16| self.directory.join(number.to_string());
        let is_own =
            |number: &u16| fs::read_to_string(file(*number)).is_ok_and(|owner| owner == profile);
        let own = (0..COUNT).find(is_own);
        if let Some(number) = own.filter(|number| self.hold(*number)) {
            return Ok(Some(number));
        }
        // With its content at once, or two profiles could take a window that is half claimed.
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

    /// Whether this process holds the window now: homes know nothing of each other's files.
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

/// Where the search begins: users and homes that do not know of each other are unlikely to begin
/// alike.
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
    fn windows_lie_behind_the_kernels_range_and_apart() {
        let ports: BTreeSet<u16> = (0..COUNT).flat_map(range).collect();
        assert_eq!(ports.len(), usize::from(SIZE - 1) * usize::from(COUNT));
        assert!(ports.first() > Some(&60_999));
    }

    #[test]
    fn profiles_that_claim_at_once_have_windows_of_their_own_and_keep_them() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::random();
        // Other processes of this computer may hold some.
        let windows: Vec<PortWindows> =
            (0..3).map(|_| PortWindows::new(folder.path().join("windows"))).collect();
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
        let files = std::fs::read_dir(folder.path().join("windows")).unwrap().count();
        assert_eq!(files, windows.len(), "nothing else is left");
    }

    #[test]
    fn a_window_that_another_home_holds_is_exchanged_for_another() {
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
    fn a_machine_is_made_although_no_window_can_be_claimed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let me = identity(&Owner::random(), "default");
        assert_eq!(PortWindows::new(file).claim(&me), range(preferred(&me)));
    }
}
