# Sourced by findings: a temporary folder, and what they have in common.
set -euo pipefail

folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# python PACKAGE==VERSION...: make ./venv with packages.
python() {
    python3 -m venv venv
    venv/bin/pip install --quiet --disable-pip-version-check "$@" 2>/dev/null
}

# debian PACKAGE=VERSION...: unpack Debian packages in ./root.
debian() {
    apt-get download "$@" >/dev/null 2>&1 || { echo "not to be had here: $* (Debian 12)" >&2; exit 2; }
    for package in ./*.deb; do dpkg-deb --extract "$package" root; done
}

# expect WORDS TEXT: print TEXT, and fail unless it contains WORDS.
expect() {
    printf '%s\n' "$2"
    [[ $2 == *"$1"* ]] || { echo "this has changed: expected '$1'" >&2; exit 1; }
}
