#!/usr/bin/env bash
# podman-compose 1.6.0 (PyPI, with python-dotenv 1.2.4) and docker-compose 2.26.1 (Debian 13, 2.26.1-4): the same
# compose file and `.env` name other images, without a message. Docker documents for `.env`: a variable of the
# environment comes first; `$NAME` and `${NAME-default}` are filled; in single quotes nothing is. To podman-compose
# - `IMAGE=app:${VERSION}` has the VERSION of `.env`, even if the environment has another, as a pipeline sets it for a
#   release; `app:${VERSION}` in the compose file has that of the environment;
# - `app:$BUILD` stays as it is, and `${SUFFIX-rc}` is nothing;
# - `'app:${VERSION}'`, in single quotes, is filled.
# shellcheck source=findings/common.bash
# shellcheck disable=SC2016 # compose files
. "${BASH_SOURCE[0]%/*}/common.bash"

python podman-compose==1.6.0 python-dotenv==1.2.4 PyYAML==6.0.3
debian_of trixie docker-compose=2.26.1-4
# `podman-compose config` runs podman to learn its version, and for nothing else.
printf '#!/bin/sh\necho podman version 5.4.2\n' >podman
chmod +x podman
cat >.env <<'EOT'
VERSION=dev
BUILD=17
FROM_ENV_FILE=app:${VERSION}
NO_BRACES=app:$BUILD
DEFAULT=app:1-${SUFFIX-rc}
LITERAL='app:${VERSION}'
EOT
cat >compose.yaml <<'EOT'
name: test
services:
  a: {image: "app:${VERSION}"}
  b: {image: "${FROM_ENV_FILE}"}
  c: {image: "${NO_BRACES}"}
  d: {image: "${DEFAULT}"}
  e: {image: "${LITERAL}"}
EOT
export VERSION=1.4.2
# images COMMAND...: print the images of all services.
images() {
    "$@" config 2>/dev/null | sed --quiet 's/^ *image: //p' | paste --serial --delimiters=' '
}
expect 'app:1.4.2 app:1.4.2 app:17 app:1-rc app:$${VERSION}' \
    "docker-compose (which writes \$ as \$\$): $(images root/usr/libexec/docker/cli-plugins/docker-compose)"
expect 'app:1.4.2 app:dev app:$BUILD app:1- app:dev' \
    "podman-compose: $(images venv/bin/podman-compose --podman-path "$PWD/podman")"
