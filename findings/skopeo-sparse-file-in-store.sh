#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10), with the store that podman and buildah use; podman 4.3.1 and 5.4.2 do the
# same: an image whose layer holds a sparse file of GNU tar (`--sparse --format posix`) is stored rightly, but what the
# store makes of that layer later is wrong. If a second image has the layer above another one, its file has other bytes
# at the same size, with exit code 0 (sparse formats 0.0 and 0.1), or the image is refused: "unexpected EOF" (1.0). And
# the first image cannot be copied out of the store: "Digest did not match". Needs root.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

cat >archive.py <<'PYTHON'
import hashlib, io, json, sys, tarfile

layers = {f"{hashlib.sha256(layer).hexdigest()}.tar": layer for layer in (open(name, "rb").read() for name in sys.argv[2:])}
rootfs = {"type": "layers", "diff_ids": [f"sha256:{name.removesuffix('.tar')}" for name in layers]}
config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}
listed = [{"Config": "config.json", "RepoTags": ["app:1"], "Layers": [*layers]}]
files = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(listed).encode(), **layers}
with tarfile.open(sys.argv[1], "w") as archive:
    for name, content in files.items():
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
PYTHON

truncate --size 4K sparse
printf '%4096s' data >>sparse
truncate --size 12K sparse
printf '%4096s' more >>sparse
truncate --size 20K sparse
echo content >file
tar --create --file below.tar file
for version in 0.0 0.1 1.0; do
    tar --create --sparse --hole-detection raw --format posix --sparse-version "$version" --file layer.tar sparse
    python3 archive.py first.tar layer.tar
    python3 archive.py second.tar below.tar layer.tar
    store="containers-storage:[vfs@$folder/$version+$folder/run-$version]localhost/app"
    first=$(skopeo copy docker-archive:first.tar "$store:1") || expect nothing "$first"
    expect ', the same' "$version, first image: file, $(cmp sparse "$version"/vfs/dir/*/sparse && echo the same)"
    found=$(skopeo copy docker-archive:second.tar "$store:2") && found+=' (code 0)'
    if [[ $version == 1.0 ]]; then
        expect 'unexpected EOF' "$version, second image: $found"
    else
        expect '(code 0)' "$version, second image: ${found##*$'\n'}"
        other=$(find "$version" -name sparse ! -exec cmp --quiet sparse {} ';' -printf '%s other bytes')
        expect '20480 other bytes' "$version, second image: $other"
    fi
    expect 'Digest did not match' "$version, copied out: $(skopeo copy "$store:1" dir:out)"
done
