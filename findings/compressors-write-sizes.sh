#!/usr/bin/env bash
# isal 1.9.1 and zlib-ng 1.1.0 (PyPI): the bytes of a `compressobj` depend on the sizes of the pieces that it is given,
# in one thread, at one level and without a flush between them. zlib's do not, so a replacement of zlib, whose interface
# both offer, changes a digest of the compressed bytes (a layer's, for example) with the size of a read buffer.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python isal==1.9.1 zlib-ng==1.1.0
found=$(venv/bin/python - <<'PYTHON'
import random, zlib
from isal import isal_zlib
from zlib_ng import zlib_ng

content = bytes(random.Random(1).choices(b"abcdefgh", k=300_000))


def packed(library, level, size):
    compressor = library.compressobj(level, library.DEFLATED, 31)
    pieces = [compressor.compress(content[start : start + size]) for start in range(0, len(content), size)]
    return b"".join([*pieces, compressor.flush()])


for name, library, level in (("zlib", zlib, 6), ("zlib-ng", zlib_ng, 6), ("isal", isal_zlib, 2)):
    results = [packed(library, level, size) for size in (1000, 4096, 65536)]
    assert all(zlib.decompress(result, 31) == content for result in results)
    print(f"{name}: {len(set(results))} result(s), of {[len(result) for result in results]} bytes")
PYTHON
)
for words in 'zlib: 1 result(s)' 'zlib-ng: 3 result(s)' 'isal: 3 result(s)'; do
    expect "$words" "$(grep "^${words%%:*}:" <<<"$found")"
done
