//! The settings of published ports.

use std::net::{IpAddr, Ipv4Addr};

use crate::rules::{OnConflict, Rules};

/// The user's settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address of ports that name none. A forward may listen on a non-loopback address only if
    /// this is one.
    pub bind: IpAddr,
    /// What to do when a port is in use here.
    pub on_conflict: OnConflict,
    /// Which published ports appear.
    pub rules: Rules,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::LOCALHOST.into(),
            on_conflict: OnConflict::default(),
            rules: Rules::default(),
        }
    }
}
