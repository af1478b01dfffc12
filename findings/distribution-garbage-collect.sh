#!/usr/bin/env bash
# Distribution 2.8.2 (docker-registry 2.8.2+ds1-1, Debian 12; 2.8.3 of Debian 13 does the same): `garbage-collect
# --delete-untagged` is described as deleting manifests that no tag refers to. It deletes the manifests of every
# platform of a tagged image index, too, with their configs and layers, and exits with 0. The tag and the index remain:
# a GET of the tag returns 200, and a pull of any platform fails. Without the option they are kept.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
kind=application/vnd.oci.image
# put FILE TYPE REFERENCE: store a manifest or an index.
put() {
    request --output /dev/null --request PUT --header "Content-Type: $kind.$2.v1+json" --data-binary "@$1" \
        "$registry/v2/app/manifests/$3"
}
# descriptor FILE TYPE
descriptor() {
    printf '{"mediaType": "%s.%s.v1+json", "digest": "%s", "size": %s' "$kind" "$2" "$(digest "$1")" "$(stat --format=%s "$1")"
}
for name in amd64 arm64; do
    printf '{"architecture": "%s", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}' "$name" >"config-$name"
    upload "config-$name"
    printf '{"schemaVersion": 2, "mediaType": "%s", "config": %s}, "layers": []}' \
        "$kind.manifest.v1+json" "$(descriptor "config-$name" config)" >"$name"
    put "$name" manifest "$(digest "$name")"
done
printf '{"schemaVersion": 2, "mediaType": "%s", "manifests": [%s, "platform": %s}, %s, "platform": %s}]}' "$kind.index.v1+json" \
    "$(descriptor amd64 manifest)" '{"os": "linux", "architecture": "amd64"}' \
    "$(descriptor arm64 manifest)" '{"os": "linux", "architecture": "arm64"}' >index
put index index 1

# stored: print the status of the tag, of both platforms' manifests and of their configs.
stored() {
    for path in manifests/1 manifests/"$(digest amd64)" manifests/"$(digest arm64)" blobs/"$(digest config-amd64)" \
        blobs/"$(digest config-arm64)"; do
        curl --silent --output /dev/null --write-out ' %{http_code}' --header "Accept: $kind.index.v1+json" \
            --header "Accept: $kind.manifest.v1+json" "$registry/v2/app/$path"
    done
}
expect 'before: 200 200 200 200 200' "before:$(stored)"
for option in '' --delete-untagged; do
    # shellcheck disable=SC2086 # no option, or one
    root/usr/bin/docker-registry garbage-collect $option registry.yml >collect.log 2>&1
    found="garbage-collect $option (code $?):$(stored)"
    [[ $option ]] || expect '(code 0): 200 200 200 200 200' "$found"
    [[ ! $option ]] || expect '(code 0): 200 404 404 404 404' "$found"
done
