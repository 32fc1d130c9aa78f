//! The table of endpoints: the Docker Engine API, v1.24 to the newest, by the engine's own routes.
//! A new rule for an endpoint is a column of its row, and a test.
//!
//! A path that is not in the table is not Docker's, and may carry anything.

use http::Method;
use lifecycle::Kind::{Build, Transfer};

use super::endpoint::{
    BodyPaths, Bulk, Endpoint, Lasts, PortsEffect, Progress, Stale, WithoutMachine,
};

/// The first row that matches counts.
#[rustfmt::skip]
const TABLE: &[Endpoint] = &[
    get("_ping").without_machine(WithoutMachine::Ping),
    head("_ping").without_machine(WithoutMachine::Ping),
    get("version").without_machine(WithoutMachine::Version),
    get("info").stale(Stale::Info),
    get("events").without_machine(WithoutMachine::Follow).lasts(Lasts::Yes).relays(),
    post("auth"),
    post("commit"),
    get("system/df").stale(Stale::DiskUsage),

    post("build").kind(Build).bulk(Bulk::Yes).fills().progress(Progress::Build),
    post("build/prune"),
    post("build/cancel"),
    // BuildKit's build is a conversation in both directions; the session carries its context.
    post("session").kind(Build).bulk(Bulk::Yes).lasts(Lasts::Yes),
    post("grpc").kind(Build).lasts(Lasts::Yes),

    get("containers/json").stale(Stale::Containers).ports(PortsEffect::List),
    post("containers/create").paths(BodyPaths::Container),
    post("containers/prune"),
    delete("containers/{id}").ports(PortsEffect::End),
    get("containers/{id}/json").stale(Stale::Container).ports(PortsEffect::Show),
    get("containers/{id}/top"),
    get("containers/{id}/logs").lasts(Lasts::If("follow")).relays(),
    get("containers/{id}/changes"),
    get("containers/{id}/export").kind(Transfer).bulk(Bulk::Yes),
    get("containers/{id}/stats").lasts(Lasts::Unless("stream")).watched().relays(),
    post("containers/{id}/resize"),
    post("containers/{id}/start").ports(PortsEffect::Start),
    post("containers/{id}/stop").ports(PortsEffect::End),
    post("containers/{id}/restart").ports(PortsEffect::Start),
    post("containers/{id}/kill").ports(PortsEffect::End),
    post("containers/{id}/update"),
    post("containers/{id}/rename"),
    // A paused container keeps its ports, as with Docker.
    post("containers/{id}/pause"),
    post("containers/{id}/unpause"),
    post("containers/{id}/attach").hijack(),
    get("containers/{id}/attach/ws").lasts(Lasts::Yes),
    post("containers/{id}/wait").ports(PortsEffect::Wait).lasts(Lasts::Yes),
    head("containers/{id}/archive").kind(Transfer),
    get("containers/{id}/archive").kind(Transfer).bulk(Bulk::Yes),
    put("containers/{id}/archive").kind(Transfer).bulk(Bulk::Yes).fills(),
    post("containers/{id}/copy"),
    post("containers/{id}/exec"),
    get("containers/{id}/checkpoints"),
    post("containers/{id}/checkpoints"),
    delete("containers/{id}/checkpoints/{id}"),

    post("exec/{id}/start").hijack(),
    post("exec/{id}/resize"),
    get("exec/{id}/json"),

    get("images/json").stale(Stale::List),
    post("images/create").kind(Transfer).bulk(Bulk::With("fromSrc")).fills()
        .progress(Progress::Pull),
    post("images/load").kind(Transfer).bulk(Bulk::Yes).fills().progress(Progress::Load),
    get("images/get").kind(Transfer).bulk(Bulk::Yes),
    post("images/prune"),
    get("images/search"),
    get("images/{name..}/json"),
    get("images/{name..}/history"),
    get("images/{name..}/attestations"),
    get("images/{name..}/get").kind(Transfer).bulk(Bulk::Yes),
    post("images/{name..}/push").kind(Transfer).bulk(Bulk::Yes).progress(Progress::Push),
    post("images/{name..}/tag"),
    delete("images/{name..}"),
    any("images/{name..}"),
    get("distribution/{name..}/json"),
    any("distribution/{name..}"),

    get("networks").stale(Stale::List),
    post("networks/create"),
    post("networks/prune"),
    get("networks/{id}"),
    delete("networks/{id}"),
    post("networks/{id}/connect"),
    post("networks/{id}/disconnect"),

    get("volumes").stale(Stale::Volumes),
    post("volumes/create").paths(BodyPaths::Volume),
    post("volumes/prune"),
    get("volumes/{id}"),
    put("volumes/{id}"),
    delete("volumes/{id}"),

    get("plugins"),
    get("plugins/privileges"),
    post("plugins/pull").kind(Transfer).fills(),
    post("plugins/create").kind(Transfer).bulk(Bulk::Yes).fills(),
    get("plugins/{name..}/json"),
    delete("plugins/{name..}"),
    post("plugins/{name..}/push").kind(Transfer),
    post("plugins/{name..}/enable"),
    post("plugins/{name..}/disable"),
    post("plugins/{name..}/set"),
    post("plugins/{name..}/upgrade").kind(Transfer).fills(),
    any("plugins/{name..}"),

    get("swarm"),
    post("swarm/init"),
    post("swarm/join"),
    post("swarm/leave"),
    post("swarm/update"),
    get("swarm/unlockkey"),
    post("swarm/unlock"),
    get("nodes"),
    get("nodes/{id}"),
    delete("nodes/{id}"),
    post("nodes/{id}/update"),
    get("services"),
    post("services/create").paths(BodyPaths::Service),
    get("services/{id}"),
    delete("services/{id}"),
    post("services/{id}/update").paths(BodyPaths::Service),
    get("services/{id}/logs").lasts(Lasts::If("follow")).relays(),
    get("tasks"),
    get("tasks/{id}"),
    get("tasks/{id}/logs").lasts(Lasts::If("follow")).relays(),
    get("secrets"),
    post("secrets/create"),
    get("secrets/{id}"),
    delete("secrets/{id}"),
    post("secrets/{id}/update"),
    get("configs"),
    post("configs/create"),
    get("configs/{id}"),
    delete("configs/{id}"),
    post("configs/{id}/update"),

    any("debug/{name..}"),
];

const fn get(pattern: &'static str) -> Endpoint {
    Endpoint::on("GET", pattern).stale(Stale::AsIs)
}

const fn head(pattern: &'static str) -> Endpoint {
    Endpoint::on("HEAD", pattern).stale(Stale::AsIs)
}

const fn post(pattern: &'static str) -> Endpoint {
    Endpoint::on("POST", pattern)
}

const fn put(pattern: &'static str) -> Endpoint {
    Endpoint::on("PUT", pattern)
}

const fn delete(pattern: &'static str) -> Endpoint {
    Endpoint::on("DELETE", pattern)
}

const fn any(pattern: &'static str) -> Endpoint {
    Endpoint::on("*", pattern)
}

/// A path that is not Docker's, such as another engine's own API: it may carry anything.
const FOREIGN: Endpoint = any("").bulk(Bulk::Yes);

/// The row of a request, and what stands for `{id}`. A method that the API does not have for the
/// path is an ordinary request.
pub(crate) fn find<'a>(method: &Method, segments: &[&'a str]) -> (Endpoint, Option<&'a str>) {
    let reads = method == Method::GET || method == Method::HEAD;
    let ordinary = if reads { get("") } else { any("") };
    let mut known = None;
    for row in TABLE {
        let Some(id) = row.matches(segments) else { continue };
        if row.method == method.as_str() {
            return (*row, id);
        }
        if known.is_none() || (method == Method::HEAD && row.method == "GET") {
            known = Some(row.without_machine);
        }
    }
    match known {
        // What answers `GET` without a machine answers `HEAD`, too.
        Some(stale @ WithoutMachine::Stale(_)) if reads => (ordinary.without_machine(stale), None),
        Some(_) => (ordinary, None),
        None => (FOREIGN, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The endpoints of the API's document, v1.24 to v1.55, with names as users give them.
    const API: &[(&str, &str)] = &[
        ("HEAD", "_ping containers/c/archive"),
        (
            "GET",
            "_ping version info events system/df containers/json containers/c/json \
                containers/c/top containers/c/logs containers/c/changes containers/c/export \
                containers/c/stats containers/c/attach/ws containers/c/archive \
                containers/c/checkpoints exec/e/json images/json images/get images/search \
                images/a/json images/a/b/history images/registry.example:5000/a/b/get \
                images/a/b/attestations distribution/registry.example/a/b/json networks \
                networks/n volumes volumes/v plugins plugins/privileges plugins/a/b/json swarm \
                swarm/unlockkey nodes nodes/n services services/s services/s/logs tasks \
                tasks/t tasks/t/logs secrets secrets/s configs configs/c",
        ),
        (
            "POST",
            "auth commit build build/prune build/cancel session grpc containers/create \
                containers/prune containers/c/resize containers/c/start containers/c/stop \
                containers/c/restart containers/c/kill containers/c/update containers/c/rename \
                containers/c/pause containers/c/unpause containers/c/attach containers/c/wait \
                containers/c/exec containers/c/checkpoints exec/e/start exec/e/resize \
                images/create images/load images/prune images/a/b/push images/a/tag \
                networks/create networks/prune networks/n/connect networks/n/disconnect \
                volumes/create volumes/prune plugins/pull plugins/create plugins/a/b/push \
                plugins/a/disable plugins/a/enable plugins/a/set plugins/a/upgrade swarm/init \
                swarm/join swarm/leave swarm/update swarm/unlock nodes/n/update \
                services/create services/s/update secrets/create secrets/s/update \
                configs/create configs/c/update",
        ),
        ("PUT", "containers/c/archive volumes/v"),
        (
            "DELETE",
            "containers/c containers/c/checkpoints/p images/registry.example:5000/a/b networks/n \
                volumes/v plugins/a/b:latest nodes/n services/s secrets/s configs/c",
        ),
    ];

    fn row(method: &str, path: &str) -> Endpoint {
        find(&method.parse().unwrap(), &path.split('/').collect::<Vec<_>>()).0
    }

    #[test]
    fn every_endpoint_of_the_api_has_a_row() {
        for (method, paths) in API {
            for path in paths.split_whitespace() {
                let row = row(method, path);
                assert!(row.method == *method && !row.pattern.is_empty(), "{method} {path}");
            }
        }
    }

    #[test]
    fn path_of_the_api_is_known_with_any_method_and_others_carry_anything() {
        for (_, paths) in API {
            for path in paths.split_whitespace() {
                assert!(row("OPTIONS", path).bulk == Bulk::No, "{path}");
            }
        }
        for path in [
            "",
            "libpod/info",
            "v4.0.0/libpod/info",
            "containers",
            "containers/c/mount",
            "exec",
            "healthz",
            "system",
            "v2",
            "swarm/x",
        ] {
            assert!(row("GET", path).bulk == Bulk::Yes, "{path}");
        }
    }

    #[test]
    fn no_row_hides_behind_an_earlier_one() {
        for (at, row) in TABLE.iter().enumerate() {
            let segments: Vec<&str> = row.pattern.split('/').collect();
            let same = |other: &&Endpoint| {
                (other.method == row.method || other.method == "*")
                    && other.matches(&segments).is_some()
            };
            let hidden = TABLE[..at].iter().find(same).map(|other| other.pattern);
            assert_eq!(hidden, None, "{} {}", row.method, row.pattern);
        }
    }
}
