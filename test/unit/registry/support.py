"""A client of a registry in memory, with a clock that no test waits for."""

from collections.abc import Iterator, Sequence

from unit.fakes import Clock, Messages
from unit.http import FakeHTTP, FakeRegistryServer, sha256

from pipe.config.settings import Credentials
from pipe.errors import PipeError
from pipe.registry.client import Client
from pipe.registry.run_clock import RUN_LIMIT, RunClock

DOMAIN, PATH = "crg.apkg.io", "acme/app"
BASE = f"https://{DOMAIN}"
UPLOADS = f"/v2/{PATH}/blobs/uploads/"
CREDENTIALS = Credentials("me", "s3cr3t")
BASIC = "Basic bWU6czNjcjN0"


class Setup:
    """A client and its surroundings."""

    def __init__(self, server: FakeHTTP | None = None, domain: str = DOMAIN, limit: float = RUN_LIMIT) -> None:
        self.clock = Clock()
        self.server = server or FakeRegistryServer(self.clock.pass_by)
        self.messages = Messages()
        self.client = Client(
            domain,
            CREDENTIALS,
            "test/1",
            self.messages,
            clock=self.clock,
            wait=self.clock.sleep,
            random=lambda: 0.0,
            adapter=self.server,
            run_clock=RunClock(self.clock, limit),
        )
        self.repository = self.client.repository(PATH)
        self.watch = Watch(self.clock)


class Registry(Setup):
    """The same with a registry that works."""

    def __init__(self, limit: float = RUN_LIMIT) -> None:
        super().__init__(limit=limit)
        assert isinstance(self.server, FakeRegistryServer)
        self.server: FakeRegistryServer = self.server


class Watch:
    """Watches an upload that may last some seconds."""

    def __init__(self, clock: Clock, seconds: float = 420.0) -> None:
        self.clock = clock
        self.end = clock() + seconds
        self.waits: list[float] = []
        self.began_at: list[float] = []
        self.totals: list[int] = []
        self.failure: Exception | None = None

    def check(self) -> None:
        if self.failure:
            raise self.failure

    def wait(self, seconds: float, cause: PipeError) -> None:
        if seconds >= self.remaining():
            raise cause
        self.waits.append(seconds)
        self.clock.pass_by(seconds)

    def remaining(self) -> float:
        return self.end - self.clock()

    def began(self, at: float) -> None:
        self.began_at.append(at)

    def sent(self, total: int) -> None:
        self.totals.append(total)


class Blob:
    """A blob in chunks, which are overwritten once the next is requested, as those of a real one are."""

    def __init__(self, *chunks: bytes) -> None:
        self.data = b"".join(chunks)
        self.digest = ""
        self._chunks: Sequence[bytes] = chunks

    def __iter__(self) -> Iterator[memoryview]:
        buffer = bytearray(max(map(len, self._chunks), default=0))
        for position, chunk in enumerate(self._chunks):
            if position == len(self._chunks) - 1:
                self.digest = sha256(self.data)
            buffer[: len(chunk)] = chunk
            yield memoryview(buffer)[: len(chunk)]
            buffer[:] = bytes(len(buffer))
