//! All kinds of resources of a project, as methods of its client.

use crate::client::Client;
use crate::error::Result;
use crate::firewall::Firewalls;
use crate::image::Images;
use crate::location::Locations;
use crate::pricing::Pricing;
use crate::primary_ip::PrimaryIps;
use crate::resource::Resources;
use crate::server::Servers;
use crate::server_type::ServerTypes;
use crate::ssh_key::SshKeys;
use crate::volume::Volumes;

impl Client {
    /// Servers.
    pub fn servers(&self) -> Servers {
        Resources::new(self)
    }

    /// Volumes.
    pub fn volumes(&self) -> Volumes {
        Resources::new(self)
    }

    /// SSH keys.
    pub fn ssh_keys(&self) -> SshKeys {
        Resources::new(self)
    }

    /// Images.
    pub fn images(&self) -> Images {
        Resources::new(self)
    }

    /// Firewalls.
    pub fn firewalls(&self) -> Firewalls {
        Resources::new(self)
    }

    /// Primary IPs.
    pub fn primary_ips(&self) -> PrimaryIps {
        Resources::new(self)
    }

    /// Server types.
    pub fn server_types(&self) -> ServerTypes {
        Resources::new(self)
    }

    /// Locations.
    pub fn locations(&self) -> Locations {
        Resources::new(self)
    }

    /// The price list.
    pub async fn pricing(&self) -> Result<Pricing> {
        self.read("/pricing".into(), "pricing").await
    }
}
