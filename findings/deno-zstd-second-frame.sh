#!/usr/bin/env bash
# Deno 2.9.6 (npm, node:zlib): a file of zstd may have several frames, whose contents are joined (RFC 8878, section 3).
# `zstdDecompressSync` returns the first frame only, without an error, unless its content is a multiple of `chunkSize`
# (16384 bytes by default): then it goes on with the next frame. So tests with frames of such a size pass, and a file
# that starts with a skippable frame, as every file of pzstd does, is empty. `createZstdDecompress` drops the second
# frame if it gets both in one piece, raises "Unknown frame descriptor" if a piece ends in the second one, and
# returns both if each piece is one byte. Deno's `gunzipSync` reads all members of a gzip file.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript deno@2.9.6
debian zstd=1.5.4+dfsg2-5

for size in 16383 16384 16385; do
    head --bytes "$size" /dev/zero >zeros
    root/usr/bin/zstd --quiet <zeros >"$size"
    gzip <zeros >"$size.gz"
    printf end | root/usr/bin/zstd --quiet >>"$size"
    printf end | gzip >>"$size.gz"
    expect "$((size + 3)) bytes" "zstd, $size: $(root/usr/bin/zstd --decompress --stdout <"$size" | wc --bytes) bytes"
done
root/usr/bin/pzstd --quiet zeros -o pzstd
cat >unpack.mjs <<'JAVASCRIPT'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { createZstdDecompress, gunzipSync, zstdDecompressSync } from 'node:zlib'

function* pieces(data, size) {
  for (let start = 0; start < data.length; start += size) yield data.subarray(start, start + size)
}

for (const name of ['16383', '16384', '16385', 'pzstd']) {
  const lengths = [16384, 32768].map(chunkSize => zstdDecompressSync(readFileSync(name), { chunkSize }).length)
  console.log(`${name}: ${lengths[0]}, with chunkSize 32768 ${lengths[1]}`)
}
const data = readFileSync('16385')
for (const size of [1, data.length - 8, data.length]) {
  const unpacked = Readable.from(pieces(data, size)).compose(createZstdDecompress())
  console.log(`16385, pieces of ${size}:`, await buffer(unpacked).then(all => all.length, error => error.message))
}
for (const name of ['16384.gz', '16385.gz']) console.log(`${name}: ${gunzipSync(readFileSync(name)).length}`)
JAVASCRIPT
found=$(DENO_DIR=$folder/deno DENO_NO_UPDATE_CHECK=1 node_modules/.bin/deno run --allow-read unpack.mjs)
expect '16383: 16383, with chunkSize 32768 16383
16384: 16387, with chunkSize 32768 16384
16385: 16385, with chunkSize 32768 16385
pzstd: 0, with chunkSize 32768 0
16385, pieces of 1: 16388
16385, pieces of 30: Zstd decompress error: Unknown frame descriptor
16385, pieces of 38: 16385
16384.gz: 16387
16385.gz: 16388' "$found"
