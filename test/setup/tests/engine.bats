#!/usr/bin/env bats
# The private Engine, started beside the one in use: in paths and in a network namespace of its own.

bats_require_minimum_version 1.5.0

setup() {
    unshare --mount --net true || skip "needs root that may make namespaces"
    command -v dockerd >/dev/null || skip "needs dockerd, for an Engine of its own"
    engine="$BATS_TEST_DIRNAME/../engine"
    export ENGINE_STATE="$BATS_TEST_TMPDIR/state" ENGINE_RUN="$BATS_TEST_TMPDIR/run"
    users_engine=${DOCKER_HOST:-}
    export DOCKER_HOST="unix://$BATS_TEST_TMPDIR/nothing.sock"
    private="unix://$ENGINE_RUN/docker.sock"
}

teardown() {
    # Without a state of this test's own, that would be the machine's Engine.
    [[ ! ${ENGINE_STATE:-} ]] || "$engine" remove
}

start() {
    unshare --mount --net "$engine" start
}

@test "an Engine that answers is used as it is" {
    export DOCKER_HOST=$users_engine
    run -0 --separate-stderr "$engine" with printenv DOCKER_HOST
    [[ $output == "$users_engine" && -z $stderr && ! -e $ENGINE_RUN ]]
}

@test "where none answers, one is started and says so" {
    run -1 "$engine" host
    run -0 --separate-stderr start
    [[ $stderr == *"no Docker Engine answers at $DOCKER_HOST: starting a private one at $private"* ]]
    run -0 "$engine" host
    [[ $output == "$private" ]]
    run -0 "$engine" with docker info --format '{{.DockerRootDir}}'
    [[ $output == "$ENGINE_STATE/engine" ]]
}

@test "a second start, and one at the same time, use the same Engine" {
    start &
    start
    wait "$!"
    process=$(<"$ENGINE_RUN/docker.pid")
    start
    [[ $(<"$ENGINE_RUN/docker.pid") == "$process" ]]
    run -0 pgrep --full --count -- "^dockerd .*--pidfile $ENGINE_RUN/docker.pid"
    [[ $output == 1 ]]
}

@test "a pid file that names another process is no Engine: it is not stopped, and does not prevent a start" {
    sleep 60 &
    mkdir -p "$ENGINE_RUN"
    echo "$!" >"$ENGINE_RUN/docker.pid"
    run -0 "$engine" stop
    [[ $output == *"no private Engine is running"* ]]
    kill -0 "$!"
    start
    kill "$!"
    "$engine" host
}

@test "an Engine that does not come up shows the end of its log" {
    mkdir -p "$ENGINE_STATE"
    touch "$ENGINE_STATE/engine" # a file where its folder should be
    run -1 start
    [[ $output == *"did not come up; the end of $ENGINE_RUN/dockerd.log:"*"canonical path points to a file"* ]]
}

@test "stopped, it keeps what it stored; removed, it leaves nothing" {
    start
    run -0 "$engine" stop
    [[ -d $ENGINE_STATE/engine ]]
    run -1 "$engine" host
    start
    run -0 "$engine" remove
    [[ ! -e $ENGINE_STATE && ! -e $ENGINE_RUN ]]
}

@test "without root, it says what to install" {
    # In a user namespace without a mapping nobody is root, and files can still be read.
    run -1 unshare --user "$engine" start
    [[ $output == *"start Docker, or install it"* ]]
}
