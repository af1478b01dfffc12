#!/usr/bin/env bash
# oci-squash 0.1.0 and undocker 7 (PyPI): they make one layer or folder of an image's layers, and its content is wrong,
# without an error, if a layer holds a file under two names (hard links), as packages of git and perl do, and a later
# layer changes one of them:
# - If the later layer replaces `new-a`, its other name, `new-b`, has the new content too (oci-squash and undocker).
# - If the later layer removes `gone-a`, its other name, `gone-b`, is missing (oci-squash).
# undocker also keeps the files of a folder that the later layer makes opaque (`.wh..wh..opq`), with that layer's files.
# skopeo 1.9.3 and umoci 0.4.7 (Debian 12, 1.9.3+ds1-1+b10 and 0.4.7+ds-3+b7) unpack the image rightly.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python oci-squash==0.1.0 undocker==7
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
# The archive is one of `docker save`: manifest.json is for oci-squash and skopeo, the rest for undocker.
printf '{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["%s", "%s"]}, %s}' \
    "$(digest image/first/layer.tar)" "$(digest image/second/layer.tar)" '"history": [{"created_by": "1"}, {"created_by": "2"}]' \
    >image/config.json
echo '[{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["first/layer.tar", "second/layer.tar"]}]' \
    >image/manifest.json
echo '{"app": {"1": "second"}}' >image/repositories
echo '{"id": "first"}' >image/first/json
echo '{"id": "second", "parent": "first"}' >image/second/json
tar --create --directory image --file image.tar config.json first manifest.json repositories second

skopeo copy docker-archive:image.tar oci:layout:app >/dev/null
root/usr/bin/umoci unpack --rootless --image layout:app unpacked 2>/dev/null

venv/bin/oci-squash --from-layer 2 --tag app:1 --output-path squashed.tar image.tar 2>/dev/null
mkdir squashed
tar --extract --to-stdout --file squashed.tar squashed/layer.tar | tar --extract --directory squashed

venv/bin/undocker --output undocker <image.tar

# files FOLDER: print each file's name and content, but not whiteouts.
files() {
    (cd "$1" && grep --recursive . | sort | paste --serial --delimiters=' ')
}
expect 'image: dir/new:new gone-b:old new-a:new new-b:old.' "image: $(files unpacked/rootfs)."
expect 'oci-squash: dir/new:new new-a:new new-b:new.' "oci-squash: $(files squashed)."
expect 'undocker: dir/new:new dir/old:old gone-b:old new-a:new new-b:new.' "undocker: $(files undocker)."
