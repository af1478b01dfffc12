"""A Docker Engine of a test's own, that can be killed and have names and certificates of its own.

It lives in its own mount and network namespace and changes nothing on the machine: beside another
Engine in the same network it would rewrite that one's iptables chains, and `/etc` is a copy in
memory. Needs root and dockerd.

    with private_engine(folder, hosts={"crg.apkg.io": ADDRESS}, certificates={"crg.apkg.io": ca}) as engine:
        subprocess.run([*engine.inside, "docker", "--host", engine.docker_host, "version"], check=True)

From a shell (`DOCKER_HOST` is set for COMMAND, which runs inside; the exit code is its own):

    python3 private_engine.py --host crg.apkg.io=203.0.113.10 --certificate crg.apkg.io=ca.crt COMMAND...
"""

import argparse
import contextlib
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker

ADDRESS = "203.0.113.10"
"""Another address of the machine inside; not a loopback one, for which Engines ask no trusted certificate
(TEST-NET-3, RFC 5737)."""
START_SECONDS = 90.0
STOP_SECONDS = 30.0
LOOK_AGAIN = 0.05

_STAGING = "/mnt"
_OWN_NETWORK = f"ip link set lo up && ip address add {ADDRESS}/32 dev lo"
_OWN_ETC = 'mkdir "$1" && mount -t tmpfs -o mode=0755 etc "$1" && cp -a /etc/. "$1" && mount --bind "$1" /etc'


class PrivateEngine:
    """A running Engine.

    Attributes:
        docker_host: What `DOCKER_HOST` has to be, from inside and from outside.
        inside: What begins a command that is to run with the Engine's network and `/etc`.
        log: The file with the Engine's log.
    """

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.docker_host = f"unix://{folder / 'docker.sock'}"
        self.inside = ("nsenter", f"--target={process.pid}", "--mount", "--net", f"--wd={Path.cwd()}", "--")
        self.log = folder / "dockerd.log"

    def await_ready(self) -> None:
        """Wait until the Engine answers.

        Raises:
            RuntimeError: It ended instead, or did not answer in time; holds the end of its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the private Engine did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(LOOK_AGAIN)
        with contextlib.closing(docker.APIClient(self.docker_host, version="1.40")) as api:
            api.ping()

    def _listens(self) -> bool:
        # The Docker SDK leaves a socket open where nothing listens.
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.docker_host.removeprefix("unix://")) == 0

    def fill_staging(self) -> None:
        """Leave no room where the Engine stages the images that it streams."""
        subprocess.run([*self.inside, "dd", "if=/dev/zero", f"of={_STAGING}/full"], capture_output=True, check=False)

    def kill(self) -> None:
        """End the Engine as a crash would, without a chance to end a push."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the Engine and its containers in an orderly way."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


@contextlib.contextmanager
def private_engine(
    folder: Path,
    *,
    hosts: Mapping[str, str] | None = None,
    certificates: Mapping[str, Path] | None = None,
    network_of: int | None = None,
    staging: int | None = None,
    in_memory: bool = False,
) -> Iterator[PrivateEngine]:
    """Run an Engine of one's own, gone afterwards with all that it stored.

    Args:
        folder: An empty one for all of the Engine's files; short, since a socket's path may have
            107 characters.
        hosts: Names and the addresses that they are to have inside.
        certificates: Registries (`host[:port]`) and the PEM file of the authority that the Engine is
            to trust for each.
        network_of: A process whose network the Engine joins, such as that of a registry's container; it
            then makes no bridge. None for a network of its own with nothing but loopback, `ADDRESS` and
            the Engine's bridge.
        staging: Bytes of the room in which the Engine stages the images that it streams; None for all
            that the machine has.
        in_memory: Whether it keeps images in memory, with overlay2, which is several times as fast.

    Yields:
        The Engine, which answers.
    """
    command = [] if network_of is None else ["nsenter", f"--target={network_of}", "--net", "--"]
    command += ["unshare", "--mount", *([] if network_of else ["--net"]), "--", "bash", "-euc"]
    command += [
        _script(folder, hosts or {}, certificates or {}, staging, in_memory, own_network=network_of is None),
        "bash",
        f"{folder}/etc",
    ]
    with (folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    engine = PrivateEngine(folder, process)
    try:
        engine.await_ready()
        yield engine
    finally:
        engine.stop()
        # `/etc` inside is gone with its mount; what is stored needs the Engine's own tools no more.
        subprocess.run(["rm", "-rf", "--one-file-system", "--", *map(str, folder.iterdir())], check=True)


def _script(
    folder: Path,
    hosts: Mapping[str, str],
    certificates: Mapping[str, Path],
    staging: int | None,
    in_memory: bool,
    *,
    own_network: bool,
) -> str:
    """Write the shell script that makes the surroundings and becomes the Engine."""
    lines = [_OWN_ETC, *([_OWN_NETWORK] if own_network else [])]
    lines += [f"echo {shlex.quote(f'{address} {name}')} >>/etc/hosts" for name, address in hosts.items()]
    for name, authority in certificates.items():
        place = shlex.quote(f"/etc/docker/certs.d/{name}")
        lines.append(f"mkdir -p {place} && cp {shlex.quote(str(authority))} {place}/ca.crt")
    if staging is not None:
        lines.append(f"mount -t tmpfs -o size={staging} staging {_STAGING} && export DOCKER_TMPDIR={_STAGING}")
    if in_memory:
        lines.append(f"mkdir {folder}/data && mount -t tmpfs data {folder}/data")
    dockerd = ["dockerd", "--host", f"unix://{folder}/docker.sock", "--pidfile", f"{folder}/docker.pid"]
    dockerd += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    if in_memory:
        dockerd += ["--storage-driver=overlay2"]
    if not own_network:
        dockerd += ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
    return "\n".join([*lines, f"exec {shlex.join(dockerd)}"])


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise argparse.ArgumentTypeError("NAME=VALUE is needed")
    return name, value


def main() -> int:
    """Run a command inside, with an Engine of its own."""
    parser = argparse.ArgumentParser(description="Run a command with a private Docker Engine.")
    parser.add_argument("--host", metavar="NAME=ADDRESS", type=_pair, action="append", default=[])
    parser.add_argument("--certificate", metavar="REGISTRY=FILE", type=_pair, action="append", default=[])
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    certificates = {name: Path(file) for name, file in arguments.certificate}
    with (
        tempfile.TemporaryDirectory(prefix="engine-") as folder,
        private_engine(Path(folder), hosts=dict(arguments.host), certificates=certificates) as engine,
    ):
        environment = os.environ | {"DOCKER_HOST": engine.docker_host}
        return subprocess.run([*engine.inside, *arguments.command], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
