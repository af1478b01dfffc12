#!/usr/bin/env bash
# registry-api-v2-client 1.2.0 (PyPI): `push_docker_tar` returns the digest of a manifest that no client can pull. Its
# descriptor of the config has the size of all layers, not that of the config. If the archive names types of layers
# (`LayerSources`, as `docker save` of Docker 25 and later does), it copies OCI's types into a manifest of Docker's
# type. The registry (docker-registry 2.8.2+ds1-1, Debian 12) accepts both; skopeo 1.9.3 (1.9.3+ds1-1+b10) rejects both.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
python registry-api-v2-client==1.2.0
mkdir --parents blobs/sha256
echo content >file
tar --create --file layer file
printf '{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["%s"]}}' \
    "$(digest layer)" >config
for blob in layer config; do
    name=$(digest "$blob")
    cp "$blob" "blobs/sha256/${name#sha256:}"
done
sizes="config $(stat --format=%s config), layer $(stat --format=%s layer)"
expect 'config 173, layer 10240' "$sizes"
cat >push.py <<'PYTHON'
import asyncio, json, sys
import registry_api_v2_client

digest = asyncio.run(registry_api_v2_client.push_docker_tar("image.tar", sys.argv[1]))
print("pushed:", digest.partition(":")[0])
manifest = asyncio.run(registry_api_v2_client.get_manifest(sys.argv[1], "app", "1"))
print("config:", manifest["config"]["size"], "layer:", manifest["layers"][0]["mediaType"])
PYTHON
# push SOURCES: make an archive whose manifest.json has the member SOURCES, push it, and pull it by skopeo.
push() {
    local config layer
    config=$(digest config) layer=$(digest layer)
    printf '[{"Config": "blobs/sha256/%s", "RepoTags": ["app:1"], "Layers": ["blobs/sha256/%s"]%s}]' \
        "${config#sha256:}" "${layer#sha256:}" "$1" >manifest.json
    tar --create --file image.tar blobs manifest.json
    venv/bin/python push.py "$registry"
    skopeo copy --src-tls-verify=false "docker://${registry#http://}/app:1" dir:pulled && echo pulled
}
found=$(push '' || true)
expect 'pushed: sha256
config: 10240 layer: application/vnd.docker.image.rootfs.diff.tar' "$found"
expect 'expected 10240, got 173' "$(tail --lines=1 <<<"$found")"
type=application/vnd.oci.image.layer.v1.tar
found=$(push ", \"LayerSources\": {\"$(digest layer)\": {\"mediaType\": \"$type\", \"size\": 10240}}" || true)
expect "config: 10240 layer: $type" "$found"
expect 'unsupported docker v2s2 media type' "$(tail --lines=1 <<<"$found")"
