"""Manifests and configurations that are made to harm, and what becomes of them."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from registry.tests.asking import APP, ask, error, put
from registry.tests.clients import peak_memory
from registry.tests.images import INDEX, MANIFEST, Image, Repository, descriptor, image

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.client import LocalRegistry
    from registry.tests.visitor import Visitor

BRACKETS = b"[" * 100_000
PAGE = f"/workspaces/{APP.replace('/', '/packages/')}"


def index_of(*bodies: bytes, media_type: str = MANIFEST) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [descriptor(body, media_type) for body in bodies],
    }
    return json.dumps(document).encode()


def listed(entries: list[tuple[bytes, str, dict[str, str]]]) -> bytes:
    """Return a list of manifests, each with its media type and platform."""
    manifests = [{**descriptor(body, media_type), "platform": platform} for body, media_type, platform in entries]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()


def with_config(config: bytes) -> Image:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [],
    }
    return Image(json.dumps(document).encode(), MANIFEST, (config,))


class TestManifests:
    def test_lists_in_lists_keep_nobody_waiting(self, registry: LocalRegistry, repository: Repository) -> None:
        inner = image([b"the only one"])
        repository.push(inner)
        levels, media_type = [inner.manifest], MANIFEST
        for _ in range(5):
            levels.append(index_of(*[levels[-1]] * 12, media_type=media_type))
            media_type = INDEX
        with ThreadPoolExecutor() as threads:
            sent = threads.submit(lambda: [put(repository, body, media_type=INDEX) for body in levels[1:]])
            waited = slowest(registry, while_=lambda: not sent.done())
        answers = sent.result()
        assert [answer.status_code for answer in answers[:3]] == [201, 201, 201]
        assert error(answers[3]) == (400, "MANIFEST_INVALID")
        assert waited < 2

    def test_a_list_of_too_many(self, repository: Repository) -> None:
        inner = image([b"one of many"])
        repository.push(inner)
        answer = put(repository, index_of(*[inner.manifest] * 1001), "many", INDEX)
        assert error(answer) == (400, "MANIFEST_INVALID")

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(BRACKETS, id="100,000 brackets"),
            pytest.param(b'{"a":' * 50_000, id="50,000 objects"),
            pytest.param(b'{"schemaVersion": 2, "a": [' + b"1," * 100_000 + b"1]}", id="100,000 parts"),
            pytest.param(b'{"schemaVersion": 2, "a": ' + b"1" * 5000 + b"}", id="5000 digits"),
            pytest.param(b"[]", id="no object"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, repository: Repository, body: bytes) -> None:
        answer = put(repository, body, media_type=INDEX)
        assert error(answer) == (400, "MANIFEST_INVALID")
        assert "no JSON object" in answer.text

    @pytest.mark.parametrize(
        "media_type",
        [
            pytest.param("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", id="OCI"),
            pytest.param("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", id="Docker"),
        ],
    )
    def test_layers_that_are_stored_elsewhere_are_refused(self, repository: Repository, media_type: str) -> None:
        content = image([b"a foreign layer"])
        repository.push(content)
        document = json.loads(content.manifest)
        document["layers"][0] |= {"mediaType": media_type, "urls": ["https://elsewhere.example/layer"]}
        answer = put(repository, json.dumps(document).encode(), "foreign")
        assert error(answer) == (400, "MANIFEST_INVALID")
        assert "stored elsewhere" in answer.text

    @pytest.mark.parametrize("depth", [500, 990, 1000, 5000, 19_000])
    @pytest.mark.parametrize("place", ["config", "layers", "manifests", "annotations", "mediaType", "subject"])
    def test_deep_values_are_refused(self, repository: Repository, place: str, depth: int) -> None:
        deep = "[" * depth + "]" * depth
        for value in (deep, f'{{"digest": {deep}}}', f'[{{"digest": "sha256:{"0" * 64}", "platform": {deep}}}]'):
            body = f'{{"schemaVersion": 2, "{place}": {value}}}'.encode()
            answer = put(repository, body)
            assert answer.status_code in ((201, 400) if place == "subject" else (400,)), (answer.status_code, body[:99])

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"{}", id="none"),
            pytest.param(b'{"schemaVersion": 1}', id="1"),
            pytest.param(b'{"schemaVersion": "2"}', id="a text"),
        ],
    )
    @pytest.mark.parametrize("media_type", [MANIFEST, INDEX])
    def test_another_schema_version_is_refused(self, repository: Repository, body: bytes, media_type: str) -> None:
        answer = put(repository, body, media_type=media_type)
        assert error(answer) == (400, "MANIFEST_INVALID")
        assert "schemaVersion" in answer.text

    def test_naming_what_is_not_there_leaves_nothing_behind(
        self, registry: LocalRegistry, repository: Repository
    ) -> None:
        repository.upload(b"{}")
        before = peak_memory(registry)
        config = descriptor(b"{}", "application/vnd.oci.image.config.v1+json")
        for number in range(40):
            layers = [
                {"mediaType": "a", "digest": f"sha256:{number * 1000 + each:064}", "size": 1} for each in range(999)
            ]
            document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
            assert put(repository, json.dumps(document).encode(), "never").status_code == 400
        assert peak_memory(registry) - before < 4_000_000


class TestWhatPagesShow:
    """What a manifest says of itself may be anything."""

    @pytest.fixture
    def visitor(self, visitor: Visitor) -> Visitor:
        return visitor.log_in("writer")

    def test_an_image_listed_again_and_again_is_shown_once(self, repository: Repository, visitor: Visitor) -> None:
        inner = image([b"shown once"])
        repository.push(inner)
        body, media_type = inner.manifest, MANIFEST
        for level in range(3):
            body = listed([(body, media_type, {"os": "linux", "architecture": f"a{each}"}) for each in range(200)])
            media_type = INDEX
            assert put(repository, body, f"level-{level}", INDEX).status_code == 201
        began = time.monotonic()
        page = visitor.get(f"{PAGE}/tags/level-2")
        assert page.count("<tbody>") == 1
        visitor.get(PAGE)
        assert time.monotonic() - began < 5

    def test_long_types_are_cut_short(self, registry: LocalRegistry, repository: Repository, visitor: Visitor) -> None:
        content = image([b"long types"])
        repository.push(content)
        before = peak_memory(registry)
        for number in range(5):
            document = json.loads(content.manifest) | {"artifactType": f"{number}" * 3_900_000}
            assert put(repository, json.dumps(document).encode(), f"long-{number}").status_code == 201
        platform = {"os": "o" * 1_000_000, "architecture": "a", "variant": "v" * 1_000_000}
        assert put(repository, listed([(content.manifest, MANIFEST, platform)]), "long-p", INDEX).status_code == 201
        for path in (f"{PAGE}?q=long-", f"{PAGE}/tags/long-0", f"{PAGE}/tags/long-p"):
            assert len(visitor.get(path)) < 50_000
        assert peak_memory(registry) - before < 64_000_000

    def test_sizes_are_never_below_nothing(self, repository: Repository, visitor: Visitor) -> None:
        content = image([b"sizes"])
        repository.push(content)
        document = json.loads(content.manifest)
        document["layers"][0]["size"] = -(10**18)
        assert put(repository, json.dumps(document).encode(), "negative").status_code == 201
        assert "-1" not in visitor.get(f"{PAGE}/tags/negative").partition("<table")[2]

    def test_all_of_it_is_text(self, repository: Repository, visitor: Visitor) -> None:
        harm = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
        content = image([b"all of it is text"])
        repository.push(content)
        document = json.loads(content.manifest) | {"artifactType": harm, "annotations": {harm: harm}}
        document["layers"][0] |= {"mediaType": harm, "annotations": {"org.opencontainers.image.title": harm}}
        assert put(repository, json.dumps(document).encode(), "harm-a").status_code == 201
        of_image = (content.manifest, MANIFEST, {"os": harm[:30], "architecture": harm[:30]})
        assert put(repository, listed([of_image]), "harm-p", INDEX).status_code == 201
        pages = [f"/tags/{tag}{end}" for tag in ("harm-a", "harm-p") for end in ("", "/delete")]
        for path in ("?q=harm", *pages):
            page = visitor.get(PAGE + path)
            assert "<script>" not in page, path
            assert "<img src=x" not in page, path


class TestSha512:
    LONG = f"sha512:{'0' * 128}"

    @pytest.mark.parametrize("path", [f"blobs/{LONG}", f"manifests/{LONG}"])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_nothing_is_read_by_it(self, registry: LocalRegistry, method: str, path: str) -> None:
        assert ask(registry, method, f"/v2/{APP}/{path}").status_code == 400

    def test_nothing_is_pushed_by_it(self, registry: LocalRegistry, repository: Repository) -> None:
        opened = ask(registry, "POST", f"/v2/{APP}/blobs/uploads/")
        for body in (b"", b"content"):
            answer = ask(registry, "PUT", f"{opened.headers['Location']}&digest={self.LONG}", body=body)
            assert error(answer) == (400, "DIGEST_INVALID")
            assert "sha256" in answer.text
        named = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [{"digest": self.LONG}]}).encode()
        assert error(put(repository, named)) == (400, "MANIFEST_INVALID")


class TestConfigurations:
    def test_one_that_cannot_be_read_is_shown_as_such(self, registry: LocalRegistry, repository: Repository) -> None:
        repository.push(with_config(BRACKETS), "brackets")
        with registry.session("writer") as session:
            shown = session.get(f"{registry.url}/api/packages/{APP}/tags/brackets")
            assert shown.json()["images"][0]["platform"] == "configuration not readable"
            session.post(f"{registry.url}/login", data={"user": "writer", "token": "writer-token"})
            for page in ("", "/tags/brackets", "/tags/brackets/delete"):
                answer = session.get(registry.url + PAGE + page)
                assert answer.status_code == 200
                assert "<h1>" in answer.text

    def test_a_large_one_is_not_read(self, registry: LocalRegistry, repository: Repository) -> None:
        large = b"{" + b" " * 64_000_000 + b"}"
        before = peak_memory(registry)
        repository.push(with_config(large), "large")
        with registry.session("writer") as session:
            shown = session.get(f"{registry.url}/api/packages/{APP}/tags/large").json()
        assert shown["images"][0]["platform"] == "configuration not readable"
        assert peak_memory(registry) - before < 32_000_000


def slowest(registry: LocalRegistry, while_: Callable[[], bool]) -> float:
    """Return the longest time in seconds that another client waited for an answer."""
    longest = 0.0
    with registry.session() as session:
        while while_():
            longest = max(longest, session.get(f"{registry.url}/v2/", timeout=60).elapsed.total_seconds())
    return longest
