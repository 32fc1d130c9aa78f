# shellcheck shell=sh
# Runs early at every boot, before docker starts. The files of dockbridge have been written above, or stood in the image: $written tells.
set -u

# Nobody needs the metadata service after cloud-init has read it, and containers must not: the user-data stands there. systemd-networkd takes away what is not
# its own whenever it sets an interface up, also while this boot is under way; what is marked as the kernel's it leaves alone.
ip route replace blackhole 169.254.169.254/32 proto kernel
ip -6 route replace blackhole fe80::a9fe:a9fe/128 proto kernel 2>/dev/null

# OpenSSH 9.8 and later shut out an address for logins that broke off, which is what a network that breaks often leaves. Earlier ones do not know the word.
case $(/usr/sbin/sshd -V 2>&1) in
*OpenSSH_9.[89]* | *OpenSSH_[1-9][0-9].*)
    echo 'PerSourcePenalties noauth:0s grace-exceeded:0s' >/etc/ssh/sshd_config.d/dockbridge-penalties.conf
    ;;
esac

if [ -n "${written:-}" ]; then
    systemctl daemon-reload
    # On a first boot the image's docker may have begun on the root disk. Ours begins nothing by itself.
    systemctl stop docker.socket docker.service containerd.service
fi
systemctl start --no-block dockbridge-volume.service dockbridge-dead-man.service containerd.service docker.socket docker.service
# For the next boot: what was started needs no reload.
systemctl enable --quiet --no-reload dockbridge-volume.service dockbridge-dead-man.service
systemctl try-reload-or-restart --no-block ssh.service 2>/dev/null
exit 0
