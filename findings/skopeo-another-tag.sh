#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10): to give an image of four platforms, with an attestation for each, a second
# tag in the same repository, one GET and one PUT of the index suffice. `skopeo copy --all` sends 46 requests: it also
# reads and stores all 8 manifests, reads all 8 configs, and asks for each of the 20 blobs, although the registry that
# returns the manifests must have them (docker-registry 2.8.2+ds1-1, Debian 12).
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

export REGISTRY_LOG_ACCESSLOG_DISABLED=false
distribution
blobs_module
cat >layout.py <<'PYTHON'
import json, pathlib
from blobs import KIND, blob, blobs


def manifest(system, architecture, kind, *contents):
    layers = [blob(content, kind) for content in contents]
    rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
    config = blob({"os": system, "architecture": architecture, "rootfs": rootfs}, f"{KIND}.config.v1+json")
    content = {"schemaVersion": 2, "mediaType": f"{KIND}.manifest.v1+json", "config": config, "layers": layers}
    return blob(content, content["mediaType"], platform={"os": system, "architecture": architecture})


images = [
    manifest("linux", name, f"{KIND}.layer.v1.tar", *(f"{name} {number}".encode() for number in range(2)))
    for name in ("amd64", "arm64", "ppc64le", "s390x")
]
attestations = [manifest("unknown", "unknown", "application/vnd.in-toto+json", {"for": image["digest"]}) for image in images]
kind = f"{KIND}.index.v1+json"
index = blob({"schemaVersion": 2, "mediaType": kind, "manifests": images + attestations}, kind)
index["annotations"] = {"org.opencontainers.image.ref.name": "app"}
pathlib.Path("layout/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
pathlib.Path("layout/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
PYTHON
python3 layout.py

# written TAG: wait until the log has the last request of a copy.
written() {
    until grep --quiet "PUT /v2/app/manifests/$1 " registry.log; do sleep 0.1; done
}
to=docker://${registry#http://}/app
skopeo copy --all --dest-tls-verify=false oci:layout:app "$to:1" >/dev/null
written 1
before=$(wc --lines <registry.log)
skopeo copy --all --src-tls-verify=false --dest-tls-verify=false "$to:1" "$to:2" >/dev/null
written 2
requests=$(tail --lines "+$((before + 1))" registry.log | grep --only-matching '"[A-Z]* /v2/app/[a-z]*/[^ ]*')
found=$(sed 's,^",,; s,/[^/]*$,,; s,/v2/app/,,' <<<"$requests" | sort | uniq --count | sed 's/^ *//')
expect '8 GET blobs
9 GET manifests
20 HEAD blobs
9 PUT manifests' "$found"
