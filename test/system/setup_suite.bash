# What all system tests share: one local registry, one image to push. Run by bats.
# shellcheck shell=bash

bats_require_minimum_version 1.11.0

setup_suite() {
    cd "$BATS_TEST_DIRNAME/../.." || return
    export PYTHONPATH=$PWD/test PYTHONSAFEPATH=1
    export PIPE_IMAGE=${IMAGE:-bbc-packages-push-container-image:dev}
    export NAME=bbc-packages-push-system-$$
    export SAMPLE=$NAME/my-container-app
    # Awkward in a shell, in YAML, in JSON and in a URL.
    # shellcheck disable=SC2016
    export TOKEN='s3cr3t-T0ken/"$HOME'"'"'+%41&?='

    # The registry ends with its standard input, however the tests end.
    coproc serve { exec python test/system/controls.py serve "$TOKEN" 3>&-; }
    local container
    # shellcheck disable=SC2154  # coproc sets serve and serve_PID
    read -r REGISTRY container <&"${serve[0]}"
    [[ $container ]] || return
    export REGISTRY

    # Pipelines mounts nothing into containers but what lies in the clone directory.
    mkdir -p .bats_cache
    CLONE_TMPDIR=$(mktemp --directory "$PWD/.bats_cache/XXXXXX")
    export CLONE_TMPDIR

    load helpers
    make_image "$SAMPLE" 1000000 1000000 1000000
}

teardown_suite() {
    docker image rm --force "$SAMPLE" >/dev/null
    rm -r "$CLONE_TMPDIR"
    local input=${serve[1]}
    exec {input}>&-
    # shellcheck disable=SC2154
    wait "$serve_PID"
}
