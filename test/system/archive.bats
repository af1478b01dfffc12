#!/usr/bin/env bats
# IMAGE_ARCHIVE: an image in a file of the clone directory, for which the container is given no Docker Engine.

load helpers

setup() {
    controls clear
    cd "$(mktemp --directory "$CLONE_TMPDIR/XXXXXX")" || return
    fresh=$NAME/archived
    make_image "$fresh" 3000000 1000
    id=$(image_id "$fresh")
    docker save --output image.tar "$fresh"
    docker image rm "$fresh"
}

# Run the pipe as Pipelines does in a step without a Docker service, and assert its exit code.
#   run_archive EXPECTED [docker run's options...]
run_archive() {
    local expected=$1
    shift
    run_container "$expected" --network host "${CREDENTIALS[@]}" --volume "$PWD:$PWD" --workdir "$PWD" \
        --env REGISTRY="$REGISTRY" --env WORKSPACE=demo-workspace --env BITBUCKET_CLONE_DIR="$PWD" \
        --env IMAGE_NAME="$fresh" --env PACKAGE_NAME=my-container-app --env IMAGE_ARCHIVE=image.tar \
        "$@" "$PIPE_IMAGE"
}

# Assert that tag $1 in the registry is the image that was saved.
expect_saved() {
    expect_equal "image of tag $1" "$id" "$(controls manifest my-container-app "$1" | json 'it["config"]["digest"]')"
}

@test "an image is pushed from what docker save wrote" {
    run_archive 0 --env TAGS=archived
    expect_saved archived
    expect "✔ Pushed archived: $TARGET@sha256:" "COPY"
    expect_equal "lines of stdout" 1 "${#lines[@]}"
}

@test "after a cd the archive is found in the clone directory" {
    mkdir app
    run_archive 0 --env TAGS=after-cd --workdir "$PWD/app"
    expect_saved after-cd
}

@test "an archive that is gzipped as a whole is unpacked to TMPDIR" {
    gzip -1 image.tar
    run_archive 0 --env TAGS=gzipped --env IMAGE_ARCHIVE=image.tar.gz --env TMPDIR="$PWD"
    expect "Decompressing $PWD/image.tar.gz to $PWD: it is gzipped as a whole."
    expect_saved gzipped
    expect_equal "files" "image.tar.gz" "$(ls -A)"
}

@test "a disk that ends is told, and nothing is sent" {
    gzip -1 image.tar
    run_archive 3 --env IMAGE_ARCHIVE=image.tar.gz --tmpfs /small:size=1m --env TMPDIR=/small
    expect "image.tar.gz cannot be decompressed to /small: No space left on device." "Set TMPDIR to a"
    expect_equal "requests" "" "$(controls requests '*' | grep --invert-match '^GET /v2/ ')"
}

@test "a read-only container of a user who is not root needs nothing else for an archive" {
    chmod a+rx . image.tar
    run_archive 0 --env TAGS=read-only --read-only --user 1000:1000
    expect_saved read-only
}

@test "an archive that is not there is told with what to do" {
    run_archive 3 --env IMAGE_ARCHIVE=gone.tar
    expect "$PWD/gone.tar: no such file or directory." "list it in that step's artifacts"
    expect_equal "requests" "" "$(controls requests '*' | grep --invert-match '^GET /v2/ ')"
}

@test "a layer that is too large arrives in parts, and a file that is larger than a part is named" {
    local context
    context=$(mktemp --directory)
    for number in 1 2 3 4 5 6; do
        head --bytes 1000000 /dev/urandom >"$context/file-$number"
    done
    printf 'FROM scratch\nCOPY file-* /srv/\nCMD ["/none"]\n' >"$context/Dockerfile"
    docker build --quiet --tag "$fresh" "$context"
    rm --recursive "$context"
    docker save --output image.tar "$fresh"
    local before
    before=$(image_id "$fresh")
    docker image rm "$fresh"

    run_archive 5 --env TAGS=split --env SPLIT_LAYERS=500KB
    expect "The layer cannot be split" "srv/file-1" "1.0 MB"

    run_archive 0 --env TAGS=split --env SPLIT_LAYERS=2.2MB --env RESULT_FILE=result.json
    expect "Split layer 1 (COPY" "into 3 parts of at most 2.2 MB." "The image ID changes: $before → sha256:" "✔ Pushed split:"
    expect_equal "split" "1 3 $before" "$(json 'it["split"]["layer"], it["split"]["parts"], it["split"]["original_image_id"]' <result.json | tr -d "(),'")"
    expect_equal "layers" 3 "$(controls manifest my-container-app split | json 'len(it["layers"])')"

    run_archive 0 --env TAGS=split --env SPLIT_LAYERS=2.2MB --env IF_TAG_EXISTS=fail
    expect "✔ Up to date: split"
}
