# shellcheck shell=sh
# What scripts need of the host. Sourced, not run. Packages that are missing are installed when we are root on Debian, and named otherwise.

# need COMMAND-OR-FILE PACKAGE ...: pairs of what is looked for and where it comes from
need() {
    missing=
    while [ $# -gt 0 ]; do
        case $1 in
        /*) [ -e "$1" ] || missing="$missing $2" ;;
        *) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2" ;;
        esac
        shift 2
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "These packages are missing:$missing" >&2
        echo "Install them (Debian: apt-get install$missing) and run this again." >&2
        exit 1
    fi
    echo "Installing$missing"
    apt_update
    # shellcheck disable=SC2086 # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null </dev/null
}

apt_update() {
    [ -n "${apt_is_updated:-}" ] || apt-get update -qq
    apt_is_updated=1
}

# Debian's mirror as this host has it.
mirror() {
    # shellcheck disable=SC2016 # the braces are apt's
    uri=$(apt-get indextargets --format '$(URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null | sed -n 's|/dists/.*||p' | head -n 1)
    [ -n "$uri" ] || {
        echo 'No Debian mirror is found among the package sources of this host.' >&2
        exit 1
    }
    printf '%s\n' "$uri"
}

# from_sid DIR PACKAGE ...: unpacks packages of Debian unstable below DIR, without installing them
from_sid() {
    dir=$1
    shift
    apt_update
    work=$(mktemp -d)
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s sid main\n' "$(mirror)" >"$work/sources.list"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$dir"
    options="-o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$work/lists"
    options="$options -o Dir::Cache=$work/cache -o APT::Sandbox::User=root"
    # shellcheck disable=SC2086 # words without blanks
    (cd "$work" && apt-get $options update -qq && apt-get $options download -qq "$@" >/dev/null)
    for package in "$work"/*.deb; do
        dpkg -x "$package" "$dir"
    done
    rm -rf "$work"
}

# A docker client, found or fetched: its folder is put in front of PATH.
docker_client() {
    if ! command -v docker >/dev/null 2>&1; then
        [ -x "$cache/docker/usr/bin/docker" ] || {
            echo 'Fetching a docker client (no engine)'
            from_sid "$cache/docker" docker-cli
        }
        PATH=$cache/docker/usr/bin:$PATH
    fi
    export PATH
}

# Docker's BuildKit client and compose: a folder of plugins, for configurations of their own.
docker_plugins() {
    DOCKBRIDGE_TEST_PLUGINS=$cache/plugins/usr/libexec/docker/cli-plugins
    export DOCKBRIDGE_TEST_PLUGINS
    [ -x "$DOCKBRIDGE_TEST_PLUGINS/docker-buildx" ] && [ -x "$DOCKBRIDGE_TEST_PLUGINS/docker-compose" ] && return
    echo 'Fetching docker buildx and compose'
    from_sid "$cache/plugins" docker-buildx docker-compose
}

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${DOCKBRIDGE_CACHE:-$root/.cache}
