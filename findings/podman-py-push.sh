#!/usr/bin/env bash
# podman 5.8.0 (PyPI): the events or text that `images.push(NAME)` returns are not of Podman. The module makes them of
# its arguments once Podman has answered, so they are the same whatever was pushed, and never have the digest that
# scripts for docker-py read, to sign or deploy the image by it; if NAME has the tag in it, they say "(0 tags)".
# docker 7.2.0 (PyPI) returns the digest from the same service, Podman 4.3.1 (Debian 12, 4.3.1+ds1-8+deb12u1+b3).
# Needs root.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
python podman==5.8.0 docker==7.2.0
debian podman=4.3.1+ds1-8+deb12u1+b3 conmon crun golang-github-containers-common libassuan0 libdevmapper1.02.1 \
    libgpgme11 libsemanage2 libsepol2 libsubid4
libraries=$(find "$PWD/root" -name '*.so.*' -printf '%h\n' | sort --unique | paste --serial --delimiters=:)
# podman ARGUMENT...: run podman with a store of its own.
podman() {
    exec env LD_LIBRARY_PATH="$libraries" CONTAINERS_REGISTRIES_CONF="$folder/registries.conf" root/usr/bin/podman \
        --root "$folder/store" --runroot "$folder/run" --tmpdir "$folder/tmp" --storage-driver vfs \
        --conmon "$folder/root/usr/bin/conmon" --runtime "$folder/root/usr/bin/crun" --cgroup-manager cgroupfs \
        --events-backend none "$@"
}

host=${registry#http://}
printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$host" >registries.conf
echo content >file
tar --create --file image.tar file
(podman import --quiet image.tar "$host/app:1" >/dev/null)
(podman system service --time 0 "unix://$folder/podman.sock" 2>service.log) &
# shellcheck disable=SC2064 # the ids of now
trap "kill $(jobs -p | paste --serial --delimiters=' '); rm -rf '$folder'" EXIT
curl --silent --retry 15 --retry-all-errors --retry-delay 1 --unix-socket podman.sock --output /dev/null \
    http://podman/_ping

cat >push.py <<'PYTHON'
import sys
import docker, podman

name, service = sys.argv[1], f"unix://{sys.argv[2]}/podman.sock"
pushed = list(podman.PodmanClient(base_url=service).images.push(name, stream=True, decode=True))
print("podman:", str(pushed).replace(name, "NAME"))
print("podman's digests:", str(pushed).count("sha256:"))
print("docker:", *docker.DockerClient(base_url=service).images.push(name, stream=True, decode=True))
PYTHON
pushed=$(venv/bin/python push.py "$host/app:1" "$folder")
stored=$(request --head --header 'Accept: application/vnd.oci.image.manifest.v1+json' "$registry/v2/app/manifests/1" |
    sed --quiet 's/^Docker-Content-Digest: //p')
status="'status': 'Pushing'"
expect "podman: [{'status': 'Pushing repository NAME (0 tags)'}, {$status, 'progressDetail': {}, 'id': 'NAME'}]
podman's digests: 0" "$pushed"
[[ $pushed == *"docker: "*"digest: $stored"* ]] || { echo "this has changed: docker returns no digest" >&2; exit 1; }
