#!/usr/bin/env bash
# pgzip 0.4.0 (PyPI): it reads a gzip header's extra field (RFC 1952, section 2.3.1.1) only if the field is its own.
# After any other it takes the field for compressed data, and raises "Error -3 while decompressing data". So it cannot
# read files of bgzip, nor eStargz layers of container images, whose last member holds the offset of the index in an
# extra field `SG`. Python's gzip reads both.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python pgzip==0.4.0
# shellcheck disable=SC2016 # Python
found=$(venv/bin/python - <<'PYTHON'
import gzip, struct, zlib
import pgzip


def member(content, extra):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    header = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + struct.pack("<H", len(extra)) + extra
    packed = compressor.compress(content) + compressor.flush()
    return header + packed + struct.pack("<II", zlib.crc32(content), len(content))


def bgzf(content):
    size = len(member(content, b"BC\2\0\0\0")) - 1
    return member(content, b"BC\2\0" + struct.pack("<H", size))


files = {
    "own": pgzip.compress(b"content"),
    "bgzip": bgzf(b"content") + bgzf(b""),
    "eStargz": gzip.compress(b"content", mtime=0) + member(b"", b"SG\x16\0%016xSTARGZ" % 10),
}
for name, packed in files.items():
    print(name, "gzip", gzip.decompress(packed), end=" pgzip ")
    try:
        print(pgzip.decompress(packed))
    except zlib.error as error:
        print(str(error).partition(":")[0])
PYTHON
)
expect "own gzip b'content' pgzip b'content'
bgzip gzip b'content' pgzip Error -3 while decompressing data
eStargz gzip b'content' pgzip Error -3 while decompressing data" "$found"
