#!/usr/bin/env bats
# Tags that point to another image, some of them protected, as README's "Immutable tags" has them.

load helpers

protect() {
    python -m registry protect "$REGISTRY" demo-workspace "$1"
}

setup_file() {
    export OTHER=$NAME/other
    make_image "$OTHER" 1000
    protect '{"protect": "some", "rules": [{"name": "versions", "pattern": "^[0-9]"}]}'
}

teardown_file() {
    protect '{"protect": "none"}'
    docker image rm "$OTHER"
}

setup() {
    controls clear
    cd "$(mktemp --directory "$CLONE_TMPDIR/XXXXXX")" || return
}

# Push the other image to the package of the sample.
push_other() {
    run_pipe "$1" --env IMAGE_NAME="$OTHER" --env PACKAGE_NAME=my-container-app "${@:2}"
}

digest_of() {
    local manifest
    manifest=$(controls manifest my-container-app "$1")
    echo "sha256:$(printf %s "$manifest" | sha256sum | cut -d' ' -f1)"
}

# Assert that every request so far has only read.
expect_no_upload() {
    expect_equal "requests that write" "" "$(controls requests 'P[AU]T*')"
}

@test "a version stays, and latest moves: a second run passes, another image does not" {
    run_pipe 0 --env TAGS=1.4.2 --env IF_TAG_EXISTS=fail
    controls clear
    run_pipe 0 --env TAGS=latest
    expect_equal "layers that the second call uploaded" "" "$(controls layers)"
    local version
    version=$(digest_of 1.4.2)
    expect_equal "digest of latest" "$version" "$(digest_of latest)"
    controls clear
    run_pipe 0 --env TAGS=1.4.2 --env IF_TAG_EXISTS=fail
    expect "✔ Up to date: 1.4.2"
    push_other 4 --env TAGS=1.4.2 --env IF_TAG_EXISTS=fail
    expect "✖ The tag already exists: $TARGET:1.4.2 points to another image, $version (created 20" \
        "Nothing was uploaded." "Push a new tag, or set IF_TAG_EXISTS to skip or overwrite."
    expect_equal stdout "" "$output"
    expect_no_upload
    push_other 0 --env TAGS=latest
    expect_equal "digest of 1.4.2" "$version" "$(digest_of 1.4.2)"
    expect "✔ Pushed latest: $TARGET@$(digest_of latest)"
}

# bats test_tags=socket
@test "a protected tag is explained, and the other tags are pushed" {
    run_pipe 0 --env TAGS="1.5.0 stable"
    local version
    version=$(digest_of 1.5.0)
    push_other 4 --env TAGS="stable 1.5.0 1.5.1" --volume "$PWD:/step" --workdir /step \
        --env RESULT_FILE=result.json
    expect "✖ The registry rejected moving the tag: $TARGET:1.5.0 exists and points to another image, $version (created" \
        "tag 1.5.0 is protected and cannot be overwritten" \
        "The tag is probably protected (Container settings of the workspace): push a new tag, or set IF_TAG_EXISTS: skip."
    expect --stdout "$TARGET:stable@" "$TARGET:1.5.1@"
    expect_equal "statuses" "stable pushed, 1.5.0 failed, 1.5.1 pushed" \
        "$(json '", ".join(tag["tag"] + " " + tag["status"] for tag in it["tags"])' <result.json)"
    expect_equal "digest of 1.5.0" "$version" "$(digest_of 1.5.0)"
}

@test "IF_TAG_EXISTS: skip leaves tags alone; DRY_RUN says which would move" {
    run_pipe 0 --env TAGS="1.6.0 moving"
    controls clear
    push_other 0 --env TAGS="1.6.0 moving" --env IF_TAG_EXISTS=skip
    expect "Left alone: 1.6.0 (points to another image, $(digest_of 1.6.0))" "Left alone: moving"
    push_other 0 --env TAGS="moving new" --env DRY_RUN=true
    expect "moving points to another image ($(digest_of moving)) and would be moved."
    expect_not "new points to another"
    expect_no_upload
}
