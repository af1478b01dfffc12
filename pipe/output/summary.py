"""The last lines of the log: what a push sent, how long it took, and what became of the tags (pure)."""

from collections.abc import Iterator
from enum import Enum

from pipe.oci.reference import Reference
from pipe.push.result import ARRIVED, LayerResult, LayerStatus, Result, TagResult, TagStatus
from pipe.text import listed
from pipe.units import format_duration, format_size


class Level(Enum):
    """How a line is marked."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


Line = tuple[Level, str]


def summary(result: Result) -> list[Line]:
    """Tell what came out of a run.

    Args:
        result: Of a run that succeeded or failed; why it failed is told elsewhere.

    Returns:
        Lines with their levels; what was pushed comes last.
    """
    lines = [*_sent(result), *_missing(result.tags), *_arrived(result.tags)]
    if result.dry_run and result.exit_code == 0:
        lines.append((Level.SUCCESS, "Dry run: nothing was sent."))
    return lines


def _sent(result: Result) -> Iterator[Line]:
    """Tell what went over the network, and how long all of it took."""
    if result.dry_run or not any(tag.arrived for tag in result.tags) or result.seconds is None:
        return
    layers, took = result.shown_layers, format_duration(result.seconds)
    sent = [layer for layer in layers if layer.status is LayerStatus.UPLOADED]
    if not layers or not all(layer.status in ARRIVED for layer in layers):
        yield Level.INFO, f"Took {took}."
    elif not sent:
        yield Level.INFO, f"Sent nothing: the registry had every layer. Took {took}."
    else:
        size = _stored(sent)
        told = f"{format_size(size)} (" if size else ""
        of = f"{len(sent)} of {len(layers)} layers" if len(layers) > 1 else "1 layer"
        yield Level.INFO, f"Sent {told}{of}{')' if told else ''} in {took}."


def _stored(layers: list[LayerResult]) -> int:
    """Add up the stored sizes, a blob that is twice in the image once; 0 where one is not known."""
    blobs = {layer.descriptor.digest: layer.descriptor.size for layer in layers if layer.descriptor is not None}
    return sum(blobs.values()) if all(layer.descriptor is not None for layer in layers) else 0


def _missing(tags: tuple[TagResult, ...]) -> Iterator[Line]:
    """Tell which tags did not arrive; of a single one, the error that follows says it."""
    would = [tag.target for tag in tags if tag.status is TagStatus.WOULD_PUSH]
    if would:
        yield Level.INFO, f"Would push {_tags(would)}: {would[0].repository}"
    if len(tags) > 1:
        for status, words in ((TagStatus.FAILED, "Failed"), (TagStatus.NOT_TRIED, "Not tried")):
            missing = [tag.target for tag in tags if tag.status is status]
            if missing:
                yield Level.FAILURE, f"{words}: {_tags(missing)}"


def _arrived(tags: tuple[TagResult, ...]) -> Iterator[Line]:
    """Tell which tags arrived, one line for all that became the same; what was pushed now comes last."""
    groups: dict[tuple[bool, bool, str | None], list[Reference]] = {}
    for tag in tags:
        if tag.arrived:
            groups.setdefault((tag.verified, tag.status is TagStatus.PUSHED, tag.digest), []).append(tag.target)
    for (verified, pushed, digest), targets in sorted(groups.items(), key=lambda group: group[0][:2]):
        reference = targets[0].with_tag("").with_digest(digest or "")
        if verified:
            yield Level.SUCCESS, f"{'Pushed' if pushed else 'Already pushed'} {_tags(targets)}: {reference}"
        else:
            yield Level.WARNING, f"Docker Engine pushed {_tags(targets)}, but that could not be verified: {reference}"


def _tags(targets: list[Reference]) -> str:
    return listed([target.tag for target in targets])
