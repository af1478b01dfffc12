#!/usr/bin/env bash
# crane 0.20.7 and oras 1.3.3 (Debian forky, 0.20.7+ds1-5 and 1.3.3-1), skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10): one
# platform of one image index is another image to each. Docker Engine 20.10.24 and podman 4.3.1 choose as skopeo does.
# - `linux/arm` of arm/v5, v6 and v7 is v5, the first of them, to crane and oras; it is v7 to skopeo.
# - `linux/amd64` of amd64/v3 and amd64 is v3, which older processors cannot run, to crane and oras; to skopeo the
#   other.
# - `linux/arm64/v8` of arm64, which is the same, is nothing to crane and oras.
# - `linux/amd64` of a manifest without a platform, which is optional in an index, is nothing to oras, nor to Docker Engine.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian_of forky crane=0.20.7+ds1-5 oras=1.3.3-1
cat >layout.py <<'PYTHON'
import hashlib, json, pathlib

KIND = "application/vnd.oci.image"
PLATFORMS = {"arm": ["arm/v5", "arm/v6", "arm/v7"], "amd64": ["amd64/v3", "amd64"], "arm64": ["arm64"], "none": [""]}


def blob(folder, kind, content, **more):
    data = json.dumps(content).encode()
    digest = hashlib.sha256(data).hexdigest()
    (folder / "blobs/sha256" / digest).write_bytes(data)
    return {"mediaType": f"{KIND}.{kind}.v1+json", "digest": f"sha256:{digest}", "size": len(data), **more}


def document(folder, kind, content, **more):
    return blob(folder, kind, {"schemaVersion": 2, "mediaType": f"{KIND}.{kind}.v1+json"} | content, **more)


for tag, platforms in PLATFORMS.items():
    folder = pathlib.Path(tag)
    (folder / "blobs/sha256").mkdir(parents=True)
    manifests = []
    for platform in platforms:
        parts = {"os": "linux", "architecture": platform.partition("/")[0]}
        if "/" in platform:
            parts["variant"] = platform.partition("/")[2]
        author = platform or "no platform"
        rootfs = {"type": "layers", "diff_ids": []}
        config = blob(folder, "config", {"os": "linux", "architecture": "amd64"} | (parts if platform else {}) | {"author": author, "rootfs": rootfs})
        more = {"platform": parts} if platform else {}
        manifests.append(document(folder, "manifest", {"config": config, "layers": []}, **more))
    index = document(folder, "index", {"manifests": manifests})
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
PYTHON
python3 layout.py

# author: print the author in a config of the standard input, or that there is none.
author() {
    grep --only-matching '"author": "[^"]*"' | cut --delimiter='"' --fields=4 || echo nothing
}
while read -r tag os architecture variant expected; do
    skopeo copy --all --dest-tls-verify=false "oci:$tag" "docker://${registry#http://}/app:$tag" >/dev/null
    image=${registry#http://}/app:$tag
    platform=$os/$architecture${variant#-}
    asked=(--override-os "$os" --override-arch "$architecture")
    [[ $variant == - ]] || asked+=(--override-variant "${variant#/}")
    found="crane $({ root/usr/bin/crane config --platform "$platform" "$image" 2>/dev/null || true; } | author)"
    found+=", oras $({ root/usr/bin/oras manifest fetch-config --plain-http --platform "$platform" "$image" 2>/dev/null || true; } | author)"
    found+=", skopeo $(skopeo "${asked[@]}" inspect --tls-verify=false --config --raw "docker://$image" | author)"
    expect "$expected" "$tag, $platform: $found"
done <<'EOT'
arm linux arm - crane arm/v5, oras arm/v5, skopeo arm/v7
amd64 linux amd64 - crane amd64/v3, oras amd64/v3, skopeo amd64
arm64 linux arm64 /v8 crane nothing, oras nothing, skopeo arm64
none linux amd64 - crane no platform, oras nothing, skopeo no platform
EOT
