#!/usr/bin/env bash
# podman 4.3.1 (Debian 12, 4.3.1+ds1-8+deb12u1+b3; 5.4.2 of Debian 13 does the same): `podman save one:1 two:1` of two
# different images writes one image, and lists both names for it, with exit code 0. A `podman load` of that archive
# turns `two:1` into the image `one:1`. `docker save` with the same arguments writes both images, and so does podman
# with `--multi-image-archive`; without it, further names are tags of the first image. Needs root.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

debian podman=4.3.1+ds1-8+deb12u1+b3 conmon crun golang-github-containers-common libassuan0 libdevmapper1.02.1 libgpgme11 \
    libsemanage2 libsepol2 libsubid4
libraries=$(find "$PWD/root" -name '*.so.*' -printf '%h\n' | sort --unique | paste --serial --delimiters=:)
# podman ARGUMENT...: run podman with a store of its own.
podman() {
    LD_LIBRARY_PATH=$libraries root/usr/bin/podman --root "$folder/store" --runroot "$folder/run" --tmpdir "$folder/tmp" \
        --storage-driver vfs --conmon "$folder/root/usr/bin/conmon" --runtime "$folder/root/usr/bin/crun" \
        --cgroup-manager cgroupfs --events-backend none "$@"
}

# content NAME: print the file of an image.
content() {
    cat "$(podman image mount "$1")/file"
}
for name in one two; do
    echo "content of $name" >file
    tar --create --file "$name.tar" file
    podman import --quiet "$name.tar" "localhost/$name:1" >/dev/null
done
expect 'content of two' "two:1 as it was made: $(content localhost/two:1)"
podman save --quiet --output both.tar localhost/one:1 localhost/two:1 && code=$?
listed=$(tar --extract --to-stdout --file both.tar manifest.json)
expect '(code 0): 1 image' "podman save (code $code): $(grep --only-matching '"Config"' <<<"$listed" | wc --lines) image"
expect 'localhost/two:1' "$listed"
podman load --quiet --input both.tar >/dev/null
expect 'content of one' "two:1 after podman load: $(content localhost/two:1)"

podman import --quiet two.tar localhost/two:1 >/dev/null
podman save --quiet --multi-image-archive --output each.tar localhost/one:1 localhost/two:1
listed=$(tar --extract --to-stdout --file each.tar manifest.json)
expect '2 images' "with --multi-image-archive: $(grep --only-matching '"Config"' <<<"$listed" | wc --lines) images"
podman image unmount --all >/dev/null
