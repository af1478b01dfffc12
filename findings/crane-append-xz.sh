#!/usr/bin/env bash
# crane 0.20.7 (Debian forky, 0.20.7+ds1-5): `crane append` adds a tar to an image as a layer. It recognises one that is
# compressed by gzip or zstd, but takes one compressed by bzip2 or xz, as root file systems often are, for a plain tar:
# it compresses it again, and the diffID is that of the compressed file. The exit code is 0, and all digests are right, so
# the image can be pushed and copied. Who unpacks it gets an error ("unexpected EOF" of umoci 0.4.7 and of Docker Engine
# 20.10.24, whose `docker import` accepts such a file); `crane validate` would have found it.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian umoci=0.4.7+ds-3+b7
debian_of forky crane=0.20.7+ds1-5

echo content >file
tar --create --file layer file
umoci=root/usr/bin/umoci
$umoci init --layout layout
$umoci new --image layout:base
skopeo copy --dest-tls-verify=false oci:layout:base "docker://${registry#http://}/app:base" >skopeo.log
for program in cat gzip bzip2 xz; do
    "$program" <layer >"layer-$program"
    image=${registry#http://}/app:$program
    root/usr/bin/crane append --base "${registry#http://}/app:base" --new_layer "layer-$program" --new_tag "$image" \
        >crane.log 2>&1 && code=$?
    skopeo copy --src-tls-verify=false "docker://$image" "oci:layout:$program" >skopeo.log
    found=$($umoci unpack --rootless --image "layout:$program" "$program" 2>&1) && found=$(cat "$program/rootfs/file")
    expected=content
    [[ $program != bzip2 && $program != xz ]] || expected='unexpected EOF'
    expect "$expected" "$program (code $code): $found"
done
