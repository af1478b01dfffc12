#!/usr/bin/env bash
# google-re2 1.1.20251105 (PyPI): `search(text, pos, endpos)` has the interface of Python's `re`, but `endpos` is not the
# end of the text to it: neither `$` nor a word's boundary matches there. `fullmatch` with the same `endpos` does end
# there, and an anchor at `pos` behaves as in `re`.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python google-re2==1.1.20251105
# shellcheck disable=SC2016 # Python
found=$(venv/bin/python - <<'PYTHON'
import re
import re2

for pattern, method, *span in (("b$", "search", 0, 2), (r"b\b", "search", 0, 2), ("ab", "fullmatch", 0, 2), ("^b", "search", 1)):
    matches = [getattr(library.compile(pattern), method)("abc", *span) for library in (re, re2)]
    print(method, pattern, span, *("match" if match else "none" for match in matches))
PYTHON
)
expect 'search b$ [0, 2] match none
search b\b [0, 2] match none
fullmatch ab [0, 2] match match
search ^b [1] none none' "$found"
