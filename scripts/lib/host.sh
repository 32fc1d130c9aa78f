# shellcheck shell=sh
# What scripts need of the host. Sourced, not run: the sourcing script is in scripts/. Root on
# Debian installs missing packages; otherwise they are named, before anything else happens.

# need USE ...: the programs of scripts/lib/programs.txt that these uses name
need() {
    list=$root/scripts/lib/programs.txt
    missing_from "$list" "$@"
    [ -n "$packages" ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "Not found:$missing" >&2
        echo 'Install these packages and run this again. On Debian, as root:' >&2
        echo "apt-get install$packages" >&2
        exit 1
    fi
    echo "Not found:$missing"
    echo "Installing$packages"
    install_packages
    missing_from "$list" "$@"
    [ -z "$packages" ] || {
        echo "Still not found:$missing (packages$packages)" >&2
        exit 1
    }
}

# missing_from LIST USE ...: sets $missing to the programs that are not there, and $packages to
# where they come from
missing_from() {
    list=$1
    shift
    missing=''
    packages=''
    while read -r program package uses; do
        case $program in '' | '#'*) continue ;; esac
        if ! used "$uses" "$@" || there "$program"; then continue; fi
        missing="$missing $program"
        case "$packages " in *" $package "*) ;; *) packages="$packages $package" ;; esac
    done <"$list"
}

# used USES USE ...: one of these uses is among the listed ones, which have commas between them
used() {
    listed=$1
    shift
    for use in "$@"; do
        case ,$listed, in *,"$use",*) return 0 ;; esac
    done
    return 1
}

# there PROGRAM-OR-FILE: administration tools also count where a desktop's PATH lacks their
# directory
there() {
    case $1 in
    /*)
        # A pattern that matches nothing stays as it is.
        for file in $1; do
            [ -e "$file" ] && return 0
        done
        return 1
        ;;
    *) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] ;;
    esac
}

# Installs $packages without a question, and starts nothing: neither now (policy-rc.d) nor at the
# next boot. A user who runs the tests did not order a Docker engine or an SSH server on this host;
# the tests start their own and need only the programs.
install_packages() {
    apt_update
    units_before=$(enabled_units)
    (
        policy=/usr/sbin/policy-rc.d
        [ -e "$policy" ] || {
            trap 'rm -f "$policy"' EXIT
            trap 'exit 130' INT TERM HUP
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
        }
        # shellcheck disable=SC2086 # a list of names
        quiet_apt install -y --no-install-recommends $packages
    ) || exit
    units=
    for unit in $(enabled_units); do
        case " $units_before " in *" $unit "*) ;; *) units="$units $unit" ;; esac
    done
    [ -n "$units" ] || return 0
    # shellcheck disable=SC2086 # a list of names
    systemctl --quiet disable $units 2>/dev/null || true
    echo "Left off:$units (as a service: systemctl enable --now NAME)"
}

# Services and sockets that start at boot, in one line.
enabled_units() {
    find /etc/systemd/system -type l \( -name '*.service' -o -name '*.socket' \) 2>/dev/null |
        sed 's|.*/||' | sort -u | tr '\n' ' '
}

# apt-get without a terminal: it asks nothing, keeps changed settings, restarts nothing, and waits
# for another apt. What it said is shown only if it failed.
quiet_apt() {
    said=$(DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none \
        apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef \
            -o Dpkg::Options::=--force-confold \
        "$@" </dev/null 2>&1) || {
        printf '%s\n' "$said" >&2
        return 1
    }
}

# A source that does not answer is no reason to end: the installation finds out whether the packages
# are available.
apt_update() {
    [ -n "${apt_is_updated:-}" ] || quiet_apt update || true
    apt_is_updated=1
}

# Rust comes from rustup, in the home of the user who installed it: with sudo that is not root's.
need_rust() {
    command -v cargo >/dev/null 2>&1 && return
    rust_home=$(getent passwd "${SUDO_USER:-}" | cut -d : -f 6)
    [ -n "$rust_home" ] && [ -x "$rust_home/.cargo/bin/cargo" ] && return
    echo 'Rust is missing: cargo is not in PATH.' >&2
    echo 'Install it with rustup (https://rustup.rs), then run this again.' >&2
    exit 1
}

# with_rust COMMAND ...: as the user who has Rust, so that what is built belongs to them
with_rust() {
    if command -v cargo >/dev/null 2>&1; then
        "$@"
    else
        runuser -u "$SUDO_USER" -- env HOME="$rust_home" PATH="$rust_home/.cargo/bin:$PATH" "$@"
    fi
}

need_root() {
    [ "$(id -u)" = 0 ] || {
        echo "$1 runs real machines on this host and needs root." >&2
        exit 1
    }
}

# Debian's mirror as this host has it.
mirror() {
    # shellcheck disable=SC2016 # the braces are apt's
    uri=$(apt-get indextargets --format '$(URI)' 'Created-By: Packages' 'Origin: Debian' \
        2>/dev/null | sed -n 's|/dists/.*||p' | head -n 1)
    [ -n "$uri" ] || {
        echo 'The package sources of this host name no Debian mirror.' >&2
        exit 1
    }
    printf '%s\n' "$uri"
}

# from_sid DIR PACKAGE ...: unpacks packages of Debian unstable below DIR, without installing them
from_sid() {
    from_debian sid "$@"
}

# from_debian SUITE DIR PACKAGE ...: unpacks packages of that suite of Debian below DIR, without
# installing them
from_debian() {
    suite=$1
    dir=$2
    shift 2
    apt_update
    work=$(mktemp -d)
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
        "$(mirror)" "$suite" >"$work/sources.list"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$dir"
    options="-o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=/dev/null"
    options="$options -o Dir::State::lists=$work/lists"
    options="$options -o Dir::Cache=$work/cache -o APT::Sandbox::User=root"
    # shellcheck disable=SC2086 # words without blanks
    (cd "$work" && apt-get $options update -qq && apt-get $options download -qq "$@" >/dev/null)
    for package in "$work"/*.deb; do
        dpkg -x "$package" "$dir"
    done
    rm -rf "$work"
}

# docker_client VERSION: a docker client of that major version or a later one, found or fetched.
# What was fetched comes first in PATH.
docker_client() {
    found=$(docker --version 2>/dev/null) || found=
    found=${found#Docker version }
    found=${found%%.*}
    if [ "${found:-0}" -lt "$1" ]; then
        [ -x "$cache/docker/usr/bin/docker" ] || {
            echo 'Fetching a docker client (no engine)'
            from_sid "$cache/docker" docker-cli
        }
        PATH=$cache/docker/usr/bin:$PATH
    fi
    export PATH
}

# Docker's BuildKit client and compose: a directory of plugins, for configurations of their own.
docker_plugins() {
    DOCKBRIDGE_TEST_PLUGINS=$cache/plugins/usr/libexec/docker/cli-plugins
    export DOCKBRIDGE_TEST_PLUGINS
    [ -x "$DOCKBRIDGE_TEST_PLUGINS/docker-buildx" ] &&
        [ -x "$DOCKBRIDGE_TEST_PLUGINS/docker-compose" ] && return
    echo 'Fetching docker buildx and compose'
    from_sid "$cache/plugins" docker-buildx docker-compose
}

# Docker clients of several versions for the tests that compare them: the directory that
# DOCKBRIDGE_TEST_CLIENTS names holds VERSION/docker for each. A client that cannot be obtained is
# missing there, and the tests skip it.
docker_clients() {
    DOCKBRIDGE_TEST_CLIENTS=$cache/clients
    export DOCKBRIDGE_TEST_CLIENTS
    docker_client_of 20.10 bookworm docker.io
    docker_client_of 28.5 sid docker-cli
    # No suite of Debian has 28.2: it is used where it is the client of this host.
    [ -x "$DOCKBRIDGE_TEST_CLIENTS/28.2/docker" ] || case $(docker --version) in
    'Docker version 28.2.'*)
        mkdir -p "$DOCKBRIDGE_TEST_CLIENTS/28.2"
        cp -L "$(command -v docker)" "$DOCKBRIDGE_TEST_CLIENTS/28.2/docker"
        ;;
    *)
        echo 'Docker client 28.2 is in no suite of Debian, and the host has another: it is skipped'
        ;;
    esac
}

# docker_client_of VERSION SUITE PACKAGE
docker_client_of() {
    [ ! -x "$DOCKBRIDGE_TEST_CLIENTS/$1/docker" ] || return 0
    echo "Fetching docker client $1 of Debian $2"
    client=$(mktemp -d) found=
    if from_debian "$2" "$client" "$3" && found=$("$client/usr/bin/docker" --version) &&
        [ "${found#Docker version "$1".}" != "$found" ]; then
        mkdir -p "$DOCKBRIDGE_TEST_CLIENTS/$1"
        mv "$client/usr/bin/docker" "$DOCKBRIDGE_TEST_CLIENTS/$1/docker"
    else
        echo "Docker client $1 is not obtained (${found:-nothing fetched}): it is skipped"
    fi
    rm -rf "$client"
}

# Other Docker clients' own test suites, for the tests that run them: docker-py's from PyPI,
# bollard's from crates.io (built here), and Debian's registry of images, which both want.
# DOCKBRIDGE_TEST_SUITES names their directory; what cannot be obtained is not in it.
docker_suites() {
    DOCKBRIDGE_TEST_SUITES=$cache/suites
    export DOCKBRIDGE_TEST_SUITES
    mkdir -p "$DOCKBRIDGE_TEST_SUITES"
    # Each version speaks the API of the machines' engine (1.45). Later source archives of docker-py
    # come without tests.
    [ -d "$DOCKBRIDGE_TEST_SUITES/docker-py" ] || docker_py 7.0.0 ||
        echo 'The suite of docker-py is not reached: it is skipped'
    [ -d "$DOCKBRIDGE_TEST_SUITES/bollard" ] || bollard 0.17.1 ||
        echo 'The suite of bollard is not reached: it is skipped'
    [ -d "$DOCKBRIDGE_TEST_SUITES/testcontainers" ] || testcontainers ||
        echo 'Testcontainers is not reached: it is skipped'
    [ -d "$DOCKBRIDGE_TEST_SUITES/registry" ] || registry ||
        echo 'The registry of images is not reached: it is skipped'
}

# Host programs: /usr/lib/python3*/ensurepip
docker_py() {
    echo "Fetching docker-py $1 and its tests"
    work=$(mktemp -d)
    python3 -m venv "$work/python" &&
        "$work/python/bin/pip" download \
            --quiet --disable-pip-version-check --no-deps --no-binary docker -d "$work" \
            "docker==$1" &&
        tar -x -z -f "$work/docker-$1.tar.gz" -C "$work" || return
    # Its own pins of that version.
    rm -rf "$DOCKBRIDGE_TEST_SUITES/python"
    python3 -m venv "$DOCKBRIDGE_TEST_SUITES/python" &&
        "$DOCKBRIDGE_TEST_SUITES/python/bin/pip" install \
            --quiet --disable-pip-version-check requests==2.31.0 'urllib3<2.3' packaging paramiko \
            websocket-client pytest==7.4.2 pytest-timeout==2.1.0 || return
    mv "$work/docker-$1" "$DOCKBRIDGE_TEST_SUITES/docker-py"
    rm -rf "$work"
}

# The last version that runs on Node.js 18 and 20.
testcontainers() {
    echo 'Fetching Testcontainers of npm and PyPI'
    work=$(mktemp -d)
    npm install --silent --no-audit --no-fund --prefix "$work" testcontainers@10.28.0 || return
    python3 -m venv "$work/python" || return
    "$work/python/bin/pip" install --quiet --disable-pip-version-check testcontainers==4.15.0 ||
        return
    # Its programs name the directory that they were made in; the interpreter finds its packages
    # wherever it stands.
    mv "$work" "$DOCKBRIDGE_TEST_SUITES/testcontainers"
}

bollard() {
    echo "Fetching bollard $1 and building its tests"
    work=$(mktemp -d)
    mkdir "$work/src"
    : >"$work/src/lib.rs"
    {
        printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n'
        printf '[dependencies]\nbollard = "=%s"\n' "$1"
    } >"$work/Cargo.toml"
    found=$(cd "$work" && cargo metadata --quiet --format-version 1 |
        jq -er '.packages[] | select(.name == "bollard").manifest_path') || return
    cp -r "$(dirname "$found")" "$work/bollard"
    # A workspace of its own, wherever it stands.
    printf '\n[workspace]\n' >>"$work/bollard/Cargo.toml"
    mkdir "$work/bollard/bin"
    # Only the programs are kept. BuildKit's part is in, for its protocol of its own inside an
    # upgraded connection.
    (
        cd "$work/bollard"
        export CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
        cargo test --target-dir "$work/target" --quiet --locked --features buildkit \
            --tests --no-run --message-format json |
            jq -r 'select(.reason == "compiler-artifact" and .executable)' |
            jq -r 'select(.target.kind == ["test"]) | .target.name + " " + .executable'
    ) >"$work/programs" || return
    [ -s "$work/programs" ] || return
    while read -r name program; do
        cp "$program" "$work/bollard/bin/$name"
    done <"$work/programs"
    mv "$work/bollard" "$DOCKBRIDGE_TEST_SUITES/bollard"
    rm -rf "$work"
}

registry() {
    echo 'Fetching a registry of images'
    work=$(mktemp -d)
    apt_update
    (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root docker-registry >/dev/null &&
        dpkg -x docker-registry_*.deb registry) || return
    mv "$work/registry" "$DOCKBRIDGE_TEST_SUITES/registry"
    rm -rf "$work"
}

# A script below scripts/ says itself where the checkout is.
root=${DOCKBRIDGE_CHECKOUT:-$(cd "$(dirname "$0")/.." && pwd)}
cache=${DOCKBRIDGE_CACHE:-$root/.cache}
