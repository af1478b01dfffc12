# What the set-up scripts share. Sourced, with `set -euo pipefail` in force.
# shellcheck shell=bash

PATH="$PATH:/usr/sbin:/sbin" # where Debian keeps dockerd, iptables and debootstrap

# One line for people; stdout is kept for answers.
say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

# Run a command whose output matters only when it fails.
quietly() {
    local output status=0
    output=$("$@" 2>&1) || status=$?
    ((status == 0)) || printf '%s\n' "$output" >&2
    return "$status"
}

# Whether packages can be installed here: root on Debian or Ubuntu.
can_install() {
    ((EUID == 0)) && command -v apt-get >/dev/null &&
        grep -qxE 'ID="?(debian|ubuntu)"?' /etc/os-release
}
