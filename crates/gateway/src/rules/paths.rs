//! The paths of the Docker API, v1.24 to the newest: what is not among them is not Docker's, and
//! may be anything.
//!
//! By the engine's own routes. Names of images and plugins contain slashes, so anything below those
//! is known.

/// Whether the API has this path, given without its version.
pub(crate) fn is_known(segments: &[&str]) -> bool {
    match *segments {
        [
            "_ping" | "version" | "info" | "events" | "auth" | "commit" | "session" | "grpc"
            | "build",
        ] => true,
        ["build", "prune" | "cancel"] | ["system", "df"] => true,
        ["images" | "plugins" | "distribution" | "debug", _, ..] | ["plugins"] => true,
        // One word is a name, or `json`, `create`, `prune`.
        [
            "containers" | "networks" | "volumes" | "nodes" | "services" | "tasks" | "secrets"
            | "configs",
            _,
        ] => true,
        [
            "networks" | "volumes" | "nodes" | "services" | "tasks" | "secrets" | "configs"
            | "swarm",
        ] => true,
        ["containers", _, what] => matches!(
            what,
            "json"
                | "top"
                | "logs"
                | "changes"
                | "export"
                | "stats"
                | "resize"
                | "start"
                | "stop"
                | "restart"
                | "kill"
                | "update"
                | "rename"
                | "pause"
                | "unpause"
                | "attach"
                | "wait"
                | "archive"
                | "copy"
                | "exec"
                | "checkpoints"
        ),
        ["containers", _, "attach", "ws"] | ["containers", _, "checkpoints", _] => true,
        ["exec", _, "start" | "resize" | "json"] => true,
        ["networks", _, "connect" | "disconnect"] => true,
        ["nodes" | "services" | "secrets" | "configs", _, "update"] => true,
        ["services" | "tasks", _, "logs"] => true,
        ["swarm", "init" | "join" | "leave" | "update" | "unlockkey" | "unlock"] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of the API's document, v1.24 to v1.52, with names as people give them.
    const PATHS: &str = "_ping auth build build/cancel build/prune commit configs configs/create \
        configs/c configs/c/update containers/create containers/c containers/c/archive \
        containers/c/attach containers/c/attach/ws containers/c/changes containers/c/exec \
        containers/c/export containers/c/json containers/c/kill containers/c/logs \
        containers/c/pause containers/c/rename containers/c/resize containers/c/restart \
        containers/c/start containers/c/stats containers/c/stop containers/c/top \
        containers/c/unpause containers/c/update containers/c/wait containers/json \
        containers/prune containers/c/checkpoints containers/c/checkpoints/p \
        distribution/registry.example/a/b/json events exec/e/json exec/e/resize exec/e/start \
        grpc images/create images/get images/json images/load images/prune images/search \
        images/registry.example:5000/a/b images/a/get images/a/b/history images/a/json \
        images/a/b/push images/a/tag info networks networks/create networks/n \
        networks/n/connect networks/n/disconnect networks/prune nodes nodes/n nodes/n/update \
        plugins plugins/create plugins/privileges plugins/pull plugins/a/b:latest \
        plugins/a/disable plugins/a/enable plugins/a/b/json plugins/a/b/push plugins/a/set \
        plugins/a/upgrade secrets secrets/create secrets/s secrets/s/update services \
        services/create services/s services/s/logs services/s/update session swarm swarm/init \
        swarm/join swarm/leave swarm/unlock swarm/unlockkey swarm/update system/df tasks \
        tasks/t tasks/t/logs version volumes volumes/create volumes/v volumes/prune";

    #[test]
    fn the_docker_api_is_known_and_nothing_else() {
        for path in PATHS.split_whitespace() {
            assert!(is_known(&path.split('/').collect::<Vec<_>>()), "{path}");
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
            assert!(!is_known(&path.split('/').collect::<Vec<_>>()), "{path}");
        }
    }
}
