#!/usr/bin/env bash
# nanotar 0.3.0 and @andrewbranch/untar.js 1.0.4 (npm): an archive of GNU tar that has a label (`--label`, typeflag `V`)
# starts with a header whose size field is empty, which means 0. nanotar returns the label as the only entry, and
# untar.js nothing at all; all files are missing, without an error. GNU tar, Python's tarfile and `tar` 7.5.23 (npm)
# return the file.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript nanotar@0.3.0 @andrewbranch/untar.js@1.0.4 tar@7.5.23
echo content >file
tar --create --format gnu --label backup --file archive.tar file
cat >list.mjs <<'JAVASCRIPT'
import { readFileSync } from 'node:fs'
import { untar } from '@andrewbranch/untar.js'
import * as nanotar from 'nanotar'
import * as tar from 'tar'

const { buffer, byteOffset, byteLength } = readFileSync('archive.tar')
const data = buffer.slice(byteOffset, byteOffset + byteLength)
console.log('nanotar:', nanotar.parseTar(data).map(entry => entry.name))
console.log('untar.js:', untar(data).map(entry => entry.filename))
tar.list({ file: 'archive.tar', sync: true, onReadEntry: entry => console.log('tar:', entry.path) })
JAVASCRIPT
expect file "GNU tar: $(tar --list --file archive.tar | paste --serial --delimiters=' ')"
expect "'file'" "tarfile: $(python3 -c 'import tarfile; print(tarfile.open("archive.tar").getnames())')"
expect "nanotar: [ 'backup' ]
untar.js: []
tar: file" "$(node list.mjs)"
