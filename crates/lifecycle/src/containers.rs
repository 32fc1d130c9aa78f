//! Whether running containers keep a machine: by a label of their own, else by the user's setting.
//! Pure. It knows no engine: names and labels come in as arguments.

use serde::{Deserialize, Serialize};

/// A container with this label keeps the machine.
const KEEP: &str = "dockbridge.keep";
/// A container with this label does not count: a proxy or a database beside what is worked on.
const IGNORE: &str = "dockbridge.ignore";

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// How it counts.
    pub counts: Counts,
}

/// How a running container counts, by its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// As the user's setting says.
    AsSet,
    /// It keeps the machine while it runs, also while the screen is locked.
    Always,
    /// It does not keep the machine, whatever the setting says.
    Never,
}

impl Counts {
    /// By the values of a container's labels, which `value` finds by their names. Of two labels
    /// that contradict each other the one that keeps the machine counts.
    pub fn by_labels<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Self {
        let is_set = |label| value(label).is_some_and(|value| !is_false(value));
        match (is_set(KEEP), is_set(IGNORE)) {
            (true, _) => Self::Always,
            (false, true) => Self::Never,
            (false, false) => Self::AsSet,
        }
    }
}

fn is_false(value: &str) -> bool {
    ["false", "no", "0", "off"].iter().any(|word| value.trim().eq_ignore_ascii_case(word))
}

/// Whether running containers keep a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Containers {
    /// As silent connections do: for `connection_timeout` after the last activity.
    #[default]
    Timeout,
    /// While they run.
    Keep,
    /// No, except those with the label `dockbridge.keep`.
    Ignore,
}

/// Containers that keep a machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Human-readable.
    pub(crate) what: String,
    /// For how long.
    pub(crate) lasts: Lasts,
}

/// How long containers keep a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasts {
    /// While they run, also while the screen is locked.
    Always,
    /// While they run.
    Running,
    /// As long as a silent connection does.
    Timeout,
}

/// What keeps a machine on behalf of these running containers.
pub(crate) fn claims(running: &[Container], setting: Containers) -> Vec<Claim> {
    let labeled = running.iter().filter(|container| container.counts == Counts::Always);
    let mut claims: Vec<Claim> = labeled
        .map(|container| Claim {
            what: format!("container {} has the label {KEEP}", container.name),
            lasts: Lasts::Always,
        })
        .collect();
    let lasts = match setting {
        Containers::Timeout => Some(Lasts::Timeout),
        Containers::Keep => Some(Lasts::Running),
        Containers::Ignore => None,
    };
    let counted = running.iter().filter(|container| container.counts != Counts::Never);
    let names: Vec<&str> = counted.map(|container| container.name.as_str()).collect();
    claims.extend(lasts.zip(are_running(&names)).map(|(lasts, what)| Claim { what, lasts }));
    claims
}

fn are_running(names: &[&str]) -> Option<String> {
    match names {
        [] => None,
        [one] => Some(format!("container {one} is running")),
        [first, second] => Some(format!("containers {first} and {second} are running")),
        [first, second, rest @ ..] => {
            Some(format!("containers {first}, {second} and {} more are running", rest.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labeled(labels: &[(&str, &'static str)]) -> Counts {
        Counts::by_labels(|name| {
            labels.iter().find(|(label, _)| *label == name).map(|(_, value)| *value)
        })
    }

    #[test]
    fn label_counts_unless_it_is_false() {
        assert_eq!(labeled(&[(KEEP, "")]), Counts::Always);
        assert_eq!(labeled(&[(KEEP, "true")]), Counts::Always);
        assert_eq!(labeled(&[(KEEP, " False ")]), Counts::AsSet);
        assert_eq!(labeled(&[("com.example", "true")]), Counts::AsSet);
        assert_eq!(labeled(&[(IGNORE, "")]), Counts::Never);
        assert_eq!(labeled(&[(IGNORE, "no")]), Counts::AsSet);
        assert_eq!(labeled(&[(IGNORE, ""), (KEEP, "")]), Counts::Always);
        assert_eq!(labeled(&[(IGNORE, ""), (KEEP, "false")]), Counts::Never);
    }

    #[test]
    fn each_container_keeps_the_machine_by_its_label_or_by_the_setting() {
        let running = [("db", Counts::AsSet), ("train", Counts::Always)]
            .map(|(name, counts)| Container { name: name.to_owned(), counts });
        let claims = |setting| -> Vec<(String, Lasts)> {
            super::claims(&running, setting)
                .into_iter()
                .map(|claim| (claim.what, claim.lasts))
                .collect()
        };
        let labeled = ("container train has the label dockbridge.keep".to_owned(), Lasts::Always);
        let both = "containers db and train are running".to_owned();
        assert_eq!(claims(Containers::Timeout), [labeled.clone(), (both.clone(), Lasts::Timeout)]);
        assert_eq!(claims(Containers::Keep), [labeled.clone(), (both, Lasts::Running)]);
        assert_eq!(claims(Containers::Ignore), [labeled]);
        assert!(super::claims(&[], Containers::Keep).is_empty());
    }

    #[test]
    fn ignored_container_keeps_no_machine_and_is_not_named() {
        let ignored = Container { name: "proxy".to_owned(), counts: Counts::Never };
        let web = Container { name: "web".to_owned(), counts: Counts::AsSet };
        let both = [ignored.clone(), web];
        assert!(claims(&[ignored], Containers::Keep).is_empty());
        assert_eq!(claims(&both, Containers::Keep)[0].what, "container web is running");
    }
}
