#!/usr/bin/env bash
# oras 0.2.43 (PyPI): `pull` of a tag that is an image index, as images of several platforms are, returns an empty list
# and writes nothing, without an error; the same for the digest of one of its manifests returns its file. (The registry
# is docker-registry 2.8.2+ds1-1, Debian 12.)
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python oras==0.2.43
distribution
cat >pull.py <<'PYTHON'
import hashlib, json, pathlib, sys
import oras.client, requests

registry = sys.argv[1]
host = registry.removeprefix("http://")
client = oras.client.OrasClient(hostname=host, insecure=True)
pathlib.Path("file").write_text("content")
client.push(target=f"{host}/app:file", files=["file"])
kind = "application/vnd.oci.image.manifest.v1+json"
manifest = requests.get(f"{registry}/v2/app/manifests/file", headers={"Accept": kind}).content
digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
platform = {"os": "linux", "architecture": "amd64"}
child = {"mediaType": kind, "digest": digest, "size": len(manifest), "platform": platform}
kind = "application/vnd.oci.image.index.v1+json"
index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [child]})
put = requests.put(f"{registry}/v2/app/manifests/index", data=index, headers={"Content-Type": kind})
print("index stored:", put.status_code)
for name, target in {"manifest": f"{host}/app@{digest}", "index": f"{host}/app:index"}.items():
    pulled = client.pull(target=target, outdir=str(pathlib.Path(name).absolute()))
    print(f"pull of the {name}:", [pathlib.Path(path).name for path in pulled])
PYTHON
expect "index stored: 201
pull of the manifest: ['file']
pull of the index: []" "$(venv/bin/python pull.py "$registry")"
