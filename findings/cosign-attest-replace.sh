#!/usr/bin/env bash
# cosign 3.1.1 (Debian forky, 3.1.1-2): `cosign attest --replace` replaces nothing: the earlier attestation of the same
# type stays beside the new one, with exit code 0, and `verify-attestation` prints both; a job that repeats it adds one
# each time. Seen in Distribution 2.8.2 (docker-registry 2.8.2+ds1-1 of Debian 12). cosign 2.5.0 (Debian 13, 2.5.0-2+b5)
# keeps the new one only.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian_of trixie cosign=2.5.0-2+b5
mv root/usr/bin/cosign cosign-2.5.0
rm cosign_*.deb
debian_of forky cosign=3.1.1-2
mv root/usr/bin/cosign cosign-3.1.1
export DOCKER_CONFIG=$folder HOME=$folder COSIGN_PASSWORD=''
./cosign-3.1.1 generate-key-pair 2>/dev/null

# attest COSIGN OPTION...: attach an attestation to the image COSIGN:1.
attest() {
    "./$1" attest --yes --key cosign.key --tlog-upload=false --allow-insecure-registry --type custom "${@:2}" \
        "${registry#http://}/$1:1" >log 2>&1
}

# found COSIGN: print the content of the attestations that an image has.
found() {
    "./$1" verify-attestation --key cosign.pub --insecure-ignore-tlog --allow-insecure-registry --type custom \
        "${registry#http://}/$1:1" 2>log | python3 -c '
import base64, json, sys
print(*sorted(json.loads(base64.b64decode(json.loads(line)["payload"]))["predicate"]["Data"] for line in sys.stdin))'
}

type=application/vnd.oci.image.manifest.v1+json
printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":2},"layers":[]}' "$type" \
    application/vnd.oci.image.config.v1+json "sha256:$(printf '{}' | sha256sum | cut --delimiter=' ' --fields=1)" >image
printf '{}' >config
printf 'first scan' >first
printf 'second scan' >second
for cosign in cosign-2.5.0 cosign-3.1.1; do
    options=()
    [[ $cosign == cosign-2.5.0 ]] || options=(--use-signing-config=false)
    to=$(location --request POST "$registry/v2/$cosign/blobs/uploads/")
    request --output /dev/null --request PUT --header 'Content-Type: application/octet-stream' --data-binary @config \
        "$to&digest=$(digest config)"
    request --output /dev/null --request PUT --header "Content-Type: $type" --data-binary @image \
        "$registry/v2/$cosign/manifests/1"
    attest "$cosign" "${options[@]}" --predicate first
    expect ': first scan.' "$cosign attest: $(found "$cosign")."
    attest "$cosign" "${options[@]}" --predicate second --replace
    [[ $cosign == cosign-2.5.0 ]] && expected=': second scan.' || expected=': first scan second scan.'
    expect "$expected" "$cosign attest --replace: $(found "$cosign")."
done
