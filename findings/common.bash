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

# debian_of RELEASE PACKAGE=VERSION...: unpack packages of another release of Debian in ./root. They come with no others,
# so they must be programs that need only the C library of Debian 12.
debian_of() {
    local from=$folder/apt-$1
    mkdir --parents "$from/sources" "$from/lists/partial"
    sed "s/bookworm/$1/g" /etc/apt/sources.list.d/debian.sources >"$from/sources/debian.sources"
    local apt=(apt-get -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$from/sources"
        -o "Dir::State::Lists=$from/lists" -o "Dir::Cache=$from")
    { "${apt[@]}" update && "${apt[@]}" download "${@:2}"; } >/dev/null 2>&1 ||
        { echo "not to be had here: ${*:2} (Debian $1)" >&2; exit 2; }
    for package in ./*.deb; do dpkg-deb --extract "$package" root; done
}

# javascript PACKAGE@VERSION...: make ./node_modules with packages.
javascript() {
    npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix . "$@" >/dev/null
}

# skopeo ARGUMENT...: run skopeo 1.9.3 (Debian 12), with its errors on the standard output.
skopeo() {
    [[ -e root/usr/bin/skopeo ]] || debian skopeo=1.9.3+ds1-1+b10 libdevmapper1.02.1
    LD_LIBRARY_PATH=$(dirname "$(find root -name 'libdevmapper.so.*' -print -quit)") \
        root/usr/bin/skopeo --insecure-policy --tmpdir . "$@" 2>&1
}

# distribution: start the registry Distribution 2.8.2 (Debian 12), and set $registry to its URL.
distribution() {
    debian docker-registry=2.8.2+ds1-1
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    registry=http://127.0.0.1:$port
    printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nhttp: {addr: "127.0.0.1:%s"}\n%s\n' "$port" \
        "storage: {filesystem: {rootdirectory: $folder/registry}}" >registry.yml
    root/usr/bin/docker-registry serve registry.yml >registry.log 2>&1 &
    # shellcheck disable=SC2064 # the id of now
    trap "kill $!; rm -rf '$folder'" EXIT
    curl --silent --retry 15 --retry-connrefused --retry-delay 1 --output /dev/null "$registry/v2/"
}

# request CURL-ARGUMENT...: print an answer's status, headers and body.
request() {
    curl --silent --include "$@" | tr --delete '\r'
}

# location CURL-ARGUMENT...: print the header Location of an answer.
location() {
    request "$@" | sed --quiet 's/^Location: //p'
}

# digest FILE: print the SHA-256 digest of a file.
digest() {
    printf 'sha256:%s' "$(sha256sum "$1" | cut --delimiter=' ' --fields=1)"
}

# upload FILE: store a file as a blob of the repository `app` in the registry.
upload() {
    local to
    to=$(location --request POST "$registry/v2/app/blobs/uploads/")
    request --output /dev/null --request PUT --header 'Content-Type: application/octet-stream' --data-binary "@$1" \
        "$to&digest=$(digest "$1")"
}

# blobs_module: write blobs.py, by which a script in Python makes an OCI layout in the folder `layout`.
blobs_module() {
    cat >blobs.py <<'PYTHON'
import hashlib, json, pathlib

KIND = "application/vnd.oci.image"
blobs = pathlib.Path("layout/blobs/sha256")
blobs.mkdir(parents=True)


def blob(content, kind, **more):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data), **more}
PYTHON
}

# expect WORDS TEXT: print TEXT, and fail unless it contains WORDS.
expect() {
    printf '%s\n' "$2"
    [[ $2 == *"$1"* ]] || { echo "this has changed: expected '$1'" >&2; exit 1; }
}
