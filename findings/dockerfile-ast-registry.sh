#!/usr/bin/env bash
# dockerfile-ast 0.7.1 (npm): what `From` returns of a base image is wrong for two forms of names, without an error:
# - If the last part of a Docker Hub name has a dot, as in `team/my.app:1`, its first part is the registry.
# - If a name has a registry with a port, a tag and a digest, as a pinned image of a registry of one's own has, there is
#   no tag, and it is part of the name.
# Without the dot, the port or the digest, the answers are right. Docker takes what precedes the first slash for a
# registry if that itself has a dot or a colon, or is localhost.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript dockerfile-ast@0.7.1
cat >parse.cjs <<'JAVASCRIPT'
const { DockerfileParser } = require('dockerfile-ast')
const digest = `@sha256:${'0'.repeat(64)}`
for (const name of ['team/app:1', 'team/my.app:1', 'localhost:5000/app:1', `registry.example/app:1${digest}`,
  `localhost:5000/app:1${digest}`]) {
  const from = DockerfileParser.parse(`FROM ${name}`).getFROMs()[0]
  console.log(`${name.replace(/0{64}/, '0…')}:`, from.getRegistry(), from.getImageName(), from.getImageTag())
}
JAVASCRIPT
expect 'team/app:1: null team/app 1
team/my.app:1: team my.app 1
localhost:5000/app:1: localhost:5000 app 1
registry.example/app:1@sha256:0…: registry.example app 1
localhost:5000/app:1@sha256:0…: localhost:5000 app:1 null' "$(node parse.cjs)"
