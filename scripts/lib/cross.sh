# shellcheck shell=sh disable=SC2154,SC2034 # variables of host.sh and of the sourcing script
# Building for the other architecture. Sourced behind host.sh. The compiler is the one of the
# project where rustup can add the target; else Debian unstable's, which comes with the standard
# library of both architectures, unpacked below the cache and not installed.

# The other architecture, as `uname -m` prints it.
other_machine() {
    case $(uname -m) in
    x86_64) echo aarch64 ;;
    *) echo x86_64 ;;
    esac
}

# cross_is_there MACHINE: provides what building for it needs. Fails with the reason in $no_cross
# where it cannot.
cross_is_there() {
    no_cross=
    cross_triple=$1-unknown-linux-gnu
    cross_rustc=
    # In a subshell, because `need` exits where it may not install.
    # Host programs: aarch64-linux-gnu-gcc /usr/aarch64-linux-gnu/include/stdio.h
    said=
    there "$1-linux-gnu-gcc" || said=$(need cross 2>&1) || true
    there "$1-linux-gnu-gcc" || {
        no_cross="there is no C compiler $1-linux-gnu-gcc ($said)"
        return 1
    }
    cross_std_is_there || rustup target add "$cross_triple" >/dev/null 2>&1 || {
        sid_rust "$1" || return
        cross_rustc=$cache/cross/rustc
    }
}

# use_cross MACHINE: exports what cargo needs to build for it, once it is there
use_cross() {
    upper=$(printf %s "$cross_triple" | tr 'a-z-' 'A-Z_')
    lower=$(printf %s "$cross_triple" | tr - _)
    export "CARGO_TARGET_${upper}_LINKER=$1-linux-gnu-gcc" "CC_$lower=$1-linux-gnu-gcc" \
        "AR_$lower=$1-linux-gnu-ar"
    [ -z "$cross_rustc" ] || export RUSTC="$cross_rustc"
}

# compress_agent FILE COMPRESSED: for build.rs; a file that is up to date stays, so that cargo does
# not build again
compress_agent() {
    there zstd || need cross
    mkdir -p "$(dirname "$2")"
    ! zstd -q -d -c "$2" 2>/dev/null | cmp -s - "$1" || return 0
    zstd -q -19 -f -o "$2.new" "$1"
    mv "$2.new" "$2"
}

# Whether the project's own compiler has the standard library.
cross_std_is_there() {
    sysroot=$(rustc --print sysroot 2>/dev/null) &&
        [ -d "$sysroot/lib/rustlib/$cross_triple/lib" ]
}

# sid_rust MACHINE: Debian unstable's compiler as $cache/cross/rustc
sid_rust() {
    [ ! -x "$cache/cross/rustc" ] || return 0
    if [ "$(uname -m)-$1" != x86_64-aarch64 ] || ! there apt-get; then
        no_cross="rustup cannot add the target $cross_triple"
        return 1
    fi
    echo 'Fetching a compiler for arm64 from Debian unstable (180 MB, once)'
    rm -rf "$cache/cross"
    mkdir -p "$cache/cross/root"
    (set -e && fetch_sid_rust "$cache/cross") || {
        no_cross="neither rustup nor Debian has a compiler for $cross_triple"
        return 1
    }
    # It runs with the C library that it came with. The wrapper is no dash, which drops variables
    # that cargo names with a hyphen.
    cat >"$cache/cross/rustc.new" <<'END'
#!/bin/bash
root=$(dirname "$(readlink -f "$0")")/root
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" \
    "$root/usr/bin/rustc" "$@"
END
    chmod 755 "$cache/cross/rustc.new"
    "$cache/cross/rustc.new" --version >/dev/null || {
        no_cross="Debian's compiler does not run here"
        return 1
    }
    mv "$cache/cross/rustc.new" "$cache/cross/rustc"
}

# fetch_sid_rust DIRECTORY: unpacks compiler and standard libraries of one version below
# DIRECTORY/root. apt has lists of its own there, of two architectures.
fetch_sid_rust() {
    apt=$1/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s sid main\n' \
        "$(mirror)" >"$apt/sources.list"
    cat >"$apt/apt.conf" <<END
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
APT::Architectures { "amd64"; "arm64"; };
END
    export APT_CONFIG="$apt/apt.conf"
    apt-get update -qq
    std=$(apt-cache depends rustc | sed -n 's/.*Depends: \(libstd-rust-[0-9.]*\)$/\1/p' | head -n 1)
    libraries=$(apt-cache depends --recurse --no-pre-depends --no-recommends --no-suggests \
        --no-conflicts --no-breaks --no-replaces --no-enhances "$std" |
        grep -E '^[a-z0-9]' | grep -v : | sort -u)
    # shellcheck disable=SC2086 # a list of names
    (cd "$apt" && apt-get download -qq rustc libstd-rust-dev libstd-rust-dev:arm64 $libraries)
    for package in "$apt"/*.deb; do
        dpkg -x "$package" "$1/root"
    done
    rm -rf "$apt"
}
