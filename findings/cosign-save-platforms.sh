#!/usr/bin/env bash
# cosign 3.1.1 (Debian forky, 3.1.1-2; 2.5.0 of Debian 13 does the same): `cosign sign --recursive` signs an index and the
# image of each platform. `cosign save` of the index writes all these images, but the signature of the index only, with
# exit code 0 and no message, and `cosign load` loads that. Whoever verifies the image of a platform by its digest, as a
# cluster may that has resolved the tag, finds no signature. `cosign copy` copies all of them, but says that it is
# deprecated, and names `save` and `load` instead. Signatures here are of the format that cosign 2 writes.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian_of forky cosign=3.1.1-2
host=${registry#http://}
export DOCKER_CONFIG=$folder HOME=$folder COSIGN_PASSWORD=''
kind=application/vnd.oci.image
cosign() { root/usr/bin/cosign "$@" --allow-insecure-registry 2>&1; }
# put NAME TYPE: store a manifest under a tag.
put() {
    request --output /dev/null --request PUT --header "Content-Type: $kind.$2.v1+json" --data-binary "@$1" \
        "$registry/v2/app/manifests/$1"
}
# entry TYPE FILE: describe a blob or a manifest.
entry() {
    printf '{"mediaType":"%s.%s.v1+json","size":%s,"digest":"%s"}' "$kind" "$1" "$(stat --format=%s "$2")" "$(digest "$2")"
}
# verified REPOSITORY: tell which images have signatures.
verified() {
    for name in index amd64 arm64; do
        cosign verify --key cosign.pub --insecure-ignore-tlog "$host/$1@$(digest "$name")" >log && echo "$1: $name signed" ||
            echo "$1: $name $(grep --only-matching 'no signatures found' log | head --lines 1)"
    done
}

root/usr/bin/cosign generate-key-pair 2>/dev/null
for architecture in amd64 arm64; do
    printf '{"architecture":"%s","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' "$architecture" >config
    upload config
    printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":%s,"layers":[]}' "$kind" \
        "$(entry config config)" >"$architecture"
    put "$architecture" manifest
done
printf '{"schemaVersion":2,"mediaType":"%s.index.v1+json","manifests":[%s,%s]}' "$kind" "$(entry manifest amd64)" \
    "$(entry manifest arm64)" >index
put index index
cosign sign --yes --recursive --key cosign.key --tlog-upload=false --use-signing-config=false --new-bundle-format=false \
    "$host/app:index" >log
cosign copy "$host/app:index" "$host/copied:1" >log
expect 'you can use instead' "$(head --lines 1 log)"
cosign save --dir saved "$host/app:index"
cosign load --dir saved "$host/loaded:1"
expect 'app: index signed
app: amd64 signed
app: arm64 signed' "$(verified app)"
expect 'copied: index signed
copied: amd64 signed
copied: arm64 signed' "$(verified copied)"
expect 'loaded: index signed
loaded: amd64 no signatures found
loaded: arm64 no signatures found' "$(verified loaded)"
