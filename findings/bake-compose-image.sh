#!/usr/bin/env bash
# buildx 0.29.1 (Debian forky, 0.29.1+ds1-4; 0.13.1 of Debian 13 does the same): `bake` reads a Compose file. If a service
# has `build.tags`, which Compose adds to its `image`, `bake` uses these tags only: the image has not the name that the
# service runs, and `--push` does not push that. A service without `image` gets no tag at all. `docker compose build` of
# the same file (Compose 2.40.3, Debian forky) tags the image by both, or by the names of project and service.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

debian_of forky docker-buildx=0.29.1+ds1-4 docker-compose=2.40.3-3
export DOCKER_CONFIG=$folder
plugins=root/usr/libexec/docker/cli-plugins
mkdir --parents project
cat >project/compose.yaml <<'YAML'
name: project
services:
  image:
    image: app:1.0
    build: .
  image-and-tags:
    image: app:1.0
    build:
      context: .
      tags: [app:latest]
  neither:
    build: .
YAML
echo 'FROM scratch' >project/Dockerfile
# tags: print the tags of a bake file in JSON.
tags() {
    python3 -c '
import json, sys
for name, target in sorted(json.load(sys.stdin)["target"].items()):
    print(f"{name}:", target.get("tags"))'
}
expect "image: ['app:1.0']
image-and-tags: ['app:latest', 'app:1.0']
neither: ['project-neither']" "Compose:
$("$plugins/docker-compose" --file project/compose.yaml build --print 2>log | tags)"
expect "image: ['app:1.0']
image-and-tags: ['app:latest']
neither: None" "bake:
$("$plugins/docker-buildx" bake --file project/compose.yaml --print 2>log | tags)"
