#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12, 1.9.3+ds1-1+b10; 1.18.0, too): `copy --dest-compress-format=zstd` of an image whose layer is
# gzip stores the layer as zstd. If the repository has the gzip layer, from a copy without the option, the same command
# makes a tag with the gzip layer, with exit code 0 and no message: a blob that is there is used before the option is
# looked at. So the images of a repository do not become zstd by copying them again. (docker-registry 2.8.2+ds1-1,
# Debian 12.)
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian umoci=0.4.7+ds-3+b7

date +%N >file
tar --create --file layer.tar file
root/usr/bin/umoci init --layout layout
root/usr/bin/umoci new --image layout:app
root/usr/bin/umoci raw add-layer --image layout:app layer.tar

# copied TAG OPTION...: copy the image to a tag, and print the type of its layer.
copied() {
    local image="docker://${registry#http://}/app:$1"
    skopeo copy "${@:2}" --dest-tls-verify=false oci:layout:app "$image" >skopeo.log || cat skopeo.log
    skopeo inspect --raw --tls-verify=false "$image" | grep --only-matching 'layer\.[^"]*'
}
option='--dest-compress-format=zstd'
expect layer.v1.tar+zstd "with the option: $(copied first $option)"
expect layer.v1.tar+gzip "without it: $(copied second)"
expect layer.v1.tar+gzip "with it, the layer being there as gzip: $(copied third $option)"
