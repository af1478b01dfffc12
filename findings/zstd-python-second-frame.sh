#!/usr/bin/env bash
# zstd 1.5.7.2 (PyPI): a file may have several frames, whose contents are joined (RFC 8878, section 3), and a frame need
# not hold the length of its content: `zstd` leaves it out if it reads from a pipe. `decompress` handles several frames
# if all hold their lengths. If the first one does not, it returns the content of that frame only, without an error, so
# a layer of several frames, as parallel and seekable compressors write them, is cut. If only a later one does not, it
# raises Error. `zstd -d` returns everything.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python zstd==1.5.7.2
debian zstd=1.5.4+dfsg2-5

for word in one two; do
    printf %s "$word" >"$word"
    root/usr/bin/zstd --quiet "$word" -o "$word-length.zst"
    root/usr/bin/zstd --quiet <"$word" >"$word-none.zst"
done
for first in length none; do
    for second in length none; do
        cat "one-$first.zst" "two-$second.zst" >"$first-$second"
        expect onetwo "zstd, $first-$second: $(root/usr/bin/zstd --decompress --stdout <"$first-$second")"
    done
done
found=$(venv/bin/python - <<'PYTHON'
import zstd

for name in ("length-length", "length-none", "none-length", "none-none"):
    try:
        print(f"{name}:", zstd.decompress(open(name, "rb").read()))
    except zstd.Error as error:
        print(f"{name}:", repr(error))
PYTHON
)
expect "length-length: b'onetwo'
length-none: Error('Decompression error: Destination buffer is too small')
none-length: b'one'
none-none: b'one'" "$found"
