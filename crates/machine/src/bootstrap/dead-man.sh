#!/bin/sh
# Ends the machine when nobody renews its lease, with nothing but a shell: it holds from boot until the agent takes over, and behind the
# agent's back if that dies. The agent writes the end of the lease, in seconds since boot, to the file read here.
set -eu

lease=${DOCKBRIDGE_RUN:-/run/dockbridge}/lease
# Before the first lease: how long a client may need to find the new machine, in seconds since boot.
first=@BOOT_LEASE@
# The agent ends the machine in order; this is how much longer it may take, in seconds.
margin=60

while :; do
    read -r uptime _ </proc/uptime
    end=$(cat "$lease" 2>/dev/null || echo "$first")
    case $end in
    '' | *[!0-9]*) end=$first ;;
    esac
    if [ "${uptime%.*}" -gt $((end + margin)) ]; then
        echo 'dockbridge: nobody renewed the lease of this machine, it powers off' >&2
        systemctl poweroff
        exit 0
    fi
    sleep 5
done
