#!/usr/bin/env bash
# oras 1.3.3 (Debian forky, 1.3.3-1): `oras manifest index create` joins tags of one platform each, as its help has it.
# If buildx pushed them, each tag is an index itself, with the image and its attestation. oras lists the two indexes,
# without a platform, and exits with 0; OCI allows an index in an index, but no client that was tried looks into it:
# neither oras, nor crane 0.20.7 (0.20.7+ds1-5), skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10) or podman 4.3.1 finds any
# platform. `crane index append` with the same tags lists their images and attestations, and `docker manifest create`
# refuses them.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian_of forky crane=0.20.7+ds1-5 oras=1.3.3-1
blobs_module
cat >layout.py <<'PYTHON'
import json, pathlib
from blobs import KIND, blob


def document(kind, platform, **content):
    content |= {"schemaVersion": 2, "mediaType": f"{KIND}.{kind}.v1+json"}
    return blob(content, content["mediaType"], **({"platform": platform} if platform else {}))


def manifest(layer, os, architecture):
    platform = {"os": os, "architecture": architecture}
    config = blob(platform | {"config": {}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}, f"{KIND}.config.v1+json")
    return document("manifest", platform, config=config, layers=[layer])


tags = []
for architecture in ("amd64", "arm64"):
    image = manifest(blob(bytes(1024), f"{KIND}.layer.v1.tar"), "linux", architecture)
    statement = blob({"subject": image["digest"]}, "application/vnd.in-toto+json")
    reference = {"vnd.docker.reference.digest": image["digest"], "vnd.docker.reference.type": "attestation-manifest"}
    attestation = manifest(statement, "unknown", "unknown") | {"annotations": reference}
    name = {"org.opencontainers.image.ref.name": f"1-{architecture}"}
    tags.append(document("index", None, manifests=[image, attestation]) | {"annotations": name})
pathlib.Path("layout/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": tags}))
pathlib.Path("layout/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
PYTHON
python3 layout.py
image=${registry#http://}/app
for tag in 1-amd64 1-arm64; do
    root/usr/bin/oras cp --no-tty --from-oci-layout --to-plain-http "layout:$tag" "$image:$tag" >/dev/null
done

root/usr/bin/oras manifest index create --plain-http "$image:oras" 1-amd64 1-arm64 >/dev/null && code=$?
root/usr/bin/crane index append --manifest "$image:1-amd64" --manifest "$image:1-arm64" --tag "$image:crane" >/dev/null 2>&1
# entries TAG: print the platforms of an index, and "index" for an index in it.
entries() {
    request --header 'Accept: application/vnd.oci.image.index.v1+json' "$registry/v2/app/manifests/$1" | tail --lines=1 |
        python3 -c 'import json, sys; print(*(
            "/".join((each.get("platform") or {"index": "index"}).values()) for each in json.load(sys.stdin)["manifests"]))'
}
# architecture: print the architecture in a config of the standard input, or that there is none.
architecture() {
    grep --only-matching '"architecture": *"[^"]*"' | cut --delimiter='"' --fields=4 || echo nothing
}
# found TAG: print which image each client finds for linux/arm64.
found() {
    local options=(--override-os linux --override-arch arm64)
    echo "crane $({ root/usr/bin/crane config --platform linux/arm64 "$image:$1" 2>/dev/null || true; } | architecture)," \
        "oras $({ root/usr/bin/oras manifest fetch-config --plain-http --platform linux/arm64 "$image:$1" 2>/dev/null ||
            true; } | architecture)," \
        "skopeo $({ skopeo "${options[@]}" inspect --tls-verify=false --config --raw "docker://$image:$1" || true; } |
            architecture)"
}
expect 'amd64/linux unknown/unknown arm64/linux unknown/unknown' "joined by crane: $(entries crane)"
expect 'crane arm64, oras arm64, skopeo arm64' "linux/arm64 of it: $(found crane)"
expect '(code 0): index index' "joined by oras (code $code): $(entries oras)"
expect 'crane nothing, oras nothing, skopeo nothing' "linux/arm64 of it: $(found oras)"
