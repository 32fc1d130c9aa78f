//! The docker context of a profile. A context of that name may belong to another dockbridge home,
//! to other tools, or to a former path of the socket. Only a context that points to this socket,
//! or that this home created, is changed.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::output::say;
use crate::resolved::Resolved;

/// Owner of a context name.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// It points to this socket.
    Here,
    /// This home created it; its socket has moved since.
    Own,
    /// It points to another engine.
    Foreign {
        host: String,
    },
}

/// A docker context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Context {
    pub name: String,
    pub description: String,
    /// The address of its engine.
    pub docker_endpoint: String,
    /// It is the one that `docker context use` chose.
    pub current: bool,
}

/// All contexts of this user, whatever the environment overrides.
pub fn all() -> Vec<Context> {
    let output = Command::new("docker")
        .args(["context", "ls", "--format", "{{json .}}"])
        .env_remove("DOCKER_HOST")
        .env_remove("DOCKER_CONTEXT")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let output = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The name of a profile's context, if the user chose no other.
pub fn default_name(profile: &str) -> String {
    match profile {
        "default" => "dockbridge".to_owned(),
        profile => format!("dockbridge-{profile}"),
    }
}

/// Creates the context, or corrects the address of one that this home created. Never changes
/// another one. Returns whether the context points to the profile's socket then.
pub fn repair(resolved: &Resolved, name: &str) -> bool {
    let host = format!("unix://{}", resolved.socket.display());
    let mark = mark(&resolved.paths.owner());
    match inspect(name, &host, &mark) {
        Found::Here => true,
        Found::Nothing => docker(&["create", name], &host, &mark),
        Found::Own => docker(&["update", name], &host, &mark),
        Found::Foreign { .. } => false,
    }
}

/// Creates the context and returns its name. It is a convenience: without a docker client, or with
/// a name that is taken, this prints a note, returns nothing and is no failure.
pub fn make(resolved: &Resolved, chosen: Option<&str>) -> Option<String> {
    let name = chosen.map_or_else(|| default_name(&resolved.profile.to_string()), str::to_owned);
    let host = format!("unix://{}", resolved.socket.display());
    let mark = mark(&resolved.paths.owner());
    let made = match inspect(&name, &host, &mark) {
        Found::Here => true,
        Found::Nothing => docker(&["create", &name], &host, &mark),
        Found::Own => docker(&["update", &name], &host, &mark),
        Found::Foreign { host } => {
            say(&format!(
                "Docker context {name:?} points to {host}, which is not this profile's socket; it \
                 stays unchanged. `dockbridge init --yes --context {name}-2` creates another one."
            ));
            false
        }
    };
    if made {
        say(&format!(
            "Docker context {name:?} points to this profile: `docker context use {name}` makes it \
             the default."
        ));
    } else {
        say(&format!("To use it: export DOCKER_HOST={host}"));
    }
    made.then_some(name)
}

/// Removes the contexts that this home created, and returns their names.
pub fn remove_own(resolved: &Resolved) -> Vec<String> {
    let output = Command::new("docker")
        .args(["context", "ls", "--format", "{{json .}}"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let Ok(output) = output else { return Vec::new() };
    let mark = mark(&resolved.paths.owner());
    let own = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| own_name(line, &mark))
        .collect::<Vec<_>>();
    // `--force` is for the context in use; docker then uses the default one.
    own.into_iter().filter(|name| run(&["rm", "--force", name])).collect()
}

/// The name in a line of `docker context ls`, if this home created the context.
fn own_name(line: &str, mark: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["Description"].as_str() == Some(mark))
        .then(|| line["Name"].as_str().map(str::to_owned))?
}

/// Description by which a home recognizes its own contexts.
pub fn mark(owner: &Path) -> String {
    format!("dockbridge of {}", owner.parent().unwrap_or(owner).display())
}

fn inspect(name: &str, host: &str, mark: &str) -> Found {
    let output = Command::new("docker")
        .args(["context", "inspect", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => found(&output.stdout, host, mark),
        Ok(_) | Err(_) => Found::Nothing,
    }
}

/// Parses the output of `docker context inspect`, a list with one element.
fn found(output: &[u8], host: &str, mark: &str) -> Found {
    let output: serde_json::Value = serde_json::from_slice(output).unwrap_or_default();
    let there = output[0]["Endpoints"]["docker"]["Host"].as_str().unwrap_or("another engine");
    match output[0]["Metadata"]["Description"].as_str() {
        _ if there == host => Found::Here,
        Some(description) if description == mark => Found::Own,
        _ => Found::Foreign { host: there.to_owned() },
    }
}

fn docker(verb: &[&str], host: &str, mark: &str) -> bool {
    let endpoint = format!("host={host}");
    run(&[verb, &["--description", mark, "--docker", &endpoint]].concat())
}

fn run(arguments: &[&str]) -> bool {
    let status = Command::new("docker")
        .arg("context")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_leads_elsewhere_and_was_not_made_here_is_left_alone() {
        let found_for = |host: &str, description: &str| {
            let metadata = format!(r#""Metadata":{{{description}}}"#);
            let text = format!(r#"[{{{metadata},"Endpoints":{{"docker":{{"Host":"{host}"}}}}}}]"#);
            found(text.as_bytes(), "unix:///here", "dockbridge of /home/ada")
        };
        let foreign = |host: &str| Found::Foreign { host: host.to_owned() };
        assert_eq!(found_for("unix:///here", ""), Found::Here);
        assert_eq!(
            found_for("unix:///old", r#""Description":"dockbridge of /home/ada""#),
            Found::Own
        );
        let bob = r#""Description":"dockbridge of /home/bob""#;
        assert_eq!(found_for("unix:///there", bob), foreign("unix:///there"));
        assert_eq!(found_for("unix:///there", ""), foreign("unix:///there"));
        assert_eq!(found(b"nonsense", "unix:///here", ""), foreign("another engine"));
    }

    #[test]
    fn a_context_is_removed_only_if_this_home_created_it() {
        let listed = |description: &str| {
            format!(r#"{{"Current":true,"Description":"{description}","Name":"dockbridge"}}"#)
        };
        let mark = "dockbridge of /home/ada";
        assert_eq!(own_name(&listed(mark), mark), Some("dockbridge".to_owned()));
        for other in ["dockbridge of /home/bob", "", "Current DOCKER_HOST based configuration"] {
            assert_eq!(own_name(&listed(other), mark), None);
        }
        assert_eq!(own_name("no JSON", mark), None);
    }
}
