#!/usr/bin/env bats
# Exit code 2: what users can get wrong in a variable, each reported by name, value and rule.

load helpers

bad_input() {
    local variable=$1 value=$2
    run_pipe 2 --env "$variable=$value"
    expect "$variable" "${@:3}"
    expect_equal stdout "" "$output"
}

row() {
    bats_test_function --description "$1" -- bad_input "${@:2}"
}

row "IMAGE_NAME: upper case" IMAGE_NAME My-App "'My-App'" "lower-case"
row "IMAGE_NAME: one of two in upper case" IMAGE_NAME "app My-App" "'My-App'" "is not the name of an image"
row "IMAGE_NAME: a leading -" IMAGE_NAME -app "'-app'" "is not the name of an image"
row "IMAGE_NAME: an unknown character" IMAGE_NAME 'my!app' "'my!app'" "is not the name of an image"
row "IMAGE_NAME: a tag of 129 characters" IMAGE_NAME "app:$(printf '%0129d' 0)" "app:000" "128"
row "TAGS: nothing but separators" TAGS " , " "empty" "leave it out to push"
row "TAGS: a tag that is not allowed" TAGS "1.0 feature/x" "'feature/x' is not a valid tag: '/' is not allowed" "feature-x"
row "TAGS: a tag of 129 characters" TAGS "$(printf '%0129d' 0)" "000" "128"
row "TAGS: a placeholder that does not exist" TAGS "{vresion} latest" "'{vresion}' is not a placeholder. Did you mean {version}?"
row "TAGS: a placeholder with text that is not allowed" TAGS "release/{version}" "'/' is not allowed; try 'release-{version}'"
row "TAGS: no tag is left" TAGS "{version} {major}" "TAGS has no tag for this step." \
    "Not pushing {version}, {major}: \$BITBUCKET_TAG has no value in this step (Pipelines sets it for tag pipelines only)."
row "PACKAGE_NAME: upper case" PACKAGE_NAME My-App "'My-App'" "lower-case"
row "WORKSPACE: a space" WORKSPACE "my workspace" "'my workspace'" "slug"
row "REGISTRY: an address" REGISTRY "https://crg.apkg.io/" "'https://crg.apkg.io/'" "host"
row "MAX_LAYER_SIZE: not a size" MAX_LAYER_SIZE "32 apples" "'32 apples'" "32GB"
row "UPLOAD_TIMEOUT: negative" UPLOAD_TIMEOUT -1 "'-1'" "7m"
row "UPLOAD_TIMEOUT: a hundred thousand years" UPLOAD_TIMEOUT 999999999h "'999999999h'" "at most 24h"
row "IF_TAG_EXISTS: unknown" IF_TAG_EXISTS ignore "'ignore'" "one of overwrite, skip, fail"
row "COMPRESSION: unknown" COMPRESSION lz4 "'lz4'" "one of auto, fast, small, zstd"
row "REUSE_FROM: a package in upper case" REUSE_FROM Base:1.0 "'Base:1.0'" "package:tag"
row "BITBUCKET_PACKAGES_TOKEN: four characters" BITBUCKET_PACKAGES_TOKEN rely "too short" "at least 8 characters"
row "MAX_ATTEMPTS: none" MAX_ATTEMPTS 0 "'0'" "whole number"
row "DRY_RUN: perhaps" DRY_RUN perhaps "'perhaps'" "true or false"
row "DEBUG: maybe" DEBUG maybe "'maybe'" "true or false"

@test "everything missing: one message lists it all" {
    run_container 2 --network host "${ENGINE[@]}" "$PIPE_IMAGE"
    expect "IMAGE_NAME is missing" "WORKSPACE is missing" \
        "BITBUCKET_PACKAGES_USERNAME and BITBUCKET_PACKAGES_TOKEN are missing"
    expect_equal "number of messages" 1 "$(grep -c ✖ <<<"$stderr")"
}

@test "IMAGE_NAME with the registry, but another workspace: both are named" {
    run_pipe 2 --env IMAGE_NAME="$REGISTRY/other/my-container-app"
    expect "IMAGE_NAME's workspace 'other' does not match WORKSPACE 'demo-workspace'"
}

@test "several problems: one message lists them all" {
    run_pipe 2 --env IMAGE_NAME=-app --env DEBUG=maybe --env TAGS=,
    expect "IMAGE_NAME: " "DEBUG must be " "TAGS is "
    expect_equal "number of messages" 1 "$(grep -c ✖ <<<"$stderr")"
}

@test "half a pair of credentials: the missing half is named" {
    run_pipe 2 --env BITBUCKET_PACKAGES_USERNAME=
    expect "BITBUCKET_PACKAGES_USERNAME is missing" "BITBUCKET_PACKAGES_TOKEN is set"
}

@test "RESULT_FILE in a folder that does not exist: known before the upload" {
    controls clear
    run_pipe 2 --env RESULT_FILE=/nowhere/result.json
    expect RESULT_FILE /nowhere
    expect_equal "requests to the registry" "" "$(controls requests)"
}

@test "RESULT_FILE where nothing can be written: known before the upload" {
    controls clear
    run_pipe 2 --read-only --env RESULT_FILE=/tmp/result.json
    expect RESULT_FILE /tmp/result.json
    expect_equal "requests to the registry" "" "$(controls requests)"
}

row "TAGS: a variable that is not set" TAGS "\$BITBUCKET_TAG" \
    "\$BITBUCKET_TAG has no value in this step (Pipelines sets it for tag pipelines only)."

@test "TAGS with an empty entry: its place is named" {
    run_pipe 2 --env TAGS_COUNT=2 --env TAGS_0=1.0 --env TAGS_1=
    expect "The second entry of TAGS is empty: remove it, or set its variable."
}

@test "TAGS set and empty: an error, not a push of latest" {
    run_pipe 2 --env TAGS=
    expect "TAGS is empty: leave it out to push \`latest\`"
}

@test "a misspelled variable: the right one is named" {
    run_pipe 2 --env TAG=1.0
    expect "TAG is not a variable of this pipe. Did you mean TAGS?"
}

@test "in a pipeline without credentials: the lines to paste" {
    run_container 2 --network host --env IMAGE_NAME=app --env BITBUCKET_WORKSPACE=demo-workspace \
        --env BITBUCKET_BUILD_NUMBER=1 "$PIPE_IMAGE"
    expect "      BITBUCKET_PACKAGES_USERNAME: \$BITBUCKET_PACKAGES_USERNAME" \
        "      BITBUCKET_PACKAGES_TOKEN: \$BITBUCKET_PACKAGES_TOKEN"
}

@test "an argument: only --help and --version are accepted" {
    run_container 2 "$PIPE_IMAGE" push
    expect "the only arguments are --help and --version"
}

@test "--help: every variable, and an example" {
    run_container 0 --network none --read-only "$PIPE_IMAGE" --help
    [[ $output == *"IMAGE_NAME (required)"*"DEBUG"*"- pipe: docker://"* ]] || differs stdout usage "$output"
    expect_equal stderr "" "$stderr"
}
