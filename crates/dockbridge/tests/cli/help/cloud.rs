//! `--help` of the commands for resources in the cloud.

use super::help;

#[test]
fn server() {
    insta::assert_snapshot!(help(&["server"]), @"
    Show, create, destroy or log in to this profile's machine

    Usage: dockbridge server [OPTIONS] <COMMAND>

    Commands:
      create   Create it now (the daemon renews its lease)
      destroy  Destroy it; the volume stays
      status   Show it as the cloud reports it
      list     List all servers of this profile
      ssh      Log in to it, or run a command on it
      help     Print this message or the help of the given subcommand(s)

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
fn server_create() {
    insta::assert_snapshot!(help(&["server", "create"]), @"
    Create it now (the daemon renews its lease)

    Usage: dockbridge server create [OPTIONS]

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
fn server_destroy() {
    insta::assert_snapshot!(help(&["server", "destroy"]), @"
    Destroy it; the volume stays

    Usage: dockbridge server destroy [OPTIONS]

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
fn server_status() {
    insta::assert_snapshot!(help(&["server", "status"]), @"
    Show it as the cloud reports it

    Usage: dockbridge server status [OPTIONS]

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
fn server_list() {
    insta::assert_snapshot!(help(&["server", "list"]), @"
    List all servers of this profile

    Usage: dockbridge server list [OPTIONS]

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
fn server_ssh() {
    insta::assert_snapshot!(help(&["server", "ssh"]), @"
    Log in to it, or run a command on it

    Usage: dockbridge server ssh [OPTIONS] [COMMAND]...

    Arguments:
      [COMMAND]...  The command

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
fn volume() {
    insta::assert_snapshot!(help(&["volume"]), @"
    Show, grow or delete the volume with docker's data

    Usage: dockbridge volume [OPTIONS] <COMMAND>

    Commands:
      list    List the volumes of this profile
      resize  Grow the volume while everything runs; it cannot shrink again
      delete  Delete a volume with all images, containers and volumes on it,
              permanently
      help    Print this message or the help of the given subcommand(s)

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
fn volume_list() {
    insta::assert_snapshot!(help(&["volume", "list"]), @"
    List the volumes of this profile

    Usage: dockbridge volume list [OPTIONS]

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
fn volume_resize() {
    insta::assert_snapshot!(help(&["volume", "resize"]), @"
    Grow the volume while everything runs; it cannot shrink again

    Usage: dockbridge volume resize [OPTIONS] <GB>

    Arguments:
      <GB>  New size in GB, at most 10240

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
fn volume_delete() {
    insta::assert_snapshot!(help(&["volume", "delete"]), @"
    Delete a volume with all images, containers and volumes on it, permanently

    Usage: dockbridge volume delete [OPTIONS] <VOLUME>

    Arguments:
      <VOLUME>  Its name or id

    Options:
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --yes             Do not ask for confirmation
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn sweep() {
    insta::assert_snapshot!(help(&["sweep"]), @"
    List orphans in the cloud project, and remove them

    Usage: dockbridge sweep [OPTIONS]

    Options:
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --yes             Remove what is listed. Volumes are never listed
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --json            Print JSON
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}
