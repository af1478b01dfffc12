"""Clients that this project does not make, each to log in, push and pull one file with."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

import oras.client
from dxf import DXF, DXFBase
from registry.tests.clients import ClientError, Docker, layout, memory_in, run, tar
from registry.tests.conftest import SETUP
from registry.tests.images import image

if TYPE_CHECKING:
    from registry.client import LocalRegistry
    from requests import Response


@dataclass
class Foreign:
    """A client with a folder of its own. What it is refused is a ClientError with all it said."""

    registry: LocalRegistry
    folder: Path

    def __post_init__(self) -> None:
        """Get ready."""

    def log_in(self, user: str, token: str) -> None:
        raise NotImplementedError

    def push(self, name: str, content: bytes) -> None:
        """Push a file as the image `<workspace>/<package>:<tag>`."""
        raise NotImplementedError

    def pull(self, name: str) -> None:
        """Pull an image of which nothing is kept locally."""
        raise NotImplementedError

    def close(self) -> None:
        """Leave nothing behind."""


class OfDocker(Foreign):
    """The docker command."""

    def __post_init__(self) -> None:
        self._docker = Docker(self.folder)

    def log_in(self, user: str, token: str) -> None:
        self._docker.login(self.registry, user, token)

    def push(self, name: str, content: bytes) -> None:
        self._docker("push", self._docker.image(f"{self.registry.host}/{name}", content))

    def pull(self, name: str) -> None:
        self._docker.remove_images()
        self._docker("pull", f"{self.registry.host}/{name}")

    def close(self) -> None:
        self._docker.remove_images()


@dataclass
class OfContainers(Foreign):
    """podman or buildah, with a store in a folder; nothing of it needs more than root has in a container."""

    program: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ()
    store: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        subprocess.run([SETUP / "apt-install", self.program], check=True)
        # Podman takes no path of more than 50 characters.
        self._store = TemporaryDirectory(prefix="store-")
        folders = (f"--root={self._store.name}/root", f"--runroot={self._store.name}/run")
        self.store = (*folders, "--storage-driver=vfs", *self.options)

    def log_in(self, user: str, token: str) -> None:
        self._run("login", *self._access, f"--username={user}", "--password-stdin", self.registry.host, stdin=token)

    def push(self, name: str, content: bytes) -> None:
        full = f"{self.registry.host}/{name}"
        (self.folder / "file").write_bytes(content)
        (self.folder / "Dockerfile").write_text("FROM scratch\nCOPY file /\n", encoding="utf-8")
        self._run("build", "--isolation=chroot", f"--tag={full}", str(self.folder))
        self._run("push", *self._access, full)

    def pull(self, name: str) -> None:
        self._run("rmi", "--all", "--force")
        self._run("pull", *self._access, f"{self.registry.host}/{name}")

    def close(self) -> None:
        self._store.cleanup()

    @property
    def _access(self) -> tuple[str, str]:
        return "--tls-verify=false", f"--authfile={self.folder}/auth.json"

    def _run(self, *command: str, stdin: str = "") -> None:
        run(self.program, *self.store, *command, stdin=stdin.encode())


class OfPodman(OfContainers):
    """The podman command, without systemd."""

    program = "podman"
    options = ("--cgroup-manager=cgroupfs", "--events-backend=file")


class OfBuildah(OfContainers):
    """The buildah command."""

    program = "buildah"


class OfSkopeo(Foreign):
    """The skopeo command, from and to a layout on disk."""

    def __post_init__(self) -> None:
        subprocess.run([SETUP / "apt-install", "skopeo"], check=True)

    def log_in(self, user: str, token: str) -> None:
        command = ("skopeo", "login", "--tls-verify=false", self._file, f"--username={user}", "--password-stdin")
        run(*command, self.registry.host, stdin=token.encode())

    def push(self, name: str, content: bytes) -> None:
        source = layout(self.folder / name.rpartition(":")[2], image([tar(content)]))
        self._copy("dest", source, f"docker://{self.registry.host}/{name}")

    def pull(self, name: str) -> None:
        self._copy("src", f"docker://{self.registry.host}/{name}", f"oci:{self.folder}/pulled")

    @property
    def _file(self) -> str:
        return f"--authfile={self.folder}/auth.json"

    def _copy(self, side: str, source: str, target: str) -> None:
        command = ("skopeo", "--insecure-policy", "copy", self._file, f"--{side}-tls-verify=false", source, target)
        run(*command, environment=memory_in(self.folder))


class OfOras(Foreign):
    """oras-py."""

    def log_in(self, user: str, token: str) -> None:
        # A new client, which has no token yet. Its `login` asks the Engine, which the docker command shows.
        self._client = oras.client.OrasClient(hostname=self.registry.host, insecure=True, auth_backend="token")
        self._client.auth.set_basic_auth(user, token)

    def push(self, name: str, content: bytes) -> None:
        file = self.folder / "file"
        file.write_bytes(content)
        try:
            self._client.push(
                target=f"{self.registry.host}/{name}", files=[str(file)], disable_path_validation=True, quiet=True
            )
        except Exception as error:
            raise ClientError(str(error)) from error

    def pull(self, name: str) -> None:
        [file] = self._client.pull(target=f"{self.registry.host}/{name}", outdir=str(self.folder / "pulled"))
        assert Path(file).read_bytes() == (self.folder / "file").read_bytes()


class OfDxf(Foreign):
    """python-dxf, which logs in over TLS only."""

    _user: tuple[str, str] = ("", "")

    def log_in(self, user: str, token: str) -> None:
        self._user = (user, token)

    def push(self, name: str, content: bytes) -> None:
        repository, _, tag = name.partition(":")
        file = self.folder / "file"
        file.write_bytes(content)
        try:
            with self._repository(repository) as dxf:
                dxf.set_alias(tag, dxf.push_blob(str(file)))
        except Exception as error:
            raise ClientError(str(error)) from error

    def pull(self, name: str) -> None:
        repository, _, tag = name.partition(":")
        with self._repository(repository) as dxf:
            [digest] = dxf.get_alias(tag)
            parts = dxf.pull_blob(str(digest))
            assert not isinstance(parts, tuple)
            assert b"".join(parts) == (self.folder / "file").read_bytes()

    def _repository(self, name: str) -> DXF:
        def log_in(dxf: DXFBase, refused: Response) -> None:
            dxf.authenticate(*self._user, response=refused)

        return DXF(self.registry.host, name, log_in, tlsverify=str(self.registry.authority))


CLIENTS: dict[str, type[Foreign]] = {
    "docker": OfDocker,
    "podman": OfPodman,
    "buildah": OfBuildah,
    "skopeo": OfSkopeo,
    "oras-py": OfOras,
    "python-dxf": OfDxf,
}
