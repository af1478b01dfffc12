#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10): if a docker archive has two files of one name, skopeo reads the first one.
# Extracting the archive gives the last one, and so does Python's tarfile; GNU tar's `--append` and `--update` make such
# archives. So a manifest.json that is replaced this way, to change the tag, has no effect.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

printf '{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}' >config.json
echo '[{"Config": "config.json", "RepoTags": ["app:old"], "Layers": []}]' >manifest.json
tar --create --file image.tar config.json manifest.json
sed --in-place 's/old/new/' manifest.json
tar --append --file image.tar manifest.json
mkdir extracted
tar --extract --file image.tar --directory extracted
expect '"app:new"' "GNU tar: $(cat extracted/manifest.json)"
expect '"app:new"' "tarfile: $(python3 -c 'import tarfile; print(tarfile.open("image.tar").extractfile("manifest.json").read())')"
expect '"app:old"' "skopeo: $(skopeo list-tags docker-archive:image.tar)"
found=$(skopeo copy docker-archive:image.tar:app:new oci:copy:x) || found+=" (code $?)"
expect 'not found" (code 1)' "$found"
