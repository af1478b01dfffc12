#!/usr/bin/env bash
# deflate 0.9.0 (PyPI, libdeflate) and fflate 0.8.3 (npm): a gzip file may have several members (RFC 1952, section 2.2).
# `deflate.gzip_decompress` and `fflate.gunzipSync` size their output by the file's last four bytes, the length of the
# last member, and decompress the first member into it, so the result depends on a member that they do not read.
# If the last member is empty, as in every file of htslib's bgzip, both return nothing, without an error. A first member
# that is longer than the last one raises DeflateError, and is cut by fflate. fflate's stream `Gunzip` reads all members.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python deflate==0.9.0
javascript fflate@0.8.3
for word in one two three ''; do printf '%s' "$word" | gzip --no-name >"member-$word"; done
cat member-one member-three >growing
cat member-three member-one >shrinking
cat member-one member-two member- >empty-last
cat >unpack.mjs <<'JAVASCRIPT'
import { readFileSync } from 'node:fs'
import { gunzipSync, Gunzip } from 'fflate'

for (const name of ['growing', 'shrinking', 'empty-last']) {
  const packed = readFileSync(name)
  const streamed = []
  new Gunzip(chunk => streamed.push(chunk)).push(packed, true)
  console.log(name, 'gunzipSync', `'${Buffer.from(gunzipSync(packed))}'`, 'Gunzip', `'${Buffer.concat(streamed)}'`)
}
JAVASCRIPT
expect "onetwo" "gzip: $(gzip --decompress --stdout <empty-last)"
found=$(venv/bin/python - <<'PYTHON'
import deflate

for name in ("growing", "shrinking", "empty-last"):
    try:
        print(name, bytes(deflate.gzip_decompress(open(name, "rb").read())))
    except deflate.DeflateError as error:
        print(name, repr(error))
PYTHON
)
expect "growing b'one'
shrinking DeflateError('Decompression failed')
empty-last b''" "$found"
expect "growing gunzipSync 'one' Gunzip 'onethree'
shrinking gunzipSync 'thr' Gunzip 'threeone'
empty-last gunzipSync '' Gunzip 'onetwo'" "$(node unpack.mjs)"
