#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10; 1.18.0, too): copying an image to an OCI layout changes its manifest's type
# from Docker's to OCI's. Its config, which both formats share, is written anew with the fields of OCI's specification
# only: Healthcheck, OnBuild and Shell are lost, without a message, and the config's digest, which is the image's ID,
# changes. So the image that is pushed from the layout has no health check. `podman save --format oci-archive` (4.3.1,
# 5.4.2) does the same. Other directions keep the config byte for byte.
# umoci 0.4.7 (Debian 12, 0.4.7+ds-3+b7; 0.6.0, too) does so with an OCI image that has these fields, as buildx makes
# them, if a command changes anything of it: here the author, or a file.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

debian umoci=0.4.7+ds-3+b7
run='{"Cmd": ["app"], "Healthcheck": {"Test": ["CMD", "check"]}, "OnBuild": ["RUN make"], "Shell": ["/bin/bash", "-c"]}'
printf '{"architecture": "amd64", "os": "linux", "config": %s, "rootfs": {"type": "layers", "diff_ids": []}}' "$run" >config.json
echo '[{"Config": "config.json", "RepoTags": ["app:1"], "Layers": []}]' >manifest.json
tar --create --file image.tar config.json manifest.json

# fields FOLDER: print the fields of a config's part `config`, and whether the config is that of the docker archive. The
# folder is one of skopeo's `dir:`, in which each blob's name is its digest.
fields() {
    python3 - "$1" <<'PYTHON'
import json, pathlib, sys

folder = pathlib.Path(sys.argv[1])
manifest = json.loads((folder / "manifest.json").read_text())
config = (folder / manifest["config"]["digest"].removeprefix("sha256:")).read_bytes()
same = config == pathlib.Path("config.json").read_bytes()
print(manifest["mediaType"], *sorted(json.loads(config)["config"]), "the same" if same else "another config")
PYTHON
}
skopeo copy docker-archive:image.tar dir:docker >skopeo.log
skopeo copy docker-archive:image.tar oci:layout:app >skopeo.log
skopeo copy oci:layout:app dir:oci >skopeo.log
expect '.v2+json Cmd Healthcheck OnBuild Shell the same' "as Docker stores it: $(fields docker)"
expect '.v1+json Cmd another config' "by an OCI layout: $(fields oci)"

# An OCI image with the same config, made without skopeo.
mkdir --parents made
sed "s,@digest@,$(digest config.json),; s,@size@,$(stat --format=%s config.json)," >made/manifest.json <<'EOT'
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
 "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "@digest@", "size": @size@}}
EOT
cp docker/version made
cp config.json "made/$(sha256sum config.json | cut --delimiter=' ' --fields=1)"
skopeo copy --format v2s2 dir:made dir:back >skopeo.log
expect '.v2+json Cmd Healthcheck OnBuild Shell the same' "from OCI to Docker: $(fields back)"
skopeo copy dir:made oci:kept:app >skopeo.log
skopeo copy oci:kept:app dir:copied >skopeo.log
expect '.v1+json Cmd Healthcheck OnBuild Shell the same' "from OCI to OCI: $(fields copied)"

umoci=root/usr/bin/umoci
$umoci config --image kept:app --tag author --author name
$umoci insert --rootless --image kept:app --tag file config.json /file
for tag in author file; do
    skopeo copy "oci:kept:$tag" "dir:$tag" >skopeo.log
    expect '.v1+json Cmd another config' "umoci, another $tag: $(fields "$tag")"
done
