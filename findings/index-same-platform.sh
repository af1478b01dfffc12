#!/usr/bin/env bash
# buildx 0.29.1, crane 0.20.7 and oras 1.3.3 (Debian forky, 0.29.1+ds1-4, 0.20.7+ds1-5 and 1.3.3-1): if an index has an
# image of the same platform already, `buildx imagetools create --append`, `crane index append` and `oras manifest index
# update --add` replace nothing: the index then lists two images for linux/arm64, the old one first, with exit code 0.
# crane and skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10) pull the first, so they never get the new image, such as a fix for
# ARM. oras removes the old one by `--remove` and its digest; an index made anew of the two right images has no other.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian_of forky docker-buildx=0.29.1+ds1-4 crane=0.20.7+ds1-5 oras=1.3.3-1
export DOCKER_CONFIG=$folder HOME=$folder
buildx=root/usr/libexec/docker/cli-plugins/docker-buildx
app=${registry#http://}/app
crane() { root/usr/bin/crane --insecure "$@" 2>log; }
oras() { root/usr/bin/oras "$@" --plain-http >log; }
for image in amd64-1 arm64-1 arm64-2; do
    echo "$image" >file
    tar --create --file layer.tar file
    crane append --oci-empty-base --new_layer layer.tar --new_tag "$app:$image" >/dev/null
    crane mutate --set-platform "linux/${image%-*}" --tag "$app:$image" "$app:$image" >/dev/null
done

# state INDEX: print the architectures that an index has, and what is pulled of it for ARM.
state() {
    crane manifest "$app:$1" | python3 -c '
import json, sys
print(*(image["platform"]["architecture"] for image in json.load(sys.stdin)["manifests"]), end="; crane pulls ")'
    crane export --platform linux/arm64 "$app:$1" - | tar --extract --to-stdout file
}

for tool in buildx crane oras; do
    $buildx imagetools create --tag "$app:$tool" "$app:amd64-1" "$app:arm64-1" 2>log
    expect 'amd64 arm64; crane pulls arm64-1' "before: $(state "$tool")"
done
$buildx imagetools create --append --tag "$app:buildx" "$app:arm64-2" 2>log
crane index append "$app:crane" --manifest "$app:arm64-2" --tag "$app:crane" >/dev/null
oras manifest index update "$app:oras" --add arm64-2
first=$(crane manifest "$app:arm64-1" | python3 -c '
import json, sys
print(json.load(sys.stdin)["layers"][0]["digest"])')
for tool in buildx crane oras; do
    expect 'amd64 arm64 arm64; crane pulls arm64-1' "$tool: $(state "$tool")"
    layers=$(skopeo --override-arch arm64 inspect --tls-verify=false --format '{{.Layers}}' "docker://$app:$tool")
    expect "[$first]" "skopeo reads of $tool: $layers (arm64-1: $first)"
done
