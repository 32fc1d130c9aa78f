//! What differs between the settings of a running daemon and those that were read again, by when
//! the daemon uses it. Pure.

use super::table::{SETTINGS, Setting, Settings};
use super::types::{Applies, Key};

/// The settings that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// They hold at once.
    pub now: Vec<Key>,
    /// They hold for the next machine.
    pub next_wake: Vec<Key>,
    /// They hold once the daemon has started again.
    pub restart: Vec<Key>,
}

impl Settings {
    /// A running daemon takes over what it can use without a restart; the rest stays as it is.
    /// Returns what differed.
    pub fn take_over(&mut self, new: &Self) -> Difference {
        let mut difference = Difference::default();
        for Setting { key, applies, .. } in SETTINGS {
            if self.same(new, *key) {
                continue;
            }
            match applies {
                Applies::Now => difference.now.push(*key),
                Applies::NextWake => difference.next_wake.push(*key),
                Applies::Restart => {
                    difference.restart.push(*key);
                    continue;
                }
            }
            self.copy(new, *key);
        }
        difference
    }
}

/// When a running daemon uses a changed value.
pub fn applies(key: Key) -> Applies {
    let found = SETTINGS.iter().find(|setting| setting.key == key);
    found.map_or(Applies::Restart, |setting| setting.applies)
}

#[cfg(test)]
#[path = "difference/tests.rs"]
mod tests;
