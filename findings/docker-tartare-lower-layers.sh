#!/usr/bin/env bash
# docker-tartare 0.2.0 (PyPI): it lists and extracts the files of an image in a docker archive, from the last layer to
# the first. `extract --dir` writes each layer's files over those that it has written, so of a file that a later layer
# changes it returns the oldest content, with exit code 0; `extract` of the file alone returns the newest. Names lose
# all dots and slashes at their start: `.env` is listed as `/env` and cannot be extracted, and what a later layer
# removes from the root folder (`.wh.removed`) stays, beside a file `wh.removed`; a whiteout in another folder counts.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python docker-tartare==0.2.0
mkdir --parents first/etc second/etc
echo old | tee first/etc/{changed,removed} first/{removed,.env} >/dev/null
echo new >second/etc/changed
touch second/etc/.wh.removed second/.wh.removed
tar --create --file first.tar --directory first etc removed .env
tar --create --file second.tar --directory second etc .wh.removed
printf '{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["%s", "%s"]}}' \
    "$(digest first.tar)" "$(digest second.tar)" >config.json
echo '[{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["first.tar", "second.tar"]}]' >manifest.json
tar --create --file image.tar config.json manifest.json first.tar second.tar

expect '/env /etc/ /etc/changed /removed /wh.removed' \
    "list: $(venv/bin/docker-tartare list image.tar | paste --serial --delimiters=' ')"
venv/bin/docker-tartare extract --dir image.tar /etc extracted && code=$?
expect '(code 0): changed old' "extract --dir (code $code): $(cd extracted && grep --recursive '' | tr : ' ')"
venv/bin/docker-tartare extract image.tar /etc/changed file
expect 'changed new' "extract: changed $(cat file)"
expect 'Not found in any layer' "extract: $(venv/bin/docker-tartare extract image.tar /.env file 2>&1 | tail --lines=1)"
skopeo copy docker-archive:image.tar oci:layout:app >skopeo.log
debian umoci=0.4.7+ds-3+b7
root/usr/bin/umoci --log fatal unpack --rootless --image layout:app unpacked
expect '.env old
etc/changed new' "$(cd unpacked/rootfs && grep --recursive '' . | sed 's,^\./,,; s,:, ,' | sort)"
