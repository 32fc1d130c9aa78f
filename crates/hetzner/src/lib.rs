//! A typed client of the [Hetzner Cloud API](https://docs.hetzner.cloud).
//!
//! It is responsible for the wire: resources, paging, actions, errors, the rate budget, and retries
//! that are safe. It does not know what the resources are for: no names, labels or plans. Values
//! that the API may add later never break a list: enums keep unknown words, and unknown fields are
//! ignored.
//!
//! ```no_run
//! # use dockbridge_hetzner as hetzner;
//! # async fn example() -> hetzner::Result<()> {
//! let endpoint = hetzner::DEFAULT_ENDPOINT.parse().expect("a valid address");
//! let client = hetzner::Client::new(endpoint, "token".into())?;
//! for server in client.servers().list(&hetzner::Query::labels("managed-by=dockbridge")).await? {
//!     if let Some(action) = client.servers().delete(server.id).await? {
//!         client.wait(vec![action]).await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

#[macro_use]
mod open_enum;

mod action;
mod architecture;
mod audit;
mod breaker;
mod budget;
mod calls;
mod client;
mod creation;
mod date;
mod error;
mod exchange;
mod firewall;
mod image;
mod location;
mod pricing;
mod primary_ip;
mod query;
mod reply;
mod resource;
mod resources;
mod retry;
mod server;
mod server_type;
mod ssh_key;
mod volume;

pub use action::{Action, ActionError, ActionResource, ActionStatus};
pub use architecture::{Architecture, CpuType};
pub use audit::{Change, ChangeResult, Listener};
pub use budget::RateLimit;
pub use calls::ApiUse;
pub use client::{Client, Config, DEFAULT_ENDPOINT, ENDPOINT_VARIABLE, TOKEN_VARIABLE};
pub use error::{ApiError, Code, Error, RequestLine, Result};
pub use firewall::{
    CreatedFirewall, Direction, Firewall, FirewallRule, FirewallTarget, Firewalls, LabelSelector,
    NewFirewall, Protocol, ServerReference, TargetKind,
};
pub use image::{Image, ImageProtection, ImageStatus, Images};
pub use location::{Location, Locations};
pub use pricing::{
    Amount, BackupPricing, IpPrice, IpPricing, LocationPrice, PerGigabyte, Price, Pricing,
    ServerTypePricing,
};
pub use primary_ip::{PrimaryIp, PrimaryIps};
pub use query::{ImageType, Labels, Query};
pub use resource::{Resource, Resources};
pub use server::{
    AppliedFirewall, CreatedImage, CreatedServer, Ipv4, Ipv6, NewPublicNet, NewServer, PublicNet,
    Server, ServerProtection, ServerStatus, Servers,
};
pub use server_type::{Deprecation, ServerType, ServerTypeLocation, ServerTypes};
pub use ssh_key::{SshKey, SshKeys};
pub use volume::{
    CreatedVolume, NewVolume, Volume, VolumeFormat, VolumeProtection, VolumeStatus, Volumes,
};
