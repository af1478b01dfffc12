#!/usr/bin/env bash
# Distribution 2.8.2 (docker-registry 2.8.2+ds1-1, Debian 12): it does not follow RFC 9110 in reading Accept.
# - An OCI manifest: `*/*`, `application/*` and no Accept at all return 404 MANIFEST_UNKNOWN; its exact type with `;q=0`,
#   which means "not this one", returns it.
# - A Docker manifest with an Accept of OCI types: 400 MANIFEST_INVALID by tag (as if the stored manifest were broken),
#   but 200 by digest.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
oci=application/vnd.oci.image
docker=application/vnd.docker.distribution.manifest.v2+json
printf '{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}' >config
upload config
# put TAG TYPE CONFIG-TYPE: store a manifest.
put() {
    printf '{"schemaVersion": 2, "mediaType": "%s", "config": {"mediaType": "%s", "digest": "%s", "size": %s}, "layers": []}' \
        "$2" "$3" "$(digest config)" "$(stat --format=%s config)" >"$1"
    request --request PUT --header "Content-Type: $2" --data-binary "@$1" --output /dev/null "$registry/v2/app/manifests/$1"
}
put oci "$oci.manifest.v1+json" "$oci.config.v1+json"
put docker "$docker" application/vnd.docker.container.image.v1+json

# get WORDS ACCEPT REFERENCE
get() {
    expect "$1" "$3, Accept: $2: $(request --header "Accept: $2" "$registry/v2/app/manifests/$3" | sed --quiet '1p; $p')"
}
get MANIFEST_UNKNOWN '*/*' oci
get MANIFEST_UNKNOWN 'application/*' oci
get MANIFEST_UNKNOWN '' oci
get '200 OK' "$oci.manifest.v1+json;q=0" oci
get '200 OK' "$docker" docker
get '400 Bad Request' "$oci.manifest.v1+json" docker
get MANIFEST_INVALID "$oci.manifest.v1+json" docker
get '200 OK' "$oci.manifest.v1+json" "$(digest docker)"
