#!/usr/bin/env bash
# bitbucket-pipes-toolkit 6.2.0 (PyPI): a pipe's variables come from the environment as text, but the toolkit parses all
# as YAML 1.1 whose schema does not say `type: string`. With a schema that has no type, or a list of types even if
# `string` is the first, the tag `1.20` becomes 1.2, the abbreviated commit `0123456` the number 42798, `2026-11-30` a
# date, `on` True and `app #1` app, without an error.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python bitbucket-pipes-toolkit==6.2.0 PyYAML==6.0.3 Cerberus==1.3.8
cat >read.py <<'PYTHON'
from bitbucket_pipes_toolkit import Pipe

schemas = {
    "type: string": {"required": True, "type": "string"},
    "no type": {"required": True},
    "type: [string, number, boolean, date]": {"type": ["string", "number", "boolean", "date"]},
}
for name, schema in schemas.items():
    print(f"{name}:", *(
        repr(Pipe(schema={"TAG": schema}, env={"TAG": tag}).get_variable("TAG"))
        for tag in ("1.20", "0123456", "2026-11-30", "on", "app #1", "1.2.0")
    ))
PYTHON
read='1.2 42798 datetime.date(2026, 11, 30) True '"'app' '1.2.0'"
expect "type: string: '1.20' '0123456' '2026-11-30' 'on' 'app #1' '1.2.0'
no type: $read
type: [string, number, boolean, date]: $read" "$(venv/bin/python read.py)"
