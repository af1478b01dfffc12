#!/usr/bin/env bash
# docker-image-diff 0.1.0 (PyPI): `dockerdiff diff` writes what is new in the second of two docker archives, and `merge`
# adds that to the first one, to have the second one again, as its README has it. It appends, so the result has two
# files of the name manifest.json, the old one first. GNU tar and Python's tarfile return the new image, and so does
# Docker Engine 20.10.24; skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10) copies the old one, and podman 4.3.1 loads it, under
# the tag of the new one, with exit code 0. Whoever updates a machine this way goes on with what was there.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python docker-image-diff==0.1.0
for author in old new; do
    mkdir "$author"
    printf '{"architecture": "amd64", "os": "linux", "author": "%s", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}' \
        "$author" >config
    config=$(digest config).json
    mv config "$author/${config#sha256:}"
    printf '[{"Config": "%s", "RepoTags": ["app:1"], "Layers": []}]' "${config#sha256:}" >"$author/manifest.json"
    tar --create --file "$author.tar" --directory "$author" "${config#sha256:}" manifest.json
done
venv/bin/dockerdiff diff --base old.tar --new new.tar --output diff.tar >/dev/null
venv/bin/dockerdiff merge --base old.tar --diff diff.tar --output merged.tar >/dev/null

# author: print the author in the config that a manifest.json names.
author() {
    python3 -c 'import json; print(json.load(open(json.load(open("manifest.json"))[0]["Config"]))["author"])'
}
mkdir extracted
tar --extract --file merged.tar --directory extracted
expect 'manifest.json 2' "manifest.json $(tar --list --file merged.tar | grep --count manifest.json)"
expect 'tar: new' "GNU tar: $(cd extracted && author)"
found=$(skopeo copy docker-archive:merged.tar:app:1 dir:copied >skopeo.log && echo "(code $?)")
expect 'skopeo (code 0): "author": "old"' "skopeo $found: $(grep --only-matching --no-filename '"author": "[a-z]*"' copied/*)"
