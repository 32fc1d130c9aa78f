#!/bin/sh
# Ends the machine when nobody renews its lease, with nothing but a shell: it holds from boot until the agent takes over, and behind the
# agent's back if that dies. The agent writes the end of the lease, in seconds since boot, to the file read here.
set -eu

run=${DOCKBRIDGE_RUN:-/run/dockbridge}
uptime_now() {
    read -r uptime _ </proc/uptime
    echo "${uptime%.*}"
}
# Before the first lease: how long a client may need to find the new machine, in seconds. Counted from the first start after a boot, since in a
# container the host's uptime is what stands in /proc.
first_seconds=@BOOT_LEASE@
now=$(uptime_now)
[ -s "$run/first-lease" ] || echo $((now + first_seconds)) >"$run/first-lease"
# The agent ends the machine in order; this is how much longer it may take, in seconds.
margin=60

while :; do
    end=$(cat "$run/lease" 2>/dev/null || cat "$run/first-lease")
    case $end in
    '' | *[!0-9]*) end=$(cat "$run/first-lease") ;;
    esac
    if [ "$(uptime_now)" -gt $((end + margin)) ]; then
        echo 'dockbridge: nobody renewed the lease of this machine, it powers off' >&2
        systemctl poweroff
        exit 0
    fi
    sleep 5
done
