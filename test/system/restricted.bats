#!/usr/bin/env bats
# What Pipelines' default runtime refuses is refused to what runs under `restricted.py`, as most system tests do.

bats_require_minimum_version 1.5.0
load helpers

# Assert that an Engine's command is refused: refused WORDS COMMAND...
refused() {
    run python "$BATS_TEST_DIRNAME/restricted.py" docker "${@:2}"
    [[ $status != 0 && $output == *"authorization denied by plugin pipelines: $1"* ]] || differs "Engine's words" "$1" "$output"
}

# Assert that a container is refused for its options.
container_refused() {
    refused "$1" create --name "$NAME-restricted" "${@:2}" "$SAMPLE"
}

row() {
    bats_test_function --description "refused: ${*:2}" -- container_refused "$@"
}

row "--privileged=true is not allowed" --privileged
row "--mount is not allowed" --mount type=volume,target=/data
row "--cap-add is not allowed" --cap-add SYS_ADMIN
row "--device is not allowed" --device /dev/null
row "--gpus is not allowed" --gpus all
row "--security-opt is not allowed" --security-opt seccomp=unconfined
row "--cgroup-parent is not allowed" --cgroup-parent /other
row "--ipc=host is not allowed" --ipc host
row "--pid=host is not allowed" --pid host
row "--uts=host is not allowed" --uts host
row "--userns=host is not allowed" --userns host
row "-v only supports" --volume /etc:/etc
row "-v only supports" --volume /:/machine
row "named volumes are not supported" --volume name:/data
row "--platform is not allowed" --platform linux/amd64

@test "refused: a folder beside the clone directory that begins as it does" {
    container_refused "-v only supports" --volume "$PWD/../$(basename "$PWD")-other:/other"
}

@test "refused: a folder of the clone directory that leads out of it" {
    ln -s /etc "$CLONE_TMPDIR/out"
    container_refused "-v only supports" --volume "$CLONE_TMPDIR/out:/out"
}

@test "refused: builds and pulls for a platform" {
    echo "FROM scratch" >"$BATS_TEST_TMPDIR/Dockerfile"
    refused "--platform is not allowed" build --platform linux/amd64 "$BATS_TEST_TMPDIR"
    refused "--platform is not allowed" pull --platform linux/amd64 "$SAMPLE"
}

@test "refused: a privileged command in a container" {
    docker create --name "$NAME-restricted" "$SAMPLE"
    refused "--privileged=true is not allowed" exec --privileged "$NAME-restricted" /none
    docker rm "$NAME-restricted"
}

# Assert that a request that no docker command here makes is refused: request_refused PATH
request_refused() {
    run -0 python "$BATS_TEST_DIRNAME/restricted.py" python - "$1" <<'PYTHON'
import http.client
import os
import sys
import urllib.parse

connection = http.client.HTTPConnection(urllib.parse.urlsplit(os.environ["DOCKER_HOST"]).netloc)
connection.request("POST", sys.argv[1])
answer = connection.getresponse()
print(answer.status, answer.read().decode())
PYTHON
    [[ $output == "403 "*"authorization denied by plugin pipelines: "*" is not allowed"* ]] || differs "answer" "403" "$output"
}
bats_test_function --description "refused: buildx" -- request_refused /v1.41/grpc
bats_test_function --description "refused: plugins of the Engine" -- request_refused /v1.41/plugins/pull

@test "refused: volumes with a name" {
    refused "named volumes are not supported" volume create name
}

@test "refused: namespaces" {
    ((EUID == 0)) || skip "only root may make them anyway"
    run ! python "$BATS_TEST_DIRNAME/restricted.py" unshare --mount true
}

@test "allowed: a folder of the clone directory, and volumes without a name" {
    python "$BATS_TEST_DIRNAME/restricted.py" docker create --name "$NAME-restricted" \
        --volume "$CLONE_TMPDIR:/step" --volume /data "$SAMPLE"
    docker rm --volumes "$NAME-restricted"
}

@test "allowed: what make bench mounts" {
    command -v skopeo || skip "needs skopeo"
    cd "$BATS_TEST_DIRNAME/../.." || return
    PYTHONPATH=test:. python test/system/restricted.py python - <<'PYTHON'
import os

from bench.archives import pushed
from bench.contenders import Pipe
from bench.measure import Bench

image = os.environ["PIPE_IMAGE"]
bench = Bench(os.environ["DOCKER_HOST"], image, (Pipe("the pipe", image),), rounds=1, skopeo=True)
runs = pushed(bench, (1_000_000, 1))
assert all(one for contenders in runs.values() for one in contenders.values()), runs
PYTHON
}

@test "no Dockerfile has what Pipelines' BuildKit refuses" {
    run -1 git grep -nE -- '--mount=|--platform=' -- '*Dockerfile' "$BATS_TEST_DIRNAME/../setup"
}
