//! What dockbridge asks of the cloud, and of the agent on a machine; errors name it.

use std::fmt;

/// A request to the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read the price list.
    ReadPrices,
    /// List server types.
    ListServerTypes,
    /// List images.
    ListImages,
    /// List servers.
    ListServers,
    /// Read one server.
    ReadServer,
    /// List the actions that run on a server.
    ListServerActions,
    /// Create a server.
    CreateServer,
    /// Power a server on.
    StartServer,
    /// Ask the system of a server to power off.
    ShutDownServer,
    /// Change the labels of a server.
    LabelServer,
    /// Delete a server.
    DeleteServer,
    /// List volumes.
    ListVolumes,
    /// Read one volume.
    ReadVolume,
    /// List the actions of a volume.
    ListVolumeActions,
    /// Create a volume.
    CreateVolume,
    /// Attach a volume to a server.
    AttachVolume,
    /// Make a volume larger.
    GrowVolume,
    /// Delete a volume.
    DeleteVolume,
    /// Delete a volume that was created a moment ago and never used.
    DeleteFreshVolume,
    /// List firewalls.
    ListFirewalls,
    /// Create a firewall.
    CreateFirewall,
    /// Delete a firewall.
    DeleteFirewall,
    /// List SSH keys.
    ListSshKeys,
    /// Store this computer's login key.
    StoreLoginKey,
    /// Delete an SSH key.
    DeleteSshKey,
    /// List primary IPs.
    ListPrimaryIps,
    /// Read one primary IP.
    ReadPrimaryIp,
    /// Change the labels of a primary IP.
    LabelPrimaryIp,
    /// Delete a primary IP.
    DeletePrimaryIp,
}

impl fmt::Display for Operation {
    /// A verb and its object, which follow "could not".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::ReadPrices => "report its prices",
            Operation::ListServerTypes => "list the server types",
            Operation::ListImages => "list the images",
            Operation::ListServers => "list the servers",
            Operation::ReadServer => "show the server",
            Operation::ListServerActions => "list the actions of the server",
            Operation::CreateServer => "create the server",
            Operation::StartServer => "start the server",
            Operation::ShutDownServer => "shut the server down",
            Operation::LabelServer => "label the server",
            Operation::DeleteServer => "delete the server",
            Operation::ListVolumes => "list the volumes",
            Operation::ReadVolume => "show the volume",
            Operation::ListVolumeActions => "list the actions of the volume",
            Operation::CreateVolume => "create the volume",
            Operation::AttachVolume => "attach the volume",
            Operation::GrowVolume => "grow the volume",
            Operation::DeleteVolume => "delete the volume",
            Operation::DeleteFreshVolume => "delete the unused new volume",
            Operation::ListFirewalls => "list the firewalls",
            Operation::CreateFirewall => "create the firewall",
            Operation::DeleteFirewall => "delete the firewall",
            Operation::ListSshKeys => "list the SSH keys",
            Operation::StoreLoginKey => "store the login key",
            Operation::DeleteSshKey => "delete the SSH key",
            Operation::ListPrimaryIps => "list the primary IPs",
            Operation::ReadPrimaryIp => "show the primary IP",
            Operation::LabelPrimaryIp => "label the primary IP",
            Operation::DeletePrimaryIp => "delete the primary IP",
        })
    }
}

/// A request to the agent, or a command run in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentTask {
    /// Count the lease from this client's first heartbeat.
    TakeOverLease,
    /// Remember what to do when the lease ends.
    TakeOverSelfDestruct,
    /// Renew the lease.
    RenewLease,
    /// Report whether docker is ready.
    ReportDocker,
    /// Make a host key.
    MakeHostKey,
    /// Replace the host key.
    ReplaceHostKey,
    /// Add another computer's login key.
    AddLoginKey,
    /// Remove a former login key of this computer.
    RemoveLoginKey,
}

impl fmt::Display for AgentTask {
    /// A verb and its object, which follow "could not".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AgentTask::TakeOverLease => "take over the lease",
            AgentTask::TakeOverSelfDestruct => "take over the end of the lease",
            AgentTask::RenewLease => "renew the lease",
            AgentTask::ReportDocker => "report whether docker is ready",
            AgentTask::MakeHostKey => "make a host key",
            AgentTask::ReplaceHostKey => "replace its host key",
            AgentTask::AddLoginKey => "add a login key",
            AgentTask::RemoveLoginKey => "remove a login key",
        })
    }
}
