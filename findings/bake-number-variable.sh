#!/usr/bin/env bash
# buildx 0.29.1 (Debian forky, 0.29.1+ds1-4; 0.13.1 of Debian 13 does the same): if the `default` of a variable in a bake
# file is a number, `bake` makes a number with 53 bits of precision of the environment variable that replaces it, too.
# So VERSION=1.20 becomes the tag `1.2`, which may be that of an older version, VERSION=2.0 becomes `2`, and a build
# number of 17 digits, such as a time in milliseconds, becomes another one, without a message. Only what is no number at
# all ("1.2.0") is an error. If the default is in quotes, all of them stay as they are.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

debian_of forky docker-buildx=0.29.1+ds1-4
export DOCKER_CONFIG=$folder
# tags DEFAULT: print the tag that bake makes of each version.
tags() {
    # shellcheck disable=SC2016 # bake's variable
    printf 'variable "VERSION" { default = %s }\ntarget "default" { tags = ["app:${VERSION}"] }\n' "$1" >docker-bake.hcl
    for version in 1.20 2.0 007 20261129181500123 1.2.0; do
        VERSION=$version root/usr/libexec/docker/cli-plugins/docker-buildx bake --print >log 2>&1 || true
        echo "$version: $(sed --quiet 's/^ *"\(app:.*\)"$/\1/p; s/.*\(failed to parse VERSION as number\).*/\1/p' log)"
    done
}
expect '1.20: app:1.2
2.0: app:2
007: app:7
20261129181500123: app:20261129181500124
1.2.0: failed to parse VERSION as number' "default = 1
$(tags 1)"
expect '1.20: app:1.20
2.0: app:2.0
007: app:007
20261129181500123: app:20261129181500123
1.2.0: app:1.2.0' "default = \"1\"
$(tags '"1"')"
