#!/bin/sh
# Mounts what /etc/fstab names by a device, as soon as the device is there: systemd ignores such
# entries in a container. As with `nofail`, no boot waits for it.
set -u

# As long as systemd waits for a device.
wait_seconds=90
failed=0

while read -r device target _ options _; do
    case $device in /dev/*) ;; *) continue ;; esac
    case ,${options:-}, in *,noauto,*) continue ;; esac
    waited=0
    until [ -b "$device" ] || [ "$waited" -ge $((wait_seconds * 10)) ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    mkdir -p "$target"
    mountpoint -q "$target" || mount "$target" || failed=1
done </etc/fstab
exit "$failed"
