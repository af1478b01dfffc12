#!/usr/bin/env bats
# Exit code 0: the image's container, run as README shows, brings an image to the registry.

load helpers

# Assert that tag $1 in the registry is the image $3 (the sample), and that stdout's line $2 says so.
expect_arrived() {
    local manifest digest
    manifest=$(controls manifest my-container-app "$1")
    digest=sha256:$(printf %s "$manifest" | sha256sum | cut -d' ' -f1)
    expect_equal "image of tag $1" "$(image_id "${3:-$SAMPLE}")" "$(json 'it["config"]["digest"]' <<<"$manifest")"
    expect_equal "line $2 of stdout" "$TARGET:$1@$digest" "$(sed -n "${2}p" <<<"$output")"
}

names_in_engine() {
    docker image ls --format '{{.Repository}}:{{.Tag}}' --filter reference="$REGISTRY/*/*"
}

setup() {
    controls clear
    cd "$(mktemp --directory "$CLONE_TMPDIR/XXXXXX")" || return
}

# bats test_tags=socket
@test "a fresh image is pushed, and the Engine's names stay as they were" {
    local before fresh=$NAME/fresh
    make_image "$fresh" 1000000 1000
    before=$(names_in_engine)
    run_pipe 0 --env IMAGE_NAME="$fresh" --env PACKAGE_NAME=my-container-app --env TAGS=fresh
    expect_arrived fresh 1 "$fresh"
    expect "✔ Pushed fresh: $TARGET@sha256:"
    expect_equal "lines of stdout" 1 "${#lines[@]}"
    expect_equal "names in the Engine" "$before" "$(names_in_engine)"
    docker image rm "$fresh"
}

@test "the same image again: nothing is sent" {
    run_pipe 0 --env TAGS=again
    controls clear
    run_pipe 0 --env TAGS=again
    expect_arrived again 1
    expect "✔ Up to date: again ($TARGET@sha256:"
    expect_equal "requests that write" "" "$(controls requests 'P[AU]T*')"
}

@test "several tags in one string" {
    run_pipe 0 --env TAGS=$'one, two\tthree one'
    expect_equal "lines of stdout" 3 "${#lines[@]}"
    expect_arrived one 1
    expect_arrived two 2
    expect_arrived three 3
}

@test "several tags as an array" {
    run_pipe 0 --env TAGS_COUNT=2 --env TAGS_0=1.0 --env TAGS_1=array
    expect_equal "lines of stdout" 2 "${#lines[@]}"
    expect_arrived 1.0 1
    expect_arrived array 2
}

@test "a fully qualified IMAGE_NAME says package and tag" {
    docker tag "$SAMPLE" "$TARGET:qualified"
    run_pipe 0 --env IMAGE_NAME="$TARGET:qualified"
    expect_arrived qualified 1
    docker image inspect "$TARGET:qualified" # the user's own name stays
    docker image rm "$TARGET:qualified"
}

@test "DRY_RUN checks everything and sends nothing" {
    run_pipe 0 --env TAGS=dry --env DRY_RUN=true
    expect "✔ Dry run: dry would be pushed."
    expect_equal stdout "" "$output"
    expect_equal "requests that write" "" "$(controls requests 'P[AU]T*')"
}

# bats test_tags=socket
@test "RESULT_FILE and the step's variables hold what arrived" {
    touch variables
    run_pipe 0 --env TAGS="result other" --volume "$PWD:/step" --workdir /step --env RESULT_FILE=result.json \
        --env BITBUCKET_PIPELINES_VARIABLES_PATH=/step/variables
    expect_arrived result 1
    local digest=${lines[0]##*@}
    expect_equal "result's tags" "[('result', '${lines[0]}', True), ('other', '${lines[1]}', True)]" \
        "$(json '[(tag["tag"], tag["reference"], tag["verified"]) for tag in it["tags"]]' <result.json)"
    expect_equal "the result's exit code, digest, dry run and image" "0 $digest False $(image_id "$SAMPLE")" \
        "$(json "' '.join(map(str, (it['exit_code'], it['digest'], it['dry_run'], it['image_id'])))" <result.json)"
    expect_equal variables "IMAGE_REFERENCE=$TARGET@$digest"$'\n'"IMAGE_DIGEST=$digest" "$(<variables)"
    assert_nothing_secret "$(<result.json)"
}

@test "DEBUG tells more, and nothing secret" {
    run_pipe 0 --env TAGS=debug --env DEBUG=true
    expect "DEBUG: " '"exit_code": 0'
}

@test "the step's folder is never imported from" {
    local module
    mkdir pipe
    for module in pipe/__init__ pipe/__main__ colorlog docker json logging requests sitecustomize usercustomize yaml; do
        echo "open('/step/imported', 'w'); raise SystemExit(99)" >"$module.py"
    done
    run_pipe 0 --env TAGS=hostile --volume "$PWD:/step" --workdir /step
    expect_arrived hostile 1
    [[ ! -e imported ]]
}

@test "NO_COLOR is honoured, and without it the log has colours" {
    run_pipe 0 --env TAGS=colour
    expect $'\e[34mINFO: '
    run_pipe 0 --env TAGS=colour --env NO_COLOR=1
    expect_not $'\e'
}

@test "60 MB of memory are enough" {
    run_pipe 0 --env TAGS=memory --memory 60m --memory-swap 60m
    expect_arrived memory 1
}
