#!/usr/bin/env bash
# cosign 3.1.1 (Debian forky, 3.1.1-2): `cosign clean --type signature` and `--type attestation` remove nothing of what
# this version attached, with exit code 0; the warning names an option that the command lacks. Without `--type`, it
# removes both, and in a registry without the referrers API (Distribution 2.8.2, docker-registry 2.8.2+ds1-1 of Debian
# 12, with deletion) also the list under the tag sha256-<digest>. The registry keeps the SBOM that oras 1.3.3 (forky,
# 1.3.3-1) attached to the image, but nothing finds it: it is in no list.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

export REGISTRY_STORAGE_DELETE_ENABLED=true
distribution
debian_of forky cosign=3.1.1-2 oras=1.3.3-1
image=${registry#http://}/app:1
export DOCKER_CONFIG=$folder HOME=$folder COSIGN_PASSWORD=''
cosign() { root/usr/bin/cosign "$@" --allow-insecure-registry "$image" 2>&1; }
# state: print what is attached to the image.
state() {
    for what in 'verify' 'verify-attestation --type custom'; do
        # shellcheck disable=SC2086 # an option
        cosign $what --key cosign.pub --insecure-ignore-tlog >log && echo "$what: found" || echo "$what: none"
    done
    echo "SBOM: $(root/usr/bin/oras discover --plain-http "$image" | grep --count example/sbom)"
}

printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >config
upload config
type=application/vnd.oci.image.manifest.v1+json
printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%s},"layers":[]}' "$type" \
    application/vnd.oci.image.config.v1+json "$(digest config)" "$(stat --format=%s config)" >manifest
request --output /dev/null --request PUT --header "Content-Type: $type" --data-binary @manifest \
    "$registry/v2/app/manifests/1"
echo '{}' >file
root/usr/bin/cosign generate-key-pair 2>/dev/null
root/usr/bin/oras attach --plain-http --disable-path-validation --artifact-type example/sbom "$image" file >log
sbom=$(root/usr/bin/oras discover --plain-http "$image" | grep --only-matching 'sha256:[0-9a-f]*' | tail --lines 1)
cosign sign --yes --key cosign.key --tlog-upload=false --use-signing-config=false >log
cosign attest --yes --key cosign.key --tlog-upload=false --use-signing-config=false --predicate file --type custom >log
all='verify: found
verify-attestation --type custom: found
SBOM: 1'
expect "$all" "$(state)"

for one in signature attestation; do
    warned=$(cosign clean --force --type "$one") && code=$?
    expect 'WARNING: image has referrers, consider using --referrer (code 0)' "clean --type $one: $warned (code $code)"
    expect "$all" "$(state)"
done
expect 'unknown flag: --referrer' "$(cosign clean --force --referrer || true)"

cosign clean --force >log
echo 'clean:'
expect 'verify: none
verify-attestation --type custom: none
SBOM: 0' "$(state)"
answer=$(request --head --header "Accept: $type" "$registry/v2/app/manifests/$sbom")
expect ' 200 ' "the SBOM's manifest: ${answer%%$'\n'*}"
