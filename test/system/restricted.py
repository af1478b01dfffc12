"""Runs a command as a step of Bitbucket Pipelines' default runtime would run it.

    python restricted.py COMMAND...

The command reaches the Engine of `DOCKER_HOST` through a proxy that refuses what Pipelines' authorization
plugin refuses, for folders outside the clone directory (the one this runs in), and it may not make namespaces.
The exit code is the command's.

The rules are those of https://support.atlassian.com/bitbucket-cloud/docs/run-docker-commands-in-bitbucket-pipelines/.
A Dockerfile's `RUN --mount` reaches the Engine where a proxy cannot read it; no Dockerfile of this project has one.
"""

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PIECE = 64 * 1024
LONGEST_HEAD = 64 * 1024
CLONE = Path.cwd().resolve()
ENGINE = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
_SERVING: set[asyncio.Task[None] | None] = set()
"""asyncio itself keeps no task from being collected as garbage."""
BARRED = {
    "CapAdd": "--cap-add",
    "Devices": "--device",
    "DeviceRequests": "--gpus",
    "Mounts": "--mount",
    "SecurityOpt": "--security-opt",
    "CgroupParent": "--cgroup-parent",
}
BARRED_AS_HOST = {"IpcMode": "--ipc", "PidMode": "--pid", "UTSMode": "--uts", "UsernsMode": "--userns"}


def refusals(method: str, target: str, body: Mapping[str, Any]) -> Iterator[str]:
    """List why Pipelines refuses a request; nothing where it does not."""
    path = re.sub(r"^/v[\d.]+", "", urlsplit(target).path)
    query = parse_qs(urlsplit(target).query)
    if path == "/grpc" or path.startswith("/plugins/"):
        yield f"{path} is not allowed"
    if method != "POST":
        return
    if query.get("platform"):
        yield "--platform is not allowed"
    if path == "/volumes/create" and body.get("Name"):
        yield "named volumes are not supported"
    host = body.get("HostConfig") or {}
    if body.get("Privileged") or host.get("Privileged"):
        yield "--privileged=true is not allowed"
    yield from (f"{option} is not allowed" for name, option in BARRED.items() if host.get(name))
    yield from (f"{option}=host is not allowed" for name, option in BARRED_AS_HOST.items() if host.get(name) == "host")
    for bind in host.get("Binds") or ():
        source = bind.partition(":")[0]
        if not source.startswith("/"):
            yield "named volumes are not supported"
        elif not Path(source).resolve().is_relative_to(CLONE):
            yield "-v only supports $BITBUCKET_CLONE_DIR and its subdirectories"


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on one direction until it ends; its end is handed on as well."""
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve a connection."""
    task = asyncio.current_task()
    _SERVING.add(task)
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        await answer(reader, writer)
    writer.close()
    _SERVING.discard(task)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Look at a connection's only request, and answer it or hand it on."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    method, target, _ = head.split(" ", 2)
    body = b""
    if re.search(r"/(containers|volumes|exec)/", target) and "application/json" in head.lower():
        length = re.search(r"^content-length: *(\d+)\r$", head, re.IGNORECASE | re.MULTILINE)
        body = await (reader.readexactly(int(length[1])) if length else chunks(reader))
        head = re.sub(r"(?im)^transfer-encoding:.*\r\n", f"Content-Length: {len(body)}\r\n", head)
    refused = sorted(set(refusals(method, target, json.loads(body or b"{}"))))
    if refused:
        words = json.dumps({"message": f"authorization denied by plugin pipelines: {', '.join(refused)}"})
        writer.write(
            "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(words)}\r\n\r\n{words}".encode()
        )
        await writer.drain()
        writer.write_eof()
        # What closes before it has read all is taken for broken, and its answer is lost.
        while await reader.read(PIECE):
            pass
    else:
        await hand_on(once(head).encode("latin-1") + body, reader, writer)


async def chunks(reader: asyncio.StreamReader) -> bytes:
    """Read a body in chunks."""
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def once(head: str) -> str:
    """Let a connection end with its request, unless it becomes something else than HTTP."""
    if re.search(r"^upgrade:", head, re.IGNORECASE | re.MULTILINE):
        return head
    return re.sub(r"(?im)^connection:.*\r\n", "", head).removesuffix("\r\n") + "Connection: close\r\n\r\n"


async def hand_on(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand a request on, and both directions after it."""
    if ENGINE.scheme == "unix":
        engine_reader, engine_writer = await asyncio.open_unix_connection(ENGINE.path)
    else:
        engine_reader, engine_writer = await asyncio.open_connection(ENGINE.hostname, ENGINE.port)
    engine_writer.write(request)
    # Where the client goes away, what the Engine does for it has to end as well.
    upwards = asyncio.create_task(pump(reader, engine_writer))
    await pump(engine_reader, writer)
    upwards.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await upwards
    engine_writer.close()


async def main() -> int:
    """Serve until the command ends."""
    server = await asyncio.start_server(serve, "127.0.0.1", limit=LONGEST_HEAD)
    port = server.sockets[0].getsockname()[1]
    without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"] if os.geteuid() == 0 else []
    command = await asyncio.create_subprocess_exec(
        *without, *sys.argv[1:], env=os.environ | {"DOCKER_HOST": f"tcp://127.0.0.1:{port}"}
    )
    return await command.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
