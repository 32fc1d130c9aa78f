//! systemd's unit files for one profile's daemon, as text: a service, and a socket unit for each
//! kind of socket, because a name of descriptors holds for a whole unit. Pure.

use super::recipe::Recipe;

/// The names of a profile's units. No profile has a dot in its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub service: String,
    pub docker: String,
    pub control: String,
    pub tcp: String,
}

impl Names {
    pub fn of(profile: &str) -> Self {
        let stem = match profile {
            "default" => "dockbridge".to_owned(),
            profile => format!("dockbridge-{profile}"),
        };
        Self {
            service: format!("{stem}.service"),
            docker: format!("{stem}.socket"),
            control: format!("{stem}.control.socket"),
            tcp: format!("{stem}.tcp.socket"),
        }
    }

    /// The socket units, installed or not.
    pub fn sockets(&self) -> [&str; 3] {
        [&self.docker, &self.control, &self.tcp]
    }
}

/// A unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    pub name: String,
    pub text: String,
}

/// All units of a profile; the service is the first.
pub fn files(recipe: &Recipe) -> Vec<UnitFile> {
    let names = Names::of(&recipe.profile);
    let tcp: Vec<String> = recipe.tcp.iter().map(ToString::to_string).collect();
    let sockets = [
        (&names.docker, "Docker socket", "docker", vec![path(&recipe.socket)]),
        (&names.control, "Control socket", "control", vec![path(&recipe.control)]),
        (&names.tcp, "Docker endpoint on TCP", "tcp", tcp),
    ];
    let sockets: Vec<UnitFile> = sockets
        .into_iter()
        .filter(|(.., addresses)| !addresses.is_empty())
        .map(|(name, about, descriptor, addresses)| UnitFile {
            name: name.clone(),
            text: socket(recipe, about, descriptor, &addresses, &names.service),
        })
        .collect();
    let text = service(recipe, &sockets);
    [UnitFile { name: names.service, text }].into_iter().chain(sockets).collect()
}

/// Where a socket unit listens.
pub fn listening_paths(unit: &str) -> impl Iterator<Item = String> {
    let values = unit.lines().filter_map(|line| line.strip_prefix("ListenStream="));
    values.map(|value| value.replace("%%", "%"))
}

/// `WatchdogSec` is more than twice the longest step of the supervisor (heartbeat, report and list
/// of containers, 10 s each). A failure that dockbridge itself reports has exit code 1 or 2, and
/// the next client brings the next start. `UMask` and `LimitCORE` protect the token; stricter
/// options take the right to change users from `ssh`, proxies and `hetzner.token_command`.
fn service(recipe: &Recipe, sockets: &[UnitFile]) -> String {
    let words = recipe.arguments.iter().map(|argument| quoted(argument));
    let command: Vec<String> = [quoted(&recipe.program)].into_iter().chain(words).collect();
    let environment: String = recipe
        .environment
        .iter()
        .map(|(name, value)| format!("Environment={}\n", quoted(&format!("{name}={value}"))))
        .collect();
    let sockets: Vec<&str> = sockets.iter().map(|socket| socket.name.as_str()).collect();
    format!(
        "{HEAD}[Unit]\n\
         Description=Docker on a server that exists only while it is used ({profile})\n\
         Documentation=https://github.com/dockbridge/dockbridge\n\
         StartLimitIntervalSec=60\n\
         StartLimitBurst=20\n\
         \n\
         [Service]\n\
         Type=notify\n\
         NotifyAccess=main\n\
         ExecStart=:{command}\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         Environment=\"DOCKBRIDGE_SERVICE=%n\"\n\
         {environment}\
         Sockets={sockets}\n\
         Restart=on-failure\n\
         RestartSec=1\n\
         RestartPreventExitStatus=1 2\n\
         WatchdogSec=120\n\
         TimeoutAbortSec=10\n\
         TimeoutStopSec=60\n\
         KillMode=mixed\n\
         UMask=0077\n\
         LimitCORE=0\n",
        profile = recipe.profile,
        command = command.join(" "),
        sockets = sockets.join(" "),
    )
}

const HEAD: &str = "# Written by `dockbridge service install`, which replaces it.\n";

fn socket(
    recipe: &Recipe,
    about: &str,
    descriptor: &str,
    addresses: &[String],
    service: &str,
) -> String {
    let addresses: String =
        addresses.iter().map(|address| format!("ListenStream={address}\n")).collect();
    format!(
        "{HEAD}[Unit]\n\
         Description={about} of dockbridge ({profile})\n\
         \n\
         [Socket]\n\
         {addresses}\
         FileDescriptorName={descriptor}\n\
         Service={service}\n\
         SocketMode=0600\n\
         DirectoryMode=0700\n\
         \n\
         [Install]\n\
         WantedBy=sockets.target\n",
        profile = recipe.profile,
    )
}

/// A path as the value of an option, where `%` begins a specifier.
fn path(path: &str) -> String {
    path.replace('%', "%%")
}

/// One word of a command line or an environment (systemd.syntax(7)). The `:` before the command
/// keeps `$` as it is.
fn quoted(word: &str) -> String {
    let escaped = path(word).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
#[path = "../../../tests/service/units.rs"]
mod tests;
