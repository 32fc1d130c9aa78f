# shellcheck shell=sh
# Runs early at every boot, before docker starts, with `set -e`. A failure here leaves a machine
# without docker, which the client then deletes. $written is `yes` if the script above has just
# written dockbridge's files, and empty if the image had them.
set -u

# No program needs the metadata service after cloud-init has read it, and containers must not reach
# it, because it serves the user-data. systemd-networkd removes foreign routes whenever it sets an
# interface up, also during this boot; it keeps those marked as the kernel's.
ip route replace blackhole 169.254.169.254/32 proto kernel
# A route would not suffice: a packet to a link-local address names its interface, and the routes of
# that interface decide.
if [ -e /proc/sys/net/ipv6 ] && [ -z "$(ip -6 rule show to fe80::a9fe:a9fe/128)" ]; then
    ip -6 rule add to fe80::a9fe:a9fe/128 prohibit priority 10 protocol kernel
fi

# A port may be published on an address of the user's computer. dockerd binds it here, and
# dockbridge connects to the container's own address.
for family in ipv4 ipv6; do
    echo 1 >/proc/sys/net/$family/ip_nonlocal_bind || true
done

# OpenSSH 9.8 and later block an address after broken logins, which an unstable network causes
# often. Earlier versions do not know the option.
case $(/usr/sbin/sshd -V 2>&1) in
*OpenSSH_9.[89]* | *OpenSSH_[1-9][0-9].*)
    echo 'PerSourcePenalties noauth:0s grace-exceeded:0s' \
        >/etc/ssh/sshd_config.d/dockbridge-penalties.conf
    ;;
esac

# A later stage of cloud-init writes this file for `ssh_pwauth`, and restarts sshd if it was
# missing: a login at that moment would break off.
cloud_init_sshd=/etc/ssh/sshd_config.d/50-cloud-init.conf
[ -e $cloud_init_sshd ] || echo 'PasswordAuthentication no' >$cloud_init_sshd

if [ -n "${written:-}" ]; then
    # It would query the metadata service again for each new network interface, such as those of
    # containers.
    if systemctl cat cloud-init-hotplugd.socket >/dev/null 2>&1; then
        systemctl stop cloud-init-hotplugd.socket
        systemctl mask --quiet --no-reload cloud-init-hotplugd.socket
    fi
    systemctl daemon-reload
    # At the first boot the image's docker may have started on the root disk. In dockbridge's own
    # image docker does not start by itself.
    systemctl stop docker.socket docker.service containerd.service
fi
# If this fails, no agent runs, but docker does.
systemctl start run-dockbridge.mount || mkdir -p /run/dockbridge
systemctl start --no-block dockbridge-volume.service dockbridge-dead-man.service \
    containerd.service docker.socket docker.service
# For the next boot. The units are running, so no reload is needed.
systemctl enable --quiet --no-reload dockbridge-volume.service dockbridge-dead-man.service
# An sshd that listens already has to read its settings again. A reload would end an sshd that its
# socket has started.
systemctl try-restart --no-block ssh.service sshd.service 2>/dev/null || true
