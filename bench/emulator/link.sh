#!/bin/sh
# Lays an emulated long link and keeps it until it is ended: link.sh NAME RTT_MS UP_MBIT DOWN_MBIT
#
# Makes the network namespace NAME, whose only route to this host is the link (emulator.c), and
# prints "ready" when packets pass. "Up" is from the namespace to this host. SIGTERM, or the end of
# the process that started it, removes everything. Needs root, /dev/net/tun, and net.ipv4.ip_forward
# for hosts behind this one. TCP in the namespace has the settings of Debian 12.
# Each link has addresses of its own in 198.18.0.0/16, which is reserved for benchmarks (RFC 2544).
set -eu
name=$1
round_trip_ms=$2
up_mbit=$3
down_mbit=$4

# Host programs: cc
source=$(dirname "$0")/emulator.c
directory=$(mktemp -d)
process=
device=
end() {
    trap - EXIT TERM INT HUP
    [ -z "$process" ] || kill "$process" 2>/dev/null || true
    [ -z "$process" ] || wait "$process" || true
    ip netns delete "$name" 2>/dev/null || true
    [ -z "$device" ] || forward -D 2>/dev/null || true
    rm -rf "$directory"
}
trap end EXIT
trap 'exit 0' TERM INT HUP

# forward -I|-D: lets packets of the link through a host whose firewall forwards nothing, as one
# with a Docker engine
forward() {
    command -v iptables >/dev/null 2>&1 || return 0
    iptables "$1" FORWARD -i "$device" -j ACCEPT
    iptables "$1" FORWARD -o "$device" -j ACCEPT
}

cc -O2 -Wall -Wextra -o "$directory/emulator" "$source"
ip netns add "$name"
mkfifo "$directory/said"
half_us=$(awk -v ms="$round_trip_ms" 'BEGIN { printf "%d", ms * 500 }')
"$directory/emulator" "$name" "$half_us" "${up_mbit}000000" "${down_mbit}000000" \
    >"$directory/said" &
process=$!
exec 3<"$directory/said"
read -r device inside <&3

number=${device#dblink}
here=198.18.$number.1
there=198.18.$number.2
ip address add "$here/30" dev "$device"
ip link set "$device" mtu 1500 txqueuelen 20000 up
ip -n "$name" link set lo up
ip -n "$name" address add "$there/30" dev "$inside"
ip -n "$name" link set "$inside" mtu 1500 txqueuelen 20000 up
ip -n "$name" route add default via "$here"
forward -I
ip netns exec "$name" sysctl -q -w net.ipv4.tcp_rmem='4096 131072 6291456' \
    net.ipv4.tcp_wmem='4096 16384 4194304' net.ipv4.tcp_no_metrics_save=1
# A namespace may only choose what this host allows (net.ipv4.tcp_allowed_congestion_control).
ip netns exec "$name" sysctl -q -w net.ipv4.tcp_congestion_control=cubic ||
    echo 'TCP of this link is not cubic' >&2
echo ready
# What it counted is printed at its end.
cat <&3 &
wait "$process"
