//! Where bodies of the Engine API name paths of the engine's host: bind mounts in both forms, and
//! options of volume drivers that are bind mounts by another name.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::rules::endpoints::Binds;

/// A path in a body, and how it stands there.
pub(crate) struct Source<'a> {
    place: Place<'a>,
    pub(crate) syntax: Syntax,
    /// Where the container sees it.
    pub(crate) target: Option<String>,
}

/// In which form it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// `source:destination[:options]`
    Bind,
    /// `{"Type": "bind", "Source": …}`
    Mount { read_only: bool },
    /// In the options of the volume driver `local`, which hands them to mount(2).
    Driver,
}

enum Place<'a> {
    /// `source:destination[:options]`
    Front(&'a mut Value),
    /// The whole text.
    Whole(&'a mut Value),
    /// Among other options.
    Within(String),
}

impl Source<'_> {
    /// The path, if it is one.
    pub(crate) fn path(&self) -> Option<String> {
        let text = match &self.place {
            Place::Front(bind) => bind.as_str()?.split_once(':')?.0,
            Place::Whole(source) => source.as_str()?,
            Place::Within(path) => path,
        };
        // A volume driver takes any text for a path. Elsewhere, text that is not absolute is the
        // name of a volume, or no mount at all.
        let is_path = text.starts_with('/') || (self.syntax == Syntax::Driver && !text.is_empty());
        is_path.then(|| text.to_owned())
    }

    /// Another path instead. `false` where none can stand.
    pub(crate) fn becomes(&mut self, path: &str) -> bool {
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

/// What the labels of a new container tell of where it comes from.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    /// It is of a compose project.
    pub(crate) compose: bool,
    /// Directories of this computer with a project in them.
    pub(crate) projects: Vec<PathBuf>,
}

/// The labels of a container, a service or a volume.
pub(crate) fn labels(binds: Binds, body: &Value) -> Labels {
    let mut told = Labels::default();
    let labelled: Vec<&Value> = match binds {
        Binds::Container | Binds::Volume => vec![body],
        Binds::Service => seen(body, "TaskTemplate")
            .flat_map(|template| seen(template, "ContainerSpec"))
            .collect(),
    };
    let labels = labelled
        .into_iter()
        .flat_map(|value| seen(value, "Labels"))
        .filter_map(Value::as_object)
        .flatten();
    for (name, value) in labels {
        let Some(value) = value.as_str() else { continue };
        match name.as_str() {
            "com.docker.compose.project" => told.compose = true,
            "com.docker.compose.project.working_dir" | "devcontainer.local_folder" => {
                told.projects.push(value.into())
            }
            "com.docker.compose.project.config_files" => {
                let folders =
                    value.split(',').filter_map(|file| std::path::Path::new(file).parent());
                told.projects.extend(folders.map(PathBuf::from));
            }
            _ => {}
        }
    }
    told.projects.retain(|folder| folder.is_absolute());
    told
}

/// All paths in a body.
pub(crate) fn sources(binds: Binds, body: &mut Value) -> Vec<Source<'_>> {
    let specs: Vec<&mut Value> = match binds {
        Binds::Container => fields(body, "HostConfig").collect(),
        Binds::Service => fields(body, "TaskTemplate")
            .flat_map(|template| fields(template, "ContainerSpec"))
            .collect(),
        Binds::Volume => return of_driver(body, "Driver", "DriverOpts"),
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
    let text = |name| seen(mount, name).find_map(Value::as_str);
    let (kind, target) =
        (text("Type").unwrap_or_default().to_ascii_lowercase(), text("Target").map(str::to_owned));
    let read_only = seen(mount, "ReadOnly").any(|value| value == &Value::Bool(true));
    match kind.as_str() {
        "bind" => {
            let source = |value| Source {
                place: Place::Whole(value),
                syntax: Syntax::Mount { read_only },
                target: target.clone(),
            };
            fields(mount, "Source").map(source).collect()
        }
        "volume" => fields(mount, "VolumeOptions")
            .flat_map(|options| fields(options, "DriverConfig"))
            .flat_map(|driver| of_driver(driver, "Name", "Options"))
            .collect(),
        _ => Vec::new(),
    }
}

/// The driver `local` mounts what its options say, as mount(8) does: a bind mount, or layers of
/// directories.
fn of_driver<'a>(
    volume: &'a mut Value,
    driver: &'static str,
    options: &'static str,
) -> Vec<Source<'a>> {
    // It is the one that is taken where none is named.
    let is_local = seen(volume, driver)
        .filter_map(Value::as_str)
        .all(|name| name.is_empty() || name == "local");
    if !is_local {
        return Vec::new();
    }
    fields(volume, options).filter_map(Value::as_object_mut).flat_map(of_options).collect()
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
    let folders = flags
        .iter()
        .filter_map(|flag| flag.split_once('='))
        .filter(|(name, _)| matches!(*name, "lowerdir" | "upperdir" | "workdir"));
    let folders = folders
        .flat_map(|(_, folders)| folders.split(':'))
        .map(|folder| Place::Within(folder.to_owned()));
    folders.map(source).collect()
}

/// Fields of this name in any case, as Go reads JSON.
pub(crate) fn fields<'a>(
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

/// The same, to be read.
pub(crate) fn seen<'a>(value: &'a Value, name: &'static str) -> impl Iterator<Item = &'a Value> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}
