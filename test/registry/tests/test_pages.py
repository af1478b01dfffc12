"""The pages over plain HTTP: who sees and may do what."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from registry.tests.images import INDEX, MANIFEST, Image, Repository, descriptor, image, image_list
from registry.tests.visitor import APP, DEMO, TAG, Visitor

if TYPE_CHECKING:
    from registry.client import LocalRegistry


HISTORY = [
    {"created_by": "/bin/sh -c #(nop) ADD rootfs.tar / "},
    {"created_by": "ENV A=b", "empty_layer": True},
    {"created_by": "RUN /bin/sh -c make && ls # buildkit"},
]


def made_image(**fields: object) -> Image:
    """Return an image of two layers whose configuration tells how it was made."""
    plain = image([b"rootfs", b"made"])
    *layers, config = plain.blobs
    told = json.dumps({**json.loads(config), **fields}).encode()
    document = json.loads(plain.manifest)
    document["config"] = descriptor(told, document["config"]["mediaType"])
    return Image(json.dumps(document).encode(), MANIFEST, (*layers, told))


MADE = made_image(
    created="2024-05-06T07:08:09.123456789Z",
    config={"Labels": {"org.opencontainers.image.revision": "4f0c2b1"}},
    history=HISTORY,
)


class TestLists:
    @pytest.mark.parametrize(
        ("user", "path", "expected"),
        [
            pytest.param("reader", DEMO, ["my-container-app", "other-app", "second-app"], id="a workspace's"),
            pytest.param(
                "reader",
                f"{DEMO}/projects/DEMO",
                ["my-container-app", "other-app", "second-app"],
                id="a project's",
            ),
            pytest.param(
                "reader",
                f"{DEMO}/repositories/demo-repository",
                ["my-container-app", "second-app"],
                id="a repository's",
            ),
            pytest.param("pipeline", DEMO, ["my-container-app", "second-app"], id="only what one may read"),
        ],
    )
    def test_packages(self, visitor: Visitor, user: str, path: str, expected: list[str]) -> None:
        page = visitor.log_in(user).get(path)
        assert sorted(set(re.findall(r'<a href="[^"]+/packages/([^"/]+)"', page))) == expected
        # Other tests may have pushed to the others.
        assert "my-container-app" in re.findall(r'<th scope="row"><a href="[^"]+/packages/([^"/]+)"', page)

    def test_where_nothing_was_pushed_it_says_how(self, visitor: Visitor, registry: LocalRegistry) -> None:
        fields = {"workspace": "other-workspace", "name": "unpushed", "repository": "repository"}
        with registry.session("other-admin") as session:
            session.post(f"{registry.url}/api/packages", json=fields).raise_for_status()
            page = visitor.log_in("other-admin").get("/workspaces/other-workspace/packages/unpushed")
            assert f"docker push {registry.host}/other-workspace/unpushed:latest" in page
            listed = visitor.get("/workspaces/other-workspace")
            assert not re.search(r'<th scope="row"><a href="[^"]+/packages/unpushed"', listed)
            assert "Created, nothing pushed yet" in listed
            session.delete(f"{registry.url}/api/packages/other-workspace/unpushed").raise_for_status()

    def test_who_reads_two_workspaces_chooses(self, visitor: Visitor) -> None:
        page = visitor.log_in("writer").get("/")
        assert re.findall(r'href="/workspaces/([^"/]+)"', page) == ["demo-workspace", "other-workspace"]

    def test_who_reads_one_goes_there_at_once(self, visitor: Visitor) -> None:
        assert "<h1>demo-workspace</h1>" in visitor.log_in("reader").get("/")

    def test_who_reads_none_is_told_so(self, visitor: Visitor) -> None:
        assert "stranger can read no repository" in visitor.log_in("stranger").get("/")

    @pytest.mark.parametrize(
        ("user", "path"),
        [
            pytest.param("reader", "/workspaces/nowhere", id="workspace"),
            pytest.param("reader", "/workspaces/other-workspace", id="workspace of others"),
            pytest.param("reader", f"{DEMO}/projects/NONE", id="project"),
            pytest.param("pipeline", f"{DEMO}/repositories/other-repository", id="repository of others"),
            pytest.param("pipeline", f"{DEMO}/packages/other-app", id="package of others"),
            pytest.param("reader", f"{DEMO}/packages/none", id="package"),
            pytest.param("reader", f"{APP}/tags/none", id="tag"),
            pytest.param("reader", f"{APP}/tags/..%2f..%2f..", id="a path for a tag"),
            pytest.param("reader", "/nowhere", id="page"),
            pytest.param("reader", "/%3Cscript%3E", id="a script for a page"),
        ],
    )
    def test_what_is_not_there_or_not_theirs_is_404(self, visitor: Visitor, user: str, path: str) -> None:
        page = visitor.log_in(user).get(path, 404)
        assert "<h1>Not found</h1>" in page
        assert only_the_copy_script(page)
        assert 'aria-label="Breadcrumb"' in page


class TestRoles:
    @pytest.mark.parametrize(
        ("user", "tag", "image_too", "create"),
        [
            pytest.param("reader", False, False, False, id="Read"),
            pytest.param("pipeline", True, False, False, id="a pipeline"),
            pytest.param("writer", True, False, False, id="Write"),
            pytest.param("admin", True, True, True, id="Admin"),
            pytest.param("read-scope", False, False, False, id="Write with a token for reading"),
        ],
    )
    def test_pages_offer_only_what_one_may_do(
        self, visitor: Visitor, user: str, tag: bool, image_too: bool, create: bool
    ) -> None:
        visitor.log_in(user)
        assert (f'href="{TAG}/delete"' in visitor.get(TAG)) == tag
        assert (f'href="{TAG}/delete"' in visitor.get(APP)) == tag
        assert (f'href="{APP}/delete"' in visitor.get(APP)) == image_too
        for path in (DEMO, APP, TAG, "/"):
            assert ('href="/create' in visitor.get(path)) == create

    @pytest.mark.parametrize(
        ("user", "path"),
        [
            pytest.param("reader", f"{TAG}/delete", id="Read deletes a tag"),
            pytest.param("reader", f"{APP}/delete", id="Read deletes an image"),
            pytest.param("writer", f"{APP}/delete", id="Write deletes an image"),
            pytest.param("read-scope", f"{TAG}/delete", id="a token for reading deletes a tag"),
            pytest.param("writer", "/create", id="Write creates a package"),
        ],
    )
    def test_what_is_not_offered_is_refused(self, visitor: Visitor, user: str, path: str) -> None:
        visitor.log_in(user)
        visitor.get(path, 403)
        fields = {"form_token": visitor.form_token(), "name": "new", "repository": "demo-workspace/demo-repository"}
        visitor.post(path, fields, 403)
        visitor.get(TAG)
        visitor.get(f"{DEMO}/packages/new", 404)


class TestCreating:
    @pytest.mark.parametrize(
        ("name", "status", "said"),
        [
            pytest.param("My App", 400, "cannot be a package&#39;s name", id="capitals and a space"),
            pytest.param("", 400, "cannot be a package&#39;s name", id="none"),
            pytest.param("../up", 400, "cannot be a package&#39;s name", id="a path"),
            pytest.param('"><script>', 400, "cannot be a package&#39;s name", id="a script"),
            pytest.param("second-app", 409, "has a package &#39;second-app&#39; already", id="taken"),
        ],
    )
    def test_a_name_that_cannot_be_had_is_explained(self, visitor: Visitor, name: str, status: int, said: str) -> None:
        visitor.log_in("admin")
        fields = {"form_token": visitor.form_token(), "name": name, "repository": "demo-workspace/other-repository"}
        page = visitor.post("/create", fields, status).text
        assert said in page
        assert only_the_copy_script(page)
        assert '<option value="demo-workspace/other-repository" selected>' in page

    def test_a_repository_that_is_not_there_is_refused(self, visitor: Visitor) -> None:
        visitor.log_in("admin")
        fields = {"form_token": visitor.form_token(), "name": "new", "repository": "demo-workspace/nowhere"}
        visitor.post("/create", fields, 403)

    def test_where_one_came_from_is_chosen(self, visitor: Visitor) -> None:
        page = visitor.log_in("admin").get(f"{DEMO}/repositories/other-repository")
        [link] = re.findall(r'href="(/create[^"]*)"', page)
        assert '<option value="demo-workspace/other-repository" selected>' in visitor.get(link)


class TestNotices:
    def test_one_does_not_come_back(self, visitor: Visitor, registry: LocalRegistry) -> None:
        visitor.log_in("admin")
        fields = {"form_token": visitor.form_token(), "name": "noticed", "repository": "demo-workspace/demo-repository"}
        assert "The package has been created." in visitor.post("/create", fields).text
        assert "The package has been created." not in visitor.get(f"{DEMO}/packages/noticed")
        with registry.session("admin") as session:
            session.delete(f"{registry.url}/api/packages/demo-workspace/noticed").raise_for_status()


class TestTags:
    def test_artifacts_have_a_type_and_another_command(self, visitor: Visitor, registry: LocalRegistry) -> None:
        config, layer = b"{}", b"a chart"
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(config, "application/vnd.cncf.helm.config.v1+json"),
            "layers": [descriptor(layer, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")],
        }
        with registry.session("writer") as session:
            repository = Repository(session, registry.url, "demo-workspace/my-container-app")
            repository.push(Image(json.dumps(document).encode(), MANIFEST, (layer, config)), "chart")
        page = visitor.log_in("reader").get(f"{APP}/tags/chart").replace("<wbr>", "")
        assert "application/vnd.cncf.helm.config.v1+json" in page
        assert f"oras pull {registry.host}/demo-workspace/my-container-app:chart" in page

    def test_it_tells_when_and_from_what_it_was_made(self, visitor: Visitor, registry: LocalRegistry) -> None:
        with registry.session("writer") as session:
            Repository(session, registry.url, "demo-workspace/my-container-app").push(MADE, "made")
            shown = session.get(f"{registry.url}/api/packages/demo-workspace/my-container-app/tags/made").json()
        page = visitor.log_in("reader").get(f"{APP}/tags/made")
        assert "2024-05-06 07:08 UTC" in page.partition("<dt>Created</dt>")[2].partition("</dd>")[0]
        assert '<code class="whole">4f0c2b1</code>' in page.partition("<dt>Revision</dt>")[2].partition("</dd>")[0]
        assert re.findall(r'<code class="instruction">([^<]*)<', page) == ["ADD rootfs.tar /", "RUN make &amp;&amp; ls"]
        [made] = shown["images"]
        assert (made["created"], made["revision"]) == ("2024-05-06T07:08:09.123456+00:00", "4f0c2b1")
        assert [layer["instruction"] for layer in made["layers"]] == ["ADD rootfs.tar /", "RUN make && ls"]

    def test_what_an_image_does_not_tell_is_not_made_up(self, visitor: Visitor) -> None:
        page = visitor.log_in("reader").get(TAG)
        assert all(word not in page for word in ("Created", "Revision", "instruction", "Instruction"))

    def test_a_history_of_other_layers_is_not_theirs(self, visitor: Visitor, registry: LocalRegistry) -> None:
        with registry.session("writer") as session:
            repository = Repository(session, registry.url, "demo-workspace/my-container-app")
            repository.push(made_image(history=HISTORY[:1]), "made")
        assert "ADD rootfs.tar" not in visitor.log_in("reader").get(f"{APP}/tags/made")

    def test_equal_platforms_are_merged_and_headed_by_digest(self, visitor: Visitor, registry: LocalRegistry) -> None:
        members = [image([b"one"]), image([b"two"])]
        document = json.loads(image_list(amd64=members[0]).manifest)
        document["manifests"].append(json.loads(image_list(amd64=members[1]).manifest)["manifests"][0])
        pushed = Image(json.dumps(document).encode(), INDEX, members=tuple(members))
        with registry.session("writer") as session:
            Repository(session, registry.url, "demo-workspace/my-container-app").push(pushed, "twice")
        page = visitor.log_in("reader").get(f"{APP}/tags/twice")
        assert "<dd>linux/amd64</dd>" in page
        assert page.count("Layers for linux/amd64") == 1
        for member in members:
            assert re.search(rf"<h3><code[^>]*>{member.digest}<", page)

    def test_searched_sorted_and_folded_away(self, visitor: Visitor, registry: LocalRegistry) -> None:
        signature = f"sha256-{'ab' * 32}.sig"
        with registry.session("writer") as session:
            repository = Repository(session, registry.url, "demo-workspace/my-container-app")
            for tag in ("v1.9", "v1.10", signature):
                repository.push(image([b"searched"]), tag)
        visitor.log_in("reader")
        rows = re.findall(r'<th scope="row"><a href="[^"]+">([^<]+)<', visitor.get(f"{APP}?q=V1.&sort=name"))
        assert rows == ["v1.9", "v1.10"]
        assert "No tag has" in visitor.get(f"{APP}?q=%3Cb%3E")
        page = visitor.get(APP)
        assert signature in page.partition("Tags of signatures")[2]
        assert signature not in page.partition("Tags of signatures")[0]


def only_the_copy_script(page: str) -> bool:
    return re.findall("<script[^>]*>", page) == ['<script src="/static/copy.js" defer>']


def test_every_page_forbids_other_scripts_frames_and_caches(visitor: Visitor) -> None:
    visitor.log_in("admin")
    for path in ("/", DEMO, APP, TAG, f"{DEMO}/create", f"{TAG}/delete", f"{APP}/delete"):
        answer = visitor.session.get(visitor.url + path)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], path
        assert answer.headers["Cache-Control"] == "no-store", path
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"], path
        assert only_the_copy_script(answer.text), path


class TestApi:
    @pytest.mark.parametrize(
        ("content_type", "body", "status"),
        [
            pytest.param("application/json", b'{"workspace": "demo-workspace"}', 400, id="fields missing"),
            pytest.param("application/json", b"[]", 400, id="no object"),
            pytest.param("application/json", b"{", 400, id="no JSON"),
            pytest.param("application/json", b'{"workspace":1,"name":2,"repository":3}', 400, id="no texts"),
            pytest.param("text/plain", b"{}", 415, id="what a form of another site can send"),
        ],
    )
    def test_a_malformed_package_is_refused(
        self, registry: LocalRegistry, content_type: str, body: bytes, status: int
    ) -> None:
        with registry.session("admin") as session:
            headers = {"Content-Type": content_type}
            answer = session.post(f"{registry.url}/api/packages", data=body, headers=headers)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])

    @pytest.mark.parametrize(
        ("user", "method", "path", "status"),
        [
            pytest.param("", "GET", "packages/demo-workspace", 401, id="nobody lists"),
            pytest.param("reader", "GET", "packages/demo-workspace", 200, id="Read lists"),
            pytest.param("reader", "GET", "workspaces/demo-workspace", 200, id="Read asks for the usage"),
            pytest.param("reader", "DELETE", "packages/demo-workspace/second-app/tags/1.0", 403, id="Read deletes"),
            pytest.param("writer", "DELETE", "packages/demo-workspace/second-app", 403, id="Write deletes an image"),
            pytest.param("writer", "POST", "collections", 403, id="Write collects"),
            pytest.param("pipeline", "GET", "packages/demo-workspace/other-app", 404, id="another repository's"),
        ],
    )
    def test_the_rules_are_those_of_the_pages(
        self, registry: LocalRegistry, user: str, method: str, path: str, status: int
    ) -> None:
        with registry.session(user) as session:
            assert session.request(method, f"{registry.url}/api/{path}").status_code == status
