"""The artifacts of an archive that refer to its image, pushed after the image and listed for those who look for them.

Source: distribution-spec, "Pushing Manifests with Subject", "Listing Referrers" and "Referrers Tag Schema".
"""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pipe.errors import BlobMissingError, PipeError, ReferrersError
from pipe.oci.fields import members, read_json
from pipe.oci.image import Image
from pipe.oci.manifest import OCI_INDEX, Manifest
from pipe.push.clocks import Clocks
from pipe.push.context import Context
from pipe.push.manifests import put_manifests
from pipe.push.progress import ProgressTracker
from pipe.push.result import ReferrerResult, ReferrerStatus, TagResult, TagStatus
from pipe.push.reuse import Candidates
from pipe.push.verify import missing_parts
from pipe.retry import RetryPolicy
from pipe.source.blob import Referrer, StoredImage
from pipe.source.rewriting import identity
from pipe.text import clean, listed

if TYPE_CHECKING:
    from pipe.push.transfer import Encode, Transfer

MERGES = 5
"""How often a list of artifacts is written that others write at the same time."""
SETTLED = 1.0
"""Seconds, and up to twice as many, after which a list is read again: what others read before, they have written."""
_SHOWN = 3


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
        self._sent: set[str] = set()

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

        Unless one of the image's tags arrived, there is nothing to refer to.

        Raises:
            PipeError: An artifact did not arrive, or is not listed.
        """
        if not any(tag.arrived or tag.status is TagStatus.WOULD_PUSH for tag in tags):
            return
        for referrers in self._levels():
            self._attempted(partial(self._push, referrers))
        if self._context.settings.dry_run:
            return
        self._attempted(self._list_all)

    def _attempted(self, call: Callable[[], None]) -> None:
        self._attempts.call(call, self._before_retry, self._repository.run_clock.left)

    def _before_retry(self, error: PipeError, delay: float) -> None:
        self._report.warning(f"{error.summary}\nRetrying in {delay:.0f} s.")
        self._sleep(delay)

    def _sleep(self, seconds: float) -> None:
        with self._repository.run_clock.waiting():
            self._context.timing.sleep(seconds)

    def _levels(self) -> list[list[Referrer]]:
        """Return the artifacts that refer to the image, then those that refer to these, and so on."""
        levels: dict[str, int] = {}
        for each in self._found:
            levels[each.digest] = 1 + levels.get(each.subject, 0)
        return [[each for each in self._found if levels[each.digest] == level] for level in sorted({*levels.values()})]

    def _push(self, referrers: Sequence[Referrer]) -> None:
        """Push artifacts at the same time, except those of which the registry has all, and read them back."""
        pending = [each for each in referrers if self._results[each.digest].status is ReferrerStatus.NOT_TRIED]
        absent = self._settled(pending)
        if self._context.settings.dry_run:
            for referrer in absent:
                self._set(referrer, ReferrerStatus.WOULD_PUSH)
                self._report.info(f"Would push {_name(referrer)}.")
            return
        if not absent:
            return
        self._sent.update(referrer.digest for referrer in absent)
        self._send([self._contents[referrer.digest] for referrer in absent])
        lost = self._settled(absent)
        if lost:
            self._forget()
            names = listed([_name(each) for each in lost], _SHOWN)
            raise BlobMissingError(f"the registry accepted {names}, but does not have all of what was pushed.")

    def _settled(self, referrers: Sequence[Referrer]) -> list[Referrer]:
        """Record the artifacts that the registry has, and return the others."""
        there = self._repository.pool.gather([partial(self._is_there, each.digest) for each in referrers])
        for referrer in (each for each, is_there in zip(referrers, there, strict=True) if is_there):
            if referrer.digest in self._sent:
                self._set(referrer, ReferrerStatus.PUSHED)
                self._report.info(f"Pushed {_name(referrer)}, which refers to {referrer.subject}.")
            else:
                self._set(referrer, ReferrerStatus.ALREADY_THERE)
                self._report.info(f"Already there: {_name(referrer)}.")
        return [each for each, is_there in zip(referrers, there, strict=True) if not is_there]

    def _send(self, contents: Sequence[StoredImage]) -> None:
        transfer = self._transfer = self._transfer or self._new_transfer()
        blobs = [blob for content in contents for blob in content.blobs]
        transfer.run(lambda: blobs, Candidates(self._repository, {}), replayable=True)
        try:
            put_manifests(self._repository, [manifest for content in contents for manifest in content.manifests])
        except BlobMissingError:
            self._forget()
            raise

    def _forget(self) -> None:
        """Check everything again with the next attempt: the registry lacks a blob that it reported."""
        if self._transfer is not None:
            self._transfer.forget()

    def _set(self, referrer: Referrer, status: ReferrerStatus) -> None:
        self._results[referrer.digest] = self._results[referrer.digest]._replace(status=status)

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
        gather = self._repository.pool.gather
        pending = self._unlisted(subjects)
        for _ in range(MERGES):
            written = gather([partial(self._add, subject) for subject in pending])
            pending = [subject for subject, was_written in zip(pending, written, strict=True) if was_written]
            if not pending:
                return
            self._sleep(SETTLED * (1 + self._context.timing.random()))
        raise ReferrersError(
            f"the tag {fallback_tag(pending[0])}, which lists them, did not keep what was written, {MERGES - 1} times.",
            temporary=True,
        )

    def _unlisted(self, subjects: Sequence[str]) -> list[str]:
        """Return the subjects whose artifacts the registry does not list, since it has no such lists."""
        digests = {subject: [each.digest for each in self._found if each.subject == subject] for subject in subjects}
        calls = [partial(self._repository.lists_referrers, subject, named) for subject, named in digests.items()]
        are_listed = dict(zip(subjects, self._repository.pool.gather(calls), strict=True))
        for subject, is_listed in are_listed.items():
            if is_listed is False:
                raise ReferrersError(
                    f"the registry has {listed(digests[subject])}, but does not list all of them for {subject}.",
                    temporary=True,
                )
        return [subject for subject in subjects if not are_listed[subject]]

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
    """Return the index, or a new one, with further artifacts; None if it lists all of them already.

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
    made = identity(referrer.descriptor)
    made |= {"artifactType": referrer.kind} if referrer.kind else {}
    return made | ({"annotations": dict(referrer.annotations)} if referrer.annotations else {})


def _name(referrer: Referrer) -> str:
    return f"{clean(referrer.kind, lines=1) or 'an artifact'} ({referrer.digest})"


def _kinds(referrers: Sequence[Referrer]) -> str:
    kinds = dict.fromkeys(clean(referrer.kind, lines=1) or referrer.digest for referrer in referrers)
    return listed(list(kinds), 5)
