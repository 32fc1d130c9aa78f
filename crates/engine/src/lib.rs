//! A client of the Docker Engine API: the calls and the fields that dockbridge uses, and how the
//! API spells names, booleans and versions.
//!
//! Each call uses a stream of its own, which a [`Connector`] opens. Sizes are limited here, times
//! by the caller. It must not know what carries the bytes, or what an answer means for a machine or
//! for this computer. Requests of the gateway's clients are none of these calls.

#![forbid(unsafe_code)]

mod api_version;
mod boolean;
mod client;
mod connector;
mod container;
mod error;
mod events;
mod exchange;
mod info;
mod name;
mod network;
mod port_map;
mod service;

pub use api_version::{ApiVersion, strip_version};
pub use boolean::is_true;
pub use client::Client;
pub use connector::Connector;
pub use container::{
    ContainerInspect, ContainerSummary, EndpointSettings, HostConfig, NetworkSettings,
    RestartPolicy, State,
};
pub use error::Error;
pub use events::{Actor, Event, Events};
pub use exchange::{Body, request, send};
pub use info::{Info, Version};
pub use name::bare_name;
pub use network::Network;
pub use port_map::{PortBinding, PortMap};
pub use service::{Service, ServicePort};
