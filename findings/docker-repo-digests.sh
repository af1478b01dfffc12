#!/usr/bin/env bash
# Docker Engine 20.10.24 (Debian 12, docker.io 20.10.24+dfsg1-1+deb12u1+b6): two tags of a repository have the same
# image with its layer compressed differently, as after a push with another compression: one image ID, two manifests.
# After a pull of both, `docker inspect` of either tag lists the digests of both manifests, ordered by digest. So
# `{{index .RepoDigests 0}}`, by which scripts pin what they pulled, returns the manifest of the other tag for one of
# the two; only the output of `docker pull` has the right one. Needs root. (docker-registry 2.8.2+ds1-1, Debian 12.)
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

distribution
debian docker.io=20.10.24+dfsg1-1+deb12u1+b6 containerd=1.6.20~ds1-1+deb12u3 runc=1.1.5+ds1-1+deb12u1 libdevmapper1.02.1

echo content >file
tar --create --file layer.tar file
printf '{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["%s"]}}' \
    "$(digest layer.tar)" >config
upload config
kind=application/vnd.oci.image
for level in fast best; do
    gzip --no-name "--$level" <layer.tar >"layer-$level"
    upload "layer-$level"
    printf '{"schemaVersion": 2, "mediaType": "%s", "config": {"mediaType": "%s", "digest": "%s", "size": %s}, "layers": [%s]}' \
        "$kind.manifest.v1+json" "$kind.config.v1+json" "$(digest config)" "$(stat --format=%s config)" "$(
            printf '{"mediaType": "%s", "digest": "%s", "size": %s}' "$kind.layer.v1.tar+gzip" "$(digest "layer-$level")" \
                "$(stat --format=%s "layer-$level")"
        )" >"manifest-$level"
    request --output /dev/null --request PUT --header "Content-Type: $kind.manifest.v1+json" \
        --data-binary "@manifest-$level" "$registry/v2/app/manifests/$level"
done

export DOCKER_HOST=unix://$folder/docker.sock DOCKER_CONFIG=$folder/docker
# Nothing of the machine's /etc is read or changed. The bridge is one of its own: with `--bridge finding0`, dockerd would
# remove docker0, though another Engine uses it.
ip link add finding0 type bridge && ip address add 192.0.2.1/24 dev finding0
# shellcheck disable=SC2016 # of the inner shell
PATH=$folder/root/usr/sbin:$folder/root/usr/bin:$PATH unshare --mount bash -c 'mount -t tmpfs etc /etc && exec dockerd "$@"' - \
    --host "$DOCKER_HOST" --data-root "$folder/engine" --exec-root "$folder/exec" --pidfile docker.pid --storage-driver vfs \
    --bridge finding0 --iptables=false --ip6tables=false --ip-forward=false >dockerd.log 2>&1 &
# shellcheck disable=SC2046 # the processes' ids
trap 'kill $(jobs -p); wait; ip link delete finding0; rm -rf "$folder"' EXIT
docker=root/usr/bin/docker
until $docker version >/dev/null 2>&1; do
    kill -0 $! 2>/dev/null || { cat dockerd.log >&2; exit 2; }
    sleep 0.2
done
image=${registry#http://}/app
first=$(for level in fast best; do digest "manifest-$level"; echo; done | sort | head --lines=1)
for level in fast best; do
    expect "$(digest "manifest-$level")" "docker pull, $level: $($docker pull "$image:$level" | grep '^Digest')"
done
[[ $(digest manifest-fast) != "$(digest manifest-best)" ]]
for level in fast best; do
    expect "$(digest config)" "ID, $level: $($docker inspect --format '{{.Id}}' "$image:$level")"
    expect "@$first, of 2" "RepoDigests, $level: $($docker inspect --format '{{index .RepoDigests 0}}, of {{len .RepoDigests}}' "$image:$level")"
done
