#!/bin/sh
# Mounts the volume where docker and containerd keep their data. Runs before either starts, at every
# boot. It uses a device only if the SCSI serial is that of the expected volume. It formats the
# device only if it is empty: no signature that blkid knows, no partition table, and only zeros in
# all places that are checked. The one exception is a format that was cut off: it has left a mark in
# the last block, and the file system was never mounted. All other data stays untouched.
set -eu

run=${DOCKBRIDGE_RUN:-/run/dockbridge}
mnt=${DOCKBRIDGE_MNT:-/mnt/dockbridge}
label=dockbridge
wait_seconds=${DOCKBRIDGE_VOLUME_WAIT:-300}
id=$(cat "${DOCKBRIDGE_ETC:-/etc/dockbridge}/volume-id")
link=${DOCKBRIDGE_DEV:-/dev}/disk/by-id/scsi-0HC_Volume_$id
sys=${DOCKBRIDGE_SYS:-/sys}
lib=${DOCKBRIDGE_LIB:-/var/lib}
settings=${DOCKBRIDGE_DOCKER_ETC:-/etc/docker}/daemon.json

state() {
    printf '%s\n' "$1" >"$run/volume.state.new"
    mv "$run/volume.state.new" "$run/volume.state"
}

refuse() {
    state "refused: $*"
    echo "dockbridge: $*" >&2
    exit 1
}

# Runs a tool. A machine without its volume is deleted, and its journal with it, so the state
# contains the tool's own message.
attempt() {
    what=$1
    shift
    said=$("$@" 2>&1) ||
        refuse "volume $id cannot be $what: $(printf '%s' "$said" | tr '\n' ' ')"
}

# udev creates the link asynchronously, and it has pointed to another disk for a moment. So the
# serial decides.
serial_of() {
    numbers=$(stat -L -c '0x%t 0x%T' "$1") || return 1
    page=$sys/dev/block/$((${numbers% *})):$((${numbers#* }))/device/vpd_pg80
    [ -r "$page" ] || return 1
    tail -c +5 "$page" | tr -d ' \000\n'
}

find_device() {
    waited=0
    found=
    while [ "$waited" -lt $((wait_seconds * 5)) ]; do
        if [ -b "$link" ]; then
            device=$(readlink -f "$link")
            found=$(serial_of "$device" || echo unreadable)
            [ "$found" = "$id" ] && return 0
        fi
        sleep 0.2
        waited=$((waited + 1))
    done
    [ -n "$found" ] && refuse "the disk at $link has the serial $found instead of $id:" \
        "it is not the expected volume and was not touched"
    refuse "volume $id did not appear within $wait_seconds s"
}

# Checks for zeros at the start, at the end and at every full GiB. Reading all of a large volume
# would take minutes at every first use.
is_blank() {
    size=$(blockdev --getsize64 "$device")
    zeros 0 16777216 || return 1
    zeros $((size - 1048576)) 1048576 || return 1
    at=1073741824
    while [ $((at + 1048576)) -le "$size" ]; do
        zeros "$at" 1048576 || return 1
        at=$((at + 1073741824))
    done
}

# zeros FIRST-BYTE COUNT. Fails if the bytes cannot be read.
zeros() {
    cmp -s -i "$1:0" -n "$2" "$device" /dev/zero
}

mark="dockbridge is formatting volume $id"

last_block() {
    echo $(($(blockdev --getsize64 "$device") / 4096 - 1))
}

is_marked() {
    block=$(dd if="$device" bs=4096 skip="$(last_block)" count=1 2>/dev/null | tr -d '\000')
    [ "$block" = "$mark" ]
}

# A file system that was ever mounted is not formatted, even if the last block has the mark.
was_mounted() {
    ! dumpe2fs -h "$device" 2>/dev/null | grep -q '^Last mount time: *n/a$'
}

format() {
    state formatting
    printf %s "$mark" >"$run/mark"
    attempt formatted dd if="$run/mark" of="$device" bs=4096 seek="$(last_block)" \
        conv=sync,notrunc,fsync
    attempt formatted mkfs.ext4 -q -L "$label" -m 1 "$device"
    attempt formatted dd if=/dev/zero of="$device" bs=4096 seek="$(last_block)" count=1 \
        conv=notrunc,fsync
}

prepare() {
    # Low-level probe without cache. Status 0: found; 2: nothing found. Any other status (8:
    # ambivalent) counts as found.
    status=0
    probe=$(blkid -p -o export "$device") || status=$?
    if [ "$status" -eq 2 ]; then
        is_marked || is_blank ||
            refuse "volume $id carries data of an unknown kind, or cannot be read; it was not" \
                "formatted. Use another volume, or delete this one if nobody needs it"
        format
        return
    fi
    type=$(printf '%s\n' "$probe" | sed -n 's/^TYPE=//p')
    found_label=$(printf '%s\n' "$probe" | sed -n 's/^LABEL=//p')
    table=$(printf '%s\n' "$probe" | sed -n 's/^PTTYPE=//p')
    if [ "$status" -ne 0 ] || [ "$type" != ext4 ] || [ "$found_label" != "$label" ]; then
        what=${type:+a file system of type $type}
        what=${what:-${table:+a partition table of type $table}}
        refuse "volume $id carries ${what:-data of an unknown kind} that dockbridge did not make;" \
            "it was not formatted. Use another volume, or delete this one if nobody needs it"
    fi
    if is_marked && ! was_mounted; then
        format
        return
    fi
    status=0
    e2fsck -p "$device" >/dev/null || status=$?
    [ "$status" -le 1 ] ||
        refuse "the file system of volume $id needs repair by hand (e2fsck -p ended with $status)"
}

# Whether the disk is larger than its file system, by more than a last block group, which may be too
# small for its own metadata.
is_larger() {
    blocks=$(dumpe2fs -h "$device" 2>/dev/null | sed -n 's/^Block count: *//p')
    block=$(dumpe2fs -h "$device" 2>/dev/null | sed -n 's/^Block size: *//p')
    [ "$(blockdev --getsize64 "$device")" -gt $((${blocks:-0} * ${block:-0} + 134217728)) ]
}

# Grows the file system. While it is mounted this takes no time and survives a power cut, but the
# kernel allows it only to a full root. A container's root is none: there the file system is
# unmounted first. A failure does not keep the machine from its data.
grow() {
    resize2fs "$device" >/dev/null 2>&1 && return
    umount "$mnt"
    # Status 1 of e2fsck: all errors are repaired.
    said=$( (e2fsck -f -p "$device" >/dev/null || [ $? -le 1 ]) 2>&1 && resize2fs "$device" 2>&1) ||
        echo "dockbridge: the file system of volume $id was not grown: $said" >&2
    attempt mounted mount -t ext4 -o noatime "$device" "$mnt"
}

# Lists the containers that ran when the last machine was cut off, by the engine's own state files.
# After an orderly end these say that none runs.
ran() {
    for config in "$mnt"/docker/containers/*/config.v2.json; do
        if grep -qs '"State":{"Running":true' "$config"; then
            basename "$(dirname "$config")"
        fi
    done
}

# holds DIRECTORY...: whether any of them has an entry.
holds() {
    for directory in "$@"; do
        [ -z "$(ls -A "$directory" 2>/dev/null)" ] || return 0
    done
    return 1
}

# Chooses the engine's image store. Engine 29 starts an empty volume with containerd's image store,
# earlier engines with their own. An engine that opens the empty store shows no image and no
# container. So the engine's settings, which engines from 24 on understand, name the store that
# holds something. Settings that dockbridge did not write stay unchanged. The function prints which
# store stays hidden.
select_image_store() {
    own=$mnt/docker/image/overlay2 containerds=$mnt/containerd
    dockbridge_settings='{"features":{"containerd-snapshotter":true}}'
    in_own='' in_containerds='' wants_containerds=''
    if holds "$own/imagedb/content/sha256" "$own/layerdb/mounts"; then in_own=yes; fi
    if holds "$containerds/io.containerd.snapshotter.v1.overlayfs/snapshots" \
        "$containerds/io.containerd.content.v1.content/blobs/sha256"; then in_containerds=yes; fi
    # A machine that was made from the snapshot of another one has that one's settings.
    if [ "$(cat "$settings" 2>/dev/null)" = "$dockbridge_settings" ]; then rm "$settings"; fi
    if [ "$in_containerds" ] && [ -z "$in_own" ] && [ ! -e "$settings" ]; then
        mkdir -p "${settings%/*}"
        printf '%s\n' "$dockbridge_settings" >"$settings"
    fi
    if tr -d ' \t\n' 2>/dev/null <"$settings" | grep -q '"containerd-snapshotter":true'; then
        wants_containerds=yes
    fi
    if [ "$in_containerds" ] && [ -z "$wants_containerds" ]; then
        echo "images and containers in containerd's image store are hidden:" \
            "$settings on the machine does not turn on \"containerd-snapshotter\""
    elif [ "$in_own" ] && [ "$wants_containerds" ]; then
        echo "images and containers in docker's own image store (overlay2) are hidden:" \
            "$settings on the machine turns on \"containerd-snapshotter\""
    fi
}

mkdir -p "$run" "$mnt"
if ! mountpoint -q "$mnt"; then
    state waiting
    find_device
    prepare
    attempt mounted mount -t ext4 -o noatime "$device" "$mnt"
    if is_larger; then grow; fi
    ran >"$run/ran"
fi
for name in docker containerd; do
    mkdir -p "$mnt/$name" "$lib/$name"
    mountpoint -q "$lib/$name" || mount --bind "$mnt/$name" "$lib/$name"
done
hidden=$(select_image_store)
[ -z "$hidden" ] || echo "dockbridge: $hidden" >&2
state "ready${hidden:+: $hidden}"
