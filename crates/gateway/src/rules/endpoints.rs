//! What kind of request this is, by its method, path and query alone, and by the length that it
//! announces.
//!
//! The table of the Docker API as far as the gateway treats requests differently. What is not named
//! here is an ordinary request.

use std::fmt;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Uri};
use lifecycle::Kind;
use tunnel::Class;

use crate::local::wait_progress::Lines;
use crate::rules::paths::is_known;

/// A body from here on is a transfer: 1 MiB is a quarter of a second of a 40 Mbit/s uplink, which
/// nobody else should wait for.
const LARGE: u64 = 1 << 20;

/// How a request is treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// For a person: method and path without the version, `POST /containers/create`.
    pub(crate) source: String,
    /// The version in the path, as in `/v1.41/…`.
    pub(crate) version: Option<ApiVersion>,
    /// It can be answered here.
    pub(crate) answer: Option<Answer>,
    /// What kind of connection it travels on.
    pub(crate) class: Class,
    /// What kind of activity it is, from its beginning.
    pub(crate) kind: Kind,
    /// Its answer ends when a person or a container says so: silence is no sign of work.
    pub(crate) lasting: bool,
    /// It changes nothing and is answered at once: who repeats it, polls.
    pub(crate) read_only: bool,
    /// It brings images or files onto the engine's disk.
    pub(crate) fills: bool,
    /// Its answer has a place for progress while the engine is waited for.
    pub(crate) progress: Option<Lines>,
    /// It follows what happens, from now on and without an end.
    pub(crate) events: bool,
    /// The engine may take the connection over as a raw stream, with or without an `Upgrade`
    /// header.
    pub(crate) hijack: bool,
    /// What it does to published ports.
    pub(crate) ports: PortsStep,
    /// Where its body names folders of the engine's host.
    pub(crate) binds: Option<Binds>,
    /// How a container that it creates is called.
    pub(crate) name: Option<String>,
}

/// Where a body names folders of the engine's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binds {
    /// In `HostConfig`
    Container,
    /// In `TaskTemplate.ContainerSpec`
    Service,
    /// In `DriverOpts`
    Volume,
}

/// What can be answered without the engine, once known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `/_ping`
    Ping,
    /// `/version`
    Version,
}

/// What a request does to published ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PortsStep {
    /// Nothing.
    None,
    /// Starts this container: its ports are taken before, and answer when the request is answered.
    Start(String),
    /// Ends this container: its ports are free when the request is answered.
    End(String),
    /// Waits for the end of this container: its ports are free when that is told.
    Wait(String),
    /// Tells the ports of this container, or of all: they are open when it does.
    Tell(Option<String>),
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

/// The table.
pub(crate) fn classify(method: &Method, uri: &Uri, headers: &HeaderMap) -> Route {
    let (version, path) = strip_version(uri.path());
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let query = Query(uri.query().unwrap_or_default());

    let get = method == Method::GET;
    let post = method == Method::POST;

    let answer = match *segments {
        ["_ping"] if get || method == Method::HEAD => Some(Answer::Ping),
        ["version"] if get => Some(Answer::Version),
        _ => None,
    };
    let class = match *segments {
        ["build"] | ["images", "load"] if post => Class::Bulk,
        ["images", "create"] if post && query.has("fromSrc") => Class::Bulk,
        // Names of images contain slashes.
        ["images", .., "push"] if post => Class::Bulk,
        ["images", .., "get"] if get => Class::Bulk,
        ["containers", _, "export"] if get => Class::Bulk,
        ["containers", _, "archive"] if get || method == Method::PUT => Class::Bulk,
        ["plugins", "create"] if post => Class::Bulk,
        // BuildKit reads the build context through it.
        ["session"] if post => Class::Bulk,
        _ if is_large(headers) => Class::Bulk,
        // It may carry anything, as another engine's own API does.
        _ if !is_known(&segments) => Class::Bulk,
        _ => Class::Interactive,
    };
    let kind = match *segments {
        // BuildKit's build is a conversation in both directions, for as long as it takes.
        ["build" | "session" | "grpc"] if post => Kind::Build,
        ["images", "create" | "load"] | ["plugins", "create" | "pull"] if post => Kind::Transfer,
        ["images", .., "push" | "get"] | ["containers", _, "export" | "archive"] => Kind::Transfer,
        _ => Kind::Command,
    };
    let hijack = post && matches!(*segments, ["containers", _, "attach"] | ["exec", _, "start"]);
    let lasting = hijack
        || match *segments {
            ["containers", _, "attach", "ws"] | ["events"] => get,
            ["containers", _, "logs"] | ["services" | "tasks", _, "logs"] => {
                get && query.is_true("follow", false)
            }
            ["containers", _, "stats"] => get && query.is_true("stream", true),
            ["containers", _, "wait"] | ["session"] | ["grpc"] => post,
            _ => false,
        };
    let read_only = (get || method == Method::HEAD)
        && class == Class::Interactive
        && !lasting
        && answer.is_none();
    let class = if read_only { Class::Question } else { class };
    let fills = match *segments {
        ["build"] | ["images", "create" | "load"] | ["plugins", "create" | "pull"] => post,
        ["containers", _, "archive"] => method == Method::PUT,
        _ => false,
    };
    let progress = match *segments {
        // An import prints nothing but the new id.
        ["images", "create"] if post && query.has("fromImage") => Some(Lines::Status),
        ["images", _, .., "push"] if post => Some(Lines::Status),
        // A quiet load or build prints nothing but a name or an id, and scripts read that.
        ["images", "load"] if post && !query.is_true("quiet", true) => Some(Lines::Status),
        // BuildKit's answer to `build` has a form of its own.
        ["build"] if post && !query.is_true("q", false) && query.value("version") != Some("2") => {
            Some(Lines::Stream)
        }
        _ => None,
    };
    let events = get && matches!(*segments, ["events"]) && !query.has("until");
    let ports = match *segments {
        ["containers", id, "start" | "restart"] if post => PortsStep::Start(id.to_owned()),
        ["containers", id, "stop" | "kill"] if post => PortsStep::End(id.to_owned()),
        ["containers", id] if method == Method::DELETE => PortsStep::End(id.to_owned()),
        ["containers", id, "wait"] if post => PortsStep::Wait(id.to_owned()),
        ["containers", "json"] if get => PortsStep::Tell(None),
        ["containers", id, "json"] if get => PortsStep::Tell(Some(id.to_owned())),
        _ => PortsStep::None,
    };
    let binds = match *segments {
        ["containers", "create"] if post => Some(Binds::Container),
        ["services", "create"] | ["services", _, "update"] if post => Some(Binds::Service),
        ["volumes", "create"] if post => Some(Binds::Volume),
        _ => None,
    };
    let name = query
        .value("name")
        .filter(|name| binds == Some(Binds::Container) && !name.is_empty())
        .map(str::to_owned);
    Route {
        source: format!("{method} {path}"),
        version,
        answer,
        class,
        kind,
        lasting,
        read_only,
        fills,
        progress,
        events,
        hijack,
        ports,
        binds,
        name,
    }
}

impl Route {
    /// What kind of activity it is once its answer has begun and lasts, or the connection has been
    /// taken over.
    pub(crate) fn lasting_kind(&self) -> Kind {
        match self.kind {
            Kind::Command if self.source.ends_with("/stats") => Kind::Watch,
            Kind::Command => Kind::Stream,
            other => other,
        }
    }
}

fn is_large(headers: &HeaderMap) -> bool {
    let length =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length >= LARGE)
}

/// `/v1.41/info` is `/info` for everybody but the engine.
pub(crate) fn strip_version(path: &str) -> (Option<ApiVersion>, &str) {
    let Some(rest) = path.strip_prefix("/v") else { return (None, path) };
    let end = rest.find('/').unwrap_or(rest.len());
    let (version, rest) = rest.split_at(end);
    match ApiVersion::parse(version) {
        Some(version) => (Some(version), if rest.is_empty() { "/" } else { rest }),
        None => (None, path),
    }
}

/// The query string. Names and values that matter here are never percent-encoded by any client.
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

    /// As dockerd reads booleans: absent, empty, `0`, `no`, `false`, `none` are false, everything
    /// else is true.
    fn is_true(&self, name: &str, default: bool) -> bool {
        self.value(name).map_or(default, |value| {
            let value = value.trim();
            !["", "0", "no", "false", "none"].iter().any(|word| value.eq_ignore_ascii_case(word))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(line: &str) -> Route {
        let (method, uri) = line.split_once(' ').unwrap();
        classify(&method.parse().unwrap(), &uri.parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn the_version_in_the_path_changes_nothing_but_itself() {
        let plain = route("GET /containers/json?all=1");
        let versioned = route("GET /v1.41/containers/json?all=1");
        assert_eq!(plain.source, "GET /containers/json");
        assert_eq!(versioned.version, Some(ApiVersion(1, 41)));
        assert_eq!(Route { version: None, ..versioned }, plain);
        // A path that only looks like one.
        assert_eq!(route("GET /volumes").version, None);
        assert_eq!(route("GET /volumes").source, "GET /volumes");
        assert!(ApiVersion(1, 9) < ApiVersion(1, 24));
    }

    #[test]
    fn ping_and_version_can_be_answered_here() {
        assert_eq!(route("HEAD /_ping").answer, Some(Answer::Ping));
        assert_eq!(route("GET /v1.41/_ping").answer, Some(Answer::Ping));
        assert_eq!(route("GET /v1.41/version").answer, Some(Answer::Version));
        assert_eq!(route("POST /_ping").answer, None);
        assert_eq!(route("GET /info").answer, None);
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
    fn a_body_of_a_megabyte_is_bulk_wherever_it_goes() {
        for (length, class) in [
            ("1048575", Class::Interactive),
            ("1048576", Class::Bulk),
            ("99999999999", Class::Bulk),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_LENGTH, length.parse().unwrap())]);
            assert_eq!(
                classify(&Method::POST, &"/v1.41/configs/create".parse().unwrap(), &headers).class,
                class,
                "{length}"
            );
        }
    }

    #[test]
    fn endless_answers_are_told_from_others_by_their_query() {
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
    fn builds_and_transfers_are_work_of_their_own_kind_and_looking_on_is_none() {
        let kinds = |line| (route(line).kind, route(line).lasting_kind());
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

    #[test]
    fn what_can_be_repeated_in_vain_changes_nothing_and_ends() {
        for line in [
            "GET /containers/json?all=1",
            "GET /v1.41/info",
            "GET /containers/x/json",
            "GET /containers/x/logs?stdout=1",
            "HEAD /info",
        ] {
            assert!(route(line).read_only, "{line}");
        }
        for line in [
            "GET /_ping",
            "POST /containers/x/start",
            "GET /events",
            "GET /containers/x/logs?follow=1",
            "GET /containers/x/export",
        ] {
            assert!(!route(line).read_only, "{line}");
        }
        assert!(route("GET /v1.41/events?filters=x").events && route("GET /events?since=5").events);
        assert!(!route("GET /events?since=5&until=9").events && !route("POST /events").events);
    }

    #[test]
    fn what_brings_images_or_files_fills_the_disk_and_what_takes_them_does_not() {
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
            assert_eq!(route(line).progress, lines, "{line}");
        }
    }

    #[test]
    fn requests_that_change_published_ports_name_their_container() {
        assert_eq!(route("POST /v1.41/containers/web/start").ports, PortsStep::Start("web".into()));
        assert_eq!(route("POST /containers/web/restart?t=1").ports, PortsStep::Start("web".into()));
        assert_eq!(route("POST /containers/web/kill").ports, PortsStep::End("web".into()));
        assert_eq!(route("DELETE /containers/web?force=1").ports, PortsStep::End("web".into()));
        assert_eq!(route("POST /containers/web/wait").ports, PortsStep::Wait("web".into()));
        // A paused container keeps its ports, as with Docker.
        assert_eq!(route("POST /containers/web/pause").ports, PortsStep::None);
        assert_eq!(route("GET /containers/json?all=1").ports, PortsStep::Tell(None));
        assert_eq!(route("GET /containers/web/json").ports, PortsStep::Tell(Some("web".into())));
        assert_eq!(route("GET /containers/web/logs").ports, PortsStep::None);
    }
}
