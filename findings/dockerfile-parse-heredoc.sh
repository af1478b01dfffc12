#!/usr/bin/env bash
# dockerfile-parse 2.0.1 (PyPI): it does not know here-documents (Dockerfile syntax 1.4), and reads each of their lines as
# an instruction: a line `from ...` of a script in Python becomes the base image. Nor does it know the default of
# `${VERSION:-12}`: the base image becomes `debian::-12}`. Neither raises an error.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python dockerfile-parse==2.0.1
# shellcheck disable=SC2016 # Python
found=$(venv/bin/python - <<'PYTHON'
import io
from dockerfile_parse import DockerfileParser

heredoc = b"FROM python:3.12\nRUN python3 - <<EOF\nfrom json import dumps\nEOF\nUSER 1000\n"
default = b"ARG VERSION\nFROM debian:${VERSION:-12}\n"
for content in (heredoc, default):
    parser = DockerfileParser(fileobj=io.BytesIO(content))
    print("base image:", parser.baseimage, parser.parent_images, [part["instruction"] for part in parser.structure])
PYTHON
)
expect "base image: json ['python:3.12', 'json'] ['FROM', 'RUN', 'FROM', 'EOF', 'USER']
base image: debian::-12} ['debian::-12}'] ['ARG', 'FROM']" "$found"
