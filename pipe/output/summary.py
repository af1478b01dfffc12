"""The last lines of the log: what a push sent, how long it took, and the outcome for each tag."""

from collections.abc import Iterator
from enum import Enum

from pipe.oci.reference import Reference
from pipe.push.result import ARRIVED, LayerResult, LayerStatus, ReleaseResult, Result, TagResult, TagStatus
from pipe.text import listed
from pipe.units import format_duration, format_size

_NOT_PUSHED = frozenset((TagStatus.FAILED, TagStatus.NOT_TRIED))


class Level(Enum):
    """The level of a line."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


Line = tuple[Level, str]
_OUTCOMES = {
    "Pushed": Level.SUCCESS,
    "Would be pushed": Level.SUCCESS,
    "Up to date": Level.SUCCESS,
    "Left alone": Level.INFO,
    "Not tried": Level.FAILURE,
    "Failed": Level.FAILURE,
}
"""Outcomes for an image, in the order of the log."""


def summary(result: Result) -> list[Line]:
    """Return the lines that follow the table of layers; a failure's message comes after them."""
    return [*_sent(result), *_left_alone(result.tags), *_arrived(result.tags), *_dry_run(result)]


def not_pushed(result: Result) -> list[Line]:
    """Return the lines that follow a failure's message; none if there is only one tag, which the message is about."""
    missing = [tag.target for tag in result.tags if tag.status in _NOT_PUSHED]
    return [(Level.FAILURE, f"Not pushed: {_tags(missing)}")] if missing and len(result.tags) > 1 else []


def step_variables(release: ReleaseResult) -> dict[str, str]:
    """Return the variables for later commands of the step: of the first image, and of all that arrived if several."""
    references = [image.reference or "" for image in release.images]
    first = {"IMAGE_REFERENCE": references[0], "IMAGE_DIGEST": release.images[0].digest or ""}
    all_of_them = {} if release.is_single else {"IMAGE_REFERENCES": " ".join(filter(None, references))}
    return {name: value for name, value in (first | all_of_them).items() if value}


def closing(release: ReleaseResult) -> list[Line]:
    """Return the last lines of a run with several images: one for each kind of outcome, failures last."""
    groups: dict[str, list[str]] = {}
    for image in release.images:
        groups.setdefault(_outcome(image), []).append(image.image)
    return [
        (level, f"{outcome}: {', '.join(groups[outcome])}") for outcome, level in _OUTCOMES.items() if outcome in groups
    ]


def _outcome(image: Result) -> str:
    """Return a key of `_OUTCOMES`."""
    statuses = {tag.status for tag in image.tags}
    if image.exit_code:
        return "Not tried" if image.seconds is None else "Failed"
    if TagStatus.PUSHED in statuses:
        return "Pushed"
    if TagStatus.WOULD_PUSH in statuses:
        return "Would be pushed"
    return "Up to date" if TagStatus.ALREADY_THERE in statuses else "Left alone"


def _sent(result: Result) -> Iterator[Line]:
    """Yield how much was sent, and the duration of the run; nothing if the image was not pushed."""
    if result.seconds is None or all(tag.status is not TagStatus.PUSHED or not tag.arrived for tag in result.tags):
        return
    layers, took = result.shown_layers, format_duration(result.seconds)
    sent = [layer for layer in layers if layer.status is LayerStatus.UPLOADED]
    if not layers or not all(layer.status in ARRIVED for layer in layers):
        yield Level.INFO, f"Finished in {took}."
    elif not sent:
        yield Level.INFO, f"Sent no layers: the registry had all of them. Finished in {took}."
    else:
        size, of = _stored(sent), f"{len(sent)} of {len(layers)} layers" if len(layers) > 1 else "1 layer"
        yield Level.INFO, f"Sent {f'{format_size(size)} ({of})' if size else of} in {took}."


def _stored(layers: list[LayerResult]) -> int:
    """Return the sum of the stored sizes, each blob counted once; 0 if a size is unknown."""
    blobs = {layer.descriptor.digest: layer.descriptor.size for layer in layers if layer.descriptor is not None}
    return sum(blobs.values()) if all(layer.descriptor is not None for layer in layers) else 0


def _left_alone(tags: tuple[TagResult, ...]) -> Iterator[Line]:
    for tag in tags:
        if tag.status is TagStatus.SKIPPED:
            other = f", {tag.previous}" if tag.previous else ""
            yield Level.INFO, f"Left alone: {tag.target.tag} (points to another image{other})"


def _arrived(tags: tuple[TagResult, ...]) -> Iterator[Line]:
    """Yield one line for all tags with the same outcome; what was pushed comes last."""
    groups: dict[tuple[bool, bool, str | None], list[Reference]] = {}
    for tag in tags:
        if tag.arrived:
            groups.setdefault((tag.verified, tag.status is TagStatus.PUSHED, tag.digest), []).append(tag.target)
    for (verified, pushed, digest), targets in sorted(groups.items(), key=lambda group: group[0][:2]):
        reference = targets[0].with_tag("").with_digest(digest or "")
        if not verified:
            yield (
                Level.WARNING,
                f"Docker Engine pushed {_tags(targets)}, but the push could not be verified: {reference}",
            )
        elif pushed:
            yield Level.SUCCESS, f"Pushed {_tags(targets)}: {reference}"
        else:
            yield Level.SUCCESS, f"Up to date: {_tags(targets)} ({reference})"


def _dry_run(result: Result) -> Iterator[Line]:
    if not result.dry_run or result.exit_code:
        return
    would = [tag for tag in result.tags if tag.status is TagStatus.WOULD_PUSH]
    for tag in would:
        if tag.previous:
            yield Level.INFO, f"{tag.target.tag} points to another image ({tag.previous}) and would be moved."
    tags = _tags([tag.target for tag in would]) if would else "nothing"
    yield Level.SUCCESS, f"Dry run: {tags} would be pushed."


def _tags(targets: list[Reference]) -> str:
    return listed([target.tag for target in targets])
