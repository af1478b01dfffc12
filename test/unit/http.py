"""A registry in memory behind the adapter of `requests`: clients are tested with real requests, without a socket.

`FakeHTTP` sends nothing: it logs each request and returns what `reply` says. `FakeRegistryServer` replies as a small
registry would; a test changes what it does with `on`, and looks at `blobs`, `manifests`, `tags` and `log` afterwards.
"""

import fnmatch
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast
from urllib.parse import parse_qs, parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse


@dataclass(frozen=True)
class Sent:
    """A request, as the server received it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout: float
    """Seconds that the client waits for the answer."""

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def host(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))

    @property
    def authorization(self) -> str:
        return self.headers.get("Authorization", "")


@dataclass(frozen=True)
class Reply:
    """An answer; after `delay` seconds, which count on the test's clock."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


def json_reply(status: int, content: object, **headers: str) -> Reply:
    """Reply with JSON; underscores in names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json"} | named)


def error_reply(status: int, code: str, message: str = "", delay: float = 0.0, **headers: str) -> Reply:
    """Reply with an error as registries do."""
    content = {"errors": [{"code": code, "message": message or code.lower()}]}
    return replace(json_reply(status, content, **headers), delay=delay)


Outcome = Reply | Exception | int
"""An answer, none, or one with a status only."""
HUNG = Reply(delay=float("inf"))
"""No answer for as long as the client waits."""


def cut() -> requests.ConnectionError:
    """Return what requests raises for a connection that is reset."""
    return requests.ConnectionError("Connection aborted: reset by peer")


def meeting(count: int) -> Callable[[Sent], None]:
    """Return an outcome for `on` that lets no request go on before so many are under way."""
    barrier = threading.Barrier(count)

    def meet(_: Sent) -> None:
        barrier.wait(60)

    return meet


@dataclass
class Hook:
    """Something else than the usual happens to requests that match.

    Attributes:
        lost: Whether the server processes the request as usual before the outcome replaces its answer.
        kept: How many bytes of the body the server receives; implies `lost`.
    """

    method: str
    path: str
    outcome: "Outcome | Callable[[Sent], Outcome | None]"
    times: int | None
    skip: int
    lost: bool
    kept: int | None


class FakeHTTP(BaseAdapter):
    """Logs requests and replies to them, in the thread that sends."""

    def __init__(self, wait: Callable[[float], None] = lambda _: None) -> None:
        """Create it.

        Args:
            wait: Lets the test's clock go on, by the delay of an answer.
        """
        super().__init__()
        self.sent: list[Sent] = []
        self.lock = threading.RLock()
        self._wait = wait
        self._hooks: list[Hook] = []

    @property
    def log(self) -> list[tuple[str, str, dict[str, str]]]:
        """Method, path and query of each request."""
        return [(each.method, each.path, each.query) for each in self.sent]

    def matching(self, method: str = "*", path: str = "*") -> list[Sent]:
        """Return the requests that match; patterns as of a shell."""
        return [each for each in self.sent if _matches(each, method, path)]

    def on(
        self,
        method: str,
        path: str,
        outcome: Outcome | Callable[[Sent], Outcome | None],
        *,
        times: int | None = None,
        skip: int = 0,
        lost: bool = False,
        kept: int | None = None,
    ) -> None:
        """Do something else than usual with requests that match.

        Args:
            method: Pattern of the method.
            path: Pattern of the path, or of the URL if it contains `://`.
            outcome: What happens instead, or a function that returns it, or None for the usual.
            times: How often, always if None.
            skip: Requests that match but are processed as usual before.
            lost: Process the request as usual, then replace the answer.
            kept: Process only so many bytes of its body as usual, then replace the answer.
        """
        self._hooks.append(Hook(method, path, outcome, times, skip, lost or kept is not None, kept))

    def reply(self, sent: Sent) -> Reply:
        """Reply to a request."""
        raise NotImplementedError(sent.url)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: object = None,
        verify: object = True,
        cert: object = None,
        proxies: object = None,
    ) -> requests.Response:
        body = cast("bytes | Iterable[memoryview]", request.body or b"")
        data = body if isinstance(body, bytes) else b"".join(map(bytes, body))
        _, seconds = cast("tuple[float, float]", timeout)
        sent = Sent(str(request.method), str(request.url), request.headers, data, seconds)
        with self.lock:
            self.sent.append(sent)
            hook = self._hook(sent)
        outcome = _outcome(hook, sent)
        if outcome is None or (hook and hook.lost):
            received = sent if hook is None or hook.kept is None else replace(sent, body=sent.body[: hook.kept])
            with self.lock:
                usual = self.reply(received)
            outcome = usual if outcome is None else outcome
        reply = Reply(outcome) if isinstance(outcome, int) else outcome
        if isinstance(reply, Exception):
            raise reply
        self._wait(min(reply.delay, sent.timeout))
        if reply.delay > sent.timeout:
            raise requests.ReadTimeout
        return _response(request, reply)

    def close(self) -> None:
        """Do nothing: there are no connections."""

    def _hook(self, sent: Sent) -> Hook | None:
        for hook in self._hooks:
            if not _matches(sent, hook.method, hook.path) or hook.times == 0:
                continue
            if hook.skip:
                hook.skip -= 1
                continue
            hook.times = None if hook.times is None else hook.times - 1
            return hook
        return None


def _outcome(hook: Hook | None, sent: Sent) -> Outcome | None:
    if hook is None:
        return None
    return hook.outcome(sent) if callable(hook.outcome) else hook.outcome


def _matches(sent: Sent, method: str, path: str) -> bool:
    where = sent.host + sent.path if "://" in path else sent.path
    return fnmatch.fnmatchcase(sent.method, method) and fnmatch.fnmatchcase(where, path)


def _response(request: requests.PreparedRequest, reply: Reply) -> requests.Response:
    body = b"" if request.method == "HEAD" else reply.body
    response = requests.Response()
    response.status_code = reply.status
    response.headers = CaseInsensitiveDict(reply.headers)
    response.raw = HTTPResponse(
        io.BytesIO(body), dict(reply.headers), reply.status, preload_content=False, request_method=request.method
    )
    response.url, response.request = str(request.url), request
    return response


@dataclass
class Upload:
    """An upload under way."""

    data: bytearray = field(default_factory=bytearray)


class FakeRegistryServer(FakeHTTP):
    """A registry with one repository; its parts may be changed at any time.

    Attributes:
        blobs: By digest.
        manifests: Media type and body, by digest.
        tags: Digest by tag.
        mountable: Blobs of other repositories, by path and digest.
        uploads: Uploads under way, by number.
        realm: URL of the token server, None if no request needs a token.
        tokens: How many were issued.
        ranges: Whether `Content-Range` must fit the upload's offset (416); if not, bytes are appended.
        whole: Whether a `PUT` may have a body.
        offsets: Whether `GET` of an upload reports its offset.
        minimum: `OCI-Chunk-Min-Length`.
        created: Status of a `PATCH` that is accepted.
        base: Prefix of each `Location`.
    """

    def __init__(self, wait: Callable[[float], None] = lambda _: None) -> None:
        super().__init__(wait)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.tags: dict[str, str] = {}
        self.mountable: dict[tuple[str, str], bytes] = {}
        self.uploads: dict[str, Upload] = {}
        self.realm: str | None = None
        self.tokens = 0
        self.ranges = True
        self.whole = True
        self.offsets = True
        self.minimum = 0
        self.created = 202
        self.base = ""
        self._opened = 0

    def keep(self, data: bytes) -> str:
        """Store a blob and return its digest."""
        digest = sha256(data)
        self.blobs[digest] = data
        return digest

    def keep_manifest(self, body: bytes, media_type: str, tag: str = "") -> str:
        """Store a manifest, under a tag if one is given, and return its digest."""
        digest = sha256(body)
        self.manifests[digest] = media_type, body
        if tag:
            self.tags[tag] = digest
        return digest

    def reply(self, sent: Sent) -> Reply:
        """Reply as a registry."""
        if self.realm and sent.url.startswith(self.realm):
            self.tokens += 1
            return json_reply(200, {"token": f"token-{self.tokens}", "scopes": parse_qs(urlsplit(sent.url).query)})
        if self.realm and not sent.authorization.startswith("Bearer token-"):
            challenge = f'Bearer realm="{self.realm}",service="registry"'
            return error_reply(401, "UNAUTHORIZED", WWW_Authenticate=challenge)
        if sent.path == "/v2/":
            return json_reply(200, {})
        repository, _, rest = sent.path.removeprefix("/v2/").partition("/blobs/")
        if rest.startswith("uploads/"):
            return self._upload(sent, repository, rest.removeprefix("uploads/"))
        if rest:
            return self._blob(sent, rest)
        _, _, reference = sent.path.partition("/manifests/")
        return self._manifest(sent, reference)

    def _blob(self, sent: Sent, digest: str) -> Reply:
        if digest not in self.blobs:
            return error_reply(404, "BLOB_UNKNOWN")
        data = self.blobs[digest]
        if wanted := sent.headers.get("Range", "").removeprefix("bytes="):
            first, last = map(int, wanted.split("-"))
            return Reply(206, data[first : last + 1])
        return Reply(200, data, {"Content-Length": str(len(data)), "Docker-Content-Digest": digest})

    def _manifest(self, sent: Sent, reference: str) -> Reply:
        if sent.method == "PUT":
            digest = self.keep_manifest(
                sent.body, sent.headers["Content-Type"], "" if reference.startswith("sha256:") else reference
            )
            return Reply(201, headers={"Docker-Content-Digest": digest})
        digest = self.tags.get(reference, reference)
        if digest not in self.manifests:
            return error_reply(404, "MANIFEST_UNKNOWN")
        media_type, body = self.manifests[digest]
        return Reply(200, body, {"Content-Type": media_type, "Docker-Content-Digest": digest})

    def _upload(self, sent: Sent, repository: str, number: str) -> Reply:
        if sent.method == "POST":
            return self._open(sent, repository)
        upload = self.uploads.get(number)
        if upload is None:
            return error_reply(404, "BLOB_UPLOAD_UNKNOWN")
        place = {"Location": f"{self.base}{sent.path}?_state={len(upload.data)}"}
        if sent.method == "GET":
            end = {"Range": f"0-{max(0, len(upload.data) - 1)}"}
            return Reply(204, headers=place | end) if self.offsets else Reply(405)
        return (
            self._patch(sent, upload, place) if sent.method == "PATCH" else self._put(sent, upload, repository, number)
        )

    def _patch(self, sent: Sent, upload: Upload, place: dict[str, str]) -> Reply:
        first = sent.headers.get("Content-Range", "").partition("-")[0]
        if self.ranges and first and int(first) != len(upload.data):
            return Reply(416, headers=place)
        upload.data += sent.body
        place = {"Location": f"{self.base}{sent.path}?_state={len(upload.data)}"}
        end = {"Range": f"0-{max(0, len(upload.data) - 1)}"} if self.offsets else {}
        return Reply(self.created, headers=place | end)

    def _put(self, sent: Sent, upload: Upload, repository: str, number: str) -> Reply:
        if sent.body and not self.whole:
            return error_reply(405, "UNSUPPORTED")
        upload.data += sent.body
        digest = sha256(bytes(upload.data))
        if digest != sent.query["digest"]:
            return error_reply(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        del self.uploads[number]
        self.keep(bytes(upload.data))
        return Reply(201, headers={"Docker-Content-Digest": digest, "Location": f"/v2/{repository}/blobs/{digest}"})

    def _open(self, sent: Sent, repository: str) -> Reply:
        query = sent.query
        source = query.get("from", ""), query.get("mount", "")
        if source in self.mountable:
            digest = self.keep(self.mountable[source])
            return Reply(201, headers={"Docker-Content-Digest": digest})
        self._opened += 1
        self.uploads[str(self._opened)] = Upload()
        headers = {"Location": f"{self.base}/v2/{repository}/blobs/uploads/{self._opened}?_state=0"}
        return Reply(202, headers=headers | ({"OCI-Chunk-Min-Length": str(self.minimum)} if self.minimum else {}))


def sha256(data: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
