#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10) and oras 1.2.0 (Debian 13, 1.2.0-1+b9): in a registry without referrers API
# (docker-registry 2.8.2+ds1-1, Debian 12) `oras attach` lists an artifact in an index under the tag sha256-<digest>,
# with its type, `artifactType`. `skopeo copy --all` copies indexes byte for byte, but not if a descriptor has that
# field: it writes the index anew, without it, with another digest and exit code 0. In the copied repository `oras
# discover --artifact-type`, and whatever else looks for signatures or SBOMs by type, finds nothing. skopeo 1.18.0 keeps
# the index.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian_of trixie oras=1.2.0-1+b9

printf '{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}' >config
upload config
kind=application/vnd.oci.image
printf '{"schemaVersion": 2, "mediaType": "%s", "config": {"mediaType": "%s", "digest": "%s", "size": %s}, "layers": []}' \
    "$kind.manifest.v1+json" "$kind.config.v1+json" "$(digest config)" "$(stat --format=%s config)" >image
request --output /dev/null --request PUT --header "Content-Type: $kind.manifest.v1+json" --data-binary @image \
    "$registry/v2/app/manifests/1.0"
printf '{"schemaVersion": 2, "mediaType": "%s", "manifests": [{"mediaType": "%s", "digest": "%s", "size": %s}]}' \
    "$kind.index.v1+json" "$kind.manifest.v1+json" "$(digest image)" "$(stat --format=%s image)" >index
request --output /dev/null --request PUT --header "Content-Type: $kind.index.v1+json" --data-binary @index \
    "$registry/v2/app/manifests/index"
echo signed >signature
host=${registry#http://}
root/usr/bin/oras attach --plain-http --artifact-type application/example.signature "$host/app:1.0" signature >oras.log

list=$(digest image | tr : -)
for tag in 1.0 index "$list"; do
    skopeo copy --all --src-tls-verify=false --dest-tls-verify=false "docker://$host/app:$tag" "docker://$host/copy:$tag" \
        >skopeo.log && code=$?
    for repository in app copy; do
        curl --silent --header "Accept: $kind.index.v1+json" --header "Accept: $kind.manifest.v1+json" --output "$repository" \
            "$registry/v2/$repository/manifests/$tag"
    done
    found=another
    ! cmp --quiet app copy || found='the same'
    [[ $tag == "$list" ]] || expect '(code 0): the same' "$tag (code $code): $found"
    [[ $tag != "$list" ]] || expect '(code 0): another' "$tag (code $code): $found"
done
expect '"artifactType":"application/example.signature"' "app: $(<app)"
[[ $(<copy) != *artifactType* ]]
for repository in app copy; do
    found=$(root/usr/bin/oras discover --plain-http --format json --artifact-type application/example.signature "$host/$repository:1.0")
    expected='1 artifact.'
    [[ $repository == app ]] || expected='0 artifact.'
    expect "$expected" "oras discover, $repository: $(grep --count '"digest"' <<<"$found" || true) artifact."
done
