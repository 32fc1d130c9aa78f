//! How one request is treated: its row of the table, with what its query and length say.

use std::fmt;

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

/// `1.41`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion(u32, u32);

impl ApiVersion {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
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

/// `/v1.41/info` is the version 1.41 and `/info`.
pub(crate) fn strip_version(path: &str) -> (Option<ApiVersion>, &str) {
    let Some(rest) = path.strip_prefix("/v") else { return (None, path) };
    let end = rest.find('/').unwrap_or(rest.len());
    let (version, rest) = rest.split_at(end);
    match ApiVersion::parse(version) {
        Some(version) => (Some(version), if rest.is_empty() { "/" } else { rest }),
        None => (None, path),
    }
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

/// As dockerd reads a boolean in a query: empty, `0`, `no`, `false` and `none` are false, everything
/// else is true.
pub(crate) fn is_true(value: &str) -> bool {
    let value = value.trim();
    !["", "0", "no", "false", "none"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::endpoint::Stale;

    fn route(line: &str) -> Route {
        let (method, uri) = line.split_once(' ').unwrap();
        Route::of(&method.parse().unwrap(), &uri.parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn version_in_the_path_changes_nothing_else() {
        let plain = route("GET /containers/json?all=1");
        let versioned = route("GET /v1.41/containers/json?all=1");
        assert_eq!(plain.source, "GET /containers/json");
        assert_eq!(versioned.version, Some(ApiVersion(1, 41)));
        assert_eq!(Route { version: None, ..versioned }, plain);
        // A path that only looks like a version.
        assert_eq!(route("GET /volumes").version, None);
        assert_eq!(route("GET /volumes").source, "GET /volumes");
        assert!(ApiVersion(1, 9) < ApiVersion(1, 24));
    }

    #[test]
    fn ping_and_version_are_answered_without_a_machine() {
        for (line, answer) in [
            ("HEAD /_ping", WithoutMachine::Ping),
            ("GET /v1.41/_ping", WithoutMachine::Ping),
            ("GET /v1.41/version", WithoutMachine::Version),
            ("POST /_ping", WithoutMachine::Wake),
            ("GET /info", WithoutMachine::Stale(Stale::Info)),
            ("GET /v1.41/containers/json?all=1", WithoutMachine::Stale(Stale::Containers)),
            ("HEAD /containers/json", WithoutMachine::Stale(Stale::Containers)),
            ("GET /containers/web/json", WithoutMachine::Stale(Stale::Container)),
            ("GET /containers/web/top", WithoutMachine::Stale(Stale::AsIs)),
            ("GET /volumes", WithoutMachine::Stale(Stale::Volumes)),
        ] {
            assert_eq!(route(line).without_machine, answer, "{line}");
        }
    }

    #[test]
    fn big_transfers_are_bulk() {
        for line in [
            "POST /build?t=x",
            "POST /v1.41/images/load?quiet=1",
            "GET /images/get?names=a",
            "GET /images/registry.example/team/app/get",
            "POST /images/create?fromSrc=-&repo=x",
            "POST /images/registry.example/team/app/push",
            "GET /containers/x/export",
            "GET /containers/x/archive?path=/",
            "PUT /containers/x/archive?path=/",
            "POST /session",
            "POST /plugins/create?name=x",
            "GET /v4.0.0/libpod/images/json",
            "POST /anything/else",
        ] {
            assert_eq!(route(line).class, Class::Bulk, "{line}");
        }
        for line in [
            "POST /images/create?fromImage=alpine",
            "POST /commit",
            "GET /containers/x/logs?follow=1",
            "GET /events",
        ] {
            assert_eq!(route(line).class, Class::Interactive, "{line}");
        }
        for line in [
            "GET /images/json",
            "HEAD /containers/x/archive?path=/",
            "GET /containers/x/logs",
            "GET /volumes",
        ] {
            assert_eq!(route(line).class, Class::Question, "{line}");
        }
    }

    #[test]
    fn body_of_a_megabyte_is_bulk_on_every_endpoint() {
        for (length, class) in [
            ("1048575", Class::Interactive),
            ("1048576", Class::Bulk),
            ("99999999999", Class::Bulk),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_LENGTH, length.parse().unwrap())]);
            assert_eq!(
                Route::of(&Method::POST, &"/v1.41/configs/create".parse().unwrap(), &headers).class,
                class,
                "{length}"
            );
        }
    }

    #[test]
    fn query_decides_which_responses_last() {
        for line in [
            "POST /containers/x/attach?stream=1",
            "GET /containers/x/attach/ws",
            "POST /exec/x/start",
            "GET /containers/x/logs?follow=1&stdout=1",
            "GET /containers/x/logs?stdout=1&follow=true",
            "GET /containers/x/stats",
            "GET /containers/x/stats?stream=1",
            "GET /events",
            "POST /containers/x/wait?condition=removed",
            "POST /session",
            "POST /grpc",
        ] {
            assert!(route(line).lasting, "{line}");
        }
        for line in [
            "GET /containers/x/logs?stdout=1",
            "GET /containers/x/logs?follow=0",
            "GET /containers/x/stats?stream=false",
            "POST /exec/x/resize?h=1",
            "GET /exec/x/json",
            "POST /containers/x/resize",
        ] {
            assert!(!route(line).lasting, "{line}");
        }
        assert!(route("POST /containers/x/attach").hijack && route("POST /exec/x/start").hijack);
        assert!(!route("GET /events").hijack);
    }

    #[test]
    fn builds_and_transfers_have_kinds_of_their_own_and_stats_are_watched() {
        let kinds = |line| (route(line).kind, route(line).lasting_kind);
        for line in ["POST /build?t=x", "POST /v1.41/session", "POST /grpc"] {
            assert_eq!(kinds(line), (Kind::Build, Kind::Build), "{line}");
        }
        for line in [
            "POST /images/create?fromImage=alpine",
            "POST /images/load",
            "POST /images/registry.example/team/app/push",
            "GET /images/get?names=a",
            "GET /images/app/get",
            "GET /containers/x/export",
            "PUT /containers/x/archive?path=/",
            "POST /plugins/pull?remote=x",
        ] {
            assert_eq!(route(line).kind, Kind::Transfer, "{line}");
        }
        assert_eq!(kinds("GET /containers/x/stats"), (Kind::Command, Kind::Watch));
        assert_eq!(kinds("POST /exec/x/start"), (Kind::Command, Kind::Stream));
        assert_eq!(kinds("GET /images/json"), (Kind::Command, Kind::Stream));
    }

    fn is_read(line: &str) -> bool {
        matches!(route(line).without_machine, WithoutMachine::Stale(_))
    }

    #[test]
    fn polls_are_reads_that_end_and_events_are_followed() {
        for line in [
            "GET /containers/json?all=1",
            "GET /v1.41/info",
            "GET /containers/x/json",
            "GET /containers/x/logs?stdout=1",
            "HEAD /info",
        ] {
            assert!(is_read(line), "{line}");
        }
        for line in [
            "GET /_ping",
            "POST /containers/x/start",
            "GET /events",
            "GET /containers/x/logs?follow=1",
            "GET /containers/x/export",
        ] {
            assert!(!is_read(line), "{line}");
        }
        let follows = |line| route(line).without_machine == WithoutMachine::Follow;
        assert!(follows("GET /v1.41/events?filters=x") && follows("GET /events?since=5"));
        assert!(!follows("GET /events?since=5&until=9") && !follows("POST /events"));
    }

    #[test]
    fn requests_that_bring_images_or_files_fill_the_disk() {
        for line in [
            "POST /build?t=x",
            "POST /v1.41/images/create?fromImage=alpine",
            "POST /images/load",
            "POST /plugins/pull?remote=x",
            "PUT /containers/x/archive?path=/",
        ] {
            assert!(route(line).fills, "{line}");
        }
        for line in [
            "GET /containers/x/archive?path=/",
            "POST /images/x/push",
            "POST /containers/create",
            "POST /images/prune",
            "DELETE /images/x",
        ] {
            assert!(!route(line).fills, "{line}");
        }
    }

    #[test]
    fn waits_are_reported_where_the_answer_has_lines_for_a_reader() {
        for (line, lines) in [
            ("POST /v1.41/images/create?fromImage=alpine", Some(Lines::Status)),
            ("POST /images/registry.example/team/app/push", Some(Lines::Status)),
            ("POST /images/load?quiet=0", Some(Lines::Status)),
            ("POST /build?t=x", Some(Lines::Stream)),
            ("POST /build?q=0&version=1", Some(Lines::Stream)),
            ("POST /images/create?fromSrc=-", None),
            ("POST /images/load", None),
            ("POST /images/load?quiet=1", None),
            ("POST /build?q=1", None),
            ("POST /build?version=2", None),
            ("GET /images/x/push", None),
            ("POST /session", None),
            ("GET /images/json", None),
        ] {
            assert_eq!(route(line).lines, lines, "{line}");
        }
    }

    #[test]
    fn requests_that_change_published_ports_name_their_container() {
        assert_eq!(route("POST /v1.41/containers/web/start").ports, PortsStep::Start("web".into()));
        assert_eq!(route("POST /containers/web/restart?t=1").ports, PortsStep::Start("web".into()));
        assert_eq!(route("POST /containers/web/kill").ports, PortsStep::End("web".into()));
        assert_eq!(route("DELETE /containers/web?force=1").ports, PortsStep::End("web".into()));
        assert_eq!(route("POST /containers/web/wait").ports, PortsStep::Wait("web".into()));
        assert_eq!(route("POST /containers/web/pause").ports, PortsStep::None);
        assert_eq!(route("GET /containers/json?all=1").ports, PortsStep::Show(None));
        assert_eq!(route("GET /containers/web/json").ports, PortsStep::Show(Some("web".into())));
        assert_eq!(route("GET /containers/web/logs").ports, PortsStep::None);
    }
}
