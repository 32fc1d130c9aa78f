#!/bin/sh
# Replaces the first host key, which came with the user-data and could be read by every process on
# this machine, by a key that never leaves it. `prepare` makes the next key and prints its public
# half; `commit` makes sshd present it. Several clients may run and repeat both.
set -eu

dir=/etc/ssh
next=$dir/dockbridge_next_key
wait_seconds=10
exec 9>/run/dockbridge/host-key.lock
flock 9

# Makes sshd read its key again. Debian and Ubuntu name the units `ssh`, others `sshd`. A reload
# ends an sshd that its socket has started, because it cannot keep the listener. A restart keeps the
# sessions (KillMode=process). If the socket starts one sshd for each connection, nothing is to do.
reread() {
    for name in ssh sshd; do
        systemctl is-active --quiet "$name.service" || continue
        if systemctl is-active --quiet "$name.socket"; then
            systemctl restart "$name.service"
        else
            systemctl reload "$name.service" || systemctl restart "$name.service"
        fi
        return
    done
}

# Connects to sshd to see its key. systemctl is not enough: it has reported success for a reload
# that ended sshd.
presents() {
    key=$(cut -d ' ' -f 2 "$1")
    waited=0
    until ssh-keyscan -T 1 -t ed25519 127.0.0.1 2>/dev/null | grep -qF "$key"; do
        [ "$waited" -lt $((wait_seconds * 5)) ] || return 1
        sleep 0.2
        waited=$((waited + 1))
    done
}

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
    reread
    presents $next.pub || {
        echo "sshd does not present the new key within $wait_seconds s" >&2
        exit 1
    }
    touch /etc/dockbridge/host-key-replaced
    rm -f $next $next.pub
    ;;
*)
    echo 'usage: host-key.sh prepare|commit' >&2
    exit 2
    ;;
esac
