//! `--help` of `image`.

use super::help;

#[test]
fn image() {
    insta::assert_snapshot!(help(&["image"]), @"
    Build disk images of any operating system into snapshots; list and delete them

    Usage: dockbridge image [OPTIONS] <COMMAND>

    Commands:
      build   Build an image into a snapshot, unless an equal one exists
      list    List the snapshots that dockbridge built, with their cost
      delete  Delete a snapshot that dockbridge built
      prune   Delete old snapshots of each name and architecture
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
fn image_build() {
    insta::assert_snapshot!(help(&["image", "build"]), @"
    Build an image into a snapshot, unless an equal one exists

    Usage: dockbridge image build [OPTIONS] <COMMAND>

    Commands:
      raw     Any disk image: raw or qcow2, uncompressed, xz, zstd, gz or bz2, from
              a URL or a file
      talos   Talos Linux, from its image factory
      docker  The image that dockbridge's own machines boot from: the cloud's docker
              image with the agent installed. `hetzner.image: auto` uses it where it
              boots no slower
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
fn image_build_raw() {
    insta::assert_snapshot!(help(&["image", "build", "raw"]), @"
    Any disk image: raw or qcow2, uncompressed, xz, zstd, gz or bz2, from a URL or a
    file

    Usage: dockbridge image build raw [OPTIONS] <--url <URL>|--file <FILE>>

    Options:
          --profile <NAME>
              Profile: it has its own sockets, machine and volume [env:
              DOCKBRIDGE_PROFILE=] [default: default]
          --url <URL>
              URL of the image; the build server downloads it
          --config <FILE>
              Settings file, instead of the one in the configuration directory [env:
              DOCKBRIDGE_CONFIG=]
          --file <FILE>
              File on this computer, uploaded over SSH
          --sha256 <HEX>
              SHA-256 of the source as downloaded, compressed or not
          --socket <PATH>
              Docker socket, instead of the profile's default
          --sha512 <HEX>
              SHA-512 of the source as downloaded
          --compression <COMPRESSION>
              Compression of the source; `auto` detects it from the first bytes
              [default: auto] [possible values: auto, none, xz, zstd, gz, bz2]
          --format <FORMAT>
              Format of the decompressed image; `auto` detects it [default: auto]
              [possible values: auto, raw, qcow2]
          --os <OS>
              Operating system, for the snapshot's label `os`; defaults to the name
          --version <VERSION>
              Its version, for the label `version`
          --name <NAME>
              Name of the image; a label of the snapshot
          --arch <ARCH>
              Architecture [default: amd64] [possible values: amd64, arm64, both]
          --server-type <TYPE>
              Server types to build on, in order of preference, instead of the one
              with the smallest disk and the lowest price
          --token <TOKEN>
              API token; `-` reads it from standard input. Prefer that or
              HCLOUD_TOKEN: every process can see arguments
          --json
              Print events as JSON lines
      -h, --help
              Print help
    ");
}

#[test]
fn image_build_talos() {
    insta::assert_snapshot!(help(&["image", "build", "talos"]), @"
    Talos Linux, from its image factory

    Usage: dockbridge image build talos [OPTIONS]

    Options:
          --profile <NAME>       Profile: it has its own sockets, machine and volume
                                 [env: DOCKBRIDGE_PROFILE=] [default: default]
          --version <VERSION>    Version, e.g. v1.12.0
          --config <FILE>        Settings file, instead of the one in the
                                 configuration directory [env: DOCKBRIDGE_CONFIG=]
          --schematic <FILE|ID>  Schematic: its id, or a YAML file to upload to the
                                 factory
          --name <NAME>          Name of the image; a label of the snapshot
          --socket <PATH>        Docker socket, instead of the profile's default
          --arch <ARCH>          Architecture [default: amd64] [possible values:
                                 amd64, arm64, both]
          --server-type <TYPE>   Server types to build on, in order of preference,
                                 instead of the one with the smallest disk and the
                                 lowest price
          --token <TOKEN>        API token; `-` reads it from standard input. Prefer
                                 that or HCLOUD_TOKEN: every process can see
                                 arguments
          --json                 Print events as JSON lines
      -h, --help                 Print help
    ");
}

#[test]
fn image_build_docker() {
    insta::assert_snapshot!(help(&["image", "build", "docker"]), @"
    The image that dockbridge's own machines boot from: the cloud's docker image
    with the agent installed. `hetzner.image: auto` uses it where it boots no slower

    Usage: dockbridge image build docker [OPTIONS]

    Options:
          --name <NAME>         Name of the image; a label of the snapshot
          --profile <NAME>      Profile: it has its own sockets, machine and volume
                                [env: DOCKBRIDGE_PROFILE=] [default: default]
          --arch <ARCH>         Architecture [default: amd64] [possible values:
                                amd64, arm64, both]
          --config <FILE>       Settings file, instead of the one in the
                                configuration directory [env: DOCKBRIDGE_CONFIG=]
          --server-type <TYPE>  Server types to build on, in order of preference,
                                instead of the one with the smallest disk and the
                                lowest price
          --socket <PATH>       Docker socket, instead of the profile's default
          --token <TOKEN>       API token; `-` reads it from standard input. Prefer
                                that or HCLOUD_TOKEN: every process can see
                                arguments
          --json                Print events as JSON lines
      -h, --help                Print help
      -V, --version             Print version
    ");
}

#[test]
fn image_list() {
    insta::assert_snapshot!(help(&["image", "list"]), @"
    List the snapshots that dockbridge built, with their cost

    Usage: dockbridge image list [OPTIONS]

    Options:
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --token <TOKEN>   API token; `-` reads it from standard input. Prefer that
                            or HCLOUD_TOKEN: every process can see arguments
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --json            Print JSON
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn image_delete() {
    insta::assert_snapshot!(help(&["image", "delete"]), @"
    Delete a snapshot that dockbridge built

    Usage: dockbridge image delete [OPTIONS] <IMAGE>

    Arguments:
      <IMAGE>  Id of the snapshot, or its name if no other has the same

    Options:
          --profile <NAME>  Profile: it has its own sockets, machine and volume
                            [env: DOCKBRIDGE_PROFILE=] [default: default]
          --token <TOKEN>   API token; `-` reads it from standard input. Prefer that
                            or HCLOUD_TOKEN: every process can see arguments
          --config <FILE>   Settings file, instead of the one in the configuration
                            directory [env: DOCKBRIDGE_CONFIG=]
          --socket <PATH>   Docker socket, instead of the profile's default
      -h, --help            Print help
      -V, --version         Print version
    ");
}

#[test]
fn image_prune() {
    insta::assert_snapshot!(help(&["image", "prune"]), @"
    Delete old snapshots of each name and architecture

    Usage: dockbridge image prune [OPTIONS] --keep <COUNT> --older-than <AGE>

    Options:
          --keep <COUNT>      Number of newest snapshots to keep
          --profile <NAME>    Profile: it has its own sockets, machine and volume
                              [env: DOCKBRIDGE_PROFILE=] [default: default]
          --config <FILE>     Settings file, instead of the one in the configuration
                              directory [env: DOCKBRIDGE_CONFIG=]
          --older-than <AGE>  Delete only snapshots older than this, e.g. 30d
          --dry-run           Show what would be deleted, without deleting
          --socket <PATH>     Docker socket, instead of the profile's default
          --token <TOKEN>     API token; `-` reads it from standard input. Prefer
                              that or HCLOUD_TOKEN: every process can see arguments
      -h, --help              Print help
      -V, --version           Print version
    ");
}
