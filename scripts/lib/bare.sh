# shellcheck shell=sh
# A minimal Debian as a machine of its own on this host, booted with systemd, for scripts/fresh.
# Sourced behind host.sh. The machine has its own network (through slirp4netns, so that nothing of
# the host's is changed), mounts, processes and control groups, and may do what a real server may:
# the local cloud's machines run inside. Everything goes when the script ends, by whatever end.

suite=bookworm
# What an image for servers has before anybody installs something.
bare_include=systemd,systemd-sysv,dbus,ca-certificates
bare_cache=${DOCKBRIDGE_BASE_CACHE:-/var/cache/dockbridge/base}
# Nodes of loop devices: the kernel makes the devices, but the machine's /dev does not show new
# ones.
bare_loops=255
# Seconds until systemd has started everything; seen are 3 to 5.
bare_boot_limit=90

# Sets $bare_base to the root of a system as it comes from Debian, made once for each recipe.
bare_prepare() {
    recipe=$(printf '%s\n' "$suite" "$(dpkg --print-architecture)" "$bare_include" \
        "$(bare_sources)" "$(bare_apt)" | sha256sum | cut -c 1-12)
    bare_base=$bare_cache/bare-$suite-$recipe
    mkdir -p "$bare_cache"
    exec 8>"$bare_cache/bare.lock"
    flock 8
    if [ ! -d "$bare_base" ]; then
        echo "Making a bare Debian ($suite; once)"
        making=$bare_cache/.making-bare
        rm -rf --one-file-system "$making"
        bare_apt >"$bare_cache/bare-apt.conf"
        mmdebstrap --quiet --variant=minbase --aptopt="$bare_cache/bare-apt.conf" \
            --include="$bare_include" "$suite" "$making" "$(mirror)" </dev/null
        rm -f "$making/etc/apt/apt.conf.d/99mmdebstrap"
        bare_sources >"$making/etc/apt/sources.list"
        bare_apt >"$making/etc/apt/apt.conf.d/90host"
        mv "$making" "$bare_base"
    fi
    exec 8>&-
}

# The package sources of such a system, from where this host has its own.
bare_sources() {
    printf 'deb %s %s main\ndeb %s %s-updates main\n' "$(mirror)" "$suite" "$(mirror)" "$suite"
    # shellcheck disable=SC2016 # the braces are apt's
    security=$(apt-get indextargets --format '$(URI)' 'Created-By: Packages' \
        'Label: Debian-Security' 2>/dev/null | sed -n 's|/dists/.*||p' | head -n 1)
    [ -z "$security" ] || printf 'deb %s %s-security main\n' "$security" "$suite"
}

# How this host's apt reaches them.
bare_apt() {
    apt-config dump Acquire |
        grep -i -E 'proxy|cainfo|verify-peer|check-valid-until|check-date|retries' || true
}

# Makes a machine's directory from the base: sets $bare to it and $bare_root to its root. Removes
# what a killed run left.
bare_make() {
    for old in /var/tmp/dockbridge-fresh-*; do
        [ -d "$old" ] || continue
        if flock --nonblock "$old/lock" true; then bare_remove "$old"; fi
    done
    bare=$(mktemp -d /var/tmp/dockbridge-fresh-XXXXXX)
    bare_name=${bare##*-}
    exec 9>"$bare/lock"
    flock 9
    bare_root=$bare/root
    cp -a --reflink=auto "$bare_base" "$bare_root"
    printf 'uninitialized\n' >"$bare_root/etc/machine-id"
    printf 'fresh\n' >"$bare_root/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 fresh\n' >"$bare_root/etc/hosts"
    # slirp4netns asks the servers of this host.
    printf 'nameserver 10.0.2.3\n' >"$bare_root/etc/resolv.conf"
}

# bare_boot NSPAWN-ARGUMENT ...: boots it, and waits until everything has started
bare_boot() {
    awk -v name="dockbridge-fresh-$bare_name" \
        '$3 == "cgroup2" || $3 == "cgroup" && $4 ~ /name=systemd/ { print $2 "/" name }' \
        /proc/mounts >"$bare/groups"
    while read -r group; do mkdir "$group"; done <"$bare/groups"
    # Host programs: unshare mount systemd-nspawn slirp4netns
    # setpriv and unshare end everything with this script. nspawn keeps its notes in a place of the
    # machine's own. /tmp is on the disk.
    # shellcheck disable=SC2016 # for the inner shell
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=network \
        SYSTEMD_NSPAWN_TMPFS_TMP=0 \
        setpriv --pdeathsig KILL unshare --mount --propagation private \
            --pid --fork --kill-child=SIGKILL --mount-proc -- sh -c '
            while read -r group; do echo 0 >"$group/cgroup.procs" || exit; done <"$0"
            mkdir -p /run/systemd/nspawn && mount -t tmpfs nspawn /run/systemd/nspawn || exit
            exec systemd-nspawn "$@"' "$bare/groups" \
        --quiet --boot --directory="$bare_root" --machine="fresh-$bare_name" --register=no \
        --keep-unit --private-network --capability=all --system-call-filter=@known \
        --link-journal=no --resolv-conf=off --timezone=off --console=read-only \
        --bind=/dev/loop-control --bind=/dev/net/tun --bind=/dev/fuse "$@" \
        </dev/null >"$bare/console" 2>&1 9>&- &
    bare_process=$!
    tries=0
    until bare_find_init && [ "$(bare_state)" = running ]; do
        tries=$((tries + 1))
        if [ $tries -gt $((bare_boot_limit * 5)) ] || ! kill -0 "$bare_process" 2>/dev/null; then
            echo "The bare machine does not come up ($(bare_state)). Its console:" >&2
            tail -n 20 "$bare/console" >&2
            bare_enter systemctl --failed --plain --no-legend >&2 || true
            exit 1
        fi
        sleep 0.2
    done
    setpriv --pdeathsig KILL slirp4netns --configure --mtu=65520 \
        --disable-host-loopback --ready-fd=3 "$bare_init" tap0 \
        </dev/null 3>"$bare/network-ready" >"$bare/network" 2>&1 9>&- &
    bare_network=$!
    tries=0
    until [ -s "$bare/network-ready" ]; do
        tries=$((tries + 1))
        if [ $tries -gt 100 ]; then
            echo 'The bare machine gets no network:' >&2
            cat "$bare/network" >&2
            exit 1
        fi
        sleep 0.1
    done
    # Only now, so that the machine's systemd-sysctl has set nothing of the whole host.
    bare_enter mount -o remount,bind,rw /proc/sys
    # shellcheck disable=SC2016 # for the inner shell
    nodes='for i in $(seq 0 "$0"); do n=/dev/loop$i; [ -e $n ] || mknod -m 660 $n b 7 "$i"; done'
    bare_enter sh -c "$nodes" "$bare_loops"
}

# Sets $bare_init to the process id of the machine's init, once it runs.
bare_find_init() {
    nspawn=$(cut -d ' ' -f 1 "/proc/$bare_process/task/$bare_process/children" 2>/dev/null) ||
        return
    [ -n "$nspawn" ] || return
    bare_init=$(cut -d ' ' -f 1 "/proc/$nspawn/task/$nspawn/children" 2>/dev/null)
    # Before that it is nspawn itself, at work on the machine's mounts.
    case $(readlink "/proc/$bare_init/exe") in */systemd/systemd) ;; *) return 1 ;; esac
}

# A word, such as starting, running or degraded.
bare_state() {
    bare_enter systemctl is-system-running 2>/dev/null || true
}

# bare_enter COMMAND ...: beside the machine's services, with nothing of this host's environment
bare_enter() {
    nsenter --target "$bare_init" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# bare_run NAME=VALUE ... -- COMMAND ...: as one of the machine's services, with its output here
bare_run() {
    variables=
    while [ "$1" != -- ]; do
        variables="$variables --setenv=$1"
        shift
    done
    # shellcheck disable=SC2086 # words without blanks
    bare_enter systemd-run --pipe --wait --quiet --collect --setenv=HOME=/root $variables "$@" \
        </dev/null
}

# How many packages are installed there.
bare_count() {
    bare_enter dpkg-query -f '.\n' -W | wc -l
}

# Ends the machine and removes it.
bare_end() {
    for process in ${bare_process:-} ${bare_network:-}; do
        kill -KILL "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    [ -z "${bare:-}" ] || bare_remove "$bare"
}

bare_remove() {
    if [ -e "$1/groups" ]; then
        while read -r group; do
            tries=0
            # The kernel lets go of a group shortly after its last process.
            while [ -d "$group" ] && ! find "$group" -depth -type d -exec rmdir {} + 2>/dev/null &&
                [ $tries -lt 50 ]; do
                tries=$((tries + 1))
                sleep 0.1
            done
        done <"$1/groups"
    fi
    rm -rf --one-file-system "$1"
}
