#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10): index.json of an OCI layout may list descriptors of any media type. If the
# manifest has Docker's type, `oci:layout:tag` fails with "no descriptor found for reference", as if the tag did not
# exist; `oci:layout`, without the tag, copies the same manifest.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

mkdir --parents layout/blobs/sha256
echo '{"imageLayoutVersion": "1.0.0"}' >layout/oci-layout
# descriptor FILE TYPE [MORE]: store a file as a blob, and print its descriptor.
descriptor() {
    cp "$1" "layout/blobs/sha256/$(sha256sum "$1" | cut --delimiter=' ' --fields=1)"
    printf '{"mediaType": "%s", "digest": "%s", "size": %s%s}' "$2" "$(digest "$1")" "$(stat --format=%s "$1")" "${3:-}"
}
docker=application/vnd.docker
printf '{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}' >config
kind=$docker.distribution.manifest.v2+json
printf '{"schemaVersion": 2, "mediaType": "%s", "config": %s, "layers": []}' \
    "$kind" "$(descriptor config "$docker.container.image.v1+json")" >manifest
printf '{"schemaVersion": 2, "manifests": [%s]}' \
    "$(descriptor manifest "$kind" ', "annotations": {"org.opencontainers.image.ref.name": "tag"}')" >layout/index.json
found=$(skopeo copy oci:layout:tag dir:copy) || found+=" (code $?)"
expect 'no descriptor found for reference \"tag\"" (code 1)' "with the tag: $found"
found=$(skopeo copy oci:layout dir:copy) && found+=' (code 0)'
expect '(code 0)' "without it: $found"
