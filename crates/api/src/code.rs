//! The registry of errors: each stable code with its category, whether the same request may
//! succeed later, and a title. A code keeps its meaning forever; new ones are added.
//! `code_texts.rs` explains each; `docs/errors.md` is generated from both.

codes! {
    TokenInvalid = "token_invalid", Cloud, false,
        "The cloud rejects the API token";
    TokenReadOnly = "token_read_only", Cloud, false,
        "The API token may only read";
    TokenMissing = "token_missing", Cloud, false,
        "There is no API token";
    TokenMalformed = "token_malformed", Cloud, false,
        "The API token cannot be sent";
    NotTheApi = "not_the_api", Cloud, true,
        "What answers is not the cloud's API";
    ClockWrong = "clock_wrong", Cloud, false,
        "This computer's clock is wrong";
    CloudUnreachable = "cloud_unreachable", Cloud, true,
        "The cloud does not answer";
    CloudRefused = "cloud_refused", Cloud, true,
        "The cloud refused a request";
    OutOfStock = "out_of_stock", Cloud, true,
        "The cloud has none of the server types";
    NotAllRemoved = "not_all_removed", Cloud, true,
        "Not everything was removed";
    KeyringLocked = "keyring_locked", Cloud, false,
        "The API token is in a keyring that is locked";
    KeyringUnavailable = "keyring_unavailable", Cloud, true,
        "The API token is in a keyring that does not answer";
    SettingsInvalid = "settings_invalid", Settings, false,
        "The settings or arguments are not valid";
    OwnerInvalid = "owner_invalid", Settings, false,
        "The file with the owner id is not valid";
    OwnerTaken = "owner_taken", Settings, false,
        "This computer has another owner id or cloud";
    HomeUnknown = "home_unknown", Settings, false,
        "The home directory is unknown";
    ServerTypeUnknown = "server_type_unknown", Settings, false,
        "The server type does not exist";
    LocationUnknown = "location_unknown", Settings, false,
        "The location does not exist";
    ImageUnknown = "image_unknown", Settings, false,
        "The image does not exist";
    ServerTypeNotSold = "server_type_not_sold", Settings, false,
        "The server types are not sold in these locations";
    ServerTypeNotAtVolume = "server_type_not_at_volume", Settings, false,
        "The server types are not sold where the volume is";
    NotAllowed = "not_allowed", Settings, false,
        "The settings allow no further server";
    ServerNeverUp = "server_never_up", Machine, false,
        "New servers did not come up";
    ServerSilent = "server_silent", Machine, true,
        "The server did not answer in time";
    ServerUnanswered = "server_unanswered", Machine, true,
        "The server runs and does not answer";
    ServerOverloaded = "server_overloaded", Machine, true,
        "The server accepts connections and does not answer on them";
    ServerNotOff = "server_not_off", Machine, true,
        "The server did not power off";
    WakeTimedOut = "wake_timed_out", Machine, true,
        "No machine came up in time";
    WakeCalledOff = "wake_called_off", Machine, true,
        "The wake was called off";
    WakeCalledOffDeleted = "wake_called_off_deleted", Machine, true,
        "The wake was called off, and its server deleted";
    WakeCalledOffNotDeleted = "wake_called_off_not_deleted", Machine, false,
        "The wake was called off, and its server still exists";
    DestroyOrdered = "destroy_ordered", Machine, true,
        "No machine is made for this request";
    DockerFailed = "docker_failed", Machine, false,
        "Docker does not start on the machine";
    AgentFailed = "agent_failed", Machine, true,
        "The agent on the machine refused a call";
    MachineNotMade = "machine_not_made", Machine, false,
        "What a new machine needs could not be made";
    MachineInUse = "machine_in_use", Machine, true,
        "Another client works on the machine";
    NoMachine = "no_machine", Machine, true,
        "There is no machine";
    OwnHost = "own_host", Machine, false,
        "The machine is a host of the user's own";
    AgentMissing = "agent_missing", Machine, false,
        "The agent's program is missing on this computer";
    MachineLogUnreadable = "machine_log_unreadable", Machine, false,
        "The machine's log cannot be read";
    SeveralVolumes = "several_volumes", Volume, false,
        "Several volumes carry the labels of the profile";
    VolumeInUse = "volume_in_use", Volume, false,
        "The volume is attached to another server";
    NoVolume = "no_volume", Volume, false,
        "The profile has no volume";
    VolumeShrinks = "volume_shrinks", Volume, false,
        "A volume cannot shrink";
    VolumeNotGrown = "volume_not_grown", Volume, true,
        "The volume did not grow";
    VolumeUnknown = "volume_unknown", Volume, false,
        "No volume has this name";
    VolumeAttached = "volume_attached", Volume, false,
        "The volume is attached to the machine";
    FileSystemNotGrown = "file_system_not_grown", Volume, true,
        "The file system has not grown with the volume";
    Port22Blocked = "port_22_blocked", Connection, true,
        "The network blocks outgoing TCP port 22";
    WrongLogin = "wrong_login", Connection, false,
        "The server does not accept this computer's login key";
    OtherComputer = "other_computer", Connection, true,
        "The machine was made by another computer";
    HostKeyChanged = "host_key_changed", Connection, false,
        "The machine presents another host key";
    HostKeyRefused = "host_key_refused", Connection, false,
        "The host's key is not known";
    LoginRefused = "login_refused", Connection, false,
        "The host refuses the login key";
    NoKeyAccepted = "no_key_accepted", Connection, false,
        "The host accepts none of the keys";
    JumpFailed = "jump_failed", Connection, true,
        "The command that connects to the host failed";
    ConnectionFailed = "connection_failed", Connection, true,
        "The connection to the machine failed";
    KeyNotMade = "key_not_made", Connection, false,
        "An SSH key cannot be made";
    KeyUnusable = "key_unusable", Connection, false,
        "The private key cannot be used";
    SshConfigUnusable = "ssh_config_unusable", Connection, false,
        "The user's ssh_config names no route to the host";
    DaemonNotRunning = "daemon_not_running", Daemon, false,
        "No daemon serves the socket";
    DaemonSilent = "daemon_silent", Daemon, true,
        "The daemon does not answer";
    DaemonStopping = "daemon_stopping", Daemon, true,
        "The daemon is stopping";
    DaemonRunning = "daemon_running", Daemon, false,
        "The daemon runs already";
    DaemonEnded = "daemon_ended", Daemon, false,
        "The daemon ended while it started";
    DaemonNotEnding = "daemon_not_ending", Daemon, true,
        "The daemon does not end";
    DaemonRefused = "daemon_refused", Daemon, false,
        "The daemon refused";
    SocketServed = "socket_served", Daemon, false,
        "Another daemon serves the socket";
    SocketUnusable = "socket_unusable", Daemon, false,
        "The socket cannot be made";
    ProxyPortTaken = "proxy_port_taken", Daemon, false,
        "The TCP port of the daemon is in use";
    ServiceManagerSilent = "service_manager_silent", Daemon, false,
        "The service manager does not answer";
    ServiceFailed = "service_failed", Daemon, false,
        "The service cannot be used";
    PinNotWritten = "pin_not_written", Daemon, false,
        "The pin cannot be written";
    MetricsAddressTaken = "metrics_address_taken", Daemon, false,
        "The address of the metrics is in use";
    PortsDisabled = "ports_disabled", Ports, false,
        "Published ports are switched off";
    ForwardExists = "forward_exists", Ports, false,
        "A forward listens there already";
    ForwardTaken = "forward_taken", Ports, false,
        "The address cannot be listened on";
    ForwardExposed = "forward_exposed", Ports, false,
        "The forward could be reached from other computers";
    ForwardUnknown = "forward_unknown", Ports, false,
        "No forward listens there";
    ImageSource = "image_source", Image, false,
        "The source of the image is not usable";
    ImageFile = "image_file", Image, false,
        "The local file of the image cannot be used";
    ImageDownload = "image_download", Image, true,
        "The build server cannot download the image";
    ImageChecksum = "image_checksum", Image, false,
        "The image has another checksum";
    ImageFormat = "image_format", Image, false,
        "The source is no disk image";
    ImageTooBig = "image_too_big", Image, false,
        "The image does not fit on the disk";
    ImageBusy = "image_busy", Image, true,
        "The same image is being built";
    ImageMissing = "image_missing", Image, false,
        "No snapshot of dockbridge has this name";
    ImageAmbiguous = "image_ambiguous", Image, false,
        "Several snapshots have this name";
    ImageUnusable = "image_unusable", Image, true,
        "The snapshot was made and cannot be used";
    BuilderLost = "builder_lost", Image, true,
        "The build server does not answer any more";
    BuilderStays = "builder_stays", Image, true,
        "What a build created could not be removed";
    ImageFailed = "image_failed", Image, true,
        "The image could not be built";
    Interrupted = "interrupted", Other, true,
        "The user interrupted the command";
    FileNotRead = "file_not_read", Other, false,
        "A file cannot be read";
    FileNotWritten = "file_not_written", Other, false,
        "A file cannot be written";
    OutputNotWritten = "output_not_written", Other, false,
        "Standard output cannot be written";
    ProgramMissing = "program_missing", Other, false,
        "A program of this computer cannot be run";
    RootNeeded = "root_needed", Other, false,
        "The command needs root";
    NotConfirmed = "not_confirmed", Other, false,
        "Nothing was deleted, since it was not confirmed";
    LocalCloudFailed = "local_cloud_failed", Other, false,
        "The local cloud does not start or end";
    TrialFailed = "trial_failed", Other, false,
        "A check of the trial failed";
    SystemRefused = "system_refused", Other, false,
        "The operating system refused";
    Failed = "failed", Other, false,
        "The command failed";
    ChecksFailed = "checks_failed", Other, false,
        "A check of `dockbridge doctor` found something broken";
}
