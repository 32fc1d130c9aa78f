//! Finds the paths of the engine's host in bodies of the Engine API: bind mounts in both forms, and
//! options of volume drivers that are bind mounts by another name.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::endpoint::BodyPaths;

/// The label with which devcontainers name their project.
const DEVCONTAINER: &str = "devcontainer.local_folder"; // words: allow

/// A path in a body.
pub(crate) struct Source<'a> {
    place: Place<'a>,
    pub(crate) syntax: Syntax,
    /// The mount point in the container.
    pub(crate) target: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// `source:destination[:options]`
    Bind,
    /// `{"Type": "bind", "Source": …}`
    Mount { read_only: bool },
    /// In the options of the volume driver `local`, which hands them to mount(2).
    Driver,
}

/// Where in a JSON string the path stands.
enum Place<'a> {
    /// Before the first colon.
    Front(&'a mut Value),
    /// It is the whole string.
    Whole(&'a mut Value),
    /// Among other options. It cannot be replaced.
    Within(String),
}

impl Source<'_> {
    /// `None` if the text is no path.
    pub(crate) fn path(&self) -> Option<String> {
        let text = match &self.place {
            Place::Front(bind) => bind.as_str()?.split_once(':')?.0,
            Place::Whole(source) => source.as_str()?,
            Place::Within(path) => path,
        };
        // A volume driver takes any text for a path. Elsewhere a text that is not absolute is the
        // name of a volume, or no mount at all.
        let is_path = text.starts_with('/') || (self.syntax == Syntax::Driver && !text.is_empty());
        is_path.then(|| text.to_owned())
    }

    /// `false` if the path cannot be replaced.
    pub(crate) fn replace(&mut self, path: &str) -> bool {
        match &mut self.place {
            Place::Front(bind) => {
                let rest = bind
                    .as_str()
                    .and_then(|text| text.split_once(':'))
                    .map_or(String::new(), |(_, rest)| format!(":{rest}"));
                **bind = Value::String(format!("{path}{rest}"));
            }
            Place::Whole(source) => **source = Value::String(path.to_owned()),
            Place::Within(_) => return false,
        }
        true
    }
}

/// Where a new container comes from, by its labels.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    /// It belongs to a compose project.
    pub(crate) compose: bool,
    /// Project directories on this computer.
    pub(crate) projects: Vec<PathBuf>,
}

/// The labels of a container, a service or a volume.
pub(crate) fn labels(paths: BodyPaths, body: &Value) -> Labels {
    let mut found = Labels::default();
    let labeled: Vec<&Value> = match paths {
        BodyPaths::Container | BodyPaths::Volume => vec![body],
        BodyPaths::Service => fields(body, "TaskTemplate")
            .flat_map(|template| fields(template, "ContainerSpec"))
            .collect(),
    };
    let labels = labeled
        .into_iter()
        .flat_map(|value| fields(value, "Labels"))
        .filter_map(Value::as_object)
        .flatten();
    for (name, value) in labels {
        let Some(value) = value.as_str() else { continue };
        match name.as_str() {
            "com.docker.compose.project" => found.compose = true,
            "com.docker.compose.project.working_dir" | DEVCONTAINER => {
                found.projects.push(value.into())
            }
            "com.docker.compose.project.config_files" => {
                let directories =
                    value.split(',').filter_map(|file| std::path::Path::new(file).parent());
                found.projects.extend(directories.map(PathBuf::from));
            }
            _ => {}
        }
    }
    found.projects.retain(|directory| directory.is_absolute());
    found
}

/// All paths in a body.
pub(crate) fn sources(paths: BodyPaths, body: &mut Value) -> Vec<Source<'_>> {
    let specs: Vec<&mut Value> = match paths {
        BodyPaths::Container => fields_mut(body, "HostConfig").collect(),
        BodyPaths::Service => fields_mut(body, "TaskTemplate")
            .flat_map(|template| fields_mut(template, "ContainerSpec"))
            .collect(),
        BodyPaths::Volume => return of_driver(body, "Driver", "DriverOpts"),
    };
    let mut sources = Vec::new();
    for spec in specs {
        for (name, list) in spec.as_object_mut().into_iter().flatten() {
            let list = list.as_array_mut().into_iter().flatten();
            if name.eq_ignore_ascii_case("Binds") {
                sources.extend(list.map(|bind| {
                    let target =
                        bind.as_str().and_then(|text| text.split(':').nth(1)).map(str::to_owned);
                    Source { place: Place::Front(bind), syntax: Syntax::Bind, target }
                }));
            } else if name.eq_ignore_ascii_case("Mounts") {
                sources.extend(list.flat_map(of_mount));
            }
        }
    }
    sources
}

fn of_mount(mount: &mut Value) -> Vec<Source<'_>> {
    let text = |name| fields(mount, name).find_map(Value::as_str);
    let (kind, target) =
        (text("Type").unwrap_or_default().to_ascii_lowercase(), text("Target").map(str::to_owned));
    let read_only = fields(mount, "ReadOnly").any(|value| value == &Value::Bool(true));
    match kind.as_str() {
        "bind" => {
            let source = |value| Source {
                place: Place::Whole(value),
                syntax: Syntax::Mount { read_only },
                target: target.clone(),
            };
            fields_mut(mount, "Source").map(source).collect()
        }
        "volume" => fields_mut(mount, "VolumeOptions")
            .flat_map(|options| fields_mut(options, "DriverConfig"))
            .flat_map(|driver| of_driver(driver, "Name", "Options"))
            .collect(),
        _ => Vec::new(),
    }
}

/// The driver `local` mounts by its options as mount(8) does: a bind mount, or an overlay of
/// directories.
fn of_driver<'a>(
    volume: &'a mut Value,
    driver: &'static str,
    options: &'static str,
) -> Vec<Source<'a>> {
    // The default driver.
    let is_local = fields(volume, driver)
        .filter_map(Value::as_str)
        .all(|name| name.is_empty() || name == "local");
    if !is_local {
        return Vec::new();
    }
    fields_mut(volume, options).filter_map(Value::as_object_mut).flat_map(of_options).collect()
}

fn of_options(options: &mut Map<String, Value>) -> Vec<Source<'_>> {
    let text = |name: &str| options.get(name).and_then(Value::as_str).unwrap_or_default();
    let (kind, flags): (&str, Vec<&str>) =
        (text("type"), text("o").split(',').map(str::trim).collect());
    let source = |place| Source { place, syntax: Syntax::Driver, target: None };
    if kind == "bind" || flags.iter().any(|flag| matches!(*flag, "bind" | "rbind")) {
        return options.get_mut("device").map(Place::Whole).map(source).into_iter().collect();
    }
    if kind != "overlay" {
        return Vec::new();
    }
    let directories = flags
        .iter()
        .filter_map(|flag| flag.split_once('='))
        .filter(|(name, _)| matches!(*name, "lowerdir" | "upperdir" | "workdir"));
    let directories = directories
        .flat_map(|(_, directories)| directories.split(':'))
        .map(|directory| Place::Within(directory.to_owned()));
    directories.map(source).collect()
}

/// Fields of this name in any case, as Go reads JSON, to be changed.
pub(crate) fn fields_mut<'a>(
    value: &'a mut Value,
    name: &'static str,
) -> impl Iterator<Item = &'a mut Value> {
    value
        .as_object_mut()
        .into_iter()
        .flatten()
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// Fields of this name in any case, as Go reads JSON.
pub(crate) fn fields<'a>(value: &'a Value, name: &'static str) -> impl Iterator<Item = &'a Value> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}
