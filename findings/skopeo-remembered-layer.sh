#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10): the same `skopeo copy` from one repository of a registry to another keeps
# an image with a plain layer byte for byte if skopeo itself brought that layer to the registry, and gives it another
# digest if it did not: it remembers on the machine where it has seen a layer, and mounts it from there; a layer that
# it does not know it reads, and compresses. So a promotion changes the image if it runs on another machine than the
# push, as in each new step of a pipeline (docker-registry 2.8.2+ds1-1, Debian 12). `--preserve-digests` keeps it.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
blobs_module
cat >layout.py <<'PYTHON'
import json, pathlib
from blobs import KIND, blob

layer = blob("a layer", f"{KIND}.layer.v1.tar")
config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
kind = f"{KIND}.manifest.v1+json"
manifest = {"schemaVersion": 2, "mediaType": kind, "config": blob(config, f"{KIND}.config.v1+json"), "layers": [layer]}
image = blob(manifest, kind)
image["annotations"] = {"org.opencontainers.image.ref.name": "app"}
pathlib.Path("layout/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [image]}))
pathlib.Path("layout/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
PYTHON
python3 layout.py

# The folder in which it remembers; source: containers/image, pkg/blobinfocache/default.go.
export _CONTAINERS_ROOTLESS_UID=1 XDG_DATA_HOME=$folder/memory
host=docker://${registry#http://}
skopeo copy --preserve-digests --dest-tls-verify=false oci:layout:app "$host/app:1" >/dev/null

# promoted PACKAGE: copy the image to another repository, and print whether that kept it.
promoted() {
    skopeo copy --src-tls-verify=false --dest-tls-verify=false "$host/app:1" "$host/$1:1" >/dev/null
    local digests
    digests=$(for name in app "$1"; do
        request --head --header 'Accept: application/vnd.oci.image.manifest.v1+json' "$registry/v2/$name/manifests/1" |
            sed --quiet 's/^Docker-Content-Digest: //p'
    done | sort --unique | wc --lines)
    if ((digests == 1)); then echo 'the same image'; else echo 'another image'; fi
}
expect 'on the machine of the push: the same image' "on the machine of the push: $(promoted second)"
rm -r "$XDG_DATA_HOME"
expect 'on another machine: another image' "on another machine: $(promoted third)"
