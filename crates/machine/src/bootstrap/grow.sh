#!/bin/sh
# Grows the file system of the volume to the size of its disk, while everything runs. Usage: grow.sh
# GB, the size that the disk has by now. Does nothing if the file system has that size.
set -eu

mnt=${DOCKBRIDGE_MNT:-/mnt/dockbridge}
wait_seconds=${DOCKBRIDGE_VOLUME_WAIT:-60}
wanted=$(($1 * 1073741824))

device=$(findmnt --noheadings --output SOURCE --mountpoint "$mnt") || {
    echo 'the volume is not mounted' >&2
    exit 1
}
# Some disks report a new size only after a rescan.
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
has=$(dumpe2fs -h "$device" 2>/dev/null |
    awk '/^Block count:/ { count = $3 } /^Block size:/ { size = $3 }
        END { printf "%.0f", count * size }')
# resize2fs omits a last block group that is too small for its own metadata; a group has 128 MiB.
if [ "$((has + 134217728))" -lt "$wanted" ]; then
    echo "the file system has $has bytes: $said" >&2
    exit 1
fi
