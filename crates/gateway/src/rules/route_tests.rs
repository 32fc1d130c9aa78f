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
    for (length, class) in
        [("1048575", Class::Interactive), ("1048576", Class::Bulk), ("99999999999", Class::Bulk)]
    {
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
        "POST /plugins/registry.example/team/app/push",
        "POST /plugins/registry.example/team/app/upgrade?remote=x",
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
        "POST /plugins/x/upgrade?remote=y",
        "PUT /containers/x/archive?path=/",
    ] {
        assert!(route(line).fills, "{line}");
    }
    for line in [
        "GET /containers/x/archive?path=/",
        "POST /images/x/push",
        "POST /plugins/x/push",
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
