//! The Hetzner Cloud API on one Linux host: stateful, timed, with real machines behind it or none at all.
//!
//! The judges of what is right are Hetzner's published OpenAPI file and third-party clients; this crate knows nothing of our own client and shares
//! no type with it. Three floors: `api` speaks HTTP and decides what is admitted, `state` holds what exists, `work` lets actions take their time and
//! carries them out through a [`hypervisor::Hypervisor`].
//!
//! Beside `/v1` every listener that is reached over the loopback or the machines' bridge answers *pokes*, without a token:
//!
//! | request | what it does |
//! |---|---|
//! | `POST /_local/faults` `{kind, match: {method, path}, times, delay_ms}` | the next `times` matching requests meet the fault |
//! | `DELETE /_local/faults` | no more faults |
//! | `POST /_local/servers/{id}/power_cut` | the plug is pulled without an action; the server is `off` |
//! | `GET /_local/state` | how much of everything exists, and the ids of the servers |
//! | `GET /_local/bill` | what each project's servers and volumes cost, by started hours and the catalogue's net prices |
//!
//! Kinds of faults: `stock_out` (412 on creating a server), `unsupported_location` and `image_gone` (422 there), `unavailable_503`, `server_error` (500), `rate_limit` (429),
//! `locked` (423 on a change), `lost_reply` (the request is carried out, the connection closes without an answer), `slow_attach` (the device appears
//! `delay_ms` after the action's success), `wrong_device` (the same, and until then a blank disk with another serial stands under the volume's name),
//! `action_error` (the actions of the request end in error), `attach_error` (only those that attach a volume) and `action_hang` (the actions begin to
//! move after `delay_ms`). `path` is a prefix of the path, in which `*` stands for one segment. `delay_ms` delays the answer of every other kind.
//!
//! Where it is not like the original: IPv6 networks are from the documentation prefix and lead nowhere, outbound firewall rules are kept but not
//! enforced, a returned root password is not set (nor is the rescue system's: keys let in), metrics are zero, and networks, load balancers, floating IPs, certificates,
//! placement groups and DNS zones do not exist (lists are empty, creating one is an `unsupported_error`). A rescue system sees an empty disk until one has written to it.

mod api;
mod catalogue;
mod cloud;
pub mod hypervisor;
pub mod none;
pub mod nspawn;
mod options;
mod state;
mod work;

pub use cloud::{Cloud, StartError};
pub use nspawn::{CleanReport, clean};
pub use options::{Access, Machines, Options, Pace, Sshd, Token};
