"""Uploads to a registry that cannot be reached for a moment, or takes no token any more in the middle."""

import pytest
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict
from unit.fakes import Told

from pipe.config.settings import Credentials
from pipe.errors import PipeError, PushDeniedError, RegistryFailedError, RegistryUnreachableError, UploadForgottenError
from pipe.oci.reference import Reference
from pipe.registry.blobs import CHUNK, Chunking
from pipe.registry.client import Registry
from pipe.registry.transport import Answer, Request, Transport
from pipe.registry.upload import digest_of

TARGET = Reference("crg.apkg.io", "acme/app", "1")
BLOB = b"some bytes of a blob"
UPLOADS = "/v2/acme/app/blobs/uploads/"
UNREACHABLE = RegistryUnreachableError("Connection refused")
BROKEN = RegistryFailedError("the connection broke")


class Memory(Transport):
    """A registry in memory that takes chunks; what is put in `faults` happens first."""

    def __init__(self) -> None:
        super().__init__(TARGET, "test")
        self.faults: dict[str, list[Exception | int]] = {}
        self.data = b""
        self.blobs: set[str] = set()
        self.tokens = 0
        self.minimum = 0
        self.wait = 0

    def send(self, request: Request, auth: AuthBase) -> Answer:
        """Answer one request."""
        del auth
        place = request.url.partition("crg.apkg.io")[2]
        fault = self.faults.get(request.method, []) if place.startswith("/v2/acme/app/blobs/") else []
        status = fault.pop(0) if fault else 0
        if isinstance(status, Exception):
            raise status
        body = request.body if isinstance(request.body, bytes) else b"".join(map(bytes, request.body))
        headers, answer = {"Location": f"{UPLOADS}x"}, b""
        if place == "/v2/":
            status, headers = 401, {"WWW-Authenticate": 'Bearer realm="/token"'}
        elif place == "/token":
            self.tokens += 1
            status, answer = 200, f'{{"token": "t{self.tokens}"}}'.encode()
        elif status == 401:
            headers = {"WWW-Authenticate": 'Bearer realm="/token"'}
        elif not status:
            status = self._taken(request, body)
        headers |= {"OCI-Chunk-Min-Length": str(self.minimum)} if self.minimum else {}
        headers |= {"Retry-After": str(self.wait)} if self.wait and status != 200 else {}
        headers |= {"Range": f"0-{len(self.data) - 1}"} if self.data else {}
        return Answer(status, CaseInsensitiveDict(headers), answer, request.url)

    def _taken(self, request: Request, body: bytes) -> int:
        match request.method:
            case "POST":
                self.data = b""
                return 202
            case "PATCH":
                self.data += body
                return 202
            case "PUT":
                self.blobs.add(digest_of(self.data))
                return 201 if request.query["digest"] == digest_of(self.data) else 400
            case "GET":
                return 204
        return 200 if request.url.rpartition("/")[2] in self.blobs else 404


class Watch:
    """Lets everything go on, and takes note of the waits."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def check(self) -> None:
        """Go on."""

    def wait(self, seconds: float) -> None:
        """Take note."""
        self.waits.append(seconds)

    def sent(self, total: int) -> None:
        """Take no note."""


def registry(memory: Memory) -> Registry:
    """Make a registry."""
    return Registry(TARGET, Credentials("me", "s3cr3t"), memory, Told())


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize("fault", [UNREACHABLE, BROKEN, 503], ids=["unreachable", "broken", "503"])
def test_a_failure_that_may_pass_costs_one_request(method: str, fault: Exception | int) -> None:
    memory, watch = Memory(), Watch()
    memory.faults = {method: [fault] * 2}
    if not isinstance(fault, int):
        memory.faults["GET"] = [fault]
    upload = registry(memory).blobs.upload(watch)
    upload.send(memoryview(BLOB))
    upload.finish(digest_of(BLOB), 1)
    assert memory.blobs == {digest_of(BLOB)}
    assert watch.waits == [1, 2]


def test_a_stream_is_not_sent_by_half_where_the_token_was_refused() -> None:
    memory = Memory()
    memory.faults = {"PATCH": [401]}
    upload = registry(memory).blobs.upload(Watch())
    with pytest.raises(UploadForgottenError):
        upload.stream([memoryview(BLOB[:9]), memoryview(BLOB[9:])])
    assert (memory.data, memory.tokens) == (b"", 2)


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        pytest.param([], CHUNK, id="chunks"),
        pytest.param([400], 0, id="refused"),
        pytest.param([404], 0, id="not-known"),
        pytest.param([501], 0, id="not-implemented"),
        pytest.param([503], CHUNK, id="busy"),
        pytest.param([429], CHUNK, id="too-many-requests"),
        pytest.param([BROKEN], CHUNK, id="broken"),
        pytest.param([503, 503], 0, id="busy-again"),
        pytest.param([BROKEN, BROKEN], 0, id="broken-again"),
        pytest.param([403], PipeError, id="denied"),
    ],
)
def test_a_registry_that_is_busy_is_asked_again_whether_it_takes_chunks(
    faults: list[Exception | int], outcome: int | type[PipeError]
) -> None:
    memory = Memory()
    memory.faults = {"PATCH": list(faults)}
    blobs = registry(memory).blobs
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            blobs.find_chunking(Watch())
    else:
        assert blobs.find_chunking(Watch()) == Chunking(outcome)


@pytest.mark.parametrize(
    ("minimum", "size"),
    [
        pytest.param(1000, CHUNK, id="small"),
        pytest.param(10_000_000, 10_000_000, id="larger-than-usual"),
        pytest.param(12_000_000, 0, id="too-large-for-the-memory"),
    ],
)
def test_the_smallest_chunk_of_a_registry_fits_the_memory_or_there_are_none(minimum: int, size: int) -> None:
    memory = Memory()
    memory.minimum = minimum
    assert registry(memory).blobs.find_chunking(Watch()) == Chunking(size)


@pytest.mark.parametrize(
    ("faults", "wait", "outcome", "waits"),
    [
        pytest.param([], 0, 0, [], id="an-answer"),
        pytest.param([503, BROKEN], 0, 0, [1, 2], id="two-failures"),
        pytest.param([UNREACHABLE] * 2, 0, 0, [1, 2], id="unreachable-twice"),
        pytest.param([429], 3, 0, [3], id="asked-to-wait"),
        pytest.param([429], 60, RegistryFailedError, [], id="asked-to-wait-long"),
        pytest.param([503] * 3, 0, RegistryFailedError, [1, 2], id="three-failures"),
        pytest.param([UNREACHABLE] * 3, 0, RegistryUnreachableError, [1, 2], id="unreachable-three-times"),
        pytest.param([403], 0, PushDeniedError, [], id="denied"),
    ],
)
def test_a_question_for_a_blob_is_asked_again(
    faults: list[Exception | int], wait: int, outcome: int | type[PipeError], waits: list[float]
) -> None:
    memory, waited = Memory(), list[float]()
    memory.faults, memory.wait = {"HEAD": list(faults)}, wait
    memory.blobs = {digest_of(BLOB)}
    blobs = registry(memory).blobs
    blobs._wait = waited.append  # noqa: SLF001
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            blobs.size(digest_of(BLOB))
    else:
        assert blobs.size(digest_of(BLOB)) == outcome
    assert waited == waits
