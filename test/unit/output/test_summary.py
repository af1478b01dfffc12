"""The last lines of the log, read aloud."""

import pytest

from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Layer
from pipe.oci.reference import Reference
from pipe.output.summary import Level, Line, not_pushed, summary
from pipe.push.result import LayerResult, LayerStatus, PlatformResult, Result, TagResult, TagStatus

DIGEST = "sha256:" + "d" * 64
OTHER = "sha256:" + "0" * 64
TARGET = Reference("crg.apkg.io", "acme/app")
REFERENCE = f"crg.apkg.io/acme/app@{DIGEST}"


def pushed(*tags: str, verified: bool = True, status: TagStatus = TagStatus.PUSHED) -> tuple[TagResult, ...]:
    """Make tags that arrived."""
    return tuple(TagResult(TARGET.with_tag(tag), status, DIGEST, verified=verified) for tag in tags)


def missing(tag: str, status: TagStatus, previous: str | None = None) -> TagResult:
    """Make a tag that did not arrive."""
    return TagResult(TARGET.with_tag(tag), status, previous=previous)


def layer(number: int, status: LayerStatus, size: int | None = 1_000_000, blob: str = "") -> LayerResult:
    """Make a layer."""
    descriptor = None if size is None else Descriptor("", blob or f"sha256:{number}", size)
    return LayerResult(Layer(number, f"sha256:{number}"), status, descriptor)


def told(
    *tags: TagResult,
    layers: tuple[LayerResult, ...] = (),
    seconds: float | None = None,
    dry_run: bool = False,
    exit_code: int = 0,
) -> list[Line]:
    """Tell what came out of a run."""
    return summary(Result("app", None, dry_run, tags, layers, exit_code, seconds=seconds))


@pytest.mark.parametrize(
    ("tags", "lines"),
    [
        pytest.param(
            pushed("1.0", "1", "latest"), [(Level.SUCCESS, f"Pushed 1.0, 1, latest: {REFERENCE}")], id="pushed"
        ),
        pytest.param(
            pushed(*"abcdefg"), [(Level.SUCCESS, f"Pushed a, b, c, d, e and 2 more: {REFERENCE}")], id="many-tags"
        ),
        pytest.param(
            pushed("1.0", "1", status=TagStatus.ALREADY_THERE),
            [(Level.SUCCESS, f"Up to date: 1.0, 1 ({REFERENCE})")],
            id="already-there",
        ),
        pytest.param(
            (*pushed("1.0"), *pushed("1", status=TagStatus.ALREADY_THERE), *pushed("latest")),
            [(Level.SUCCESS, f"Up to date: 1 ({REFERENCE})"), (Level.SUCCESS, f"Pushed 1.0, latest: {REFERENCE}")],
            id="what-was-pushed-comes-last",
        ),
        pytest.param(
            pushed("1.0", "1", verified=False),
            [(Level.WARNING, f"Docker Engine pushed 1.0, 1, but the push could not be verified: {REFERENCE}")],
            id="not-verified",
        ),
        pytest.param(
            (
                *pushed("1.0"),
                missing("2", TagStatus.FAILED),
                missing("3", TagStatus.NOT_TRIED),
                missing("4", TagStatus.NOT_TRIED),
            ),
            [(Level.SUCCESS, f"Pushed 1.0: {REFERENCE}"), (Level.FAILURE, "Not pushed: 2, 3, 4")],
            id="second-of-four-failed",
        ),
        pytest.param((missing("1.0", TagStatus.FAILED),), [], id="only-tag-failed"),
        pytest.param(
            (missing("1.4.2", TagStatus.SKIPPED, OTHER), *pushed("latest"), missing("1.4", TagStatus.SKIPPED)),
            [
                (Level.INFO, f"Left alone: 1.4.2 (points to another image, {OTHER})"),
                (Level.INFO, "Left alone: 1.4 (points to another image)"),
                (Level.SUCCESS, f"Pushed latest: {REFERENCE}"),
            ],
            id="skipped",
        ),
    ],
)
def test_tags(tags: tuple[TagResult, ...], lines: list[Line]) -> None:
    result = Result("app", None, False, tags, (), 0)
    assert summary(result) + not_pushed(result) == lines


UPLOADED, THERE = LayerStatus.UPLOADED, LayerStatus.ALREADY_THERE


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        pytest.param(
            (layer(1, THERE), layer(2, UPLOADED, 30_000_000), layer(3, UPLOADED, 20_000_000)),
            "Sent 50.0 MB (2 of 3 layers) in 4.1 s.",
            id="some-of-them",
        ),
        pytest.param((layer(1, UPLOADED),), "Sent 1.0 MB (1 layer) in 4.1 s.", id="one"),
        pytest.param(
            (layer(1, UPLOADED, blob="sha256:x"), layer(2, UPLOADED, blob="sha256:x")),
            "Sent 1.0 MB (2 of 2 layers) in 4.1 s.",
            id="the-same-twice",
        ),
        pytest.param(
            (layer(1, UPLOADED, None), layer(2, UPLOADED)), "Sent 2 of 2 layers in 4.1 s.", id="of-unknown-size"
        ),
        pytest.param(
            (layer(1, THERE), layer(2, LayerStatus.MOUNTED)),
            "Sent no layers: the registry had all of them. Finished in 4.1 s.",
            id="nothing",
        ),
        pytest.param((layer(1, UPLOADED), layer(2, LayerStatus.WAITING)), "Finished in 4.1 s.", id="not-known-of-all"),
        pytest.param((), "Finished in 4.1 s.", id="no-layers"),
    ],
)
def test_what_was_sent_and_how_long_it_took(layers: tuple[LayerResult, ...], line: str) -> None:
    assert told(*pushed("1"), layers=layers, seconds=4.12)[0] == (Level.INFO, line)


def test_the_layers_of_all_platforms_are_told() -> None:
    platforms = tuple(PlatformResult(f"linux/{name}", DIGEST, (layer(n, UPLOADED),)) for n, name in enumerate("ab"))
    result = Result("app", None, False, pushed("1"), (layer(0, UPLOADED),), 0, seconds=1.0, platforms=platforms)
    assert summary(result)[0] == (Level.INFO, "Sent 2.0 MB (2 of 2 layers) in 1.0 s.")


def test_what_was_sent_is_reported_even_if_another_tag_failed() -> None:
    assert told(*pushed("1"), missing("2", TagStatus.FAILED), layers=(layer(1, UPLOADED),), seconds=4.1) == [
        (Level.INFO, "Sent 1.0 MB (1 layer) in 4.1 s."),
        (Level.SUCCESS, f"Pushed 1: {REFERENCE}"),
    ]


def test_nothing_is_reported_as_sent_if_nothing_arrived() -> None:
    failed = missing("1", TagStatus.FAILED)
    assert told(failed, layers=(layer(1, UPLOADED),), seconds=4.1, exit_code=6) == []


def test_an_unchanged_image_takes_one_line() -> None:
    tags = pushed("1.0", "1", "latest", status=TagStatus.ALREADY_THERE)
    assert told(*tags, layers=(layer(1, THERE), layer(2, THERE)), seconds=0.4) == [
        (Level.SUCCESS, f"Up to date: 1.0, 1, latest ({REFERENCE})")
    ]


@pytest.mark.parametrize(
    ("tags", "lines"),
    [
        pytest.param(
            (missing("1.0", TagStatus.WOULD_PUSH), missing("1", TagStatus.WOULD_PUSH)),
            [(Level.SUCCESS, "Dry run: 1.0, 1 would be pushed.")],
            id="new-tags",
        ),
        pytest.param(
            (missing("1.0", TagStatus.WOULD_PUSH), missing("latest", TagStatus.WOULD_PUSH, OTHER)),
            [
                (Level.INFO, f"latest points to another image ({OTHER}) and would be moved."),
                (Level.SUCCESS, "Dry run: 1.0, latest would be pushed."),
            ],
            id="a-tag-that-moves",
        ),
        pytest.param(
            (*pushed("1.0", status=TagStatus.ALREADY_THERE), missing("1", TagStatus.WOULD_PUSH)),
            [
                (Level.SUCCESS, f"Up to date: 1.0 ({REFERENCE})"),
                (Level.SUCCESS, "Dry run: 1 would be pushed."),
            ],
            id="a-tag-that-is-there",
        ),
        pytest.param(
            pushed("1.0", status=TagStatus.ALREADY_THERE),
            [
                (Level.SUCCESS, f"Up to date: 1.0 ({REFERENCE})"),
                (Level.SUCCESS, "Dry run: nothing would be pushed."),
            ],
            id="nothing",
        ),
    ],
)
def test_a_dry_run_ends_with_that(tags: tuple[TagResult, ...], lines: list[Line]) -> None:
    assert told(*tags, layers=(layer(1, LayerStatus.WOULD_UPLOAD),), seconds=1.0, dry_run=True) == lines


def test_a_dry_run_that_failed_is_no_success() -> None:
    assert told(missing("1", TagStatus.FAILED), dry_run=True, exit_code=4) == []
