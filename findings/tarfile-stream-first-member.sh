#!/usr/bin/env bash
# tarfile of Python 3.14, as backports.zstd 1.8.0 (PyPI) has it for older ones: `tarfile.open` reads all members of a
# gzip file and all frames of a zstd file, unless its mode is one for streams (`r|gz`, `r|zst`, `r|*`), which programs
# use for a layer that comes from a network. Then it reads the first one only. A layer with a gzip member for each file,
# as in eStargz, is listed as one file, without an error; one that was compressed in pieces, as bgzip and zstd's
# seekable format do, raises ReadError ("unexpected end of data"), and a zstd one EOFError.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python backports.zstd==1.8.0
debian zstd=1.5.4+dfsg2-5

seq 20000 >one
seq 20001 40000 >two
tar --create --file layer.tar one two
split --bytes 150000 layer.tar piece-
split --bytes $((512 + (($(wc --bytes <one) + 511) / 512) * 512)) layer.tar file-
for kind in piece file; do
    for part in "$kind"-*; do
        gzip <"$part" >>"$kind.gz"
        root/usr/bin/zstd --quiet <"$part" >>"$kind.zst"
    done
    gzip --decompress --stdout "$kind.gz" | cmp - layer.tar
    root/usr/bin/zstd --decompress --stdout "$kind.zst" | cmp - layer.tar
done
found=$(venv/bin/python - <<'PYTHON'
from backports.zstd import tarfile


def names(file, mode):
    try:
        with tarfile.open(file, mode) as archive:
            return f"{mode} {archive.getnames()}"
    except (tarfile.ReadError, EOFError) as error:
        return f"{mode} {type(error).__name__}"


for file in ("file.gz", "piece.gz", "file.zst", "piece.zst"):
    kind = file.partition(".")[2]
    print(f"{file}:", *(names(file, mode) for mode in (f"r:{kind}", f"r|{kind}", "r|*")))
PYTHON
)
expect "file.gz: r:gz ['one', 'two'] r|gz ['one'] r|* ['one']
piece.gz: r:gz ['one', 'two'] r|gz ReadError r|* ReadError
file.zst: r:zst ['one', 'two'] r|zst EOFError r|* EOFError
piece.zst: r:zst ['one', 'two'] r|zst EOFError r|* EOFError" "$found"
