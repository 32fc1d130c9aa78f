//! What the registry of errors says about each code: why it happens, and what the
//! user can do.

texts! {
    TokenInvalid:
        "The token was deleted, belongs to another cloud, or was copied incompletely.",
        "Make a token in the cloud's console and save it.";
    TokenReadOnly:
        "The token was made with the right to read, and dockbridge creates servers.",
        "Make a token with Read & Write.";
    TokenMissing:
        "Settings, environment and standard input have none, and none was saved.",
        "Make a token with Read & Write in the cloud's console, and save it.";
    TokenMalformed:
        "It has characters that no token has.",
        "Copy it again from the cloud's console.";
    NotTheApi:
        "A login page or a proxy of the network answers, or the endpoint is wrong.",
        "Log in to the network, or correct the endpoint.";
    ClockWrong:
        "Certificates and bills depend on the time.",
        "Set the clock.";
    CloudUnreachable:
        "The network, a proxy or the cloud is down.",
        "Check the network and the cloud's status page, and try again.";
    CloudRefused:
        "A limit of the project, an outage, or a resource that changed meanwhile.",
        "Read the cloud's own message; its console shows limits and resources.";
    OutOfStock:
        "All types and locations of the settings were tried.",
        "Allow more types or locations, or try again later.";
    NotAllRemoved:
        "The cloud refused some deletions, each for the reason that is printed with it.",
        "Try again.";
    KeyringLocked:
        "The desktop unlocks it at login. After a reboot without a login, and over SSH, it stays \
            locked.",
        "Log in to the desktop, or save the token in a file: `dockbridge init --no-keyring`.";
    KeyringUnavailable:
        "This session has no message bus, or no keyring runs on it.",
        "Use the session in which the token was saved, or save it in a file: \
            `dockbridge init --no-keyring`.";
    SettingsInvalid:
        "A value is unknown, missing or contradicts another one.",
        "Correct the value that the message names.";
    OwnerInvalid:
        "It was edited or is damaged. Everything in the cloud carries the id.",
        "Write the id into the file again.";
    OwnerTaken:
        "Machines and volumes carry the id; to join another owner would lose sight of them.",
        "Delete what the message names, or join from another computer.";
    HomeUnknown:
        "The environment does not name it, so there is no place for files.",
        "Set the variable.";
    ServerTypeUnknown:
        "The cloud does not sell the type that the settings name.",
        "Set one of the types that the message lists.";
    LocationUnknown:
        "The cloud has no location of that name.",
        "Set one of the locations that the message lists.";
    ImageUnknown:
        "No image of that name exists for the server types in the settings.",
        "Set another image.";
    ServerTypeNotSold:
        "None of the types is sold in one of the locations.",
        "Set other types or locations.";
    ServerTypeNotAtVolume:
        "A volume cannot leave its location, and none of the types is sold there.",
        "Set a type that is sold there.";
    NotAllowed:
        "The budget of the month or another limit of the settings is reached.",
        "Raise the limit, or wait for the next month.";
    ServerNeverUp:
        "Each server that was created was lost before it answered.",
        "Look at the cloud's status page; each server may be billed for an hour.";
    ServerSilent:
        "It did not boot, or the network to it is broken. It was deleted.",
        "Try again.";
    ServerUnanswered:
        "Its TCP port 22 does not answer. It is kept, since others may use it.",
        "Try again, check the server in the cloud's console, or destroy it.";
    ServerOverloaded:
        "It is overloaded, or its SSH server hangs. It is kept.",
        "Try again, check the server in the cloud's console, or destroy it.";
    ServerNotOff:
        "It was asked to shut down and still runs.",
        "Try again, or power it off in the cloud's console.";
    WakeTimedOut:
        "The whole wake took longer than its limit.",
        "Try again.";
    WakeCalledOff:
        "The user ordered its end. No server is left by it, or another client uses the server.",
        "Nothing, or wake a machine again.";
    WakeCalledOffDeleted:
        "The user ordered its end. The server is billed for a started hour; the volume stays.",
        "Delete the volume if its data is not needed.";
    WakeCalledOffNotDeleted:
        "The user ordered its end, and the cloud did not delete the server.",
        "Destroy the server.";
    DestroyOrdered:
        "An order of the user to destroy the machine or to stop wins over the request.",
        "Run the docker command again.";
    DockerFailed:
        "The volume was refused, or a unit failed.",
        "Read the reason in the message.";
    AgentFailed:
        "The message has the agent's own words.",
        "Try again.";
    MachineNotMade:
        "The user-data is too large or cannot be rendered.",
        "Read the cause in the message.";
    MachineInUse:
        "A machine that others use is not destroyed.",
        "Wait until they have finished.";
    NoMachine:
        "What was asked for does not create one.",
        "Wake a machine.";
    OwnHost:
        "dockbridge neither creates nor deletes it.",
        "Work on the host itself.";
    AgentMissing:
        "It is sent to each machine, and dockbridge finds none for its architecture.",
        "Install it beside dockbridge.";
    MachineLogUnreadable:
        "journalctl is missing there or failed; the message has its own words.",
        "Log in to the machine and look.";
    SeveralVolumes:
        "dockbridge does not guess which one is right.",
        "Delete the one that is not wanted, by its id.";
    VolumeInUse:
        "Somebody attached it to a server that is not the profile's.",
        "Detach it there.";
    NoVolume:
        "No machine has run yet, or the volume was deleted.",
        "Run a docker command, which creates one.";
    VolumeShrinks:
        "The cloud only grows volumes.",
        "Copy what you need to a new, smaller volume.";
    VolumeNotGrown:
        "The cloud accepted the order and did not carry it out.",
        "Look at the volume in the cloud's console.";
    VolumeUnknown:
        "Neither a name nor an id of a volume of the profile is equal to it.",
        "List the volumes.";
    VolumeAttached:
        "A volume in use is not deleted.",
        "Destroy the machine first.";
    FileSystemNotGrown:
        "The command that grows it failed on the machine.",
        "Try again; it grows with the next machine in any case.";
    Port22Blocked:
        "Other hosts do not answer on that port either, and the cloud's API does.",
        "Use another network or a VPN.";
    WrongLogin:
        "Another computer of the same owner created the server.",
        "Work on that computer, use its key, or destroy the server.";
    OtherComputer:
        "The machine does not admit this computer's login key yet.",
        "Wait until dockbridge on the other computer admits it, and try again.";
    HostKeyChanged:
        "Another machine answers at its address, or the server was reinstalled.",
        "Check the server in the cloud's console.";
    HostKeyRefused:
        "The key of the user's own host is not among the known hosts, or differs.",
        "Confirm the key once with ssh.";
    LoginRefused:
        "The key is not among the authorized keys of the host.",
        "Choose another key, or authorize this one.";
    NoKeyAccepted:
        "No identity file and no key of the SSH agent is authorized.",
        "Name the right key.";
    JumpFailed:
        "A jump host or a proxy command did not connect.",
        "Run the same command by hand.";
    ConnectionFailed:
        "The network is down, or SSH failed.",
        "Check the network, and try again.";
    KeyNotMade:
        "The system gave no random numbers, or the key cannot be written.",
        "Read the cause in the message.";
    KeyUnusable:
        "The file cannot be read, is damaged, or is protected by a passphrase.",
        "Choose another key.";
    SshConfigUnusable:
        "The OpenSSH client refuses it, or does not know the host or the user.",
        "Correct it, or name user and address.";
    DaemonNotRunning:
        "It was not started, or it has ended.",
        "Start it.";
    DaemonSilent:
        "The connection to it broke, or its answer cannot be read.",
        "Try again; its log says more.";
    DaemonStopping:
        "It finishes open requests before it ends.",
        "Start it again.";
    DaemonRunning:
        "Arguments hold from the start on.",
        "Stop it, and start it with the new arguments.";
    DaemonEnded:
        "Its log has the reason.",
        "Read the log.";
    DaemonNotEnding:
        "Something that it finishes first takes too long.",
        "Read its log, or end the process.";
    DaemonRefused:
        "A daemon of an older version gave no code.",
        "Read the message.";
    SocketServed:
        "One socket has one daemon.",
        "Use it, stop it, or choose another socket.";
    SocketUnusable:
        "Another file or program is at its place, the path is too long, or the disk is full.",
        "Choose another place.";
    ProxyPortTaken:
        "Another program listens on it.",
        "Choose another port.";
    ServiceManagerSilent:
        "systemd does not run for this user, or the login session does not reach it.",
        "Log in as the user itself, or run the daemon without a service.";
    ServiceFailed:
        "Its units do not fit this dockbridge, or the service manager refused them.",
        "Read the message; install the service again.";
    PinNotWritten:
        "The directory of the profile cannot be written to, or the disk is full.",
        "Make room, and pin again.";
    MetricsAddressTaken:
        "Another program listens there, or the address is not this computer's.",
        "Choose another address.";
    PortsDisabled:
        "The settings say so.",
        "Switch them on, and restart the daemon.";
    ForwardExists:
        "One address has one forward.",
        "Remove it first, or choose another address.";
    ForwardTaken:
        "Another program uses the port, or the user may not use it.",
        "Choose another port.";
    ForwardExposed:
        "The address is not a loopback address, and the settings do not allow that.",
        "Choose a loopback address, or allow it.";
    ForwardUnknown:
        "It was removed already, or it is a published port.",
        "List the forwards.";
    ImageSource:
        "It cannot be fetched, has another checksum, or is no image.",
        "Check the address, the checksum and the format.";
    ImageFile:
        "It cannot be read, or is empty.",
        "Check the path.";
    ImageDownload:
        "The address is wrong, or not reachable from there.",
        "Check the address, or send a file.";
    ImageChecksum:
        "It was damaged on its path here, or the publisher has replaced it.",
        "Compare with the checksum that the publisher gives.";
    ImageFormat:
        "It is of another format, or cannot be unpacked.",
        "Check what the address sends, the format and the compression.";
    ImageTooBig:
        "The disk of the server type is smaller than the unpacked image.",
        "Choose a type with a larger disk.";
    ImageBusy:
        "Another process, or another computer of the same owner, builds it.",
        "Wait until that build has ended.";
    ImageMissing:
        "Neither a name nor an id of this owner's snapshots is equal to it.",
        "List the images.";
    ImageAmbiguous:
        "A name may stand for several builds.",
        "Use the id.";
    ImageUnusable:
        "The cloud reports another status than available.",
        "Build it again.";
    BuilderLost:
        "It did not boot, was deleted, or the connection broke several times.",
        "Run the same command again.";
    BuilderStays:
        "The cloud refused the deletion. A server that stays is billed.",
        "Remove the orphans.";
    ImageFailed:
        "A step on the build server failed; the message names it.",
        "Run the same command again.";
    Interrupted:
        "SIGINT ended it.",
        "Run it again.";
    FileNotRead:
        "It is missing, or belongs to another user.",
        "Check the path and its rights.";
    FileNotWritten:
        "The disk is full, or the directory belongs to another user.",
        "Make room, or choose another directory.";
    OutputNotWritten:
        "The disk behind it is full, or it was closed.",
        "Make room. What was printed is not complete.";
    ProgramMissing:
        "It is not installed, or not in the search path.",
        "Install it.";
    RootNeeded:
        "Only root may run real machines on this computer.",
        "Run it as root.";
    NotConfirmed:
        "Another name was typed, or there is no terminal to ask on.",
        "Type the name, or confirm by an argument.";
    LocalCloudFailed:
        "Something that it needs of this computer is missing or in use.",
        "Read the message.";
    TrialFailed:
        "Something did not work as the story says.",
        "Read the message and the log that follows it.";
    SystemRefused:
        "The message has its own words.",
        "Read the message.";
    Failed:
        "The message has the cause; this case has no code of its own.",
        "Read the message.";
    ChecksFailed:
        "Something that dockbridge needs does not work here.",
        "Read the cause and the cure that the check has printed.";
}
