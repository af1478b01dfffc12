#!/usr/bin/env bash
# dockertarpush 0.17 (PyPI): `docker-tar-push` pushes a docker archive under the names that it has. It cuts a name at
# each colon, so for `registry.example:5000/app:1`, as an image is named to be pushed by Docker, it sends the blobs to
# the repository `registry.example`, and the manifest to the tag `5000/app`, for which the registry (docker-registry
# 2.8.2+ds1-1, Debian 12) returns 404. It looks at the status of neither a blob nor the manifest: it logs "Image
# pushed", and exits with 0. Of an archive of two images, which `docker save` writes, it pushes the first one, and logs
# and exits the same.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
python dockertarpush==0.17
echo content >file
tar --create --file layer.tar file
# push NAME...: push an archive with an image for each name, and print the last line and the exit code.
push() {
    local name images=()
    for name in "$@"; do
        printf '{"architecture": "amd64", "os": "linux", "author": "%s", "rootfs": {"type": "layers", "diff_ids": ["%s"]}}' \
            "$name" "$(digest layer.tar)" >"config-${#images[@]}.json"
        images+=("$(printf '{"Config": "%s", "RepoTags": ["%s"], "Layers": ["layer.tar"]}' "config-${#images[@]}.json" "$name")")
    done
    printf '[%s]' "$(IFS=,; echo "${images[*]}")" >manifest.json
    tar --create --file image.tar manifest.json layer.tar config-*.json
    venv/bin/docker-tar-push "$registry" image.tar >push.log && local code=$?
    echo "$* (code $code): $(grep . push.log | tail --lines=1)"
}
# status REPOSITORY: print the status of the manifest of the tag 1.
status() {
    curl --silent --output /dev/null --write-out '%{http_code}' "$registry/v2/$1/manifests/1" \
        --header 'Accept: application/vnd.docker.distribution.manifest.v2+json'
}
expect '(code 0): [INFO] Image pushed' "$(push app:1)"
expect '200' "app: $(status app)"
expect '(code 0): [INFO] Image pushed' "$(push registry.example:5000/port:1)"
expect '404 404' "port, or registry.example: $(status port) $(status registry.example)"
expect '(code 0): [INFO] Image pushed' "$(push one:1 two:1)"
expect '200, 404' "one and two: $(status one), $(status two)"
