"""Which prefixes an image gets, and that an Engine keeps none of their temporary images."""

import contextlib
import hashlib
import io
import json
import signal
import tarfile
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest
from docker.errors import APIError, NotFound
from hypothesis import given
from hypothesis import strategies as st

from pipe.engine.prefixes import LABEL, STALE, Prefixes
from pipe.engine.staging import MOST, WORTH_IMAGE, WORTH_PREFIX, prefix_lengths
from pipe.engine.tagging import CLOSING_TIMEOUT
from pipe.errors import StoppedError
from pipe.oci.descriptor import Platform
from pipe.oci.image import Image, Layer

if TYPE_CHECKING:
    from docker import APIClient

MB = 10**6
GB = 10**9
NOW = 1_800_000_000
SIGTERM = 15


@pytest.mark.parametrize(
    ("sizes", "lengths"),
    [
        pytest.param([65 * MB, 125 * MB, 295 * MB], (1, 2), id="growing"),
        pytest.param([200 * MB] * 5, (1, 2), id="equal"),
        pytest.param([65 * MB, 0, 0, 125 * MB, 295 * MB], (3, 4), id="empty-layers-belong-to-the-one-below"),
        pytest.param([80 * MB, 30 * MB, 5 * MB], (), id="most-in-the-base"),
        pytest.param([GB], (), id="single-layer"),
        pytest.param([GB, MB], (), id="single-large-layer-and-a-small-one"),
        pytest.param([MB, GB], (), id="single-large-layer-on-a-small-one"),
        pytest.param([10 * MB] * 4, (), id="small-image"),
        pytest.param([10 * MB] * 5, (1, 2), id="barely-large-enough"),
        pytest.param([10 * MB * 2**each for each in range(8)], (3, 4, 5, 6, 7), id="no-more-than-five"),
        pytest.param([None, 125 * MB, 295 * MB], (), id="unknown-size"),
        pytest.param([None] * 3, (), id="containerd-store"),
        pytest.param([], (), id="no-layers"),
        pytest.param([0, 0], (), id="empty-layers"),
    ],
)
def test_prefixes_are_chosen_by_size(sizes: list[int | None], lengths: tuple[int, ...]) -> None:
    assert prefix_lengths(sizes) == lengths


@pytest.mark.parametrize(
    ("known", "lengths"),
    [
        pytest.param((), (1, 2), id="none"),
        pytest.param((1,), (2,), id="the-base"),
        pytest.param((2,), (1,), id="in-the-middle"),
        pytest.param((3,), (1, 2), id="the-top"),
        pytest.param((1, 2), (), id="all-but-the-top"),
        pytest.param((1, 2, 3), (), id="all"),
    ],
)
def test_no_prefix_is_chosen_for_known_layers(known: tuple[int, ...], lengths: tuple[int, ...]) -> None:
    sizes = [65 * MB, 125 * MB, 295 * MB]
    assert prefix_lengths(sizes, [number in known for number in (1, 2, 3)]) == lengths


def test_a_prefix_for_few_unknown_bytes_is_not_chosen() -> None:
    assert prefix_lengths([100 * MB, WORTH_PREFIX - 1, 200 * MB], [True, False, False]) == ()
    assert prefix_lengths([100 * MB, WORTH_PREFIX, 200 * MB], [True, False, False]) == (2,)


@given(st.lists(st.tuples(st.integers(0, GB), st.booleans()), max_size=40))
def test_each_prefix_brings_unknown_layers(layers: list[tuple[int, bool]]) -> None:
    sizes, known = [size for size, _ in layers], [each for _, each in layers]
    lengths = prefix_lengths(sizes, known)
    assert all(not known[length - 1] for length in lengths)
    assert all(sum(size for size, each in layers[:length] if not each) >= WORTH_PREFIX for length in lengths)
    assert all(
        2 * one <= other for one, other in pairwise([*map(sum, (sizes[:length] for length in lengths)), sum(sizes)])
    )


@given(st.lists(st.integers(0, GB), max_size=40))
def test_each_prefix_has_at_most_half_the_bytes_of_the_next(sizes: list[int]) -> None:
    lengths = prefix_lengths(sizes)
    bytes_of = [sum(sizes[:length]) for length in (*lengths, len(sizes))]
    assert len(lengths) <= MOST
    assert all(2 * one <= other for one, other in pairwise(bytes_of))
    assert not lengths or (bytes_of[0] >= WORTH_PREFIX and bytes_of[-1] >= WORTH_IMAGE)


IMAGE = Image(
    "sha256:whole",
    70 * MB,
    tuple(Layer(number, f"sha256:{number:064x}", 10 * MB * 2**number) for number in range(1, 4)),
    platform=Platform("linux", "arm64"),
)


class Engine:
    """An Engine that loads images; a signal comes in place of one of the requests."""

    def __init__(self, *, refuses: str = "") -> None:
        self.configs: dict[str, dict[str, Any]] = {}
        self.timeout = 30
        self.stop_in = -1
        self._refuses = refuses
        self.keeps = False

    def _request(self) -> None:
        self.stop_in -= 1
        if self.stop_in == 0:
            raise StoppedError(SIGTERM)

    def load_image(self, data: bytes) -> Iterator[dict[str, str]]:
        """Load an image whose layers are there."""
        self._request()
        if self._refuses == "status":
            raise APIError("500")
        if self._refuses == "words":
            yield {"error": 'layer "0/layer.tar" not found'}
            return
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            assert archive.getnames() == ["config.json", "manifest.json"]
            config, manifest = (archive.extractfile(name).read() for name in archive.getnames())  # type: ignore[union-attr]
        parsed = json.loads(config)
        [listed] = json.loads(manifest)
        assert listed["RepoTags"] is None
        assert len(listed["Layers"]) == len(parsed["rootfs"]["diff_ids"])
        self.configs[f"sha256:{hashlib.sha256(config).hexdigest()}"] = parsed
        # It is there, and the answer is lost.
        self._request()
        yield {"stream": "Loaded image ID: …"}

    def close(self) -> None:
        """Close nothing."""

    def inspect_image(self, name: str) -> dict[str, Any]:
        """Find an image."""
        self._request()
        if name not in self.configs:
            raise NotFound(name)
        return {"Id": name}

    def images(self, *, all: bool, filters: dict[str, str]) -> list[dict[str, Any]]:  # noqa: A002
        """List images with a label."""
        self._request()
        assert all
        assert filters == {"label": LABEL}
        return [{"Id": name, "Labels": config["config"]["Labels"]} for name, config in self.configs.items()]

    def remove_image(self, name: str, *, noprune: bool) -> None:
        """Remove an image."""
        assert noprune
        self._request()
        if self.keeps:
            raise APIError("conflict")
        if self.configs.pop(name, None) is None:
            raise NotFound(name)


def loaded(engine: Engine, warnings: list[str], image: Image = IMAGE) -> contextlib.AbstractContextManager[Any]:
    """Load the prefixes of an image."""
    return Prefixes(cast("APIClient", engine), image, lambda: NOW, warnings.append).loaded()


def test_prefixes_are_images_of_the_first_layers_while_the_context_lasts() -> None:
    engine, warnings = Engine(), list[str]()
    with loaded(engine, warnings) as prefixes:
        assert [each.layers for each in prefixes] == [IMAGE.layers[:1], IMAGE.layers[:2]]
        assert [each.size for each in prefixes] == [20 * MB, 60 * MB]
        assert [each.id for each in prefixes] == list(engine.configs)
        for prefix, config in zip(prefixes, engine.configs.values(), strict=True):
            assert config["rootfs"] == {"type": "layers", "diff_ids": [each.diff_id for each in prefix.layers]}
            assert (config["os"], config["architecture"]) == ("linux", "arm64")
            assert config["config"]["Labels"][LABEL].startswith(f"{NOW}-")
    assert engine.configs == {}
    assert warnings == []


def test_two_runs_have_images_of_their_own() -> None:
    engine = Engine()
    with loaded(engine, []) as ours:
        with loaded(engine, []) as theirs:
            assert not {each.id for each in ours} & {each.id for each in theirs}
        assert set(engine.configs) == {each.id for each in ours}


@pytest.mark.parametrize("refuses", ["words", "status"])
def test_an_engine_may_refuse_them(refuses: str) -> None:
    warnings: list[str] = []
    with loaded(Engine(refuses=refuses), warnings) as prefixes:
        assert prefixes == ()
    assert warnings == []


def test_an_image_that_gains_nothing_costs_no_request() -> None:
    engine = Engine()
    engine.stop_in = 1
    with loaded(engine, [], Image("sha256:whole", GB, (Layer(1, "sha256:1", GB),))) as prefixes:
        assert prefixes == ()


def test_no_prefix_is_loaded_for_known_layers() -> None:
    engine = Engine()
    known = frozenset({IMAGE.layers[0].diff_id})
    with Prefixes(cast("APIClient", engine), IMAGE, lambda: NOW, pytest.fail, known).loaded() as prefixes:
        assert [each.layers for each in prefixes] == [IMAGE.layers[:2]]
    assert engine.configs == {}


@pytest.mark.parametrize("at", range(1, 12))
def test_a_signal_leaves_none(at: int) -> None:
    engine, warnings = Engine(), list[str]()
    engine.stop_in = at
    with contextlib.suppress(StoppedError), loaded(engine, warnings):
        assert at > 7, "all are loaded"
    assert engine.configs == {}
    assert warnings == []
    assert engine.timeout == (30 if engine.stop_in > 0 else CLOSING_TIMEOUT)


class SlowEngine(Engine):
    """An Engine that goes on loading an image after a signal has ended the request."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = threading.Event()
        self._loading: list[threading.Thread] = []

    def load_image(self, data: bytes) -> Iterator[dict[str, str]]:
        """Load an image, but not before the request has ended, or a while later."""

        def load() -> None:
            self._asked.wait(0.1)
            list(Engine.load_image(self, data))

        self._loading.append(threading.Thread(target=load))
        self._loading[-1].start()
        signal.raise_signal(signal.SIGTERM)
        self._loading[-1].join()
        yield {"stream": "Loaded image ID: …"}

    def remove_image(self, name: str, *, noprune: bool) -> None:
        """Remove an image."""
        try:
            super().remove_image(name, noprune=noprune)
        finally:
            self._asked.set()

    def settle(self) -> None:
        """Load what is being loaded."""
        for thread in self._loading:
            thread.join()


def test_a_signal_leaves_none_that_the_engine_is_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(number: int, _frame: object) -> None:
        raise StoppedError(number)

    engine, warnings, before = SlowEngine(), list[str](), signal.signal(signal.SIGTERM, stop)
    monkeypatch.setattr("pipe.engine.prefixes.CLOSING_TIMEOUT", 60)
    try:
        with pytest.raises(StoppedError), loaded(engine, warnings):
            pytest.fail("the signal was lost")
    finally:
        signal.signal(signal.SIGTERM, before)
    engine.settle()
    assert engine.configs == {}
    assert warnings == []


def test_images_of_killed_runs_are_removed_by_a_later_one() -> None:
    engine = Engine()
    labels = {
        f"{NOW - STALE - 1}-0a": False,
        f"{NOW - STALE}-0b": True,
        f"{NOW}-0c": True,
        "a user's own": True,
        "": True,
    }
    for label in labels:
        engine.configs[f"sha256:{label}"] = {"config": {"Labels": {LABEL: label}}}
    with loaded(engine, []):
        pass
    assert set(engine.configs) == {f"sha256:{label}" for label, kept in labels.items() if kept}


def test_an_image_that_cannot_be_removed_is_named() -> None:
    engine, warnings = Engine(), list[str]()
    with loaded(engine, warnings) as prefixes:
        engine.keeps = True
    assert [each.id in warning for each, warning in zip(reversed(prefixes), warnings, strict=True)] == [True, True]
