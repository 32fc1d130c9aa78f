# shellcheck shell=sh
# Runs early at every boot, before docker starts, with `set -e`: what fails here leaves a machine without docker, which is removed. The files of dockbridge have
# been written above, or stood in the image: $written tells.
set -u

# Nobody needs the metadata service after cloud-init has read it, and containers must not: the user-data stands there. systemd-networkd takes away what is not
# its own whenever it sets an interface up, also while this boot is under way; what is marked as the kernel's it leaves alone.
ip route replace blackhole 169.254.169.254/32 proto kernel
# A route would not do: a packet to a link-local address names its interface, whose own routes then decide.
if [ -e /proc/sys/net/ipv6 ] && [ -z "$(ip -6 rule show to fe80::a9fe:a9fe/128)" ]; then
    ip -6 rule add to fe80::a9fe:a9fe/128 prohibit priority 10 protocol kernel
fi

# A port may be published on an address of the user's computer: dockerd binds it, and the container is reached by its own address.
for family in ipv4 ipv6; do
    echo 1 >/proc/sys/net/$family/ip_nonlocal_bind || true
done

# OpenSSH 9.8 and later shut out an address for logins that broke off, which is what a network that breaks often leaves. Earlier ones do not know the word.
case $(/usr/sbin/sshd -V 2>&1) in
*OpenSSH_9.[89]* | *OpenSSH_[1-9][0-9].*)
    echo 'PerSourcePenalties noauth:0s grace-exceeded:0s' >/etc/ssh/sshd_config.d/dockbridge-penalties.conf
    ;;
esac

# cloud-init has it written by a later stage, for `ssh_pwauth`, and restarts sshd if it was not there: a login of that moment would break off.
[ -e /etc/ssh/sshd_config.d/50-cloud-init.conf ] || echo 'PasswordAuthentication no' >/etc/ssh/sshd_config.d/50-cloud-init.conf

if [ -n "${written:-}" ]; then
    # For each new network interface, as containers make them, it would ask the metadata service again.
    if systemctl cat cloud-init-hotplugd.socket >/dev/null 2>&1; then
        systemctl stop cloud-init-hotplugd.socket
        systemctl mask --quiet --no-reload cloud-init-hotplugd.socket
    fi
    systemctl daemon-reload
    # On a first boot the image's docker may have begun on the root disk. Ours begins nothing by itself.
    systemctl stop docker.socket docker.service containerd.service
fi
# Without it no agent runs, but docker does.
systemctl start run-dockbridge.mount || mkdir -p /run/dockbridge
systemctl start --no-block dockbridge-volume.service dockbridge-dead-man.service containerd.service docker.socket docker.service
# For the next boot: what was started needs no reload.
systemctl enable --quiet --no-reload dockbridge-volume.service dockbridge-dead-man.service
# An sshd that listens already reads its settings. A reload ends one that was started by its socket.
systemctl try-restart --no-block ssh.service sshd.service 2>/dev/null || true
