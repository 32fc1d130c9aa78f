//! `dockbridge config`: the settings, and whether they are valid.

use std::fmt::Display;
use std::time::Duration;

use daemon::ports::Rule;
use image::Version;

use crate::failure::Outcome;
use crate::output::{complain, say};
use crate::resolved::{GlobalArgs, Resolved, unusable};
use crate::settings::duration::format;
use crate::settings::{Settings, Severity};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print all settings with their values, as YAML; secrets are left out
    Show,
    /// Check the file and the environment
    Validate,
    /// Print where the settings file is
    Path,
}

pub fn run(command: Command, global: &GlobalArgs) -> Outcome {
    if let Command::Path = command {
        let path = match &global.config {
            Some(path) => path.clone(),
            None => crate::paths::Paths::find()
                .map_err(|error| crate::failure::Failure::new(error.to_string()))?
                .settings(),
        };
        say(&path.display().to_string());
        return Ok(());
    }
    let (resolved, problems) = Resolved::read(global)?;
    let (refused, warned): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.severity == Severity::Refused);
    warned.iter().for_each(|problem| complain(&format!("Warning: {problem}")));
    if let Command::Show = command {
        say(show(&resolved).trim_end());
    }
    if !refused.is_empty() {
        return Err(unusable(&refused));
    }
    if let Command::Validate = command {
        let state = match resolved.settings_file.exists() {
            true => "is valid",
            false => "does not exist: dockbridge uses its defaults",
        };
        say(&format!("{} {state}.", resolved.settings_file.display()));
    }
    Ok(())
}

/// Settings as YAML. Values that are not set stand in comments.
struct Yaml(String);

impl Yaml {
    fn section(&mut self, name: &str) {
        self.0.push_str(&format!("{name}:\n"));
    }

    fn set(&mut self, key: &str, value: impl Display) {
        self.0.push_str(&format!("  {key}: {value}\n"));
    }

    fn set_or(&mut self, key: &str, value: Option<impl Display>, otherwise: &str) {
        match value {
            Some(value) => self.set(key, value),
            None => self.0.push_str(&format!("  # {key}: {otherwise}\n")),
        }
    }
}

fn patience(timeout: Option<Duration>) -> String {
    timeout.map_or_else(|| "none".to_owned(), format)
}

/// Formats millionths as an amount.
fn amount(micros: u64) -> String {
    format!("{}.{:02}", micros / 1_000_000, micros % 1_000_000 / 10_000)
}

fn list(names: &[String]) -> String {
    format!("[{}]", names.join(", "))
}

fn rules(rules: &[Rule]) -> String {
    list(&rules.iter().map(|rule| format!("{:?}", rule.to_string())).collect::<Vec<_>>())
}

const NOT_SET: &str = "not set";

fn show(resolved: &Resolved) -> String {
    let settings = &resolved.settings;
    let mut yaml = Yaml(String::new());
    yaml.section("machine");
    yaml.set_or("provider", settings.machine.provider, NOT_SET);
    show_hetzner(resolved, &mut yaml);
    yaml.section("docker");
    yaml.set("socket_path", resolved.socket.display());
    yaml.set_or("proxy_port", settings.docker.proxy_port, "none");
    show_activity(settings, &mut yaml);
    yaml.section("lock");
    yaml.set("action", settings.lock.action);
    yaml.set("grace", format(settings.lock.grace));
    yaml.section("keepalive");
    yaml.set("interval", format(settings.keepalive.interval));
    yaml.set("timeout", format(settings.keepalive.timeout));
    yaml.set("self_destruct", settings.keepalive.self_destruct);
    show_ssh(resolved, &mut yaml);
    yaml.section("ports");
    yaml.set("enabled", settings.ports.enabled);
    yaml.set("bind", settings.ports.bind);
    yaml.set("on_conflict", settings.ports.on_conflict);
    yaml.set("include", rules(&settings.ports.include));
    yaml.set("exclude", rules(&settings.ports.exclude));
    yaml.section("gateway");
    yaml.set("bind_mounts", settings.gateway.bind_mounts);
    show_image(settings, &mut yaml);
    yaml.section("logging");
    yaml.set("level", &settings.logging.level);
    yaml.set("json", settings.logging.json);
    yaml.0
}

fn show_hetzner(resolved: &Resolved, yaml: &mut Yaml) {
    let hetzner = &resolved.settings.hetzner;
    yaml.section("hetzner");
    let hidden = None::<&str>;
    match (&hetzner.api_token, &hetzner.token_command) {
        (Some(_), _) => yaml.set_or("api_token", hidden, "set, not shown"),
        (None, Some(command)) => yaml.set("token_command", format_args!("{command:?}")),
        (None, None) if resolved.kept_token_file().is_some() => {
            yaml.set_or("api_token", hidden, "saved by init, not shown");
        }
        (None, None) => yaml.set_or("api_token", hidden, NOT_SET),
    }
    yaml.set("server_types", list(&hetzner.server_types));
    yaml.set("locations", list(&hetzner.locations));
    yaml.set("image", &hetzner.image);
    yaml.set("volume_size", hetzner.volume_size);
    yaml.set("endpoint", resolved.endpoint());
}

fn show_activity(settings: &Settings, yaml: &mut Yaml) {
    let activity = &settings.activity;
    yaml.section("activity");
    yaml.set("idle_timeout", patience(activity.idle_timeout));
    yaml.set("connection_timeout", patience(activity.connection_timeout));
    yaml.set("grace_period", format(activity.grace_period));
    yaml.set("containers", activity.containers);
    yaml.set("keep_paid_hour", activity.keep_paid_hour);
    yaml.set("resume", activity.resume);
    yaml.set("max_lifetime", patience(activity.max_lifetime));
    yaml.set("budget", activity.budget.map_or_else(|| "none".to_owned(), amount));
}

fn show_ssh(resolved: &Resolved, yaml: &mut Yaml) {
    let ssh = &resolved.settings.ssh;
    let key = ssh.private_key_path.clone().unwrap_or_else(|| resolved.paths.private_key());
    yaml.section("ssh");
    yaml.set("private_key_path", key.display());
    yaml.set_or("host", ssh.host.as_ref().map(|host| format!("{host:?}")), NOT_SET);
    yaml.set_or("remote_socket", ssh.remote_socket.as_ref().map(|path| path.display()), NOT_SET);
    let hosts = resolved.port_check().hosts;
    yaml.set("port_check", if hosts.is_empty() { "none".to_owned() } else { list(&hosts) });
}

fn show_image(settings: &Settings, yaml: &mut Yaml) {
    let image = &settings.image;
    yaml.section("image");
    yaml.set_or("name", image.name.as_ref(), NOT_SET);
    yaml.set_or("talos_version", image.talos_version.as_ref().map(Version::as_str), NOT_SET);
    let schematic = image.schematic.as_ref().map(|schematic| format!("{schematic:?}"));
    yaml.set_or("schematic", schematic, NOT_SET);
    let server_types = Some(&image.server_types).filter(|types| !types.is_empty());
    yaml.set_or("server_types", server_types.map(|types| list(types)), NOT_SET);
    yaml.set("factory", &image.factory);
    yaml.set("rescue_timeout", format(image.rescue_timeout));
    yaml.set("stall_timeout", format(image.stall_timeout));
}
