"""Packages that the names of an Engine's images lead to: which are asked, and that a hint never fails a push."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from unit.fakes import REQUEST, SETTINGS, Clock, FakeEngine, Messages, OneImage
from unit.http import Outcome, Reply, Sent, cut, error_reply, json_reply
from unit.packages import Packages
from unit.runs import connected, encoder

from pipe.engine import events
from pipe.engine.kind import EngineKind
from pipe.engine.relatives import Relative
from pipe.oci.image import Image, Layer
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.push.context import Context, Timing
from pipe.push.hints import PACKAGES, WORTH, Hints, packages, sent_by_pipe
from pipe.push.pushers import Pushers
from pipe.push.result import LayerStatus, Result
from pipe.push.reuse import Place
from pipe.push.run import Push
from pipe.registry.glimpse import glimpse
from pipe.source.blob import SourceBlob, StoredImage, in_memory

if TYPE_CHECKING:
    from pipe.registry.repository import Repository

TARGET = Reference("crg.apkg.io", "acme/app", "1.0")
ID = "sha256:" + "1" * 64
DIGEST = "sha256:" + "2" * 64


@pytest.mark.parametrize(
    ("tags", "digests", "paths"),
    [
        pytest.param([], [], (), id="no-names"),
        pytest.param(["<none>:<none>"], ["<none>@<none>"], (), id="untagged"),
        pytest.param(["one"], [], ("acme/one",), id="without-a-tag"),
        pytest.param(["one:1.0"], [], ("acme/one",), id="with-a-tag"),
        pytest.param(["team/group/one:1.0"], [], ("acme/one",), id="the-last-component"),
        pytest.param(["localhost/one:1.0"], [f"localhost/one@{DIGEST}"], ("acme/one",), id="local-in-podman"),
        pytest.param(["crg.apkg.io/acme/one:1.0"], [], ("acme/one",), id="the-full-name"),
        pytest.param(
            ["crg.apkg.io/acme/one:1.0"], [f"crg.apkg.io/acme/one@{DIGEST}"], ("acme/one",), id="pushed-or-pulled"
        ),
        pytest.param(["crg.apkg.io/acme/one/two:1.0"], [], ("acme/one/two",), id="the-full-name-with-a-path"),
        pytest.param(["crg.apkg.io/other/one:1.0"], [], (), id="another-workspace"),
        pytest.param(["crg.apkg.io/acme-2/one:1.0"], [], (), id="a-workspace-with-the-same-beginning"),
        pytest.param(["gcr.io/acme/one:1.0", "127.0.0.1:5000/acme/one"], [], (), id="other-registries"),
        pytest.param(["app:1.0", "crg.apkg.io/acme/app:2", "x/app:3"], [], (), id="the-package-itself"),
        pytest.param(["python:3"], [f"python@{DIGEST}"], (), id="pulled"),
        pytest.param(["python:3", "one:1"], [f"python@{DIGEST}"], ("acme/one",), id="pulled-and-named"),
        pytest.param(["one:1.0"], [f"one@{ID}"], ("acme/one",), id="a-containerd-store"),
        pytest.param(["one:1", "one:2", "two:1"], [], ("acme/one", "acme/two"), id="each-once"),
    ],
)
def test_the_packages_that_names_lead_to(tags: list[str], digests: list[str], paths: tuple[str, ...]) -> None:
    assert packages(Relative(ID, 1, tuple(tags), tuple(digests)), TARGET) == paths


@dataclass
class Relatives:
    """An Engine with other images."""

    others: Sequence[Relative]
    patterns: list[str | None] = field(default_factory=list)

    def relatives(
        self, image: Image, is_candidate: Callable[[Relative], bool], pattern: str | None = None
    ) -> tuple[Relative, ...]:
        """Return those that share a layer; none if only some are asked for."""
        self.patterns.append(pattern)
        diff_ids = {layer.diff_id for layer in image.layers}
        shared = [each for each in self.others if is_candidate(each) and each.diff_ids & diff_ids]
        return () if pattern else tuple(shared)


def relative(name: str, *diff_ids: str, size: int = 10 * WORTH) -> Relative:
    """Make another image."""
    return Relative(ID, size, (name,), (), frozenset(diff_ids))


def image(*sizes: int | None) -> Image:
    """Make an image with layers a, b and so on."""
    layers = tuple(Layer(number, "abc"[number - 1], size) for number, size in enumerate(sizes, 1))
    return Image(ID, sum(size or WORTH for size in sizes), layers)


TWO = image(WORTH, WORTH - 1)


@pytest.mark.parametrize(
    ("whole", "missing", "others", "places"),
    [
        pytest.param(TWO, "ab", [], [], id="no-other-images"),
        pytest.param(TWO, "ab", [relative("one", "c")], [], id="no-shared-layer"),
        pytest.param(TWO, "ab", [relative("one", "a")], ["acme/one:1.0", "acme/one:latest"], id="a-shared-layer"),
        pytest.param(TWO, "ab", [relative("one", "b")], [], id="shared-but-small"),
        pytest.param(image(WORTH, WORTH), "b", [relative("one", "a")], [], id="shared-and-known"),
        pytest.param(TWO, "b", [relative("one", "a", "b")], [], id="little-is-missing"),
        pytest.param(TWO, "ab", [relative("one", "a", size=WORTH - 1)], [], id="too-small-to-be-inspected"),
        pytest.param(TWO, "ab", [relative("gcr.io/x/one", "a")], [], id="of-another-registry"),
        pytest.param(image(5 * 10**6, 5 * 10**6), "ab", [relative("one", "a", "b")], ["acme/one:1.0"], id="together"),
        pytest.param(image(None, None), "ab", [relative("one", "a")], ["acme/one:1.0"], id="sizes-are-unknown"),
        pytest.param(
            TWO,
            "ab",
            [relative("one", "a"), relative("two", "a", "b")],
            ["acme/two:1.0", "acme/two:latest", "acme/one:1.0"],
            id="the-most-bytes-first",
        ),
        pytest.param(
            TWO,
            "ab",
            [relative(f"n{number}", "a") for number in range(9)],
            [f"acme/n{number}:{tag}" for number in range(PACKAGES) for tag in ("1.0", "latest")],
            id="a-few",
        ),
    ],
)
def test_the_places_that_are_guessed(whole: Image, missing: str, others: list[Relative], places: list[str]) -> None:
    client = connected(Clock(), Messages(), Packages())
    hints = Hints([TARGET], client.repository, partial(glimpse, client), Relatives(others))
    found = [f"{place.repository.path}:{place.tag}" for place in hints.guessed(whole, frozenset(missing))]
    assert found[: len(places)] == places
    assert bool(found) is bool(places)
    assert len(found) <= PACKAGES * 3


def test_packages_of_this_run_without_tags_are_of_no_use() -> None:
    client, engine = connected(Clock(), Messages(), Packages()), Relatives([relative("one", "a"), relative("two", "a")])
    hints = Hints([TARGET], client.repository, partial(glimpse, client), engine, {"acme/one"})
    assert {place.repository.path for place in hints.guessed(TWO, frozenset("ab"))} == {"acme/two"}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        pytest.param(["1.0"], ["1.0", "latest"], id="one"),
        pytest.param(["latest"], ["latest"], id="latest"),
        pytest.param(["1", "2", "3"], ["1", "2", "latest"], id="several"),
    ],
)
def test_the_tags_that_are_guessed(tags: list[str], expected: list[str]) -> None:
    client = connected(Clock(), Messages(), Packages())
    targets = [TARGET.with_tag(tag) for tag in tags]
    hints = Hints(targets, client.repository, partial(glimpse, client), Relatives([relative("one", "a")]))
    assert [place.tag for place in hints.guessed(TWO, frozenset("ab"))] == expected


def test_small_layers_cost_no_question() -> None:
    engine, glimpsed = Relatives([relative("one", "a")]), list[object]()

    def noted(*of: object) -> "Sequence[Repository]":
        glimpsed.append(of)
        return ()

    client = connected(Clock(), Messages(), Packages())
    small = image(WORTH - 1)
    assert Hints([TARGET], client.repository, noted, engine).guessed(small, frozenset("a")) == ()
    assert Hints([TARGET], client.repository, noted, None).guessed(TWO, frozenset("ab")) == ()
    assert (engine.patterns, glimpsed) == ([], [])


LARGE, TOPS = bytes(WORTH), (b"top of one", b"top of app")


def sha256(data: bytes) -> str:
    """Return a digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Streamed:
    """An image of a large layer and a small one, which an Engine streams."""

    manifests: tuple[Manifest, ...] = ()
    present: Manifest | None = None
    replayable = False

    def __init__(self, top: bytes) -> None:
        self.contents = (LARGE, top)
        diff_ids = [sha256(each) for each in self.contents]
        self.config = json.dumps({"rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
        layers = tuple(Layer(n, diff_id, len(data)) for n, (diff_id, data) in enumerate(self._named(), 1))
        self.image = Image(sha256(self.config), WORTH + len(top), layers)
        self.known: list[frozenset[str]] = []

    def _named(self) -> Iterator[tuple[str, bytes]]:
        return ((sha256(each), each) for each in self.contents)

    def __iter__(self) -> Iterator[SourceBlob]:
        """Yield the layers."""
        for diff_id, data in self._named():
            yield SourceBlob("layer", len(data), diff_id, None, in_memory("layer", "", data).open)

    def blobs(self, known: Callable[[], frozenset[str]] = frozenset) -> AbstractContextManager["Streamed"]:
        """Open the image."""
        self.known.append(known())
        return nullcontext(self)

    def stored(self, _copied: Callable[[int], None]) -> StoredImage:
        """Return nothing: no layer is split."""
        return StoredImage((), b"", (), ())

    def staged(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


class Registry(Packages):
    """The packages of a workspace, behind tokens.

    Attributes:
        refuses_several: Whether the token server refuses a token for several packages.
    """

    def __init__(self) -> None:
        super().__init__("acme/one", "acme/app")
        self.refuses_several = False
        for package in self.packages.values():
            package.realm = REALM

    def reply(self, sent: Sent) -> Reply:
        """Reply as the token server, or as a package."""
        if sent.path != "/token":
            return super().reply(sent)
        refused = self.refuses_several and len(scopes(sent)) > 1
        return Reply(403) if refused else json_reply(200, {"token": "token-1"})


REALM = "https://crg.apkg.io/token"


def scopes(sent: Sent) -> list[str]:
    """Return the scopes that a token is requested for."""
    return parse_qs(urlsplit(sent.url).query)["scope"]


class Workspace:
    """A workspace to whose packages calls push, one after the other."""

    def __init__(self) -> None:
        self.registry, self.told = Registry(), Messages()

    def push(self, name: str, source: Streamed, *others: Relative) -> Result:
        """Push an image by a call, with a client of its own."""
        clock = Clock()
        client = connected(clock, self.told, self.registry)
        settings, request = SETTINGS._replace(uploader="pipe"), REQUEST._replace(repository=f"acme/{name}")
        repository = client.repository(request.repository)
        timing = Timing(clock, clock.sleep, lambda: 0.0, clock.wait)
        context = Context(settings, request, repository, self.told, timing)
        hints = Hints(request.targets, client.repository, partial(glimpse, client), Relatives(others))
        push = Push(context, lambda: source, Pushers(context, [Place(repository, "1.0")], encoder, None, hints))
        push.run()
        return push.result(0)

    @property
    def scopes(self) -> list[list[str]]:
        """The scopes of each token that was requested."""
        return [scopes(sent) for sent in self.registry.matching("GET", "/token")]


def statuses(result: Result) -> list[LayerStatus]:
    """Return the outcome for each layer."""
    return [layer.status for layer in result.layers]


MOUNTED = [LayerStatus.MOUNTED, LayerStatus.UPLOADED]
SENT = [LayerStatus.UPLOADED, LayerStatus.UPLOADED]
FIRST, SECOND = Streamed(TOPS[0]), Streamed(TOPS[1])
NAMED = Relative(FIRST.image.id, WORTH + 10, ("one:1.0",), (), frozenset(layer.diff_id for layer in FIRST.image.layers))


def test_the_second_call_mounts_what_the_first_has_sent() -> None:
    workspace, second = Workspace(), Streamed(TOPS[1])
    assert statuses(workspace.push("one", FIRST)) == SENT
    workspace.registry.sent.clear()
    assert statuses(workspace.push("app", second, NAMED)) == MOUNTED
    own = "repository:acme/app:pull,push"
    assert workspace.scopes == [[own], [own, "repository:acme/one:pull"]], "one token more"
    asked = [(sent.method, sent.path.rpartition("/")[2]) for sent in workspace.registry.matching(path="/v2/acme/one/*")]
    config = FIRST.image.id
    assert sorted(asked) == sorted([("GET", "1.0"), ("GET", "latest"), ("GET", config)])
    assert second.known == [{sha256(LARGE)}], "the layer need not come early"
    assert workspace.told.of("WARNING") == []


def test_nothing_is_asked_if_the_package_itself_has_the_layer() -> None:
    workspace = Workspace()
    workspace.push("app", SECOND)
    workspace.registry.sent.clear()
    assert statuses(workspace.push("app", Streamed(b"new"), NAMED)) == [LayerStatus.ALREADY_THERE, LayerStatus.UPLOADED]
    assert not workspace.registry.matching(path="/v2/acme/one/*")
    assert len(workspace.scopes) == 1


def of(method: str, path: str, outcome: Outcome | Callable[[Sent], Outcome | None]) -> Callable[[Workspace], None]:
    """Return what lets some requests have an outcome."""
    return lambda workspace: workspace.registry.on(method, path, outcome)


def without_config(workspace: Workspace) -> None:
    """Remove the config of the first image."""
    del workspace.registry["acme/one"].blobs[FIRST.image.id]


def without_layers(workspace: Workspace) -> None:
    """Leave no layers in the manifest of the first image."""
    one = workspace.registry["acme/one"]
    one.manifests = {key: (kind, body.replace(b"layers", b"others")) for key, (kind, body) in one.manifests.items()}


def without_package(workspace: Workspace) -> None:
    """Remove the first package."""
    del workspace.registry.packages["acme/one"]


def without_mounts(workspace: Workspace) -> None:
    """Let a mount open an upload."""
    workspace.registry.mounts = False


def without_token(workspace: Workspace) -> None:
    """Grant no token for several packages."""
    workspace.registry.refuses_several = True


DENIED = error_reply(403, "DENIED")
CHALLENGED = error_reply(401, "UNAUTHORIZED", WWW_Authenticate=f'Bearer realm="{REALM}",service="registry"')


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(without_package, id="the-package-is-missing"),
        pytest.param(of("GET", "/v2/acme/one/*", DENIED), id="denied"),
        pytest.param(of("GET", "/v2/acme/one/*", CHALLENGED), id="challenged"),
        pytest.param(of("GET", "/v2/acme/one/*", 500), id="it-fails"),
        pytest.param(of("GET", "/v2/acme/one/*", cut()), id="no-answer"),
        pytest.param(of("GET", "/v2/acme/one/manifests/*", Reply(200, b"[")), id="no-manifest"),
        pytest.param(without_config, id="no-config"),
        pytest.param(without_layers, id="no-layers"),
        pytest.param(without_token, id="no-token"),
        pytest.param(without_mounts, id="the-mount-opens-an-upload"),
        pytest.param(
            of("POST", "/v2/acme/app/blobs/uploads/", lambda sent: 405 if "from" in sent.query else None),
            id="no-mounts-at-all",
        ),
    ],
)
def test_a_hint_that_leads_nowhere_is_no_failure(prepare: Callable[[Workspace], None]) -> None:
    workspace = Workspace()
    workspace.push("one", FIRST)
    workspace.registry.sent.clear()
    prepare(workspace)
    assert statuses(workspace.push("app", Streamed(TOPS[1]), NAMED)) == SENT
    assert workspace.told.of("WARNING") == []
    assert len(workspace.scopes) == 2, "one token for the push, one for the guess"
    assert len(workspace.registry.matching("GET", "/v2/acme/one/manifests/*")) <= 2, "each tag is read once"


@pytest.mark.parametrize(
    ("sizes", "cpus", "expected"),
    [
        pytest.param([25], 2, True, id="small"),
        pytest.param([1000], 2, False, id="large"),
        pytest.param([20] * 5, 3, False, id="so-many-cores-that-the-engine-began"),
    ],
)
def test_who_has_sent_such_an_image(sizes: list[int], cpus: int, expected: bool) -> None:
    layers = tuple(Layer(number, str(number), size * 10**6) for number, size in enumerate(sizes, 1))
    whole = Image(ID, sum(sizes) * 10**6, layers)
    assert sent_by_pipe(whole, EngineKind("go1.19.8", cpus), 0.0) is expected


@pytest.mark.parametrize("dry_run", [False, True], ids=["push", "dry-run"])
def test_the_pipe_begins_if_it_can_mount_what_the_engine_would_compress(dry_run: bool) -> None:
    workspace = Workspace()
    workspace.push("one", FIRST)
    clock, second = Clock(), Streamed(TOPS[1])
    client = connected(clock, workspace.told, workspace.registry)
    settings = SETTINGS._replace(uploader="auto", dry_run=dry_run)
    context = Context(
        settings, REQUEST, client.repository("acme/app"), workspace.told, Timing(clock, clock.sleep, lambda: 0.0)
    )
    hints = Hints(REQUEST.targets, client.repository, partial(glimpse, client), Relatives([NAMED]))
    pushers = Pushers(context, [], encoder, FakeEngine(clock, second.image), hints)
    context.repository.check_push()
    assert pushers.current(second, reachable=True).reason == KNOWN
    assert pushers.forecast(second) == KNOWN


KNOWN = "Uploading directly: Docker Engine would send layers that the registry already has."


def test_nothing_is_guessed_before_an_engine_begins_that_begins_in_any_case() -> None:
    clock, told, engine = Clock(), Messages(), Relatives([relative("one", "a")])
    client = connected(clock, told, Packages("acme/app", "acme/one"))
    settings, large = SETTINGS._replace(uploader="auto"), image(10**9)
    context = Context(
        settings, REQUEST, client.repository("acme/app"), told, Timing(clock, clock.sleep, lambda: 0.0, clock.wait)
    )
    hints = Hints(REQUEST.targets, client.repository, partial(glimpse, client), engine)
    pushers = Pushers(context, [], encoder, FakeEngine(clock, large), hints)
    assert pushers.current(OneImage(large), reachable=True).hands_over
    assert engine.patterns == ["crg.apkg.io/acme/*"], "only what the image names"


def test_an_engine_that_sends_a_guessed_layer_is_followed_by_the_pipe() -> None:
    workspace, second = Workspace(), Streamed(TOPS[1])
    workspace.push("one", FIRST)
    clock = Clock()
    client = connected(clock, workspace.told, workspace.registry)
    # As large as an image must be before an Engine's push is worth ending, and staged late.
    claimed = 100 * WORTH
    layers = (second.image.layers[0]._replace(size=claimed), second.image.layers[1])
    second.image = second.image._replace(size=claimed, layers=layers)
    engine, base = FakeEngine(clock, second.image), second.image.layers[0].short_id
    engine.pushes = [[(at / 2, events.Uploading(base, at * WORTH, claimed)) for at in range(1, 100)]]
    context = Context(
        SETTINGS._replace(uploader="auto", max_attempts=1),
        REQUEST,
        client.repository("acme/app"),
        workspace.told,
        Timing(clock, clock.sleep, lambda: 0.0, clock.wait),
    )
    hints = Hints(REQUEST.targets, client.repository, partial(glimpse, client), Relatives([NAMED]))
    push = Push(context, lambda: second, Pushers(context, [], encoder, engine, hints))
    push.run()
    assert KNOWN in workspace.told.of("INFO")
    assert (statuses(push.result(0)), push.result(0).uploader) == (MOUNTED, "pipe")
