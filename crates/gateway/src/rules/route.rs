//! How one request is treated: its row of the table, with what its query and length say.

use engine::{ApiVersion, is_true, strip_version};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Uri};
use lifecycle::Kind;
use tunnel::Class;

use super::endpoint::{
    BodyPaths, Bulk, Endpoint, Lasts, Lines, PortsEffect, Progress, WithoutMachine,
};
use super::table;

/// A body of this many bytes is a big transfer: 1 MiB takes a quarter of a second on an uplink of
/// 40 Mbit/s, which no other request should wait for.
const LARGE: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// For the user: method and path without the version, such as `POST /containers/create`.
    pub(crate) source: String,
    /// Its row of the table, such as `containers/{id}/start`.
    pub(crate) endpoint: &'static str,
    /// The version in the path, as in `/v1.41/…`.
    pub(crate) version: Option<ApiVersion>,
    /// What kind of connection it needs.
    pub(crate) class: Class,
    pub(crate) kind: Kind,
    pub(crate) lasting_kind: Kind,
    /// Its response ends only when a user or a container says so.
    pub(crate) lasting: bool,
    pub(crate) hijack: bool,
    pub(crate) relays: bool,
    pub(crate) without_machine: WithoutMachine,
    pub(crate) ports: PortsStep,
    pub(crate) paths: Option<BodyPaths>,
    /// It brings images or files onto the engine's disk.
    pub(crate) fills: bool,
    /// Progress lines have a place in its response.
    pub(crate) lines: Option<Lines>,
    /// The name of a container that it creates.
    pub(crate) name: Option<String>,
}

/// What a request does to published ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PortsStep {
    None,
    /// Starts this container: its ports are taken before, and open when the start is answered.
    Start(String),
    /// Ends this container: its ports are free when the request is answered.
    End(String),
    /// Waits for the end of this container: its ports are free when the end is reported.
    Wait(String),
    /// Shows the ports of this container, or of all: they are open when they are shown.
    Show(Option<String>),
}

impl Route {
    pub(crate) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let (version, path) = strip_version(uri.path());
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (row, id) = table::find(method, &segments);
        let query = Query(uri.query().unwrap_or_default());
        let lasting = match row.lasts {
            Lasts::No => false,
            Lasts::Yes => true,
            Lasts::If(name) => query.is_true(name, false),
            Lasts::Unless(name) => query.is_true(name, true),
        };
        let bulk = is_large(headers)
            || match row.bulk {
                Bulk::No => false,
                Bulk::Yes => true,
                Bulk::With(name) => query.has(name),
            };
        let without_machine = match row.without_machine {
            // Only what is answered at once can be a poll.
            WithoutMachine::Stale(_) if bulk || lasting => WithoutMachine::Wake,
            // A stream of events with an end shows the past.
            WithoutMachine::Follow if query.has("until") => WithoutMachine::Wake,
            other => other,
        };
        let class = match without_machine {
            _ if bulk => Class::Bulk,
            WithoutMachine::Stale(_) => Class::Question,
            _ => Class::Interactive,
        };
        let name = query
            .value("name")
            .filter(|name| row.paths == Some(BodyPaths::Container) && !name.is_empty())
            .map(str::to_owned);
        Self {
            source: format!("{method} {path}"),
            endpoint: if row.pattern.is_empty() { "other" } else { row.pattern },
            version,
            class,
            kind: row.kind,
            lasting_kind: row.lasting_kind,
            lasting,
            hijack: row.hijack,
            relays: row.relays && lasting,
            without_machine,
            ports: ports_step(&row, id),
            paths: row.paths,
            fills: row.fills,
            lines: row.progress.and_then(|progress| lines(progress, &query)),
            name,
        }
    }
}

fn ports_step(row: &Endpoint, id: Option<&str>) -> PortsStep {
    let id = || id.unwrap_or_default().to_owned();
    match row.ports {
        PortsEffect::None => PortsStep::None,
        PortsEffect::Start => PortsStep::Start(id()),
        PortsEffect::End => PortsStep::End(id()),
        PortsEffect::Wait => PortsStep::Wait(id()),
        PortsEffect::Show => PortsStep::Show(Some(id())),
        PortsEffect::List => PortsStep::Show(None),
    }
}

fn lines(progress: Progress, query: &Query<'_>) -> Option<Lines> {
    let (lines, shown) = match progress {
        Progress::Pull => (Lines::Status, query.has("fromImage")),
        Progress::Push => (Lines::Status, true),
        Progress::Load => (Lines::Status, !query.is_true("quiet", true)),
        Progress::Build => {
            let is_classic = query.value("version") != Some("2");
            (Lines::Stream, is_classic && !query.is_true("q", false))
        }
    };
    shown.then_some(lines)
}

fn is_large(headers: &HeaderMap) -> bool {
    let length =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length >= LARGE)
}

/// A query string. No client percent-encodes the names and values that matter here.
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    fn value(&self, name: &str) -> Option<&'a str> {
        self.0
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    fn has(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| !value.is_empty())
    }

    fn is_true(&self, name: &str, default: bool) -> bool {
        self.value(name).map_or(default, is_true)
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
