//! A typed client of the [Hetzner Cloud API](https://docs.hetzner.cloud).
//!
//! It answers for the wire: resources, paging, actions, errors, the rate budget, and repeating what
//! is safe to repeat. It knows nothing of what the resources are for: no names, labels or plans of
//! its own. Values that the API may add later never break a list: enums keep the unknown word,
//! unknown fields are passed over.
//!
//! ```no_run
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
mod audit;
mod breaker;
mod budget;
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
mod resource;
mod retry;
mod server;
mod server_type;
mod ssh_key;
mod volume;

pub use action::{Action, ActionError, ActionResource, ActionStatus};
pub use audit::{Change, ChangeResult, Listener};
pub use budget::RateLimit;
pub use client::{Client, Config, DEFAULT_ENDPOINT, ENDPOINT_VARIABLE, TOKEN_VARIABLE};
pub use error::{ApiError, Code, Error, Operation, Result};
pub use firewall::{
    CreatedFirewall, Direction, Firewall, FirewallRule, FirewallTarget, Firewalls, LabelSelector,
    NewFirewall, Protocol, ServerReference, TargetKind,
};
pub use image::{Image, ImageProtection, ImageStatus, ImageType, Images};
pub use location::{Location, Locations};
pub use pricing::{
    Amount, BackupPricing, IpPrice, IpPricing, LocationPrice, PerGigabyte, Price, Pricing,
    ServerTypePricing,
};
pub use primary_ip::{PrimaryIp, PrimaryIps};
pub use resource::{Labels, Query, Resource, Resources};
pub use server::{
    AppliedFirewall, CreatedImage, CreatedServer, Ipv4, Ipv6, NewPublicNet, NewServer, PublicNet,
    Server, ServerProtection, ServerStatus, Servers,
};
pub use server_type::{
    Architecture, CpuType, Deprecation, ServerType, ServerTypeLocation, ServerTypes,
};
pub use ssh_key::{SshKey, SshKeys};
pub use volume::{
    CreatedVolume, NewVolume, Volume, VolumeFormat, VolumeProtection, VolumeStatus, Volumes,
};
