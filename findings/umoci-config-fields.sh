#!/usr/bin/env bash
# umoci 0.4.7 (Debian 12, 0.4.7+ds-3+b7; 0.6.0 does the same): a command that changes anything of an image writes its
# config anew with the fields of OCI's specification only. `umoci config --author` removes Healthcheck, OnBuild and Shell,
# which Docker Engine and buildx write into OCI images, too, without a message; so does `umoci insert` of a file. The
# specification demands that implementations do not fail on fields that they do not know. skopeo 1.9.3 keeps the config
# byte for byte (Debian 12, 1.9.3+ds1-1+b10). A container of the new image has no health check.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

debian umoci=0.4.7+ds-3+b7 skopeo=1.9.3+ds1-1+b10 libdevmapper1.02.1

cat >layout.py <<'PYTHON'
import hashlib, json, pathlib

KIND = "application/vnd.oci.image"
blobs = pathlib.Path("layout/blobs/sha256")
blobs.mkdir(parents=True)


def blob(content, kind):
    data = json.dumps(content).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


run = {"Cmd": ["app"], "Healthcheck": {"Test": ["CMD", "check"]}, "OnBuild": ["RUN make"], "Shell": ["/bin/bash", "-c"]}
rootfs = {"type": "layers", "diff_ids": []}
config = blob({"architecture": "amd64", "os": "linux", "config": run, "rootfs": rootfs}, f"{KIND}.config.v1+json")
kind = f"{KIND}.manifest.v1+json"
image = blob({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}, kind)
image["annotations"] = {"org.opencontainers.image.ref.name": "made"}
pathlib.Path("layout/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [image]}))
pathlib.Path("layout/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
PYTHON
python3 layout.py
cat >fields.py <<'PYTHON'
import json, pathlib, sys


def read(descriptor):
    return json.loads(pathlib.Path("layout/blobs", descriptor["digest"].replace(":", "/")).read_text())


for entry in json.loads(pathlib.Path("layout/index.json").read_text())["manifests"]:
    if entry["annotations"]["org.opencontainers.image.ref.name"] == sys.argv[1]:
        print(f"{sys.argv[1]}:", *sorted(read(read(entry)["config"])["config"]))
PYTHON
echo content >file
umoci=root/usr/bin/umoci
$umoci config --image layout:made --tag config --author name
$umoci insert --rootless --image layout:made --tag insert file /file
skopeo copy oci:layout:made oci:layout:skopeo >/dev/null
for name in made skopeo; do expect "$name: Cmd Healthcheck OnBuild Shell." "$(python3 fields.py "$name")."; done
for name in config insert; do expect "$name: Cmd." "$(python3 fields.py "$name")."; done
