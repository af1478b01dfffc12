#!/usr/bin/env bash
# fzstd 0.1.1 (PyPI, a translation of fzstd of npm): if a frame does not hold the length of its content, `decompress`
# returns the right number of bytes, but literals that are compressed (by Huffman codes) become zeros, without an error:
# they are decoded into a slice of a bytearray, which in Python is a copy. `zstd` writes such a frame if it reads from a
# pipe. If it reads from a file, the frame holds the length, and the content is right; `Decompress` (for streams)
# returns zeros even then. fzstd 0.1.1 (npm) is right in both cases.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python fzstd==0.1.1
javascript fzstd@0.1.1
debian zstd=1.5.4+dfsg2-5

seq 1 2000 >numbers
root/usr/bin/zstd --quiet numbers -o file.zst
root/usr/bin/zstd --quiet <numbers >pipe.zst
cat >unpack.mjs <<'JAVASCRIPT'
import { readFileSync } from 'node:fs'
import { decompress } from 'fzstd'

for (const name of ['file', 'pipe']) {
  const same = readFileSync('numbers').equals(decompress(readFileSync(`${name}.zst`)))
  console.log(`npm, decompress, ${name}:`, same ? 'right' : 'wrong')
}
JAVASCRIPT
cat >unpack.py <<'PYTHON'
import fzstd

content = open("numbers", "rb").read()


def streamed(packed):
    pieces = []
    fzstd.Decompress(lambda piece, final: pieces.append(piece)).push(packed, True)
    return b"".join(pieces)


for unpack in (fzstd.decompress, streamed):
    for name in ("file", "pipe"):
        unpacked = unpack(open(f"{name}.zst", "rb").read())
        result = "right" if unpacked == content else "zeros" if unpacked == bytes(len(content)) else "wrong"
        print(f"PyPI, {unpack.__name__}, {name}: {result}")
PYTHON
for name in file pipe; do
    root/usr/bin/zstd --decompress --stdout "$name.zst" | cmp - numbers
done
expect 'npm, decompress, file: right
npm, decompress, pipe: right' "$(node unpack.mjs)"
expect 'PyPI, decompress, file: right
PyPI, decompress, pipe: zeros
PyPI, streamed, file: zeros
PyPI, streamed, pipe: zeros' "$(venv/bin/python unpack.py)"
