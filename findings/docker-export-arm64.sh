#!/usr/bin/env bash
# docker-export 1.2.0 (PyPI): without `--platform` it exports the image of the platform that it runs on, as its help
# says. Linux calls 64-bit ARM `aarch64`, which docker-export does not know (it knows `armv8`), so on such a machine it
# exports the image for linux/amd64, without a warning; on riscv64, ppc64le and s390x too, although it accepts all of
# them in `--platform`. The machine's name is simulated here.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python docker-export==1.2.0
found=$(venv/bin/python - <<'PYTHON'
import platform
from unittest import mock
from docker_export import Platform

for machine in ("x86_64", "aarch64", "armv7l", "riscv64", "ppc64le", "s390x"):
    with mock.patch.object(platform, "machine", return_value=machine):
        print(f"{machine}: {Platform.parse('auto')}")
print("named:", *(Platform.parse(name) for name in ("linux/arm64", "linux/riscv64", "linux/ppc64le", "linux/s390x")))
PYTHON
)
expect 'x86_64: linux/amd64
aarch64: linux/amd64
armv7l: linux/arm/v7
riscv64: linux/amd64
ppc64le: linux/amd64
s390x: linux/amd64
named: linux/arm64 linux/riscv64 linux/ppc64le linux/s390x' "$found"
