//! The routes to a remote engine that are compared.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A route. The names are those of the command line and of stored results.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// dockbridge's gateway, tunnel and agent
    Dockbridge,
    /// `DOCKER_HOST=ssh://`
    Ssh,
    /// `DOCKER_HOST=ssh://` with `ControlMaster`
    SshMaster,
    /// `ssh -L`, OpenSSH's first cipher
    Forward,
    /// `ssh -L` with aes128-gcm
    ForwardGcm,
    /// `ssh -C -L`
    ForwardZlib,
    /// TCP without any protection
    Tcp,
    /// Another revision of dockbridge (`--against`)
    Against,
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl Route {
    /// All of them, in the order of the table.
    pub const ALL: [Route; 8] = [
        Route::Dockbridge,
        Route::Against,
        Route::Ssh,
        Route::SshMaster,
        Route::Forward,
        Route::ForwardGcm,
        Route::ForwardZlib,
        Route::Tcp,
    ];

    /// Its name in the table.
    pub fn title(self) -> &'static str {
        match self {
            Route::Dockbridge => "dockbridge",
            Route::Ssh => "ssh://",
            Route::SshMaster => "ssh:// + ControlMaster",
            Route::Forward => "ssh -L",
            Route::ForwardGcm => "ssh -L aes128-gcm",
            Route::ForwardZlib => "ssh -C -L",
            Route::Tcp => "raw TCP",
            Route::Against => "other revision",
        }
    }

    /// Whether each connection is a process, and with it an SSH session.
    pub fn opens_by_login(self) -> bool {
        matches!(self, Route::Ssh | Route::SshMaster)
    }

    /// Whether ports of the machine answer on this computer.
    pub fn forwards(self) -> bool {
        match self {
            Route::Dockbridge | Route::Against => true,
            Route::Forward | Route::ForwardGcm | Route::ForwardZlib => true,
            Route::Ssh | Route::SshMaster | Route::Tcp => false,
        }
    }

    /// Whether the bytes are encrypted: dockbridge is compared with such routes where encryption
    /// costs processor time.
    pub fn is_protected(self) -> bool {
        self != Route::Tcp
    }

    /// Whether dockbridge carries it, in whatever revision.
    pub fn is_dockbridge(self) -> bool {
        matches!(self, Route::Dockbridge | Route::Against)
    }
}
