#!/bin/sh
# Sets the kernel's port range. dockerd chooses numbers for published ports from a window of this
# machine's own, since the ports of all machines meet on one computer. dockerd reads the kernel's
# range once, as it starts. So the range is the window before that (`window`), and the whole range
# again afterwards (`whole`), or the machine's own connections would run out of ports.
set -eu
range=${DOCKBRIDGE_PORT_RANGE:-/proc/sys/net/ipv4/ip_local_port_range}
window=${DOCKBRIDGE_ETC:-/etc/dockbridge}/port-window

case $1 in
window) [ ! -s "$window" ] || cat "$window" >"$range" ;;
# The kernel's default (ip-sysctl).
whole) echo '32768 60999' >"$range" ;;
esac
