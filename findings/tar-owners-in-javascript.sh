#!/usr/bin/env bash
# Four npm packages that write tar archives write another owner, without an error, if its number is over 2097151, which
# is usual in OpenShift (1000680000, for example) and in user namespaces. The octal field of ustar has no room for it;
# GNU tar and modern-tar 0.8.6 add a PAX record.
# - tar-stream 3.2.2, so also tar-fs 3.1.3 for a file on the disk, and it-tar 6.0.6: always 262143 (all digits are 7).
# - tinytar 0.1.0: the last digits (338496). nanotar 0.3.0: the first ones (15635625).
# A layer or a build context that they write gives its files to a user that does not exist.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript tar-stream@3.2.2 tar-fs@3.1.3 it-tar@6.0.6 tinytar@0.1.0 nanotar@0.3.0 modern-tar@0.8.6
cat >pack.mjs <<'JAVASCRIPT'
import { writeFileSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import * as itTar from 'it-tar'
import * as modernTar from 'modern-tar'
import * as nanotar from 'nanotar'
import tarFs from 'tar-fs'
import tarStream from 'tar-stream'
import tinytar from 'tinytar'

const uid = 1000680000
const pack = tarStream.pack()
pack.entry({ name: 'file', uid }, 'content')
pack.finalize()
const chunks = []
for await (const chunk of itTar.pack()([{ header: { name: 'file', uid, size: 7 }, body: Buffer.from('content') }])) {
  chunks.push(chunk.subarray())
}
const archives = {
  'tar-stream': await buffer(pack),
  'it-tar': Buffer.concat(chunks),
  tinytar: tinytar.tar([{ name: 'file', data: 'content', uid }]),
  nanotar: nanotar.createTar([{ name: 'file', data: 'content', attrs: { uid } }]),
  'modern-tar': await modernTar.packTar([{ header: { name: 'file', uid, size: 7 }, body: 'content' }])
}
const map = header => ({ ...header, uid }) // as if the file on the disk had this owner
archives['tar-fs'] = await buffer(tarFs.pack('.', { entries: ['file'], map }))
for (const [name, archive] of Object.entries(archives)) writeFileSync(`${name}.tar`, archive)
JAVASCRIPT
printf content >file
node --no-deprecation pack.mjs
tar --create --file gnu.tar --format posix --owner 1000680000 --numeric-owner file
for name in gnu modern-tar tar-stream tar-fs it-tar tinytar nanotar; do
    owner=$(tar --list --verbose --numeric-owner --file "$name.tar" 2>/dev/null | cut --delimiter=' ' --fields=2)
    echo "$name: ${owner%/*}"
done >owners
expect 'gnu: 1000680000
modern-tar: 1000680000
tar-stream: 262143
tar-fs: 262143
it-tar: 262143
tinytar: 338496
nanotar: 15635625' "$(cat owners)"
