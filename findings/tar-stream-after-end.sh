#!/usr/bin/env bash
# tar-stream 3.2.2 (npm): two blocks of zeros end a tar archive, and what follows is not part of it. tar-stream reads on,
# and returns the entries of an archive that is appended to the first one; GNU tar (without --ignore-zeros), Python's
# tarfile and `tar` 7.5.23 (npm) return those of the first archive only.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript tar-stream@3.2.2 tar@7.5.23
for name in first second; do
    echo content >"$name"
    tar --create --file "$name.tar" "$name"
done
cat first.tar second.tar >both.tar
cat >list.mjs <<'JAVASCRIPT'
import { createReadStream } from 'node:fs'
import tarStream from 'tar-stream'
import * as tar from 'tar'

const extract = tarStream.extract()
createReadStream('both.tar').pipe(extract)
for await (const entry of extract) {
  console.log('tar-stream:', entry.header.name)
  entry.resume()
}
tar.list({ file: 'both.tar', sync: true, onReadEntry: entry => console.log('tar:', entry.path) })
JAVASCRIPT
expect 'GNU tar: first.' "GNU tar: $(tar --list --file both.tar)."
expect "tarfile: ['first']" "tarfile: $(python3 -c 'import tarfile; print(tarfile.open("both.tar").getnames())')"
expect 'tar-stream: first
tar-stream: second
tar: first.' "$(node list.mjs)."
