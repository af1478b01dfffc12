#!/usr/bin/env bash
# crane 0.20.7 (Debian forky, 0.20.7+ds1-5): of a tag with images of several platforms, `crane mutate --label` and
# `crane append` change the image of linux/amd64, and write that alone, although `--platform` is documented as `all` by
# default. If the new tag is the old one, all other platforms are gone, with exit code 0 and no message. `crane mutate
# --annotation` refuses an index ("not yet supported"), and `crane flatten` changes the image of each platform and keeps
# the index.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian_of forky crane=0.20.7+ds1-5

kind=application/vnd.oci.image
echo content >file
tar --create --file layer file
upload layer
# put REFERENCE CONTENT TYPE: store a manifest.
put() {
    request --output /dev/null --request PUT --header "Content-Type: $3" --data-binary "$2" "$registry/v2/app/manifests/$1"
}
manifests=()
for name in amd64 arm64; do
    printf '{"architecture": "%s", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["%s"]}}' \
        "$name" "$(digest layer)" >config
    upload config
    printf '{"schemaVersion": 2, "mediaType": "%s", "config": {"mediaType": "%s", "digest": "%s", "size": %s}, "layers": [%s]}' \
        "$kind.manifest.v1+json" "$kind.config.v1+json" "$(digest config)" "$(stat --format=%s config)" \
        "$(printf '{"mediaType": "%s", "digest": "%s", "size": %s}' "$kind.layer.v1.tar" "$(digest layer)" "$(stat --format=%s layer)")" \
        >manifest
    put "$(digest manifest)" "$(<manifest)" "$kind.manifest.v1+json"
    manifests+=("$(printf '{"mediaType": "%s", "digest": "%s", "size": %s, "platform": {"os": "linux", "architecture": "%s"}}' \
        "$kind.manifest.v1+json" "$(digest manifest)" "$(stat --format=%s manifest)" "$name")")
done

# platforms TAG: print which platforms' images a pull of a tag returns.
platforms() {
    for name in amd64 arm64; do
        root/usr/bin/crane config --platform "linux/$name" "${registry#http://}/app:$1" 2>/dev/null |
            grep --only-matching '"architecture":\s*"[^"]*"' || true
    done | grep --only-matching '[a-z]*64' | sort --unique | paste --serial --delimiters=' '
}
image=${registry#http://}/app
# try TAG PLATFORMS ARGUMENT...: run crane with a new index and its tag, and print which platforms the tag has then.
try() {
    put "$1" "{\"schemaVersion\": 2, \"mediaType\": \"$kind.index.v1+json\", \"manifests\": [${manifests[0]}, ${manifests[1]}]}" \
        "$kind.index.v1+json"
    expect 'amd64 arm64' "$1, before: $(platforms "$1")"
    local found
    found=$(root/usr/bin/crane "${@:3}" -t "$image:$1" 2>&1) && found+=' (code 0)'
    expect "$2" "crane $3 $4, ${found##*$'\n'}, $(platforms "$1")."
}
try label '(code 0), amd64.' mutate --label key=value "$image:label"
try append '(code 0), amd64.' append --new_layer layer --base "$image:append"
try annotation 'on an index is not yet supported, amd64 arm64.' mutate --annotation key=value "$image:annotation"
try flatten '(code 0), amd64 arm64.' flatten "$image:flatten"
