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
fn completions() {
    insta::assert_snapshot!(help(&["completions"]), @"");
}

#[test]
fn uninstall() {
    insta::assert_snapshot!(help(&["uninstall"]), @"");
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
    insta::assert_snapshot!(help(&["local-cloud"]));
}
