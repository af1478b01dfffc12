#!/usr/bin/env bash
# @oneidentity/zstd-js 1.0.3 (npm): `ZstdSimple.compress` adds 18 bytes to the content, and `ZstdSimple.decompress` cuts
# the last 18 bytes off, so only the two together are right. A file of `zstd` loses its last 18 bytes, and a file that
# `ZstdSimple` wrote has 18 bytes too many for every other program, such as a container engine that unpacks a layer: its
# digest is another one. Neither reports an error. `ZstdStream` of the same package is right in both directions.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript @oneidentity/zstd-js@1.0.3
debian zstd=1.5.4+dfsg2-5

seq 1 2000 >content
root/usr/bin/zstd --quiet content -o file.zst
cat >lengths.cjs <<'JAVASCRIPT'
const { readFileSync, writeFileSync } = require('node:fs')
const { ZstdInit } = require('@oneidentity/zstd-js')

ZstdInit().then(libraries => {
  const content = new Uint8Array(readFileSync('content'))
  const packed = new Uint8Array(readFileSync('file.zst'))
  for (const name of ['ZstdSimple', 'ZstdStream']) {
    const library = libraries[name]
    const own = library.compress(content, 3, false)
    writeFileSync(`${name}.zst`, own)
    const lengths = [library.decompress(packed), library.decompress(own)].map(data => data.length - content.length)
    console.log(`${name}: file of zstd ${lengths[0]}, own file ${lengths[1]}`)
  }
})
JAVASCRIPT
expect 'ZstdSimple: file of zstd -18, own file 0
ZstdStream: file of zstd 0, own file 0' "$(node lengths.cjs)"
for name in ZstdSimple ZstdStream file; do
    echo "zstd, $name: $(($(root/usr/bin/zstd --decompress --stdout "$name.zst" | wc --bytes) - $(wc --bytes <content)))"
done >lengths
expect 'zstd, ZstdSimple: 18
zstd, ZstdStream: 0
zstd, file: 0' "$(cat lengths)"
