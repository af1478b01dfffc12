#!/usr/bin/env bats
# Several images in one call: every one of them arrives, is reported and can fail on its own.

load helpers

WORKER=$NAME/bbc-packages-push-container-image

setup_file() {
    make_image "$WORKER" 1000 1000000
}

teardown_file() {
    docker image rm --force "$WORKER"
}

setup() {
    controls clear
    cd "$(mktemp --directory "$CLONE_TMPDIR/XXXXXX")" || return
}

# Assert that tag $2 of the package $1 in the registry is the image $3.
expect_image() {
    expect_equal "image of $1:$2" "$(image_id "$3")" "$(controls manifest "$1" "$2" | json 'it["config"]["digest"]')"
}

@test "an array of images: each arrives in the package of its name, and is a line of stdout and of the result" {
    touch variables
    run_pipe 0 --env IMAGE_NAME= --env IMAGE_NAME_COUNT=2 --env IMAGE_NAME_0="$SAMPLE" --env IMAGE_NAME_1="$WORKER" \
        --env TAGS="several latest" --volume "$PWD:/step" --workdir /step --env RESULT_FILE=result.json \
        --env BITBUCKET_PIPELINES_VARIABLES_PATH=/step/variables
    expect_image my-container-app several "$SAMPLE"
    expect_image bbc-packages-push-container-image latest "$WORKER"
    expect "Image 1 of 2: $SAMPLE" "Image 2 of 2: $WORKER" "✔ Pushed: $SAMPLE, $WORKER"
    expect_equal "lines of stdout" 4 "${#lines[@]}"
    expect_equal "references of the result" "$output" \
        "$(json '"\n".join(tag["reference"] for image in it["images"] for tag in image["tags"])' <result.json)"
    expect_equal "keys of the result" "['images', 'exit_code']" "$(json 'list(it)' <result.json)"
    expect_equal "IMAGE_REFERENCES" \
        "IMAGE_REFERENCES=${lines[0]/:several@/@} ${lines[2]/:several@/@}" "$(tail -n1 variables)"
    assert_nothing_secret "$(<result.json)"
}

@test "the same images again, in one string: few lines, and nothing is sent" {
    run_pipe 0 --env IMAGE_NAME="$SAMPLE $WORKER" --env TAGS=again
    controls clear
    run_pipe 0 --env IMAGE_NAME="$SAMPLE $WORKER" --env TAGS=again
    expect "✔ Up to date: $SAMPLE, $WORKER"
    expect_equal "lines of the log" 8 "$(wc -l <<<"$stderr")"
    expect_equal "requests that write" "" "$(controls requests 'P[AU]T*')"
}

@test "one image that fails does not stop the others, and its exit code is that of the step" {
    run_pipe 3 --env IMAGE_NAME="none/my-container-app:1 $WORKER" --env TAGS=failing
    expect_image bbc-packages-push-container-image failing "$WORKER"
    expect "✖ The image is not in Docker Engine" "✔ Pushed: $WORKER" "✖ Failed: none/my-container-app:1"
    expect_equal "lines of stdout" 1 "${#lines[@]}"
}

@test "credentials that are rejected end the run at the first image" {
    run_pipe 4 --env IMAGE_NAME="$SAMPLE $WORKER" --env BITBUCKET_PACKAGES_USERNAME=nobody
    expect "✖ The registry rejected the credentials" "✖ Not tried: $WORKER" "✖ Failed: $SAMPLE"
}

@test "a compose file names the images that its services build" {
    cat >compose.yaml <<YAML
services:
  web:
    build: .
    image: $SAMPLE:\${VERSION:-latest}
  worker:
    build: {context: worker}
    image: $WORKER
  db:
    image: postgres
YAML
    run_pipe 0 --env IMAGE_NAME= --env COMPOSE_FILE=compose.yaml --env TAGS=composed --volume "$PWD:/step" \
        --workdir /step
    expect_image my-container-app composed "$SAMPLE"
    expect_image bbc-packages-push-container-image composed "$WORKER"
}

@test "all mistakes about several images are reported at once" {
    printf 'services:\n  web: {build: ., profiles: [dev]}\n' >compose.yaml
    run_pipe 2 --env COMPOSE_FILE=compose.yaml --env IMAGE_ARCHIVE=image.tar --env PACKAGE_NAME=web \
        --volume "$PWD:/step" --workdir /step
    expect "service 'web' has \`profiles\`" "COMPOSE_FILE cannot be combined with IMAGE_NAME, PACKAGE_NAME" \
        "COMPOSE_FILE cannot be combined with IMAGE_ARCHIVE"
    run_pipe 2 --env IMAGE_NAME_COUNT=2 --env IMAGE_NAME_0=api --env IMAGE_NAME_1= --env IMAGE_NAME= \
        --env PACKAGE_NAME="a b c" --env TAGS=!
    expect "The second entry of IMAGE_NAME is empty" "TAGS: '!' is not a valid tag"
    run_pipe 2 --env IMAGE_NAME="x/web y/web" --env PACKAGE_NAME="a b c"
    expect "PACKAGE_NAME names 3 packages, but IMAGE_NAME names 2 images"
    run_pipe 2 --env IMAGE_NAME="x/web y/web"
    expect "'x/web' and 'y/web' would both be pushed to demo-workspace/web:latest"
    expect_equal stdout "" "$output"
}
