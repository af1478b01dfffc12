#!/usr/bin/env bats
# PROMOTE and PLATFORM_TAGS: images that the registry has, for which the container is given no Docker Engine.

load helpers

setup() {
    controls clear
    cd "$(mktemp --directory "$CLONE_TMPDIR/XXXXXX")" || return
}

# Run the pipe as Pipelines does in a step without a Docker service, and assert its exit code.
#   run_promotion EXPECTED [docker run's options...]
run_promotion() {
    local expected=$1
    shift
    run_container "$expected" --network host "${CREDENTIALS[@]}" --volume "$PWD:$PWD" --workdir "$PWD" \
        --env REGISTRY="$REGISTRY" --env WORKSPACE=demo-workspace --env BITBUCKET_CLONE_DIR="$PWD" \
        --env PACKAGE_NAME=my-container-app "$@" "$PIPE_IMAGE"
}

# Push an image of the platforms $3… under tag $2 of package $1, with an attestation of each.
put_index() {
    python - "${@:3}" >image.tar <<'PYTHON'
import sys

from integration.layouts import made

layout, top = made({platform: [100_000] for platform in sys.argv[1:]}, attested=True)
sys.stdout.buffer.write(layout.tar(top))
PYTHON
    run_promotion 0 --env PACKAGE_NAME="$1" --env IMAGE_NAME="$1" --env IMAGE_ARCHIVE=image.tar --env TAGS="$2"
    controls clear
}

digest_of() {
    local manifest
    manifest=$(controls manifest "$1" "$2"; echo .)
    # Without the line's end that print adds.
    printf %s "${manifest%$'\n'.}" | sha256sum | cut -d' ' -f1
}

@test "a release candidate gets the tags of its release" {
    put_index my-container-app rc-17 linux/amd64 linux/arm64 linux/arm/v7 linux/s390x
    local digest
    digest=sha256:$(digest_of my-container-app rc-17)
    touch variables
    run_promotion 0 --env PROMOTE=rc-17 --env TAGS='{version} {major}.{minor} stable' --env BITBUCKET_TAG=v2.1.0 \
        --env RESULT_FILE=result.json --env BITBUCKET_PIPELINES_VARIABLES_PATH="$PWD/variables"
    expect "my-container-app:rc-17: 4 layers" "✔ Pushed 2.1.0, 2.1, stable: $TARGET@$digest"
    expect --stdout "$TARGET:2.1.0@$digest" "$TARGET:2.1@$digest" "$TARGET:stable@$digest"
    expect_equal "digest of stable" "$digest" "sha256:$(digest_of my-container-app stable)"
    expect_equal "requests that upload" "" "$(controls requests 'P[AU]T*' | grep /uploads/ || true)"
    expect_equal "result" "$digest pushed" "$(json 'it["digest"] + " " + it["tags"][0]["status"]' <result.json)"
    expect_equal "step variables" "IMAGE_REFERENCE=$TARGET@$digest"$'\n'"IMAGE_DIGEST=$digest" "$(cat variables)"
}

@test "an image of another package is promoted" {
    put_index staging tested linux/amd64 linux/arm64
    run_promotion 0 --env PROMOTE=tested --env FROM_PACKAGE=staging --env TAGS=from-staging
    expect "mounted" "✔ Pushed from-staging: $TARGET@sha256:$(digest_of staging tested)"
    expect_equal "manifest" "$(controls manifest staging tested)" "$(controls manifest my-container-app from-staging)"
}

@test "images of two steps are joined" {
    put_index my-container-app 3.0-amd64 linux/amd64
    put_index my-container-app 3.0-arm64 linux/arm64
    run_promotion 0 --env PLATFORM_TAGS='3.0-amd64 3.0-arm64' --env TAGS=3.0
    expect "✔ Pushed 3.0: $TARGET@sha256:$(digest_of my-container-app 3.0)"
    expect_equal "platforms" "amd64 unknown arm64 unknown" "$(controls manifest my-container-app 3.0 |
        json '" ".join(each["platform"]["architecture"] for each in it["manifests"])')"
    run_promotion 2 --env PLATFORM_TAGS='3.0-amd64 3.0' --env TAGS=3.1
    expect "PLATFORM_TAGS: 3.0-amd64 and 3.0 are both for linux/amd64."
    run_promotion 4 --env PLATFORM_TAGS='3.0-amd64 3.0-riscv64' --env TAGS=3.1
    expect "✖ The image is not in the registry: $TARGET has no 3.0-riscv64."
}

@test "what makes no sense with PROMOTE is rejected before anything is requested" {
    run_promotion 2 --env PROMOTE=my-container-app:rc --env IMAGE_ARCHIVE=image.tar --env PLATFORM_TAGS=a
    expect "PROMOTE cannot be combined with PLATFORM_TAGS" "PROMOTE cannot be combined with IMAGE_ARCHIVE" \
        "PROMOTE must be a tag or a digest" "TAGS is missing"
    expect_equal "requests" "" "$(controls requests)"
}
