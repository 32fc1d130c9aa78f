//! The Hetzner Cloud API on one Linux host: stateful, timed, with real machines behind it or none
//! at all.
//!
//! The judges of what is right are Hetzner's published OpenAPI file and third-party clients; this
//! crate knows nothing of our own client and shares no type with it. Three floors: `api` speaks
//! HTTP and decides what is admitted, `state` holds what exists, `work` lets actions take their
//! time and carries them out through a [`hypervisor::Hypervisor`].
//!
//! Beside `/v1` every listener that is reached over the loopback or the machines' bridge answers
//! *pokes*, without a token:
//!
//! | request | what it does |
//! |---|---|
//! | `POST /_local/faults` `{kind, match: {method, path, body}, times, delay_ms}` | the next `times` matching requests meet the fault |
//! | `DELETE /_local/faults` | no more faults |
//! | `POST /_local/servers/{id}/power_cut` | the plug is pulled without an action; the server is `off` |
//! | `POST /_local/engine` `{"engine": "28"}` | servers made from now on have this engine (`26`, `28`, `podman`, `rootless`) |
//! | `GET /_local/state` | how much of everything exists, the ids of the servers, and `requests`: by project `{total, by_route: {"GET servers": 12}}` |
//! | `PUT /_local/limits` `{requests_per_hour, servers}` | changes the limits that are named, of all projects; the answer has both |
//! | `DELETE /_local/requests` | the requests are counted from zero; the answer has what was counted |
//! | `GET /_local/bill` | what each project's servers and volumes cost, by started hours and the catalogue's net prices |
//!
//! Kinds of faults. Where nothing else is said they befall every request, and `delay_ms` delays the
//! answer:
//!
//! | kind | befalls | what happens |
//! |---|---|---|
//! | `stock_out` | `POST /servers` | 412 `resource_unavailable` |
//! | `unsupported_location`, `type_deprecated`, `image_gone` | `POST /servers` | 422 `invalid_input` |
//! | `location_disabled` | `POST /servers`, `POST /volumes` | 412 `resource_unavailable`, "server location disabled" |
//! | `no_space_left` | `POST /volumes` | 422 `no_space_left_in_location` |
//! | `not_started` | `POST /servers` | `create_server` succeeds, `start_server` ends in the error `unknown_error`, the server stays `off`; volumes are attached all the same |
//! | `left_off` | `POST /servers` | all actions succeed, the server stays `off` |
//! | `starts_late` | `POST /servers` | the server is shown `off` for `delay_ms`: for half of it `create_server` still runs, for the other half `start_server` has not begun |
//! | `unavailable_503`, `server_error`, `rate_limit` | | 503, 500, 429 |
//! | `locked` | changes | 423 |
//! | `lost_reply` | | the request is carried out, the connection closes without an answer |
//! | `action_error` | changes | the first action ends in an error, and so do those behind it |
//! | `action_hang` | changes | the actions begin to move after `delay_ms` |
//! | `attach_error` | attachments | the actions that attach a volume end in an error |
//! | `slow_attach` | attachments | the device appears `delay_ms` after the action's success |
//! | `wrong_device` | attachments | the same, and until then a blank disk with another serial stands under the volume's name |
//!
//! `path` is a prefix of the path, in which `*` stands for one segment. `match` may have `body`,
//! too: fields that have to be equal, such as `{"location": "fsn1"}`.
//!
//! Where it is not like the original is listed in `docs/local-cloud.md`, with every operation of
//! the official OpenAPI file that does not exist here: each answers 422 `unsupported_error`.

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
