"""What the registry is asked before a push, all at the same time."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from pipe.errors import PipeError
from pipe.oci.manifest import Manifest
from pipe.push.reuse import Place
from pipe.registry.repository import Repository


class Answers(NamedTuple):
    """The answers.

    Attributes:
        refusal: Why a push is not allowed, None if it is, or if that was not asked.
        failure: Why one of the target's tags cannot be read, None if all can.
        manifests: Those that could be read, by place; None for a tag that does not exist.
        missing: What the registry lacks of manifests of the image, by their digest, as far as it was asked.
    """

    refusal: PipeError | None
    failure: PipeError | None
    manifests: dict[Place, Manifest | None]
    missing: Mapping[str, Sequence[str]] = MappingProxyType({})

    @property
    def is_temporary(self) -> bool:
        """Whether the registry may return something else soon: it was too busy to answer, for example."""
        return any(error.temporary for error in (self.refusal, self.failure) if error is not None)


def answers(repository: Repository, tags: Sequence[str], others: Sequence[Place], *, check: bool) -> Answers:
    """Read the manifests of a repository's tags and of other places, and, if `check`, check that a push is allowed."""
    targets = [Place(repository, tag) for tag in tags]
    places = list(dict.fromkeys((*targets, *others)))
    checks = [partial(_caught, repository.check_push)] if check else []
    reads = [partial(_caught, partial(place.repository.manifest, place.tag)) for place in places]
    found = repository.pool.gather([*checks, *reads])
    refusal = next((each for each in found[: len(checks)] if isinstance(each, PipeError)), None)
    read = dict(zip(places, found[len(checks) :], strict=True))
    failure = next((each for each in map(read.get, targets) if isinstance(each, PipeError)), None)
    manifests = {place: each for place, each in read.items() if each is None or isinstance(each, Manifest)}
    return Answers(refusal, failure, manifests)


def _caught(call: Callable[[], Manifest | None]) -> Manifest | PipeError | None:
    """Return the result of a call or its error, so that the errors of several calls have an order."""
    try:
        return call()
    except PipeError as error:
        return error
