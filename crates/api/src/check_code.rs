//! The registry of the checks of `dockbridge doctor`: each stable code with what it depends on, how
//! long it may take, why it fails and what the user can do. A code keeps its meaning forever; new
//! ones are added. `docs/doctor.md` is generated from it.

use std::time::Duration;

/// What the registry says about a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckEntry {
    /// The subject, in a few words.
    pub title: &'static str,
    /// Checks that have to succeed first. While one of them fails, this one is not run.
    pub depends_on: &'static [CheckCode],
    /// A check without a result after this time has failed.
    pub ceiling: Duration,
    /// What is checked.
    pub about: &'static str,
    /// Why it fails, without the names of the case.
    pub cause: &'static str,
    /// What the user can do.
    pub cure: &'static str,
}

/// Declares the checks: `Variant = "code", seconds, [depends on], title, about, cause, cure;`. A
/// check stands after those that it depends on.
macro_rules! checks {
    ($($variant:ident = $word:literal, $ceiling:literal, [$($other:ident),*],
        $title:literal, $about:literal, $cause:literal, $cure:literal;)+) => {
        words! {
            /// A stable code of a check.
            pub enum CheckCode {
                $(#[doc = $title] $variant = $word,)+
            }
        }

        impl CheckCode {
            /// What the registry says about it.
            pub const fn entry(self) -> CheckEntry {
                match self {
                    $(Self::$variant => CheckEntry {
                        title: $title,
                        depends_on: &[$(CheckCode::$other),*],
                        ceiling: Duration::from_secs($ceiling),
                        about: $about,
                        cause: $cause,
                        cure: $cure,
                    },)+
                }
            }
        }
    };
}

checks! {
    Settings = "settings", 5, [],
        "Settings",
        "The settings file and the environment are valid.",
        "A setting has no such name, or a value that it cannot have.",
        "Change the setting at the place that the message names.";
    Files = "files", 5, [],
        "Files",
        "Only the user can read dockbridge's files, and dockbridge can write them.",
        "A copy, a backup or another program changed the mode, or the disk is read-only.",
        "Run `dockbridge doctor --fix`, which restores the modes.";
    Token = "token", 15, [],
        "Token",
        "There is an API token that can be sent, and where it comes from.",
        "No token was saved, its command fails, or a copy has foreign characters.",
        "Create a token with Read & Write in the Hetzner Cloud console and run `dockbridge init`.";
    NameLookup = "name_lookup", 10, [],
        "Name lookup",
        "The name of the API, or of the proxy before it, has an address.",
        "This computer is offline, its DNS does not answer, or the name is wrong.",
        "Check the network, and that `hetzner.endpoint` or HCLOUD_ENDPOINT is the API's address.";
    Https = "https", 10, [NameLookup],
        "HTTPS",
        "The API, or the proxy before it, accepts connections from this network.",
        "A firewall blocks the port, or nothing listens there.",
        "Use another network, or check HTTPS_PROXY, `hetzner.endpoint` and HCLOUD_ENDPOINT.";
    Api = "api", 20, [Token, Https],
        "API",
        "The Hetzner API answers and accepts the token.",
        "The token was deleted, a login page answers in place of the API, or the API is down.",
        "Create another token in the Hetzner Cloud console and run `dockbridge init`.";
    TokenWrites = "token_writes", 20, [Api],
        "Write access",
        "The token may write. Nothing is created: the API refuses a request without a name.",
        "The token was created with Read only.",
        "Create a token with Read & Write in the Hetzner Cloud console and run `dockbridge init`.";
    Clock = "clock", 20, [Token, Https],
        "Clock",
        "This computer's clock differs by less than 5 minutes from the dates of the API's answers.",
        "The clock was never set, or its battery is empty.",
        "Run `timedatectl set-ntp true`, which sets the clock by the network.";
    SshPort = "ssh_port", 20, [Https],
        "TCP port 22",
        "This network lets TCP 22 out. The machine is asked if one exists; else the hosts of \
            `ssh.port_check`, whose names the result has. Only the greeting of an SSH server is \
            read.",
        "A firewall of this network blocks SSH, so dockbridge cannot reach any machine.",
        "Use another network or a VPN, or have outgoing TCP port 22 opened.";
    ServerTypes = "server_types", 20, [Api],
        "Server types",
        "The cloud has the server types and locations of the settings, and one of them in stock.",
        "A name is misspelled or no longer sold, or all of them are out of stock.",
        "Change `hetzner.server_types` or `hetzner.locations`.";
    RateLimit = "rate_limit", 20, [Api],
        "Rate limit",
        "The project has requests left. The API does not report other limits of a project.",
        "Other programs use the same project, or dockbridge created many machines.",
        "Wait: the budget of an hour refills steadily.";
    Orphans = "orphans", 20, [Api],
        "Orphans",
        "No orphan is in the cloud project.",
        "A computer lost its connection or its power while it created or deleted something.",
        "Run `dockbridge sweep --yes`, which removes them.";
    Volumes = "volumes", 20, [Api],
        "Volumes",
        "Which volumes have no machine, and what they cost.",
        "A volume outlives its machine, so that the next one has the same data.",
        "Delete a volume that is not needed any more with `dockbridge volume delete`.";
    DockerClient = "docker_client", 10, [],
        "Docker client",
        "There is a docker command, its version, and the version of the Engine API it speaks.",
        "Docker's command line is not installed, or is not in the search path.",
        "Install the package docker-ce-cli or docker-cli; the engine is not needed.";
    DockerContext = "docker_context", 10, [DockerClient],
        "Docker context",
        "Which engine docker commands use: by DOCKER_HOST, DOCKER_CONTEXT or the current context.",
        "A variable or another context has precedence, or the socket has moved.",
        "Run `docker context use` with the context of this profile, and unset DOCKER_HOST.";
    Socket = "socket", 10, [],
        "Socket",
        "The Docker socket of the profile is there, and dockbridge serves it.",
        "The daemon was killed, or another program uses the path.",
        "Run `dockbridge start`.";
    Service = "service", 10, [],
        "Service",
        "The service of the profile is installed and active.",
        "It was never installed, or its daemon has failed.",
        "Run `dockbridge service install`; the first docker command then starts the daemon.";
    Versions = "versions", 10, [],
        "Versions",
        "The daemon runs this program, and the machine's agent speaks its protocol.",
        "dockbridge was updated while a daemon or a machine was running.",
        "Restart the daemon: `dockbridge stop` and `dockbridge start`.";
    Agent = "agent", 10, [],
        "Agent",
        "There is an agent for each architecture of `hetzner.server_types`.",
        "Only the program was copied, not the agents beside it.",
        "Install dockbridge again, or set DOCKBRIDGE_AGENT_DIR to the agents' directory.";
    VolumeFill = "volume_fill", 10, [Socket],
        "Volume fill",
        "The volume of the running machine has room. A machine is never created to find out.",
        "Images, containers and volumes of the engine fill it.",
        "Run `docker system prune`, or grow it with `dockbridge volume resize`.";
    LockSensor = "lock_sensor", 10, [],
        "Lock sensor",
        "dockbridge notices that the screen is locked.",
        "Neither systemd-logind nor a desktop's screen saver answers, as on most servers.",
        "Nothing, if nobody locks this computer: machines end by idleness all the same.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_stands_after_those_that_it_depends_on() {
        for code in CheckCode::ALL {
            for other in code.entry().depends_on {
                assert!(other < code, "{code} depends on {other}");
            }
        }
    }

    #[test]
    fn title_fits_its_column_and_no_check_takes_longer_than_half_a_minute() {
        for code in CheckCode::ALL {
            let entry = code.entry();
            assert!(entry.title.len() <= 14, "{}", entry.title);
            assert!(entry.ceiling <= Duration::from_secs(30), "{code}");
        }
    }
}
