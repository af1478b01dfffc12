#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10): `docker-archive:` reads an archive that is compressed by bzip2 or xz, but
# not one that is compressed by gzip, as `docker save | gzip` does: "loading tar component manifest.json: unexpected
# EOF" or "archive/tar: invalid tar header". (A layer in the archive may be compressed by gzip.)
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

echo content >file
tar --create --file layer.tar file
gzip --no-name <layer.tar >layer.tar.gz
printf '{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["%s"]}}' \
    "$(digest layer.tar)" >config.json
echo '[{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer.tar.gz"]}]' >manifest.json
tar --create --file image.tar config.json layer.tar.gz manifest.json
for program in cat bzip2 xz; do
    "$program" <image.tar >"image.$program"
    found=$(skopeo copy "docker-archive:image.$program" "oci:$program:x") && found+=' (code 0)'
    expect '(code 0)' "$program: ${found##*$'\n'}"
done
gzip <image.tar >image.gz
found=$(skopeo copy docker-archive:image.gz oci:gzip:x) || found+=" (code $?)"
expect 'loading tar component manifest.json: ' "gzip: $found"
expect '(code 1)' "${found: -8}"
