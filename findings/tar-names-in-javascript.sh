#!/usr/bin/env bash
# Four npm packages that read tar archives return other names than those that GNU tar wrote, without an error, if a name
# has more than 100 bytes:
# - nanotar 0.3.0 and @obsidize/tar-browserify 6.3.2 ignore the prefix of `--format ustar` (Go's archive/tar, which
#   Docker uses, writes it too). The name loses the folders at its start, so files of two folders have one name.
# - @remix-run/tar-parser 0.7.1 and @obsidize/tar-browserify end a name of `--format gnu` with the byte 0.
# - @andrewbranch/untar.js 1.0.4 cuts names of `--format gnu` and `--format posix` after 100 bytes.
# tar-stream 3.2.2 and Python's tarfile return the right names.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript nanotar@0.3.0 @obsidize/tar-browserify@6.3.2 @remix-run/tar-parser@0.7.1 @andrewbranch/untar.js@1.0.4 \
    tar-stream@3.2.2
long=$(printf '%060d' 0)
for name in one two; do
    mkdir --parents "$name/$long"
    echo "$name" >"$name/$long/$long"
done
for format in ustar gnu posix; do tar --create --format "$format" --file "$format.tar" {one,two}/"$long/$long"; done
cat >names.mjs <<'JAVASCRIPT'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { Archive } from '@obsidize/tar-browserify'
import { untar } from '@andrewbranch/untar.js'
import { parseTar } from '@remix-run/tar-parser'
import * as nanotar from 'nanotar'
import tarStream from 'tar-stream'

const readers = {
  nanotar: data => nanotar.parseTar(data).map(entry => entry.name),
  obsidize: async data => (await Archive.extract(new Uint8Array(data))).entries.map(entry => entry.fileName),
  remix: async data => {
    const names = []
    await parseTar(new Uint8Array(data), entry => { names.push(entry.name) })
    return names
  },
  untar: data => untar(data).map(entry => entry.filename),
  'tar-stream': async data => {
    const names = []
    for await (const entry of Readable.from([Buffer.from(data)]).pipe(tarStream.extract())) {
      names.push(entry.header.name)
      entry.resume()
    }
    return names
  },
}
for (const format of ['ustar', 'gnu', 'posix']) {
  const { buffer, byteOffset, byteLength } = readFileSync(`${format}.tar`)
  for (const [reader, read] of Object.entries(readers)) {
    const names = await read(buffer.slice(byteOffset, byteOffset + byteLength))
    console.log(format, reader, ...names.map(name => name.replace(/0+/g, zeros => zeros.length).replace('\0', '<NUL>')))
  }
}
JAVASCRIPT
expect 'ustar nanotar 60 60
ustar obsidize 60 60
ustar remix one/60/60 two/60/60
ustar untar one/60/60 two/60/60
ustar tar-stream one/60/60 two/60/60
gnu nanotar one/60/60 two/60/60
gnu obsidize one/60/60<NUL> two/60/60<NUL>
gnu remix one/60/60<NUL> two/60/60<NUL>
gnu untar one/60/35 two/60/35
gnu tar-stream one/60/60 two/60/60
posix nanotar one/60/60 two/60/60
posix obsidize one/60/60 two/60/60
posix remix one/60/60 two/60/60
posix untar one/60/35 two/60/35
posix tar-stream one/60/60 two/60/60' "$(node names.mjs)"
for format in ustar gnu posix; do
    expect 'one/60/60 two/60/60' "$format tarfile $(python3 -c '
import sys, tarfile
print(*(name.replace("0" * 60, "60") for name in tarfile.open(sys.argv[1]).getnames()))' "$format.tar")"
done
