#!/usr/bin/env bash
# olot 1.2.1 (PyPI): adding a layer to an image in an OCI layout should leave everything else as it is. olot reads the
# config into a model of the OCI specification and writes the model:
# - Healthcheck, Shell and OnBuild, which Docker adds to the specification, are missing in the new config.
# - `os.version`, by which Windows chooses an image, becomes `os_version`, which no program reads.
# An attestation of BuildKit still names the digest of the old image (`vnd.docker.reference.digest`), which is no longer
# in the layout, so the new image has no provenance. olot reports none of this.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python olot==1.2.1
blobs_module
cat >add.py <<'PYTHON'
import json, pathlib
from blobs import KIND, blob, blobs
import olot.basics


def manifest(config, layer, os, **more):
    config |= {"architecture": "amd64", "os": os, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
    content = {"schemaVersion": 2, "config": blob(config, f"{KIND}.config.v1+json"), "layers": [layer]}
    platform = {"architecture": "amd64", "os": os}
    return blob(content | {"mediaType": f"{KIND}.manifest.v1+json"}, f"{KIND}.manifest.v1+json", platform=platform, **more)


def read(descriptor):
    return json.loads((blobs / descriptor["digest"].removeprefix("sha256:")).read_text())


docker = {"Healthcheck": {"Test": ["CMD", "true"]}, "Shell": ["/bin/bash", "-c"], "OnBuild": ["RUN true"]}
config = {"os.version": "10.0.20348.1", "config": {"Cmd": ["true"], **docker}, "history": [{"created_by": "test"}]}
image = manifest(config, blob(bytes(1024), f"{KIND}.layer.v1.tar"), "windows")
reference = {"vnd.docker.reference.digest": image["digest"], "vnd.docker.reference.type": "attestation-manifest"}
attestation = manifest({}, blob({}, "application/vnd.in-toto+json"), "unknown", annotations=reference)
index = {"schemaVersion": 2, "mediaType": f"{KIND}.index.v1+json"}
inner = blob(index | {"manifests": [image, attestation]}, index["mediaType"])
pathlib.Path("layout/index.json").write_text(json.dumps(index | {"manifests": [inner]}))
pathlib.Path("layout/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
pathlib.Path("model").write_text("model")
olot.basics.oci_layers_on_top("layout", ["model"])
new, attestation = read(json.loads(pathlib.Path("layout/index.json").read_text())["manifests"][0])["manifests"]
config = read(read(new)["config"])
print("layers:", len(config["rootfs"]["diff_ids"]), *(key for key in config if "version" in key), list(config["config"]))
named = attestation["annotations"]["vnd.docker.reference.digest"]
print("attestation names the old image:", named == image["digest"], "the new one:", named == new["digest"])
PYTHON
found=$(venv/bin/python add.py)
expect "layers: 2 os_version ['Cmd']
attestation names the old image: True the new one: False" "$found"
