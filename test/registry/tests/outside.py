"""A registry that runs on this machine, without a container, with the Python packages that the tests use."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from registry.client import Registry
from registry.tests.clients import free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[2]
APT_INSTALL = TESTS / "setup" / "apt-install"
SECONDS = 30.0


class OutsideRegistry(Registry):
    """A registry in a process of its own."""

    def __init__(self, host: str, pid: int) -> None:
        super().__init__(host)
        self.pid = pid


@contextmanager
def registry_outside(folder: Path, world: str) -> Iterator[OutsideRegistry]:
    """Run the gateway with this Python, and with Debian's Distribution; its data is in `folder`."""
    subprocess.run([APT_INSTALL, "docker-registry"], check=True)
    (folder / "world.yaml").write_text(world, encoding="utf-8")
    host = f"127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(TESTS),
        "REGISTRY_LISTEN": host,
        "REGISTRY_DATA": str(folder / "data"),
        "REGISTRY_WORLD": str(folder / "world.yaml"),
    }
    output = folder / "output"
    with (
        output.open("wb") as file,
        subprocess.Popen(
            [sys.executable, "-m", "registry.gateway"], env=environment, stdout=file, stderr=subprocess.STDOUT
        ) as process,
    ):
        registry = OutsideRegistry(host, process.pid)
        try:
            until(lambda: process.poll() is not None or registry.ready(), SECONDS)
            assert process.poll() is None, output.read_text(encoding="utf-8")
            yield registry
        finally:
            process.terminate()
    assert process.returncode == 0
    assert "Traceback" not in output.read_text(encoding="utf-8")
