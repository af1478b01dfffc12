#!/usr/bin/env bash
# docker 7.2.0 (PyPI), @balena/dockerignore 1.0.2 and @zeit/dockerignore 0.0.5 (npm): the lines of .dockerignore are
# patterns of Go's filepath.Match, by Docker's documentation, and these distinguish capital letters; so do the file
# systems of Linux. All three libraries ignore the case by default, so the line `Build` also keeps the folder `build`
# out of the build context, without a word, and an image that `docker build` makes has other files or cannot be built.
# @balena/dockerignore has the option `ignorecase: false`; @zeit/dockerignore has it too, but goes on ignoring the case.
# The pattern `\#x`, which is the way to name a file `#x` (a line that starts with `#` is a comment), leaves that file
# out in the npm packages, and not in docker.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python docker==7.2.0
javascript @balena/dockerignore@1.0.2 @zeit/dockerignore@0.0.5
mkdir context
touch context/{build,other,'#x'}
cat >filter.cjs <<'JAVASCRIPT'
const files = ['#x', 'build', 'other']
for (const name of ['@balena/dockerignore', '@zeit/dockerignore']) {
  const ignore = require(name)
  console.log(`${name}:`, ignore().add('Build').filter(files).join(' '))
  console.log(`${name}, ignorecase false:`, ignore({ ignorecase: false }).add('Build').filter(files).join(' '))
  console.log(`${name}, \\#x:`, ignore().add('\\#x').filter(files).join(' '))
}
JAVASCRIPT
found=$(venv/bin/python - <<'PYTHON'
from docker.utils.build import exclude_paths

for pattern in ("Build", "\\#x"):
    print(f"docker, {pattern}:", *sorted(exclude_paths("context", [pattern])))
PYTHON
)
expect 'docker, Build: #x other
docker, \#x: #x build other' "$found"
expect '@balena/dockerignore: #x other
@balena/dockerignore, ignorecase false: #x build other
@balena/dockerignore, \#x: build other
@zeit/dockerignore: #x other
@zeit/dockerignore, ignorecase false: #x other
@zeit/dockerignore, \#x: build other' "$(node filter.cjs)"
