#!/usr/bin/env bash
# tar-stream 3.2.2 (npm): an owner over 2097151, usual for users of user namespaces and of directory services, does not
# fit a ustar header; GNU tar then writes 0 there and the owner in a PAX record. tar-stream applies the PAX records of
# path, linkpath and size only: its `header.uid` is 0, so the file belongs to root (the record is in `header.pax`).
# The same owner in GNU tar's older format (base 256) is read, and `tar` 7.5.23 (npm) reads both.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript tar-stream@3.2.2 tar@7.5.23
echo content >file
for format in gnu posix; do tar --create --file "$format.tar" --format "$format" --owner 3000000 --numeric-owner file; done
cat >list.mjs <<'JAVASCRIPT'
import { createReadStream } from 'node:fs'
import tarStream from 'tar-stream'
import * as tar from 'tar'

for (const format of ['gnu', 'posix']) {
  const extract = tarStream.extract()
  createReadStream(`${format}.tar`).pipe(extract)
  for await (const entry of extract) {
    console.log(`${format}: tar-stream uid ${entry.header.uid}, PAX record ${entry.header.pax?.uid}`)
    entry.resume()
  }
  tar.list({ file: `${format}.tar`, sync: true, onReadEntry: entry => console.log(`${format}: tar uid ${entry.uid}`) })
}
JAVASCRIPT
expect "gnu: tar-stream uid 3000000, PAX record undefined
gnu: tar uid 3000000
posix: tar-stream uid 0, PAX record 3000000
posix: tar uid 3000000" "$(node list.mjs)"
