# How system tests run the pipe's image, and say what they expect.
# shellcheck shell=bash
# shellcheck disable=SC2154  # bats' run sets output, stderr and status

# The Engine's socket where it has one, else its address.
if [[ ${DOCKER_HOST:-unix:///var/run/docker.sock} == unix://* ]]; then
    engine_socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
    engine_socket=${engine_socket#unix://}
    ENGINE=(--volume "$engine_socket:/var/run/docker.sock")
else
    ENGINE=(--env DOCKER_HOST)
fi
CREDENTIALS=(--env BITBUCKET_PACKAGES_USERNAME=pipeline --env BITBUCKET_PACKAGES_TOKEN)
export BITBUCKET_PACKAGES_TOKEN=$TOKEN # reaches docker run without showing in a command line
GOOD_PUSH=(--network host "${ENGINE[@]}" "${CREDENTIALS[@]}"
    --env REGISTRY="$REGISTRY" --env WORKSPACE=demo-workspace --env IMAGE_NAME="$SAMPLE")
export TARGET=$REGISTRY/demo-workspace/my-container-app

# Run the pipe as README shows, and assert its exit code.
#   run_pipe EXPECTED [docker run's options...]
# What is not among the options is a good push of the sample image.
run_pipe() {
    local expected=$1
    shift
    run_container "$expected" "${GOOD_PUSH[@]}" "$@" "$PIPE_IMAGE"
}

# Run a container, and assert its exit code and that it shows nothing secret.
#   run_container EXPECTED [docker run's arguments...]
run_container() {
    local expected=$1
    shift
    echo "\$ docker run --rm $*"
    run --separate-stderr timeout --kill-after=5 "${TIME_LIMIT:-60}" docker run --rm "$@"
    assert_nothing_secret "$output$stderr"
    [[ $status == "$expected" ]] || differs "exit code" "$expected" "$status"
}

# Print a block that says what was expected and what came instead, and fail.
differs() {
    printf '%s\n' "--- $1 ---" "expected: $2" "actual:   $3" "stdout:" "$output" "stderr:" "$stderr" "---"
    return 1
}

# Fail if $1 holds the token: as it is, in a URL, in JSON, or in base64, wherever that began and whatever followed.
assert_nothing_secret() {
    local form
    while IFS= read -r form; do
        [[ $1 != *"$form"* ]] || { differs "secrets in the output" "none" "$form"; return; }
    done < <(secret_forms "$TOKEN")
}

secret_forms() {
    python - "$1" <<'PYTHON'
import base64, json, sys, urllib.parse

token = sys.argv[1]
plain = {token, json.dumps(token)[1:-1]}
forms = plain | {urllib.parse.quote(token, safe=safe) for safe in ("", "/")} | {urllib.parse.quote_plus(token)}
for text in plain:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):  # bytes that share the text's first group of three
            whole = encode(b"\0" * before + text.encode()).decode().rstrip("=")
            forms.add(whole[(0, 2, 3)[before]:-1])
print("\n".join(sorted(forms)))
PYTHON
}

# Assert that the log, or the output if $1 is --stdout, holds every text of $@.
expect() {
    local stream=stderr text
    [[ $1 != --stdout ]] || { stream=output; shift; }
    for text in "$@"; do
        [[ ${!stream} == *"$text"* ]] || differs "$stream" "…$text…" "${!stream}"
    done
}

# Assert that the log has nothing of $@.
expect_not() {
    local text
    for text in "$@"; do
        [[ $stderr != *"$text"* ]] || differs "stderr" "nothing of: $text" "$stderr"
    done
}

# Assert that $2 is $3; $1 says what it is.
expect_equal() {
    [[ $3 == "$2" ]] || differs "$1" "$2" "$3"
}

controls() {
    python "$BATS_TEST_DIRNAME/controls.py" "$1" "$REGISTRY" "${@:2}"
}

# Read a value of JSON from standard input: $1 is a Python expression of `it`.
json() {
    python -c 'import json, sys; it = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

# Run Python in the pipe's image, with the program on standard input.
python_in_image() {
    docker run --rm --interactive "$@" --entrypoint python3 "$PIPE_IMAGE" -
}

# What the Engine calls the image $1.
image_id() {
    docker image inspect --format '{{.Id}}' "$1"
}

# Make the image $1, which no registry has seen before: layers of the sizes $2…, in bytes.
make_image() {
    local context size layer=0
    context=$(mktemp --directory)
    echo "FROM scratch" >"$context/Dockerfile"
    for size in "${@:2}"; do
        layer=$((layer + 1))
        head --bytes "$size" /dev/urandom >"$context/layer-$layer"
        echo "COPY layer-$layer /" >>"$context/Dockerfile"
    done
    echo 'CMD ["/none"]' >>"$context/Dockerfile"
    docker build --quiet --tag "$1" "$context"
    rm --recursive "$context"
}
