#!/bin/sh
# Powers the machine off when no client renews its lease. It needs only a shell, so it works from
# the boot until the agent takes over, and also if the agent dies. The agent writes the end of the
# lease, in seconds since boot, to the file that this script reads.
set -eu

run=${DOCKBRIDGE_RUN:-/run/dockbridge}
uptime_now() {
    read -r uptime _ </proc/uptime
    echo "${uptime%.*}"
}
# How long the machine waits for its first client, in seconds. Counted from the first start of this
# script after a boot, since /proc/uptime in a container is the host's.
first_seconds=@BOOT_LEASE@
now=$(uptime_now)
[ -s "$run/first-lease" ] || echo $((now + first_seconds)) >"$run/first-lease"
# The agent stops docker and unmounts the volume first. It may take this much longer, in seconds.
margin=60

while :; do
    end=$(cat "$run/lease" 2>/dev/null || cat "$run/first-lease")
    case $end in
    '' | *[!0-9]*) end=$(cat "$run/first-lease") ;;
    esac
    if [ "$(uptime_now)" -gt $((end + margin)) ]; then
        echo 'dockbridge: no client renewed the lease of this machine, it powers off' >&2
        systemctl poweroff
        exit 0
    fi
    sleep 5
done
