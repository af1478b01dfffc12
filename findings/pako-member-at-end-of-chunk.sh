#!/usr/bin/env bash
# pako 3.0.3 (npm): a gzip file may have several members (RFC 1952, section 2.2); layers in eStargz have one for each
# file. `Inflate` reads all of them, unless a chunk ends exactly where a member ends: it takes that for the end of the
# stream and drops what follows, although `err` stays 0 and `push` returns true. So the result depends on the sizes of
# the chunks, which a network sets. `ungzip` of the same bytes returns everything, as does `Gunzip`, fflate 0.8.3's
# stream.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript pako@3.0.3 fflate@0.8.3
for word in one two; do printf '%s' "$word" | gzip --no-name >"member-$word"; done
cat member-one member-two >packed
expect onetwo "gzip: $(gzip --decompress --stdout <packed)"
cat >unpack.mjs <<'JAVASCRIPT'
import { readFileSync } from 'node:fs'
import { Gunzip } from 'fflate'
import { Inflate, ungzip } from 'pako'

const packed = readFileSync('packed')
const end = readFileSync('member-one').length
const text = data => `'${Buffer.from(data)}'`
for (const size of [end - 1, end, end + 1]) {
  const inflate = new Inflate()
  const streamed = []
  const gunzip = new Gunzip(chunk => streamed.push(chunk))
  for (let start = 0; start < packed.length; start += size) {
    const chunk = new Uint8Array(packed.subarray(start, start + size))
    inflate.push(chunk)
    gunzip.push(chunk, start + size >= packed.length)
  }
  const inflated = inflate.result ?? Buffer.concat(inflate.chunks)
  console.log(`chunks of ${size} bytes: Inflate ${text(inflated)}, err ${inflate.err}, Gunzip ${text(Buffer.concat(streamed))}`)
}
console.log('ungzip:', text(ungzip(packed)))
JAVASCRIPT
expect "chunks of 22 bytes: Inflate 'onetwo', err 0, Gunzip 'onetwo'
chunks of 23 bytes: Inflate 'one', err 0, Gunzip 'onetwo'
chunks of 24 bytes: Inflate 'onetwo', err 0, Gunzip 'onetwo'
ungzip: 'onetwo'" "$(node unpack.mjs)"
