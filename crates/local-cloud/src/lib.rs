//! The Hetzner Cloud API on one Linux host: with state, realistic timing, and real machines or
//! none.
//!
//! Hetzner's published OpenAPI file and third-party clients decide what is right; this crate knows
//! nothing of dockbridge's client and shares no type with it. Three layers: `api` speaks HTTP and
//! decides what is admitted, `state` holds what exists, `work` times actions and carries them out
//! through a [`hypervisor::Hypervisor`].
//!
//! Besides `/v1`, every listener that is reached over the loopback or the machines' bridge answers
//! *control requests*, without a token:
//!
//! - `POST /_local/faults` `{kind, match: {method, path, body}, times, delay_ms}`: the next
//!   `times` matching requests get the fault.
//! - `DELETE /_local/faults`: removes all faults.
//! - `POST /_local/late_devices`: devices that a fault keeps back appear now; the answer has their
//!   number, `{devices}`.
//! - `POST /_local/servers/{id}/power_cut`: cuts the power without an action; the server is `off`.
//! - `POST /_local/engine` `{"engine": "28"}`: new servers have this engine (`26`, `28`, `podman`,
//!   `rootless`).
//! - `GET /_local/state`: the number of each resource, the ids of the servers, and `requests`: by
//!   project `{total, by_route: {"GET servers": 12}}`.
//! - `PUT /_local/limits` `{requests_per_hour, servers}`: changes the named limits, of all
//!   projects; the answer has both.
//! - `DELETE /_local/requests`: resets the request counts; the answer has the previous counts.
//! - `GET /_local/bill`: the cost of each project's servers and volumes, by started hours and the
//!   catalogue's net prices.
//!
//! Kinds of faults. By default they apply to every request, and `delay_ms` delays the answer:
//!
//! - `stock_out` (`POST /servers`): 412 `resource_unavailable`.
//! - `unsupported_location`, `type_deprecated`, `image_gone` (`POST /servers`): 422
//!   `invalid_input`.
//! - `location_disabled` (`POST /servers`, `POST /volumes`): 412 `resource_unavailable`, "server
//!   location disabled".
//! - `no_space_left` (`POST /volumes`): 422 `no_space_left_in_location`.
//! - `not_started` (`POST /servers`): `create_server` succeeds, `start_server` ends in the error
//!   `unknown_error`, the server stays `off`; volumes are attached all the same.
//! - `left_off` (`POST /servers`): all actions succeed, the server stays `off`.
//! - `starts_late` (`POST /servers`): the server is shown `off` for `delay_ms`: for half of it
//!   `create_server` still runs, for the other half `start_server` has not begun.
//! - `unavailable_503`, `server_error`, `rate_limit`: 503, 500, 429.
//! - `locked` (changes): 423.
//! - `lost_reply`: the request is carried out, the connection closes without an answer.
//! - `action_error` (changes): the first action ends in an error, and so do those after it.
//! - `action_hang` (changes): the actions make progress only after `delay_ms`.
//! - `attach_error` (attachments): the actions that attach a volume end in an error.
//! - `slow_attach` (attachments): the device appears `delay_ms` after the action's success.
//! - `wrong_device` (attachments): the same, and until then the volume's name points to a blank
//!   disk with another serial.
//!
//! `path` is a prefix of the path, in which `*` matches one segment. `match` may also have `body`:
//! fields that must be equal, such as `{"location": "fsn1"}`.
//!
//! `docs/local-cloud.md` lists the differences from Hetzner's API, with every operation of the
//! official OpenAPI file that does not exist here: each answers 422 `unsupported_error`.

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
pub use options::{Access, ContainerEngine, Limits, Machines, Options, Pace, Sshd, Stock, Token};
