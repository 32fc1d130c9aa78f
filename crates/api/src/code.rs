//! The registry of errors: each stable code with its category, title, cause and cure. A code keeps
//! its meaning forever; new ones are added. `docs/errors.md` is generated from it.

words! {
    /// What an error concerns.
    pub enum Category {
        /// The cloud: its API, the token, what it has in stock.
        Cloud = "cloud",
        /// A setting or an argument.
        Settings = "settings",
        /// The machine and what runs on it.
        Machine = "machine",
        /// The volume with docker's data.
        Volume = "volume",
        /// The path to the machine: network, SSH, keys.
        Connection = "connection",
        /// The daemon and its sockets on this computer.
        Daemon = "daemon",
        /// Published ports and manual forwards.
        Ports = "ports",
        /// Building an image.
        Image = "image",
        /// Anything else.
        Other = "other",
    }
}

/// What the registry says about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it concerns.
    pub category: Category,
    /// Whether the same request may succeed later although the user changes nothing.
    pub is_retryable: bool,
    /// What happened, without the names of the case.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What the user can do.
    pub cure: &'static str,
}

/// Declares the codes: `Variant = "code", Category, retryable, title, cause, cure;`.
macro_rules! codes {
    ($($variant:ident = $word:literal, $category:ident, $retryable:literal,
        $title:literal, $cause:literal, $cure:literal;)+) => {
        words! {
            /// A stable code of an error.
            pub enum Code {
                $(#[doc = $title] $variant = $word,)+
            }
        }

        impl Code {
            /// What the registry says about it.
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$variant => Entry {
                        category: Category::$category,
                        is_retryable: $retryable,
                        title: $title,
                        cause: $cause,
                        cure: $cure,
                    },)+
                }
            }
        }
    };
}

codes! {
    TokenInvalid = "token_invalid", Cloud, false,
        "The cloud rejects the API token",
        "The token was deleted, belongs to another cloud, or was copied incompletely.",
        "Make a token in the cloud's console and save it.";
    TokenReadOnly = "token_read_only", Cloud, false,
        "The API token may only read",
        "The token was made with the right to read, and dockbridge creates servers.",
        "Make a token with Read & Write.";
    NotTheApi = "not_the_api", Cloud, true,
        "What answers is not the cloud's API",
        "A login page or a proxy of the network answers, or the endpoint is wrong.",
        "Log in to the network, or correct the endpoint.";
    ClockWrong = "clock_wrong", Cloud, false,
        "This computer's clock is wrong",
        "Certificates and bills depend on the time.",
        "Set the clock.";
    CloudUnreachable = "cloud_unreachable", Cloud, true,
        "The cloud does not answer",
        "The network, a proxy or the cloud is down.",
        "Check the network and the cloud's status page, and try again.";
    CloudRefused = "cloud_refused", Cloud, true,
        "The cloud refused a request",
        "A limit of the project, an outage, or a resource that changed meanwhile.",
        "Read the cloud's own message; its console shows limits and resources.";
    OutOfStock = "out_of_stock", Cloud, true,
        "The cloud has none of the server types",
        "All types and locations of the settings were tried.",
        "Allow more types or locations, or try again later.";
    SettingsInvalid = "settings_invalid", Settings, false,
        "The settings or arguments are not valid",
        "A value is unknown, missing or contradicts another one.",
        "Correct the value that the message names.";
    ServerTypeUnknown = "server_type_unknown", Settings, false,
        "The server type does not exist",
        "The cloud does not sell the type that the settings name.",
        "Set one of the types that the message lists.";
    LocationUnknown = "location_unknown", Settings, false,
        "The location does not exist",
        "The cloud has no location of that name.",
        "Set one of the locations that the message lists.";
    ImageUnknown = "image_unknown", Settings, false,
        "The image does not exist",
        "No image of that name exists for the server types in the settings.",
        "Set another image.";
    ServerTypeNotSold = "server_type_not_sold", Settings, false,
        "The server types are not sold in these locations",
        "None of the types is sold in one of the locations.",
        "Set other types or locations.";
    ServerTypeNotAtVolume = "server_type_not_at_volume", Settings, false,
        "The server types are not sold where the volume is",
        "A volume cannot leave its location, and none of the types is sold there.",
        "Set a type that is sold there.";
    NotAllowed = "not_allowed", Settings, false,
        "The settings allow no further server",
        "The budget of the month or another limit of the settings is reached.",
        "Raise the limit, or wait for the next month.";
    ServerNeverUp = "server_never_up", Machine, false,
        "New servers did not come up",
        "Each server that was created was lost before it answered.",
        "Look at the cloud's status page; each server may be billed for an hour.";
    ServerSilent = "server_silent", Machine, true,
        "The server did not answer in time",
        "It did not boot, or the network to it is broken. It was deleted.",
        "Try again.";
    ServerUnanswered = "server_unanswered", Machine, true,
        "The server runs and does not answer",
        "Its TCP port 22 does not answer. It is kept, since others may use it.",
        "Try again, check the server in the cloud's console, or destroy it.";
    ServerOverloaded = "server_overloaded", Machine, true,
        "The server accepts connections and does not answer on them",
        "It is overloaded, or its SSH server hangs. It is kept.",
        "Try again, check the server in the cloud's console, or destroy it.";
    ServerNotOff = "server_not_off", Machine, true,
        "The server did not power off",
        "It was asked to shut down and still runs.",
        "Try again, or power it off in the cloud's console.";
    WakeTimedOut = "wake_timed_out", Machine, true,
        "No machine came up in time",
        "The whole wake took longer than its limit.",
        "Try again.";
    WakeCalledOff = "wake_called_off", Machine, true,
        "The wake was called off",
        "The user ordered its end. No server is left by it, or another client uses the server.",
        "Nothing, or wake a machine again.";
    WakeCalledOffDeleted = "wake_called_off_deleted", Machine, true,
        "The wake was called off, and its server deleted",
        "The user ordered its end. The server is billed for a started hour; the volume stays.",
        "Delete the volume if its data is not needed.";
    WakeCalledOffNotDeleted = "wake_called_off_not_deleted", Machine, false,
        "The wake was called off, and its server still exists",
        "The user ordered its end, and the cloud did not delete the server.",
        "Destroy the server.";
    DestroyOrdered = "destroy_ordered", Machine, true,
        "No machine is made for this request",
        "An order of the user to destroy the machine or to stop wins over the request.",
        "Run the docker command again.";
    DockerFailed = "docker_failed", Machine, false,
        "Docker does not start on the machine",
        "The volume was refused, or a unit failed.",
        "Read the reason in the message.";
    AgentFailed = "agent_failed", Machine, true,
        "The agent on the machine refused a call",
        "The message has the agent's own words.",
        "Try again.";
    MachineNotMade = "machine_not_made", Machine, false,
        "What a new machine needs could not be made",
        "The user-data is too large or cannot be rendered.",
        "Read the cause in the message.";
    MachineInUse = "machine_in_use", Machine, true,
        "Another client works on the machine",
        "A machine that others use is not destroyed.",
        "Wait until they have finished.";
    NoMachine = "no_machine", Machine, true,
        "There is no machine",
        "What was asked for does not create one.",
        "Wake a machine.";
    SeveralVolumes = "several_volumes", Volume, false,
        "Several volumes carry the labels of the profile",
        "dockbridge does not guess which one is right.",
        "Delete the one that is not wanted, by its id.";
    VolumeInUse = "volume_in_use", Volume, false,
        "The volume is attached to another server",
        "Somebody attached it to a server that is not the profile's.",
        "Detach it there.";
    NoVolume = "no_volume", Volume, false,
        "The profile has no volume",
        "No machine has run yet, or the volume was deleted.",
        "Run a docker command, which creates one.";
    VolumeShrinks = "volume_shrinks", Volume, false,
        "A volume cannot shrink",
        "The cloud only grows volumes.",
        "Copy what you need to a new, smaller volume.";
    VolumeNotGrown = "volume_not_grown", Volume, true,
        "The volume did not grow",
        "The cloud accepted the order and did not carry it out.",
        "Look at the volume in the cloud's console.";
    Port22Blocked = "port_22_blocked", Connection, true,
        "The network blocks outgoing TCP port 22",
        "Other hosts do not answer on that port either, and the cloud's API does.",
        "Use another network or a VPN.";
    WrongLogin = "wrong_login", Connection, false,
        "The server does not accept this computer's login key",
        "Another computer of the same owner created the server.",
        "Work on that computer, use its key, or destroy the server.";
    OtherComputer = "other_computer", Connection, true,
        "The machine was made by another computer",
        "The machine does not admit this computer's login key yet.",
        "Wait until dockbridge on the other computer admits it, and try again.";
    HostKeyChanged = "host_key_changed", Connection, false,
        "The machine presents another host key",
        "Another machine answers at its address, or the server was reinstalled.",
        "Check the server in the cloud's console.";
    HostKeyRefused = "host_key_refused", Connection, false,
        "The host's key is not known",
        "The key of the user's own host is not among the known hosts, or differs.",
        "Confirm the key once with ssh.";
    LoginRefused = "login_refused", Connection, false,
        "The host refuses the login key",
        "The key is not among the authorized keys of the host.",
        "Choose another key, or authorize this one.";
    NoKeyAccepted = "no_key_accepted", Connection, false,
        "The host accepts none of the keys",
        "No identity file and no key of the SSH agent is authorized.",
        "Name the right key.";
    JumpFailed = "jump_failed", Connection, true,
        "The command that connects to the host failed",
        "A jump host or a proxy command did not connect.",
        "Run the same command by hand.";
    ConnectionFailed = "connection_failed", Connection, true,
        "The connection to the machine failed",
        "The network is down, or SSH failed.",
        "Check the network, and try again.";
    KeyNotMade = "key_not_made", Connection, false,
        "An SSH key cannot be made",
        "The system gave no random numbers, or the key cannot be written.",
        "Read the cause in the message.";
    DaemonNotRunning = "daemon_not_running", Daemon, false,
        "No daemon serves the socket",
        "It was not started, or it has ended.",
        "Start it.";
    DaemonSilent = "daemon_silent", Daemon, true,
        "The daemon does not answer",
        "The connection to it broke, or its answer cannot be read.",
        "Try again; its log says more.";
    DaemonStopping = "daemon_stopping", Daemon, true,
        "The daemon is stopping",
        "It finishes open requests before it ends.",
        "Start it again.";
    DaemonRefused = "daemon_refused", Daemon, false,
        "The daemon refused",
        "A daemon of an older version gave no code.",
        "Read the message.";
    SocketServed = "socket_served", Daemon, false,
        "Another daemon serves the socket",
        "One socket has one daemon.",
        "Use it, stop it, or choose another socket.";
    SocketUnusable = "socket_unusable", Daemon, false,
        "The socket cannot be made",
        "Another file or program is at its place, the path is too long, or the disk is full.",
        "Choose another place.";
    ProxyPortTaken = "proxy_port_taken", Daemon, false,
        "The TCP port of the daemon is in use",
        "Another program listens on it.",
        "Choose another port.";
    PinNotWritten = "pin_not_written", Daemon, false,
        "The pin cannot be written",
        "The directory of the profile cannot be written to, or the disk is full.",
        "Make room, and pin again.";
    PortsDisabled = "ports_disabled", Ports, false,
        "Published ports are switched off",
        "The settings say so.",
        "Switch them on, and restart the daemon.";
    ForwardExists = "forward_exists", Ports, false,
        "A forward listens there already",
        "One address has one forward.",
        "Remove it first, or choose another address.";
    ForwardTaken = "forward_taken", Ports, false,
        "The address cannot be listened on",
        "Another program uses the port, or the user may not use it.",
        "Choose another port.";
    ForwardExposed = "forward_exposed", Ports, false,
        "The forward could be reached from other computers",
        "The address is not a loopback address, and the settings do not allow that.",
        "Choose a loopback address, or allow it.";
    ForwardUnknown = "forward_unknown", Ports, false,
        "No forward listens there",
        "It was removed already, or it is a published port.",
        "List the forwards.";
    ImageSource = "image_source", Image, false,
        "The source of the image is not usable",
        "It cannot be fetched, has another checksum, or is no image.",
        "Check the address, the checksum and the format.";
    ImageFailed = "image_failed", Image, true,
        "The image could not be built",
        "A step on the build server failed; the message names it.",
        "Run the same command again.";
    Interrupted = "interrupted", Other, true,
        "The user interrupted the command",
        "SIGINT ended it.",
        "Run it again.";
    Failed = "failed", Other, false,
        "The command failed",
        "The message has the cause; this case has no code of its own.",
        "Read the message.";
}

impl Code {
    /// What it concerns.
    pub const fn category(self) -> Category {
        self.entry().category
    }

    /// Whether the same request may succeed later although the user changes nothing.
    pub const fn is_retryable(self) -> bool {
        self.entry().is_retryable
    }
}
