#!/usr/bin/env bash
# tar 7.5.23 (npm): it extracts the sparse files of GNU tar (`--sparse`) wrongly, with `strict: true` too, and without a
# warning. In GNU tar's own format the file is left out. In the POSIX format it gets the name
# `GNUSparseFile.<pid>/<name>`, and its content is the map of the holes and then the data without the holes; the true
# name and size are in PAX records, which tar ignores. Python's tarfile extracts both.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript tar@7.5.23
truncate --size 1M sparse
printf end >>sparse
for format in gnu posix; do
    tar --create --sparse --hole-detection raw --file "$format.tar" --format "$format" sparse
done
cat >extract.mjs <<'JAVASCRIPT'
import { mkdirSync } from 'node:fs'
import * as tar from 'tar'

for (const format of ['gnu', 'posix']) {
  mkdirSync(format)
  await tar.extract({ file: `${format}.tar`, cwd: format, strict: true, onwarn: (code, message) => console.log(code, message) })
}
JAVASCRIPT
expect 'warnings: .' "warnings: $(node extract.mjs)."
expect 'gnu: .' "gnu: $(find gnu -type f)."
found=$(find posix -type f -printf '%P, %s bytes')
expect '/sparse, 515 bytes' "posix: $found"
expect GNUSparseFile. "${found%%/*}"
for format in gnu posix; do
    expect 'sparse 1048579' "tarfile, $format: $(python3 -c '
import sys, tarfile
archive = tarfile.open(sys.argv[1])
for member in archive:
    print(member.name, len(archive.extractfile(member).read()))' "$format.tar")"
done
