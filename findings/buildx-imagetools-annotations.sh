#!/usr/bin/env bash
# buildx 0.29.1 (Debian forky, 0.29.1+ds1-4; 0.13.1 of Debian 13 does the same): `imagetools create` of one index writes
# it as it is. With `--annotation`, or `--append` of a further image, all annotations that the index had are gone, such
# as version and revision: only the new one stays, or none, with exit code 0. Those of the descriptors in it stay.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian_of forky docker-buildx=0.29.1+ds1-4
export DOCKER_CONFIG=$folder
kind=application/vnd.oci.image
app=${registry#http://}/app
# put TAG TYPE FILE: store a manifest.
put() {
    request --output /dev/null --request PUT --header "Content-Type: $kind.$2.v1+json" --data-binary "@$3" \
        "$registry/v2/app/manifests/$1"
}
# create ARGUMENT...: print an index's annotations and those in it.
create() {
    root/usr/libexec/docker/cli-plugins/docker-buildx imagetools create --dry-run --tag "$app:index" "$@" | python3 -c '
import json, sys
index = json.load(sys.stdin)
print(len(index["manifests"]), index.get("annotations"), [entry.get("annotations") for entry in index["manifests"]])'
}

for architecture in amd64 arm64; do
    printf '{"architecture":"%s","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' "$architecture" >config
    upload config
    printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%s},"layers":[]}' \
        "$kind.manifest.v1+json" "$kind.config.v1+json" "$(digest config)" "$(stat --format=%s config)" >"$architecture"
    put "$architecture" manifest "$architecture"
done
{
    printf '{"schemaVersion":2,"mediaType":"%s.index.v1+json","annotations":{"version":"1"},"manifests":[' "$kind"
    printf '{"mediaType":"%s.manifest.v1+json","digest":"%s","size":%s,' "$kind" "$(digest amd64)" "$(stat --format=%s amd64)"
    printf '"platform":{"os":"linux","architecture":"amd64"},"annotations":{"of":"amd64"}}]}'
} >index
put index index index
expect "1 {'version': '1'} [{'of': 'amd64'}]" "as it is: $(create "$app:index")"
expect "1 {'new': '2'} [{'of': 'amd64'}]" "--annotation: $(create --annotation index:new=2 "$app:index")"
expect "2 None [{'of': 'amd64'}, None]" "--append: $(create --append "$app:arm64")"
