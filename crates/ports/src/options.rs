//! The settings of published ports.

use std::net::{IpAddr, Ipv4Addr};

use crate::rules::{OnConflict, Rules};

/// What a person sets.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where ports without an address of their own appear. Only where this is no loopback address
    /// may a forward listen on one that is none.
    pub bind: IpAddr,
    /// What to do when a port is taken here.
    pub on_conflict: OnConflict,
    /// Which ports appear.
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
