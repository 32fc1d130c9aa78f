//! The columns of the table of endpoints: what the gateway may do with a request beside passing it
//! on. The rows stand in `table`.

use lifecycle::Kind;

/// One row: a method and a path of the Engine API, with how its requests are treated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    /// `*` for any.
    pub(crate) method: &'static str,
    /// The path without its version. `{id}` stands for one segment, `{name..}` for one or more:
    /// names of images and plugins contain slashes.
    pub(crate) pattern: &'static str,
    /// What kind of activity it is at its beginning.
    pub(crate) kind: Kind,
    /// What kind it is once its response has begun and lasts, or the connection is taken over.
    pub(crate) lasting_kind: Kind,
    /// Whether it counts as activity and wakes a machine, and what answers it without a machine.
    pub(crate) without_machine: WithoutMachine,
    /// Whether it has a connection for big transfers.
    pub(crate) bulk: Bulk,
    /// Whether its response ends only when a user or a container says so. Silence is then no sign
    /// of work.
    pub(crate) lasts: Lasts,
    /// The engine may take the connection over as a raw stream, with or without an `Upgrade`
    /// header.
    pub(crate) hijack: bool,
    /// Its lasting response may be relayed.
    pub(crate) relays: bool,
    /// What it does to published ports.
    pub(crate) ports: PortsEffect,
    /// Where its body names directories of the engine's host.
    pub(crate) paths: Option<BodyPaths>,
    /// It brings images or files onto the engine's disk.
    pub(crate) fills: bool,
    /// Its response has a place for progress lines while a machine is awaited.
    pub(crate) progress: Option<Progress>,
}

/// Whether a request counts as activity and wakes a machine, and what answers it without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithoutMachine {
    /// It is activity, and wakes a machine.
    Wake,
    /// It reads: it is activity and wakes a machine, unless the client polls. A poll is no
    /// activity, wakes nothing, and gets the engine's last response.
    Stale(Stale),
    /// It is no activity. The engine's last `_ping` answers it, with or without a machine.
    Ping,
    /// It is no activity. The engine's last `version` answers it, with or without a machine.
    Version,
    /// It is no activity and wakes nothing. Its stream stays open over the lives of several
    /// engines.
    Follow,
}

/// How the last response to a read is changed once the machine is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// Not at all.
    AsIs,
    /// Not at all. A list that was never read is empty.
    List,
    /// Not at all. A list of volumes that was never read is empty.
    Volumes,
    /// A list of containers, of which none runs any more.
    Containers,
    /// A container that runs no more.
    Container,
    /// `info`, with counts of containers.
    Info,
    /// `system/df`, with a list of containers.
    DiskUsage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bulk {
    No,
    Yes,
    /// If the query has this parameter.
    With(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasts {
    No,
    Yes,
    /// If this parameter of the query is true.
    If(&'static str),
    /// Unless this parameter of the query is false.
    Unless(&'static str),
}

/// What a request does to published ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortsEffect {
    None,
    /// Starts the container `{id}`.
    Start,
    /// Ends the container `{id}`.
    End,
    /// Waits for the end of the container `{id}`.
    Wait,
    /// Shows the ports of the container `{id}`.
    Show,
    /// Shows the ports of all containers.
    List,
}

/// Where a body names directories of the engine's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyPaths {
    /// In `HostConfig`
    Container,
    /// In `TaskTemplate.ContainerSpec`
    Service,
    /// In `DriverOpts`
    Volume,
}

/// A response that is read by a user line by line, as its query says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// With `fromImage`. An import prints nothing but the new id.
    Pull,
    Push,
    /// With `quiet=0`. A quiet load prints nothing but names, and scripts read them.
    Load,
    /// Without `q=1`, which prints nothing but an id, and without `version=2`: BuildKit's lines
    /// have a form of their own.
    Build,
}

/// The form of progress lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// `{"status": …}`: pull, push, load
    Status,
    /// `{"stream": …}`: the classic builder
    Stream,
}

impl Endpoint {
    /// An ordinary request: a short one that passes as it is.
    pub(crate) const fn on(method: &'static str, pattern: &'static str) -> Self {
        Self {
            method,
            pattern,
            kind: Kind::Command,
            lasting_kind: Kind::Stream,
            without_machine: WithoutMachine::Wake,
            bulk: Bulk::No,
            lasts: Lasts::No,
            hijack: false,
            relays: false,
            ports: PortsEffect::None,
            paths: None,
            fills: false,
            progress: None,
        }
    }

    pub(crate) const fn kind(self, kind: Kind) -> Self {
        Self { kind, lasting_kind: kind, ..self }
    }

    pub(crate) const fn watched(self) -> Self {
        Self { lasting_kind: Kind::Watch, ..self }
    }

    pub(crate) const fn without_machine(self, without_machine: WithoutMachine) -> Self {
        Self { without_machine, ..self }
    }

    pub(crate) const fn stale(self, stale: Stale) -> Self {
        self.without_machine(WithoutMachine::Stale(stale))
    }

    pub(crate) const fn bulk(self, bulk: Bulk) -> Self {
        Self { bulk, ..self }
    }

    pub(crate) const fn lasts(self, lasts: Lasts) -> Self {
        Self { lasts, ..self }
    }

    pub(crate) const fn relays(self) -> Self {
        Self { relays: true, ..self }
    }

    pub(crate) const fn hijack(self) -> Self {
        Self { hijack: true, lasts: Lasts::Yes, ..self }
    }

    pub(crate) const fn ports(self, ports: PortsEffect) -> Self {
        Self { ports, ..self }
    }

    pub(crate) const fn paths(self, paths: BodyPaths) -> Self {
        Self { paths: Some(paths), ..self }
    }

    pub(crate) const fn fills(self) -> Self {
        Self { fills: true, ..self }
    }

    pub(crate) const fn progress(self, progress: Progress) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// Whether the pattern matches a path; if so, the segment that stands for `{id}`.
    pub(crate) fn matches<'a>(&self, segments: &[&'a str]) -> Option<Option<&'a str>> {
        let (mut rest, mut id) = (segments, None);
        let mut parts = self.pattern.split('/');
        while let Some(part) = parts.next() {
            if part == "{name..}" {
                let behind = parts.clone().count();
                let name = rest.len().checked_sub(behind).filter(|length| *length > 0)?;
                rest = &rest[name..];
                continue;
            }
            let (segment, behind) = rest.split_first()?;
            if part == "{id}" {
                id = id.or(Some(*segment));
            } else if part != *segment {
                return None;
            }
            rest = behind;
        }
        rest.is_empty().then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched<'a>(pattern: &'static str, path: &'a str) -> Option<Option<&'a str>> {
        Endpoint::on("GET", pattern).matches(&path.split('/').collect::<Vec<_>>())
    }

    #[test]
    fn pattern_matches_whole_paths_and_captures_the_id() {
        assert_eq!(matched("info", "info"), Some(None));
        assert_eq!(matched("info", "info/x"), None);
        assert_eq!(matched("containers/{id}/json", "containers/web/json"), Some(Some("web")));
        assert_eq!(matched("containers/{id}/json", "containers/a/b/json"), None);
        assert_eq!(matched("containers/{id}", "containers"), None);
    }

    #[test]
    fn names_may_contain_slashes() {
        for path in ["images/a/push", "images/registry.example:5000/a/b/push"] {
            assert_eq!(matched("images/{name..}/push", path), Some(None), "{path}");
        }
        for path in ["images/push", "images/a/b", "images"] {
            assert_eq!(matched("images/{name..}/push", path), None, "{path}");
        }
        assert_eq!(matched("images/{name..}", "images/a/b"), Some(None));
    }
}
