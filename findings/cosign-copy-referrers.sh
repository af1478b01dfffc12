#!/usr/bin/env bash
# cosign 3.1.1 (Debian forky, 3.1.1-2): in a registry without the referrers API (Distribution 2.8.2, docker-registry
# 2.8.2+ds1-1 of Debian 12), what is attached to an image is listed under the tag sha256-<digest> (OCI's distribution
# specification, "Referrers Tag Schema"), cosign's own signatures too. `cosign copy` gives that tag to the image itself.
# A copy in another repository has no signature. In the same repository, as to promote a tag, it asks for `--force`; then
# the signature and what oras has attached can no longer be found, for the source as well, and the exit code is 0.
# cosign 2.5.0 (Debian 13) tags the image so, too, but its own signatures have another tag, which it copies.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian_of forky cosign=3.1.1-2 oras=1.3.3-1
host=${registry#http://}
export DOCKER_CONFIG=$folder HOME=$folder COSIGN_PASSWORD=''
cosign() { root/usr/bin/cosign "$@" --allow-insecure-registry 2>&1; }
# state NAME: tell whether cosign finds a signature of an image, and whether oras finds the SBOM.
state() {
    cosign verify --key cosign.pub --insecure-ignore-tlog "$host/$1" >log && echo "$1: signed" ||
        echo "$1: $(grep --only-matching 'no signatures found' log | head --lines 1)"
    echo "$1: $(root/usr/bin/oras discover --plain-http "$host/$1" | grep --count example/sbom) SBOM"
}

printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >config
upload config
type=application/vnd.oci.image.manifest.v1+json
printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%s},"layers":[]}' "$type" \
    application/vnd.oci.image.config.v1+json "$(digest config)" "$(stat --format=%s config)" >image
request --output /dev/null --request PUT --header "Content-Type: $type" --data-binary @image "$registry/v2/app/manifests/1-rc"
echo '{}' >sbom
root/usr/bin/oras attach --plain-http --disable-path-validation --artifact-type example/sbom "$host/app:1-rc" sbom >log
root/usr/bin/cosign generate-key-pair 2>/dev/null
cosign sign --yes --key cosign.key --tlog-upload=false --use-signing-config=false "$host/app:1-rc" >log
expect 'app:1-rc: signed
app:1-rc: 1 SBOM' "$(state app:1-rc)"

cosign copy "$host/app:1-rc" "$host/other:1" >log
expect 'other:1: no signatures found' "$(state other:1)"
list=$(digest image | tr : -)
refused=$(cosign copy "$host/app:1-rc" "$host/app:1" || true)
expect "$list\" already exists. Use \`-f\` to overwrite" "${refused##*$'\n'}"
cosign copy --force "$host/app:1-rc" "$host/app:1" >log
for name in app:1 app:1-rc; do
    expect "$name: no signatures found
$name: 0 SBOM" "$(state "$name")"
done
expect "$(digest image)" "$list is $(request --head --header "Accept: $type" "$registry/v2/app/manifests/$list" |
    sed --quiet 's/^Docker-Content-Digest: //p')"
