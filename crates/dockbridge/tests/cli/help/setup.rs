//! `--help` of the commands for setup and trials.

use super::help;

#[test]
fn init() {
    insta::assert_snapshot!(help(&["init"]), @"
    Set up token, owner id, login key and docker context

    Usage: dockbridge init [OPTIONS]

    Options:
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --token-stdin     Read the API token from standard input
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --yes             Never prompt: take the token from the environment or the
                            settings
          --no-context      Do not create a docker context
          --socket <PATH>   Docker socket, instead of the profile's default
          --join <TEXT>     Join the owner of another computer: the text that `init`
                            printed there. Both computers then use the same machines
          --context <NAME>  Name of the docker context, instead of dockbridge or
                            dockbridge-PROFILE
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn config() {
    insta::assert_snapshot!(help(&["config"]), @"
    Show and check the settings

    Usage: dockbridge config [OPTIONS] <COMMAND>

    Commands:
      show      Print all settings with their values, as YAML; secrets are left out
      validate  Check the file and the environment
      path      Print where the settings file is
      help      Print this message or the help of the given subcommand(s)

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
fn config_show() {
    insta::assert_snapshot!(help(&["config", "show"]), @"
    Print all settings with their values, as YAML; secrets are left out

    Usage: dockbridge config show [OPTIONS]

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
fn config_validate() {
    insta::assert_snapshot!(help(&["config", "validate"]), @"
    Check the file and the environment

    Usage: dockbridge config validate [OPTIONS]

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
fn config_path() {
    insta::assert_snapshot!(help(&["config", "path"]), @"
    Print where the settings file is

    Usage: dockbridge config path [OPTIONS]

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
fn r#try() {
    insta::assert_snapshot!(help(&["try"]), @"
    Run the whole story on a local cloud, without an account

    Usage: dockbridge try [OPTIONS]

    Options:
          --idle-timeout <IDLE_TIMEOUT>
              How long the machine may idle in this story [default: 6s]
          --profile <NAME>
              Profile: it has its own sockets, machine and volume [env:
              DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>
              Settings file, instead of the one in the configuration directory [env:
              DOCKBRIDGE_CONFIG=]
          --socket <PATH>
              Docker socket, instead of the profile's default
      -h, --help
              Print help
      -V, --version
              Print version
    ");
}

#[test]
fn local_cloud() {
    insta::assert_snapshot!(help(&["local-cloud"]), @"
    Run a Hetzner Cloud API on this host

    Usage: dockbridge local-cloud [OPTIONS]

    Options:
          --listen <ADDRESS:PORT>
              Address that the API listens on

              [default: 127.0.0.1:8480]

          --profile <NAME>
              Profile: it has its own sockets, machine and volume

              [env: DOCKBRIDGE_PROFILE=]
              [default: default]

          --config <FILE>
              Settings file, instead of the one in the configuration directory

              [env: DOCKBRIDGE_CONFIG=]

          --machines <MACHINES>
              Kind of machine behind each server

              Possible values:
              - nspawn: Real Debian machines in systemd-nspawn; needs root
              - none:   Nothing: only the API

              [default: nspawn]

          --engine <ENGINE>
              Container engine on new servers

              Possible values:
              - 26:       Docker 26.1 of Debian 13
              - 28:       Docker 28.5 of Debian unstable
              - podman:   Podman of Debian 13, run by root: a host for the provider
                ssh
              - rootless: Docker 26.1 for the user u, not set up: a host for the
                provider ssh

              [default: 26]

          --socket <PATH>
              Docker socket, instead of the profile's default

          --state <DIR>
              Directory for all files

          --token <TOKEN>
              A token with read and write access, instead of one made at the first
              start (DOCKBRIDGE_LOCAL_CLOUD_TOKEN keeps it out of the process list)

              [env: DOCKBRIDGE_LOCAL_CLOUD_TOKEN]

          --read-only-token-file <FILE>
              File with a read-only token

          --pace <PACE>
              How long actions take

              Possible values:
              - fast: As long as the work takes
              - real: As long as measured at Hetzner

              [default: fast]

          --pace-seed <NUMBER>
              Seed of the random durations of `--pace real`, to repeat a run

          --stock <STOCK>
              Server types shown as available; all can be ordered

              Possible values:
              - full:     Every type wherever it is sold
              - captured: As captured on 2026-09-29: no CX and no CAX in Europe

              [default: captured]

          --server-limit <NUMBER>
              Maximum number of servers in a project

          --requests-per-hour <NUMBER>
              Requests that a project may make in an hour

              [default: 3600]

          --removed-properties
              Include the properties that the API removed in 2026, for older clients

          --sshd <SSHD>
              What starts sshd on the machines

              Possible values:
              - socket:  `ssh.socket`, at the first connection
              - service: `ssh.service`, at boot

              [default: socket]

          --clean
              Remove what a killed local cloud left on this host, then exit

          --prepare
              Build the machines' base system for the chosen engine, then exit

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    ");
}
