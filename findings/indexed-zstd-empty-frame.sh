#!/usr/bin/env bash
# indexed_zstd 1.7.2 (PyPI): a file of zstd may have several frames, whose contents are joined (RFC 8878, section 3),
# and a frame may be empty: `zstd` writes one for an empty file, and `cat` joins files. `IndexedZstdFile.read` takes an
# empty frame for the end of the file: it returns what is before it, which is nothing if it is the first one, without an
# error, although `block_offsets` lists the frames that follow. `zstd -d` returns everything.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python indexed_zstd==1.7.2
debian zstd=1.5.4+dfsg2-5

for word in one two ''; do printf %s "$word" | root/usr/bin/zstd --quiet >"frame-$word"; done
cat frame-one frame-two >none
cat frame- frame-one frame-two >first
cat frame-one frame- frame-two >middle
for name in none first middle; do
    expect onetwo "zstd, empty frame: $name: $(root/usr/bin/zstd --decompress --stdout <"$name")"
done
found=$(venv/bin/python - <<'PYTHON'
import indexed_zstd

for name in ("none", "first", "middle"):
    file = indexed_zstd.IndexedZstdFile(name)
    print(f"empty frame: {name}:", file.read(), "of", max(file.block_offsets().values()), "bytes")
PYTHON
)
expect "empty frame: none: b'onetwo' of 6 bytes
empty frame: first: b'' of 6 bytes
empty frame: middle: b'one' of 6 bytes" "$found"
