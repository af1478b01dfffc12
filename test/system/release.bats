#!/usr/bin/env bats
# What stands between the sources and a published image: whose it is, and that it can be made for each platform.

bats_require_minimum_version 1.5.0
load helpers

# A clone of what is in the working tree, whose files leave the account open.
setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return
    mkdir "$BATS_TEST_TMPDIR/clone"
    git ls-files -z --cached --others --exclude-standard -- . ':!docs' ':!test/streams' ':!test/unit' |
        tar --create --null --files-from - --ignore-failed-read | tar --extract --directory "$BATS_TEST_TMPDIR/clone"
    cd "$BATS_TEST_TMPDIR/clone" || return
    git init --quiet
    if ! grep --quiet 'your[-]account' pipe.yml; then # somebody's own clone
        sed -Ei 's|^(image: ).*/|\1|; s|(bitbucket.org/)[^/]+|\1your-''account|' pipe.yml
    fi
    git add --all
}

@test "a release stops while an account is left open, and says where" {
    run -1 test/setup/account check
    [[ $output == *"pipe.yml:"*"https://bitbucket.org/your-"*"make account ACCOUNT="* ]]
    expect_equal "releases that look" "$(grep -cE '^ +- \*(release|publish)$' bitbucket-pipelines.yml) of them" \
        "$(grep -cF "test/setup/account check" bitbucket-pipelines.yml) of them"
}

@test "an account that cannot be one is refused" {
    run -1 test/setup/account write 'My Team'
    [[ $output == *"ACCOUNT is 'My Team'"* ]]
    run -1 test/setup/account write ''
    run -1 test/setup/publish ''
    [[ $output == *"make publish ACCOUNT="* ]]
    git diff --exit-code
}

@test "one command writes the account, builds the image and pushes it" {
    local account=$REGISTRY/demo-workspace image tag
    export DOCKER_CONFIG=$BATS_TEST_TMPDIR/login
    docker login --username pipeline --password-stdin "$REGISTRY" <<<"$TOKEN"
    run --separate-stderr -0 test/setup/publish "$account"
    [[ $stderr == *"wrote $account into "*"commit these files"* ]]
    test/setup/account check
    [[ $(<pipe.yml) == *"image: $account/bbc-packages-push-container-image:"*bitbucket.org/demo-workspace/* ]]
    image=$(sed -n 's/^image: //p' pipe.yml)
    tag=${image##*:}
    expect_equal "the pin" "docker://${image%:*}@$(docker image inspect --format '{{index .RepoDigests 0}}' "$image" | cut -d@ -f2)" "$output"
    expect_equal "image in the registry" "$(image_id "$image")" \
        "$(controls manifest bbc-packages-push-container-image "$tag" | json 'it["config"]["digest"]')"
    docker run --rm "$image" --version
    docker image rm "$image"
}

@test "an image is not pushed under another account than the files name" {
    test/setup/account write my-team
    git add --all
    run -1 test/setup/publish another-team
    [[ $output == *"not under another-team"* ]]
    git diff --exit-code
}

# Whether what requirements.txt locks can be had for a machine of the kind $1, as the image is built there.
locked_for() {
    local packages=$BATS_TEST_TMPDIR/packages
    python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
        --implementation cp --python-version 3.13 --abi cp313 --abi abi3 --abi none \
        --platform "manylinux_2_28_$1" --platform "manylinux_2_17_$1" --platform "manylinux2014_$1" \
        --target "$packages" --requirement requirements.txt
    expect_equal "isal's compiled parts" "_isal igzip_lib isal_zlib" \
        "$(cd "$packages/isal" && echo *".cpython-313-$1-linux-gnu.so" | sed 's/\.[^ ]*//g')"
    [[ -e $packages/deflate/_deflate.abi3.so ]]
    [[ -e $packages/backports/zstd/_zstd.cpython-313-$1-linux-gnu.so ]]
}
bats_test_function --description "the lock file has what an amd64 machine needs" -- locked_for x86_64
bats_test_function --description "the lock file has what an arm64 machine needs" -- locked_for aarch64

@test "the release builds for amd64 and arm64, and no Dockerfile names a machine's kind" {
    grep -F 'DOCKER_BUILD_PLATFORMS: "linux/amd64,linux/arm64"' bitbucket-pipelines.yml
    grep -F -- '--platform linux/amd64,linux/arm64' test/setup/publish
    run -1 grep -niE 'amd64|x86|arm64|aarch64' Dockerfile test/registry/Dockerfile
}
