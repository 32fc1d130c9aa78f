#!/bin/sh
# Installs dockbridge for the user who runs it: fetches the archive for this computer, compares its
# checksum, and copies program, manual pages and shell completions below ~/.local. `dockbridge
# uninstall` removes them again. Needs curl or wget, tar, gzip and sha256sum (or shasum).
#
#   sh install.sh [--version VERSION] [--prefix DIRECTORY]
#
# DOCKBRIDGE_DOWNLOAD_URL names another place than the project's releases: a directory with the
# archives and SHA256SUMS. DOCKBRIDGE_SIGNERS names a file of allowed signers (ssh-keygen): the
# signature of SHA256SUMS is verified, too. Nothing runs before the last line, so that a download of
# this script that is cut off does nothing.
set -eu

releases=https://github.com/dockbridge/dockbridge/releases
needs_glibc='it needs the GNU C library 2.34: Debian 12, Ubuntu 22.04, Fedora 35 or later'

fail() {
    printf 'Error: %s\n' "$1" >&2
    [ $# = 1 ] || printf 'Hint: %s\n' "$2" >&2
    exit 1
}

# Prints the architecture in the names of archives.
architecture() {
    system=$(uname -s)
    [ "$system" = Linux ] ||
        fail "there is no dockbridge for $system yet" 'build it from source on Linux'
    machine=$(uname -m)
    case $machine in
    x86_64 | amd64) echo x86_64 ;;
    aarch64 | arm64) echo aarch64 ;;
    *) fail "there is no dockbridge for $machine" 'there are archives for x86_64 and aarch64' ;;
    esac
}

# fetch URL FILE
fetch() {
    if command -v curl >/dev/null 2>&1; then
        curl --fail --silent --show-error --location --retry 2 --output "$2" "$1"
    elif command -v wget >/dev/null 2>&1; then
        wget -q -O "$2" "$1"
    else
        fail 'neither curl nor wget is installed' 'install one of them'
    fi || fail "cannot fetch $1" 'check the network, and whether that version exists'
}

# verify URL SIGNERS: whether one of the signers has signed SHA256SUMS
verify() {
    [ -r "$2" ] || fail "cannot read the signers $2" 'DOCKBRIDGE_SIGNERS names their file'
    command -v ssh-keygen >/dev/null 2>&1 ||
        fail 'ssh-keygen is not installed, which verifies the signature' 'install OpenSSH'
    fetch "$1/SHA256SUMS.sig" "$work/SHA256SUMS.sig"
    ssh-keygen -q -Y verify -f "$2" -I dockbridge -n dockbridge-release \
        -s "$work/SHA256SUMS.sig" <"$work/SHA256SUMS" >/dev/null 2>&1 ||
        fail "no signer in $2 has signed SHA256SUMS at $1: nothing is installed"
}

# Prints the SHA-256 of a file.
checksum() {
    if command -v sha256sum >/dev/null 2>&1; then
        sum=$(sha256sum "$1")
    elif command -v shasum >/dev/null 2>&1; then
        sum=$(shasum -a 256 "$1")
    else
        fail 'neither sha256sum nor shasum is installed' 'install one of them'
    fi
    printf '%s\n' "${sum%% *}"
}

# make_directory PREFIX PATH: creates it below the prefix, and notes what was created
make_directory() {
    [ ! -d "$1/$2" ] || return 0
    case $2 in */*) make_directory "$1" "${2%/*}" ;; esac
    mkdir "$1/$2"
    # Directories are removed after what they contain.
    made="$2
$made"
}

# copy_tree TREE PREFIX: replaces each file in one step, also that of a program that runs. What an
# earlier version installed and this one has not goes away.
copy_tree() {
    list=share/dockbridge/installed
    made=
    (cd "$1" && find . -type f) | sed 's|^\./||' | sort >"$work/files"
    mkdir -p "$2"
    make_directory "$2" share/dockbridge
    : >"$work/kept"
    [ ! -f "$2/$list" ] || cp "$2/$list" "$work/kept"
    while read -r file; do
        make_directory "$2" "${file%/*}"
        cp "$1/$file" "$2/$file.new"
        mv -f "$2/$file.new" "$2/$file"
    done <"$work/files"
    {
        cat "$work/files"
        echo "$list"
        printf '%s' "$made"
        while read -r old; do
            if [ -d "$2/$old" ]; then
                echo "$old"
            elif [ "$old" != "$list" ] && ! grep -F -x -q -e "$old" "$work/files"; then
                rm -f "$2/$old"
            fi
        done <"$work/kept"
    } >"$2/$list.new"
    mv -f "$2/$list.new" "$2/$list"
}

main() {
    prefix=${HOME:-}/.local
    url=${DOCKBRIDGE_DOWNLOAD_URL:-}
    version=
    while [ $# -gt 0 ]; do
        case $1 in
        --version) version=${2:?--version needs a version} && shift 2 ;;
        --prefix) prefix=${2:?--prefix needs a directory} && shift 2 ;;
        *) fail "unknown argument $1" 'sh install.sh [--version VERSION] [--prefix DIRECTORY]' ;;
        esac
    done
    case $prefix in /?*) ;; *) fail "the prefix $prefix is no absolute path" ;; esac
    [ "$prefix" != /.local ] || fail 'HOME is not set' 'name a directory with --prefix'
    archive=dockbridge-$(architecture)-linux.tar.gz
    if [ -z "$url" ]; then
        url=$releases/latest/download
        [ -z "$version" ] || url=$releases/download/v${version#v}
    fi

    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    fetch "$url/SHA256SUMS" "$work/SHA256SUMS"
    [ -z "${DOCKBRIDGE_SIGNERS:-}" ] || verify "$url" "$DOCKBRIDGE_SIGNERS"
    expected=$(sed -n "s/^\([0-9a-f]\{64\}\)  $archive\$/\1/p" "$work/SHA256SUMS")
    [ -n "$expected" ] || fail "SHA256SUMS at $url does not list $archive"
    fetch "$url/$archive" "$work/$archive"
    found=$(checksum "$work/$archive")
    [ "$found" = "$expected" ] ||
        fail "$archive has the checksum $found, not $expected: nothing is installed" \
            'the download was damaged or changed; try again'
    tar -x -z -f "$work/$archive" -C "$work"
    tree=$work/${archive%.tar.gz}
    ran=$("$tree/bin/dockbridge" --version 2>&1) ||
        fail "the program does not run here: $ran" "$needs_glibc"
    copy_tree "$tree" "$prefix"

    echo "Installed $ran in $prefix."
    case :${PATH:-}: in
    *:"$prefix/bin":*) ;;
    *) echo "Add it to your shell's profile: export PATH=\"$prefix/bin:\$PATH\"" ;;
    esac
    echo 'Next: dockbridge init'
    echo 'To remove it: dockbridge uninstall'
}

main "$@"
