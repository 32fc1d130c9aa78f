#!/bin/sh
# Grows the file system of the volume to its disk while everything runs: grow.sh GB, which the disk has by now. Nothing is changed where it is as large already.
set -eu

mnt=${DOCKBRIDGE_MNT:-/mnt/dockbridge}
wait_seconds=${DOCKBRIDGE_VOLUME_WAIT:-60}
wanted=$(($1 * 1073741824))

device=$(findmnt --noheadings --output SOURCE --mountpoint "$mnt") || {
    echo 'the volume is not mounted' >&2
    exit 1
}
# Some disks tell a new size only when they are asked.
rescan=/sys/class/block/$(basename "$device")/device/rescan
[ ! -w "$rescan" ] || echo 1 >"$rescan"

waited=0
while size=$(blockdev --getsize64 "$device") && [ "$size" -lt "$wanted" ]; do
    if [ "$waited" -ge $((wait_seconds * 5)) ]; then
        echo "after $wait_seconds s the disk still has $size bytes" >&2
        exit 1
    fi
    sleep 0.2
    waited=$((waited + 1))
done

said=$(resize2fs "$device" 2>&1) || {
    printf '%s\n' "$said" >&2
    exit 1
}
has=$(dumpe2fs -h "$device" 2>/dev/null | awk '/^Block count:/ { count = $3 } /^Block size:/ { size = $3 } END { printf "%.0f", count * size }')
# A last group of blocks that is too small for its own books is left out; one has 128 MiB.
if [ "$((has + 134217728))" -lt "$wanted" ]; then
    echo "the file system has $has bytes: $said" >&2
    exit 1
fi
