#!/usr/bin/env bats
# The shortest snippet, literally: no variable but IMAGE_NAME and the step's environment. crg.apkg.io is
# the local registry, with TLS by an authority of this test's own, for an Engine of this test's own.

# bats file_tags=namespaces
export TOKEN=pipeline-token
load helpers

ADDRESS=203.0.113.10 # the private Engine's own, not a loopback one
REGISTRY_IMAGE=${REGISTRY_IMAGE:-bbc-packages-push-registry:dev}
PROGRAMS=(forward connect_proxy)
TRUSTING=(--volume="$BATS_FILE_TMPDIR/ca.crt:/ca.crt:ro" --env=REQUESTS_CA_BUNDLE=/ca.crt)

setup_file() {
    unshare --mount --net true || skip "needs root that may make namespaces"
    command -v dockerd >/dev/null || skip "needs dockerd, for an Engine of its own"
    command -v openssl >/dev/null || test/setup/apt-install openssl
    make_certificates
    start_engine
    start_registry
    local program
    for program in "${PROGRAMS[@]}"; do
        start_program "$program"
    done
}

teardown_file() {
    [[ ${engine_input:-} ]] || return 0
    docker rm --force registry "${PROGRAMS[@]}" # sooner than the Engine ends them
    exec {engine_input}>&-
    # shellcheck disable=SC2154  # coproc sets it
    wait "$private_PID"
}

# An authority, and a certificate of crg.apkg.io that it signed.
make_certificates() {
    local new=(openssl req -x509 -days 2 -noenc -newkey ec -pkeyopt ec_paramgen_curve:P-256)
    local ca=$BATS_FILE_TMPDIR/ca tls=$BATS_FILE_TMPDIR/tls
    "${new[@]}" -subj "/CN=authority of the system tests" -addext keyUsage=critical,keyCertSign \
        -keyout "$ca.key" -out "$ca.crt"
    "${new[@]}" -subj /CN=crg.apkg.io -CA "$ca.crt" -CAkey "$ca.key" -addext basicConstraints=critical,CA:FALSE \
        -addext subjectAltName=DNS:crg.apkg.io -keyout "$tls.key" -out "$tls.crt"
}

# An Engine with the images of the pipe and of the registry, in whose world crg.apkg.io is $ADDRESS.
start_engine() {
    local suite=$DOCKER_HOST
    # It ends with its command, and that with its standard input, however the tests end.
    # shellcheck disable=SC2016  # DOCKER_HOST has its value inside
    coproc private { exec python test/integration/private_engine.py --host "crg.apkg.io=$ADDRESS" \
        --certificate "crg.apkg.io=$BATS_FILE_TMPDIR/ca.crt" bash -c 'echo "$DOCKER_HOST" && exec cat' 3>&-; }
    # shellcheck disable=SC2154  # coproc sets private and private_PID
    read -r DOCKER_HOST <&"${private[0]}"
    export DOCKER_HOST
    engine_input=${private[1]}
    docker --host "$suite" save "$PIPE_IMAGE" "$REGISTRY_IMAGE" | docker load
}

start_registry() {
    docker create --name registry --publish "$ADDRESS:443:5000" --env REGISTRY_TLS_CERT=/etc/tls.crt \
        --env REGISTRY_TLS_KEY=/etc/tls.key "$REGISTRY_IMAGE"
    docker cp "$BATS_FILE_TMPDIR/tls.crt" registry:/etc
    docker cp "$BATS_FILE_TMPDIR/tls.key" registry:/etc
    docker start registry
    await_log registry "serving on"
}

# Run one of these tests' own programs in a container that can reach the Engine and the registry.
start_program() {
    docker run --detach --name "$1" --volume "${DOCKER_HOST#unix://}:/var/run/docker.sock" \
        --add-host "crg.apkg.io:$ADDRESS" --entrypoint python3 "$PIPE_IMAGE" -c "$(<"$BATS_TEST_DIRNAME/$1.py")"
    await_log "$1" ready
}

await_log() {
    # What follows the log must not keep the Engine running.
    timeout 30 grep --max-count=1 "$2" < <(exec {engine_input}>&- && exec docker logs --follow "$1" 2>&1)
}

address_of() {
    docker inspect --format '{{.NetworkSettings.Networks.bridge.IPAddress}}' "$1"
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return
    head -c 100000 /dev/urandom >content
    printf 'FROM scratch\nCOPY content /\n' >Dockerfile
    docker build -t my-container-app:latest .
}

# The pipe in a step that has built my-container-app: run_snippet EXPECTED [docker run's options...]
run_snippet() {
    local expected=$1
    shift
    run_container "$expected" --add-host="host.docker.internal:$(address_of forward)" \
        --env=DOCKER_HOST=tcp://host.docker.internal:2375 --env=BITBUCKET_WORKSPACE=demo-workspace \
        "${CREDENTIALS[@]}" --env=IMAGE_NAME=my-container-app "$@" "$PIPE_IMAGE"
}

# Assert that what the one line of stdout names is my-container-app, as it comes back from the registry.
expect_arrived() {
    local image reference=crg.apkg.io/demo-workspace/my-container-app:latest
    image=$(docker image inspect --format '{{.Id}}' my-container-app)
    expect_equal "lines of stdout" 1 "${#lines[@]}"
    [[ $output =~ ^$reference@sha256:[0-9a-f]{64}$ ]] || differs stdout "$reference@sha256:…" "$output"
    docker image rm --force "$image"
    docker --config "$BATS_TEST_TMPDIR/login" login --username reader --password-stdin crg.apkg.io <<<reader-token
    docker --config "$BATS_TEST_TMPDIR/login" pull "$output"
    expect_equal "image pulled back" "$image" "$(docker image inspect --format '{{.Id}}' "$output")"
}

@test "with nothing but IMAGE_NAME, the image arrives at crg.apkg.io" {
    run_snippet 0 --add-host="crg.apkg.io:$ADDRESS" "${TRUSTING[@]}"
    expect_arrived
    expect "✔ Pushed latest: ${output/:latest@/@}"
}

@test "without REQUESTS_CA_BUNDLE the registry's certificate is not trusted: 6, and what to set" {
    run_snippet 6 --add-host="crg.apkg.io:$ADDRESS"
    expect "certificate" REQUESTS_CA_BUNDLE
    expect_equal stdout "" "$output"
}

@test "HTTPS_PROXY is used for the registry, and no proxy for DOCKER_HOST" {
    local proxy
    proxy=http://$(address_of connect_proxy):3128
    # No other way leads to crg.apkg.io.
    run_snippet 0 "${TRUSTING[@]}" --env=HTTPS_PROXY="$proxy" --env=HTTP_PROXY="$proxy" --env=ALL_PROXY="$proxy"
    expect_arrived
    expect_equal "requests to the proxy" "CONNECT crg.apkg.io:443" \
        "$(docker logs connect_proxy 2>&1 | sed -nE 's/.*"([A-Z]+ \S+) HTTP.*/\1/p' | sort -u)"
}
