//! The docker command of this computer: its version, and which engine it uses.

use std::process::Stdio;

use api::CheckCode;
use serde::Deserialize;
use tokio::process::Command;

use crate::commands::context::{self, Context};
use crate::commands::doctor::fix::Fix;
use crate::commands::doctor::found::Found;
use crate::commands::doctor::surroundings::Surroundings;
use crate::resolved::Resolved;

/// What `docker version` prints of the command itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Client {
    version: String,
    /// The highest version of the Engine API that it speaks; it goes down to the engine's.
    #[serde(rename = "ApiVersion")]
    api: String,
}

/// Why there is no docker command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("docker does not run: {0}")]
struct NoClient(String);

/// The versions of the Engine API that the last machine's engine speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Engine {
    lowest: String,
    highest: String,
}

pub async fn client(around: &Surroundings) -> Found {
    let mut docker = Command::new("docker");
    // Not a question for an engine: the socket does not exist.
    docker.args(["version", "--format", "json"]).env("DOCKER_HOST", "unix:///dev/null/none");
    docker.env_remove("DOCKER_CONTEXT").stdin(Stdio::null()).kill_on_drop(true);
    let client = match docker.output().await {
        Ok(output) => parsed(&output.stdout).ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().find(|line| !line.trim().is_empty());
            NoClient(line.unwrap_or("it printed no version").to_owned())
        }),
        Err(error) => Err(NoClient(error.to_string())),
    };
    judge_client(client, last_engine(&around.resolved).as_ref())
}

fn parsed(output: &[u8]) -> Option<Client> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Versions {
        client: Client,
    }
    serde_json::from_slice::<Versions>(output).ok().map(|versions| versions.client)
}

/// From the answer of the last engine that the daemon keeps; `None` if there was none.
fn last_engine(resolved: &Resolved) -> Option<Engine> {
    let path = resolved.paths.profile_state(&resolved.profile).join("engine.json");
    let kept: serde_json::Value = daemon::json_file::read(&path)?;
    let body: serde_json::Value = serde_json::from_str(kept["version"]["body"].as_str()?).ok()?;
    let version = |name: &str| body[name].as_str().map(str::to_owned);
    Some(Engine { lowest: version("MinAPIVersion")?, highest: version("ApiVersion")? })
}

/// Versions are compared as numbers: 1.9 is lower than 1.24.
fn number(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn judge_client(client: Result<Client, NoClient>, engine: Option<&Engine>) -> Found {
    let Client { version, api } = match client {
        Ok(client) => client,
        Err(error) => return Found::broken(error.to_string()),
    };
    let Some(Engine { lowest, highest }) = engine else {
        return Found::ok(format!("{version}, Engine API up to {api}"));
    };
    let is_too_old = number(&api).zip(number(lowest)).is_some_and(|(client, least)| client < least);
    match is_too_old {
        true => Found::broken(format!(
            "{version} speaks the Engine API up to {api}, and the machine's engine {lowest} to \
             {highest}"
        ))
        .cause("The docker command is older than the engine supports.")
        .cure("install a newer docker command"),
        false => Found::ok(format!(
            "{version}, Engine API up to {api}; the engine speaks {lowest} to {highest}"
        )),
    }
}

/// What decides which engine docker commands use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Choice {
    /// DOCKER_HOST and DOCKER_CONTEXT, if they are set.
    host: Option<String>,
    context: Option<String>,
    contexts: Vec<Context>,
    /// The address of this profile's socket.
    own_host: String,
    /// The description of contexts that this home created.
    own_mark: String,
    /// The name of the context that `init` creates.
    own_name: String,
}

pub async fn context(around: &Surroundings) -> Found {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Ok(contexts) = tokio::task::spawn_blocking(context::all).await else {
        return Found::not_run(format!("{} did not end", CheckCode::DockerClient.entry().title));
    };
    let resolved = &around.resolved;
    judge_context(&Choice {
        host: variable("DOCKER_HOST"),
        context: variable("DOCKER_CONTEXT"),
        contexts,
        own_host: format!("unix://{}", resolved.socket.display()),
        own_mark: context::mark(&resolved.paths.owner()),
        own_name: context::default_name(&resolved.profile.to_string()),
    })
}

fn judge_context(choice: &Choice) -> Found {
    let Choice { host, context, contexts, own_host, own_mark, own_name } = choice;
    let is_own = |it: &&Context| it.docker_endpoint == *own_host;
    let own = contexts.iter().find(is_own);
    let current = match context {
        Some(name) => contexts.iter().find(|it| it.name == *name),
        None => contexts.iter().find(|it| it.current),
    };
    if let Some(host) = host {
        return judge_host(host, own_host, current.filter(is_own));
    }
    if let (Some(name), None) = (context, current) {
        return Found::broken(format!("DOCKER_CONTEXT is {name:?}, and no such context exists"))
            .cause("The context was removed, or its name is misspelled.")
            .cure("unset DOCKER_CONTEXT");
    }
    if let Some(current) = current.filter(is_own) {
        let by = if context.is_some() { " by DOCKER_CONTEXT" } else { "" };
        return Found::ok(format!("{}, the current one{by}", current.name));
    }
    // Its socket has moved since.
    let moved = contexts.iter().find(|it| it.description == *own_mark && it.name == *own_name);
    if let (None, Some(moved)) = (own, moved) {
        let message =
            format!("{} points to {}, not to {own_host}", moved.name, moved.docker_endpoint);
        return Found::broken(message)
            .cause("This home created the context, and its socket has moved since.")
            .cure("`dockbridge doctor --fix` corrects it")
            .fix(Fix::Context { name: moved.name.clone() });
    }
    let used = current.map_or("default", |it| it.name.as_str());
    let why = match (context, own) {
        (Some(_), _) => "DOCKER_CONTEXT has precedence over `docker context use`.".to_owned(),
        (None, _) => "Docker commands use the context that `docker context use` chose.".to_owned(),
    };
    if let Some(own) = own {
        return Found::hint(format!("docker commands use {used}, and not {}", own.name))
            .cause(why)
            .cure(format!("`docker context use {}`, to use dockbridge by default", own.name))
            .cure(format!("`docker --context {}`, for one command", own.name));
    }
    match contexts.iter().find(|it| it.name == *own_name) {
        Some(foreign) => {
            let owner = match foreign.description.as_str() {
                "" => "another tool".to_owned(),
                description => format!("{description:?}"),
            };
            Found::hint(format!(
                "context {own_name} points to {} and belongs to {owner}",
                foreign.docker_endpoint
            ))
            .cause("Another home or tool created it; dockbridge leaves it alone.")
            .cure(format!("`dockbridge init --yes --context {own_name}-2` creates another one"))
        }
        None => Found::hint(format!("no context points to {own_host}"))
            .cause("`dockbridge init` creates it, and has not run, or docker was not there then.")
            .cure("`dockbridge doctor --fix` creates it")
            .cure(format!("or set DOCKER_HOST={own_host}"))
            .fix(Fix::Context { name: own_name.clone() }),
    }
}

/// DOCKER_HOST has precedence over each context. `own` is the context of this profile, if docker
/// would use it without the variable.
fn judge_host(host: &str, own_host: &str, own: Option<&Context>) -> Found {
    if host == own_host {
        return Found::ok("this profile's socket, by DOCKER_HOST");
    }
    let message = format!("docker commands use {host}, by DOCKER_HOST");
    let cause = "DOCKER_HOST has precedence over every context.";
    match own {
        Some(own) => Found::broken(format!("{message}, although {} is chosen", own.name)),
        None => Found::hint(message),
    }
    .cause(cause)
    .cure("unset DOCKER_HOST")
}

#[cfg(test)]
pub(super) mod tests {
    use api::CheckState::{Broken, Hint, Ok as Fine};

    use super::*;

    /// What can be wrong.
    pub fn findings() -> Vec<(CheckCode, Found)> {
        let client = Client { version: "20.10.5".to_owned(), api: "1.41".to_owned() };
        let engine = Engine { lowest: "1.44".to_owned(), highest: "1.52".to_owned() };
        let clients = [
            judge_client(Err(NoClient("no such file".to_owned())), None),
            judge_client(Ok(client), Some(&engine)),
        ];
        let mark = "dockbridge of /home/ada";
        let own = |current| listed("dockbridge", mark, "unix:///own", current);
        let other = || listed("other", "", "ssh://host", true);
        let by_host = |host: &str, current| Choice {
            host: Some(host.to_owned()),
            ..choice(vec![own(current)])
        };
        let by_context =
            |name: &str, contexts| Choice { context: Some(name.to_owned()), ..choice(contexts) };
        let contexts = [
            by_host("tcp://192.0.2.7:2375", true),
            by_host("tcp://192.0.2.7:2375", false),
            by_context("gone", vec![own(true)]),
            by_context("other", vec![own(false), other()]),
            choice(vec![own(false), other()]),
            choice(vec![listed("dockbridge", mark, "unix:///old", false)]),
            choice(vec![listed("dockbridge", "", "unix:///old", false)]),
            choice(Vec::new()),
        ];
        let clients = clients.map(|found| (CheckCode::DockerClient, found));
        let contexts = contexts.map(|it| (CheckCode::DockerContext, judge_context(&it)));
        clients.into_iter().chain(contexts).collect()
    }

    #[test]
    fn client_that_is_older_than_the_engine_supports_is_broken() {
        let output = br#"{"Client":{"Version":"28.2.2","ApiVersion":"1.50"},"Server":null}"#;
        let client = parsed(output).unwrap();
        let engine =
            |lowest: &str| Engine { lowest: lowest.to_owned(), highest: "1.52".to_owned() };
        let judged = |engine: Option<Engine>| judge_client(Ok(client.clone()), engine.as_ref());
        assert_eq!(judged(None), Found::ok("28.2.2, Engine API up to 1.50"));
        assert_eq!(judged(Some(engine("1.9"))).state, Fine);
        assert_eq!(judged(Some(engine("1.51"))).state, Broken);
        let found = judge_client(Err(NoClient("not found".to_owned())), None);
        assert_eq!((found.state, &*found.message), (Broken, "docker does not run: not found"));
        assert_eq!(parsed(b"nonsense"), None);
    }

    fn listed(name: &str, description: &str, host: &str, current: bool) -> Context {
        Context {
            name: name.to_owned(),
            description: description.to_owned(),
            docker_endpoint: host.to_owned(),
            current,
        }
    }

    fn choice(contexts: Vec<Context>) -> Choice {
        Choice {
            contexts,
            own_host: "unix:///own".to_owned(),
            own_mark: "dockbridge of /home/ada".to_owned(),
            own_name: "dockbridge".to_owned(),
            ..Choice::default()
        }
    }

    #[test]
    fn context_of_this_profile_is_fine_if_docker_uses_it() {
        let mark = "dockbridge of /home/ada";
        let default = |current| listed("default", "", "unix:///var/run/docker.sock", current);
        let own = |current| listed("dockbridge", mark, "unix:///own", current);
        let used = choice(vec![default(false), own(true)]);
        assert_eq!(judge_context(&used), Found::ok("dockbridge, the current one"));
        let unused = choice(vec![default(true), own(false)]);
        let found = judge_context(&unused);
        assert_eq!(
            (found.state, &*found.message),
            (Hint, "docker commands use default, and not dockbridge")
        );
        let chosen = Choice { context: Some("dockbridge".to_owned()), ..unused };
        assert_eq!(judge_context(&chosen).state, Fine);
        let gone = Choice { context: Some("gone".to_owned()), ..used };
        assert_eq!(judge_context(&gone).state, Broken);
    }

    #[test]
    fn variable_that_overrides_the_chosen_context_is_broken() {
        let own = |current| listed("dockbridge", "", "unix:///own", current);
        let with = |host: &str, current| Choice {
            host: Some(host.to_owned()),
            ..choice(vec![own(current)])
        };
        assert_eq!(judge_context(&with("unix:///own", true)).state, Fine);
        let found = judge_context(&with("tcp://other", true));
        assert_eq!(
            (found.state, &*found.message),
            (
                Broken,
                "docker commands use tcp://other, by DOCKER_HOST, although dockbridge is \
                chosen"
            )
        );
        assert_eq!(judge_context(&with("tcp://other", false)).state, Hint);
    }

    #[test]
    fn context_is_repaired_only_if_this_home_created_it_or_none_exists() {
        let fix = Fix::Context { name: "dockbridge".to_owned() };
        let of = |description: &str| {
            judge_context(&choice(vec![listed("dockbridge", description, "unix:///old", false)]))
        };
        let moved = of("dockbridge of /home/ada");
        assert_eq!((moved.state, &moved.fixes[..]), (Broken, &[fix.clone()][..]));
        let foreign = of("dockbridge of /home/bob");
        assert_eq!((foreign.state, foreign.fixes.len()), (Hint, 0));
        assert_eq!(
            foreign.message,
            "context dockbridge points to unix:///old and belongs to \"dockbridge of /home/bob\""
        );
        let missing = judge_context(&choice(Vec::new()));
        assert_eq!((missing.state, missing.fixes), (Hint, vec![fix]));
    }
}
