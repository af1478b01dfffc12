#!/usr/bin/env bash
# modern-tar 0.8.6 (npm): GNU tar's own format writes a time before 1970 as a negative number in base 256. `unpackTar`
# takes the header for a damaged one and leaves the file out, without an error; with `strict: true` it raises "TAR
# number too large". The usual `--mtime 1970-01-01` of reproducible archives is such a time in every zone east of
# Greenwich. The POSIX format, which has a PAX record for the time, is read. GNU tar, Python's tarfile and `tar` 7.5.23
# (npm) read both.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript modern-tar@0.8.6 tar@7.5.23
touch old new
for format in gnu posix; do
    TZ=UTC-1 tar --create --format "$format" --file "$format.tar" --mtime 1970-01-01 old
    tar --append --format "$format" --file "$format.tar" --mtime @0 new
done
cat >list.mjs <<'JAVASCRIPT'
import { readFileSync } from 'node:fs'
import * as modernTar from 'modern-tar'
import * as tar from 'tar'

for (const format of ['gnu', 'posix']) {
  for (const strict of [false, true]) {
    const names = modernTar.unpackTar(readFileSync(`${format}.tar`), { strict }).then(
      entries => entries.map(entry => entry.header.name).join(' '),
      error => error.message
    )
    console.log(`modern-tar, ${format}, strict ${strict}:`, await names)
  }
  const names = []
  tar.list({ file: `${format}.tar`, sync: true, onReadEntry: entry => names.push(entry.path) })
  console.log(`tar, ${format}:`, names.join(' '))
}
JAVASCRIPT
for format in gnu posix; do
    expect 'old new' "GNU tar, $format: $(tar --list --file "$format.tar" | paste --serial --delimiters=' ')"
    expect "['old', 'new']" "tarfile, $format: $(python3 -c "import tarfile; print(tarfile.open('$format.tar').getnames())")"
done
expect 'modern-tar, gnu, strict false: new
modern-tar, gnu, strict true: TAR number too large
tar, gnu: old new
modern-tar, posix, strict false: old new
modern-tar, posix, strict true: old new
tar, posix: old new' "$(node list.mjs)"
