#!/usr/bin/env bash
# cosign 2.5.0 (Debian 13, 2.5.0-2+b5): in a registry without the referrers API (Distribution 2.8.2, docker-registry
# 2.8.2+ds1-1 of Debian 12), what is attached to an image is listed under the tag sha256-<digest> (OCI's distribution
# specification, "Referrers Tag Schema"). `cosign copy` gives that tag to the image itself. If the destination has such
# a list, it asks for `--force`, and then an SBOM or signature that oras has attached can no longer be found. Of an
# image for two platforms, their two images are listed as its attachments. cosign 3.1.1 (Debian forky) does the same.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian_of trixie cosign=2.5.0-2+b5 oras=1.2.0-1+b9
host=${registry#http://}
export DOCKER_CONFIG=$folder
kind=application/vnd.oci.image
# put TAG TYPE FILE: store a manifest.
put() {
    request --output /dev/null --request PUT --header "Content-Type: $kind.$2.v1+json" --data-binary "@$3" \
        "$registry/v2/app/manifests/$1"
}
# entry TYPE FILE: describe a blob or a manifest.
entry() {
    printf '{"mediaType":"%s.%s.v1+json","digest":"%s","size":%s}' "$kind" "$1" "$(digest "$2")" "$(stat --format=%s "$2")"
}
# attached TAG: list what is attached to an image.
attached() {
    root/usr/bin/oras discover --plain-http --format json "$host/app:$1" | sed --quiet 's/ *"digest": "\(.*\)",*/\1/p'
}

for architecture in amd64 arm64; do
    printf '{"architecture":"%s","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' "$architecture" >config
    upload config
    printf '{"schemaVersion":2,"config":%s,"layers":[]}' "$(entry config config)" >"$architecture"
    put "$architecture" manifest "$architecture"
done
printf '{"schemaVersion":2,"manifests":[%s,%s]}' "$(entry manifest amd64)" "$(entry manifest arm64)" >both
put both index both
echo '{}' >sbom
declare -A found
for tag in amd64 both; do
    root/usr/bin/oras attach --plain-http --disable-path-validation --artifact-type example/sbom "$host/app:$tag" sbom >log
    sbom=$(sed --quiet 's/^Digest: //p' log)
    expect "$sbom" "attached to $tag: $(attached "$tag")"
    copied=$(root/usr/bin/cosign copy --allow-insecure-registry "$host/app:$tag" "$host/app:$tag-new" 2>&1 || true)
    expect "$(digest "$tag" | tr : -)\" already exists. Use \`-f\` to overwrite" "${copied##*$'\n'}"
    root/usr/bin/cosign copy --force --allow-insecure-registry "$host/app:$tag" "$host/app:$tag-new" 2>/dev/null
    found[$tag]=$(attached "$tag-new")
done
expect 'attached to amd64, copied: ()' "attached to amd64, copied: (${found[amd64]})"
expect "$(digest amd64)
$(digest arm64)" "attached to both, copied: ${found[both]}"
