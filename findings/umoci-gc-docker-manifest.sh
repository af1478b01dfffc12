#!/usr/bin/env bash
# umoci 0.4.7 (Debian 12, 0.4.7+ds-3+b7; 0.6.0 does the same): index.json of an OCI layout may list descriptors of any
# media type. `umoci gc` follows only OCI's own: if a manifest has Docker's type, its config and its layers are deleted
# as garbage, with exit code 0, and `umoci ls` still lists the image. Layouts that `oras cp --to-oci-layout` 1.3.3 and
# `crane pull --format=oci` 0.20.7 write of a Docker image have such a manifest.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

debian umoci=0.4.7+ds-3+b7

mkdir --parents layout/blobs/sha256
echo '{"imageLayoutVersion": "1.0.0"}' >layout/oci-layout
# descriptor FILE TYPE: store a file as a blob, and print its descriptor without the closing brace.
descriptor() {
    cp "$1" "layout/blobs/sha256/$(sha256sum "$1" | cut --delimiter=' ' --fields=1)"
    printf '{"mediaType": "%s", "digest": "%s", "size": %s' "$2" "$(digest "$1")" "$(stat --format=%s "$1")"
}
# image NAME MANIFEST-TYPE CONFIG-TYPE LAYER-TYPE: store an image of one layer, and print its descriptor.
image() {
    echo "$1" >file
    tar --create --file "$1-layer" file
    printf '{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["%s"]}}' \
        "$(digest "$1-layer")" >"$1-config"
    gzip --no-name "$1-layer"
    printf '{"schemaVersion": 2, "mediaType": "%s", "config": %s}, "layers": [%s}]}' \
        "$2" "$(descriptor "$1-config" "$3")" "$(descriptor "$1-layer.gz" "$4")" >"$1-manifest"
    descriptor "$1-manifest" "$2"
    printf ', "annotations": {"org.opencontainers.image.ref.name": "%s"}}' "$1"
}
oci=application/vnd.oci.image docker=application/vnd.docker
printf '{"schemaVersion": 2, "manifests": [%s, %s]}' \
    "$(image oci "$oci.manifest.v1+json" "$oci.config.v1+json" "$oci.layer.v1.tar+gzip")" \
    "$(image docker "$docker.distribution.manifest.v2+json" "$docker.container.image.v1+json" "$docker.image.rootfs.diff.tar.gzip")" \
    >layout/index.json

# stored NAME: print which blobs of an image are stored.
stored() {
    for part in manifest config layer.gz; do
        [[ ! -e layout/blobs/sha256/$(sha256sum "$1-$part" | cut --delimiter=' ' --fields=1) ]] || printf ' %s' "$part"
    done
}
for name in oci docker; do expect "$name: manifest config layer.gz." "before, $name:$(stored "$name")."; done
root/usr/bin/umoci gc --layout layout && code=$?
expect '(code 0)' "umoci gc (code $code)"
expect 'oci: manifest config layer.gz.' "after, oci:$(stored oci)."
expect 'docker: manifest.' "after, docker:$(stored docker)."
expect 'docker oci' "umoci ls: $(root/usr/bin/umoci ls --layout layout | sort | paste --serial --delimiters=' ')"
