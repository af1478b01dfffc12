"""Several tags of one image: in which order they are pushed, which at the same time, and what a rejected one means."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus

from pipe.config.variables import DEFAULT_TAG
from pipe.errors import (
    ImageRefusedError,
    PackageNotFoundError,
    PipeError,
    PushDeniedError,
    TagExistsError,
    TagRejectedError,
)
from pipe.oci.config import Origin
from pipe.oci.manifest import Manifest
from pipe.oci.reference import Reference
from pipe.push.result import TagResult
from pipe.registry.errors import LOST
from pipe.registry.repository import Repository

_OTHER_REASONS = frozenset(
    (
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.TOO_MANY_REQUESTS,
    )
)
"""Statuses of the 4xx class that never mean that a tag is protected."""
_WITHOUT_STATUS = (ImageRefusedError, PushDeniedError, PackageNotFoundError)
"""Errors that an Engine's words stand for if they lost the status."""


def ordered(tags: Iterable[TagResult]) -> list[Reference]:
    """Return the tags to push: new ones first, then those that move, `latest` last.

    A tag that the registry rejects is then met after the release's own tags are there, and `latest` never points to an
    image that has no other tag yet.
    """
    return [tag.target for tag in sorted(tags, key=_turn)]


def alike(first: Reference, tags: Iterable[TagResult]) -> list[Reference]:
    """Return the tags that may be pushed at the same time as the first of them."""
    tags = list(tags)
    turns = [_turn(tag) for tag in tags if tag.target == first]
    return [tag.target for tag in tags if _turn(tag) in turns]


def _turn(tag: TagResult) -> tuple[bool, bool]:
    return tag.target.tag == DEFAULT_TAG, tag.previous is not None


def put_all(
    repository: Repository, manifest: Manifest, targets: Sequence[Reference], log: Callable[[str], None]
) -> list[Reference]:
    """Put a manifest under tags, all at the same time; `log` receives why a tag failed.

    Returns:
        The tags that point to the manifest afterwards; each other one must be pushed alone, which shows the reason.
    """

    def done(call: Callable[[], bool]) -> bool:
        try:
            return call()
        except PipeError as error:
            log(error.summary)
            return False

    def put(target: Reference) -> bool:
        repository.put_manifest(target.tag, manifest)
        return True

    def read(target: Reference) -> bool:
        found = repository.manifest(target.tag)
        return found is not None and found.digest == manifest.digest

    for step in (put, read):
        outcomes = repository.pool.gather([partial(done, partial(step, target)) for target in targets])
        targets = [target for target, outcome in zip(targets, outcomes, strict=True) if outcome]
    return list(targets)


def concerns_only_a_tag(error: PipeError, *, is_stored: bool) -> bool:
    """Return whether other tags may succeed: this one exists, or the registry stores the image under another.

    A denial of access concerns every tag.
    """
    if isinstance(error, TagRejectedError):
        return True
    return is_stored and isinstance(error, ImageRefusedError) and may_be_protected(error)


def may_be_protected(error: PipeError) -> bool:
    """Return whether a failed push of a tag that exists may mean that the registry protects the tag.

    Which status Bitbucket's registry returns is not documented, and others return 400, 403, 405, 409 or 412, so every
    rejection counts that has no other meaning.
    """
    if LOST & set(error.codes):
        return False
    if not error.status:
        return isinstance(error, _WITHOUT_STATUS)
    is_rejection = HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return is_rejection and error.status not in _OTHER_REASONS


def rejected(target: Reference, digest: str, origin: Origin, error: PipeError) -> TagRejectedError:
    """Return the error for a tag that exists and that the registry does not move; `digest` is what it points to."""
    found = TagRejectedError(
        f"{target} exists and points to another image, {digest}{_described(origin)}. The registry rejects moving it:"
        f" {error.cause.rstrip(' .:')}.",
        fix="The tag is probably protected (Container settings of the workspace): push a new tag, or set"
        " IF_TAG_EXISTS: skip.",
    )
    found.status, found.codes = error.status, error.codes
    return found


def exists(target: Reference, digest: str, origin: Origin) -> TagExistsError:
    """Return the error for a tag that exists, if IF_TAG_EXISTS rules out moving it."""
    return TagExistsError(
        f"{target} points to another image, {digest}{_described(origin)}. Nothing was uploaded.",
        fix="Push a new tag, or set IF_TAG_EXISTS to skip or overwrite.",
    )


def _described(origin: Origin) -> str:
    parts = [
        f"created {origin.created}" if origin.created else "",
        f"from revision {origin.revision}" if origin.revision else "",
    ]
    text = " ".join(filter(None, parts))
    return f" ({text})" if text else ""
