"""For tests: start registries of one's own, and control any of them.

with local_registry(upload_timeout="3s") as registry:
    registry.fault(method="PATCH", answer={"status": 503}, times=2)
    ...                                   # push to registry.host
    assert registry.requests(method="PATCH", status="503")
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
import time
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker.models.containers import Container

IMAGE = os.environ.get("REGISTRY_IMAGE", "bbc-packages-push-registry:dev")
CONTAINER_PREFIX = "bbc-packages-push-registry-"
_HERE = Path(__file__).parent
_PORT = "5000/tcp"
_START_SECONDS = 30.0
_LOOK_AGAIN = 0.05
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: a certificate with its key, and the authority that clients are to trust."""

    cert: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of the registry's log. Sizes in bytes, times in seconds."""

    method: str
    path: str
    user_agent: str
    account: str
    content_range: str
    patches: int
    status: int | None
    received: int
    sent: int
    seconds: float
    state: str
    fault: int | None


class Registry:
    """A running registry and its controls: faults, and the log of requests."""

    def __init__(
        self,
        host: str,
        *,
        authority: Path | None = None,
        admin: tuple[str, str] = ("admin", "admin-token"),
    ) -> None:
        """Control the registry at `host` (`address:port`), over TLS if `authority` is given."""
        self.host = host
        self.url = f"{'https' if authority else 'http'}://{host}"
        self.authority = authority
        self._admin = admin

    def session(self, user: str = "", token: str | None = None) -> requests.Session:
        """Return a session to speak HTTP with; `user`'s token is `<user>-token` unless given."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.authority) if self.authority else True
        if user:
            session.auth = (user, f"{user}-token" if token is None else token)
        return session

    def bearer(self, user: str, *scopes: str, token: str | None = None) -> dict[str, str]:
        """Return the header with a new bearer token for `scopes` (`<workspace>/<package>:pull`)."""
        with self.session(user, token) as session:
            answer = session.get(
                f"{self.url}/token",
                params={"scope": [f"repository:{scope}" for scope in scopes]},
                timeout=_ANSWER_SECONDS,
            )
        answer.raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    def fault(self, **description: object) -> None:
        """Add a fault; README.md lists what a description may hold.

        Raises:
            ValueError: the registry does not understand it.

        """
        self._control("POST", "faults", json=description)

    def clear_faults(self) -> None:
        """Remove every fault."""
        self._control("DELETE", "faults")

    def requests(self, *, received: int = 0, **conditions: str) -> list[Entry]:
        """Return the logged requests that match the globs, oldest first."""
        query = {**conditions, "received": str(received)}
        return _entries(self._control("GET", "requests", params=query))

    def wait_for(self, *, count: int = 1, received: int = 0, timeout: float = 30, **conditions: str) -> list[Entry]:
        """Wait until `count` requests match, each with `received` bytes of body, and return them.

        A request that is still under way (`state="open"`) counts.

        Raises:
            TimeoutError: they did not come within `timeout` seconds; holds the whole log.

        """
        query = {
            **conditions,
            "received": str(received),
            "count": str(count),
            "timeout": str(timeout),
        }
        answer = self._control("GET", "requests", timeout, params=query)
        if not answer["met"]:
            log = "\n".join(str(entry) for entry in self.requests())
            raise TimeoutError(f"no {count} requests like {query}; the log:\n{log}")
        return _entries(answer)

    def quiet(self, seconds: float = 2, timeout: float = 30) -> bool:
        """Wait until no request came, moved a byte or ended for `seconds` from now on."""
        query = {"seconds": str(seconds), "timeout": str(timeout)}
        return bool(self._control("GET", "requests/quiet", timeout, params=query)["met"])

    def clear(self) -> None:
        """Remove every fault, and every request from the log that is not under way."""
        self.clear_faults()
        self._control("DELETE", "requests")

    def ready(self) -> bool:
        """Tell whether the registry answers."""
        try:
            with self.session() as session:
                answer = session.get(f"{self.url}/v2/", timeout=_ANSWER_SECONDS)
        except requests.ConnectionError:
            return False
        return bool(answer.status_code == HTTPStatus.UNAUTHORIZED)

    def _control(
        self,
        method: str,
        path: str,
        timeout: float = 0,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        with self.session(*self._admin) as session:
            answer = session.request(
                method,
                f"{self.url}/api/{path}",
                params=params,
                json=json,
                timeout=timeout + _ANSWER_SECONDS,
            )
        body: dict[str, Any] = answer.json()
        if answer.status_code == HTTPStatus.BAD_REQUEST:
            raise ValueError(body["error"])
        answer.raise_for_status()
        return body


class LocalRegistry(Registry):
    """A registry in a container of its own."""

    def __init__(self, container: Container, host: str, **controls: Any) -> None:  # noqa: ANN401 - as Registry takes them
        """Control the registry in `container`."""
        super().__init__(host, **controls)
        self.container = container

    def output(self) -> str:
        """Return what the gateway and Distribution have printed."""
        return self.container.logs().decode()

    def run(self, *command: str) -> str:
        """Run a command in the registry's container; return all that it printed."""
        result = self.container.exec_run(list(command))
        if not isinstance(result.output, bytes):
            raise TypeError("the command's output is not whole")
        return result.output.decode()

    def await_ready(self) -> None:
        """Wait until the registry answers.

        Raises:
            RuntimeError: it ended instead, or did not answer in time; holds its output.

        """
        deadline = time.monotonic() + _START_SECONDS
        while not self.ready():
            self.container.reload()
            if self.container.status != "running" or time.monotonic() > deadline:
                raise RuntimeError(f"the registry did not start:\n{self.output()}")
            time.sleep(_LOOK_AGAIN)


def build_image() -> None:
    """Build the registry's image from the working tree; at once where nothing has changed."""
    subprocess.run([_HERE / "run", "image"], check=True)


@contextlib.contextmanager
def local_registry(
    *,
    world: str | None = None,
    tls: Tls | None = None,
    port: int = 0,
    admin: tuple[str, str] = ("admin", "admin-token"),
    **options: str,
) -> Iterator[LocalRegistry]:
    """Run a registry in a fresh container, gone afterwards with all its data.

    Args:
        world: the YAML to serve instead of `world.yaml`; `admin` must have Admin in it.
        tls: serve TLS with this certificate.
        port: on 127.0.0.1; a free one if 0.
        admin: the account that controls faults and log.
        options: `REGISTRY_…` variables in lower case without that prefix: `max_layer="1MB"`,
            `upload_timeout="3s"`, `on_upload_timeout="cut"`, `token_lifetime="2s"`, …

    """
    environment = {f"REGISTRY_{name.upper()}": value for name, value in options.items()}
    files: dict[str, bytes] = {}
    if world is not None:
        files["world"] = world.encode()
        environment["REGISTRY_WORLD"] = "/etc/registry/world"
    if tls is not None:
        files |= {"cert": tls.cert.read_bytes(), "key": tls.key.read_bytes()}
        environment |= {
            "REGISTRY_TLS_CERT": "/etc/registry/cert",
            "REGISTRY_TLS_KEY": "/etc/registry/key",
        }
    with contextlib.closing(docker.from_env()) as engine:
        container = engine.containers.create(
            IMAGE,
            name=f"{CONTAINER_PREFIX}{uuid.uuid4().hex[:12]}",
            environment=environment,
            ports={_PORT: ("127.0.0.1", port)},
        )
        try:
            container.put_archive("/etc", _archive(files))
            container.start()
            host = f"127.0.0.1:{_published(container)}"
            authority = tls.authority if tls else None
            registry = LocalRegistry(container, host, authority=authority, admin=admin)
            registry.await_ready()
            yield registry
        finally:
            container.remove(force=True, v=True)


def _published(container: Container) -> int:
    container.reload()
    bindings = container.ports.get(_PORT)
    if not bindings:
        raise RuntimeError(f"the registry did not start:\n{container.logs().decode()}")
    return int(bindings[0]["HostPort"])


def _archive(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"registry/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def _entries(answer: Mapping[str, Any]) -> list[Entry]:
    return [Entry(**entry) for entry in answer["requests"]]
