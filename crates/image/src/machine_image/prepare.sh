#!/bin/sh
# Turns a fresh server of the cloud's docker image into a machine image. Agent, scripts and units
# have been installed before. Prints its stages on standard output: `stage NAME`, `note TEXT`, and
# `done VERSION`, with the engine's version, when a snapshot of the disk can be made. It may be
# repeated until it strips the server; after that no login is possible. It must work on every image
# that it may run on, so each thing that it removes may be missing.
set -eu
export LC_ALL=C
wait_seconds=600

fail() {
    echo "$1" >&2
    exit 1
}

prepare() {
    command -v dockerd >/dev/null || fail 'the image that it was made from has no docker'
    # Both have to finish the first boot, or they would continue it during the steps below.
    if command -v cloud-init >/dev/null; then
        # Status 2: a recoverable error, which the image's own settings may cause.
        status=0
        timeout "$wait_seconds" cloud-init status --wait >/dev/null 2>&1 || status=$?
        [ "$status" -eq 0 ] || [ "$status" -eq 2 ] || fail "cloud-init ended with $status"
    fi
    # An earlier run that was cut off may have disabled docker already.
    waited=0
    until docker version >/dev/null 2>&1 || ! systemctl is-enabled --quiet docker.service; do
        [ "$waited" -lt "$wait_seconds" ] || fail "docker does not answer within $wait_seconds s"
        sleep 1
        waited=$((waited + 1))
    done
    # In a form that fits a label.
    engine=$(dockerd --version | sed 's/^Docker version \([A-Za-z0-9._-]*\).*/\1/')

    # The script in the user-data starts them at boot, after the volume is mounted.
    systemctl disable --quiet docker.service docker.socket containerd.service 2>/dev/null
    systemctl stop docker.socket docker.service containerd.service

    # Units that a machine for some hours does not need, and that would delay its boot or compete
    # with its work.
    for unit in \
        apt-daily.timer apt-daily-upgrade.timer apt-news.service esm-cache.service \
        unattended-upgrades.service dpkg-db-backup.timer man-db.timer motd-news.timer \
        e2scrub_all.timer e2scrub_reap.service fstrim.timer fwupd-refresh.timer \
        update-notifier-download.timer update-notifier-motd.timer \
        ubuntu-advantage.service ua-timer.timer ua-reboot-cmds.service pollinate.service \
        apport.service apport-autoreport.path apport-autoreport.timer \
        snapd.service snapd.socket snapd.seeded.service snapd.apparmor.service \
        snapd.autoimport.service snapd.core-fixup.service \
        snapd.recovery-chooser-trigger.service \
        multipathd.service multipathd.socket ModemManager.service udisks2.service \
        lvm2-monitor.service open-iscsi.service iscsid.socket \
        cloud-init-hotplugd.socket secureboot-db.service grub-common.service \
        grub-initrd-fallback.service; do
        if systemctl cat "$unit" >/dev/null 2>&1; then
            systemctl mask --quiet --now "$unit" 2>/dev/null ||
                echo "note $unit could not be turned off"
        fi
    done

    # The modules of cloud-init that machines need: dockbridge's script, the size of the disk, the
    # host name, the keys. The others start programs and change nothing. sshd never admits
    # passwords; the password of root is locked anyway.
    if [ -d /etc/cloud/cloud.cfg.d ]; then
        cat >/etc/cloud/cloud.cfg.d/99-dockbridge.cfg <<'END'
cloud_init_modules: [seed_random, bootcmd, growpart, resizefs, set_hostname, update_hostname,
  update_etc_hosts, users_groups, ssh]
cloud_config_modules: []
cloud_final_modules: []
END
    fi
    usermod -p '*' root
}

strip() {
    echo 'stage strip'
    rm -rf /var/lib/docker /var/lib/containerd /etc/docker/key.json /root/.docker
    rm -rf /etc/dockbridge
    if command -v cloud-init >/dev/null; then
        cloud-init clean --logs >/dev/null 2>&1 || true
    fi
    find /var/lib/cloud -mindepth 1 -maxdepth 1 ! -name seed -exec rm -rf {} + 2>/dev/null || true
    rm -f /etc/netplan/50-cloud-init.yaml /etc/systemd/network/10-cloud-init-* \
        /etc/network/interfaces.d/50-cloud-init
    rm -f /etc/sudoers.d/90-cloud-init-users /var/lib/dhcp/*.leases
    for home in /root /home/*; do
        [ -d "$home" ] || continue
        rm -rf "$home/.cache" "$home/.ssh/known_hosts" "$home/.ssh/known_hosts.old" \
            "$home/.wget-hsts" "$home/.lesshst" "$home/.viminfo" "$home"/.*_history
        for keys in "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2"; do
            if [ -e "$keys" ]; then : >"$keys"; fi
        done
    done
    rm -f /etc/ssh/ssh_host_*
    rm -rf /var/lib/snapd/device/private-keys-v1
    rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
    echo dockbridge >/etc/hostname
    : >/etc/machine-id
    rm -f /var/lib/dbus/machine-id
    rm -rf /var/cache/apt/archives/*.deb /var/cache/apt/*.bin /var/lib/apt/lists/*
    rm -rf /tmp/* /tmp/.[!.]* /var/tmp/* /var/tmp/.[!.]* 2>/dev/null || true
    # Logs last: all of the above may have written some.
    journalctl --rotate >/dev/null 2>&1 || true
    rm -rf /var/log/journal/*
    find /var/log -type f \( -name '*.gz' -o -name '*.[0-9]' -o -name '*.old' \) -delete
    find /var/log -type f -exec truncate --size=0 {} +
    # Newer than /usr, or the next boot would run update jobs.
    touch /etc/.updated /var/.updated
    # Free blocks need not be stored. Not every disk supports it.
    fstrim / 2>/dev/null || true
    sync
    echo "done ${engine:-unknown}"
}

# The script comes on standard input, which none of its programs may read.
{
    prepare
    strip
} </dev/null
