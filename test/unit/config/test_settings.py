"""The environment, read once: every variable, every default, every problem."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.config.reader import read_settings
from pipe.config.settings import Credentials, PushRequest, ReuseFrom, Settings
from pipe.config.variables import VARIABLES
from pipe.errors import ConfigurationError
from pipe.oci.reference import Reference

IMAGE_ID = "sha256:" + "0123456789abcdef" * 4
STEP = {
    "IMAGE_NAME": "my-container-app",
    "BITBUCKET_WORKSPACE": "acme",
    "BITBUCKET_PACKAGES_USERNAME": "step",
    "BITBUCKET_PACKAGES_TOKEN": "s3cr3t-t0ken",
}
"""What a step's environment has, and the one variable of the pipe's own snippet."""
TODAY = date(2026, 3, 1)
TAG_PIPELINES = "$BITBUCKET_TAG has no value in this step (Pipelines sets it for tag pipelines only)."
PULL_REQUESTS = "$BITBUCKET_PR_ID has no value in this step (Pipelines sets it for pull requests only)."


def read(**variables: str) -> Settings:
    """Read a step's environment with more variables."""
    return read_settings(STEP | variables, TODAY)


def reuse(*tags: str) -> tuple[ReuseFrom, ...]:
    """Make images of the package that is pushed to."""
    return tuple(ReuseFrom("", tag) for tag in tags)


def problems(**variables: str) -> list[str]:
    """Read an environment that is not right."""
    with pytest.raises(ConfigurationError) as raised:
        read(**variables)
    assert raised.value.exit_code == 2
    return raised.value.problems


def test_no_representation_contains_the_token() -> None:
    assert "s3cr3t" not in f"{read()} {read()!r} {read().credentials}"
    assert repr(read().credentials) == "Credentials(username='step')"


def test_the_snippet_with_nothing_but_the_image() -> None:
    assert read() == Settings(
        requests=(
            PushRequest(
                "my-container-app",
                Reference("", "my-container-app"),
                "crg.apkg.io",
                "acme/my-container-app",
                ("latest",),
            ),
        ),
        registry="crg.apkg.io",
        credentials=Credentials("step", "s3cr3t-t0ken"),
        max_layer_size=32 * 10**9,
        upload_timeout=420.0,
        max_attempts=3,
        dry_run=False,
        result_file=None,
        variables_file=None,
        debug=False,
        docker={},
        uploader="auto",
        reuse_from=(),
        image_archive=None,
        if_tag_exists="overwrite",
        compression="auto",
    )
    assert read().requests[0].targets == (Reference("crg.apkg.io", "acme/my-container-app", "latest"),)


def test_variables_that_arrive_empty_are_absent() -> None:
    empty = {variable.name: "" for variable in VARIABLES if variable.name not in {*STEP, "TAGS"}}
    others = {"TAGS_COUNT": "", "TAGS_0": "", "DOCKER_HOST": "", "BITBUCKET_PIPELINES_VARIABLES_PATH": ""}
    assert read(**empty, **others) == read()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({"IMAGE_NAME": "app:1.0"}, {"repository": "acme/app", "tags": ("1.0",)}, id="tag-of-the-image"),
        pytest.param({"IMAGE_NAME": "x/y/app"}, {"repository": "acme/app"}, id="last-component"),
        pytest.param({"IMAGE_NAME": "docker.io/x/app"}, {"repository": "acme/app"}, id="host-of-the-image-is-not-used"),
        pytest.param(
            {"IMAGE_NAME": "crg.apkg.io/acme/app:2"},
            {"repository": "acme/app", "tags": ("2",), "image": "crg.apkg.io/acme/app:2"},
            id="qualified",
        ),
        pytest.param({"IMAGE_NAME": "crg.apkg.io/acme/a/b"}, {"repository": "acme/a/b"}, id="qualified-deep"),
        pytest.param(
            {"IMAGE_NAME": "crg.apkg.io/acme/app", "PACKAGE_NAME": "other"},
            {"repository": "acme/other"},
            id="qualified-and-package",
        ),
        pytest.param({"PACKAGE_NAME": "other"}, {"repository": "acme/other"}, id="package"),
        pytest.param(
            {"IMAGE_NAME": IMAGE_ID, "PACKAGE_NAME": "app"},
            {"image": IMAGE_ID, "repository": "acme/app", "tags": ("latest",)},
            id="image-id",
        ),
        pytest.param(
            {"IMAGE_NAME": IMAGE_ID.removeprefix("sha256:"), "PACKAGE_NAME": "app"},
            {"image": IMAGE_ID.removeprefix("sha256:"), "repository": "acme/app"},
            id="image-id-without-algorithm",
        ),
        pytest.param(
            {"IMAGE_NAME": f"app@{IMAGE_ID}"}, {"repository": "acme/app", "tags": ("latest",)}, id="image-by-digest"
        ),
        pytest.param({"WORKSPACE": "other"}, {"repository": "other/my-container-app"}, id="workspace"),
        pytest.param({"REGISTRY": "127.0.0.1:5000"}, {"registry": "127.0.0.1:5000"}, id="registry"),
        pytest.param({"IMAGE_NAME": "app:1.0", "TAGS": "2.0"}, {"tags": ("2.0",)}, id="tags-over-the-images"),
        pytest.param({"REGISTRY": "myhost:5000"}, {"registry": "myhost:5000"}, id="registry-with-port"),
        pytest.param({"REGISTRY": "localhost"}, {"registry": "localhost"}, id="registry-on-localhost"),
        pytest.param({"TAGS": "a b\tc\nd"}, {"tags": ("a", "b", "c", "d")}, id="tags-by-white-space"),
        pytest.param({"TAGS": "a,b , c,,"}, {"tags": ("a", "b", "c")}, id="tags-by-commas"),
        pytest.param({"TAGS": "b a b a"}, {"tags": ("b", "a")}, id="tags-repeated"),
        pytest.param(
            {"TAGS_COUNT": "2", "TAGS_0": "1.0", "TAGS_1": "latest"}, {"tags": ("1.0", "latest")}, id="tags-array"
        ),
        pytest.param(
            {"TAGS_COUNT": "2", "TAGS_0": "a,b", "TAGS_1": "b"}, {"tags": ("a", "b")}, id="tags-array-of-lists"
        ),
        pytest.param(
            {"TAGS_COUNT": "1000"} | {f"TAGS_{index}": f"t{index}" for index in range(1000)},
            {"tags": tuple(f"t{index}" for index in range(1000))},
            id="tags-array-at-most",
        ),
        pytest.param(
            {"TAGS": " ".join(f"t{index}" for index in range(1000)) + " t0 t1"},
            {"tags": tuple(f"t{index}" for index in range(1000))},
            id="tags-at-most",
        ),
        pytest.param(
            {"TAGS": "{version} {major}.{minor} {date} latest", "BITBUCKET_TAG": "v1.4.2"},
            {"tags": ("1.4.2", "1.4", "20260301", "latest"), "dropped_tags": ()},
            id="tags-from-git",
        ),
        pytest.param(
            {
                "TAGS_COUNT": "2",
                "TAGS_0": "{branch}-{build}",
                "TAGS_1": "{branch}",
                "BITBUCKET_BRANCH": "feature/login",
                "BITBUCKET_BUILD_NUMBER": "17",
            },
            {"tags": ("feature-login-17", "feature-login"), "dropped_tags": ()},
            id="tags-array-from-git",
        ),
        pytest.param(
            {"TAGS": "{commit:7} 0123456 {commit}", "BITBUCKET_COMMIT": "0123456"},
            {"tags": ("0123456",), "dropped_tags": ()},
            id="tags-from-git-repeated",
        ),
        pytest.param(
            {"TAGS": "{version} {pr} {major} {branch}", "BITBUCKET_BRANCH": "main"},
            {
                "tags": ("main",),
                "dropped_tags": (
                    f"Not pushing {{version}}, {{major}}: {TAG_PIPELINES}",
                    f"Not pushing {{pr}}: {PULL_REQUESTS}",
                ),
            },
            id="tags-dropped",
        ),
        pytest.param(
            {"TAGS": "{version} {major} {major}.{minor}", "BITBUCKET_TAG": "v1.5.0-rc.1"},
            {
                "tags": ("1.5.0-rc.1",),
                "dropped_tags": ("Not pushing {major}, {major}.{minor}: 1.5.0-rc.1 is a pre-release.",),
            },
            id="tags-of-a-pre-release",
        ),
        pytest.param({"IMAGE_NAME": "a.b/c:1"}, {"name": Reference("a.b", "c", "1")}, id="name"),
        pytest.param(
            {"IMAGE_NAME": IMAGE_ID, "PACKAGE_NAME": "app"},
            {"name": Reference("", "", digest=IMAGE_ID)},
            id="name-of-id",
        ),
        pytest.param({"UPLOADER": "engine"}, {"uploader": "engine"}, id="uploader"),
        pytest.param({"UPLOADER": " Pipe\n"}, {"uploader": "pipe"}, id="uploader-in-capitals"),
        pytest.param({"UPLOADER": "auto", "IMAGE_ARCHIVE": "a"}, {"image_archive": Path("a")}, id="archive"),
        pytest.param({"REFERRERS": "TRUE", "IMAGE_ARCHIVE": "a"}, {"referrers": True}, id="referrers"),
        pytest.param({"IMAGE_ARCHIVE": "a"}, {"referrers": False}, id="no-referrers"),
        pytest.param({"SPLIT_LAYERS": "4GB"}, {"split_size": 4 * 10**9, "split_auto": False}, id="split"),
        pytest.param({"SPLIT_LAYERS": " Auto "}, {"split_size": None, "split_auto": True}, id="split-auto"),
        pytest.param({"SPLIT_LAYERS": " "}, {"split_size": None, "split_auto": False}, id="split-empty"),
        pytest.param({"REUSE_FROM": "a, b"}, {"reuse_from": reuse("a", "b")}, id="reuse"),
        pytest.param({"REUSE_FROM": " "}, {"reuse_from": ()}, id="reuse-empty"),
        pytest.param({"REUSE_FROM_COUNT": "0"}, {"reuse_from": ()}, id="reuse-of-an-empty-array"),
        pytest.param(
            {"REUSE_FROM_COUNT": "2", "REUSE_FROM_0": "a", "REUSE_FROM_1": "b"},
            {"reuse_from": reuse("a", "b")},
            id="reuse-array",
        ),
        pytest.param(
            {"REUSE_FROM": "base:1.0 team/other:latest new", "WORKSPACE": "ours"},
            {
                "reuse_from": (
                    ReuseFrom("ours/base", "1.0"),
                    ReuseFrom("ours/team/other", "latest"),
                    ReuseFrom("", "new"),
                )
            },
            id="reuse-of-other-packages",
        ),
        pytest.param({"IF_TAG_EXISTS": "Skip"}, {"if_tag_exists": "skip"}, id="tag-exists-skip"),
        pytest.param({"IF_TAG_EXISTS": "fail"}, {"if_tag_exists": "fail"}, id="tag-exists-fail"),
        pytest.param({"COMPRESSION": "zstd"}, {"compression": "zstd", "compress_plain": True}, id="compression-zstd"),
        pytest.param(
            {"COMPRESSION": "SMALL"}, {"compression": "small", "compress_plain": True}, id="compression-small"
        ),
        pytest.param({"COMPRESSION": "auto"}, {"compression": "auto", "compress_plain": True}, id="compression-auto"),
        pytest.param({"COMPRESSION": ""}, {"compression": "auto", "compress_plain": False}, id="compression-unset"),
        pytest.param({"TAGS": "x", "TAGS_COUNT": "1", "TAGS_0": "y"}, {"tags": ("x",)}, id="tags-string-and-array"),
        pytest.param({"TAGS_0": "y"}, {"tags": ("latest",)}, id="tags-array-without-count"),
        pytest.param({"MAX_LAYER_SIZE": "500MB"}, {"max_layer_size": 500_000_000}, id="size"),
        pytest.param({"MAX_LAYER_SIZE": " 32GiB\n"}, {"max_layer_size": 2**35}, id="size-with-white-space"),
        pytest.param({"UPLOAD_TIMEOUT": "90s"}, {"upload_timeout": 90.0}, id="timeout"),
        pytest.param({"UPLOAD_TIMEOUT": "24h"}, {"upload_timeout": 86400.0}, id="timeout-at-most"),
        pytest.param({"MAX_ATTEMPTS": "1"}, {"max_attempts": 1}, id="attempts"),
        pytest.param({"MAX_ATTEMPTS": "1000"}, {"max_attempts": 1000}, id="attempts-at-most"),
        pytest.param({"MAX_ATTEMPTS": "007"}, {"max_attempts": 7}, id="attempts-with-zeros"),
        pytest.param({"DRY_RUN": "true"}, {"dry_run": True}, id="dry-run"),
        pytest.param({"DEBUG": "True"}, {"debug": True}, id="debug-of-python"),
        pytest.param({"DEBUG": "no", "DRY_RUN": "1"}, {"debug": False, "dry_run": True}, id="other-booleans"),
        pytest.param({"RESULT_FILE": "out/r.json"}, {"result_file": Path("out/r.json")}, id="result-file"),
        pytest.param(
            {"BITBUCKET_CLONE_DIR": "/clone", "RESULT_FILE": "out/r.json", "IMAGE_ARCHIVE": "image.tar"},
            {"result_file": Path("/clone/out/r.json"), "image_archive": Path("/clone/image.tar")},
            id="relative-paths-in-a-pipeline",
        ),
        pytest.param(
            {"BITBUCKET_CLONE_DIR": "/clone", "RESULT_FILE": "/srv/r.json", "IMAGE_ARCHIVE": "/srv/image.tar"},
            {"result_file": Path("/srv/r.json"), "image_archive": Path("/srv/image.tar")},
            id="absolute-paths-in-a-pipeline",
        ),
        pytest.param(
            {"RESULT_FILE": "out/r.json", "IMAGE_ARCHIVE": "image.tar"},
            {"result_file": Path("out/r.json"), "image_archive": Path("image.tar")},
            id="relative-paths-elsewhere",
        ),
        pytest.param({"BITBUCKET_PIPELINES_VARIABLES_PATH": "/v"}, {"variables_file": Path("/v")}, id="variables-file"),
        pytest.param(
            {"DOCKER_HOST": "tcp://h:2375", "DOCKER_TLS_VERIFY": "1", "DOCKERX": "no"},
            {"docker": {"DOCKER_HOST": "tcp://h:2375", "DOCKER_TLS_VERIFY": "1"}},
            id="engine",
        ),
        pytest.param(
            {"BITBUCKET_PACKAGES_TOKEN": " a$b'c\"d+efg\n", "BITBUCKET_PACKAGES_USERNAME": " me "},
            {"credentials": Credentials("me", "a$b'c\"d+efg")},
            id="credentials-with-white-space",
        ),
        pytest.param(
            {"ATLASSIAN_ACCOUNT_EMAIL": "me@acme.com", "ATLASSIAN_API_TOKEN": "api-token"},
            {"credentials": Credentials("step", "s3cr3t-t0ken")},
            id="the-steps-credentials-first",
        ),
        pytest.param(
            {
                "BITBUCKET_PACKAGES_USERNAME": "",
                "BITBUCKET_PACKAGES_TOKEN": " ",
                "ATLASSIAN_ACCOUNT_EMAIL": "me@acme.com",
                "ATLASSIAN_API_TOKEN": "api-token",
            },
            {"credentials": Credentials("me@acme.com", "api-token")},
            id="an-accounts-credentials-otherwise",
        ),
    ],
)
def test_variables(variables: dict[str, str], expected: dict[str, Any]) -> None:
    settings = read(**variables)
    (request,) = settings.requests
    assert {name: getattr(request if hasattr(request, name) else settings, name) for name in expected} == expected


def test_a_file_in_the_working_directory_is_not_that_of_the_clone_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image.tar").touch()
    monkeypatch.chdir(tmp_path)
    assert read(BITBUCKET_CLONE_DIR="/clone", IMAGE_ARCHIVE="image.tar").image_archive == Path("/clone/image.tar")


COMPONENT = "lower-case letters and digits"
UNSET = "was not expanded: the variable is unset, or the value is in single quotes."


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param({"IMAGE_NAME": "My-App"}, ["IMAGE_NAME: 'My-App'", COMPONENT], id="image-in-capitals"),
        pytest.param({"IMAGE_NAME": "-app"}, ["IMAGE_NAME: '-app'", COMPONENT], id="image-with-hyphen-first"),
        pytest.param({"IMAGE_NAME": "app$"}, ["IMAGE_NAME: 'app$'", COMPONENT], id="image-with-dollar"),
        pytest.param({"IMAGE_NAME": "\x1b[31mapp"}, [r"IMAGE_NAME: '\x1b[31mapp'", COMPONENT], id="image-with-colour"),
        pytest.param({"IMAGE_NAME": "app\udcff"}, [r"IMAGE_NAME: 'app\udcff'", COMPONENT], id="image-not-in-utf-8"),
        pytest.param({"IMAGE_NAME": "app:" + "x" * 129}, ["IMAGE_NAME: 'app:xxx", "…'"], id="image-tag-of-129"),
        pytest.param(
            {"IMAGE_NAME": "app:feature/x"},
            ["IMAGE_NAME: 'app:feature/x' is not the name of an image", "'feature-x'"],
            id="image-tag-of-a-branch",
        ),
        pytest.param({"IMAGE_NAME": "https://crg.apkg.io/acme/app"}, ["without a scheme"], id="image-with-scheme"),
        pytest.param(
            {"IMAGE_NAME": "crg.apkg.io/other/app"},
            ["IMAGE_NAME's workspace 'other' does not match WORKSPACE 'acme'", "'crg.apkg.io/other/app'"],
            id="image-of-another-workspace",
        ),
        pytest.param(
            {"IMAGE_NAME": "crg.apkg.io/acme"},
            ["IMAGE_NAME must name a package after the workspace", "got 'crg.apkg.io/acme'"],
            id="image-without-package",
        ),
        pytest.param(
            {"IMAGE_NAME": IMAGE_ID},
            ["PACKAGE_NAME is missing: it is required if IMAGE_NAME is an ID."],
            id="image-id",
        ),
        pytest.param({"TAGS": ""}, ["TAGS is empty: leave it out to push `latest`."], id="empty-tags"),
        pytest.param(
            {"TAGS": " , ", "IMAGE_NAME": "app:2"}, ["TAGS is empty: leave it out to push `2`."], id="no-tags"
        ),
        pytest.param(
            {"TAGS_COUNT": "2", "TAGS_0": "", "TAGS_1": "b"},
            ["The first entry of TAGS is empty: remove it, or set its variable."],
            id="empty-item-of-tags",
        ),
        pytest.param(
            {"TAGS_COUNT": "2", "TAGS_0": "a", "TAGS_1": ""},
            ["The second entry of TAGS is empty: remove it, or set its variable."],
            id="empty-second-item-of-tags",
        ),
        pytest.param(
            {"TAGS_COUNT": "6"} | {f"TAGS_{index}": f"t{index}" for index in range(5)},
            ["The 6th entry of TAGS is empty: remove it, or set its variable."],
            id="empty-sixth-item-of-tags",
        ),
        *(
            pytest.param(
                {"TAGS_COUNT": f"{count}"} | {f"TAGS_{index}": f"t{index}" for index in range(count - 1)},
                [f"The {ordinal} entry of TAGS is empty: remove it, or set its variable."],
                id=f"empty-{ordinal}-item-of-tags",
            )
            for count, ordinal in ((11, "11th"), (12, "12th"), (21, "21st"), (22, "22nd"), (113, "113th"))
        ),
        pytest.param(
            {"TAGS_COUNT": "2", "TAGS_1": "b"},
            ["The first entry of TAGS is empty: remove it, or set its variable."],
            id="tags-array-with-a-hole",
        ),
        pytest.param({"TAGS_COUNT": "0"}, ["TAGS is empty: leave it out to push `latest`."], id="array-of-none"),
        pytest.param(
            {"TAGS": " ".join(f"t{index}" for index in range(1001))},
            ["TAGS has 1001 items: at most 1000 are allowed."],
            id="too-many-tags",
        ),
        pytest.param(
            {"TAGS_COUNT": "1"} | {"TAGS_0": " ".join(f"t{index}" for index in range(1001))},
            ["TAGS has 1001 items: at most 1000 are allowed."],
            id="too-many-tags-in-array",
        ),
        pytest.param(
            {"TAGS_COUNT": "1001"}, ["TAGS_COUNT must be ", "got '1001'", "1 to 1000"], id="too-long-an-array"
        ),
        pytest.param({"TAGS": "$BITBUCKET_TAG"}, [f"TAGS: {TAG_PIPELINES}"], id="tags-not-expanded"),
        pytest.param({"TAGS": "a ${BITBUCKET_TAG}"}, [f"TAGS: {TAG_PIPELINES}"], id="tags-not-expanded-in-braces"),
        pytest.param(
            {"TAGS": "$VERSION", "BITBUCKET_BUILD_NUMBER": "7"},
            ["TAGS: $VERSION has no value in this step."],
            id="tags-not-set-in-a-pipeline",
        ),
        pytest.param({"TAGS": "${VERSION:-1}"}, [f"TAGS: $VERSION {UNSET}"], id="tags-with-a-shells-default"),
        pytest.param({"TAGS": "${"}, [f"TAGS: ${{ {UNSET}"], id="tags-with-a-brace"),
        pytest.param({"IMAGE_NAME": "app:$TAG"}, [f"IMAGE_NAME: $TAG {UNSET}"], id="image-not-expanded"),
        pytest.param({"WORKSPACE": "$W"}, [f"WORKSPACE: $W {UNSET}"], id="workspace-not-expanded"),
        pytest.param({"MAX_ATTEMPTS": "$N"}, [f"MAX_ATTEMPTS: $N {UNSET}"], id="attempts-not-expanded"),
        pytest.param({"RESULT_FILE": "$D/r"}, [f"RESULT_FILE: $D {UNSET}"], id="file-not-expanded"),
        pytest.param(
            {"BITBUCKET_PACKAGES_TOKEN": "${BITBUCKET_PACKAGES_TOKEN}"},
            [f"BITBUCKET_PACKAGES_TOKEN: $BITBUCKET_PACKAGES_TOKEN {UNSET}"],
            id="token-not-expanded",
        ),
        pytest.param(
            {"BITBUCKET_PACKAGES_TOKEN": "x" * 8193},
            ["BITBUCKET_PACKAGES_TOKEN has 8193 characters: at most 8192 are allowed."],
            id="token-too-long",
        ),
        pytest.param(
            {"BITBUCKET_PACKAGES_TOKEN": "rely"},
            ["BITBUCKET_PACKAGES_TOKEN is too short for a token: at least 8 characters are required."],
            id="token-too-short",
        ),
        pytest.param(
            {
                "BITBUCKET_PACKAGES_USERNAME": "",
                "BITBUCKET_PACKAGES_TOKEN": "",
                "ATLASSIAN_ACCOUNT_EMAIL": "me@acme.com",
                "ATLASSIAN_API_TOKEN": "1234567",
            },
            ["ATLASSIAN_API_TOKEN is too short for a token: at least 8 characters are required."],
            id="api-token-too-short",
        ),
        pytest.param(
            {"IF_TAG_EXISTS": "ignore"},
            ["IF_TAG_EXISTS must be one of overwrite, skip, fail, got 'ignore'."],
            id="tag-exists",
        ),
        pytest.param(
            {"COMPRESSION": "lz4"}, ["COMPRESSION must be one of auto, fast, small, zstd, got 'lz4'."], id="compression"
        ),
        pytest.param(
            {"REUSE_FROM": "Other:1.0"},
            ["REUSE_FROM must be a tag or `package:tag`", "got 'Other:1.0'"],
            id="reuse-of-a-package-in-capitals",
        ),
        pytest.param(
            {"REUSE_FROM": "other:"}, ["REUSE_FROM: '' is not a valid tag"], id="reuse-of-a-package-without-a-tag"
        ),
        pytest.param({"REUSE_FROM": ":1.0"}, ["REUSE_FROM must be", "got ':1.0'"], id="reuse-without-a-package"),
        pytest.param(
            {"UPLOADER": "docker"}, ["UPLOADER must be ", "got 'docker'", "one of auto, engine, pipe"], id="uploader"
        ),
        pytest.param(
            {"UPLOADER": "Engine", "IMAGE_ARCHIVE": "a.tar"},
            ["UPLOADER=engine cannot be combined with IMAGE_ARCHIVE: leave UPLOADER out."],
            id="archive-by-the-engine",
        ),
        pytest.param({"REFERRERS": "true"}, ["REFERRERS requires IMAGE_ARCHIVE, an OCI layout"], id="referrers"),
        pytest.param(
            {"SPLIT_LAYERS": "always"},
            ["SPLIT_LAYERS must be auto, or a size such as 32GB, ", "got 'always'"],
            id="split",
        ),
        pytest.param(
            {"UPLOADER": "engine", "SPLIT_LAYERS": "auto"},
            ["UPLOADER=engine cannot be combined with SPLIT_LAYERS: leave UPLOADER out."],
            id="split-by-the-engine",
        ),
        pytest.param(
            {"REFERRERS": "true", "IMAGE_ARCHIVE": "a", "SPLIT_LAYERS": "1GB"},
            ["REFERRERS cannot be combined with SPLIT_LAYERS"],
            id="split-with-referrers",
        ),
        pytest.param({"REUSE_FROM": "a/b"}, ["REUSE_FROM: 'a/b' is not a valid tag: '/' is not allowed"], id="reuse"),
        pytest.param({"TAG": "1.0"}, ["TAG is not a variable of this pipe. Did you mean TAGS?"], id="near-miss"),
        pytest.param(
            {"IMAGE_TAGS_COUNT": "1", "IMAGE_TAGS_0": "a"},
            ["IMAGE_TAGS is not a variable of this pipe. Did you mean TAGS?"],
            id="near-miss-of-an-array",
        ),
        pytest.param(
            {"WORKSPACE_COUNT": "1", "WORKSPACE_0": "a"},
            ["WORKSPACE must be a string, not an array."],
            id="array-for-a-string",
        ),
        pytest.param(
            {"DOCKER_HOST": "ssh://me:pass@host"},
            ["DOCKER_HOST must be", "got 'ssh://***@host'", "unix://", "tcp://", "ssh -L"],
            id="engine-by-ssh",
        ),
        pytest.param(
            {"REGISTRY": "[::::]:5000"}, ["REGISTRY must be ", "got '[::::]:5000'"], id="registry-of-no-address"
        ),
        pytest.param(
            {"REGISTRY": "127.0.0.1:99999"},
            ["REGISTRY must be ", "got '127.0.0.1:99999'", "a port is from 1 to 65535"],
            id="registry-of-no-port",
        ),
        pytest.param(
            {"TAGS": "ok feature/login"},
            ["TAGS: 'feature/login' is not a valid tag: '/' is not allowed", "'feature-login'"],
            id="tag-of-a-branch",
        ),
        pytest.param(
            {"TAGS": "x" * 129},
            ["TAGS: 'xxx", "…' is not a valid tag: it has 129 characters, at most 128 are allowed"],
            id="tag-of-129",
        ),
        pytest.param(
            {"TAGS": "{version}"},
            [f"TAGS has no tag for this step. Not pushing {{version}}: {TAG_PIPELINES}"],
            id="no-tag-left",
        ),
        pytest.param(
            {"TAGS": "{vresion} latest"},
            ["TAGS: '{vresion}' is not a placeholder. Did you mean {version}?"],
            id="unknown-placeholder",
        ),
        pytest.param(
            {"TAGS": "release/{version}"},
            ["TAGS: 'release/{version}' is not a valid tag: '/' is not allowed; try 'release-{version}'."],
            id="template-without-a-value",
        ),
        pytest.param(
            {"TAGS": "{branch}" + "x" * 128, "BITBUCKET_BRANCH": "main"},
            ["TAGS: 'mxxx", "it has 129 characters"],
            id="template-too-long",
        ),
        pytest.param(
            {"TAGS": "{build}", "BITBUCKET_BUILD_NUMBER": "1/2"},
            ["TAGS: '1/2' is not a valid tag: '/' is not allowed"],
            id="value-that-is-no-tag",
        ),
        pytest.param(
            {"REUSE_FROM": "{branch}", "BITBUCKET_BRANCH": "main"},
            ["REUSE_FROM: '{branch}' is not a valid tag: '{', '}' are not allowed"],
            id="placeholder-in-reuse-from",
        ),
        pytest.param(
            {"TAGS": "-x"},
            ["TAGS: '-x' is not a valid tag: it must begin with a letter, a digit or '_'", "'x'"],
            id="tag-with-hyphen-first",
        ),
        pytest.param(
            {"TAGS": "-" * 80}, [f"TAGS: '{'-' * 80}' is not a valid tag"], id="longest-value-that-is-shown-whole"
        ),
        pytest.param({"TAGS": "-" * 81}, [f"TAGS: '{'-' * 80}…' is not a valid tag"], id="shortest-value-that-is-cut"),
        pytest.param(
            {"TAGS_COUNT": "00"},
            ["TAGS_COUNT must be ", "got '00'", "whole number from 1 to 1000"],
            id="array-of-zeros",
        ),
        pytest.param({"TAGS_COUNT": "x"}, ["TAGS_COUNT must be ", "got 'x'", "whole number"], id="array-of-words"),
        pytest.param(
            {"TAGS_COUNT": "9" * 5000}, ["TAGS_COUNT must be ", "got '999", "whole number"], id="array-of-too-many"
        ),
        pytest.param(
            {"PACKAGE_NAME": "App"}, ["PACKAGE_NAME must be ", "got 'App'", COMPONENT], id="package-in-capitals"
        ),
        pytest.param(
            {"PACKAGE_NAME": "app:1"}, ["PACKAGE_NAME must be ", "got 'app:1'", COMPONENT], id="package-with-tag"
        ),
        pytest.param(
            {"PACKAGE_NAME": "a" * 251},
            ["PACKAGE_NAME must be shorter", "got 'acme/aaa", "at most 255"],
            id="package-too-long",
        ),
        pytest.param(
            {"WORKSPACE": "Acme"},
            ["WORKSPACE must be ", "got 'Acme'", "a workspace's slug"],
            id="workspace-in-capitals",
        ),
        pytest.param(
            {"WORKSPACE": "a/b"}, ["WORKSPACE must be ", "got 'a/b'", "a workspace's slug"], id="workspace-of-two"
        ),
        pytest.param(
            {"BITBUCKET_WORKSPACE": "{id}"}, ["BITBUCKET_WORKSPACE must be ", "got '{id}'"], id="workspace-of-the-step"
        ),
        pytest.param(
            {"REGISTRY": "https://crg.apkg.io"},
            ["REGISTRY must be ", "got 'https:", "scheme"],
            id="registry-with-scheme",
        ),
        pytest.param(
            {"REGISTRY": "myhost"},
            ["REGISTRY must be ", "got 'myhost'", "a dot or a port"],
            id="registry-on-docker-hub",
        ),
        pytest.param({"REGISTRY": "crg.apkg.io/acme"}, ["REGISTRY must be", "a path"], id="registry-with-path"),
        pytest.param({"REGISTRY": "me@crg.apkg.io"}, ["REGISTRY must be"], id="registry-with-user"),
        pytest.param(
            {"REGISTRY": "crg.apkg.io\n"}, ["REGISTRY must be ", r"got 'crg.apkg.io\n'"], id="registry-with-newline"
        ),
        pytest.param({"BITBUCKET_PACKAGES_TOKEN": ""}, ["BITBUCKET_PACKAGES_TOKEN is missing"], id="no-token"),
        pytest.param(
            {"BITBUCKET_PACKAGES_TOKEN": "a\udcffb"},
            ["BITBUCKET_PACKAGES_TOKEN contains non-printable characters"],
            id="token-of-bytes",
        ),
        pytest.param(
            {"BITBUCKET_PACKAGES_TOKEN": "a\nb"},
            ["BITBUCKET_PACKAGES_TOKEN contains non-printable characters"],
            id="token-of-two-lines",
        ),
        pytest.param({"BITBUCKET_PACKAGES_USERNAME": ""}, ["BITBUCKET_PACKAGES_USERNAME is missing"], id="no-user"),
        pytest.param(
            {
                "BITBUCKET_PACKAGES_USERNAME": "",
                "ATLASSIAN_ACCOUNT_EMAIL": "me@acme.com",
                "ATLASSIAN_API_TOKEN": "api-token",
            },
            ["BITBUCKET_PACKAGES_USERNAME is missing", "both are required"],
            id="half-a-pair-and-a-whole-one",
        ),
        pytest.param(
            {"BITBUCKET_PACKAGES_USERNAME": "", "BITBUCKET_PACKAGES_TOKEN": "", "ATLASSIAN_API_TOKEN": "api-token"},
            ["ATLASSIAN_ACCOUNT_EMAIL is missing: ATLASSIAN_API_TOKEN is set"],
            id="half-an-account",
        ),
        pytest.param(
            {"BITBUCKET_PACKAGES_USERNAME": "", "ATLASSIAN_ACCOUNT_EMAIL": "me@acme.com"},
            ["BITBUCKET_PACKAGES_USERNAME is missing"],
            id="halves-of-two-pairs",
        ),
        pytest.param(
            {"MAX_LAYER_SIZE": "32 apples"}, ["MAX_LAYER_SIZE must be ", "got '32 apples'", "32GB"], id="size"
        ),
        pytest.param({"MAX_LAYER_SIZE": "9" * 5000}, ["MAX_LAYER_SIZE must be ", "got '9"], id="size-of-5000-digits"),
        pytest.param(
            {"MAX_LAYER_SIZE": "\u0663GB"}, ["MAX_LAYER_SIZE must be ", "got '\u0663GB'"], id="size-in-arabic-digits"
        ),
        pytest.param({"UPLOAD_TIMEOUT": "-1"}, ["UPLOAD_TIMEOUT must be ", "got '-1'", "7m"], id="timeout"),
        pytest.param(
            {"UPLOAD_TIMEOUT": "999999999h"},
            ["UPLOAD_TIMEOUT must be ", "got '999999999h'", "at most 24h"],
            id="timeout-too-long",
        ),
        pytest.param(
            {"UPLOAD_TIMEOUT": "86401"}, ["UPLOAD_TIMEOUT must be ", "got '86401'"], id="timeout-just-too-long"
        ),
        pytest.param({"UPLOAD_TIMEOUT": "0"}, ["UPLOAD_TIMEOUT must be ", "got '0'"], id="timeout-of-nothing"),
        pytest.param({"UPLOAD_TIMEOUT": "1e400"}, ["UPLOAD_TIMEOUT must be ", "got '1e400'"], id="timeout-of-eternity"),
        pytest.param({"MAX_ATTEMPTS": "0"}, ["MAX_ATTEMPTS must be ", "got '0'", "1 to 1000"], id="attempts-of-none"),
        pytest.param({"MAX_ATTEMPTS": "1001"}, ["MAX_ATTEMPTS must be ", "got '1001'"], id="attempts-too-many"),
        pytest.param(
            {"MAX_ATTEMPTS": "00000100099"}, ["MAX_ATTEMPTS must be ", "got '00000100099'"], id="attempts-behind-zeros"
        ),
        pytest.param({"MAX_ATTEMPTS": "1.5"}, ["MAX_ATTEMPTS must be ", "got '1.5'"], id="attempts-and-a-half"),
        pytest.param(
            {"MAX_ATTEMPTS": "\u0663"}, ["MAX_ATTEMPTS must be ", "got '\u0663'"], id="attempts-in-arabic-digits"
        ),
        pytest.param({"DEBUG": "maybe"}, ["DEBUG must be ", "got 'maybe'", "true or false"], id="debug"),
        pytest.param({"DRY_RUN": "2"}, ["DRY_RUN must be ", "got '2'", "true or false"], id="dry-run"),
    ],
)
def test_a_problem_names_variable_value_and_rule(variables: dict[str, str], words: list[str]) -> None:
    (problem,) = problems(**variables)
    assert [word for word in words if word not in problem] == [], problem


def test_all_that_is_missing_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_settings({}, TODAY)
    assert str(raised.value) == (
        "Invalid configuration:\n"
        "  - WORKSPACE is missing: set it to the workspace's slug (in a pipeline it is $BITBUCKET_WORKSPACE).\n"
        "  - IMAGE_NAME is missing: set it to the name of the image that the step built.\n"
        "  - BITBUCKET_PACKAGES_USERNAME and BITBUCKET_PACKAGES_TOKEN are missing. Outside Bitbucket Pipelines, set"
        " ATLASSIAN_ACCOUNT_EMAIL and ATLASSIAN_API_TOKEN (scope write:package:bitbucket) instead."
    )


LINES = (
    "BITBUCKET_PACKAGES_USERNAME and BITBUCKET_PACKAGES_TOKEN are missing. Add these two lines to the pipe's"
    " `variables`:\n"
    "      BITBUCKET_PACKAGES_USERNAME: $BITBUCKET_PACKAGES_USERNAME\n"
    "      BITBUCKET_PACKAGES_TOKEN: $BITBUCKET_PACKAGES_TOKEN"
)
EMPTY = (
    "\n    If they are there already, the step does not provide these variables: set ATLASSIAN_ACCOUNT_EMAIL and"
    " ATLASSIAN_API_TOKEN (scope write:package:bitbucket) instead."
)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        pytest.param({}, LINES, id="not-named"),
        pytest.param({"BITBUCKET_PACKAGES_USERNAME": "", "BITBUCKET_PACKAGES_TOKEN": ""}, LINES + EMPTY, id="empty"),
        pytest.param({"BITBUCKET_PACKAGES_TOKEN": ""}, LINES + EMPTY, id="one-of-them-empty"),
    ],
)
def test_a_pipeline_without_credentials_gets_the_lines_to_paste(variables: dict[str, str], problem: str) -> None:
    step = {"IMAGE_NAME": "app", "BITBUCKET_WORKSPACE": "acme", "BITBUCKET_BUILD_NUMBER": "7"}
    with pytest.raises(ConfigurationError) as raised:
        read_settings(step | variables, TODAY)
    assert raised.value.problems == [problem]


def test_the_longest_token_is_taken() -> None:
    assert read(BITBUCKET_PACKAGES_TOKEN="x" * 8192).credentials.token == "x" * 8192


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = {
        "REGISTRY": "!",
        "WORKSPACE": "!",
        "IMAGE_NAME": "!",
        "PACKAGE_NAME": "!",
        "TAGS": "! ?",
        "BITBUCKET_PACKAGES_TOKEN": "",
        "MAX_LAYER_SIZE": "!",
        "UPLOAD_TIMEOUT": "!",
        "MAX_ATTEMPTS": "!",
        "DRY_RUN": "!",
        "DEBUG": "!",
    }
    named = [problem.split(" ")[0].rstrip(":") for problem in problems(**wrong)]
    assert sorted(named) == sorted([*wrong, "TAGS"])


def test_all_mistakes_in_tags_are_reported_at_once() -> None:
    assert problems(TAGS="{vresion}/{numbr} {version} $NOPE !x") == [
        "TAGS: '{vresion}' is not a placeholder. Did you mean {version}?",
        "TAGS: '{numbr}' is not a placeholder. Did you mean {build}?",
        "TAGS: '{vresion}/{numbr}' is not a valid tag: '/' is not allowed; try '{vresion}-{numbr}'.",
        f"TAGS: $NOPE {UNSET}",
        "TAGS: '!x' is not a valid tag: '!' is not allowed; try 'x'.",
    ]


def test_no_problem_shows_a_token() -> None:
    assert "s3cr3t-t0ken" not in "".join(problems(BITBUCKET_PACKAGES_USERNAME="", DEBUG="maybe"))
    assert "s3cr3t-t0ken" not in repr(read())


@given(st.dictionaries(st.sampled_from([variable.name for variable in VARIABLES]), st.text(max_size=20)))
def test_any_environment_is_read_or_refused(variables: dict[str, str]) -> None:
    try:
        settings = read(**variables)
    except ConfigurationError as error:
        named = {problem.split(" ")[0].rstrip(":") for problem in error.problems}
        assert named <= {variable.name for variable in VARIABLES} | {"BITBUCKET_WORKSPACE"}
        return
    assert all(str(Reference.parse(str(target))) == str(target) for target in settings.requests[0].targets)
