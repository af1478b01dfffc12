# What all system tests share: one local registry, one image to push. Run by bats.
# shellcheck shell=bash

bats_require_minimum_version 1.11.0

setup_suite() {
    cd "$BATS_TEST_DIRNAME/../.." || return
    export PYTHONPATH=$PWD/test PYTHONSAFEPATH=1
    export PIPE_IMAGE=bbc-packages-push-container-image:dev
    export NAME=bbc-packages-push-system-$$
    export SAMPLE=$NAME/my-container-app
    # Awkward in a shell, in YAML, in JSON and in a URL.
    export TOKEN='s3cr3t-T0ken/"$HOME'"'"'+%41&?='

    # The registry ends with its standard input, however the tests end.
    coproc serve { exec python test/system/controls.py serve "$TOKEN" 3>&-; }
    local container
    # shellcheck disable=SC2154  # coproc sets serve and serve_PID
    read -r REGISTRY container <&"${serve[0]}"
    [[ $container ]] || return
    export REGISTRY

    make_sample "$SAMPLE"
}

# An image of three layers that no registry has seen before.
make_sample() {
    local context=$BATS_SUITE_TMPDIR/sample layer
    mkdir "$context"
    for layer in 1 2 3; do
        head -c 1000000 /dev/urandom >"$context/layer-$layer"
    done
    docker build --quiet --tag "$1" --file - "$context" <<'DOCKERFILE'
FROM scratch
COPY layer-1 /
COPY layer-2 /
COPY layer-3 /
CMD ["/none"]
DOCKERFILE
}

teardown_suite() {
    docker image rm --force "$SAMPLE" >/dev/null
    exec {serve[1]}>&-
    # shellcheck disable=SC2154
    wait "$serve_PID"
}
