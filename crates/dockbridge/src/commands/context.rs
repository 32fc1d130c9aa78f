//! The docker context of a profile. A context of that name may belong to another home, to another
//! user's tools or to an older place of the socket: only one that leads here, or that this home has
//! made, is changed.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::output::say;
use crate::resolved::Resolved;

/// What is at a context's name.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// It leads to this socket.
    Here,
    /// This home made it, and its socket has another place now.
    Ours,
    /// It leads elsewhere.
    Foreign {
        host: String,
    },
}

/// Makes it. A context is a convenience: that there is no docker client, or that the name is taken,
/// is said and is no failure.
pub fn make(resolved: &Resolved, chosen: Option<&str>) {
    let name = match (chosen, resolved.profile.to_string()) {
        (Some(name), _) => name.to_owned(),
        (None, profile) if profile == "default" => "dockbridge".to_owned(),
        (None, profile) => format!("dockbridge-{profile}"),
    };
    let host = format!("unix://{}", resolved.socket.display());
    let mark = mark(&resolved.paths.owner());
    let made = match inspect(&name, &host, &mark) {
        Found::Here => true,
        Found::Nothing => docker(&["create", &name], &host, &mark),
        Found::Ours => docker(&["update", &name], &host, &mark),
        Found::Foreign { host } => {
            say(&format!(
                "Docker context {name:?} leads to {host}, which is not this profile: it stays as \
                    it \
                 is. `dockbridge init --yes --context {name}-2` makes another."
            ));
            false
        }
    };
    if made {
        say(&format!(
            "Docker context {name:?} leads here: `docker context use {name}` makes it the \
            default."
        ));
    } else {
        say(&format!("Point docker here with: export DOCKER_HOST={host}"));
    }
}

/// By this a home knows its own contexts again.
fn mark(owner: &Path) -> String {
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

/// Reads what docker prints: a list of one.
fn found(told: &[u8], host: &str, mark: &str) -> Found {
    let told: serde_json::Value = serde_json::from_slice(told).unwrap_or_default();
    let there = told[0]["Endpoints"]["docker"]["Host"].as_str().unwrap_or("another engine");
    match told[0]["Metadata"]["Description"].as_str() {
        _ if there == host => Found::Here,
        Some(description) if description == mark => Found::Ours,
        _ => Found::Foreign { host: there.to_owned() },
    }
}

fn docker(verb: &[&str], host: &str, mark: &str) -> bool {
    let status = Command::new("docker")
        .arg("context")
        .args(verb)
        .args(["--description", mark, "--docker", &format!("host={host}")])
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
        let told = |host: &str, description: &str| {
            let metadata = format!(r#""Metadata":{{{description}}}"#);
            let text = format!(r#"[{{{metadata},"Endpoints":{{"docker":{{"Host":"{host}"}}}}}}]"#);
            found(text.as_bytes(), "unix:///here", "dockbridge of /home/ada")
        };
        let foreign = |host: &str| Found::Foreign { host: host.to_owned() };
        assert_eq!(told("unix:///here", ""), Found::Here);
        assert_eq!(told("unix:///old", r#""Description":"dockbridge of /home/ada""#), Found::Ours);
        let bob = r#""Description":"dockbridge of /home/bob""#;
        assert_eq!(told("unix:///there", bob), foreign("unix:///there"));
        assert_eq!(told("unix:///there", ""), foreign("unix:///there"));
        assert_eq!(found(b"nonsense", "unix:///here", ""), foreign("another engine"));
    }
}
