"""The artifacts of an archive that refer to its image, pushed after the image and listed for those who look for them.

Source: distribution-spec, "Pushing Manifests with Subject", "Listing Referrers" and "Referrers Tag Schema".
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pipe.errors import BlobMissingError, PipeError, ReferrersError
from pipe.oci.fields import members, read_json
from pipe.oci.image import Image
from pipe.oci.manifest import OCI_INDEX, Manifest
from pipe.push.clocks import Clocks
from pipe.push.context import Context
from pipe.push.progress import ProgressTracker
from pipe.push.result import ReferrerResult, ReferrerStatus, TagResult, TagStatus
from pipe.push.reuse import Candidates
from pipe.push.verify import missing_parts
from pipe.retry import RetryPolicy
from pipe.source.blob import Referrer, StoredImage
from pipe.text import clean, listed

if TYPE_CHECKING:
    from pipe.push.transfer import Encode, Transfer

MERGES = 5
"""How often a list of artifacts is written that others write at the same time."""
SETTLED = 1.0
"""Seconds, and up to twice as many, after which a list is read again: what others read before, they have written."""


class Referrers:
    """Pushes the artifacts that refer to an image, if the user wants them."""

    def __init__(self, context: Context, encoder: Callable[[], "Encode"]) -> None:
        """Nothing happens before `found`; `encoder` returns what encodes blobs."""
        self._context = context
        self._repository = context.repository
        self._report = context.report
        self._encoder = encoder
        self._attempts = RetryPolicy(context.settings.max_attempts, context.timing.random)
        self._transfer: Transfer | None = None
        self._contents: dict[str, StoredImage] = {}
        self._found: tuple[Referrer, ...] = ()
        self._results: dict[str, ReferrerResult] = {}

    def found(self, referrers: Sequence[Referrer]) -> None:
        """Record the artifacts of the archive, and read those that will be pushed.

        Raises:
            ArchiveError: One is damaged.
        """
        if not self._context.settings.referrers:
            if referrers:
                which = "this artifact, which refers" if len(referrers) == 1 else "these artifacts, which refer"
                self._report.info(
                    f"Leaving out {which} to the image: {_kinds(referrers)}. Set REFERRERS to true to push"
                    f" {'it' if len(referrers) == 1 else 'them'} too."
                )
            return
        if not referrers:
            self._report.info("REFERRERS is true, but no artifact in the archive refers to the image.")
        self._contents = {referrer.digest: referrer.read() for referrer in referrers}
        self._found = tuple(referrers)
        self._results = {each.digest: ReferrerResult(each.digest, each.kind, each.subject) for each in referrers}

    def results(self) -> tuple[ReferrerResult, ...]:
        """Return the outcome for each artifact."""
        return tuple(self._results.values())

    def push(self, tags: Iterable[TagResult]) -> None:
        """Push every artifact by its digest, and make sure that the registry lists it.

        Args:
            tags: The outcome for the image's tags; unless one arrived, there is nothing to refer to.

        Raises:
            PipeError: An artifact did not arrive, or is not listed.
        """
        if not any(tag.arrived or tag.status is TagStatus.WOULD_PUSH for tag in tags):
            return
        for referrer in self._found:
            self._attempted(partial(self._push, referrer))
        if self._context.settings.dry_run:
            return
        self._attempted(self._list_all)

    def _attempted(self, call: Callable[[], None]) -> None:
        self._attempts.call(call, self._before_retry)

    def _before_retry(self, error: PipeError, delay: float) -> None:
        self._report.warning(f"{error.summary}\nRetrying in {delay:.0f} s.")
        self._context.timing.sleep(delay)

    def _push(self, referrer: Referrer) -> None:
        """Push one artifact, unless the registry has all of it, and read it back."""
        digest, name = referrer.digest, f"{clean(referrer.kind, lines=1) or 'an artifact'} ({referrer.digest})"
        if self._is_there(digest):
            self._set(digest, ReferrerStatus.ALREADY_THERE)
            self._report.info(f"Already there: {name}.")
            return
        if self._context.settings.dry_run:
            self._set(digest, ReferrerStatus.WOULD_PUSH)
            self._report.info(f"Would push {name}.")
            return
        self._send(self._contents[digest])
        if not self._is_there(digest):
            self._forget()
            raise BlobMissingError(f"{name} was pushed, but the registry does not have it, or not all of it.")
        self._set(digest, ReferrerStatus.PUSHED)
        self._report.info(f"Pushed {name}, which refers to {referrer.subject}.")

    def _send(self, content: StoredImage) -> None:
        transfer = self._transfer = self._transfer or self._new_transfer()
        transfer.run(lambda: content.blobs, Candidates(self._repository, {}), replayable=True)
        try:
            for manifest in content.manifests:
                self._repository.put_manifest(manifest.digest, manifest)
        except BlobMissingError:
            self._forget()
            raise

    def _forget(self) -> None:
        """Check everything again with the next attempt: the registry lacks a blob that it reported."""
        if self._transfer is not None:
            self._transfer.forget()

    def _set(self, digest: str, status: ReferrerStatus) -> None:
        self._results[digest] = replace(self._results[digest], status=status)

    def _is_there(self, digest: str) -> bool:
        manifest = self._repository.manifest(digest)
        return manifest is not None and manifest.digest == digest and not missing_parts(self._repository, manifest)

    def _new_transfer(self) -> "Transfer":
        from pipe.push.transfer import Transfer  # noqa: PLC0415

        context, nothing = self._context, Image("", 0, ())
        tracker = ProgressTracker(nothing, "nothing sent yet")
        clocks = Clocks(tracker, context.settings.upload_timeout, context.timing.clock, context.report)
        return Transfer(context, nothing, clocks, self._encoder())

    def _list_all(self) -> None:
        """Make sure that clients which look for the artifacts of a manifest find these.

        A registry with a referrers API lists them. Otherwise clients read an index under a tag, which the client that
        pushes an artifact must maintain. Steps that do so at the same time read the same index and overwrite
        each other's, since no registry offers a lock; so each reads its index again after the others have written.
        """
        subjects = [*dict.fromkeys(referrer.subject for referrer in self._found)]
        pending = [subject for subject in subjects if not self._is_listed(subject)]
        for _ in range(MERGES):
            pending = [subject for subject in pending if self._add(subject)]
            if not pending:
                return
            self._context.timing.sleep(SETTLED * (1 + self._context.timing.random()))
        raise ReferrersError(
            f"the tag {fallback_tag(pending[0])}, which lists them, did not keep what was written, {MERGES - 1} times.",
            temporary=True,
        )

    def _digests(self, subject: str) -> list[str]:
        return [referrer.digest for referrer in self._found if referrer.subject == subject]

    def _is_listed(self, subject: str) -> bool:
        """Return whether the registry itself lists the artifacts; False if it has no such lists."""
        digests = self._digests(subject)
        by_registry = self._repository.lists_referrers(subject, digests)
        if by_registry is False:
            raise ReferrersError(
                f"the registry has {listed(digests)}, but does not list all of them for {subject}.", temporary=True
            )
        return bool(by_registry)

    def _add(self, subject: str) -> bool:
        """Write the index under the tag of a manifest unless it lists the artifacts; return whether it was written."""
        tag = fallback_tag(subject)
        index = self._repository.manifest(tag)
        # GitLab's registry takes the tag for the digest, and returns the subject.
        current = None if index is None or index.digest == subject else index
        merged = with_referrers(current, [each for each in self._found if each.subject == subject])
        if merged is None:
            return False
        try:
            self._repository.put_manifest(tag, merged)
        except PipeError as error:
            raise ReferrersError(
                f"they are in the registry, but their list, the tag {tag}, could not be written: {error.summary}",
                fix=error.fix,
                temporary=error.temporary,
            ) from error
        self._report.info(f"Listing under the tag {tag}, since the registry has no list of referrers.")
        return True


def fallback_tag(subject: str) -> str:
    """Return the tag of the list of a manifest's referrers in a registry that has no such lists."""
    return subject.replace(":", "-", 1)


def with_referrers(index: Manifest | None, referrers: Iterable[Referrer]) -> Manifest | None:
    """Return an index that lists further artifacts.

    Args:
        index: The current one; None if there is none.
        referrers: What it must list.

    Returns:
        The index; None if it lists all of them already.

    Raises:
        ReferrersError: The current one is no index.
    """
    content: dict[str, object] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    entries: list[object] = []
    if index is not None:
        try:
            content = read_json(index.body)
        except ValueError:
            content = {}
        present = members(content).get("manifests")
        if not isinstance(present, list):
            raise ReferrersError(
                "the tag of their list refers to something that is not an index.",
                fix="Delete that tag in the registry, and run the step again.",
            )
        entries = present
    listed_before = {child.digest for child in index.manifests} if index else set()
    added = [_descriptor(each) for each in referrers if each.digest not in listed_before]
    if not added:
        return None
    rest = {key: value for key, value in content.items() if key.casefold() != "manifests"}
    body = json.dumps(rest | {"manifests": [*entries, *added]}, separators=(",", ":")).encode()
    return Manifest.parse(OCI_INDEX, body)


def _descriptor(referrer: Referrer) -> dict[str, object]:
    descriptor = referrer.descriptor
    made: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    made |= {"artifactType": referrer.kind} if referrer.kind else {}
    return made | ({"annotations": dict(referrer.annotations)} if referrer.annotations else {})


def _kinds(referrers: Sequence[Referrer]) -> str:
    kinds = dict.fromkeys(clean(referrer.kind, lines=1) or referrer.digest for referrer in referrers)
    return listed(list(kinds), 5)
