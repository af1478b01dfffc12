#!/usr/bin/env bash
# zstandard 0.25.0 (PyPI): a file that starts with a skippable frame, as every file of pzstd does (Debian 12, zstd
# 1.5.4), is valid (RFC 8878, section 3.1.2), and `zstd -d` decompresses it. `decompress` raises ZstdError, and
# `decompressobj` returns nothing, without an error; `stream_reader` and `copy_stream` return the content.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python zstandard==0.25.0
debian zstd=1.5.4+dfsg2-5

printf 'to be or not to be' >plain
root/usr/bin/pzstd --quiet plain -o packed.zst
expect 'to be or not to be' "zstd: $(root/usr/bin/zstd --decompress --stdout packed.zst)"
# shellcheck disable=SC2016 # Python
found=$(venv/bin/python - <<'PYTHON'
import zstandard

packed = open("packed.zst", "rb").read()
decompressor = zstandard.ZstdDecompressor()
print("begins with", packed[:4].hex())
print("stream_reader:", decompressor.stream_reader(packed).read())
print("decompressobj:", zstandard.ZstdDecompressor().decompressobj().decompress(packed))
try:
    print("decompress:", decompressor.decompress(packed, max_output_size=1000))
except zstandard.ZstdError as error:
    print("decompress:", error)
PYTHON
)
expect "begins with 502a4d18
stream_reader: b'to be or not to be'
decompressobj: b''
decompress: decompression error" "$found"
