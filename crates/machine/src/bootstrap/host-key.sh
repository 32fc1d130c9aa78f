#!/bin/sh
# Replaces the host key that came with the user-data, which every process on this machine could have read, by one that never leaves it.
# `prepare` makes the next key and prints its public half; `commit` makes sshd present it. Both may be repeated, by several clients.
set -eu

dir=/etc/ssh
next=$dir/dockbridge_next_key
exec 9>/run/dockbridge/host-key.lock
flock 9

case $1 in
prepare)
    if [ -e /etc/dockbridge/host-key-replaced ]; then
        cat $dir/ssh_host_ed25519_key.pub
        exit 0
    fi
    [ -s $next.pub ] || { rm -f $next && ssh-keygen -q -t ed25519 -N '' -C dockbridge -f $next; }
    cat $next.pub
    ;;
commit)
    [ ! -e /etc/dockbridge/host-key-replaced ] || exit 0
    rm -f $dir/ssh_host_rsa_key* $dir/ssh_host_ecdsa_key* $dir/ssh_host_dsa_key*
    cp -p $next $dir/ssh_host_ed25519_key
    cp -p $next.pub $dir/ssh_host_ed25519_key.pub
    systemctl reload ssh 2>/dev/null || systemctl reload sshd
    touch /etc/dockbridge/host-key-replaced
    rm -f $next $next.pub
    ;;
*)
    echo 'usage: host-key.sh prepare|commit' >&2
    exit 2
    ;;
esac
