"""CNCF Distribution behind the gateway: its process, and requests to it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_PROGRAM = "docker-registry"
_CONFIGURATION = Path(__file__).parent.parent / "distribution.yml"
_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_LOOK_AGAIN = 0.01


class BackendError(RuntimeError):
    """Distribution does not run."""


class Backend:
    """Sends requests to Distribution over its socket."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Use a session that connects to the socket."""
        self._session = session

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request (`target` is path and query) and give the answer, not yet read."""
        async with self._session.request(
            method,
            f"http://distribution{target}",
            headers=headers,
            data=body,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as response:
            yield response


@contextlib.asynccontextmanager
async def running_backend(storage: Path) -> AsyncIterator[tuple[Backend, asyncio.Task[None]]]:
    """Run Distribution over `storage`; gives the way to it and a task that ends when it does.

    Raises:
        BackendError: the program is missing or ends at once.

    """
    with tempfile.TemporaryDirectory(prefix="registry-") as folder:
        address = f"{folder}/distribution.socket"
        process = await _start(address, storage)
        watch = asyncio.create_task(_ended(process))
        try:
            await _answering(address, watch)
            connector = aiohttp.UnixConnector(path=address, limit=0)
            async with aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_START_SECONDS),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session:
                yield Backend(session), watch
        finally:
            watch.cancel()
            await _stop(process)


async def _start(address: str, storage: Path) -> asyncio.subprocess.Process:
    # Distribution reads every REGISTRY_ variable, so it gets none of the gateway's.
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "REGISTRY_HTTP_ADDR": address,
        "REGISTRY_HTTP_SECRET": secrets.token_hex(16),
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(storage),
        "OTEL_TRACES_EXPORTER": "none",
    }
    try:
        return await asyncio.create_subprocess_exec(_PROGRAM, "serve", str(_CONFIGURATION), env=environment)
    except FileNotFoundError as error:
        raise BackendError(f"{_PROGRAM} is not installed (Debian: docker-registry)") from error


async def _answering(address: str, watch: asyncio.Task[None]) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while not watch.done():
            try:
                _, writer = await asyncio.open_unix_connection(address)
            except OSError:
                await asyncio.sleep(_LOOK_AGAIN)
            else:
                writer.close()
                return
    await watch


async def _ended(process: asyncio.subprocess.Process) -> None:
    status = await process.wait()
    raise BackendError(f"{_PROGRAM} ended with status {status}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
