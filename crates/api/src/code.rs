//! The registry of errors: each stable code with its category, title, cause and cure. A code keeps
//! its meaning forever; new ones are added. `docs/errors.md` is generated from it.

codes! {
    TokenInvalid = "token_invalid", Cloud, false,
        "The cloud rejects the API token",
        "The token was deleted, belongs to another cloud, or was copied incompletely.",
        "Make a token in the cloud's console and save it.";
    TokenReadOnly = "token_read_only", Cloud, false,
        "The API token may only read",
        "The token was made with the right to read, and dockbridge creates servers.",
        "Make a token with Read & Write.";
    TokenMissing = "token_missing", Cloud, false,
        "There is no API token",
        "Settings, environment and standard input have none, and none was saved.",
        "Make a token with Read & Write in the cloud's console, and save it.";
    TokenMalformed = "token_malformed", Cloud, false,
        "The API token cannot be sent",
        "It has characters that no token has.",
        "Copy it again from the cloud's console.";
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
    NotAllRemoved = "not_all_removed", Cloud, true,
        "Not everything was removed",
        "The cloud refused some deletions, each for the reason that is printed with it.",
        "Try again.";
    SettingsInvalid = "settings_invalid", Settings, false,
        "The settings or arguments are not valid",
        "A value is unknown, missing or contradicts another one.",
        "Correct the value that the message names.";
    OwnerInvalid = "owner_invalid", Settings, false,
        "The file with the owner id is not valid",
        "It was edited or is damaged. Everything in the cloud carries the id.",
        "Write the id into the file again.";
    OwnerTaken = "owner_taken", Settings, false,
        "This computer has another owner id or cloud",
        "Machines and volumes carry the id; to join another owner would lose sight of them.",
        "Delete what the message names, or join from another computer.";
    HomeUnknown = "home_unknown", Settings, false,
        "The home directory is unknown",
        "The environment does not name it, so there is no place for files.",
        "Set the variable.";
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
    OwnHost = "own_host", Machine, false,
        "The machine is a host of the user's own",
        "dockbridge neither creates nor deletes it.",
        "Work on the host itself.";
    AgentMissing = "agent_missing", Machine, false,
        "The agent's program is missing on this computer",
        "It is sent to each machine, and dockbridge finds none for its architecture.",
        "Install it beside dockbridge.";
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
    VolumeUnknown = "volume_unknown", Volume, false,
        "No volume has this name",
        "Neither a name nor an id of a volume of the profile is equal to it.",
        "List the volumes.";
    VolumeAttached = "volume_attached", Volume, false,
        "The volume is attached to the machine",
        "A volume in use is not deleted.",
        "Destroy the machine first.";
    FileSystemNotGrown = "file_system_not_grown", Volume, true,
        "The file system has not grown with the volume",
        "The command that grows it failed on the machine.",
        "Try again; it grows with the next machine in any case.";
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
    KeyUnusable = "key_unusable", Connection, false,
        "The private key cannot be used",
        "The file cannot be read, is damaged, or is protected by a passphrase.",
        "Choose another key.";
    SshConfigUnusable = "ssh_config_unusable", Connection, false,
        "The user's ssh_config names no route to the host",
        "The OpenSSH client refuses it, or does not know the host or the user.",
        "Correct it, or name user and address.";
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
    DaemonRunning = "daemon_running", Daemon, false,
        "The daemon runs already",
        "Arguments hold from the start on.",
        "Stop it, and start it with the new arguments.";
    DaemonEnded = "daemon_ended", Daemon, false,
        "The daemon ended while it started",
        "Its log has the reason.",
        "Read the log.";
    DaemonNotEnding = "daemon_not_ending", Daemon, true,
        "The daemon does not end",
        "Something that it finishes first takes too long.",
        "Read its log, or end the process.";
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
    ServiceManagerSilent = "service_manager_silent", Daemon, false,
        "The service manager does not answer",
        "systemd does not run for this user, or the login session does not reach it.",
        "Log in as the user itself, or run the daemon without a service.";
    ServiceFailed = "service_failed", Daemon, false,
        "The service cannot be used",
        "Its units do not fit this dockbridge, or the service manager refused them.",
        "Read the message; install the service again.";
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
    ImageFile = "image_file", Image, false,
        "The local file of the image cannot be used",
        "It cannot be read, or is empty.",
        "Check the path.";
    ImageDownload = "image_download", Image, true,
        "The build server cannot download the image",
        "The address is wrong, or not reachable from there.",
        "Check the address, or send a file.";
    ImageChecksum = "image_checksum", Image, false,
        "The image has another checksum",
        "It was damaged on its path here, or the publisher has replaced it.",
        "Compare with the checksum that the publisher gives.";
    ImageFormat = "image_format", Image, false,
        "The source is no disk image",
        "It is of another format, or cannot be unpacked.",
        "Check what the address sends, the format and the compression.";
    ImageTooBig = "image_too_big", Image, false,
        "The image does not fit on the disk",
        "The disk of the server type is smaller than the unpacked image.",
        "Choose a type with a larger disk.";
    ImageBusy = "image_busy", Image, true,
        "The same image is being built",
        "Another process, or another computer of the same owner, builds it.",
        "Wait until that build has ended.";
    ImageMissing = "image_missing", Image, false,
        "No snapshot of dockbridge has this name",
        "Neither a name nor an id of this owner's snapshots is equal to it.",
        "List the images.";
    ImageAmbiguous = "image_ambiguous", Image, false,
        "Several snapshots have this name",
        "A name may stand for several builds.",
        "Use the id.";
    ImageUnusable = "image_unusable", Image, true,
        "The snapshot was made and cannot be used",
        "The cloud reports another status than available.",
        "Build it again.";
    BuilderLost = "builder_lost", Image, true,
        "The build server does not answer any more",
        "It did not boot, was deleted, or the connection broke several times.",
        "Run the same command again.";
    BuilderStays = "builder_stays", Image, true,
        "What a build created could not be removed",
        "The cloud refused the deletion. A server that stays is billed.",
        "Remove the orphans.";
    ImageFailed = "image_failed", Image, true,
        "The image could not be built",
        "A step on the build server failed; the message names it.",
        "Run the same command again.";
    Interrupted = "interrupted", Other, true,
        "The user interrupted the command",
        "SIGINT ended it.",
        "Run it again.";
    FileNotRead = "file_not_read", Other, false,
        "A file cannot be read",
        "It is missing, or belongs to another user.",
        "Check the path and its rights.";
    FileNotWritten = "file_not_written", Other, false,
        "A file cannot be written",
        "The disk is full, or the directory belongs to another user.",
        "Make room, or choose another directory.";
    OutputNotWritten = "output_not_written", Other, false,
        "Standard output cannot be written",
        "The disk behind it is full, or it was closed.",
        "Make room. What was printed is not complete.";
    ProgramMissing = "program_missing", Other, false,
        "A program of this computer cannot be run",
        "It is not installed, or not in the search path.",
        "Install it.";
    RootNeeded = "root_needed", Other, false,
        "The command needs root",
        "Only root may run real machines on this computer.",
        "Run it as root.";
    NotConfirmed = "not_confirmed", Other, false,
        "Nothing was deleted, since it was not confirmed",
        "Another name was typed, or there is no terminal to ask on.",
        "Type the name, or confirm by an argument.";
    LocalCloudFailed = "local_cloud_failed", Other, false,
        "The local cloud does not start or end",
        "Something that it needs of this computer is missing or in use.",
        "Read the message.";
    TrialFailed = "trial_failed", Other, false,
        "A check of the trial failed",
        "Something did not work as the story says.",
        "Read the message and the log that follows it.";
    SystemRefused = "system_refused", Other, false,
        "The operating system refused",
        "The message has its own words.",
        "Read the message.";
    Failed = "failed", Other, false,
        "The command failed",
        "The message has the cause; this case has no code of its own.",
        "Read the message.";
    ChecksFailed = "checks_failed", Other, false,
        "A check of `dockbridge doctor` found something broken",
        "Something that dockbridge needs does not work here.",
        "Read the cause and the cure that the check has printed.";
}
