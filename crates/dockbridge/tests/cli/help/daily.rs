//! `--help` of the commands for every day.

use super::help;

#[test]
fn dockbridge() {
    insta::assert_snapshot!(help(&[]), @"
    Docker on a Hetzner Cloud server that exists only while you use it

    Usage: dockbridge [OPTIONS] <COMMAND>

    Commands:
      init         Set up token, owner id, login key and docker context
      start        Serve the Docker socket; the first docker command creates the
                   machine
      status       Show machine, tunnel, ports, cost, and what happens next
      why          Explain what keeps the machine, what will end it, and what
                   happens next
      pin          Keep the machine, whether it is used or not
      unpin        Remove the pin
      cost         Show what a month costs, at the cloud's own prices
      audit        List every call that changed the cloud: when, who, why, with what
                   result
      stop         Stop the daemon; the machine runs on until its lease ends
      wake         Create the machine now, or connect to it
      ports        Show published ports and their traffic; add or remove forwards
      server       Show, create, destroy or log in to this profile's machine
      volume       Show, grow or delete the volume with docker's data
      image        Build disk images of any operating system into snapshots; list
                   and delete them
      sweep        List orphans in the cloud project, and remove them
      try          Run the whole story on a local cloud, without an account
      local-cloud  Run a Hetzner Cloud API on this host
      config       Show and check the settings
      completions  Print completions for a shell
      uninstall    Remove dockbridge from this computer; what costs money in the
                   cloud stays, and is listed
      help         Print this message or the help of the given subcommand(s)

    Options:
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn start() {
    insta::assert_snapshot!(help(&["start"]), @"
    Serve the Docker socket; the first docker command creates the machine

    Usage: dockbridge start [OPTIONS]

    Options:
          --detach
              Run in the background

          --profile <NAME>
              Profile: it has its own sockets, machine and volume

              [env: DOCKBRIDGE_PROFILE=]
              [default: default]

          --config <FILE>
              Settings file, instead of the one in the configuration directory

              [env: DOCKBRIDGE_CONFIG=]

          --provider <PROVIDER>
              Where machines come from; `--host` implies ssh

              Possible values:
              - hetzner: Servers of a Hetzner Cloud project, created and deleted as
                needed
              - ssh:     A host of your own, never created or deleted

          --host <HOST>
              A host of your own: user@address, optionally with :port and ssh://, or
              an alias from your ssh_config

          --socket <PATH>
              Docker socket, instead of the profile's default

          --identity <FILE>
              With --host: private key, instead of those that ssh would use

          --ssh-config <FILE>
              With --host: another ssh_config, as with `ssh -F`

          --remote-socket <PATH>
              With --host: path of the engine's socket on that host

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    ");
}

#[test]
fn status() {
    insta::assert_snapshot!(help(&["status"]), @"
    Show machine, tunnel, ports, cost, and what happens next

    Usage: dockbridge status [OPTIONS]

    Options:
          --json            Print JSON
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn why() {
    insta::assert_snapshot!(help(&["why"]), @"
    Explain what keeps the machine, what will end it, and what happens next

    Usage: dockbridge why [OPTIONS]

    Options:
          --json            Print JSON
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn pin() {
    insta::assert_snapshot!(help(&["pin"]), @"
    Keep the machine, whether it is used or not

    Usage: dockbridge pin [OPTIONS]

    Options:
          --for <DURATION>  How long, e.g. 8h or 90m; until `dockbridge unpin` if
                            not given
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn unpin() {
    insta::assert_snapshot!(help(&["unpin"]), @"
    Remove the pin

    Usage: dockbridge unpin [OPTIONS]

    Options:
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn cost() {
    insta::assert_snapshot!(help(&["cost"]), @"
    Show what a month costs, at the cloud's own prices

    Usage: dockbridge cost [OPTIONS]

    Options:
          --month <YYYY-MM>  Another month, such as 2026-11
          --profile <NAME>   Profile: it has its own sockets, machine and volume
                             [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>    Settings file, instead of the one in the configuration
                             directory [env: DOCKBRIDGE_CONFIG=]
          --json             As JSON
          --socket <PATH>    Docker socket, instead of the profile's default
      -h, --help             Print help
      -V, --version          Print version
    ");
}

#[test]
fn audit() {
    insta::assert_snapshot!(help(&["audit"]), @"
    List every call that changed the cloud: when, who, why, with what result

    Usage: dockbridge audit [OPTIONS]

    Options:
          --json            As JSON lines, with what was sent
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn stop() {
    insta::assert_snapshot!(help(&["stop"]), @"
    Stop the daemon; the machine runs on until its lease ends

    Usage: dockbridge stop [OPTIONS]

    Options:
          --destroy         Destroy the machine first; its volume stays
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn wake() {
    insta::assert_snapshot!(help(&["wake"]), @"
    Create the machine now, or connect to it

    Usage: dockbridge wake [OPTIONS]

    Options:
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn ports() {
    insta::assert_snapshot!(help(&["ports"]), @"
    Show published ports and their traffic; add or remove forwards

    Usage: dockbridge ports [OPTIONS]
           dockbridge ports <COMMAND>

    Commands:
      add     Forward a port of this computer to a container's port, published or
              not
      remove  Remove a forward that `add` created
      help    Print this message or the help of the given subcommand(s)

    Options:
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --json            Print JSON
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn ports_add() {
    insta::assert_snapshot!(help(&["ports", "add"]), @"
    Forward a port of this computer to a container's port, published or not

    Usage: dockbridge ports add [OPTIONS] <LOCAL:CONTAINER:PORT>

    Arguments:
      <LOCAL:CONTAINER:PORT>  Such as 8080:web:80, 127.0.0.2:8080:web:80 or
                              5353:dns:53/udp

    Options:
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn ports_remove() {
    insta::assert_snapshot!(help(&["ports", "remove"]), @"
    Remove a forward that `add` created

    Usage: dockbridge ports remove [OPTIONS] <LOCAL>

    Arguments:
      <LOCAL>  Where it listens, e.g. 8080, 127.0.0.2:8080 or 5353/udp

    Options:
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}
