#!/usr/bin/env bats
# Exit codes 1 and 3 to 6, and those of signals.

load helpers

setup() {
    controls clear
}

# Assert that nothing looks like success.
expect_failure() {
    expect_not ✔
    expect_equal stdout "" "$output"
    expect ✖ "$@"
}

@test "1: an unexpected error comes with its traceback" {
    local broken=$CLONE_TMPDIR/pipe.yml
    echo 'name: none' >"$broken"
    run_pipe 1 --volume "$broken:/usr/lib/python3/dist-packages/pipe.yml:ro"
    expect_failure "Traceback (most recent call last)" "pipe/about.py"
}

@test "3: the image is not in the Engine" {
    run_pipe 3 --env IMAGE_NAME="${SAMPLE}s"
    expect_failure "The image is not in Docker Engine" "$SAMPLE:latest" "Build it in this step before the pipe"
}

@test "3: no Engine at DOCKER_HOST" {
    run_pipe 3 --env DOCKER_HOST=tcp://127.0.0.1:9
    expect_failure "Docker Engine does not answer" "127.0.0.1:9" "add \`docker\` to the step's \`services\`"
}

@test "3: no Engine's socket" {
    run_container 3 --network host "${CREDENTIALS[@]}" --env REGISTRY="$REGISTRY" --env WORKSPACE=demo-workspace \
        --env IMAGE_NAME="$SAMPLE" "$PIPE_IMAGE"
    expect_failure "Docker Engine does not answer" "/var/run/docker.sock" "mount its socket"
}

wrong_credentials() {
    run_pipe 4 --env BITBUCKET_PACKAGES_USERNAME="$1" --env BITBUCKET_PACKAGES_TOKEN="$2"
    expect_failure "The registry rejected the credentials" "$REGISTRY" "${@:3}"
    expect_not "$2"
}
bats_test_function --description "4: wrong token" -- wrong_credentials pipeline an0ther-token
bats_test_function --description "4: no such user" -- wrong_credentials nobody an0ther-token
bats_test_function --description "4: an access token" -- wrong_credentials pipeline ATCTT-an0ther "begins with ATCTT"

@test "4: an account that may only read" {
    run_pipe 4 --env BITBUCKET_PACKAGES_USERNAME=reader --env BITBUCKET_PACKAGES_TOKEN=reader-token
    expect_failure "Permission denied: cannot push to this package" "demo-workspace/my-container-app" "write access"
    expect_not reader-token
}

@test "4: a package that was never created" {
    run_pipe 4 --env PACKAGE_NAME=never-created
    expect_failure "The package does not exist" "does not exist in this workspace" "Create → Package" "'never-created'"
}

@test "4: an error inside the Engine's stream is no success" {
    controls fault '{"method": "PUT", "path": "*/manifests/*", "answer": {"status": 400,
        "body": "{\"errors\": [{\"code\": \"MANIFEST_INVALID\", \"message\": \"manifest invalid\"}]}"}}'
    run_pipe 4 --env TAGS=stream-error
    expect_failure "The registry rejected the image" "manifest invalid"
}

@test "5: a layer is too large, and the tag does not appear" {
    # A layer that the registry has is not sent, however large.
    fresh=$SAMPLE:too-large
    make_image "$fresh" 1000000
    run_pipe 5 --env IMAGE_NAME="$fresh" --env MAX_LAYER_SIZE=999kB --env TAGS=too-large
    expect_failure "A layer is too large for the registry" "COPY" "MAX_LAYER_SIZE"
    expect_equal "manifests that were sent" "" "$(controls requests PUT | grep /manifests/)"
}

@test "6: the registry fails for ever" {
    controls fault '{"path": "/v2/*", "answer": {"status": 500, "body": "out of order"}}'
    run_pipe 6 --env MAX_ATTEMPTS=2 --env TAGS=out-of-order
    expect_failure "The registry failed" "500" "out of order" "Attempt 1 of 2 failed"
}

@test "6: the registry's port is closed" {
    run_pipe 6 --env REGISTRY=127.0.0.1:9 --env MAX_ATTEMPTS=1
    expect_failure "The registry cannot be reached" "127.0.0.1:9"
}

@test "6: what is read back is another image" {
    local fault
    fault=$(python - <<'PYTHON'
import json

kind = "application/vnd.docker.distribution.manifest.v2+json"
config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": "sha256:" + "0" * 64}
manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}
answer = {"status": 200, "headers": {"Content-Type": kind}, "body": json.dumps(manifest)}
print(json.dumps({"method": "GET", "path": "*/manifests/other", "user_agent": "bbc-*", "answer": answer}))
PYTHON
    )
    controls fault "$fault"
    run_pipe 6 --env TAGS=other
    expect_failure "The tag points to a different image than the one pushed" "$TARGET:other points to sha256:"
}

# Make an image whose layer no registry has, and let its upload by $1 (engine or pipe) take 20 seconds. The buffers
# on the way hold up to 40 MB, and an Engine that has put all of a layer there cannot take it back.
slow_upload() {
    fresh=$NAME/fresh
    make_image "$fresh" 100000000
    slow=(--env IMAGE_NAME="$fresh" --env PACKAGE_NAME=my-container-app --env UPLOADER="$1")
    controls fault '{"method": "PATCH", "bytes_per_second": 5000000}'
}

# Assert that the layer's upload was given up.
expect_upload_ended() {
    local uploads finished
    controls quiet
    uploads=$(controls layers)
    [[ $uploads == */blobs/uploads/* ]]
    # Small uploads may be finished: the configuration's, and that which finds out whether the registry takes chunks.
    finished=$(controls requests PUT | grep --fixed-strings --regexp "$uploads" --regexp /manifests/) || true
    expect_equal "uploads of the layer and manifests that were finished" "" "$finished"
}

teardown() {
    [[ -z ${fresh:-} ]] || docker image rm --force "$fresh"
}

too_slow() {
    slow_upload "$1"
    run_pipe 5 "${slow[@]}" --env UPLOAD_TIMEOUT=2s
    expect_failure "Layer upload exceeds the registry's time limit" "COPY" "UPLOAD_TIMEOUT"
    expect_upload_ended
}
bats_test_function --description "5: a layer's upload by the Engine takes too long" -- too_slow engine
bats_test_function --description "5: a layer's upload by the pipe takes too long" -- too_slow pipe

# Signal $2 in the middle of a layer's upload by $3 ends the pipe with $1 within 2 seconds, and the upload with it.
stopped() {
    local container=$NAME-stopped since killed died
    slow_upload "$3"
    {
        controls wait PATCH
        docker kill --signal "$2" "$container"
    } 3>&- &
    since=$(date +%s)
    run_pipe "$1" "${slow[@]}" --name "$container"
    expect_failure "The push was stopped" "$2"
    # By the Engine's own clock: on a busy machine, the commands take longer than the pipe.
    { read -r killed && read -r died; } < <(
        docker events --since "$since" --until "$(date +%s.%N)" --filter "container=$container" \
            --filter event=kill --filter event=die --format '{{.TimeNano}}'
    )
    local milliseconds=$(((died - killed) / 1000000))
    ((milliseconds < 2000)) || differs "milliseconds to stop" "below 2000" "$milliseconds"
    expect_upload_ended
}
bats_test_function --description "143: stopped by SIGTERM while the Engine uploads" -- stopped 143 SIGTERM engine
bats_test_function --description "143: stopped by SIGTERM while the pipe uploads" -- stopped 143 SIGTERM pipe
bats_test_function --description "130: stopped by SIGINT while the Engine uploads" -- stopped 130 SIGINT engine
