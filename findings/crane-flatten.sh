#!/usr/bin/env bash
# crane 0.20.7 (Debian forky, 0.20.7+ds1-5): `crane flatten` makes one layer of an image's layers (and `crane export`
# one tar), with exit code 0, and `crane validate` passes, but the content differs from that which umoci 0.4.7 (Debian
# 12, 0.4.7+ds-3+b7) unpacks of the image's layers, and from OCI's image specification:
# - `opaque`: the files that an opaque whiteout (`.wh..wh..opq`) hides are there again.
# - `replaced`: if a layer has the whiteout of a folder and then that folder with new files, the new files are missing.
#   (OCI: a whiteout only applies to lower layers.)
# - `changed-b`, another name (a hard link) of a file that a later layer changes, has the new content.
# - `removed-b`: if the later layer removes the file, the other name is a link to nothing: umoci, GNU tar and Docker
#   Engine 20.10.24 cannot unpack the result.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian umoci=0.4.7+ds-3+b7
debian_of forky crane=0.20.7+ds1-5

# layer NAME FOLDER PATH...: add a layer of a folder's paths, in this order, to an image of a name.
layer() {
    tar --create --no-recursion --directory "$2" --file layer.tar "${@:3}"
    root/usr/bin/umoci raw add-layer --image "layout:$1" layer.tar
}
mkdir --parents first/opaque first/replaced second/opaque second/replaced
echo old | tee first/opaque/old first/replaced/old first/changed-a >first/removed-a
for name in changed removed; do ln "first/$name-a" "first/$name-b"; done
echo new | tee second/opaque/new second/replaced/new >second/changed-a
touch second/opaque/.wh..wh..opq second/.wh.replaced second/.wh.removed-a

root/usr/bin/umoci init --layout layout
for name in content removed; do root/usr/bin/umoci new --image "layout:$name"; done
layer content first opaque opaque/old replaced replaced/old changed-a changed-b
layer content second opaque opaque/.wh..wh..opq opaque/new .wh.replaced replaced replaced/new changed-a
layer removed first removed-a removed-b
layer removed second .wh.removed-a

# files IMAGE: print each file of an image of the layout and its content, as umoci unpacks it, or umoci's error.
files() {
    if ! root/usr/bin/umoci unpack --rootless --image "layout:$1" "unpacked-$1" >umoci.log 2>&1; then
        grep --only-matching '[a-z ]*: no such file or directory' umoci.log || cat umoci.log
        return
    fi
    (cd "unpacked-$1/rootfs" && grep --recursive . | sort | paste --serial --delimiters=' ')
}
for name in content removed; do
    image=${registry#http://}/app:$name
    skopeo copy --dest-tls-verify=false "oci:layout:$name" "docker://$image" >/dev/null
    root/usr/bin/crane flatten "$image" --tag "$image-flat" 2>/dev/null
    expect PASS "$(root/usr/bin/crane validate --remote "$image-flat")"
    skopeo copy --src-tls-verify=false "docker://$image-flat" "oci:layout:$name-flat" >/dev/null
done
expect 'image: changed-a:new changed-b:old opaque/new:new replaced/new:new.' "image: $(files content)."
expect 'flat: changed-a:new changed-b:new opaque/new:new opaque/old:old.' "flat: $(files content-flat)."
expect 'image: removed-b:old.' "image: $(files removed)."
expect 'no such file or directory' "flat: $(files removed-flat)"
