"""Docker Engine 26.1 or podman of Debian trixie, beside the Engine in use and without a change of the machine.

The machine's own Engine is of one kind: most often with a graphdriver and older. Users meet two more: one
with the containerd image store, which sends other words and keeps indexes of several platforms, and a
newer one with a graphdriver, which saves images as OCI layouts.

It lives in mount and network namespaces and in a root of its own, `test/setup/second-engine`, and may share
the network of a registry's container. Needs root that may make namespaces.

    with local_registry() as registry, second_engine("containerd", network_of=pid_of(registry)) as engine:
        subprocess.run([*engine.inside, "docker", "--host", engine.docker_host, "version"], check=True)

From a shell, with a registry of its own (`DOCKER_HOST` and `REGISTRY` are set for COMMAND, which runs inside;
the exit code is its own; `CONTROLS` is the registry's address outside):

    PYTHONPATH=test .venv/bin/python -m integration.second_engine containerd COMMAND...
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import docker
from integration.images import Images
from integration.layouts import Layouts
from integration.private_engine import PrivateEngine
from integration.running import Finished
from registry.client import LocalRegistry, build_image, local_registry

Kind = Literal["containerd", "graphdriver", "podman"]
"""Docker Engine with one image store or the other, or podman's service, which speaks Docker's API."""
INSIDE = "127.0.0.1:5000"
"""A registry's address in the network of its own container."""


@dataclass(frozen=True, slots=True)
class Second:
    """A second Engine with a client to it, and the registry whose network it shares.

    Attributes:
        kind: Its image store.
        engine: The Engine.
        client: To it, from outside.
        registry: Reached as `INSIDE` by the Engine and by a pipe that runs `engine.inside`.
        images: To build images, which are gone after the test.
        layouts: To load images of several platforms, which are gone after the test.
    """

    kind: Kind
    engine: PrivateEngine
    client: docker.DockerClient
    registry: LocalRegistry
    images: Images
    layouts: Layouts

    def content(self, command: str, digest: str) -> bytes:
        """Run a command of containerd's on a blob of its store, such as `get` or `rm`."""
        inside = [*self.engine.inside[:2], "--mount", "--root", "--wd=/", "--"]
        ctr = ["ctr", "--address=/run/engine/containerd/containerd.sock", "--namespace=moby", "content"]
        return subprocess.run([*inside, *ctr, command, digest], check=True, stdout=subprocess.PIPE).stdout

    def remove(self) -> None:
        """Remove every image that was made."""
        self.images.remove()
        self.layouts.remove()


class RunSecond(Protocol):
    """Runs a pipe inside a second Engine's network."""

    def __call__(self, second: Second, **variables: str) -> Finished:
        """Run it to its end, with variables beside those of a good push."""


_SETUP = Path(__file__).parents[1] / "setup" / "second-engine"
_SURROUNDINGS = """\
mkdir "$1/root" "$1/upper" "$1/work"
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" root "$1/root"
mount --bind "$1" "$1/root/engine"
mount -t proc proc "$1/root/proc"
mount --rbind /sys "$1/root/sys"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs run "$1/root/run"
cd "$1/root"
cp "$1/registries.conf" etc/containers/registries.conf.d/local.conf
"""
"""Makes the root $2 the Engine's own, with its folder $1 as /engine."""
_IN_MEMORY = 'mkdir "$1/data"; mount -t tmpfs data engine/data\n'
_ENGINE = 'ip link set lo up; shift 2; exec setpriv --pdeathsig TERM chroot . "$@"'
"""Becomes the Engine."""
_DOCKERD = """\
dockerd --host=unix:///engine/docker.sock --pidfile=/engine/docker.pid --data-root=/engine/data
--exec-root=/run/engine --config-file=/engine/daemon.json
--bridge=none --iptables=false --ip6tables=false --ip-forward=false
"""
_PODMAN = "podman --root=/engine/data --runroot=/run/engine system service --time=0 unix:///engine/docker.sock"
_INSECURE = f'[[registry]]\nlocation = "{INSIDE}"\ninsecure = true\n'


def root() -> Path:
    """Return the folder with the Engine's programs, made where it is missing."""
    made = subprocess.run([_SETUP], check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return Path(made.stdout.strip())


def pid_of(registry: LocalRegistry) -> int:
    """Return the process whose network an Engine has to join to reach a registry as `INSIDE`."""
    registry.container.reload()
    return int(registry.container.attrs["State"]["Pid"])


@contextlib.contextmanager
def second_engine(kind: Kind, *, network_of: int | None = None, in_memory: bool = False) -> Iterator[PrivateEngine]:
    """Run an Engine of one's own, gone afterwards with all that it stored.

    Args:
        kind: Its image store.
        network_of: A process whose network the Engine joins, such as that of a registry's container. None
            for a network with nothing but loopback. Either way it makes no bridge.
        in_memory: Whether it keeps images in memory, which is several times as fast.

    Yields:
        The Engine, which answers.
    """
    programs = root()
    with tempfile.TemporaryDirectory(prefix="engine-", dir=programs.parent) as name:
        folder = Path(name)
        features = {"containerd-snapshotter": kind == "containerd"}
        (folder / "daemon.json").write_text(json.dumps({"features": features}), "ascii")
        (folder / "registries.conf").write_text(_INSECURE, "ascii")
        program = _PODMAN if kind == "podman" else _DOCKERD
        command = ["unshare", "--mount", "--net"]
        if network_of is not None:
            command = ["nsenter", f"--target={network_of}", "--net", "--", "unshare", "--mount"]
        script = _SURROUNDINGS + (_IN_MEMORY if in_memory else "") + _ENGINE
        command += ["--", "bash", "-euc", script, "bash", str(folder), str(programs), *program.split()]
        with (folder / "dockerd.log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        engine = PrivateEngine(folder, process)
        try:
            engine.await_ready()
            yield engine
        finally:
            engine.stop()
            # Its mounts are gone with it.
            subprocess.run(["rm", "-rf", "--one-file-system", "--", *map(str, folder.iterdir())], check=True)


def main() -> int:
    """Run a command inside, with an Engine and a registry of its own."""
    parser = argparse.ArgumentParser(description="Run a command with Docker Engine 26.1 or podman, and a registry.")
    parser.add_argument("kind", choices=["containerd", "graphdriver", "podman"])
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    build_image()
    with local_registry() as registry, second_engine(arguments.kind, network_of=pid_of(registry)) as engine:
        environment = os.environ | {
            "DOCKER_HOST": engine.docker_host,
            "REGISTRY": INSIDE,
            "CONTROLS": registry.host,
        }
        return subprocess.run([*engine.inside, *arguments.command], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
