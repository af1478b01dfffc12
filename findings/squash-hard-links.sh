#!/usr/bin/env bash
# docker-squash 1.2.2, oci-squash 0.1.0 and undocker 7 (PyPI): they make one layer or folder of an image's layers, and
# its content is wrong, without an error, if a layer holds a file under two names (hard links), as packages of git and
# perl do, and a later layer changes one of them:
# - If the later layer replaces `new-a`, its other name, `new-b`, has the new content too (all three).
# - If the later layer removes `gone-a`, its other name, `gone-b`, is missing (docker-squash and oci-squash).
# undocker also keeps the files of a folder that the later layer makes opaque (`.wh..wh..opq`), with that layer's files.
# skopeo 1.9.3 and umoci 0.4.7 (Debian 12, 1.9.3+ds1-1+b10 and 0.4.7+ds-3+b7) unpack the image rightly.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python docker-squash==1.2.2 oci-squash==0.1.0 undocker==7
debian umoci=0.4.7+ds-3+b7 skopeo=1.9.3+ds1-1+b10 libdevmapper1.02.1

mkdir --parents first/dir second/dir image/first image/second
for name in new gone; do
    echo old >"first/$name-a"
    ln "first/$name-a" "first/$name-b"
done
echo old >first/dir/old
echo new >second/new-a
echo new >second/dir/new
touch second/.wh.gone-a second/dir/.wh..wh..opq
for name in first second; do tar --create --sort name --directory "$name" --file "image/$name/layer.tar" --transform 's,^\./,,' .; done
# The archive is one of `docker save`: skopeo and the squashers read manifest.json, and undocker reads repositories.
printf '{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["%s", "%s"]}, %s}' \
    "$(digest image/first/layer.tar)" "$(digest image/second/layer.tar)" '"history": [{"created_by": "1"}, {"created_by": "2"}]' \
    >image/config.json
echo '[{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["first/layer.tar", "second/layer.tar"]}]' \
    >image/manifest.json
echo '{"app": {"1": "second"}}' >image/repositories
echo '{"id": "first", "config": {}}' >image/first/json
echo '{"id": "second", "config": {}, "parent": "first"}' >image/second/json
tar --create --directory image --file image.tar config.json first manifest.json repositories second

skopeo copy docker-archive:image.tar oci:layout:app >/dev/null
root/usr/bin/umoci unpack --rootless --image layout:app unpacked 2>/dev/null

cat >squash.py <<'PYTHON'
import logging, sys
from docker_squash.squash import Squash


class Engine:
    """A Docker client whose only image is image.tar."""

    def version(self):
        return {"Version": "20.10.24", "ApiVersion": "1.41"}

    def inspect_image(self, image):
        return {"Id": "sha256:0"}

    def history(self, image):
        return [{"Id": "sha256:0"}, {"Id": "<missing>"}]

    def get_image(self, image):
        return [open("image.tar", "rb").read()]


Squash(logging.getLogger(), "app:1", Engine(), tag="app:2", output_path="docker-squash.tar", load_image=False).run()
PYTHON
venv/bin/python squash.py
venv/bin/oci-squash --from-layer 2 --tag app:1 --output-path oci-squash.tar image.tar 2>/dev/null
for squasher in docker-squash oci-squash; do
    mkdir "$squasher"
    tar --extract --to-stdout --wildcards --file "$squasher.tar" '*/layer.tar' | tar --extract --directory "$squasher"
done

venv/bin/undocker --output undocker <image.tar

# files FOLDER: print each file's name and content, but not whiteouts.
files() {
    (cd "$1" && grep --recursive . | sort | paste --serial --delimiters=' ')
}
expect 'image: dir/new:new gone-b:old new-a:new new-b:old.' "image: $(files unpacked/rootfs)."
for squasher in docker-squash oci-squash; do
    expect "$squasher: dir/new:new new-a:new new-b:new." "$squasher: $(files "$squasher")."
done
expect 'undocker: dir/new:new dir/old:old gone-b:old new-a:new new-b:new.' "undocker: $(files undocker)."
