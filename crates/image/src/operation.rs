//! What a build asks of the cloud; errors name it.

use std::fmt;

/// A request to the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read the price list.
    ReadPrices,
    /// List server types.
    ListServerTypes,
    /// List servers.
    ListServers,
    /// Read one server.
    ReadServer,
    /// Find the server of an earlier build.
    FindServer,
    /// Create a server.
    CreateServer,
    /// Overwrite the disk of a server with an image.
    RebuildServer,
    /// Boot the rescue system next.
    EnableRescue,
    /// Power a server on.
    StartServer,
    /// Power a server off.
    PowerOffServer,
    /// Delete a server.
    DeleteServer,
    /// List images.
    ListImages,
    /// Read one image.
    ReadImage,
    /// Delete an image.
    DeleteImage,
    /// Delete a snapshot that is not complete.
    DeleteUnfinishedSnapshot,
    /// Make a snapshot.
    CreateSnapshot,
    /// Read one snapshot.
    ReadSnapshot,
    /// List firewalls.
    ListFirewalls,
    /// Find the firewall of an earlier build.
    FindFirewall,
    /// Create a firewall.
    CreateFirewall,
    /// Set the rules of a firewall.
    SetFirewallRules,
    /// Apply a firewall to a server.
    ApplyFirewall,
    /// Delete a firewall.
    DeleteFirewall,
    /// List SSH keys.
    ListSshKeys,
    /// Find the key of an earlier build.
    FindSshKey,
    /// Store the key of this build.
    StoreSshKey,
    /// Delete an SSH key.
    DeleteSshKey,
}

impl fmt::Display for Operation {
    /// A verb and its object, which follow "could not".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::ReadPrices => "report its prices",
            Operation::ListServerTypes => "list the server types",
            Operation::ListServers => "list the servers",
            Operation::ReadServer => "show the server",
            Operation::FindServer => "look for a server",
            Operation::CreateServer => "create the server",
            Operation::RebuildServer => "rebuild the server",
            Operation::EnableRescue => "enable the rescue system",
            Operation::StartServer => "start the server",
            Operation::PowerOffServer => "power the server off",
            Operation::DeleteServer => "delete the server",
            Operation::ListImages => "list the images",
            Operation::ReadImage => "show the image",
            Operation::DeleteImage => "delete the image",
            Operation::DeleteUnfinishedSnapshot => "delete the unfinished snapshot",
            Operation::CreateSnapshot => "make the snapshot",
            Operation::ReadSnapshot => "show the snapshot",
            Operation::ListFirewalls => "list the firewalls",
            Operation::FindFirewall => "look for a firewall",
            Operation::CreateFirewall => "create the firewall",
            Operation::SetFirewallRules => "set the firewall's rules",
            Operation::ApplyFirewall => "apply the firewall",
            Operation::DeleteFirewall => "delete the firewall",
            Operation::ListSshKeys => "list the SSH keys",
            Operation::FindSshKey => "look for an old key",
            Operation::StoreSshKey => "store the key",
            Operation::DeleteSshKey => "delete the SSH key",
        })
    }
}
