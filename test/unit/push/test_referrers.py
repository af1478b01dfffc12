"""Artifacts that refer to the image of a layout: pushed after it if the user wants that, and listed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.fakes import REQUEST, SETTINGS, Clock, Messages
from unit.http import FakeRegistryServer, Outcome, Reply, Sent, cut, error_reply, json_reply, meeting
from unit.runs import connected, encoder
from unit.source.archives import OCI_INDEX, OCI_MANIFEST, Files, as_json, digest, opened
from unit.source.forms import Blobs, named
from unit.source.test_referrers import BILL, SIGNATURE, artifact

from pipe.errors import ArchiveError, BlobMissingError, PipeError, ReferrersError, RegistryFailedError
from pipe.push.context import Context, Timing
from pipe.push.pushers import Pushers
from pipe.push.referrers import MERGES, SETTLED, Referrers, fallback_tag
from pipe.push.reuse import Place
from pipe.push.run import Push
from pipe.registry.client import QUESTION_TRIES
from pipe.registry.run_clock import RUN_LIMIT
from pipe.source.archive_source import ArchiveSource


class Layout:
    """An image, its software bill, and the signature of that; and a registry to push them to."""

    def __init__(self, folder: Path) -> None:
        blobs = Blobs()
        self.image = blobs.image("amd64")
        statement = blobs.put(b"statement", "text/plain")
        self.bill = artifact(blobs, self.image, BILL, layers=[statement], annotations={"who": "me"})
        self.signature = artifact(blobs, self.bill)
        self.files: Files = blobs.layout(self.signature, named(self.image, "1.0"), self.bill)
        self.tag = fallback_tag(str(self.image["digest"]))
        self.server = FakeRegistryServer()
        self.told = Messages()
        self.limit = RUN_LIMIT
        self._folder = folder

    def push(self, **settings: object) -> Any:  # noqa: ANN401
        """Push; return the result as RESULT_FILE has it. A failure is raised after it is known."""
        clock = self.clock = Clock()
        usual: dict[str, object] = {"uploader": "auto", "image_archive": self._folder, "referrers": True}
        chosen = SETTINGS._replace(**(usual | settings))  # type: ignore[arg-type]
        client = connected(clock, self.told, self.server, self.limit)
        self.run_clock, repository = client.run_clock, client.repository(REQUEST.repository)
        context = Context(chosen, REQUEST, repository, self.told, Timing(clock, clock.sleep, lambda: 0.0))
        referrers = Referrers(context, encoder)

        def find() -> ArchiveSource:
            stored = opened(self._folder, self.files)
            referrers.found(stored.referrers)
            return ArchiveSource(stored)

        self.run = Push(context, find, Pushers(context, [Place(repository, "1.0")], encoder, None), referrers)
        self.run.run()
        return self.run.result(0).as_json()

    def fail(self, **settings: object) -> PipeError:
        """Push in vain."""
        with pytest.raises(PipeError) as raised:
            self.push(**settings)
        return raised.value

    @property
    def statuses(self) -> list[str]:
        """The outcome for each artifact."""
        return [each.status for each in self.run.result(0).referrers]

    def listed(self, tag: str = "") -> Any:  # noqa: ANN401
        """Return the list that is under a tag."""
        return json.loads(self.server.manifests[self.server.tags[tag or self.tag]][1])

    @property
    def puts(self) -> list[str]:
        """What manifests were put under."""
        return [each.path.rpartition("/")[2] for each in self.server.matching("PUT", "*/manifests/*")]


@pytest.fixture
def made(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def test_by_default_only_the_image_is_pushed_and_the_log_names_the_rest(made: Layout) -> None:
    result = made.push(referrers=False)
    assert result["referrers"] == []
    assert made.puts == ["1.0"]
    [line] = [line for line in made.told.lines if "Leaving out" in line]
    assert f"these artifacts, which refer to the image: {BILL}, {SIGNATURE}. Set REFERRERS to true" in line


def test_an_image_alone_is_not_spoken_of(made: Layout) -> None:
    made.files |= {"index.json": as_json({"manifests": [named(made.image, "1.0")]})}
    made.push(referrers=False)
    assert not [line for line in made.told.lines if "REFERRERS" in line]
    made.push()
    assert [line for line in made.told.lines if "no artifact in the archive refers to the image" in line]


def test_artifacts_follow_the_image_and_are_listed_under_tags(made: Layout) -> None:
    result = made.push()
    bill, signature = str(made.bill["digest"]), str(made.signature["digest"])
    of_bill = fallback_tag(bill)
    assert made.puts[:3] == ["1.0", bill, signature]
    assert sorted(made.puts[3:]) == sorted([made.tag, of_bill]), "the lists, at the same time"
    assert result["referrers"] == [
        {"digest": bill, "artifact_type": BILL, "subject": made.image["digest"], "status": "pushed"},
        {"digest": signature, "artifact_type": SIGNATURE, "subject": bill, "status": "pushed"},
    ]
    assert digest(b"statement") in made.server.blobs
    size = len(made.server.manifests[bill][1])
    assert made.listed() == {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "digest": bill,
                "size": size,
                "artifactType": BILL,
                "annotations": {"who": "me"},
            }
        ],
    }
    assert [each["digest"] for each in made.listed(of_bill)["manifests"]] == [signature]


def test_artifacts_of_one_image_and_their_lists_travel_at_the_same_time(tmp_path: Path) -> None:
    made, blobs = Layout(tmp_path), Blobs()
    image = blobs.image("amd64")
    both = [artifact(blobs, image, kind) for kind in (BILL, SIGNATURE)]
    upon = [artifact(blobs, each) for each in both]
    made.files = blobs.layout(named(image, "1.0"), *both, *upon)
    digests = [[str(each["digest"]) for each in level] for level in (both, upon)]
    lists = [fallback_tag(digest) for digest in digests[0]]
    for pair in (*digests, lists):
        together = meeting(2)
        for reference in pair:
            made.server.on("*", f"*/manifests/{reference}", together)
    made.push()
    assert made.statuses == ["pushed"] * 4
    assert set(lists) <= made.server.tags.keys()


def test_an_artifact_that_arrived_in_a_failed_attempt_counts_as_pushed(made: Layout) -> None:
    made.server.on("GET", f"*/manifests/{made.bill['digest']}", 500, times=3, skip=1)
    made.push()
    assert made.statuses == ["pushed"] * 2
    assert made.puts.count(str(made.bill["digest"])) == 1


def test_what_is_there_is_not_pushed_again(made: Layout) -> None:
    made.push()
    made.server.sent.clear()
    made.push()
    assert made.statuses == ["already there"] * 2
    assert made.server.matching("P*") == made.server.matching("POST", "*/uploads/"), "only the check of the access"


def test_an_artifact_that_lost_a_blob_is_pushed_again(made: Layout) -> None:
    made.push()
    del made.server.blobs[digest(b"statement")]
    made.push()
    assert made.statuses == ["pushed", "already there"]
    assert digest(b"statement") in made.server.blobs


def test_a_list_of_others_is_kept(made: Layout) -> None:
    other = {"mediaType": OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1, "artifactType": "x", "data": "eA=="}
    before = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [other], "annotations": {"a": "b"}}
    made.server.keep_manifest(as_json(before), OCI_INDEX, made.tag)
    made.push()
    after = made.listed()
    assert after["manifests"][0] == other
    assert [each["digest"] for each in after["manifests"]] == [other["digest"], made.bill["digest"]]
    assert after["annotations"] == {"a": "b"}


@pytest.mark.parametrize(("times", "ends"), [(1, True), (MERGES - 2, True), (None, False)])
def test_a_list_that_another_step_overwrites_is_merged_again(made: Layout, times: int | None, ends: bool) -> None:
    other = {"mediaType": OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1}
    theirs = as_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [other]})

    def overwrite(_: Sent) -> Outcome:
        made.server.keep_manifest(theirs, OCI_INDEX, made.tag)
        return 201

    made.server.on("PUT", f"*/manifests/{made.tag}", overwrite, times=times)
    if ends:
        made.push()
        assert [each["digest"] for each in made.listed()["manifests"]] == [other["digest"], made.bill["digest"]]
    else:
        assert isinstance(made.fail(), ReferrersError)
        assert made.puts.count(made.tag) == 3 * MERGES, "in each attempt"


def test_a_list_is_read_again_when_others_have_written_what_they_read_before(made: Layout) -> None:
    """Registries have no lock: who reads before we write, and writes after that, overwrites our entries."""
    times: list[tuple[str, float]] = []

    def note(sent: Sent) -> None:
        times.append((sent.method, made.clock()))

    made.server.on("*", f"*/manifests/{made.tag}", note)
    made.push()
    assert [method for method, _ in times] == ["GET", "PUT", "GET"]
    (_, _), (_, written), (_, read) = times
    assert read - written >= SETTLED


@pytest.mark.parametrize("there", [b"{}", b"x", as_json({"manifests": {}}), as_json({"layers": []})])
def test_a_tag_that_is_no_list_is_left_alone(made: Layout, there: bytes) -> None:
    kept = made.server.keep_manifest(there, OCI_MANIFEST, made.tag)
    error = made.fail()
    assert isinstance(error, ReferrersError)
    assert "Delete that tag" in error.fix
    assert made.server.tags[made.tag] == kept


def test_a_registry_that_takes_the_tag_for_a_digest_gets_no_list_that_is_the_image(made: Layout) -> None:
    """As GitLab's does: oras-go, issue 1396."""
    subject = str(made.image["digest"])
    made.server.on("GET", f"*/manifests/{made.tag}", lambda _: Reply(200, made.server.manifests[subject][1]))
    error = made.fail()
    assert isinstance(error, ReferrersError)
    assert made.server.tags["1.0"] == subject
    assert "layers" not in made.listed()


def test_a_list_that_is_protected_is_explained(made: Layout) -> None:
    made.server.on("PUT", f"*/manifests/{made.tag}", error_reply(403, "DENIED", "the tag is immutable"))
    error = made.fail()
    assert isinstance(error, ReferrersError)
    assert made.tag in error.cause
    assert "the tag is immutable" in error.cause
    assert made.statuses == ["pushed"] * 2


def test_a_registry_with_a_list_of_its_own_needs_no_tag(made: Layout) -> None:
    both = [made.bill, made.signature]
    made.server.on("GET", "*/referrers/*", json_reply(200, {"schemaVersion": 2, "manifests": both}))
    made.push()
    assert not [tag for tag in made.server.tags if tag.startswith("sha256-")]


def test_a_registry_that_does_not_list_what_it_stores_is_named(made: Layout) -> None:
    made.server.on("GET", "*/referrers/*", json_reply(200, {"schemaVersion": 2, "manifests": []}))
    error = made.fail()
    assert isinstance(error, ReferrersError)
    assert f"does not list all of them for {made.image['digest']}" in error.cause
    asked = made.server.matching("GET", f"*/referrers/{made.image['digest']}")
    assert len(asked) == 3, "once in each attempt"


def test_a_list_of_several_pages_is_believed(made: Layout) -> None:
    more = json_reply(200, {"schemaVersion": 2, "manifests": []}, Link='</v2/x>; rel="next"')
    made.server.on("GET", "*/referrers/*", more)
    made.push()
    assert made.statuses == ["pushed"] * 2


@pytest.mark.parametrize("reply", [400, 404, 405, 406, 501])
def test_what_is_no_list_is_as_none(made: Layout, reply: int) -> None:
    made.server.on("GET", "*/referrers/*", reply)
    made.push()
    assert made.tag in made.server.tags


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"errors":[]}'])
def test_a_page_for_people_is_no_list(made: Layout, body: bytes) -> None:
    made.server.on("GET", "*/referrers/*", replace(json_reply(200, {}), body=body))
    made.push()
    assert made.tag in made.server.tags


def test_a_denied_list_is_a_failure(made: Layout) -> None:
    made.server.on("GET", "*/referrers/*", error_reply(403, "DENIED", "no access"))
    assert made.fail().exit_code == 4


def test_a_dry_run_tells_what_would_be_pushed(made: Layout) -> None:
    made.push(dry_run=True)
    assert made.statuses == ["would push"] * 2
    assert made.puts == []
    assert [line for line in made.told.lines if f"Would push {BILL} ({made.bill['digest']})" in line]


def test_nothing_refers_to_an_image_that_is_not_pushed(made: Layout) -> None:
    made.server.keep_manifest(as_json({"schemaVersion": 2, "config": None}), OCI_MANIFEST, "1.0")
    made.push(if_tag_exists="skip")
    assert made.statuses == ["not tried"] * 2
    assert made.puts == []


def test_of_a_damaged_artifact_nothing_is_sent(made: Layout) -> None:
    del made.files[f"blobs/sha256/{digest(b'statement')[7:]}"]
    assert isinstance(made.fail(), ArchiveError)
    assert made.server.sent == []
    made.push(referrers=False)


def test_a_temporary_failure_is_retried(made: Layout) -> None:
    made.server.on("PUT", f"*/manifests/{made.bill['digest']}", 503, times=QUESTION_TRIES)
    made.server.on("PUT", f"*/manifests/{made.tag}", 503, times=1)
    made.push()
    assert made.statuses == ["pushed"] * 2
    assert len([line for line in made.told.lines if "Retrying in" in line]) == 2


def test_waits_count_as_the_time_of_the_run_and_fit_in_it(made: Layout) -> None:
    made.limit = 100.0
    reply = Reply(429, headers={"Retry-After": "40"})
    made.server.on("PUT", f"*/manifests/{made.bill['digest']}", reply, times=1)
    made.push(max_attempts=10)
    assert made.clock.slept == [40, SETTLED]
    assert made.run_clock.left() == 100 - 40 - SETTLED
    made.server.on("GET", f"*/manifests/{made.bill['digest']}", Reply(503, headers={"Retry-After": "40"}))
    assert "503" in made.fail(max_attempts=10).cause
    assert made.clock.slept == [40, 40]


def test_a_blob_that_the_registry_only_pretends_to_have_is_sent(made: Layout) -> None:
    blob = digest(b"statement")
    made.server.on("HEAD", f"*/blobs/{blob}", replace(json_reply(200, {}), headers={"Content-Length": "9"}), times=1)
    made.server.on("PUT", f"*/manifests/{made.bill['digest']}", error_reply(404, "MANIFEST_BLOB_UNKNOWN"), times=1)
    made.push()
    assert blob in made.server.blobs
    assert made.statuses == ["pushed"] * 2


def test_an_artifact_that_is_incomplete_when_it_is_read_back_is_sent_again(made: Layout) -> None:
    """The registry reports a blob that it does not have, and accepts the manifest all the same."""
    blob = digest(b"statement")
    made.server.on("HEAD", f"*/blobs/{blob}", replace(json_reply(200, {}), headers={"Content-Length": "9"}), times=1)
    made.push()
    assert blob in made.server.blobs
    assert made.statuses == ["pushed"] * 2


def test_an_artifact_that_does_not_arrive_fails_the_push(made: Layout) -> None:
    made.server.on("PUT", f"*/manifests/{made.bill['digest']}", 201)
    error = made.fail()
    assert isinstance(error, BlobMissingError)
    assert str(made.bill["digest"]) in error.cause
    assert made.statuses == ["not tried"] * 2


def test_a_registry_that_is_gone_fails_the_push(made: Layout) -> None:
    made.server.on("PUT", f"*/manifests/{made.bill['digest']}", cut())
    assert isinstance(made.fail(), RegistryFailedError)
    assert "1.0" in made.server.tags, "the image stays"
