#!/usr/bin/env bash
# docker-parse-image 3.0.1 (npm): its `fullname` adds Docker Hub's namespace `library` to names of other registries:
# `registry.example:5000/app:1` becomes `registry.example:5000/library/app:1`, which is another repository. A digest is
# returned as the tag (`app@sha256:e3b0` becomes `library/app:sha256:e3b0`), and a name with four parts as null.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript docker-parse-image@3.0.1
cat >parse.mjs <<'JAVASCRIPT'
import parse from 'docker-parse-image'

const digest = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
for (const name of ['app:1', 'registry.example:5000/app:1', `app@${digest}`, 'registry.example/a/b/app:1']) {
  console.log(name, '->', parse(name)?.fullname)
}
JAVASCRIPT
expect 'app:1 -> library/app:1
registry.example:5000/app:1 -> registry.example:5000/library/app:1
app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 -> library/app:sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
registry.example/a/b/app:1 -> undefined' "$(node parse.mjs)"
