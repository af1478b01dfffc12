#!/usr/bin/env bats
# The image run as Bitbucket Pipelines runs a pipe: no socket, no terminal, DOCKER_HOST over TCP at
# host.docker.internal, a docker command mounted, unset variables empty, an empty working directory.

load helpers

setup_file() {
    controls clear
    export NETWORK=$NAME
    docker network create "$NETWORK"
    export SERVICE=$NAME-docker
    # The machine's own address in that network, which steps can reach as Pipelines' agents can.
    SERVICE_ADDRESS=$(docker network inspect --format '{{(index .IPAM.Config 0).Gateway}}' "$NETWORK")
    export SERVICE_ADDRESS
    docker run --detach --rm --name "$SERVICE" --network host "${ENGINE[@]}" \
        --entrypoint python3 "$PIPE_IMAGE" -c "$(<"$BATS_TEST_DIRNAME/forward.py")" "$SERVICE_ADDRESS"
    timeout 10 grep --max-count=1 ready < <(docker logs --follow "$SERVICE")
}

teardown_file() {
    docker rm --force "$SERVICE"
    docker network rm "$NETWORK"
}

# Run the pipe in a step: run_step EXPECTED [docker run's options...]
run_step() {
    local expected=$1 agent=$CLONE_TMPDIR/agent-$BATS_TEST_NUMBER variable absent=()
    shift
    mkdir -p "$agent/build/empty" "$agent/ssh"
    # The pipe must not count on it.
    printf '#!/bin/false\n' >"$agent/docker"
    chmod +x "$agent/docker"
    for variable in PACKAGE_NAME WORKSPACE ATLASSIAN_ACCOUNT_EMAIL ATLASSIAN_API_TOKEN MAX_LAYER_SIZE \
        UPLOAD_TIMEOUT MAX_ATTEMPTS DRY_RUN RESULT_FILE DEBUG BITBUCKET_PIPELINES_VARIABLES_PATH; do
        absent+=(--env "$variable=")
    done
    run_container "$expected" --volume="$agent/build:$agent/build" --volume="$agent/ssh:$agent/ssh:ro" \
        --volume="$agent/docker:/usr/local/bin/docker:ro" --workdir="$agent/build/empty" \
        --label=org.bitbucket.pipelines.system=true --add-host="host.docker.internal:$SERVICE_ADDRESS" \
        "${absent[@]}" --env=BITBUCKET_WORKSPACE=demo-workspace --env=BITBUCKET_REPO_SLUG=repository \
        --env=BITBUCKET_BUILD_NUMBER=1 --env=BITBUCKET_COMMIT=0123456789012345678901234567890123456789 \
        --env=DOCKER_HOST=tcp://host.docker.internal:2375 "${CREDENTIALS[@]}" \
        --env=REGISTRY="$REGISTRY" --env=IMAGE_NAME="$SAMPLE" "$@" "$PIPE_IMAGE"
}

@test "with nothing but IMAGE_NAME, the image arrives and is verified" {
    run_step 0 --network=host
    expect "✔ " "latest" "$TARGET@sha256:"
    expect_equal stdout "" "$output"
    expect_equal "image in the registry" "$(image_id "$SAMPLE")" \
        "$(controls manifest my-container-app latest | json 'it["config"]["digest"]')"
}

@test "where only the Engine reaches the registry, the push is not called verified" {
    run_step 0 --network="$NETWORK" --env=TAGS=unverified --env=RESULT_FILE=result.json
    expect "The registry cannot be reached" "unverified, but the push could not be verified: $TARGET@sha256:"
    expect_not ✔
    expect_equal "verified, in the result" False \
        "$(json 'it["tags"][0]["verified"]' <"$CLONE_TMPDIR/agent-$BATS_TEST_NUMBER/build/empty/result.json")"
    expect_equal "image in the registry" "$(image_id "$SAMPLE")" \
        "$(controls manifest my-container-app unverified | json 'it["config"]["digest"]')"
}

@test "TAGS from Git: placeholders are filled, tags without a value are left out, and the revision is logged" {
    local image=$NAME-labelled tag
    docker build --quiet --label org.opencontainers.image.revision=c0ffee --tag "$image" - <<<"FROM $SAMPLE"
    run_step 0 --network=host --env=IMAGE_NAME="$image" --env=PACKAGE_NAME=my-container-app \
        --env=BITBUCKET_TAG=v1.4.2 --env=TAGS='{version} {major}.{minor} {version}-{commit:7} {branch}'
    expect "Not pushing {branch}: \$BITBUCKET_BRANCH has no value in this step" "built from revision c0ffee" \
        "✔ Pushed 1.4.2, 1.4, 1.4.2-0123456: $TARGET@sha256:"
    for tag in 1.4.2 1.4 1.4.2-0123456; do
        expect_equal "image in the registry" "$(image_id "$image")" \
            "$(controls manifest my-container-app "$tag" | json 'it["config"]["digest"]')"
    done
    docker image rm "$image"
}

@test "TAGS from Git in a pipeline for a branch: the branch becomes a valid tag" {
    run_step 0 --network=host --env=BITBUCKET_BRANCH=feature/login --env=TAGS='{version} {branch}'
    expect "Not pushing {version}: \$BITBUCKET_TAG has no value in this step" "✔ Pushed feature-login: $TARGET@sha256:"
}

@test "without the service docker: 3, and what to do" {
    run_step 3 --network=host --env=DOCKER_HOST=tcp://host.docker.internal:9
    expect "Docker Engine does not answer" "host.docker.internal:9" "add \`docker\` to the step's \`services\`"
}
