#!/usr/bin/env bash
# Docker Engine 20.10.24 (Debian 12, docker.io 20.10.24+dfsg1-1+deb12u1+b6): a second dockerd in the same network that
# is started with `--bridge none`, as for builds alone, deletes the bridge docker0 of the first. The first does not
# notice: it lists the network as before, but every container that it starts fails with "could not find bridge
# docker0", and those that run have lost their network. An unused name after `--bridge`, of a bridge that exists, leaves
# docker0 alone. Needs root; both run in a network namespace of their own.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

debian docker.io=20.10.24+dfsg1-1+deb12u1+b6 containerd=1.6.20~ds1-1+deb12u3 runc=1.1.5+ds1-1+deb12u1 libdevmapper1.02.1

export PATH=$folder/root/usr/sbin:$folder/root/usr/bin:$PATH DOCKER_CONFIG=$folder/docker
cat >two.bash <<'BASH'
set -euo pipefail
mount -t tmpfs etc /etc
ip link set lo up
engine() {
    mkdir "$1"
    dockerd --host "unix://$PWD/$1/socket" --data-root "$PWD/$1/data" --exec-root "$PWD/$1/exec" --pidfile "$1/pid" \
        --storage-driver vfs --iptables=false --ip6tables=false --ip-forward=false "${@:2}" >"$1/log" 2>&1 &
    until docker --host "unix://$PWD/$1/socket" version >/dev/null 2>&1; do
        kill -0 $! || { cat "$1/log" >&2; exit 2; }
        sleep 0.2
    done
}
bridge() {
    local state=gone
    ! ip link show docker0 >/dev/null 2>&1 || state=there
    echo "$1: docker0 is $state; the first lists $(docker --host "unix://$PWD/first/socket" network inspect --format \
        '{{.Name}} on {{index .Options "com.docker.network.bridge.name"}}' bridge)"
}
trap 'kill $(jobs -p); wait' EXIT
engine first
bridge "one Engine"
ip link add other0 type bridge && ip address add 192.0.2.1/24 dev other0
engine second --bridge other0
bridge "and one with --bridge other0"
engine third --bridge none
bridge "and one with --bridge none"
BASH
expect "one Engine: docker0 is there; the first lists bridge on docker0
and one with --bridge other0: docker0 is there; the first lists bridge on docker0
and one with --bridge none: docker0 is gone; the first lists bridge on docker0" \
    "$(unshare --mount --net bash two.bash)"
